/**
 * What the batcher does otherwise than an earlier version did. Each behaviour is a patch (Temporal's `patched`),
 * because a worker replays a run's history, and Temporal fails the workflow task if the worker decides something else
 * than was decided then.
 *
 * When a behaviour first makes a difference in a run, a mark is put into the run's history. From there on the run
 * follows the behaviour; a replay without the mark does as the earlier version did. Most behaviours make no difference
 * in most runs, and then there is no mark.
 *
 * A rollback: a worker of the earlier version goes on with each run that has no mark. It cannot replay a run that has
 * one. The run's workflow tasks fail, and its records wait in its history, until a worker of the later version is back,
 * or until somebody terminates the run and an heir takes over. Continue-as-new begins a run without marks. The entries
 * say what else a rollback changes.
 *
 * The ids stand in histories. Never change one, and never take one away while a run may still have its mark.
 */
export const PATCHES = {
  /**
   * A signal `submit` with a request is a row to insert.
   *
   * - Since 0.1.0. Builds before it count it as a stranger's signal.
   * - Marked by: the first request of a run. A closed run's history is read by this mark, too: the requests before it
   *   were taken for a stranger's signals, and were never answered.
   * - Rollback: no version without it was released. If one runs all the same, it carries no names of requests over;
   *   after it requests are counted under another epoch (see `requestEpoch`), and one that comes again is taken for a
   *   new one.
   */
  requests: 'requests',
  /**
   * A signal `park` gives up the batch that is on its way.
   *
   * - Since 0.1.0. Builds before it count it as a stranger's signal.
   * - Marked by: the first such signal of a run.
   * - Rollback: no version without it was released.
   */
  parking: 'parking',
  /**
   * A stranger's signal goes to the dead-letter topic.
   *
   * - Since 0.1.0. Builds before it only count it.
   * - Marked by: the first such signal of a run.
   * - Rollback: no version without it was released.
   */
  foreignSignals: 'foreign-signals',
  /**
   * A run continues as new only after it has added enough to its history; anything that arrives ends a hold
   * (`continuationDue`); and a history near Temporal's limits is left, with what is buffered in it (`hasOutgrown`).
   *
   * - Since 0.2.0. Version 0.1.0 decides by `continuationWasDue`, and always flushes a large buffer first.
   * - Marked by: the first decision in which the two differ.
   * - Rollback: nothing else. What such a run has left, 0.1.0 flushes as it does for an heir.
   */
  continuation: 'continuation',
  /**
   * Batches and what is carried over are smaller if the namespace takes smaller payloads (`payloadBytesMax` of the
   * settings).
   *
   * - Since 0.2.0. Version 0.1.0 has one size, for Temporal's default.
   * - Marked by: the first decision or batch in which the two differ.
   * - Rollback: Temporal refuses what 0.1.0 makes too large. So nothing is smaller for it.
   */
  payloadLimit: 'payload-limit',
  /**
   * An activity that waits on a task queue other than the settings name is called off, and scheduled there.
   *
   * - Since 0.2.0. Version 0.1.0 knows one task queue.
   * - Marked by: the first activity that is called off, or that ends in a failure, for this.
   * - Rollback: 0.1.0 schedules on the batcher's own queue again, which the first installation polls. Activities of a
   *   further installation would come to the wrong workers: drain its pipelines first.
   */
  installations: 'installations',
} as const;

/** A behaviour that depends on the version. */
export type VersionedBehaviour = keyof typeof PATCHES;

/** Whether a run follows the present version in this. Asking leaves a mark in the history, see {@link PATCHES}. */
export type Follows = (behaviour: VersionedBehaviour) => boolean;

/** A run that no earlier version has begun. */
export const FOLLOWS_ALL: Follows = () => true;

/** A decision as the present version makes it, or, in a run that goes on as version 0.1.0 began it, as that one did. */
export function decideBy<T>(follows: Follows, behaviour: VersionedBehaviour, present: T, before: T): T {
  return present === before || follows(behaviour) ? present : before;
}
