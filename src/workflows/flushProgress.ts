import type { FlushSummary } from '../protocol/batcher.js';
import type { FlushReason, Parking } from '../protocol/flush.js';
import { sourceName } from '../protocol/record.js';
import type { Buffered } from './batchPlanning.js';

/**
 * The running flush, at most one, and the last finished one. Pure.
 *
 *     idle ──begin──► flushing ──finish──► idle
 *                     │      ▲
 *                     └─park─┘
 */
export class FlushProgress {
  /** Null if there has been none. */
  last: FlushSummary | null = null;
  /** Why the last step of a flush has failed. Null after a flush has finished. */
  lastError: string | null = null;
  #current: CurrentFlush | null = null;

  /** Null between flushes. */
  get current(): CurrentFlush | null {
    return this.#current;
  }

  /** @throws Error if a flush is under way */
  mustBeIdle(): void {
    if (this.#current !== null) throw new Error('a batch is being flushed');
  }

  /** @throws Error if a flush is under way */
  begin(flush: CurrentFlush): void {
    this.mustBeIdle();
    this.#current = flush;
  }

  /** Gives the batch with this number up. @returns false if it is not being flushed, or was given up before */
  park(number: number | undefined, parking: Parking): boolean {
    if (this.#current === null || this.#current.number !== number || this.#current.parking !== null) return false;
    this.#current = { ...this.#current, parking };
    return true;
  }

  /**
   * Ends the flush: every record of the batch is inserted, rejected or skipped.
   *
   * @returns the batch
   * @throws Error if no flush is running
   */
  finish(id: string, records: number, nowMs: number): CurrentFlush {
    if (this.#current === null) throw new Error('no batch is being flushed');
    const finished = this.#current;
    const { number, reason, startedAtMs } = finished;
    this.last = { number, id, reason, records, startedAtMs, finishedAtMs: nowMs };
    this.lastError = null;
    this.#current = null;
    return finished;
  }
}

/** The batch that is being flushed. */
export interface CurrentFlush {
  /** Counts the batcher's batches from 1. */
  readonly number: number;
  readonly reason: FlushReason;
  /**
   * 0 in an inherited batch until it is done, because its records do not pass through the batcher. The same holds for
   * the bytes.
   */
  readonly records: number;
  readonly bytes: number;
  readonly startedAtMs: number;
  /** In an inherited batch: when its flush began. */
  readonly oldestAcceptedAtMs: number;
  /** Names of the sources of its records, see `sourceName`; empty in an inherited batch. */
  readonly sources: ReadonlySet<string>;
  /** Set once a person has given the batch up. */
  readonly parking: Parking | null;
}

/** Describes a flush of chunks that were taken out of the buffer, for {@link FlushProgress.begin}. */
export function flushOf(taken: readonly Buffered[], number: number, reason: FlushReason, nowMs: number): CurrentFlush {
  return {
    number,
    reason,
    records: taken.reduce((sum, { chunk }) => sum + chunk.records, 0),
    bytes: taken.reduce((sum, { chunk }) => sum + chunk.bytes, 0),
    startedAtMs: nowMs,
    oldestAcceptedAtMs: taken[0]?.chunk.acceptedAtMs ?? nowMs,
    sources: new Set(taken.flatMap(({ chunk }) => chunk.segments.map(sourceName))),
    parking: null,
  };
}
