import type {
  BatcherCounters,
  Control,
  CoverageState,
  FlushSummary,
  PostponedConfirmation,
  RequestsState,
} from './batcher.js';
import type { Leftover } from './leftover.js';

/** What an heir takes over from a closed run at once; the records follow batch by batch. */
export interface Inheritance {
  readonly coverage: CoverageState;
  readonly counters: BatcherCounters;
  readonly paused: boolean;
  readonly controls: readonly Control[];
  readonly lastFlush: FlushSummary | null;
  /** Oldest first: records of one key are flushed in the order in which they were accepted. */
  readonly estates: readonly Leftover[];
  /** See `CarriedState`. */
  readonly requests?: RequestsState;
  readonly confirmations?: readonly PostponedConfirmation[];
  /** Runs of which nothing is known any more, since Temporal no longer has their histories; absent normally. */
  readonly lost?: number;
}
