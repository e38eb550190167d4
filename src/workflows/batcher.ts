import {
  condition,
  defineQuery,
  makeContinueAsNewFunc,
  setDefaultSignalHandler,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { type BatcherInput, type EpochStatus, BATCHER } from '../protocol/batcher.js';
import type { RecordSource } from '../protocol/record.js';
import { BatcherState } from './batcherState.js';
import type { HistoryView } from './continuation.js';
import { Coverage } from './coverage.js';
import { confirm, flush, flushInherited, publishForeignSignals, readInheritance } from './flushSteps.js';
import { follows } from './follows.js';
import { createReporter, reportBeginning, reportForgotten, reportHolding } from './reporting.js';
import { sentName } from './reservedSignals.js';
import { applySignal, checkInput } from './signals.js';
import { leaveMark } from './versions.js';

/**
 * The batcher: accepts chunks by signal, flushes them in batches, and continues as new before its history grows too
 * long. {@link BatcherState} has the state and decisions, and this function carries them out. It ends only after a
 * drain.
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
      case 'readInheritance':
        state.inherit(await readInheritance(state, decision.runId));
        report();
        break;
      case 'flushInherited':
        await flushInherited(state);
        report();
        break;
      case 'confirm':
        await confirm(state);
        break;
      case 'continueAsNew': {
        // Handlers are synchronous, and nothing is awaited between the last look at the buffer and here. So no signal
        // is lost.
        const next = state.carryOver(Date.now());
        if (next.forgotten > 0) reportForgotten(state, next.forgotten);
        return await continueAsNew(next.input, next.bodies);
      }
      case 'complete':
        return state.carryOver(Date.now()).input;
    }
  }
}

/** A run that an earlier version has started has the default timeout of 10 s. The runs that follow it have ours. */
function continueAsNew(input: BatcherInput, bodies: Uint8Array): Promise<never> {
  return makeContinueAsNewFunc<typeof batcher>({ workflowTaskTimeout: BATCHER.workflowTaskTimeoutMs })(input, bodies);
}

/**
 * One handler for all signals. With one handler each, signals that wait when a run begins would be delivered by name,
 * not in order.
 */
function handleSignals(state: BatcherState, report: () => void): void {
  setDefaultSignalHandler((name, ...args) => {
    if (name === BATCHER.signals.park) leaveMark(follows, 'parking');
    if (!applySignal(state, name, args, Date.now(), follows) && follows('foreignSignals'))
      state.keepForeignSignal(sentName(name), args, Date.now());
    report();
  });
}

function handleQueries(state: BatcherState): void {
  setHandler(defineQuery(BATCHER.queries.status), () => state.status(history()));
  setHandler(defineQuery(BATCHER.queries.coverage), () => known(state.coverage).toState(Coverage.STATE_BYTES_MAX));
  setHandler(defineQuery<EpochStatus, [RecordSource]>(BATCHER.queries.epoch), (source) =>
    known(state.epochStatus(source)),
  );
  // A closed run may have required encryption, and this one may go on with its settings.
  setHandler(defineQuery(BATCHER.queries.settings), () => known(state.unreadRun === null ? state.settings : null));
}

/** @throws Error in an heir that has not read its inheritance: it cannot answer yet */
function known<T>(value: T | null): T {
  if (value === null) throw new Error('the run is an heir and has not read yet what it takes over: ask again');
  return value;
}

function history(): HistoryView {
  const { continueAsNewSuggested, historyLength, historySize } = workflowInfo();
  return { continueAsNewSuggested, length: historyLength, bytes: historySize };
}

/** Ends when there is something to do, or when the time until then has become shorter. */
async function untilDecisionChanges(state: BatcherState, delayMs: number | undefined): Promise<void> {
  const endsAtMs = delayMs === undefined ? Infinity : Date.now() + delayMs;
  const changed = (): boolean => {
    const decision = state.decide(Date.now(), history(), follows);
    return decision.type !== 'wait' || Date.now() + (decision.delayMs ?? Infinity) < endsAtMs;
  };
  if (delayMs === undefined) await condition(changed);
  else await condition(changed, delayMs);
}
