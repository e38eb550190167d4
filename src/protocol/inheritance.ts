import type { CarriedState } from './batcher.js';
import type { BatcherSettings } from './settings.js';

/**
 * The parts of a closed run's state that its heir takes over. `estates` says which records to read from histories
 * later, batch by batch.
 */
type InheritedField =
  'coverage' | 'doubtful' | 'counters' | 'paused' | 'controls' | 'lastFlush' | 'estates' | 'requests' | 'confirmations';

/** What an heir takes over from a closed run at once. */
export interface Inheritance extends Pick<CarriedState, InheritedField> {
  /** Closed runs of which nothing is known, because Temporal no longer has their histories. Normally absent. */
  readonly lost?: number;
  /** Partitions of which something is forgotten here, because there is no room. Normally absent. */
  readonly forgotten?: number;
  /** All that the closed run had accepted had come encrypted. Absent: nobody knows who has sent it. */
  readonly trusted?: true;
  /**
   * The closed run's settings, if they came encrypted and require encryption. A run that has none which came encrypted goes on
   * with them.
   */
  readonly settings?: BatcherSettings;
}

/** What of an inheritance has to be reported. It is not known to the batcher itself. */
export type Unreported = Pick<Inheritance, 'lost' | 'forgotten'>;

/** What to say of partitions that are forgotten. */
export const FORGOTTEN =
  'The batcher has seen more partitions than one run can hand to the next, and forgets those longest without a record. ' +
  'If such a record comes again, it becomes a second row. Divide the topics among more pipelines';

/** Given for the id of a run: the run that was closed last before the first one of this chain, if there is one. */
export const RUN_BEFORE = '';
