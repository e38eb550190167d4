import type { CarriedState } from './batcher.js';

/** What of a closed run's state is of use to its heir. `estates`: the records follow out of them, batch by batch. */
type InheritedField =
  'coverage' | 'counters' | 'paused' | 'controls' | 'lastFlush' | 'estates' | 'requests' | 'confirmations';

/** What an heir takes over from a closed run at once. */
export interface Inheritance extends Pick<CarriedState, InheritedField> {
  /** Runs of which nothing is known any more, since Temporal no longer has their histories; absent normally. */
  readonly lost?: number;
}
