import { pino } from 'pino';
import { afterEach, expect, it, vi } from 'vitest';
import type { BatcherClient, ClosedRunInfo, SendOutcome } from '../../../../src/temporal/batcherClient.js';
import { PipelineLanes } from '../../../../src/consumer/lanes/pipelineLanes.js';
import { parseConfig } from '../../../../src/config/load.js';
import type { Layout } from '../../../../src/protocol/layout.js';
import { StateLog } from '../../../../src/telemetry/logging.js';
import { createMetrics } from '../../../../src/telemetry/metrics.js';
import { eventually } from '../../../support/eventually.js';
import { record } from '../../../support/records.js';
import { tracker } from '../../../support/trackers.js';

const started: PipelineLanes[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const lanes of started.splice(0)) await lanes.end();
});

const ONE: Layout = { batchers: 1, keyFunction: 'key' };
const TWO: Layout = { batchers: 2, keyFunction: 'key' };

const HOUR_MS = 3_600_000;

const YAML = 'pipelines: { orders: { topics: [orders], table: orders, batchers: 2, signal: { linger: 5ms } } }';

/**
 * Lanes to batchers that answer like this, in turn; `closed` are the runs to find, by batcher, and `away` the batchers
 * that do not answer.
 */
function start({
  outcomes = [],
  closed = {},
  away = new Set(),
  yaml = YAML,
  layouts = () => Promise.resolve([]),
}: {
  outcomes?: SendOutcome[];
  closed?: Record<string, ClosedRunInfo>;
  away?: Set<string>;
  yaml?: string;
  layouts?: () => Promise<readonly Layout[]>;
} = {}) {
  const { pipelines } = parseConfig(yaml, 'ktb.yaml', {});
  const looked: string[] = [];
  const batcher = ({ batchers }: Layout, index: number) => {
    const workflowId = `${batchers}/${index}`;
    return {
      workflowId,
      taskFailure: () => Promise.resolve('nondeterminism'),
      history: () => Promise.resolve(null),
      send: () => Promise.resolve(outcomes.shift() ?? { type: 'accepted', bytes: 0, runId: 'r' }),
      startHeir: () => {
        looked.push(workflowId);
        if (away.has(workflowId)) return Promise.reject(new Error('its shard is away'));
        const dueTask = index === 1 ? { attempt: 2, scheduledAtMs: Date.now() } : null;
        return Promise.resolve({ closed: closed[workflowId] ?? null, dueTask });
      },
    } as unknown as BatcherClient;
  };
  const metrics = createMetrics({ runtime: false });
  const logger = pino({ level: 'silent' });
  const told: string[] = [];
  const well: string[] = [];
  vi.spyOn(logger, 'warn').mockImplementation((_fields: unknown, message?: string) => void told.push(String(message)));
  vi.spyOn(logger, 'info').mockImplementation((_fields: unknown, message?: string) => void well.push(String(message)));
  const accepted: number[] = [];
  const lanes = new PipelineLanes(
    {
      pipeline: pipelines[0]!,
      batcher,
      layouts,
      batcherSettings: () => pipelines[0]!.settings,
      setAside: (_, original) => Promise.resolve(original),
      metrics,
      logger,
      stateLog: new StateLog(logger),
    },
    {
      accepted: ({ records }) => void accepted.push(records),
      changed: () => lanes.updateGauges(),
      leaderEpochBefore: () => null,
    },
  );
  started.push(lanes);
  return { lanes, looked, told, well, metrics, accepted, pipeline: pipelines[0]! };
}

it('looks for closed runs at the batchers of all layouts, and tells how they were closed', async () => {
  const closed = { '1/0': { runId: 'r', status: 'COMPLETED' }, '2/0': { runId: 'r', status: 'TERMINATED' } };
  const { lanes, looked, metrics } = start({ closed });
  for (const layout of [TWO, ONE]) lanes.of(layout);
  await lanes.sweep(() => true);
  expect(looked).toEqual(['2/0', '2/1', '1/0']);
  expect((await metrics.heirs.get()).values).toMatchObject([
    { value: 1, labels: { closed: 'unexpectedly' } },
    { value: 1, labels: { closed: 'drained' } },
  ]);
});

it('looks for closed runs of layouts that no partition is in any more too, every five minutes from a random time on', async () => {
  let nowMs = 1_000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const closed = { '1/0': { runId: 'r', status: 'TERMINATED' } };
  const { lanes, looked, metrics } = start({ closed, layouts: () => Promise.resolve([ONE, TWO]) });
  const sweep = async (afterMs: number): Promise<string[]> => {
    nowMs += afterMs;
    await lanes.sweep(() => true);
    return looked.splice(0).sort();
  };
  expect(await sweep(149_000)).toEqual(['2/0', '2/1']);
  expect(await sweep(1_000)).toEqual(['1/0', '2/0', '2/1']);
  expect((await metrics.heirs.get()).values).toMatchObject([{ value: 1, labels: { closed: 'unexpectedly' } }]);
  expect(await sweep(299_000)).toEqual(['2/0', '2/1']);
  expect(await sweep(1_000)).toEqual(['1/0', '2/0', '2/1']);
});

it('batchers of layouts that are not in use, where they answer late or not at all, hold up no look at those in use', async () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  let answer: (layouts: readonly Layout[]) => void = () => undefined;
  const layouts = () => new Promise<readonly Layout[]>((resolve) => (answer = resolve));
  const { lanes, looked, told, metrics } = start({ layouts, away: new Set(['1/0']) });
  nowMs = 300_000;
  const sweeps = [1, 2, 3].map(async () => {
    await lanes.sweep(() => true);
  });
  const sweepsOfThoseInUse = async (times: number): Promise<void> => {
    await eventually(() => expect(looked.filter((one) => one === '2/1')).toHaveLength(times));
    await eventually(async () => expect((await metrics.stuckTasks.get()).values).toHaveLength(1));
  };
  await sweepsOfThoseInUse(1);
  sweeps.push(lanes.sweep(() => true));
  await sweepsOfThoseInUse(2);
  answer([ONE]);
  await Promise.all(sweeps);
  expect(told.join()).toContain('1 of 1 batchers of earlier layouts cannot be looked at');
});

it('counts batchers whose workflow task was found late three times in a row', async () => {
  const { lanes, metrics } = start();
  for (const stuck of [0, 0, 1]) {
    await lanes.sweep(() => true);
    expect((await metrics.stuckTasks.get()).values).toMatchObject([{ value: stuck }]);
  }
});

it('looks at the batchers after one that does not answer, says so once, and forgets nothing of it', async () => {
  const away = new Set(['2/0']);
  const closed = { '1/0': { runId: 'r', status: 'TERMINATED' } };
  const { lanes, looked, told, metrics } = start({ closed, away });
  for (const layout of [TWO, ONE]) lanes.of(layout);
  const sweepAll = async (times: number) => {
    for (let sweep = 0; sweep < times; sweep++) await lanes.sweep(() => true);
    return (await metrics.stuckTasks.get()).values[0]?.value;
  };
  const unseen = () => told.filter((message) => message.includes('cannot be looked at'));
  expect(await sweepAll(3)).toBe(1);
  expect(looked).toEqual(['2/0', '2/1', '1/0', '2/0', '2/1', '1/0', '2/0', '2/1', '1/0']);
  expect((await metrics.heirs.get()).values[0]?.value).toBe(3);
  expect(unseen()).toEqual([expect.stringMatching(/^1 of 3 batchers .*: 2\/0: its shard is away$/)]);
  // What was stuck before it was away is so until it is seen well.
  away.clear();
  away.add('2/1');
  expect(await sweepAll(1)).toBe(1);
  expect(unseen()).toHaveLength(2);
});

it('counts a late task once where a sweep takes longer than it is to the next', async () => {
  const { lanes, looked, metrics } = start();
  await Promise.all([1, 2, 3].map(() => lanes.sweep(() => true)));
  expect(looked).toEqual(['2/0', '2/1']);
  expect((await metrics.stuckTasks.get()).values).toMatchObject([{ value: 0 }]);
});

it('starts no heir any more once the look is another member’s task', async () => {
  const { lanes, looked } = start();
  lanes.of(TWO);
  await lanes.sweep(() => looked.length === 0);
  expect(looked).toEqual(['2/0']);
});

it('counts what waits over all layouts, until it is accepted or cleared', async () => {
  const { lanes, metrics, accepted } = start();
  const waiting = async () => {
    lanes.updateGauges();
    return (await metrics.waiting.get()).values[0]?.value;
  };
  lanes.of(ONE).handOver(tracker({}, 0, { layout: ONE }), [record(0), record(1)]);
  lanes.of(TWO).handOver(tracker({}, 0, { layout: TWO }), [record(2)]);
  expect([lanes.records, await waiting()]).toEqual([3, 3]);
  await eventually(() => expect(accepted.reduce((sum, records) => sum + records, 0)).toBe(3));
  expect([lanes.records, lanes.memoryBytes, await waiting()]).toEqual([0, 0, 0]);

  lanes.of(ONE).handOver(tracker({}, 0, { layout: ONE }), [record(0)]);
  lanes.clear();
  expect([lanes.records, lanes.memoryBytes]).toEqual([0, 0]);
});

it('says that a batcher takes signals again only once it has taken one, and else that nothing waits for it', async () => {
  const away = () => Array.from({ length: 4 }, (): SendOutcome => ({ type: 'retry', bytes: 0, message: 'no answer' }));
  const outcomes = away().concat({ type: 'full', message: 'too many signals' });
  const { lanes, told, well, metrics } = start({ outcomes });
  const causes = async () =>
    (await metrics.stoppedLanes.get()).values.flatMap(({ value, labels }) => (value > 0 ? [labels.cause] : []));
  const handOver = () => lanes.of(ONE).handOver(tracker({}, 0, { layout: ONE }), [record(0)]);
  handOver();
  await eventually(async () => expect(await causes()).toEqual(['temporal']));
  await eventually(async () => expect(await causes()).toEqual(['history']));
  expect([told, well]).toEqual([['Nothing is sent to 1/0: no answer'], []]);
  await eventually(() => expect(well).toEqual(['1/0 takes signals again']));

  outcomes.push(...away());
  handOver();
  await eventually(() => expect(told).toHaveLength(2));
  lanes.clear();
  await eventually(() => expect(well.slice(1)).toEqual(['Nothing waits for 1/0 any more']));
  expect(await causes()).toEqual([]);
});

it('records wait for others for the delay of a batch; for half of it if others send, too; not at all in a hurry', () => {
  const { lanes } = start({
    yaml: 'pipelines: { orders: { topics: [orders], table: orders, batch: { maxDelay: 400ms } } }',
  });
  const lingers = () => lanes.of(ONE).all.map(({ lingerMs }) => lingerMs);
  expect(lingers()).toEqual([400]);
  lanes.setMembers(3);
  expect(lingers()).toEqual([200]);
  lanes.setMembers(1);
  expect(lingers()).toEqual([400]);
  lanes.hurry(true);
  lanes.setMembers(2);
  expect([...lingers(), lanes.of(TWO).all[0]?.lingerMs]).toEqual([0, 0]);
  lanes.hurry(false);
  expect(lingers()).toEqual([200]);
});

it('signals follow changed limits, from the next record on', async () => {
  const { lanes, accepted, pipeline } = start({
    yaml: 'pipelines: { orders: { topics: [orders], table: orders, batch: { maxDelay: 1h }, signal: { linger: 10s } } }',
  });
  const ones = lanes.of(ONE);
  const handOver = (...offsets: number[]) =>
    ones.handOver(
      tracker({}, offsets[0], { layout: ONE }),
      offsets.map((offset) => record(offset)),
    );
  handOver(0);
  pipeline.signal = { ...pipeline.signal, maxRecords: 2 };
  handOver(1, 2, 3);
  await eventually(() => expect(accepted).toEqual([2, 2]));
  handOver(4);
  pipeline.signal = { ...pipeline.signal, lingerMs: 5 };
  handOver(5, 6);
  expect(ones.all[0]?.lingerMs).toBe(5);
  await eventually(() => expect(accepted).toEqual([2, 2, 2, 1]));
});

it('what waits in a lane is sent at once in a hurry', async () => {
  const { lanes, accepted } = start({
    yaml: 'pipelines: { orders: { topics: [orders], table: orders, signal: { linger: 10s } } }',
  });
  lanes.of(ONE).handOver(tracker({}, 0, { layout: ONE }), [record(0)]);
  lanes.hurry(true);
  await eventually(() => expect(accepted).toEqual([1]));
});

it('what fills the memory of a lane is sent at once, also where it fills no signal', async () => {
  const { lanes, accepted } = start({
    yaml: 'pipelines: { orders: { topics: [orders], table: orders, maxBuffered: 8MiB, signal: { linger: 10s } } }',
  });
  const headers = Array.from({ length: 10 }, (_, index) => [`h${index}`, Buffer.from('0123456789')] as const);
  const records = Array.from({ length: 800 }, (_, offset) => ({ ...record(offset), headers }));
  lanes.of(ONE).handOver(tracker({}, 0, { layout: ONE }), records);
  await eventually(() => expect(accepted).toEqual([800]), 5_000);
});

it('what was handed over lingers no longer because the clock is set back', async () => {
  const { lanes, accepted } = start();
  lanes.of(ONE).handOver(tracker({}, 0, { layout: ONE }), [record(0)]);
  vi.spyOn(Date, 'now').mockReturnValue(Date.now() - HOUR_MS);
  await eventually(() => expect(accepted).toEqual([1]));
});
