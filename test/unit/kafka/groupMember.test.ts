import type { Cluster, ConsumerConfig, EachBatchPayload, Kafka, Logger } from 'kafkajs';
import { expect, it, onTestFinished, vi } from 'vitest';
import { GroupMember } from '../../../src/kafka/groupMember.js';
import { internalModule } from '../../../src/kafka/kafkajs/internals.js';

type ErrorName =
  | 'KafkaJSGroupCoordinatorNotFound'
  | 'KafkaJSLockTimeout'
  | 'KafkaJSNonRetriableError'
  | 'KafkaJSNumberOfRetriesExceeded';

/** kafkajs's declarations of these are wrong in places. */
const kafkajs = internalModule('errors') as Record<ErrorName, new (...args: unknown[]) => Error>;

interface FakeConsumer {
  readonly config: ConsumerConfig;
  readonly subscribed: string[];
  connected: boolean;
  refuses: boolean;
  failsToEnd: boolean;
  neverEnds: boolean;
  /** As kafkajs: it tells its listeners, and hands a batch to the handler. */
  emit(event: string, payload: object): void;
  batch(): Promise<void>;
  seeks: number;
}

const NEVER = new Promise<void>(() => undefined);

/** kafkajs's consumers as far as a member uses them. */
function fakeKafka(refuses = false, hangs = { connect: false }) {
  const consumers: FakeConsumer[] = [];
  const consumer = (config: ConsumerConfig) => {
    const listeners = new Map<string, (event: { payload: object }) => void>();
    let eachBatch: (payload: EachBatchPayload) => Promise<void> = () => Promise.resolve();
    const fake: FakeConsumer = {
      config,
      subscribed: [],
      connected: false,
      refuses,
      failsToEnd: false,
      neverEnds: false,
      emit: (event, payload) => listeners.get(event)?.({ payload }),
      batch: () => eachBatch({} as EachBatchPayload),
      seeks: 0,
    };
    consumers.push(fake);
    return {
      events: {
        GROUP_JOIN: 'join',
        HEARTBEAT: 'heartbeat',
        CRASH: 'crash',
        RECEIVED_UNSUBSCRIBED_TOPICS: 'unsubscribed',
      },
      on: (event: string, listener: (event: { payload: object }) => void) => listeners.set(event, listener),
      connect: () => (hangs.connect ? NEVER : Promise.resolve(void (fake.connected = true))),
      disconnect: () => {
        fake.connected = false;
        if (fake.neverEnds) return NEVER;
        return fake.failsToEnd ? Promise.reject(new Error('the coordinator is away')) : Promise.resolve();
      },
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
  const joined = new GroupMember(
    kafka,
    group,
    {
      joining: () => void seen.push('joining'),
      joined: (_, unread) => void seen.push(['joined', ...unread].join(', nobody reads ')),
      outOfRange: () => void seen.push('out of range'),
      partitionError: () => void seen.push('partition error'),
      batch: () => Promise.resolve(void seen.push('batch')),
      failed: ({ message }, delayMs) => void seen.push(`failed: ${message}, again in ${delayMs} ms`),
      steady: () => void seen.push('steady'),
      leftBadly: ({ message }) => void seen.push(`left badly: ${message}`),
    },
    () => 1,
  );
  return { seen, member: joined };
}

const join = ({ config }: FakeConsumer) =>
  config.partitionAssigners?.[0]?.({ cluster: {} as Cluster, groupId: 'g', logger: {} as Logger }).protocol({
    topics: ['a'],
  });

async function everything(consumer: FakeConsumer): Promise<void> {
  consumer.emit('join', { memberAssignment: {} });
  await consumer.batch();
  consumer.emit('crash', { error: new Error('x') });
}

it('hears of everything that the consumer of its group does', async () => {
  const { kafka, consumers } = fakeKafka();
  const { member: one, seen } = member(kafka);
  await one.join(['a', 'b']);
  expect(one.topics).toEqual(['a', 'b']);
  expect(consumers[0]?.subscribed).toEqual(['a', 'b']);
  join(consumers[0]!);
  await everything(consumers[0]!);
  expect(seen).toEqual(['joining', 'joined', 'batch', 'failed: x, again in 1000 ms']);
  await one.leave();
});

it('tells at each join what it was given although it does not read it', async () => {
  const { kafka, consumers } = fakeKafka();
  const { member: one, seen } = member(kafka);
  await one.join(['a']);
  for (const topicsNotSubscribed of [['b', 'c'], []]) {
    join(consumers[0]!);
    if (topicsNotSubscribed.length > 0) consumers[0]!.emit('unsubscribed', { topicsNotSubscribed });
    consumers[0]!.emit('join', { memberAssignment: { a: [0] } });
  }
  expect(seen).toEqual(['joining', 'joined, nobody reads b, nobody reads c', 'joining', 'joined']);
  await one.leave();
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
  expect(seen).toEqual([]);
  one.seek({ topic: 'a', partition: 0, offset: '1' });
  expect([left.seeks, current.seeks]).toEqual([0, 1]);
});

it('stays outside for no topic', async () => {
  const { kafka, consumers } = fakeKafka();
  const { member: one } = member(kafka);
  await one.join([]);
  expect(consumers).toEqual([]);
  expect(() => one.seek({ topic: 'a', partition: 0, offset: '1' })).toThrow('not in group g');
});

/** What kafkajs takes for final, and not. */
const CRASHES: readonly Error[] = [
  new kafkajs.KafkaJSGroupCoordinatorNotFound('Failed to find group coordinator'),
  new kafkajs.KafkaJSNumberOfRetriesExceeded(new Error('Connection error'), { retryCount: 8, retryTime: 5_000 }),
  new kafkajs.KafkaJSNonRetriableError('Invalid state'),
  new kafkajs.KafkaJSLockTimeout('Timeout while acquiring lock'),
  new TypeError("Cannot read properties of undefined (reading 'decode')"),
];

for (const crash of CRASHES) {
  it(`joins again by a new consumer, for the same topics, after ${crash.name}`, async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { kafka, consumers } = fakeKafka();
    const { member: one, seen } = member(kafka);
    await one.join(['a', 'b']);
    consumers[0]!.emit('crash', { error: crash, restart: false });
    expect(() => one.pause([{ topic: 'a' }])).toThrow('not in group g');
    expect(one.topics).toEqual(['a', 'b']);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(consumers).toHaveLength(2);
    expect(consumers.map(({ connected }) => connected)).toEqual([false, true]);
    expect(consumers[1]?.subscribed).toEqual(['a', 'b']);
    await everything(consumers[0]!);
    expect(seen).toEqual([`failed: ${crash.message}, again in 1000 ms`]);
    await one.leave();
  });
}

it('tries again where it cannot join, less and less often, until it is told to leave', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { kafka, consumers } = fakeKafka(true);
  const { member: one, seen } = member(kafka);
  await one.join(['a']);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(seen.slice(0, 6)).toEqual([1, 2, 4, 8, 10, 10].map((s) => `failed: no such topic, again in ${s}000 ms`));
  expect(consumers.every(({ connected }) => !connected)).toBe(true);
  await one.leave();
  const tries = consumers.length;
  await vi.advanceTimersByTimeAsync(600_000);
  expect(consumers).toHaveLength(tries);
});

it('a member that was well for a minute begins with the shortest wait again, and one that fails as soon as it has joined does not', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { kafka, consumers } = fakeKafka();
  const { member: one, seen } = member(kafka);
  await one.join(['a']);
  for (const wellMs of [0, 59_000, 60_000, 0]) {
    const current = consumers.at(-1)!;
    current.emit('join', { memberAssignment: {} });
    await vi.advanceTimersByTimeAsync(wellMs);
    current.emit('crash', { error: new Error('x') });
    await vi.advanceTimersByTimeAsync(10_000);
  }
  const waits = seen.filter((what) => what.startsWith('failed')).map((what) => /again in (\d+)/.exec(what)?.[1]);
  expect(waits).toEqual(['1000', '2000', '1000', '2000']);
  expect(seen.filter((what) => what === 'steady')).toHaveLength(1);
  await one.leave();
});

it('one whose goodbye fails is outside all the same, and says so', async () => {
  const { kafka, consumers } = fakeKafka();
  const { member: one, seen } = member(kafka);
  await one.join(['a']);
  consumers[0]!.failsToEnd = true;
  await one.leave();
  expect(seen).toEqual(['left badly: the coordinator is away']);
  expect(one.topics).toEqual([]);
  await one.join(['b']);
  expect(consumers[1]?.subscribed).toEqual(['b']);
});

it('one that is told to leave while it is joining closes what it has opened since', async () => {
  const { kafka, consumers } = fakeKafka();
  const { member: one } = member(kafka);
  const joining = one.join(['a']);
  const leaving = one.leave();
  await Promise.all([joining, leaving]);
  expect(consumers[0]?.connected).toBe(false);
});

it('a consumer that ends without a word is noticed by its silence, and one that sends heartbeats is left alone', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { kafka, consumers } = fakeKafka();
  const { member: one, seen } = member(kafka);
  await one.join(['a']);
  consumers[0]!.emit('join', { memberAssignment: {} });
  for (let minute = 0; minute < 10; minute++) {
    await vi.advanceTimersByTimeAsync(60_000);
    consumers[0]!.emit('heartbeat', {});
  }
  const failures = () => seen.filter((what) => what.startsWith('failed'));
  expect(failures()).toEqual([]);
  await vi.advanceTimersByTimeAsync(192_000);
  expect(failures()).toEqual([
    expect.stringMatching(/^failed: nothing was heard of it for 1[89]0 s, again in 1000 ms$/),
  ]);
  expect(consumers.map(({ connected }) => connected)).toEqual([false, true]);
  // What it still does keeps nobody from noticing that its successor is silent, too.
  for (let minute = 0; minute < 4; minute++) {
    await vi.advanceTimersByTimeAsync(60_000);
    consumers[0]!.emit('heartbeat', {});
  }
  expect(consumers).toHaveLength(3);
  await one.leave();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(consumers).toHaveLength(3);
});

it.each(['is given up', 'is left'])('who waits for a first try that never ends goes on once it %s', async (how) => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const hangs = { connect: true };
  const { kafka, consumers } = fakeKafka(false, hangs);
  const { member: one, seen } = member(kafka);
  let joined = false;
  void one.join(['a']).then(() => (joined = true));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(joined).toBe(false);
  hangs.connect = false;
  if (how === 'is left') await one.leave();
  else await vi.advanceTimersByTimeAsync(140_000);
  await vi.advanceTimersByTimeAsync(0);
  expect(joined).toBe(true);
  expect(consumers.map(({ connected }) => connected)).toEqual(how === 'is left' ? [false] : [false, true]);
  expect(seen).toHaveLength(how === 'is left' ? 0 : 1);
  await one.leave();
});

it('one whose goodbye never ends is outside after a minute, and says so', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { kafka, consumers } = fakeKafka();
  const { member: one, seen } = member(kafka);
  await one.join(['a']);
  consumers[0]!.neverEnds = true;
  let left = false;
  void one.leave().then(() => (left = true));
  await vi.advanceTimersByTimeAsync(59_000);
  expect([left, seen]).toEqual([false, []]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect([left, seen]).toEqual([true, ['left badly: it has not ended within 60 s']]);
  await one.join(['b']);
  expect(consumers[1]?.subscribed).toEqual(['b']);
  await one.leave();
});
