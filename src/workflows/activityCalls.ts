import {
  type ActivityOptions,
  CancellationScope,
  condition,
  log,
  proxyActivities,
  workflowInfo,
} from '@temporalio/workflow';
import type { Parking } from '../protocol/flush.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { BatcherState } from './batcherState.js';
import { follows } from './follows.js';

/**
 * How the batcher calls activities: again until they are done, on the right workers, and called off if a person gives
 * the batch up. This schedules one again until it is done. No failure of an activity may end the run: the batch would
 * be lost with it.
 *
 * @param run is told whether it runs again: the attempts of an activity count from 1 each time
 * @param isUrgent ends the pause between two activities
 */
export async function untilDone<T>(
  state: BatcherState,
  run: (again: boolean) => Promise<T>,
  isUrgent: () => boolean = () => false,
): Promise<T> {
  for (let delayMs = 1_000, again = false; ; delayMs = Math.min(delayMs * 4, RESCHEDULE_MAX_MS), again = true) {
    try {
      return await run(again);
    } catch (error) {
      const message = error instanceof Error ? `${error.message}: ${String(error.cause)}` : String(error);
      state.flushFailed(message);
      log.error('A step of a flush ended in a failure; it will be scheduled again', { delayMs, message });
      const taskQueue = taskQueueOf(state);
      await condition(() => isUrgent() || hasMovedFrom(taskQueue, state), delayMs);
    }
  }
}

/**
 * A worker that dies is noticed after the heartbeat time-out; the activities beat on a timer. No attempt's failure ends
 * the activity: Temporal repeats it, without events in the batcher's history, until it succeeds.
 */
const UNTIL_DONE: ActivityOptions = {
  startToCloseTimeout: '2 hours',
  // An attempt must have ended before another begins. This is not the default, whatever the SDK's documentation says
  // (1.24).
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  heartbeatTimeout: '15 seconds',
  retry: { initialInterval: '250 milliseconds', backoffCoefficient: 2, maximumInterval: '15 seconds' },
};

/** One attempt only. */
export const ONCE: ActivityOptions = { startToCloseTimeout: '30 seconds', retry: { maximumAttempts: 1 } };

/** The longest pause between two activities. Even the unlimited retries of one have ended then. */
const RESCHEDULE_MAX_MS = 60 * 60 * 1000;

/**
 * Inserts a batch, or, once a person gives it up, has its records rejected. The insert is called off first, and its end
 * waited for: nothing of it may reach the table after the last look at what is there. If it succeeds all the same, the
 * batch is inserted.
 */
export function untilInserted(
  state: BatcherState,
  insert: (again: boolean, parking?: Parking) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const isParked = (): boolean => state.parking !== null;
  let givenUp = false;
  return untilDone(
    state,
    async (again) => {
      if (!isParked()) {
        try {
          return await calledOffWhen(isParked, () => insert(again));
        } catch (error) {
          if (!isParked()) throw error;
        }
      }
      givenUp = true;
      return insert(true, state.parking ?? undefined);
    },
    () => isParked() && !givenUp,
  );
}

/** What {@link atInstallation} gives to the function that schedules an activity. */
interface AtInstallation {
  readonly activities: FlushActivities;
  /** To be added to an input that names its installation. */
  readonly named: { readonly installation?: string };
  /** It was scheduled before, for another installation. */
  readonly moved: boolean;
}

/**
 * Schedules an activity for the workers of the batcher's installation. The settings may come to name another one: those
 * of an earlier version named none. Then the activity is called off and scheduled there, since perhaps nobody polls the
 * old queue. A replay does not compare the queue that an activity was scheduled on.
 */
export async function atInstallation<T>(
  state: BatcherState,
  run: (at: AtInstallation) => Promise<T>,
  options = UNTIL_DONE,
): Promise<T> {
  for (let moved = false; ; moved = true) {
    const taskQueue = taskQueueOf(state);
    const { installation } = state.settings;
    const activities = proxyActivities<FlushActivities>({ ...options, taskQueue });
    const named = installation === undefined ? {} : { installation: installation.name };
    try {
      return await calledOffWhen(
        () => hasMovedFrom(taskQueue, state),
        () => run({ activities, named, moved }),
      );
    } catch (error) {
      if (!hasMovedFrom(taskQueue, state)) throw error;
    }
  }
}

/**
 * Whether activities are no longer scheduled on a queue. A worker of a version that knew no installations ignored
 * settings that name one, so in its history they change nothing.
 */
function hasMovedFrom(taskQueue: string, state: BatcherState): boolean {
  return taskQueueOf(state) !== taskQueue && follows('installations');
}

/** The queue on which activities are scheduled now: as the settings say, else on the batcher's own queue. */
function taskQueueOf({ settings }: BatcherState): string {
  return settings.installation?.taskQueue ?? workflowInfo().taskQueue;
}

/** Cancels an activity as soon as a condition holds; resolves or rejects when the activity has ended. */
function calledOffWhen<T>(isCalledOff: () => boolean, run: () => Promise<T>): Promise<T> {
  return CancellationScope.cancellable(async () => {
    const scope = CancellationScope.current();
    const cancel = (): void => scope.cancel();
    // It also ends with the scope, in a rejection that says nothing new.
    condition(isCalledOff).then(cancel, cancel);
    try {
      return await run();
    } finally {
      cancel();
    }
  });
}
