import type { AcceptedMark } from '../../protocol/batcher.js';
import type { RecordMark } from '../../protocol/chunk.js';

/** Whether a log is the one that was read before, by its records. */
export type LogVerdict =
  /**
   * It is the same, at least up to this offset. `replaced`: after it there is another record than the one that was
   * read.
   */
  | { readonly type: 'same'; readonly upTo: number; readonly replaced: boolean }
  /** A record proves that it is another log. */
  | { readonly type: 'other' }
  /** No record tells. */
  | { readonly type: 'unproven' };

/** Records that are compared, at most. Each needs a fetch. */
const COMPARED_MAX = 8;

/**
 * Compares a log with the records that batchers remember, one after the other, the latest first. The same offset,
 * timestamp and checksum prove the same log. Others prove another one. If the log has none of these records any more,
 * its first record may be younger than everything that was read: then the log began later and is another one.
 *
 *     ask for the record at `offset` ──observe──► verdict, or ask again
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
   * @param marks records that were read. If it is the same log, they are in it
   * @param log the offsets that it has
   * @param lastReadMs time of the last record that was read, milliseconds since 1970, to compare the log's first record
   *   with. Null if that says nothing
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
      .slice(0, COMPARED_MAX);
    this.#lastReadMs = logStart < logEnd ? lastReadMs : null;
  }

  /** The offset of the next record to compare. Null if there is none, and the verdict is `unproven`. */
  get offset(): number | null {
    const mark = this.#marks[this.#at];
    if (mark !== undefined) return mark.offset;
    return this.#lastReadMs === null || this.#at > this.#marks.length ? null : this.#logStart;
  }

  /** Whether a record that was read should be at {@link offset}. Then a missing record is compared, too. */
  get isAtMark(): boolean {
    return this.#at < this.#marks.length;
  }

  /**
   * @param found the first record at or after {@link offset}. Null if there is none
   * @returns null if the record at the next {@link offset} has to be compared
   */
  compare(found: RecordMark | null): LogVerdict | null {
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
