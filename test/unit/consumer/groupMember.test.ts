import type { Cluster, ConsumerConfig, EachBatchPayload, Kafka, Logger } from 'kafkajs';
import { expect, it } from 'vitest';
import { GroupMember } from '../../../src/consumer/groupMember.js';

interface FakeConsumer {
  readonly config: ConsumerConfig;
  readonly subscribed: string[];
  connected: boolean;
  refuses: boolean;
  /** As kafkajs: it tells its listeners, and hands a batch to the handler. */
  emit(event: string, payload: object): void;
  batch(): Promise<void>;
  seeks: number;
}

/** kafkajs's consumers as far as a member uses them. */
function fakeKafka(refuses = false) {
  const consumers: FakeConsumer[] = [];
  const consumer = (config: ConsumerConfig) => {
    const listeners = new Map<string, (event: { payload: object }) => void>();
    let eachBatch: (payload: EachBatchPayload) => Promise<void> = () => Promise.resolve();
    const fake: FakeConsumer = {
      config,
      subscribed: [],
      connected: false,
      refuses,
      emit: (event, payload) => listeners.get(event)?.({ payload }),
      batch: () => eachBatch({} as EachBatchPayload),
      seeks: 0,
    };
    consumers.push(fake);
    return {
      events: { GROUP_JOIN: 'join', CRASH: 'crash', START_BATCH_PROCESS: 'start' },
      on: (event: string, listener: (event: { payload: object }) => void) => listeners.set(event, listener),
      connect: () => Promise.resolve(void (fake.connected = true)),
      disconnect: () => Promise.resolve(void (fake.connected = false)),
      subscribe: ({ topics }: { topics: string[] }) => {
        if (fake.refuses) return Promise.reject(new Error('no such topic'));
        fake.subscribed.push(...topics);
        return Promise.resolve();
      },
      run: (options: { eachBatch: typeof eachBatch }) => Promise.resolve(void (eachBatch = options.eachBatch)),
      seek: () => fake.seeks++,
    };
  };
  return { kafka: { consumer } as unknown as Kafka, consumers };
}

function member(kafka: Kafka) {
  const seen: string[] = [];
  const group = { groupId: 'g', sessionTimeoutMs: 30_000 };
  const joined = new GroupMember(kafka, group, {
    joining: () => void seen.push('joining'),
    joined: () => void seen.push('joined'),
    batch: () => Promise.resolve(void seen.push('batch')),
    emptyBatch: () => void seen.push('empty'),
    crashed: (_error, restarts) => void seen.push(`crashed, ${restarts ? 'restarts' : 'ends'}`),
  });
  return { seen, member: joined };
}

const join = ({ config }: FakeConsumer) =>
  config.partitionAssigners?.[0]?.({ cluster: {} as Cluster, groupId: 'g', logger: {} as Logger }).protocol({
    topics: ['a'],
  });

async function everything(consumer: FakeConsumer): Promise<void> {
  consumer.emit('join', { memberAssignment: {} });
  await consumer.batch();
  consumer.emit('start', { batchSize: 0 });
  consumer.emit('start', { batchSize: 1 });
  consumer.emit('crash', { error: new Error('x'), restart: true });
}

it('hears of everything that the consumer of its group does', async () => {
  const { kafka, consumers } = fakeKafka();
  const { member: one, seen } = member(kafka);
  await one.join(['a', 'b']);
  expect(one.topics).toEqual(['a', 'b']);
  expect(consumers[0]?.subscribed).toEqual(['a', 'b']);
  join(consumers[0]!);
  await everything(consumers[0]!);
  expect(seen).toEqual(['joining', 'joined', 'batch', 'empty', 'crashed, restarts']);
  expect(await consumers[0]?.config.retry?.restartOnFailure?.(new Error())).toBe(true);
});

it('a consumer that was left is not heard any more, joins nothing and does not come back', async () => {
  const { kafka, consumers } = fakeKafka();
  const { member: one, seen } = member(kafka);
  await one.join(['a']);
  await one.leave();
  await one.join(['a', 'b']);
  const [left, current] = consumers as [FakeConsumer, FakeConsumer];
  expect([left.connected, current.connected]).toEqual([false, true]);
  await everything(left);
  expect(() => join(left)).toThrow('group g was left');
  expect(await left.config.retry?.restartOnFailure?.(new Error())).toBe(false);
  expect(seen).toEqual([]);
  one.seek({ topic: 'a', partition: 0, offset: '1' });
  expect([left.seeks, current.seeks]).toEqual([0, 1]);
});

it('stays outside for no topic, and where Kafka refuses', async () => {
  const { kafka, consumers } = fakeKafka(true);
  const { member: one } = member(kafka);
  await one.join([]);
  expect(consumers).toEqual([]);
  await expect(one.join(['a'])).rejects.toThrow('no such topic');
  expect(one.topics).toEqual([]);
  expect(consumers[0]?.connected).toBe(false);
  expect(() => one.seek({ topic: 'a', partition: 0, offset: '1' })).toThrow('not in group g');
});
