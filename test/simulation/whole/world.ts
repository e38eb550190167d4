import { createActivities } from '../../../src/activities/index.js';
import { decodeChunk } from '../../../src/codecs/chunkCodec.js';
import type { PipelineConfig } from '../../../src/config/config.js';
import { parseConfig } from '../../../src/config/load.js';
import { planRewind } from '../../../src/consumer/partitions/rewindPlan.js';
import { PipelineConsumer } from '../../../src/consumer/pipelineConsumer.js';
import type { OutgoingMessage } from '../../../src/kafka/outgoingMessage.js';
import { Publisher } from '../../../src/kafka/publisher.js';
import { batcherWorkflowId } from '../../../src/protocol/batcherId.js';
import type { ChunkMeta } from '../../../src/protocol/chunk.js';
import { parseLayoutName, type Layout } from '../../../src/protocol/layout.js';
import { REPLY_HEADERS } from '../../../src/protocol/replyRequest.js';
import type { Logger, StateLog } from '../../../src/telemetry/logging.js';
import type { Metrics } from '../../../src/telemetry/metrics.js';
import { TemporalBatcherClient } from '../../../src/temporal/batcherClient.js';
import { RunHistories } from '../../../src/temporal/runHistories.js';
import { Checker, Violation, type Acknowledged, type Kind } from './checker.js';
import { SimulatedClickHouse } from './clickhouse.js';
import { Clock, install, Process } from './clock.js';
import { CLUSTER, PARTITIONS, SESSION_MS, SimulatedKafka, TOPIC } from './kafka.js';
import { Network, type Fate } from './network.js';
import { installContext, short, SimulatedTemporal, type Batcher } from './temporal.js';

export const MEMBERS = 3;
export const WORKERS = 2;
const KEYS = 4;
const SETTLE_STEP_MS = 1_000;
const DRAIN_MS = 5_000;
/** How long a process may take to see that a log ends before what it has read. */
const CUT_SEEN_MS = 60_000;

/** What people set up. */
export interface Setting {
  /** Tokens that ClickHouse remembers. */
  readonly tokensMax: number;
  /** Whether random bytes are random. */
  readonly hasChance: boolean;
  /** How long everything may take once all is well again, in the story's time. */
  readonly settleMaxMs: number;
}

export const SETTING: Setting = { tokensMax: 1_000, hasChance: true, settleMaxMs: 480_000 };

const LAYOUTS = [
  { batchers: 2, shardBy: 'key' },
  { batchers: 3, shardBy: 'key' },
] as const;

const PIPELINES: readonly PipelineConfig[] = LAYOUTS.map(({ batchers }) => {
  const yaml = `pipelines: { orders: { topics: [${TOPIC}], table: orders, batchers: ${batchers}, reply: { topic: orders.replies }, signal: { linger: 20ms }, batch: { maxDelay: 300ms, maxRecords: 12 } } }`;
  return parseConfig(yaml, 'ktb.yaml', {}).pipelines[0]!;
});
const { deadLetterTopic, reply } = PIPELINES[0]!.settings.destination;
const REPLY_TOPIC = reply!.topic;

/** A part of the system that may die. */
interface Part {
  process: Process;
  readonly start: () => void;
  consumer: PipelineConsumer | null;
  layout: number;
}

/**
 * The whole system: members of a group, batchers, workers, each of them production code as it runs in a daemon, around
 * a Kafka, a Temporal and a ClickHouse that are models, with a simulated network and clock between them.
 */
export class World {
  readonly clock: Clock;
  readonly network: Network;
  readonly kafka: SimulatedKafka;
  readonly temporal: SimulatedTemporal;
  readonly clickhouse: SimulatedClickHouse;
  readonly checker = new Checker(PARTITIONS);
  readonly told: string[] = [];
  readonly #isTold: boolean;
  readonly #settleMaxMs: number;
  readonly #members: Part[];
  readonly #workers: Part[];
  readonly #uninstall: () => void;
  /** The first rule that was broken, wherever it was noticed. */
  #violation: Error | null = null;
  #ids = 0;

  constructor(seed: number, { tokensMax, hasChance, settleMaxMs }: Setting = SETTING, isTold = false) {
    this.#settleMaxMs = settleMaxMs;
    this.#isTold = isTold;
    const tell = (what: string): void => this.tell(what);
    this.clock = new Clock(seed);
    this.network = new Network(this.clock, tell);
    this.kafka = new SimulatedKafka(this.clock, this.network, {
      tell,
      committed: (partition, offset, metadata) => {
        const [, epoch = ''] = metadata.split(';');
        tell(`partition ${partition} is committed up to ${offset} under epoch ${epoch.slice(0, 4)}`);
        this.#judge(() => this.checker.committed(partition, offset, epoch));
      },
      published: (topic, message) => this.#judge(() => this.#published(topic, message)),
    });
    this.temporal = new SimulatedTemporal(this.clock, this.network, {
      tell,
      accepted: (body, meta) => this.#judge(() => this.#accepted(body, meta as ChunkMeta)),
    });
    const watch = {
      tell,
      inserted: (
        rows: readonly { id: string; _partition: number; _offset: number; _epoch: string }[],
        batch: string,
        hadRefused: boolean,
      ) =>
        this.#judge(() => {
          for (const { id, _partition, _offset, _epoch } of rows) {
            const row = { id, partition: _partition, offset: _offset, epoch: _epoch };
            this.checker.inserted(row, batch, hadRefused);
          }
        }),
    };
    this.clickhouse = new SimulatedClickHouse(this.clock, this.network, watch, tokensMax);
    this.#members = Array.from({ length: MEMBERS }, (_, index) => this.#member(index));
    this.#workers = Array.from({ length: WORKERS }, (_, index) => this.#worker(index));
    const uninstall = [install(this.clock, hasChance), installContext()];
    this.#uninstall = () => uninstall.forEach((act) => act());
  }

  /** Puts this process's own clock back. */
  end(): void {
    this.#uninstall();
  }

  tell(what: string): void {
    if (this.#isTold) this.told.push(`${(this.clock.storyMs / 1_000).toFixed(3).padStart(9)} s  ${what}`);
  }

  async begin(): Promise<void> {
    for (const part of [...this.#members.slice(0, 2), ...this.#workers]) await this.#start(part);
    await this.pass(500);
  }

  /** Lets time pass. @throws the first violation */
  async pass(ms: number): Promise<void> {
    await this.clock.pass(ms);
    this.mustBeWell();
  }

  mustBeWell(): void {
    if (this.#violation !== null) throw this.#violation;
    const [failure] = this.temporal.failures;
    if (failure !== undefined) throw new Error(`an activity fails unexpectedly: ${failure.stack}`);
  }

  // What people and accidents do

  produce(partition: number, kinds: readonly Kind[]): void {
    for (const kind of kinds) {
      const id = `r${++this.#ids}`;
      const offset = this.kafka.logs[partition]!.end;
      const key = `key-${this.#ids % KEYS}`;
      this.checker.produced(id, { partition, offset, key, kind });
      const value = kind === 'noJson' ? id : JSON.stringify({ id, ...(kind === 'refused' ? { refused: 'yes' } : {}) });
      this.tell(`${id} (${kind}) is written at ${partition}/${offset} with ${key}`);
      const headers = [[REPLY_HEADERS.correlationId, Buffer.from(id)]] as const;
      this.kafka.write(partition, { key, value, headers });
    }
  }

  /** The new leader of a partition lacks its last records. Others are written in their place. */
  cut(partition: number, lacking: number, kinds: readonly Kind[]): void {
    const { end } = this.kafka.logs[partition]!;
    const at = Math.max(0, end - lacking);
    this.tell(`the log of partition ${partition} is cut: it ends at ${at}, no more at ${end}`);
    this.kafka.elect(partition, lacking);
    this.checker.cut(partition, at);
    this.#cut.add(partition);
    this.produce(partition, kinds);
  }

  /** Partitions whose log was cut, and has got nothing more since all is well. */
  readonly #cut = new Set<number>();

  member(index: number): Part {
    return this.#members[index % MEMBERS]!;
  }

  worker(index: number): Part {
    return this.#workers[index % WORKERS]!;
  }

  batcher(index: number): Batcher | null {
    const all = [...this.temporal.batchers.values()];
    return all[index % Math.max(1, all.length)] ?? null;
  }

  fault(process: Process, request: string, fate: Fate, ms: number): void {
    this.network.arm({ process, request, fate, ms });
  }

  kill({ process }: Part): void {
    if (!process.isAlive) return;
    this.tell(`${process.name} is killed`);
    process.isAlive = false;
  }

  async restart(part: Part, layout = part.layout): Promise<void> {
    this.kill(part);
    part.layout = layout;
    await this.#start(part);
  }

  /** It stops as it should, and does not come back by itself. */
  async drain(part: Part): Promise<void> {
    const { process, consumer } = part;
    if (!process.isAwake || consumer === null) return;
    this.tell(`${process.name} drains`);
    const drain = () => consumer.drain(performance.now() + DRAIN_MS).then(() => (process.isAlive = false));
    await this.clock.as(process, () => void drain());
  }

  freeze({ process }: Part, ms: number): void {
    if (!process.isAwake) return;
    this.tell(`${process.name} stands still for ${ms} ms`);
    process.isFrozen = true;
    this.clock.after(ms, null, () => this.#thaw(process));
  }

  #thaw(process: Process): void {
    if (!process.isFrozen) return;
    this.clock.thaw(process);
    this.temporal.workersChanged();
  }

  terminate(batcher: Batcher): void {
    this.tell(`${short(batcher.workflowId)} is terminated`);
    this.temporal.terminate(batcher);
  }

  /**
   * A person stops all members and rewinds the group, as `ktb rewind` does it.
   *
   * @param again read anew what was read before. Otherwise only what the table lacks is inserted
   */
  rewind(to: number, again: boolean): void {
    if (again && this.#hasLostTemporal) return;
    this.#withoutMembers();
    this.clickhouse.takesNoLateInserts();
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const commit = this.kafka.commits.get(partition);
      const plan = planRewind(
        {
          committedOffset: commit?.offset ?? null,
          committedMetadata: commit?.metadata ?? null,
          ...{ logStart: 0, logEnd: this.kafka.logs[partition]!.end, target: to, clusterId: CLUSTER },
        },
        { again },
      );
      if (plan.type === 'leave') continue;
      const { offset, metadata } = plan;
      this.tell(`partition ${partition} is rewound to ${offset}${again ? ', to be read again' : ''}`);
      if (again) this.checker.reset(partition, offset);
      else this.checker.filled(partition, offset);
      this.kafka.commits.set(partition, { offset, metadata });
    }
  }

  #hasLostTemporal = false;

  /** Temporal's data is lost, and a person does what the operator's guide says. */
  loseTemporal(): void {
    const commits = [...this.kafka.commits.values()];
    // A rewind refuses the first, and knows nothing of the second.
    const cannot = commits.some(({ metadata }) => metadata.endsWith('closing') || metadata === '');
    if (cannot || commits.length < PARTITIONS) return;
    this.tell('the data of Temporal is lost');
    for (const part of this.#workers) this.kill(part);
    this.temporal.lose();
    this.checker.temporalLost();
    this.#hasLostTemporal = true;
    this.rewind(0, false);
  }

  /** Kafka forgets what the group has committed. */
  loseOffsets(): void {
    // Only the offsets say what a person has wanted to be read again.
    if (this.checker.hasRewound) return;
    this.#withoutMembers();
    this.tell('the offsets of the group are lost');
    this.checker.offsetsLost();
    this.kafka.commits.clear();
  }

  #withoutMembers(): void {
    for (const part of this.#members) this.kill(part);
    this.kafka.removeMembers();
  }

  /**
   * Everything is well again, everybody is there, and gets all the time that it needs.
   *
   * @throws Violation if something is still missing then
   */
  async settle(): Promise<void> {
    this.tell('everything is well again');
    this.network.heal();
    this.clickhouse.heal();
    for (const { process } of [...this.#members, ...this.#workers]) this.#thaw(process);
    this.temporal.workersChanged();
    const endMs = this.clock.nowMs + this.#settleMaxMs;
    const moreMs = this.clock.nowMs + CUT_SEEN_MS;
    while (this.clock.nowMs < endMs) {
      for (const part of [...this.#members.slice(0, 2), ...this.#workers])
        if (!part.process.isAlive) await this.#start(part);
      this.temporal.resumeAll();
      await this.pass(SETTLE_STEP_MS);
      const isDone = this.checker.missing() === null && this.temporal.isIdle;
      if (this.#cut.size > 0 && (isDone || this.clock.nowMs >= moreMs)) this.#writeAfterCuts();
      else if (isDone) break;
    }
    const missing = this.checker.missing() ?? (this.temporal.isIdle ? null : 'a batcher does not come to rest');
    if (missing !== null) throw new Violation(`${missing}, ${this.#settleMaxMs / 60_000} minutes after all was well`);
    // What was on its way.
    await this.pass(2 * SESSION_MS);
    this.checker.answersKeepOrder();
  }

  /** A log that ends just where reading has ended shows only with its next record that it was cut. */
  #writeAfterCuts(): void {
    for (const partition of this.#cut) this.produce(partition, ['good']);
    this.#cut.clear();
  }

  // The parts

  async #start(part: Part): Promise<void> {
    const { name } = part.process;
    part.process = new Process(name);
    this.tell(`${name} starts`);
    await this.clock.as(part.process, () => part.start());
  }

  #member(index: number): Part {
    const part: Part = {
      process: new Process(`member ${index + 1}`),
      layout: 0,
      consumer: null,
      start: () => {
        const { process } = part;
        const pipeline = PIPELINES[part.layout % PIPELINES.length]!;
        const client = this.temporal.clientOf(process);
        part.consumer = new PipelineConsumer({
          pipeline,
          kafkaConfig: { sessionTimeoutMs: SESSION_MS } as never,
          kafka: this.kafka.clientOf(process),
          admin: this.kafka.adminOf(process),
          batcher: (layout, lane) =>
            new TemporalBatcherClient(client, {
              workflowId: batcherWorkflowId(pipeline.name, layout, lane),
              taskQueue: 'ktb',
              settings: () => pipeline.settings,
              requestTimeoutMs: 10_000,
              counted: (_kind, request) => request,
            }),
          batcherSettings: () => pipeline.settings,
          layouts: () =>
            this.network.ask(
              process,
              'temporal.list',
              () => this.#layouts(),
              (why) => new Error(why),
            ),
          setAside: () => Promise.reject(new Error('no record is too large here')),
          metrics: NO_METRICS,
          logger: NO_LOGGER,
          stateLog: NO_STATE_LOG,
        });
        void part.consumer.start();
      },
    };
    part.process.isAlive = false;
    return part;
  }

  #layouts(): Layout[] {
    const names = new Set([...this.temporal.batchers.keys()].map((id) => id.split(':')[2] ?? ''));
    return [...names].flatMap((name) => parseLayoutName(name) ?? []);
  }

  #worker(index: number): Part {
    const part: Part = {
      process: new Process(`worker ${index + 1}`),
      layout: 0,
      consumer: null,
      start: () => {
        const { process } = part;
        const activities = createActivities({
          tables: this.clickhouse.tablesOf(process),
          histories: new RunHistories(this.temporal.clientOf(process), 'default'),
          publisher: new Publisher({ createProducer: () => this.kafka.producerOf(process) }),
          partitions: { count: () => Promise.resolve(PARTITIONS) },
          metrics: NO_METRICS,
          logger: NO_LOGGER,
          stateLog: NO_STATE_LOG,
          beat: this.temporal.beatOf(process),
          deliverConfirmation: () => Promise.resolve('delivered'),
          ofOther: () => Promise.resolve(null),
          admission: { slots: 3, flushesMax: 24, waitingMax: 7 },
        });
        this.temporal.poll({ process, activities });
      },
    };
    part.process.isAlive = false;
    return part;
  }

  // What comes out

  #accepted(body: Uint8Array, meta: ChunkMeta): void {
    for (const { partition, epoch, records } of decodeChunk(meta.segments, body)) {
      const places = records.map(({ offset }) => offset).join(',');
      this.tell(`a signal brings ${partition}/${places} under epoch ${epoch.slice(0, 4)}`);
      for (const { offset, headers } of records)
        this.checker.accepted(String(headers[0]?.[1]), { partition, offset, epoch });
    }
  }

  #published(topic: string, { value, headers }: OutgoingMessage): void {
    const text = String(value);
    if (topic === deadLetterTopic) {
      const id = /r\d+/.exec(text)?.[0] ?? text;
      this.tell(`${id} is a dead letter`);
      this.checker.letter(id);
    } else if (topic === REPLY_TOPIC) {
      const ack = JSON.parse(text) as Omit<Acknowledged, 'id'>;
      const id = String(headers?.[REPLY_HEADERS.correlationId]);
      this.tell(`${id} at ${ack.partition}/${ack.offset} is acknowledged as ${ack.status}`);
      this.checker.acknowledged({ ...ack, id });
    } else throw new Violation(`somebody publishes on ${topic}`);
  }

  #judge(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.tell(`!! ${(error as Error).message}`);
      this.#violation ??= error as Error;
    }
  }
}

export type { Part };

/** Takes every call and gives itself. */
const NOTHING: unknown = new Proxy(() => NOTHING, { get: (_target, name) => (name === 'then' ? undefined : NOTHING) });
const NO_METRICS = NOTHING as Metrics;
const NO_LOGGER = NOTHING as Logger;
const NO_STATE_LOG = NOTHING as StateLog;
