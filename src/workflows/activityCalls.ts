import {
  type ActivityOptions,
  CancellationScope,
  condition,
  log,
  proxyActivities,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import type { Parking } from '../protocol/flush.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { BatcherState } from './batcherState.js';
import { boundTo, mustBeResultOf } from './boundCalls.js';
import { follows } from './follows.js';

/**
 * How the batcher calls activities: until they succeed, on the workers of its installation, and cancelled if a person
 * gives the batch up. No failure of an activity may end the run, because the batch would be lost with it. This function
 * schedules one activity again until it succeeds.
 *
 * @param run gets true if it is called again. The attempts of an activity count from 1 each time
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
 * A dead worker is noticed after the heartbeat time-out, because the activities send heartbeats on a timer. No
 * attempt's failure ends the activity: Temporal repeats it until it succeeds, without events in the batcher's history.
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

/**
 * The longest pause between two activities. They follow one another only if even the unlimited retries of the first
 * have ended.
 */
const RESCHEDULE_MAX_MS = 60 * 60 * 1000;

/**
 * Inserts a batch. If a person gives it up, its records are rejected. First the insert is cancelled and its end
 * awaited: otherwise it could write rows after the last look-up of what the table has. If it still succeeds, the batch
 * is inserted.
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

/** The argument of the function that schedules an activity. */
interface AtInstallation {
  readonly activities: FlushActivities;
  /** To be added to the input of activities that name their installation. */
  readonly named: { readonly installation?: string };
  /** The activity was scheduled before, for another installation. */
  readonly moved: boolean;
}

/**
 * Schedules an activity for the workers of the batcher's installation. Later settings may name another one, because
 * settings of an earlier version named none. Then the activity is cancelled and scheduled on the new queue: perhaps
 * nobody polls the old one. A replay does not compare the queue of an activity.
 *
 * @throws RefusedResultError if what came back is not the result of this call
 */
export async function atInstallation<T>(
  state: BatcherState,
  run: (at: AtInstallation) => Promise<T>,
  options = UNTIL_DONE,
): Promise<T> {
  for (let moved = false; ; moved = true) {
    const taskQueue = taskQueueOf(state);
    const { installation, pipeline } = state.settings;
    // A reset run has other random numbers from the reset on, and the same before it.
    const call = uuid4();
    // An heir finds in the history what held when the activity was scheduled, and not what held when its end was handled.
    const refusesPlain = state.refusesUnencrypted;
    const activities = boundTo(call, proxyActivities<FlushActivities>({ ...options, taskQueue }), refusesPlain);
    const named = installation === undefined ? {} : { installation: installation.name };
    try {
      const result = await calledOffWhen(
        () => hasMovedFrom(taskQueue, state),
        () => run({ activities, named, moved }),
      );
      mustBeResultOf(call, result, refusesPlain, pipeline);
      return result;
    } catch (error) {
      if (!hasMovedFrom(taskQueue, state)) throw error;
    }
  }
}

/**
 * Whether the settings name another queue than this one by now. In a history of a version without installations this is
 * false: its workers ignored such settings.
 */
function hasMovedFrom(taskQueue: string, state: BatcherState): boolean {
  return taskQueueOf(state) !== taskQueue && follows('installations');
}

/** The queue for activities now: the one in the settings, else the batcher's own queue. */
export function taskQueueOf({ settings }: BatcherState): string {
  return settings.installation?.taskQueue ?? workflowInfo().taskQueue;
}

/** Cancels an activity as soon as a condition is true. Settles when the activity has ended. */
function calledOffWhen<T>(isCalledOff: () => boolean, run: () => Promise<T>): Promise<T> {
  return CancellationScope.cancellable(async () => {
    const scope = CancellationScope.current();
    const cancel = (): void => scope.cancel();
    // It also ends with the scope, with a rejection that can be ignored.
    condition(isCalledOff).then(cancel, cancel);
    try {
      return await run();
    } finally {
      cancel();
    }
  });
}
