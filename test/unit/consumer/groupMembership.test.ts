import { expect, it, onTestFinished } from 'vitest';
import { parseConfig } from '../../../src/config/load.js';
import { GroupMembership } from '../../../src/consumer/groupMembership.js';
import { zeroMetrics } from '../../../src/daemon/zeroMetrics.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { eventually } from '../../support/eventually.js';

function setUp(pipeline: string) {
  const { pipelines } = parseConfig(`pipelines: { p: { table: t, ${pipeline} } }`, 'ktb.yaml', {});
  const metrics = createMetrics({ runtime: false });
  zeroMetrics(metrics, pipelines, 'consumer');
  const kafka = { refuses: true, topics: ['orders'] };
  const answer = <T>(found: T): Promise<T> =>
    kafka.refuses ? Promise.reject(new Error('Not authorized')) : Promise.resolve(found);
  const admin = {
    listTopics: () => answer(kafka.topics),
    fetchLogs: () => Promise.resolve([{ topic: 'orders', partition: 0, logStart: 0, logEnd: 5 }]),
    fetchCommits: () => answer(new Map([['orders/0', { offset: 3, metadata: null }]])),
  };
  const nothing = (): void => undefined;
  const joins: (readonly string[])[] = [];
  const membership: GroupMembership = new GroupMembership({
    pipeline: pipelines[0]!,
    kafka: {} as never,
    member: {
      topics: [],
      leave: () => Promise.resolve(),
      join: (topics) => {
        joins.push(topics);
        membership.joined([]);
        return Promise.resolve();
      },
    },
    starts: {
      admin: admin as never,
      pipeline: pipelines[0]!,
      layouts: () => Promise.resolve([]),
      batchersOf: () => [],
    },
    release: () => Promise.resolve(),
    metrics,
    logger: { info: nothing, warn: nothing, debug: nothing, error: nothing } as never,
    stateLog: { problem: nothing, well: nothing } as never,
  });
  onTestFinished(() => {
    membership.stop();
  });
  const isDown = async (): Promise<boolean> => (await metrics.consumerDown.get()).values[0]?.value === 1;
  return { kafka, membership, joins, isDown };
}

it.each([
  ['cannot commit where it begins', 'topics: [orders], startFrom: latest'],
  ['cannot find out which topics match', "topics: ['/o.*/']"],
])('a pipeline that %s is down until it has joined its group', async (problem, pipeline) => {
  const { kafka, membership, joins, isDown } = setUp(pipeline);
  const starting = membership.start();
  await eventually(async () => expect(await isDown()).toBe(true), 3_000, 10);
  expect(membership.startProblem).toBe(`it ${problem}: Not authorized`);
  expect(joins).toEqual([]);
  kafka.refuses = false;
  await starting;
  expect(joins).toEqual([['orders']]);
  expect(membership.startProblem).toBeNull();
  expect(await isDown()).toBe(false);
});

it('a pipeline is not down because no topic matches', async () => {
  const { kafka, membership, isDown } = setUp("topics: ['/o.*/']");
  const starting = membership.start();
  await eventually(async () => expect(await isDown()).toBe(true), 3_000, 10);
  Object.assign(kafka, { refuses: false, topics: [] });
  await starting;
  expect(membership.isWaitingForTopics).toBe(true);
  expect(membership.startProblem).toBeNull();
  expect(await isDown()).toBe(false);
});
