import {
  type ActivityOptions,
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  log,
  patched,
  proxyActivities,
  proxySinks,
  setDefaultSignalHandler,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { BatcherInput, EpochStatus } from '../protocol/batcher.js';
import { BATCHER } from '../protocol/batcherId.js';
import type { InheritedOutcome } from '../protocol/leftover.js';
import {
  openEnvelope,
  repeatedBatch,
  type FlushReason,
  type InsertOutcome,
  type Parking,
  type RejectionSpec,
} from '../protocol/flush.js';
import { type FlushActivities } from '../protocol/flushActivities.js';
import type { RecordSource } from '../protocol/record.js';
import type { Unconfirmed } from '../protocol/request.js';
import { BatcherState } from './batcherState.js';
import type { HistoryView } from './continuation.js';
import { sentName } from './reservedSignals.js';
import { applySignal, checkInput } from './signals.js';
import { PATCHES, type VersionedBehaviour } from './versions.js';
import type { BatcherSinks } from './sinks.js';

/**
 * A worker that dies is noticed after the heartbeat time-out; the activities beat on a timer. No attempt's failure ends
 * the activity: Temporal repeats it, without events in the batcher's history, until it succeeds.
 */
const FLUSHING: ActivityOptions = {
  startToCloseTimeout: '2 hours',
  // It is not the default, whatever the SDK's documentation says (1.24): an attempt must have ended before another begins.
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  heartbeatTimeout: '15 seconds',
  retry: { initialInterval: '250 milliseconds', backoffCoefficient: 2, maximumInterval: '15 seconds' },
};

/**
 * One attempt: what it does not deliver is tried again by the state, later each time, so that a requester that cannot be
 * reached does not hold up the batches of others.
 */
const CONFIRMING: ActivityOptions = { startToCloseTimeout: '30 seconds', retry: { maximumAttempts: 1 } };

const sinks = proxySinks<BatcherSinks>();

/**
 * The batcher: takes chunks in by signal, flushes them in batches, continues as new before its history grows long.
 * State and decisions are {@link BatcherState}; this function carries them out. It ends only when drained.
 *
 * @param input settings, and the state of the run before
 * @param bodies the bodies of the chunks in that state, one after the other
 */
export async function batcher(input: BatcherInput, bodies: Uint8Array): Promise<BatcherInput> {
  checkInput(input);
  const state = new BatcherState(workflowInfo(), input, bodies);
  const report = createReporter(state);
  handleSignals(state, report);
  handleQueries(state);
  reportBeginning(input);
  reportHolding(state);
  report();
  void publishForeignSignals(state);

  for (;;) {
    const decision = state.decide(Date.now(), history(), follows);
    switch (decision.type) {
      case 'wait':
        await untilDecisionChanges(state, decision.delayMs);
        break;
      case 'flush':
        await flush(state, decision.reason);
        report();
        break;
      case 'readInheritance': {
        const { runId } = decision;
        state.inherit(
          await untilDone(state, () =>
            atInstallation(state, ({ activities }) => activities.readInheritance(workflowInfo().workflowId, runId)),
          ),
        );
        report();
        break;
      }
      case 'flushInherited':
        await flushInherited(state);
        report();
        break;
      case 'confirm':
        await confirm(state);
        break;
      case 'continueAsNew': {
        // Handlers are synchronous and nothing is awaited since the buffer was looked at, so no signal falls between.
        const next = state.carryOver(Date.now());
        if (next.forgotten > 0) log.warn(FORGOTTEN, { partitions: next.forgotten });
        return await continueAsNew<typeof batcher>(next.input, next.bodies);
      }
      case 'complete':
        return state.carryOver(Date.now()).input;
    }
  }
}

/**
 * One handler for all: with a handler each, signals that wait when a run begins would be handed out by name and not in their
 * order.
 */
function handleSignals(state: BatcherState, report: () => void): void {
  setDefaultSignalHandler((name, ...args) => {
    // A worker of a version that knew no parking has taken it for a stranger's.
    if (name === BATCHER.signals.park && !follows('parking')) state.countForeignSignal();
    else if (!applySignal(state, name, args, Date.now(), () => follows('requests')) && follows('foreignSignals'))
      state.keepForeignSignal(sentName(name), args, Date.now());
    report();
  });
}

const FORGOTTEN =
  'The batcher has seen more partitions than one run can hand to the next, and forgets those longest without a record. ' +
  'Divide the topics among more pipelines';

/** Whether this run follows the present version. Leaves a mark in its history, see `versions.ts`. */
function follows(behaviour: VersionedBehaviour): boolean {
  return patched(PATCHES[behaviour]);
}

function handleQueries(state: BatcherState): void {
  setHandler(defineQuery(BATCHER.queries.status), () => state.status(history()));
  setHandler(defineQuery(BATCHER.queries.coverage), () => known(state.coverage).toState());
  setHandler(defineQuery<EpochStatus, [RecordSource]>(BATCHER.queries.epoch), (source) =>
    known(state.epochStatus(source)),
  );
  setHandler(defineQuery(BATCHER.queries.settings), () => state.settings);
}

/** What an heir has not read yet it must not answer. */
function known<T>(value: T | null): T {
  if (value === null) throw new Error('the run is an heir and has not read yet what it takes over: ask again');
  return value;
}

function history(): HistoryView {
  const { continueAsNewSuggested, historyLength, historySize } = workflowInfo();
  return { continueAsNewSuggested, length: historyLength, bytes: historySize };
}

/** Wakes when there is something to do, or when it has to be done earlier than this wait would end. */
async function untilDecisionChanges(state: BatcherState, delayMs: number | undefined): Promise<void> {
  const endsAtMs = delayMs === undefined ? Infinity : Date.now() + delayMs;
  const changed = (): boolean => {
    const decision = state.decide(Date.now(), history(), follows);
    return decision.type !== 'wait' || Date.now() + (decision.delayMs ?? Infinity) < endsAtMs;
  };
  if (delayMs === undefined) await condition(changed);
  else await condition(changed, delayMs);
}

async function flush(state: BatcherState, reason: FlushReason): Promise<void> {
  const { spec, bodies } = state.takeBatch(reason, Date.now(), follows);
  const { json: outcome, bytes } = openEnvelope<InsertOutcome>(
    await untilInserted(state, (again, parking) =>
      atInstallation(state, ({ activities, named, moved }) =>
        activities.insertBatch({ ...(again || moved ? repeatedBatch(spec, parking) : spec), ...named }, bodies),
      ),
    ),
  );
  if (outcome.rejected > 0) await reject(state, spec, bytes);
  state.finishFlush(outcome, spec.id, Date.now());
}

/** Flushes a batch whose records are in the history of a closed run: they do not enter this one. */
async function flushInherited(state: BatcherState): Promise<void> {
  const batch = state.takeInherited(Date.now());
  const { json: outcome, bytes } = openEnvelope<InheritedOutcome>(
    await untilInserted(state, (_again, parking) =>
      atInstallation(state, ({ activities, named }) =>
        activities.insertInherited({ ...batch, ...(parking === undefined ? {} : { parking }), ...named }),
      ),
    ),
  );
  if (outcome.rejected > 0) await reject(state, { ...batch, id: outcome.id }, bytes);
  state.finishInherited(outcome, Date.now());
}

async function reject(state: BatcherState, spec: RejectionSpec, rejectedRecords: Uint8Array): Promise<void> {
  const { pipeline, batcher, number, id, destination } = spec;
  const unconfirmed = await untilDone(state, () =>
    atInstallation(state, ({ activities, named }) =>
      activities.rejectRecords({ pipeline, batcher, number, id, destination, ...named }, rejectedRecords),
    ),
  );
  state.postponeConfirmations(unconfirmed ?? [], Date.now());
}

/** Tries to deliver the confirmations that are due. */
async function confirm(state: BatcherState): Promise<void> {
  const due = state.takeConfirmations(Date.now());
  let undelivered: readonly Unconfirmed[];
  try {
    undelivered = await atInstallation(
      state,
      ({ activities }) => activities.confirmRequests(state.settings.pipeline, due),
      CONFIRMING,
    );
  } catch (error) {
    log.warn('Confirmations to requesters were not delivered; they will be tried again', { error: String(error) });
    undelivered = due.map((item) => ({ ...item, attempts: item.attempts + 1 }));
  }
  state.postponeConfirmations(undelivered, Date.now());
}

/**
 * Inserts a batch, or, once a person gives it up, has its records rejected. The insert is called off first, and its end
 * waited for: nothing of it may reach the table behind the last look at what is there. If it succeeds all the same, the
 * batch is inserted.
 */
function untilInserted(
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

interface AtInstallation {
  readonly activities: FlushActivities;
  /** For what names the installation that it belongs to. */
  readonly named: { readonly installation?: string };
  /** Scheduled before, for another installation. */
  readonly moved: boolean;
}

/**
 * Schedules an activity for the workers of the batcher's installation. Where it turns out to belong to another one, as with batchers of
 * versions that named none, the activity is called off, so that it cannot wait for ever where nobody asks for it, and scheduled
 * there. Which queue an activity was scheduled on is not compared in a replay.
 */
async function atInstallation<T>(
  state: BatcherState,
  run: (at: AtInstallation) => Promise<T>,
  options = FLUSHING,
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
 * Whether activities are no longer scheduled on a queue. A worker of a version that knew no installations has paid no heed to settings that
 * name one, so what its history has of them changes nothing.
 */
function hasMovedFrom(taskQueue: string, state: BatcherState): boolean {
  return taskQueueOf(state) !== taskQueue && follows('installations');
}

/** Where activities are scheduled now: as the settings say, else where batchers of versions that named no installation do. */
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

/**
 * Puts the signals of strangers on the dead-letter topic, beside the flushes: that topic may be away for hours. What is not
 * there when the run continues as new is published by the next one; of a terminated run's it stays in the counter only.
 */
async function publishForeignSignals(state: BatcherState): Promise<void> {
  try {
    for (;;) {
      await condition(() => state.foreignSignals.length > 0);
      const { settings, foreignSignals: signals } = state;
      const batch = {
        pipeline: settings.pipeline,
        batcher: workflowInfo().workflowId,
        deadLetterTopic: settings.destination.deadLetterTopic,
        signals,
      };
      await untilDone(state, () => atInstallation(state, ({ activities }) => activities.publishForeignSignals(batch)));
      state.foreignSignalsPublished(signals.length);
    }
  } catch (error) {
    // Only a cancelled run comes here, and that ends.
    log.debug('Signals of strangers are no longer published', { message: String(error) });
  }
}

/** Longest pause between two activities, where even the unlimited retries of one have ended. */
const RESCHEDULE_MAX_MS = 60 * 60 * 1000;

/**
 * No failure of an activity may end the run: the batch would be lost with it.
 *
 * @param run is told whether it runs again: the attempts of an activity count from 1 each time
 * @param isUrgent ends the pause between two activities
 */
async function untilDone<T>(
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

/** Tells the worker what the batcher is like, each time that it is called. */
function createReporter(state: BatcherState): () => void {
  let duplicateChunks = 0;
  return () => {
    const report = state.report();
    sinks.batcher.reported(state.settings.pipeline, {
      ...report,
      duplicateChunks: report.duplicateChunks - duplicateChunks,
    });
    ({ duplicateChunks } = report);
  };
}

function reportBeginning({ settings, carried, heirOf }: BatcherInput): void {
  const otherwise = carried === undefined ? 'first' : 'continued';
  sinks.batcher.began(settings.pipeline, heirOf === undefined ? otherwise : 'heir');
}

function reportHolding(state: BatcherState): void {
  sinks.batcher.holding(state.settings.pipeline, state.holding);
  if (state.holding) {
    log.error(
      'The batcher continued as new several times although nothing had arrived, and now stays as it is until something does. ' +
        'Temporal suggests it in each new run: raise limit.historySize.suggestContinueAsNew and limit.historyCount.suggestContinueAsNew',
    );
  }
}
