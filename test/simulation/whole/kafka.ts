import type { Cluster, ConsumerConfig, EachBatchPayload, Kafka, Offsets } from 'kafkajs';
import kafkajs from 'kafkajs';
import type { KafkaAdmin } from '../../../src/kafka/admin.js';
import { FetchedBatch } from '../../../src/kafka/kafkajs/fetchedBatch.js';
import { OUT_OF_RANGE, type OutOfRangeHandler } from '../../../src/kafka/kafkajs/outOfRange.js';
import type { MessageProducer } from '../../../src/kafka/producers.js';
import type { OutgoingMessage } from '../../../src/kafka/outgoingMessage.js';
import type { TopicPartition } from '../../../src/protocol/record.js';
import type { Clock, Process } from './clock.js';
import type { Network, Request } from './network.js';
import { PartitionLog, type Written } from './partitionLog.js';

export const TOPIC = 'orders';
export const PARTITIONS = 3;
const TOPIC_ID = 'T0picIdOfOrders';
export const CLUSTER = 'c1';
const FETCHED_AT_ONCE = 8;
const HEARTBEAT_MS = 3_000;
export const SESSION_MS = 10_000;
const REBALANCE_MAX_MS = 20_000;
const RETRY_MS = 250;
/** So many heartbeats in a row without an answer, and kafkajs gives up. */
const HEARTBEATS_LOST_MAX = 3;

/** What a group has committed for a partition. */
interface Committed {
  readonly offset: number;
  readonly metadata: string;
  /** Of the record before. */
  readonly leaderEpoch?: number;
}

/** What Kafka tells of itself, for the checks. */
export interface KafkaWatch {
  readonly committed: (partition: number, offset: number, metadata: string) => void;
  readonly published: (topic: string, message: OutgoingMessage) => void;
  readonly tell: (what: string) => void;
}

/** As the product commits. kafkajs's own types lack some of it. */
interface OutgoingCommit {
  readonly partition: number;
  readonly offset: string;
  readonly metadata: string;
  readonly leaderEpoch?: number | null;
}

interface Member {
  readonly consumer: SimulatedConsumer;
  heardMs: number;
  hasJoined: boolean;
}

/** Kafka: the log of one topic, a group and what it has committed, and the topics that are written to. */
export class SimulatedKafka {
  readonly logs: readonly PartitionLog[] = Array.from({ length: PARTITIONS }, () => new PartitionLog());
  readonly commits = new Map<number, Committed>();
  readonly clock: Clock;
  readonly network: Network;
  readonly watch: KafkaWatch;
  readonly #members = new Map<number, Member>();
  generation = 0;
  #isJoining = false;
  #names = 0;

  constructor(clock: Clock, network: Network, watch: KafkaWatch) {
    this.clock = clock;
    this.network = network;
    this.watch = watch;
  }

  write(partition: number, record: Omit<Written, 'timestampMs'>): void {
    this.logs[partition]!.append({ ...record, timestampMs: this.clock.nowMs });
    this.#logHasChanged();
  }

  /** An election that is not clean: the new leader of a partition lacks the last records. */
  elect(partition: number, lacking: number): void {
    this.logs[partition]!.elect(lacking);
    this.#logHasChanged();
  }

  #logHasChanged(): void {
    for (const { consumer } of this.#members.values()) this.clock.after(2, consumer.process, () => consumer.pump());
  }

  ask<Answer>(process: Process, request: Request, serve: () => Answer): Promise<Answer> {
    return this.network.ask(process, request, serve, (why) => new Error(why));
  }

  /** A consumer as kafkajs makes it. */
  clientOf(process: Process): Kafka {
    return {
      consumer: (config: ConsumerConfig) => new SimulatedConsumer(this, process, config, ++this.#names),
    } as unknown as Kafka;
  }

  adminOf(process: Process): KafkaAdmin {
    const ask = <Answer>(serve: () => Answer) => this.ask(process, 'kafka.lookUp', serve);
    const ends = () => this.logs.map((log, partition) => [`${TOPIC}/${partition}`, log.end] as const);
    return {
      describeTopics: () =>
        ask(() => ({ clusterId: CLUSTER, brokers: [], topics: new Map([[TOPIC, { error: null, partitions: [] }]]) })),
      describeGroups: () => ask(() => ({ groups: [{ members: [...this.#members.values()].map(() => ({})) }] })),
      fetchLogs: () =>
        ask(() =>
          this.logs.map((log, partition) => {
            return { topic: TOPIC, partition, logStart: 0, logEnd: log.end, topicId: TOPIC_ID };
          }),
        ),
      fetchHighWatermarks: () => ask(() => new Map(ends())),
      fetchEpochEnd: ({ partition }: TopicPartition, leaderEpoch: number) =>
        ask(() => this.logs[partition]!.epochEnd(leaderEpoch)),
      fetchOffsetsAt: () => ask(() => new Map(ends().map(([name]) => [name, -1]))),
      fetchCommits: () =>
        ask(() => new Map([...this.commits].map(([partition, commit]) => [`${TOPIC}/${partition}`, commit]))),
      listTopics: () => ask(() => [TOPIC]),
    } as unknown as KafkaAdmin;
  }

  producerOf(process: Process): MessageProducer {
    return {
      connect: () => this.ask(process, 'kafka.connect', () => undefined),
      send: (topic, messages) => {
        const list = [...messages];
        return this.ask(process, `kafka.publish.${topic}`, () => {
          for (const message of list) this.watch.published(topic, message);
        });
      },
      disconnect: () => Promise.resolve(),
    };
  }

  // The group

  /** A person may do this to a group without members only. */
  removeMembers(): void {
    this.#members.clear();
    this.#isJoining = false;
    this.generation++;
  }

  rebalance(): void {
    if (this.#members.size === 0 || this.#isJoining) return;
    this.#isJoining = true;
    for (const member of this.#members.values()) member.hasJoined = false;
    const { generation } = this;
    this.clock.after(REBALANCE_MAX_MS, null, () => {
      if (!this.#isJoining || this.generation !== generation) return;
      for (const [name, { hasJoined }] of this.#members) if (!hasJoined) this.#members.delete(name);
      this.#endJoining();
    });
  }

  join(consumer: SimulatedConsumer): void {
    const member = this.#members.get(consumer.name) ?? { consumer, heardMs: 0, hasJoined: false };
    if (!this.#members.has(consumer.name)) this.#expireLater(consumer.name, member);
    this.#members.set(consumer.name, member);
    this.rebalance();
    member.heardMs = this.clock.nowMs;
    member.hasJoined = true;
    // Others may come at the same time.
    this.clock.after(100, null, () => this.#endJoining());
  }

  leave(consumer: SimulatedConsumer): void {
    if (!this.#members.delete(consumer.name)) return;
    this.#endJoining();
    this.rebalance();
  }

  /** @returns what is wrong with a member. Null if nothing is */
  heartbeat(consumer: SimulatedConsumer): string | null {
    const member = this.#members.get(consumer.name);
    if (member === undefined) return 'UNKNOWN_MEMBER_ID';
    member.heardMs = this.clock.nowMs;
    if (this.#isJoining) return 'REBALANCE_IN_PROGRESS';
    return consumer.generation === this.generation ? null : 'ILLEGAL_GENERATION';
  }

  commit(consumer: SimulatedConsumer, generation: number, { topics }: Offsets): void {
    if (!this.#members.has(consumer.name) || generation !== this.generation) throw typed('ILLEGAL_GENERATION');
    for (const { partitions } of topics)
      for (const { partition, offset, metadata, leaderEpoch } of partitions as unknown as readonly OutgoingCommit[]) {
        this.watch.committed(partition, Number(offset), metadata);
        const of = typeof leaderEpoch === 'number' ? { leaderEpoch } : {};
        this.commits.set(partition, { offset: Number(offset), metadata, ...of });
      }
  }

  #endJoining(): void {
    const members = [...this.#members.values()];
    if (!this.#isJoining || members.length === 0 || members.some(({ hasJoined }) => !hasJoined)) return;
    this.#isJoining = false;
    const generation = ++this.generation;
    members.forEach(({ consumer }, index) => {
      const own = Array.from({ length: PARTITIONS }, (_, partition) => partition).filter(
        (partition) => (partition + generation) % members.length === index,
      );
      if (this.network.isCut(consumer.process, 'kafka.join')) return;
      this.clock.after(3, consumer.process, () => consumer.assigned(generation, own));
    });
  }

  #expireLater(name: number, member: Member): void {
    const check = (): void => {
      if (this.#members.get(name) !== member) return;
      const quietMs = this.clock.nowMs - member.heardMs;
      if (quietMs < SESSION_MS) {
        this.clock.after(SESSION_MS - quietMs, null, check);
        return;
      }
      this.#members.delete(name);
      this.watch.tell(`the group gives ${member.consumer.process.name} up`);
      this.#endJoining();
      this.rebalance();
    };
    this.clock.after(SESSION_MS, null, check);
  }
}

/** kafkajs's consumer, as far as it is used. */
class SimulatedConsumer {
  readonly events = {
    GROUP_JOIN: 'join',
    HEARTBEAT: 'heartbeat',
    CRASH: 'crash',
    RECEIVED_UNSUBSCRIBED_TOPICS: 'unsubscribed',
  };
  readonly name: number;
  readonly process: Process;
  generation = -1;
  readonly #kafka: SimulatedKafka;
  readonly #listeners = new Map<string, (event: { payload: object }) => void>();
  readonly #assigner;
  #eachBatch: (payload: EachBatchPayload) => Promise<void> = () => Promise.resolve();
  #isRunning = false;
  #isJoining = false;
  /** By partition, where it is fetched next. A new map for each assignment. */
  #positions = new Map<number, { next: number | null; isFetching: boolean; seeks: number }>();
  readonly #paused = new Set<number>();
  #heartbeatsLost = 0;

  constructor(kafka: SimulatedKafka, process: Process, { partitionAssigners = [] }: ConsumerConfig, name: number) {
    this.#kafka = kafka;
    this.process = process;
    this.name = name;
    const [createAssigner = kafkajs.PartitionAssigners.roundRobin] = partitionAssigners;
    this.#assigner = createAssigner({ cluster: {} as Cluster, groupId: 'g', logger: LOGGER });
  }

  on(event: string, listener: (event: { payload: object }) => void): void {
    this.#listeners.set(event, listener);
  }

  connect(): Promise<void> {
    return this.#kafka.ask(this.process, 'kafka.connect', () => undefined);
  }

  subscribe(): Promise<void> {
    return Promise.resolve();
  }

  run({ eachBatch }: { eachBatch: (payload: EachBatchPayload) => Promise<void> }): Promise<void> {
    this.#eachBatch = eachBatch;
    this.#isRunning = true;
    this.#heartbeatLater();
    void this.#join();
    return Promise.resolve();
  }

  async disconnect(): Promise<void> {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    await this.#kafka.ask(this.process, 'kafka.leave', () => this.#kafka.leave(this));
  }

  seek({ partition, offset }: { partition: number; offset: string }): void {
    const position = this.#positions.get(partition);
    if (position === undefined) return;
    position.next = Number(offset);
    position.seeks++;
    this.#pumpSoon();
  }

  pause(topics: readonly { readonly partitions?: number[] }[]): void {
    for (const { partitions = [] } of topics) for (const partition of partitions) this.#paused.add(partition);
  }

  resume(topics: readonly { readonly partitions?: number[] }[]): void {
    for (const { partitions = [] } of topics) for (const partition of partitions) this.#paused.delete(partition);
    this.#pumpSoon();
  }

  assigned(generation: number, partitions: readonly number[]): void {
    if (!this.#isRunning) return;
    this.#isJoining = false;
    this.generation = generation;
    this.#positions = new Map(
      partitions.map((partition) => [partition, { next: null, isFetching: false, seeks: 0 }] as const),
    );
    this.#kafka.watch.tell(`${this.process.name} has partitions ${partitions.join(', ') || '-'}`);
    this.#emit(this.events.GROUP_JOIN, { memberAssignment: { [TOPIC]: [...partitions] } });
    this.#pumpSoon();
  }

  /** Fetches what is due. */
  pump(): void {
    if (!this.#isRunning || this.#isJoining) return;
    for (const partition of this.#positions.keys()) void this.#fetch(partition);
  }

  #pumpSoon(): void {
    this.#kafka.clock.after(1, this.process, () => this.pump());
  }

  async #fetch(partition: number): Promise<void> {
    const positions = this.#positions;
    const position = positions.get(partition)!;
    const log = this.#kafka.logs[partition]!;
    if (position.isFetching || position.next === null || this.#paused.has(partition)) return;
    const from = position.next;
    if (from === log.end) return;
    position.isFetching = true;
    const { seeks } = position;
    try {
      const part = await this.#kafka.ask(this.process, 'kafka.fetch', () =>
        from > log.end ? null : log.part(from, FETCHED_AT_ONCE),
      );
      if (this.#positions !== positions || !this.#isRunning) return;
      // Without records: the log was cut there while the request was on its way.
      if (part === null || part.records.length === 0) {
        if (part === null) this.#outOfRange(partition);
        position.isFetching = false;
        this.#pumpSoon();
        return;
      }
      const topic = { type: 'topic', topicId: TOPIC_ID } as const;
      const askTopic = () => ({ askedAtMs: performance.now(), answer: Promise.resolve(topic) });
      const batch = new FetchedBatch(
        {
          topic: TOPIC,
          partition,
          highWatermark: String(log.end),
          fetchedOffset: String(from),
          rawMessages: [],
          askTopic,
        },
        part,
      );
      await this.#eachBatch({
        batch,
        resolveOffset: (offset: string) => {
          if (position.seeks === seeks) position.next = Number(offset) + 1;
        },
        heartbeat: () => Promise.resolve(),
        commitOffsetsIfNecessary: (offsets: Offsets) => this.#commit(offsets),
      } as unknown as EachBatchPayload);
      position.isFetching = false;
      this.#pumpSoon();
    } catch (error) {
      position.isFetching = false;
      if (isOutOfGroup(error)) void this.#join();
      else this.#kafka.clock.after(RETRY_MS, this.process, () => this.pump());
    }
  }

  #outOfRange(partition: number): void {
    (this.#assigner as unknown as Record<symbol, OutOfRangeHandler>)[OUT_OF_RANGE]?.({ topic: TOPIC, partition });
  }

  #commit(offsets: Offsets): Promise<void> {
    const { generation } = this;
    return this.#kafka.ask(this.process, 'kafka.commit', () => this.#kafka.commit(this, generation, offsets));
  }

  async #join(): Promise<void> {
    if (!this.#isRunning || this.#isJoining) return;
    this.#isJoining = true;
    try {
      this.#assigner.protocol({ topics: [TOPIC] });
      await this.#kafka.ask(this.process, 'kafka.join', () => {
        if (this.#isRunning) this.#kafka.join(this);
      });
    } catch (error) {
      this.#crash(error as Error);
      return;
    }
    // The answer may not come.
    this.#kafka.clock.after(REBALANCE_MAX_MS + 5_000, this.process, () => {
      if (!this.#isJoining) return;
      this.#isJoining = false;
      void this.#join();
    });
  }

  #heartbeatLater(): void {
    this.#kafka.clock.after(HEARTBEAT_MS, this.process, () => void this.#heartbeat());
  }

  async #heartbeat(): Promise<void> {
    if (!this.#isRunning) return;
    this.#heartbeatLater();
    if (this.#isJoining) return;
    try {
      const problem = await this.#kafka.ask(this.process, 'kafka.heartbeat', () => this.#kafka.heartbeat(this));
      this.#heartbeatsLost = 0;
      if (problem === null) this.#emit(this.events.HEARTBEAT, {});
      else await this.#join();
    } catch (error) {
      if (++this.#heartbeatsLost >= HEARTBEATS_LOST_MAX) this.#crash(error as Error);
    }
  }

  #crash(error: Error): void {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    this.#emit(this.events.CRASH, { error });
  }

  #emit(event: string, payload: object): void {
    this.#listeners.get(event)?.({ payload });
  }
}

const LOGGER = new kafkajs.Kafka({ brokers: ['x:1'], logLevel: kafkajs.logLevel.NOTHING }).logger();

function typed(type: string): Error {
  return Object.assign(new Error(type), { type });
}

function isOutOfGroup(error: unknown): boolean {
  return (error as { type?: string }).type === 'ILLEGAL_GENERATION';
}
