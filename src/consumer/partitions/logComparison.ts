import type { AcceptedMark } from '../../protocol/batcher.js';
import type { RecordMark } from '../../protocol/chunk.js';

/** What a log's records say about whether it is the log that was read before. */
export type LogVerdict =
  /** It is, at least up to this offset. `replaced`: behind it stands another record than the one that was read. */
  | { readonly type: 'same'; readonly upTo: number; readonly replaced: boolean }
  /** A record proves that it is another log. */
  | { readonly type: 'other' }
  /** No record says anything. */
  | { readonly type: 'unproven' };

/** Records that are looked at, at most: each takes a fetch of its own. */
const LOOKS_MAX = 8;

/**
 * Compares a log with the records that batchers remember, one after the other, the latest first: the same offset, timestamp
 * and checksum prove the same log, others prove another one. Where none of these records is left, the first one that the log
 * has may be younger than everything that was ever read: then the log began after that.
 *
 *     ask for the record at `offset` ──look──► verdict, or ask again
 *
 * Pure.
 */
export class LogComparison {
  readonly #marks: readonly AcceptedMark[];
  readonly #logStart: number;
  readonly #lastReadMs: number | null;
  #at = 0;
  #differs = false;

  /**
   * @param marks records that were read, of the log if it is the same
   * @param log the offsets that it has
   * @param lastReadMs by which its first record may tell, milliseconds since 1970; null where that says nothing
   */
  constructor(
    marks: readonly AcceptedMark[],
    { logStart, logEnd }: { readonly logStart: number; readonly logEnd: number },
    lastReadMs: number | null,
  ) {
    this.#logStart = logStart;
    this.#marks = marks
      .filter(({ offset }) => offset >= logStart && offset < logEnd)
      .sort((one, other) => other.offset - one.offset)
      .slice(0, LOOKS_MAX);
    this.#lastReadMs = logStart < logEnd ? lastReadMs : null;
  }

  /** The offset of the record to look at next; null where there is none, and {@link unproven} is all there is to say. */
  get offset(): number | null {
    const mark = this.#marks[this.#at];
    if (mark !== undefined) return mark.offset;
    return this.#lastReadMs === null || this.#at > this.#marks.length ? null : this.#logStart;
  }

  /** Whether a record that was read should be at {@link offset}: one that has none there is compared, too. */
  get isAtMark(): boolean {
    return this.#at < this.#marks.length;
  }

  /**
   * @param found the first record at or after {@link offset}; null where there is none
   * @returns null where the record at the next {@link offset} has to be looked at
   */
  look(found: RecordMark | null): LogVerdict | null {
    const mark = this.#marks[this.#at++];
    if (mark === undefined) {
      const began = found !== null && this.#lastReadMs !== null && found.timestampMs > this.#lastReadMs;
      return { type: began ? 'other' : 'unproven' };
    }
    if (found?.offset === mark.offset) {
      if (found.timestampMs === mark.timestampMs && found.crc32 === mark.crc32)
        return { type: 'same', upTo: mark.offset, replaced: this.#differs };
      this.#differs = true;
    }
    if (this.#at < this.#marks.length) return null;
    if (this.#differs) return { type: 'other' };
    return this.offset === null ? { type: 'unproven' } : null;
  }
}
