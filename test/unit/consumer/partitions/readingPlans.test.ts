import { pino } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { PipelineConfig } from '../../../../src/config/config.js';
import { parseConfig } from '../../../../src/config/load.js';
import type { PartitionCommit } from '../../../../src/consumer/partitions/assignedPartition.js';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { LogComparison } from '../../../../src/consumer/partitions/logComparison.js';
import { ReadingPlans } from '../../../../src/consumer/partitions/readingPlans.js';
import { ReadEpochs } from '../../../../src/consumer/partitions/readEpochs.js';
import { PartitionTracker } from '../../../../src/consumer/partitions/tracker.js';
import type { Layout } from '../../../../src/protocol/layout.js';
import type { RecordSource } from '../../../../src/protocol/record.js';
import { StateLog } from '../../../../src/telemetry/logging.js';
import { eventually } from '../../../support/eventually.js';
import { LAYOUT, tracker as newTracker } from '../../../support/trackers.js';

const OLD: Layout = { batchers: 2, keyFunction: 'key' };
const source = { topic: 'orders', partition: 0, epoch: 'e1' };

const [{ settings }] = parseConfig('pipelines: { orders: { topics: [orders], table: orders } }', 'ktb.yaml', {})
  .pipelines as [PipelineConfig];

const COVERAGE = { topic: 'orders', partition: 0, epochs: [{ epoch: 'e0', ranges: [] }] };

/**
 * A member with one partition, whose old batchers have accepted up to offset 9; what it does is noted in its order.
 *
 * @param remember the layouts whose batchers have something of the partition
 */
function member(remember: readonly Layout[] = []) {
  const done: string[] = [];
  const output: string[] = [];
  const logger = pino({}, { write: (line: string) => void output.push(line) });
  const told = () => output.map((line) => (JSON.parse(line) as { msg: string }).msg);
  const state = {
    canCommit: true,
    flushed: true,
    answers: true,
    over: '',
    gone: false,
  };
  const assignment = new Assignment({ orders: [0] });
  const end = () => {
    if (state.gone) assignment.topicGone(assignment.get(source)!);
    else assignment.end();
  };
  const note = (what: string) => {
    done.push(what);
    // The assignment ends, or the topic is gone, during this very step.
    if (state.over === what) end();
  };
  const closedAt: (number | null)[] = [null, null];
  const batchers = closedAt.map((_, index) => ({
    workflowId: `ktb:orders:2-key:${index}`,
    epochStatus: () => {
      note('asked');
      if (!state.answers) return Promise.reject(new Error('no worker'));
      return Promise.resolve({ coveredTo: 9, closedAt: closedAt[index]!, flushed: state.flushed });
    },
    close: ({ offset }: { offset: number }) => {
      note(`closed at ${offset}`);
      closedAt[index] = offset;
      return Promise.resolve();
    },
  }));
  const remembered = new Map([['orders/0', remember.map((layout) => ({ layout, batcher: 1, coverage: COVERAGE }))]]);
  const readEpochs = new ReadEpochs();
  const plans = new ReadingPlans({
    pipeline: { name: 'orders', layout: LAYOUT, settings },
    batchersOf: () => batchers,
    layouts: () => Promise.resolve([...remember, LAYOUT]),
    accepted: () => {
      note('remembered');
      const answer = state.answers ? Promise.resolve(remembered) : Promise.reject(new Error('no worker'));
      return { answer, askedAtMs: 0 };
    },
    fetching: { seek: (_, offset) => note(`seek ${offset}`), resume: () => note('resume') },
    commit: (_, commits: () => readonly PartitionCommit[]) => {
      if (!state.canCommit) {
        note('no commit yet');
        return Promise.resolve(false);
      }
      for (const { offset, state: of } of commits()) note(`commit ${of.type} ${offset}`);
      return Promise.resolve(true);
    },
    readEpochs,
    replaced: () => note('replaced'),
    logger,
    stateLog: new StateLog(logger),
  });
  const present = (): PartitionTracker | undefined =>
    assignment.get({ topic: 'orders', partition: 0 })?.tracker ?? undefined;
  const leaveLayout = (of: RecordSource, from: number, layout: Layout) =>
    plans.leaveLayout(assignment, assignment.get(of)!, of, from, layout);
  const begin = (from: number) => {
    const tracker = new PartitionTracker({ ...source, epoch: 'e2' }, from, plans.reading);
    return plans.begin(assignment, assignment.get(source)!, tracker);
  };
  return { plans, leaveLayout, begin, assignment, present, done, state, told, readEpochs };
}

it('says that a partition leaves a layout before it closes its epoch there, and reads up to the end of it', async () => {
  const { leaveLayout, assignment, present, done } = member();
  assignment.open(newTracker(source, 5), 5);
  const leaving = leaveLayout(source, 5, OLD);
  expect(present()).toBeUndefined();
  await leaving;
  expect(done.filter((what) => what !== 'asked')).toEqual([
    'commit closing 5',
    'closed at 9',
    'closed at 9',
    'seek 5',
    'resume',
    'replaced',
  ]);
  expect(present()).toMatchObject({ epoch: 'e1', next: 5, plan: { layout: OLD, state: { type: 'closing' }, end: 10 } });
  expect(assignment.uncommittedEpochs()).toEqual([]);
});

it('enters its own layout under a new epoch once the old batchers have flushed all that was read', async () => {
  const { plans, leaveLayout, assignment, present, done, state, readEpochs } = member();
  await leaveLayout(source, 5, OLD);
  const closing = present()!;
  plans.finish(assignment);
  expect(present()).toBe(closing);
  state.flushed = false;
  readEpochs.note(source, [{ leaderEpoch: 3, from: 5 }], 10);
  closing.advanceTo(10);
  const before = done.length;
  plans.finish(assignment);
  await eventually(() => expect(done.slice(before)).toContain('asked'));
  expect(present()).toBe(closing);
  state.flushed = true;
  await eventually(() => expect(present()).not.toBe(closing));
  expect(present()).toMatchObject({ next: 10, plan: { layout: LAYOUT, end: null } });
  expect(present()!.epoch).not.toBe('e1');
  // It is the same log, which may be cut later.
  expect(readEpochs.of(present()!)).toMatchObject({ leaderEpoch: 3, to: 10 });
  expect(assignment.uncommittedEpochs()).toMatchObject([{ offset: 10 }]);
});

it('begins a new epoch in a log once the batchers of earlier layouts have flushed what they have of it', async () => {
  const { begin, assignment, present, done, state, told } = member([OLD, LAYOUT]);
  Object.assign(state, { flushed: false, answers: false });
  const begun = begin(5);
  await eventually(() => expect(told()).toEqual([expect.stringContaining('no worker')]));
  state.answers = true;
  await eventually(() => expect(done).toContain('asked'));
  expect(present()).toBeUndefined();
  state.flushed = true;
  const before = done.length;
  await begun;
  // Only the batcher that has something of it is asked.
  expect(done.slice(before).filter((what) => what === 'asked')).toHaveLength(1);
  expect(present()).toMatchObject({ epoch: 'e2', next: 5, plan: { layout: LAYOUT, end: null } });
  expect(assignment.uncommittedEpochs()).toMatchObject([{ offset: 5, epoch: 'e2' }]);
});

it('begins a new epoch at once if only batchers of its own layout know the log: each takes its records in order', async () => {
  const { begin, present, done, state } = member([LAYOUT]);
  Object.assign(state, { flushed: false, answers: false });
  await begin(5);
  expect(present()).toMatchObject({ epoch: 'e2', next: 5 });
  // It needs no worker.
  expect(done).toEqual(['seek 5', 'resume', 'replaced']);
});

it.each(['remembered', 'asked'])('begins no epoch where the topic is gone with: %s', async (over) => {
  const { begin, assignment, present, state } = member([OLD]);
  Object.assign(state, { over, gone: true });
  await begin(5);
  expect(present()).toBeUndefined();
  expect(assignment.get(source)!.isUnknown).toBe(true);
});

it.each([
  ['commit closing 5', ['commit closing 5']],
  ['closed at 9', ['commit closing 5', 'asked', 'asked', 'closed at 9', 'closed at 9', 'asked', 'asked']],
])('does nothing any more to the partition where the assignment ends with: %s', async (over, expected) => {
  const { leaveLayout, present, done, state } = member();
  state.over = over;
  await leaveLayout(source, 5, OLD);
  expect(done).toEqual(expected);
  expect(present()).toBeUndefined();
});

it.each([
  ['commit closing 5', ['commit closing 5']],
  ['closed at 9', ['commit closing 5', 'asked', 'asked', 'closed at 9', 'closed at 9', 'asked', 'asked']],
])('does nothing any more to the partition where its topic is gone with: %s', async (over, expected) => {
  const { leaveLayout, assignment, present, done, state } = member();
  Object.assign(state, { over, gone: true });
  await leaveLayout(source, 5, OLD);
  expect(done).toEqual(expected);
  expect(present()).toBeUndefined();
  expect(assignment.get(source)!.isUnknown).toBe(true);
});

it('ends a layout change that waits where its topic is gone, and leaves the next one of the partition alone', async () => {
  const { leaveLayout, assignment, present, done, state } = member();
  state.canCommit = false;
  const before = leaveLayout(source, 5, OLD);
  assignment.topicGone(assignment.get(source)!);
  const next = { ...source, epoch: 'e2' };
  const after = leaveLayout(next, 7, OLD);
  state.canCommit = true;
  await Promise.all([before, after]);
  expect(done.filter((what) => what.startsWith('commit'))).toEqual(['commit closing 7']);
  expect(present()).toMatchObject({ epoch: 'e2', next: 7 });
});

it('no longer waits for the batchers to flush what the old log had, where its topic is gone', async () => {
  const { plans, leaveLayout, assignment, present, state, told } = member();
  await leaveLayout(source, 5, OLD);
  state.answers = false;
  present()!.advanceTo(10);
  plans.finish(assignment);
  await eventually(() => expect(told()).toEqual(['The layout change of orders/0 waits: no worker']));
  assignment.topicGone(assignment.get(source)!);
  await eventually(() => expect(told().slice(1)).toEqual(['The layout change of orders/0 waits no more']));
});

it('waits until it can commit, and begins nothing while the member drains', async () => {
  const { leaveLayout, assignment, done, state } = member();
  state.canCommit = false;
  const leaving = leaveLayout(source, 5, OLD);
  expect(done).toEqual(['no commit yet']);
  assignment.drain();
  state.canCommit = true;
  await leaving;
  expect(done).toEqual(['no commit yet']);
});

it('goes on under the same epoch behind the holes that a rewind has filled', () => {
  const { plans, assignment, present, done } = member();
  const filling = newTracker(source, 5, { state: { type: 'filling', end: 8 }, end: 8 });
  assignment.open(filling, 5);
  filling.advanceTo(8);
  plans.finish(assignment);
  expect(present()).toMatchObject({ epoch: 'e1', next: 8, plan: { layout: LAYOUT, end: null } });
  expect(done).toEqual(['seek 8', 'resume', 'replaced']);
});

it('begins nothing behind a plan while it is found out whether the log is still the same', () => {
  const { plans, assignment, present, done } = member();
  const filling = newTracker(source, 5, { state: { type: 'filling', end: 8 }, end: 8 });
  assignment.open(filling, 5);
  filling.advanceTo(8);
  assignment.get(source)!.waits('its log ends at 3');
  plans.finish(assignment);
  assignment.get(source)!.compare({
    comparison: new LogComparison([], { logStart: 0, logEnd: 3 }, 1),
    decide: () => ({ type: 'newer' }),
  });
  plans.finish(assignment);
  expect(present()).toBe(filling);
  expect(done).toEqual([]);
});

it('a partition that waits for batchers of the earlier layout that do not flush is told of, with them, and when it goes on', async () => {
  const now = performance.now.bind(performance);
  const clock = vi.spyOn(performance, 'now');
  onTestFinished(() => clock.mockRestore());
  const { plans, assignment, state, told, done } = member();
  state.flushed = false;
  const closing = newTracker(source, 5, { layout: OLD, state: { type: 'closing' }, end: 10 });
  assignment.open(closing, 5);
  closing.advanceTo(10);
  plans.finish(assignment);
  // A flush may take its time.
  clock.mockImplementation(() => now() + 15_000);
  await eventually(() => expect(done.length).toBeGreaterThan(2));
  expect(told()).toEqual([]);
  clock.mockImplementation(() => now() + 60_000);
  await eventually(() => expect(told()).toHaveLength(1));
  expect(told()).toEqual([expect.stringMatching(/^orders\/0 is not read.*ktb:orders:2-key:0; ktb:orders:2-key:1/)]);
  state.flushed = true;
  await eventually(() => expect(told()).toHaveLength(3));
  expect(told().at(-1)).toBe('The layout change of orders/0 waits no more');
});
