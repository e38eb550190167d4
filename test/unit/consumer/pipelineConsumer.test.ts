import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, ConsumerConfig, EachBatchPayload, Kafka, Offsets } from 'kafkajs';
import kafkajs from 'kafkajs';
import { pino } from 'pino';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { parseConfig } from '../../../src/config/load.js';
import type { BatcherClient } from '../../../src/temporal/batcherClient.js';
import { formatCommitMetadata, parseCommitMetadata, READING } from '../../../src/consumer/partitions/commitMetadata.js';
import { PipelineConsumer } from '../../../src/consumer/pipelineConsumer.js';
import { Decoders } from '../../../src/formats/decoders.js';
import { RegistryError, type RegisteredSchema } from '../../../src/formats/schemaRegistry.js';
import { NO_LEADER, type KafkaAdmin } from '../../../src/kafka/admin.js';
import { FetchedBatch } from '../../../src/kafka/kafkajs/fetchedBatch.js';
import { OUT_OF_RANGE, type OutOfRangeHandler } from '../../../src/kafka/kafkajs/outOfRange.js';
import { PARTITION_ERROR, type PartitionErrorHandler } from '../../../src/kafka/kafkajs/partitionErrors.js';
import { UnreadableBatchError } from '../../../src/kafka/kafkajs/recordSet.js';
import { murmur2 } from '../../../src/lib/murmur2.js';
import type { Layout } from '../../../src/protocol/layout.js';
import { decodeChunk } from '../../../src/codecs/chunkCodec.js';
import { partitionName, type TopicPartition } from '../../../src/protocol/record.js';
import { StateLog } from '../../../src/telemetry/logging.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import { input } from '../../support/chunks.js';
import { eventually } from '../../support/eventually.js';
import { useShortWaits } from '../../support/shortWaits.js';
import { fetchedRecord } from '../../support/records.js';

const TOPIC = 'orders';
const REFUSED = 'TOPIC_AUTHORIZATION_FAILED';
const MISSING = 'UNKNOWN_TOPIC_OR_PARTITION';
const FETCHED_AT_ONCE = 10;
const BATCHERS = 2;
const EMPTY = { partition: 0, logStart: 0, logEnd: 0 };

interface Log {
  start: number;
  /** Milliseconds since 1970, of each record from offset 0 on. */
  readonly writtenMs: number[];
  leaderless: boolean;
  /** What its broker answers in place of records. */
  error?: string | undefined;
  /** From this offset on nothing can be read. */
  damagedAt?: number;
  /** A record batch that decompresses to more than is taken: its first offset, and its last. */
  tooLarge?: readonly [first: number, last: number];
  /** Offsets at which there is a control record. */
  control?: readonly number[];
  /** Its leaders, and where the records of each begin. */
  leaders?: readonly { readonly epoch: number; readonly from: number }[];
  /** Where a transaction begins that is still open: nothing is read from there on. */
  openFrom?: number;
}

/** The end of what may be read. */
const endOf = ({ openFrom, writtenMs }: Log) => openFrom ?? writtenMs.length;

const running: World[] = [];
const waitAtLength = useShortWaits(10);
afterEach(async () => {
  vi.restoreAllMocks();
  for (const world of running.splice(0)) await world.consumer.drain(performance.now() + 100);
});

/** A consumer of one topic with everything around it as a fake: Kafka's logs and commits, kafkajs's fetches, batchers. */
class World {
  readonly logs: Log[];
  readonly commits = new Map<string, { offset: number; metadata: string }>();
  readonly #layout: Layout;
  readonly #states: BatcherState[];
  readonly #others: readonly string[];
  readonly paused = new Set<string>();
  readonly #positions = new Map<string, number>();
  readonly accepted: string[] = [];
  readonly fetches = new Map<string, number>();
  readonly output: string[] = [];
  readonly metrics = createMetrics({ runtime: false });
  readonly #create: () => PipelineConsumer;
  consumer: PipelineConsumer;
  clusterId: string | null = 'c1';
  /** As Kafka before 2.8, it tells none by default. */
  topicId: string | undefined;
  /** Why Kafka says nothing of the topic; `missing` where there is none. */
  topicError: 'TOPIC_AUTHORIZATION_FAILED' | 'missing' | null = null;
  workers = true;
  /** While it is set, the broker of a batch is silent about its topic. */
  saysNoTopic = false;
  textBytes = 200;
  keyOf = (offset: number): string => `key-${offset}`;
  /** Values that are no JSON. */
  valueOf: ((offset: number) => Buffer) | null = null;
  /** What the schema registry answers. */
  schema: (id: number) => Promise<RegisteredSchema | null> = () => Promise.resolve(null);
  /** By partition and offset, the batcher that has accepted a record. */
  readonly batcherOf = new Map<string, number>();
  /** While it is set, connecting never ends. */
  deaf = false;
  /** What leaving the group ends in. */
  goodbye: () => Promise<void> = () => Promise.resolve();
  /** While it is set, no signal is answered. */
  held = false;
  /** While it is set, no commit is answered. */
  silent = false;
  /** A kind of questions that are answered late, by what was true when they were asked: see {@link answerLate}. */
  late: { what: 'group' | 'coverage' | 'logs'; isAsked: boolean; answer: Promise<void> } | null = null;
  unanswered = 0;
  #members = 0;
  #beginJoin: () => void = () => undefined;
  #rebalance: () => void = () => undefined;
  #crash: (error: Error) => void = () => undefined;
  #answer: PartitionErrorHandler = () => undefined;
  #deliver: (where: TopicPartition, from: number) => Promise<void> = () => Promise.resolve();

  /** @param others topics of one empty partition each, which nobody gives to this member */
  constructor(partitions: number, yaml = '', batchers = BATCHERS, others: readonly string[] = []) {
    this.#others = others;
    this.#layout = { batchers, keyFunction: 'key' };
    this.#states = Array.from({ length: batchers }, (_, index) => {
      return new BatcherState({ workflowId: `b${index}`, runId: 'r' }, input(), new Uint8Array(0));
    });
    this.logs = Array.from({ length: partitions }, () => ({ start: 0, writtenMs: [], leaderless: false }));
    const [pipeline] = parseConfig(
      `schemaRegistry: { url: 'http://registry' }\npipelines: { p: { topics: [${[TOPIC, ...others].join()}], table: t, batchers: ${batchers}, signal: { linger: 5ms } ${yaml} } }`,
      'ktb.yaml',
      {},
    ).pipelines;
    const logger = pino({ level: 'info' }, { write: (line: string) => void this.output.push(line) });
    this.#create = () =>
      new PipelineConsumer({
        pipeline: pipeline!,
        kafkaConfig: { sessionTimeoutMs: 30_000 } as never,
        kafka: { consumer: (config: ConsumerConfig) => this.#fakeConsumer(config) } as unknown as Kafka,
        admin: this.#admin() as unknown as KafkaAdmin,
        decoders: new Decoders({ schema: (id) => this.schema(id) }),
        batcher: (_, index) => this.#batcher(index),
        batcherSettings: () => pipeline!.settings,
        layouts: () => Promise.resolve([this.#layout]),
        setAside: (_, original) => Promise.resolve(original),
        metrics: this.metrics,
        logger,
        stateLog: new StateLog(logger),
      });
    this.consumer = this.#create();
    running.push(this);
  }

  /** The process ends, and another one has yet to start. */
  async restart(): Promise<void> {
    await this.consumer.drain(performance.now() + 100);
    this.paused.clear();
    this.consumer = this.#create();
  }

  write(partition: number, records: number, writtenMs = Date.now()): void {
    for (let count = 0; count < records; count++) this.logs[partition]!.writtenMs.push(writtenMs);
  }

  /** An election cuts a log: its records from an offset on are lost, and those that come are of another leader. */
  cut(partition: number, at: number, epoch: number): void {
    const log = this.logs[partition]!;
    log.writtenMs.length = at;
    log.leaders = [...(log.leaders ?? []), { epoch, from: at }];
  }

  /** As a member of 0.1.0 has committed it. */
  commit(partition: number, offset: number, epoch: string, layout = this.#layout, topic = TOPIC): void {
    const metadata = formatCommitMetadata({ epoch, layout, clusterId: 'c1', state: READING });
    this.commits.set(`${topic}/${partition}`, { offset, metadata });
  }

  /** The member begins to join again, and still fetches from other brokers until `rebalance`. */
  beginJoin(): void {
    this.#beginJoin();
  }

  rebalance(): void {
    this.#rebalance();
  }

  crash(error: Error): void {
    this.#crash(error);
  }

  /** What kafkajs had fetched before it was told to pause. */
  deliver(partition: number, from: number): Promise<void> {
    return this.#deliver({ topic: TOPIC, partition }, from);
  }

  /** A broker's answer that was on its way. */
  answer(partition: number, error: string): void {
    this.#answer({ topic: TOPIC, partition }, error);
  }

  epochOf(partition: number): string | null {
    const parsed = parseCommitMetadata(this.commits.get(`${TOPIC}/${partition}`)?.metadata ?? null);
    return parsed.type === 'ours' ? parsed.epoch : null;
  }

  committed(partition: number): number | undefined {
    return this.commits.get(`${TOPIC}/${partition}`)?.offset;
  }

  async #untilAnswered(what: 'group' | 'coverage' | 'logs'): Promise<void> {
    if (this.late?.what !== what) return;
    this.late.isAsked = true;
    await this.late.answer;
  }

  #admin() {
    const fetchLogs = () => {
      if (this.topicError === 'missing')
        return [{ topic: TOPIC, partition: -1, problem: 'Kafka has no such topic', isMissing: true }];
      if (this.topicError !== null) return [{ topic: TOPIC, partition: -1, problem: this.topicError }];
      return this.logs.map((log, partition) => {
        const where = { topic: TOPIC, partition };
        return log.leaderless
          ? { ...where, problem: NO_LEADER }
          : { ...where, logStart: log.start, logEnd: endOf(log), topicId: this.topicId };
      });
    };
    return {
      describeTopics: () =>
        Promise.resolve({
          ...{ clusterId: this.clusterId, brokers: [] },
          topics: new Map([[TOPIC, { error: null, partitions: [] }]]),
        }),
      describeGroups: async () => {
        await this.#untilAnswered('group');
        return { groups: [{ members: [{}] }] };
      },
      fetchLogs: async () => {
        const answer = [...fetchLogs(), ...this.#others.map((topic) => ({ ...EMPTY, topic }))];
        await this.#untilAnswered('logs');
        return answer;
      },
      fetchHighWatermarks: () =>
        Promise.resolve(
          new Map(this.logs.map(({ writtenMs }, partition) => [`${TOPIC}/${partition}`, writtenMs.length])),
        ),
      fetchEpochEnd: ({ partition }: TopicPartition, epoch: number) => {
        const { leaders = [], writtenMs } = this.logs[partition]!;
        // As a leader with all epochs up to its own.
        const known = leaders.findLast((leader) => leader.epoch <= epoch)?.epoch ?? epoch;
        const endOffset = leaders.find((leader) => leader.epoch > epoch)?.from ?? writtenMs.length;
        return Promise.resolve({ leaderEpoch: known, endOffset });
      },
      fetchOffsetsAt: (partitions: readonly TopicPartition[], timestampMs: number) => {
        const at = ({ partition }: TopicPartition) =>
          this.logs[partition]!.writtenMs.findIndex((writtenMs) => writtenMs >= timestampMs);
        return Promise.resolve(new Map(partitions.map((where) => [partitionName(where), at(where)] as const)));
      },
      fetchCommits: () => Promise.resolve(new Map(this.commits)),
    };
  }

  #batcher(index: number): BatcherClient {
    const state = this.#states[index]!;
    return {
      workflowId: `b${index}`,
      history: () => Promise.resolve(null),
      startHeir: () => Promise.resolve({ closed: null, dueTask: null }),
      coverage: async () => {
        if (!this.workers) throw new Error('no poller seen');
        const coverage = state.coverage!.toState();
        await this.#untilAnswered('coverage');
        return coverage;
      },
      send: async (meta, body) => {
        while (this.held) await sleep(5);
        state.accept(JSON.parse(JSON.stringify(meta)) as typeof meta, body, Date.now());
        for (const segment of decodeChunk(meta.segments, body))
          for (const { offset } of segment.records) {
            this.accepted.push(`${segment.partition}/${offset}/${segment.epoch}`);
            this.batcherOf.set(`${segment.partition}/${offset}`, index);
          }
        return { type: 'accepted', bytes: 0, runId: 'r', started: false };
      },
      taskFailure: () => Promise.resolve(''),
      epochStatus: (source) => Promise.resolve(state.epochStatus(source)!),
      close: (request) => {
        state.close(request);
        return Promise.resolve();
      },
    };
  }

  /** kafkajs's consumer, as far as it is used: it fetches what is not paused, one partition after the other. */
  #fakeConsumer(config: ConsumerConfig) {
    const listeners = new Map<string, (event: { payload: object }) => void>();
    const [createAssigner = kafkajs.PartitionAssigners.roundRobin] = config.partitionAssigners ?? [];
    const assigner = createAssigner({
      cluster: {} as Cluster,
      groupId: 'g',
      logger: new kafkajs.Kafka({ brokers: ['x:1'] }).logger(),
    });
    const outOfRange = (where: TopicPartition) =>
      (assigner as unknown as Record<symbol, OutOfRangeHandler>)[OUT_OF_RANGE]?.(where);
    const partitionError = (where: TopicPartition, error: string | null) =>
      (assigner as unknown as Record<symbol, PartitionErrorHandler>)[PARTITION_ERROR]?.(where, error);
    this.#answer = partitionError;
    const names = (list: { topic: string; partitions?: number[] }[]) =>
      list.flatMap(({ topic, partitions = [] }) => partitions.map((partition) => partitionName({ topic, partition })));
    let isRunning = true;
    let eachBatch: (payload: EachBatchPayload) => Promise<void> = () => Promise.resolve();
    const join = () => {
      assigner.protocol({ topics: [TOPIC] });
      this.#positions.clear();
      const memberAssignment = { [TOPIC]: this.logs.map((_, partition) => partition) };
      listeners.get('join')?.({ payload: { memberAssignment } });
      this.#members++;
    };
    this.#beginJoin = () => void assigner.protocol({ topics: [TOPIC] });
    this.#rebalance = join;
    this.#crash = (error) => listeners.get('crash')?.({ payload: { error } });
    this.#deliver = async (where, from) => {
      const name = partitionName(where);
      const log = this.logs[where.partition]!;
      const { damagedAt = Infinity, tooLarge: [first, last] = [Infinity, -1], control = [] } = log;
      const isControl = control.includes(from);
      const to = Math.min(
        from + FETCHED_AT_ONCE,
        endOf(log),
        damagedAt,
        from < first ? first : Infinity,
        ...control.filter((offset) => offset > from),
      );
      const offsets = log.writtenMs.map((_, offset) => offset).slice(from, to);
      const isAsWritten = from >= first && from <= last;
      const problem = isAsWritten ? `${name} is too large at ${from}` : `${name} is damaged at ${from}`;
      const failure = from < damagedAt && !isAsWritten ? null : new UnreadableBatchError(problem, { isAsWritten });
      const records = (failure === null && !isControl ? offsets : []).map((offset) => {
        const writtenMs = log.writtenMs[offset]!;
        const value = Buffer.from(`{"id":${offset},"text":"${'x'.repeat(this.textBytes)}","at":${writtenMs}}`);
        return fetchedRecord(offset, writtenMs, Buffer.from(this.keyOf(offset)), this.valueOf?.(offset) ?? value);
      });
      const { topicId } = this;
      const answer = this.saysNoTopic ? ({ type: 'noAnswer' } as const) : ({ type: 'topic', topicId } as const);
      const askTopic = () => ({ askedAtMs: performance.now(), answer: Promise.resolve(answer) });
      const highWatermark = String(log.writtenMs.length);
      const next = isControl ? from + 1 : isAsWritten ? last + 1 : from + records.length;
      const batch = new FetchedBatch(
        { ...where, highWatermark, fetchedOffset: String(from), rawMessages: [], askTopic },
        {
          ...{ from, next, records, failure },
          ...(log.leaders === undefined ? {} : { leaderEpochs: leaderEpochsOf(log.leaders, from, next) }),
        },
      );
      const member = this.#members;
      await eachBatch({
        batch,
        resolveOffset: (offset: string) => void this.#positions.set(name, Number(offset) + 1),
        heartbeat: () => Promise.resolve(),
        commitOffsetsIfNecessary: ({ topics }: Offsets) => {
          if (this.silent) {
            this.unanswered++;
            return new Promise<void>(() => undefined);
          }
          if (member !== this.#members) return Promise.reject(new Error('ILLEGAL_GENERATION'));
          let refused = false;
          for (const { topic, partitions } of topics)
            for (const { partition, offset, metadata } of partitions as {
              partition: number;
              offset: string;
              metadata: string;
            }[])
              if (this.logs[partition]!.error === REFUSED) refused = true;
              else this.commits.set(partitionName({ topic, partition }), { offset: Number(offset), metadata });
          return refused ? Promise.reject(Object.assign(new Error('x'), { type: REFUSED })) : Promise.resolve();
        },
      } as unknown as EachBatchPayload);
    };
    const fetch = async (): Promise<void> => {
      while (isRunning) {
        for (const [partition, log] of this.logs.entries()) {
          const where = { topic: TOPIC, partition };
          const name = partitionName(where);
          if (this.paused.has(name) || log.leaderless) continue;
          const position = this.#positions.get(name) ?? this.commits.get(name)?.offset ?? 0;
          if (position === log.writtenMs.length || position >= (log.openFrom ?? Infinity)) continue;
          this.fetches.set(name, (this.fetches.get(name) ?? 0) + 1);
          if (log.error !== undefined) {
            partitionError(where, log.error);
            continue;
          }
          partitionError(where, null);
          if (position < log.start || position > log.writtenMs.length) outOfRange(where);
          else await this.#deliver(where, position);
        }
        await sleep(2);
      }
    };
    return {
      events: { GROUP_JOIN: 'join', CRASH: 'crash' },
      on: (event: string, listener: (event: { payload: object }) => void) => void listeners.set(event, listener),
      connect: () => (this.deaf ? new Promise<void>(() => undefined) : Promise.resolve()),
      disconnect: () => {
        isRunning = false;
        return this.goodbye();
      },
      subscribe: () => Promise.resolve(),
      commitOffsets: (list: { topic: string; partition: number; offset: string; metadata: string }[]) => {
        for (const { offset, metadata, ...where } of list)
          this.commits.set(partitionName(where), { offset: Number(offset), metadata });
        return Promise.resolve();
      },
      run: (options: { eachBatch: typeof eachBatch }) => {
        ({ eachBatch } = options);
        join();
        void fetch();
        return Promise.resolve();
      },
      pause: (list: { topic: string; partitions?: number[] }[]) => names(list).forEach((name) => this.paused.add(name)),
      resume: (list: { topic: string; partitions?: number[] }[]) =>
        names(list).forEach((name) => this.paused.delete(name)),
      seek: ({ topic, partition, offset }: { topic: string; partition: number; offset: string }) =>
        void this.#positions.set(partitionName({ topic, partition }), Number(offset)),
    };
  }
}

/** Of records from one offset to before another one. */
function leaderEpochsOf(leaders: NonNullable<Log['leaders']>, from: number, to: number) {
  return leaders
    .filter((leader, index) => leader.from < to && (leaders[index + 1]?.from ?? Infinity) > from)
    .map((leader) => ({ leaderEpoch: leader.epoch, from: Math.max(leader.from, from) }));
}

/** Sorted: each lane has its own order. */
const offsetsOf = (world: World, partition: number) =>
  world.accepted
    .filter((name) => name.startsWith(`${partition}/`))
    .map((name) => Number(name.split('/')[1]))
    .sort((one, other) => one - other);
const sorted = (...lists: number[][]) => lists.flat().sort((one, other) => one - other);
/** Partitions that are held, by reason. */
const held = async (world: World) =>
  Object.fromEntries(
    (await world.metrics.held.get()).values.flatMap(({ labels, value }) =>
      value === 0 ? [] : [[labels.reason, value]],
    ),
  ) as Record<string, number>;
const upTo = (count: number) => Array.from({ length: count }, (_, offset) => offset);

it('a partition without a leader stops no other, is named, and is read once it has one', async () => {
  const world = new World(3);
  world.logs[1]!.leaderless = true;
  for (const partition of [0, 1, 2]) world.write(partition, 30);
  await world.consumer.start();
  await eventually(() => {
    for (const partition of [0, 2]) expect(offsetsOf(world, partition)).toEqual(upTo(30));
  });
  expect(offsetsOf(world, 1)).toEqual([]);
  expect(world.consumer.problem).toBe(`the consumer of pipeline p: it does not read orders/1: ${NO_LEADER}`);
  expect(world.output.join('')).toContain(`orders/1: ${NO_LEADER}`);
  world.logs[1]!.leaderless = false;
  await eventually(() => expect(offsetsOf(world, 1)).toEqual(upTo(30)));
  expect(world.consumer.problem).toBeNull();
});

it('records are divided by what is in decoded values, and wait, in their group, while the schema registry is away', async () => {
  const world = new World(2, ', format: avro, shardBy: /id');
  const ofFields = (...names: readonly string[]) =>
    JSON.stringify({ type: 'record', name: 'R', fields: names.map((name) => ({ name, type: 'long' })) });
  const schemas = [ofFields('id'), ofFields('other', 'id')];
  let isAway = true;
  world.schema = (id) =>
    isAway
      ? Promise.reject(new RegistryError('away', 'it is away'))
      : Promise.resolve({ type: 'AVRO', schema: schemas[id]!, references: [] });
  const idOf = (offset: number) => offset % 5;
  world.valueOf = (offset) =>
    offset === 7
      ? Buffer.from('plain')
      : Buffer.of(0, 0, 0, 0, offset % 2, ...(offset % 2 === 1 ? [9] : []), 2 * idOf(offset));
  for (const partition of [0, 1]) world.write(partition, 30);
  await world.consumer.start();
  const problem = 'shardBy needs the schemas of its records: it is away';
  await eventually(() => expect(world.consumer.problem).toContain(`orders/1: ${problem}`));
  expect(world.accepted).toEqual([]);
  isAway = false;
  await eventually(() => {
    for (const partition of [0, 1]) expect(offsetsOf(world, partition)).toEqual(upTo(30));
  });
  expect(world.consumer.problem).toBeNull();
  const laneOf = (text: string) => murmur2(Buffer.from(text)) % BATCHERS;
  for (const offset of upTo(30)) {
    const lane = laneOf(offset === 7 ? world.keyOf(7) : String(idOf(offset)));
    expect([0, 1].map((partition) => world.batcherOf.get(`${partition}/${offset}`))).toEqual([lane, lane]);
  }
});

it('records are divided by what is in decoded keys, also if values are read without decoding', async () => {
  const world = new World(1, ', key: { format: avro }, shardBy: key:/id');
  const schema = JSON.stringify({ type: 'record', name: 'K', fields: [{ name: 'id', type: 'long' }] });
  world.schema = () => Promise.resolve({ type: 'AVRO', schema, references: [] });
  const idOf = (offset: number) => offset % 5;
  world.keyOf = (offset) => Buffer.of(0, 0, 0, 0, 0, 2 * idOf(offset)).toString();
  world.write(0, 30);
  await world.consumer.start();
  await eventually(() => expect(offsetsOf(world, 0)).toEqual(upTo(30)));
  for (const offset of upTo(30))
    expect(world.batcherOf.get(`0/${offset}`)).toBe(murmur2(Buffer.from(String(idOf(offset)))) % BATCHERS);
});

it('is told to read all of its partitions again only when it does, not while it is not known where one starts', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const world = new World(2);
  world.commit(0, 0, 'e1');
  world.logs[1]!.leaderless = true;
  const told = () => world.output.map((line) => (JSON.parse(line) as { msg: string }).msg);
  const again = 'Pipeline p reads all of its partitions again';
  await world.consumer.start();
  await vi.advanceTimersByTimeAsync(11_000);
  await eventually(() => expect(told()).toContain(`Pipeline p cannot read orders/1: ${NO_LEADER}`));
  world.workers = false;
  world.logs[1]!.leaderless = false;
  await eventually(() =>
    expect(told().at(-1)).toMatch(/cannot find out where to start: orders\/1: .*a worker running\?/),
  );
  await vi.advanceTimersByTimeAsync(11_000);
  expect(world.consumer.problem).toMatch(/orders\/1: .*is a worker running\?/);
  expect(told()).not.toContain(again);
  world.workers = true;
  await eventually(() => expect(told().at(-1)).toBe('Where pipeline p starts is known'));
  await vi.advanceTimersByTimeAsync(11_000);
  expect(world.consumer.problem).toBeNull();
  expect(told().at(-1)).toBe(again);
});

it('a consumer that joins and fails at once, again and again, is told of once, and when it has been well for a minute', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const world = new World(1);
  world.commit(0, 0, 'e1');
  await world.consumer.start();
  const before = world.output.length;
  for (let round = 1; round <= 5; round++) {
    world.crash(new Error('the lock timed out'));
    expect(world.consumer.problem).toContain('the lock timed out');
    await vi.advanceTimersByTimeAsync(10_000);
  }
  const told = () => world.output.slice(before).map((line) => (JSON.parse(line) as { msg: string }).msg);
  const failed = 'the consumer of pipeline p has failed and joins again: the lock timed out (Error)';
  expect(told()).toEqual([failed]);
  expect(world.consumer.problem).toBeNull();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told().at(-1)).toBe('The consumer of pipeline p is well again');
});

it('a new partition keeps no other from being read while no worker runs', async () => {
  const world = new World(2);
  for (const partition of [0, 1]) world.write(partition, 30);
  world.commit(0, 0, 'e1');
  world.workers = false;
  await world.consumer.start();
  await eventually(() => expect(offsetsOf(world, 0)).toEqual(upTo(30)));
  await eventually(() => expect(world.committed(0)).toBe(30));
  await eventually(() => expect(world.consumer.problem).toMatch(/orders\/1: .*is a worker running\?/));
  world.workers = true;
  await eventually(() => expect(offsetsOf(world, 1)).toEqual(upTo(30)));
});

it('a partition that waits for a person is not fetched again when the lanes have room again', async () => {
  const world = new World(2, ', onGap: halt, maxBuffered: 1MiB');
  world.textBytes = 20_000;
  world.held = true;
  world.write(0, 100);
  await world.consumer.start();
  await eventually(() => expect(world.paused.has('orders/0')).toBe(true));
  await eventually(() => expect(world.fetches.get('orders/0')).toBeGreaterThan(1));
  // Retention has removed what was due next, and kafkajs hands out what it had fetched from there.
  world.logs[0]!.start = 90;
  await world.deliver(0, 90);
  expect(world.consumer.problem).toContain('offsets are missing');
  const fetches = world.fetches.get('orders/0');
  world.held = false;
  world.write(1, 100);
  await eventually(() => expect(offsetsOf(world, 1)).toEqual(upTo(100)));
  expect(world.paused.has('orders/0')).toBe(true);
  expect(world.fetches.get('orders/0')).toBe(fetches);
});

it('a damaged batch stops its partition alone, after three fetches, and is named; what lies before it is committed', async () => {
  const world = new World(2);
  world.logs[0]!.damagedAt = 15;
  for (const partition of [0, 1]) world.write(partition, 30);
  await world.consumer.start();
  await eventually(() => expect([0, 1].map((partition) => world.committed(partition))).toEqual([15, 30]));
  await eventually(() => expect(world.consumer.problem).toContain('orders/0 is damaged at 15'));
  expect(world.paused.has('orders/0')).toBe(true);
  expect([0, 1].map((partition) => offsetsOf(world, partition))).toEqual([upTo(15), upTo(30)]);
  // Two with records, three that cannot be read.
  expect(world.fetches.get('orders/0')).toBe(5);
  expect(world.output.join('')).toContain('does not read orders/0: orders/0 is damaged at 15');
});

it.each(['continue', 'halt'] as const)(
  'a batch that is too large is counted and told; with `onGap: %s` a partition does as it says',
  async (onGap) => {
    const world = new World(2, `, onGap: ${onGap}`);
    world.logs[0]!.tooLarge = [15, 19];
    for (const partition of [0, 1]) world.write(partition, 30);
    await world.consumer.start();
    await eventually(() => expect(world.committed(1)).toBe(30));
    await eventually(() => expect(world.committed(0)).toBe(onGap === 'halt' ? 15 : 30));
    expect(offsetsOf(world, 0)).toEqual(upTo(30).filter((offset) => offset < 15 || (onGap !== 'halt' && offset > 19)));
    const { values } = await world.metrics.unreadableBatches.get();
    expect(values.map(({ value }) => value)).toEqual([1]);
    expect(world.output.join('')).toContain('orders/0 is too large at 15');
    expect(world.output.join('')).toContain('"from":15,"to":19');
    if (onGap === 'halt') expect(world.consumer.problem).toContain('Set `onGap: continue` to continue after it');
    else expect(world.consumer.problem).toBeNull();
  },
);

it.each<[reason: string, arrange: (world: World) => void]>([
  ['unreadable', ({ logs }) => void (logs[0]!.damagedAt = 15)],
  ['unreadable', ({ logs }) => void (logs[0]!.tooLarge = [15, 19])],
  [
    'gap',
    (world) => {
      world.commit(0, 5, 'e1');
      world.logs[0]!.start = 10;
    },
  ],
  ['newer', ({ commits }) => void commits.set(`${TOPIC}/0`, { offset: 5, metadata: 'ktb2;e1' })],
])('a partition that is held is counted, for as long as it is: %s', async (reason, arrange) => {
  const world = new World(2, ', onGap: halt');
  for (const partition of [0, 1]) world.write(partition, 30);
  arrange(world);
  await world.consumer.start();
  await eventually(async () => expect(await held(world)).toEqual({ [reason]: 1 }));
  await eventually(() => expect(world.committed(1)).toBe(30));
  expect(await held(world)).toEqual({ [reason]: 1 });
  world.rebalance();
  await eventually(async () => expect(await held(world)).toEqual({ [reason]: 1 }));
  await world.consumer.drain(performance.now() + 100);
  expect(await held(world)).toEqual({});
});

it.each(['continue', 'halt'] as const)(
  'a gap in a log without records is told once, whatever rebalances follow, and so is what it grows by; with `onGap: %s`',
  async (onGap) => {
    const world = new World(1, `, onGap: ${onGap}`);
    world.commit(0, 5, 'e1');
    world.write(0, 10);
    world.logs[0]!.start = 10;
    const opened = async () => {
      await eventually(() => {
        if (onGap === 'halt') expect(world.consumer.problem).toContain('offsets are missing from its log');
        else expect(world.consumer.problem).toBeNull();
      });
      return (await world.metrics.gaps.get()).values.map(({ value }) => value);
    };
    await world.consumer.start();
    expect(await opened()).toEqual([1]);
    world.rebalance();
    expect(await opened()).toEqual([1]);
    world.write(0, 5);
    world.logs[0]!.start = 15;
    for (const _ of ['tells what is new of it', 'tells nothing']) {
      world.rebalance();
      expect(await opened()).toEqual([2]);
    }
    const told = world.output.filter((line) => line.includes('Offsets are missing from the log'));
    expect(told.map((line) => JSON.parse(line) as object)).toMatchObject([
      { from: 5, to: 9 },
      { from: 10, to: 14 },
    ]);
  },
);

it('fetches that brought damage count under one assignment only', async () => {
  const world = new World(1);
  world.commit(0, 0, 'e1');
  world.write(0, 30);
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(30));
  world.logs[0]!.damagedAt = 30;
  for (const _ of [1, 2]) await world.deliver(0, 30);
  const before = world.fetches.get('orders/0')!;
  world.rebalance();
  world.write(0, 1);
  await eventually(() => expect(world.consumer.problem).toContain('is damaged at 30'));
  expect(world.fetches.get('orders/0')).toBe(before + 3);
});

it.each([true, false])(
  'what the user may not read stops nothing else, is named at once, and is read once it is allowed (read before: %s)',
  async (readBefore) => {
    const world = new World(2);
    for (const partition of [0, 1]) world.write(partition, 30);
    world.commit(0, 0, 'e1');
    if (readBefore) world.commit(1, 0, 'e2');
    world.logs[1]!.error = REFUSED;
    await world.consumer.start();
    await eventually(() => expect(world.committed(0)).toBe(30));
    await eventually(() =>
      expect(world.consumer.problem).toContain(`orders/1: Kafka refuses it to this user (${REFUSED})`),
    );
    world.write(0, 30);
    await eventually(() => expect(world.committed(0)).toBe(60));
    world.logs[1]!.error = undefined;
    await eventually(() => expect(world.committed(1)).toBe(30));
    expect(offsetsOf(world, 1)).toEqual(upTo(30));
    expect(world.consumer.problem).toBeNull();
  },
);

it.each(['accepted', 'never read'])(
  'while a topic is refused the others are committed, and known to be; what is %s of it waits until it is allowed',
  async (what) => {
    const world = new World(2);
    world.write(1, 30);
    world.commit(0, 0, 'e0');
    if (what === 'accepted') world.commit(1, 0, 'e1');
    else world.logs[1]!.error = REFUSED;
    world.held = true;
    await world.consumer.start();
    if (what === 'accepted') {
      await eventually(async () =>
        expect((await world.metrics.consumed.get()).values).toContainEqual(expect.objectContaining({ value: 30 })),
      );
      world.logs[1]!.error = REFUSED;
      world.write(1, 1);
    }
    await eventually(() => expect(world.consumer.problem).toContain('orders/1: Kafka refuses it to this user'));
    world.write(0, 30);
    world.held = false;
    await eventually(() => expect(world.committed(0)).toBe(30));
    const commits = async (outcome: string) =>
      (await world.metrics.commits.get()).values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0;
    await eventually(async () => expect(await commits('ok')).toBeGreaterThan(0));
    expect(await commits('failed')).toBe(0);
    world.logs[1]!.error = undefined;
    await eventually(() => expect(world.committed(1)).toBe(world.logs[1]!.writtenMs.length));
  },
);

it('a leader that answers with errors is named after fifteen seconds, no sooner, until it answers', async () => {
  const world = new World(2);
  for (const partition of [0, 1]) world.write(partition, 30);
  for (const partition of [0, 1]) world.commit(partition, 0, `e${partition}`);
  world.logs[1]!.error = 'KAFKA_STORAGE_ERROR';
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(30));
  expect(world.consumer.problem).toBeNull();
  const nowMs = performance.now();
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs + 16_000);
  expect(world.consumer.problem).toContain('orders/1: its leader answers KAFKA_STORAGE_ERROR');
  const unserved = async () => (await world.metrics.unserved.get()).values.map(({ value }) => value);
  await eventually(async () => expect(await unserved()).toEqual([1]));
  vi.restoreAllMocks();
  world.logs[1]!.error = undefined;
  await eventually(() => expect(world.committed(1)).toBe(30));
  expect(world.consumer.problem).toBeNull();
  await eventually(async () => expect(await unserved()).toEqual([0]));
});

it.each(['NOT_LEADER_OR_FOLLOWER', REFUSED])(
  'an error of a partition that is paused since is not told, since nobody asks: %s',
  async (error) => {
    // No commit may fall between its steps.
    waitAtLength();
    const world = new World(2, ', maxBuffered: 1MiB');
    world.textBytes = 20_000;
    world.held = true;
    for (const partition of [0, 1]) world.commit(partition, 0, `e${partition}`);
    await world.consumer.start();
    world.write(1, 10);
    await eventually(() => expect(world.fetches.get('orders/1')).toBeGreaterThan(0));
    const fetches = world.fetches.get('orders/1')!;
    world.logs[1]!.error = error;
    world.write(1, 10);
    await eventually(() => expect(world.fetches.get('orders/1')).toBeGreaterThan(fetches));
    const nowMs = performance.now.bind(performance);
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => nowMs() + 16_000);
    await eventually(() => expect(world.consumer.problem).toContain(error));
    world.write(0, 200);
    await eventually(() => expect(world.paused.has('orders/1')).toBe(true));
    clock.mockImplementation(() => nowMs() + 3_600_000);
    expect(world.consumer.problem).toBeNull();
    world.answer(1, error);
    clock.mockImplementation(() => nowMs() + 7_200_000);
    expect(world.consumer.problem).toBeNull();
    // Told again only once it is asked again.
    world.held = false;
    await eventually(() => expect(offsetsOf(world, 0)).toHaveLength(200));
    world.logs[1]!.error = undefined;
    await eventually(() => expect(offsetsOf(world, 1)).toEqual(upTo(20)));
    expect(world.consumer.problem).toBeNull();
  },
);

it('no epoch begins because Kafka does not tell its cluster id: the records that were read are in the log', async () => {
  const world = new World(1);
  world.write(0, 30);
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(30));
  const epoch = world.epochOf(0);
  for (const clusterId of [null, 'c1', null]) {
    world.clusterId = clusterId;
    world.rebalance();
    world.write(0, 10);
    await eventually(() => expect(world.committed(0)).toBe(world.logs[0]!.writtenMs.length));
  }
  expect(world.epochOf(0)).toBe(epoch);
  expect(offsetsOf(world, 0)).toEqual(upTo(60));
});

it('where Kafka does not tell its cluster id and another record stands in the log, a new epoch begins', async () => {
  const world = new World(1);
  world.write(0, 30);
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(30));
  const epoch = world.epochOf(0);
  world.clusterId = null;
  world.logs[0]!.writtenMs.fill(1);
  world.rebalance();
  world.write(0, 10, 1);
  await eventually(() => expect(world.committed(0)).toBe(40));
  expect(world.epochOf(0)).not.toBe(epoch);
});

/** The log of partition 0, of which 50 records were read, is replaced by one that is shorter. */
async function recreatedIsReadWhole(world: World, records: number, writtenMs: number): Promise<void> {
  world.logs[0]!.writtenMs.length = 0;
  world.write(0, records, writtenMs);
  await eventually(() => expect(world.consumer.problem).toContain(`its log ends at ${records}`));
  passTenSeconds();
  await eventually(() => expect(world.committed(0)).toBe(records));
  expect(offsetsOf(world, 0)).toEqual(sorted(upTo(50), upTo(records)));
  expect(await truncations(world)).toEqual([0]);
}

/** Makes what has waited for ten seconds due. */
function passTenSeconds(): void {
  const now = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => now() + 10_000);
}

async function readFifty(topicId?: string): Promise<World> {
  const world = new World(1);
  world.topicId = topicId;
  world.write(0, 50, Date.now() - 60_000);
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(50));
  return world;
}

const truncations = async (world: World) => (await world.metrics.truncations.get()).values.map(({ value }) => value);

it.each([
  ['while it runs', false],
  ['at a rebalance', true],
])(
  'a log that was truncated is gone on with at its end, %s: nothing comes again, and what comes is not dropped',
  async (_, rebalances) => {
    const world = await readFifty();
    const epoch = world.epochOf(0);
    world.logs[0]!.writtenMs.length = 40;
    if (rebalances) world.rebalance();
    await eventually(() =>
      expect(world.consumer.problem).toContain('its log ends at 40, before the position 50 in it'),
    );
    passTenSeconds();
    await eventually(() => expect(world.output.join('')).toContain('lacks what was read of it'));
    world.write(0, 20);
    await eventually(() => expect(world.committed(0)).toBe(60));
    expect(offsetsOf(world, 0)).toEqual(sorted(upTo(50), upTo(60).slice(40)));
    expect(world.epochOf(0)).not.toBe(epoch);
    expect(await truncations(world)).toEqual([1]);
  },
);

it.each([
  ['and is longer again before anybody has looked', 30, false],
  ['and is longer again, at a rebalance', 30, true],
  ['and is still shorter', 5, false],
])(
  'a log that an election has cut, %s: all records in the place of the lost ones are read, and nothing comes again',
  async (_, written, rebalances) => {
    const world = new World(1);
    world.topicId = 'aaaaaaaa';
    world.logs[0]!.leaders = [{ epoch: 5, from: 0 }];
    world.write(0, 50, Date.now() - 60_000);
    await world.consumer.start();
    await eventually(() => expect(world.committed(0)).toBe(50));
    const epoch = world.epochOf(0);
    world.cut(0, 40, 7);
    world.write(0, written);
    if (rebalances) world.rebalance();
    await eventually(() => expect(world.committed(0)).toBe(40 + written));
    expect(offsetsOf(world, 0)).toEqual(sorted(upTo(50), upTo(40 + written).slice(40)));
    expect(world.epochOf(0)).not.toBe(epoch);
    expect(await truncations(world)).toEqual([1]);
    expect(world.output.join('')).toContain('"from":40,"to":49');
    // Another leader that has lost nothing begins no epoch.
    const next = world.epochOf(0);
    world.logs[0]!.leaders = [...world.logs[0]!.leaders, { epoch: 8, from: 40 + written }];
    world.write(0, 5);
    await eventually(() => expect(world.committed(0)).toBe(45 + written));
    expect(world.epochOf(0)).toBe(next);
    expect(await truncations(world)).toEqual([1]);
  },
);

it.each<[string, Partial<Log>, Partial<Log>]>([
  ['aborted records', { control: [45, 46, 47, 48, 49] }, { control: [45, 46] }],
  ['a batch that nobody can read', { tooLarge: [45, 49] }, { tooLarge: [45, 46] }],
])(
  'a log that an election has cut within %s at the end of what was read: nothing in their place is passed over',
  async (_, before, after) => {
    const world = new World(1, ', onGap: continue');
    world.topicId = 'aaaaaaaa';
    Object.assign(world.logs[0]!, { leaders: [{ epoch: 5, from: 0 }], ...before });
    world.write(0, 50);
    await world.consumer.start();
    await eventually(() => expect(world.committed(0)).toBe(50));
    world.cut(0, 47, 6);
    Object.assign(world.logs[0]!, after);
    world.write(0, 20);
    await eventually(() => expect(world.committed(0)).toBe(67));
    expect(offsetsOf(world, 0)).toEqual([...upTo(45), ...upTo(67).slice(47)]);
    expect(world.output.join('')).toContain('"from":47,"to":49');
  },
);

it('with `onGap: halt` a log that an election has cut is held, and once a person has set the offset to the cut, all in the place of the lost records is read', async () => {
  const world = new World(1, ', onGap: halt');
  world.topicId = 'aaaaaaaa';
  world.logs[0]!.leaders = [{ epoch: 5, from: 0 }];
  world.write(0, 50);
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(50));
  world.cut(0, 40, 6);
  world.write(0, 30);
  await eventually(() => expect(world.consumer.problem).toContain("Set the group's offset to 40"));
  expect(await held(world)).toEqual({ truncated: 1 });
  await world.restart();
  world.commits.set('orders/0', { offset: 40, metadata: '' });
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(70));
  expect(offsetsOf(world, 0)).toEqual(sorted(upTo(50), upTo(70).slice(40)));
});

it('a cut is not forgotten over aborted records that the next leader has written after it', async () => {
  const world = new World(1);
  world.topicId = 'aaaaaaaa';
  world.logs[0]!.leaders = [{ epoch: 5, from: 0 }];
  world.write(0, 50);
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(50));
  world.cut(0, 40, 6);
  world.logs[0]!.control = [50, 51];
  world.write(0, 12);
  // Nothing follows that could tell.
  await eventually(() => expect(offsetsOf(world, 0)).toEqual(sorted(upTo(50), upTo(50).slice(40))));
  expect(await truncations(world)).toEqual([1]);
});

it('a topic that is gone and comes back longer is another one: all of it is read, and nothing of the old one is committed', async () => {
  const world = await readFifty();
  world.topicError = 'missing';
  world.answer(0, MISSING);
  await eventually(() => expect(world.consumer.problem).toContain('orders/0: Kafka has no such topic'));
  // So Kafka does.
  world.commits.clear();
  world.logs[0]!.writtenMs.length = 0;
  world.write(0, 60, Date.now() + 1_000);
  world.topicError = null;
  await eventually(() => expect(world.committed(0)).toBe(60));
  expect(offsetsOf(world, 0)).toEqual(sorted(upTo(50), upTo(60)));
  expect(world.consumer.problem).toBeNull();
});

it('a recreated topic that has only a control record where a record was is another log, though nothing is written after', async () => {
  const world = await readFifty();
  world.commits.clear();
  world.logs[0]!.writtenMs.fill(Date.now());
  world.logs[0]!.control = [49];
  world.rebalance();
  await eventually(() => expect(world.committed(0)).toBe(50));
  expect(offsetsOf(world, 0)).toEqual(sorted(upTo(50), upTo(49)));
});

it('control records move the position on, and are no gap', async () => {
  const world = new World(1);
  world.write(0, 50);
  world.logs[0]!.control = [10, 11, 49];
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(50));
  expect(offsetsOf(world, 0)).toEqual(upTo(49).filter((offset) => offset !== 10 && offset !== 11));
  expect((await world.metrics.gaps.get()).values.map(({ value }) => value)).toEqual([0]);
});

it('a topic that is gone while a partition of it changes its layout is another one when it comes back: all of it is read', async () => {
  const world = new World(1);
  world.write(0, 100);
  world.commit(0, 100, 'e1', { batchers: 1, keyFunction: 'key' });
  await world.consumer.start();
  // No batch lets it commit that the layout change has begun.
  await eventually(() => expect(world.paused.has('orders/0')).toBe(false));
  world.topicError = 'missing';
  world.answer(0, MISSING);
  await eventually(() => expect(world.consumer.problem).toContain('orders/0: Kafka has no such topic'));
  world.commits.clear();
  world.logs[0]!.writtenMs.length = 0;
  world.write(0, 150);
  world.topicError = null;
  await eventually(() => expect(world.committed(0)).toBe(150));
  expect(offsetsOf(world, 0)).toEqual(upTo(150));
  expect(world.epochOf(0)).not.toBe('e1');
  expect(world.consumer.problem).toBeNull();
});

/** Answers questions of a kind late: those from now on, once `answer` is called. */
function answerLate(world: World, what: 'group' | 'coverage' | 'logs') {
  let give: () => void = () => undefined;
  const late = { what, isAsked: false, answer: new Promise<void>((resolve) => (give = resolve)) };
  world.late = late;
  const answer = () => {
    world.late = null;
    give();
  };
  return { isAsked: () => late.isAsked, answer };
}

it.each(['group', 'coverage'] as const)(
  'what was asked of a partition before its topic was gone does not open it after: all of it is read (%s)',
  async (what) => {
    const world = await readFifty();
    if (what === 'coverage') {
      // Without an offset it takes the batchers to know where to go on: the log begins after what they have.
      world.commits.clear();
      world.logs[0]!.start = 50;
    }
    const { isAsked, answer } = answerLate(world, what);
    world.rebalance();
    await eventually(() => expect(isAsked()).toBe(true));
    world.commits.clear();
    world.logs[0]!.start = 0;
    world.logs[0]!.writtenMs.length = 0;
    world.write(0, 60, Date.now() + 1_000);
    world.answer(0, MISSING);
    answer();
    await eventually(() => expect(world.committed(0)).toBe(60));
    expect(offsetsOf(world, 0)).toEqual(sorted(upTo(50), upTo(60)));
  },
);

it('a partition whose topic is gone while its log is asked for is not fetched before its start is known', async () => {
  const world = new World(1);
  world.write(0, 100);
  world.commit(0, 100, 'e1', { batchers: 1, keyFunction: 'key' });
  await world.consumer.start();
  await eventually(() => expect(world.paused.has('orders/0')).toBe(false));
  const { isAsked, answer } = answerLate(world, 'logs');
  // What the layout change asks for is out of range.
  world.logs[0]!.start = 101;
  world.write(0, 5);
  await eventually(() => expect(isAsked()).toBe(true));
  world.topicError = 'missing';
  world.answer(0, MISSING);
  answer();
  await eventually(() => expect(world.consumer.problem).toContain('orders/0: Kafka has no such topic'));
  expect(world.paused.has('orders/0')).toBe(true);
});

it('a topic that is gone while it is asked where a log begins is another one when it comes back: all of it is read', async () => {
  const world = await readFifty();
  world.topicError = 'missing';
  // What is due is out of range: nothing is fetched that could tell.
  world.logs[0]!.start = 60;
  world.write(0, 20);
  await eventually(() => expect(world.consumer.problem).toContain('orders/0: Kafka has no such topic'));
  world.commits.clear();
  world.logs[0]!.start = 0;
  world.logs[0]!.writtenMs.length = 0;
  world.write(0, 60, Date.now() + 1_000);
  world.topicError = null;
  await eventually(() => expect(world.committed(0)).toBe(60));
  expect(offsetsOf(world, 0)).toEqual(sorted(upTo(50), upTo(60)));
});

it('an offset out of range is not asked for again and again while the member joins, and is read on from after it has joined', async () => {
  const world = await readFifty();
  world.beginJoin();
  world.logs[0]!.start = 60;
  world.write(0, 20);
  await eventually(() => expect(world.paused.has('orders/0')).toBe(true));
  world.rebalance();
  await eventually(() => expect(world.committed(0)).toBe(70));
  expect(offsetsOf(world, 0)).toEqual(sorted(upTo(50), upTo(70).slice(60)));
});

it('a broker that does not know a topic for a moment costs nothing, and nothing begins anew', async () => {
  const world = await readFifty();
  const epoch = world.epochOf(0);
  world.answer(0, MISSING);
  world.write(0, 10);
  await eventually(() => expect(world.committed(0)).toBe(60));
  expect(offsetsOf(world, 0)).toEqual(upTo(60));
  expect(world.epochOf(0)).toBe(epoch);
});

it('a partition whose broker is silent about its topic is told of, and read once the broker answers', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const world = new World(1);
  world.topicId = 'aaaaaaaa00000000';
  world.saysNoTopic = true;
  world.write(0, 30);
  void world.consumer.start();
  await eventually(async () => {
    await vi.advanceTimersByTimeAsync(1_000);
    expect(world.consumer.problem ?? '').toContain('it does not read orders/0: its broker does not say');
    expect(world.output.join('')).toContain('cannot read orders/0: its broker does not say');
  });
  expect(world.accepted).toEqual([]);
  world.saysNoTopic = false;
  await eventually(async () => {
    await vi.advanceTimersByTimeAsync(1_000);
    expect(offsetsOf(world, 0)).toEqual(upTo(30));
    expect(world.consumer.problem).toBeNull();
  });
});

it('what held a partition up is over with its topic', async () => {
  const world = new World(1);
  world.write(0, 30);
  world.logs[0]!.damagedAt = 15;
  await world.consumer.start();
  await eventually(async () => expect(await held(world)).toEqual({ unreadable: 1 }));
  await eventually(() => expect(world.committed(0)).toBe(15));
  world.answer(0, MISSING);
  expect(await held(world)).toEqual({});
  delete world.logs[0]!.damagedAt;
  await eventually(() => expect(world.committed(0)).toBe(30));
  expect(offsetsOf(world, 0)).toEqual(upTo(30));
});

it.each([
  ['the group has no offset then', { epoch: '', keepsOffset: false }],
  ['this member commits again at once', { epoch: '', keepsOffset: true }],
  ['this member commits again at once, under an epoch of 0.1.0', { epoch: 'e1', keepsOffset: true }],
])(
  'a topic that is created again at once, while it is paused for room, is read from its start: %s',
  async (_, { epoch, keepsOffset }) => {
    const world = new World(1, ', maxBuffered: 1MiB');
    world.topicId = 'aaaaaaaa00000000';
    world.textBytes = 20_000;
    world.write(0, 50);
    if (epoch !== '') world.commit(0, 0, epoch);
    await world.consumer.start();
    await eventually(() => expect(world.committed(0)).toBe(50));
    world.held = true;
    world.write(0, 100);
    await eventually(() => expect(world.paused.has('orders/0')).toBe(true));
    const before = world.epochOf(0);
    world.topicId = 'bbbbbbbb00000000';
    world.logs[0]!.writtenMs.length = 0;
    world.write(0, 300, Date.now() + 1_000);
    // What Kafka deletes, the next commit of this member brings back.
    if (!keepsOffset) world.commits.clear();
    world.held = false;
    await eventually(() => expect(world.committed(0)).toBe(300), 20_000);
    const ofNewLog = world.accepted.filter((name) => !name.endsWith(`/${before}`));
    expect(ofNewLog.map((name) => Number(name.split('/')[1])).sort((one, other) => one - other)).toEqual(upTo(300));
    await eventually(() => expect(world.epochOf(0)).toMatch(/^[0-9a-f]{12}\.bbbbbb$/));
  },
);

it('what was read of a new topic under the epoch of the one before proves nothing: the new one is read from its start', async () => {
  const world = await readFifty('aaaaaaaa00000000');
  const before = world.epochOf(0);
  // Its next fetch comes only after the topic is there again, and no commit comes before the process ends.
  world.silent = true;
  world.topicId = 'bbbbbbbb00000000';
  world.logs[0]!.writtenMs.length = 0;
  world.write(0, 80, Date.now() + 1_000);
  await eventually(() => expect(world.accepted).toContain(`0/79/${before}`));
  await world.restart();
  world.commits.clear();
  world.silent = false;
  world.accepted.length = 0;
  await world.consumer.start();
  const ofNewEpoch = () => world.accepted.filter((name) => !name.endsWith(`/${before}`));
  await eventually(() => expect(ofNewEpoch()).toHaveLength(80), 20_000);
  expect(offsetsOf(world, 0)).toEqual(upTo(80));
}, 30_000);

it('a partition that was paused for room when its topic went is read once it is there again', async () => {
  const world = new World(1, ', maxBuffered: 1MiB');
  world.textBytes = 20_000;
  world.write(0, 50);
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(50));
  world.held = true;
  world.write(0, 100);
  await eventually(() => expect(world.paused.has('orders/0')).toBe(true));
  world.topicError = 'missing';
  world.answer(0, MISSING);
  await eventually(() => expect(world.consumer.problem).toContain('Kafka has no such topic'));
  world.held = false;
  await eventually(async () => {
    const [consumed] = (await world.metrics.consumed.get()).values;
    expect(offsetsOf(world, 0)).toHaveLength(consumed?.value ?? 0);
  });
  // Kafka clears the group's offsets together with the topic.
  world.accepted.length = 0;
  world.commits.clear();
  world.logs[0]!.writtenMs.length = 0;
  world.write(0, 160, Date.now() + 1_000);
  world.topicError = null;
  await eventually(() => expect(world.committed(0)).toBe(160));
  expect(offsetsOf(world, 0)).toEqual(upTo(160));
}, 30_000);

it('what a log has lost that is empty is told once, whatever rebalances follow before there is a record, and another loss anew', async () => {
  const world = await readFifty();
  // Whatever has to last ten seconds has done so at the next look.
  let nowMs = performance.now();
  vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 10_000));
  const lose = async () => {
    world.logs[0]!.writtenMs.length = 0;
    for (const _ of ['tells it', 'tells nothing']) {
      world.rebalance();
      await eventually(() => expect(world.consumer.problem).toBeNull());
    }
  };
  await lose();
  expect(await truncations(world)).toEqual([1]);
  const epoch = world.epochOf(0);
  world.write(0, 50);
  await eventually(() => expect([world.epochOf(0) === epoch, world.committed(0)]).toEqual([false, 50]));
  await lose();
  expect(await truncations(world)).toEqual([2]);
  // Each judgement takes a second look, a second later.
}, 20_000);

it('a log that only seems to be shorter for a moment is gone on with as if nothing were', async () => {
  const world = await readFifty();
  const epoch = world.epochOf(0);
  const written = world.logs[0]!.writtenMs;
  const lost = written.splice(40);
  await eventually(() => expect(world.consumer.problem).toContain('its log ends at 40'));
  written.push(...lost);
  world.write(0, 10);
  await eventually(() => expect(world.committed(0)).toBe(60));
  expect(offsetsOf(world, 0)).toEqual(upTo(60));
  expect(world.epochOf(0)).toBe(epoch);
  expect(await truncations(world)).toEqual([0]);
});

it('a log whose first record is younger than all that was read is another one: all of it is read', async () => {
  const world = await readFifty();
  await recreatedIsReadWhole(world, 20, Date.now() + 1_000);
});

it('an offset that a person has set within an open transaction is read from, once the transaction has ended', async () => {
  const world = new World(2);
  for (const partition of [0, 1]) world.write(partition, 11);
  world.logs[0]!.openFrom = 10;
  world.commits.set(`${TOPIC}/0`, { offset: 11, metadata: '' });
  passTenSeconds();
  await world.consumer.start();
  // Another partition's batches bring what to commit by.
  await eventually(() => expect(world.epochOf(0)).not.toBeNull());
  const epoch = world.epochOf(0);
  world.rebalance();
  await eventually(() => expect(world.consumer.problem).toBeNull());
  delete world.logs[0]!.openFrom;
  world.write(0, 5);
  await eventually(() => expect(world.committed(0)).toBe(16));
  expect(offsetsOf(world, 0)).toEqual([11, 12, 13, 14, 15]);
  expect(world.epochOf(0)).toBe(epoch);
  expect(await truncations(world)).toEqual([0]);
});

it('a log that ends before an offset that a person has set is read from its start, after ten seconds', async () => {
  const world = new World(1);
  world.write(0, 30);
  world.commits.set(`${TOPIC}/0`, { offset: 50, metadata: '' });
  await world.consumer.start();
  await eventually(() => expect(world.consumer.problem).toContain('its log ends at 30, before the position 50 in it'));
  expect(world.accepted).toEqual([]);
  passTenSeconds();
  await eventually(() => expect(world.committed(0)).toBe(30));
  expect(offsetsOf(world, 0)).toEqual(upTo(30));
});

it('a topic that is recreated while it is read is read from its start, also where several records have to be looked at', async () => {
  const world = new World(1, '', 4);
  world.write(0, 10, Date.now() - 60_000);
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(10));
  // One batcher has the rest: the last records that the others remember are at offsets that the new log has, too.
  world.keyOf = () => 'key-9';
  world.write(0, 40, Date.now() - 50_000);
  await eventually(() => expect(world.committed(0)).toBe(50));
  await recreatedIsReadWhole(world, 30, Date.now() - 1_000);
});

it('what a topic holds that may not be read yet is not read later either, where only the latest is wanted', async () => {
  const world = new World(2, ', startFrom: latest');
  for (const partition of [0, 1]) world.write(partition, 30, Date.now() - 1_000);
  world.topicError = 'TOPIC_AUTHORIZATION_FAILED';
  const started = world.consumer.start();
  await eventually(() => expect(world.output.join('')).toContain('TOPIC_AUTHORIZATION_FAILED'));
  world.topicError = null;
  await started;
  for (const partition of [0, 1]) world.write(partition, 5);
  await eventually(() => {
    for (const partition of [0, 1]) expect(offsetsOf(world, partition)).toEqual([30, 31, 32, 33, 34]);
  });
});

it('a topic that may not be read at a restart keeps no other waiting, and is read from what was written since, where only the latest is wanted', async () => {
  const world = new World(1, ', startFrom: latest', BATCHERS, ['other']);
  world.commit(0, 0, 'e1', { batchers: BATCHERS, keyFunction: 'key' }, 'other');
  world.write(0, 30, Date.now() - 1_000);
  world.topicError = REFUSED;
  await world.consumer.start();
  await eventually(() => expect(world.consumer.problem).toContain(`it does not read orders/0: ${REFUSED}`));
  world.topicError = null;
  world.write(0, 5);
  await eventually(() => expect(offsetsOf(world, 0)).toEqual([30, 31, 32, 33, 34]));
});

it('a partition that had no leader when only the latest was wanted is read from what was written since, after restarts, too', async () => {
  const world = new World(3, ', startFrom: latest');
  for (const partition of [0, 1, 2]) world.write(partition, 30, Date.now() - 1_000);
  world.logs[1]!.leaderless = true;
  await world.consumer.start();
  await eventually(() => expect(world.committed(2)).toBe(30));
  for (const partition of [0, 2]) world.write(partition, 5);
  await eventually(() => expect(world.committed(2)).toBe(35));
  expect(world.output.join('')).toContain(`orders/1: ${NO_LEADER}`);
  await world.restart();
  await world.consumer.start();
  await eventually(() => expect(world.consumer.problem).toContain(`orders/1: ${NO_LEADER}`));
  await world.restart();
  world.logs[1]!.leaderless = false;
  world.write(1, 5);
  await world.consumer.start();
  await eventually(() => expect(offsetsOf(world, 1)).toEqual([30, 31, 32, 33, 34]));
  for (const partition of [0, 2]) expect(offsetsOf(world, partition)).toEqual([30, 31, 32, 33, 34]);
  expect(world.epochOf(1)).not.toBeNull();
});

it('of a partition that comes later, everything is read, also where another had no leader when only the latest was wanted', async () => {
  const world = new World(2, ', startFrom: latest');
  world.write(0, 30, Date.now() - 1_000);
  world.logs[1]!.leaderless = true;
  await world.consumer.start();
  await eventually(() => expect(world.committed(0)).toBe(30));
  await world.restart();
  world.logs.push({ start: 0, writtenMs: [], leaderless: false });
  world.write(2, 5, Date.now() - 1_000);
  await world.consumer.start();
  await eventually(() => expect(offsetsOf(world, 2)).toEqual(upTo(5)));
});

it('a topic that was not there yet is read from its beginning, also where only the latest is wanted', async () => {
  const world = new World(1, ', startFrom: latest');
  world.topicError = 'missing';
  await world.consumer.start();
  world.topicError = null;
  world.write(0, 5);
  await eventually(() => expect(offsetsOf(world, 0)).toEqual(upTo(5)));
});

it.each([
  ['fails', () => Promise.reject(new Error('the coordinator is away'))],
  ['never ends', () => new Promise<void>(() => undefined)],
])('drains, and has committed what was accepted, where leaving the group %s', async (_, goodbye) => {
  const world = new World(2);
  await world.consumer.start();
  for (const partition of [0, 1]) world.write(partition, 30);
  await eventually(() => expect(world.accepted).toHaveLength(60));
  world.goodbye = goodbye;
  await world.consumer.drain(performance.now() + 100);
  for (const partition of [0, 1]) expect(world.committed(partition)).toBe(30);
});

it.each(['the last commit', 'one on its way'])(
  'ends to drain, and leaves the group, where Kafka does not answer %s',
  async (commit) => {
    const world = new World(1);
    world.commit(0, 0, 'e0');
    await world.consumer.start();
    world.silent = true;
    world.held = commit === 'the last commit';
    world.write(0, 30);
    await eventually(() => expect(world.fetches.get('orders/0')).toBe(3));
    if (!world.held) await eventually(() => expect(world.unanswered).toBe(1));
    let left = false;
    world.goodbye = () => Promise.resolve(void (left = true));
    const drained = world.consumer.drain(performance.now() + 500);
    world.held = false;
    await drained;
    expect([world.unanswered, left]).toEqual([1, true]);
    expect(world.accepted).toHaveLength(30);
  },
);

it('what is read after a first try to join that never ended is committed', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const world = new World(1);
  world.write(0, 30);
  world.commit(0, 0, 'e1');
  world.deaf = true;
  void world.consumer.start();
  await vi.advanceTimersByTimeAsync(60_000);
  world.deaf = false;
  await vi.advanceTimersByTimeAsync(140_000);
  await eventually(async () => {
    await vi.advanceTimersByTimeAsync(1_000);
    expect(world.committed(0)).toBe(30);
  });
  expect(offsetsOf(world, 0)).toEqual(upTo(30));
});

it('says what it waits for before it has begun', async () => {
  const world = new World(1, ', startFrom: latest');
  world.workers = false;
  void world.consumer.start();
  await eventually(() =>
    expect(world.consumer.problem).toBe('the consumer of pipeline p: it cannot commit where it begins: no poller seen'),
  );
  world.workers = true;
  await eventually(() => expect(world.consumer.problem).toBeNull());
});
