import { expect, it } from 'vitest';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import { continuationDue, continuationWasDue, RunProgress } from '../../../src/workflows/continuation.js';
import { LIMITS } from '../../../src/workflows/limits.js';
import type { RunIdentity } from '../../../src/workflows/runIdentity.js';
import type { VersionedBehaviour } from '../../../src/workflows/versions.js';
import { chunk, input } from '../../support/chunks.js';

const MARKS = { historyBytes: 4 * 1024 * 1024, historyEvents: 512 };
const WORKFLOW_ID = 'ktb:orders:8-key:0';
const FIRST = { workflowId: WORKFLOW_ID, runId: 'r0', firstExecutionRunId: 'r0' };
const following = (before: number): RunIdentity => ({
  ...FIRST,
  runId: `r${before + 1}`,
  continuedFromExecutionRunId: `r${before}`,
});
const ownEvents = (run: RunIdentity) => new RunProgress(run).ownEvents(MARKS);
const GOOD = true;
const history = (length: number, bytes = 1_000_000) => ({ continueAsNewSuggested: false, length, bytes });

it('the runs of a batcher, and the first runs of several, have marks of their own, spread between a half and all of the configured one', () => {
  const firsts = Array.from({ length: 500 }, (_, at) => ({ workflowId: `${WORKFLOW_ID}${at}`, runId: `first ${at}` }));
  for (const runs of [Array.from({ length: 500 }, (_, at) => following(at)), firsts]) {
    const own = runs.map(ownEvents);
    for (const events of own) expect(events).toSatisfy((value: number) => value >= 256 && value <= 512);
    const inQuarter = (quarter: number) =>
      own.filter((events) => Math.floor((events - 256) / 64.25) === quarter).length;
    // Of 500 each quarter gets 125, give or take.
    for (const quarter of [0, 1, 2, 3]) expect(inQuarter(quarter)).toBeGreaterThan(80);
  }
});

it('a run that was reset has the mark of the original run, so that its replay decides the same', () => {
  for (const run of [FIRST, following(0), following(7)]) {
    for (const reset of ['reset', 'reset again']) expect(ownEvents({ ...run, runId: reset })).toBe(ownEvents(run));
  }
});

it('a run continues from its own mark on, and one of version 0.1.0 at the whole mark', () => {
  const progress = new RunProgress(FIRST);
  const own = ownEvents(FIRST);
  expect(own).toBeLessThan(512);
  expect(continuationDue(progress, MARKS, history(own - 1), GOOD)).toBe(false);
  expect(continuationDue(progress, MARKS, history(own), GOOD)).toBe(true);
  expect(continuationWasDue(progress, MARKS, history(511))).toBe(false);
  expect(continuationWasDue(progress, MARKS, history(512))).toBe(true);
});

it('between its own mark and the whole one a run leaves a mark in its history only if that is its last decision', () => {
  const started = input();
  const asked: VersionedBehaviour[] = [];
  const decide = (bufferBytes: number, events: number, { present = true, nowMs = 0, storesOnce = true } = {}) => {
    const batch = { ...started.settings.batch, ...(storesOnce ? { storesOnce } : {}) };
    const settings = { ...started.settings, batch, continueAsNewAt: MARKS };
    const state = new BatcherState(FIRST, { ...started, settings }, new Uint8Array(0));
    if (bufferBytes > 0) state.accept(chunk({ from: -1, to: 4 }), new Uint8Array(bufferBytes), 0);
    asked.length = 0;
    return state.decide(nowMs, history(events), (behaviour) => {
      asked.push(behaviour);
      return present;
    }).type;
  };
  const own = ownEvents(FIRST);
  expect(decide(100, own - 1)).toBe('wait');
  expect(asked).toEqual([]);
  expect(decide(100, own)).toBe('continueAsNew');
  expect(asked).toEqual(['continuation']);
  // Version 0.1.0 began the run.
  expect(decide(100, own, { present: false })).toBe('wait');
  // The chunk came in an earlier task, so the next one may come at any moment.
  expect(decide(100, own, { nowMs: 1 })).toBe('wait');
  expect(decide(100, 512, { nowMs: 1 })).toBe('continueAsNew');
  expect(decide(0, own)).toBe('wait');
  expect(decide(0, 512)).toBe('continueAsNew');
  asked.length = 0;
  // With `signal.linger: 0ms`.
  expect(decide(100, own, { storesOnce: false })).toBe('wait');
  expect(asked).toEqual([]);
  expect(decide(100, 512, { storesOnce: false })).toBe('continueAsNew');
  asked.length = 0;
  // The run would have to flush first.
  expect(decide(LIMITS.carriedBytes, own)).toBe('wait');
  expect(asked).toEqual([]);
  expect(decide(LIMITS.carriedBytes, 512)).toBe('flush');
  expect(asked).toEqual([]);
});

it('a run that was handed much continues later: with as much added, or a quarter of it from the whole mark on, or at twice the mark', () => {
  const progress = new RunProgress(FIRST);
  progress.carriedBytes = 1_000_000;
  const due = (events: number, added: number) =>
    continuationDue(progress, MARKS, history(events, 1_000_000 + added), GOOD);
  const own = ownEvents(FIRST);
  expect([due(own, 999_999), due(own, 1_000_000)]).toEqual([false, true]);
  expect([due(512, 249_999), due(512, 250_000)]).toEqual([false, true]);
  // A server that does not tell the bytes.
  expect([due(1_023, -1_000_000), due(1_024, -1_000_000)]).toEqual([false, true]);
});
