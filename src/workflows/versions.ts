/**
 * What the batcher does differently from earlier versions. Each behaviour is a patch (Temporal's `patched`). The
 * reason: a worker replays a run's history, and if it decides something else than was decided then, Temporal fails the
 * workflow task.
 *
 * When a behaviour first makes a difference in a run, a mark is written into the run's history. From there on the run
 * follows the behaviour. A replay without the mark does what the earlier version did. In most runs most behaviours make
 * no difference, and leave no mark.
 *
 * A rollback: a worker of the earlier version continues each run that has no mark. It cannot replay a run that has one.
 * The run's workflow tasks fail, and its records wait in its history, until a worker of the later version is back, or
 * until somebody terminates the run and an heir takes over. A run after continue-as-new begins without marks. The
 * entries say what else a rollback changes.
 *
 * The ids are stored in histories. Never change one. Never remove one while a run may still have its mark.
 */
export const PATCHES = {
  /** A signal `submit` with a request is a row to insert. Every version does so. See {@link leaveMark}. */
  requests: 'requests',
  /** A signal `park` gives up the batch that is being flushed. Every version does so. See {@link leaveMark}. */
  parking: 'parking',
  /**
   * A foreign signal goes to the dead-letter topic.
   *
   * - Since 0.1.0. Builds before it only count it.
   * - Marked by: the first such signal of a run.
   * - Rollback: no version without it was released.
   */
  foreignSignals: 'foreign-signals',
  /**
   * Each run has its own mark for events, except with `signal.linger: 0ms`. A run continues as new only after it has
   * added enough to its history. Anything that arrives ends a hold (`continuationDue`). And a run near Temporal's limits
   * continues as new and leaves its buffer in its history (`hasOutgrown`).
   *
   * - Since 0.2.0. Version 0.1.0 decides by `continuationWasDue`, and always flushes a large buffer first.
   * - Marked by: the first decision in which the two differ. At a run's own mark that is the decision to continue, so
   *   the mark is mostly in the last task of a run. If a large chunk comes after it in the same task, the run goes on.
   *   Other runs have the mark only if they hold, or were handed much more than they have added, for example the
   *   coverage of thousands of partitions.
   * - Rollback: nothing else. Version 0.1.0 flushes what such a run has left, as it does for an heir.
   */
  continuation: 'continuation',
  /**
   * Batches and carried state are smaller if the namespace takes smaller payloads (`payloadBytesMax` of the settings).
   *
   * - Since 0.2.0. Version 0.1.0 has one size, for Temporal's default.
   * - Marked by: the first decision or batch in which the two differ.
   * - Rollback: version 0.1.0 makes full-size payloads again, and Temporal refuses those that are too large.
   */
  payloadLimit: 'payload-limit',
  /**
   * A request that would not fit into a batch is answered as too large (`payloadBytesMax` of the settings).
   *
   * - Since 0.2.0. Version 0.1.0 takes it, and Temporal refuses the batch.
   * - Marked by: the first such request of a run. A closed run's history is read as if each run did so. What an earlier
   *   version has inserted is in the table, and counts as inserted.
   * - Rollback: nothing else.
   */
  requestLimit: 'request-limit',
  /**
   * What a record has waited in its lane counts for `batch.maxDelay`.
   *
   * - Since 0.2.0. Version 0.1.0 counts from when the oldest chunk was accepted.
   * - Marked by: the first chunk that tells such a time. With the default `signal.linger` that is in nearly every run.
   * - Rollback: before it, set `signal.linger: 0ms` and drain the batchers, or wait until each has continued as new. With
   *   `signal.linger: 0ms` since the upgrade there is no mark, and versions may alternate (`rollingUpgrade.test.ts`).
   */
  waitedInLane: 'waited-in-lane',
  /**
   * If an activity waits on another task queue than the settings name, it is cancelled and scheduled on that one.
   *
   * - Since 0.2.0. Version 0.1.0 knows one task queue.
   * - Marked by: the first activity that is cancelled, or fails, while the settings name another queue.
   * - Rollback: version 0.1.0 schedules on the batcher's own queue again, which the first installation polls.
   *   Activities of a further installation would reach the wrong workers, so drain its pipelines first.
   */
  installations: 'installations',
} as const;

/** A behaviour that depends on the version. */
export type VersionedBehaviour = keyof typeof PATCHES;

/** Whether a run follows the present version's behaviour. Asking leaves a mark in the history, see {@link PATCHES}. */
export type Follows = (behaviour: VersionedBehaviour) => boolean;

/**
 * Leaves the mark of a behaviour that every version has, at the first signal that it is for. Version 0.1.0 decides by
 * the mark: without it, a worker of that version could not go on with the run.
 */
export function leaveMark(follows: Follows, behaviour: 'requests' | 'parking'): void {
  follows(behaviour);
}

/** For a run that no earlier version has begun. */
export const FOLLOWS_ALL: Follows = () => true;

/** Takes the decision of the present version, or, in a run of version 0.1.0, the decision of that version. */
export function decideBy<T>(follows: Follows, behaviour: VersionedBehaviour, present: T, before: T): T {
  return present === before || follows(behaviour) ? present : before;
}
