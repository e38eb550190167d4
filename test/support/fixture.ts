import { createClient, type ClickHouseClient } from '@clickhouse/client';
import { Client, Connection } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import {
  CompressionTypes,
  ConfigResourceTypes,
  Kafka,
  logLevel,
  type Consumer,
  type KafkaMessage,
  type Message,
  type Producer,
} from 'kafkajs';
import { stringify } from 'yaml';
import { atTestEnd } from './besideOthers.js';
import type { AtEnd } from './daemon.js';
import { asKafkajsGives, headersOf } from './headers.js';
import { eventually } from './eventually.js';
import type { StackAddresses } from './sharedStack.js';
import { IDLE_WAIT_MS } from './topicReader.js';
import { createAdmin, type KafkaAdmin } from '../../src/kafka/admin.js';
import { allLogs, fetchLogOffsets, findGroupOffsets } from '../../src/kafka/offsets.js';
import { registerCodecs } from './kafkajsCodecs.js';
import { type BatcherStatus, BATCHER } from '../../src/protocol/batcher.js';
import { batcherWorkflowId } from '../../src/protocol/batcherId.js';
import type { ConfigInput } from '../../src/config/schema.js';

type PipelineInput = ConfigInput['pipelines'][string];

/** An acknowledgement as it came. */
export interface Ack {
  readonly key: string | null;
  readonly status: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly batch: string;
  readonly code?: string;
  readonly message?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly receivedAtMs: number;
}

export interface FixtureOptions {
  readonly partitions?: number;
  /** Settings of the input topic. */
  readonly topicConfig?: Readonly<Record<string, string>>;
  readonly pipeline?: Partial<PipelineInput>;
  readonly config?: Partial<ConfigInput>;
  /** Columns of the table beside the identity columns. */
  readonly columns?: string;
  /** Inserts that the table remembers by their tokens; default 1,000. */
  readonly deduplicationWindow?: number;
  /**
   * Where leaders move kafkajs's idempotent producer dies of a sequence number, now and then. One that repeats a request
   * instead may write a record twice, as two records of the same id. It sends to one partition at a time: of a request to
   * several brokers kafkajs forgets a part, with success, when a leader moves to one that has answered.
   */
  readonly producer?: 'idempotent' | 'repeating';
  /** What the clients of Temporal read and write payloads with. */
  readonly payloadCodecs?: PayloadCodec[];
}

let fixtures = 0;

/**
 * One pipeline on a stack, with topics, a table and batchers of its own, and the clients to look at it from outside: what
 * a user of the product has. It is closed when the test is over.
 */
export class Fixture {
  readonly name: string;
  readonly topic: string;
  readonly replyTopic: string;
  readonly deadLetterTopic: string;
  readonly table: string;
  /** Many, so that they meet. */
  readonly batchers: number;
  readonly stack: StackAddresses;
  readonly kafka: Kafka;
  readonly admin: KafkaAdmin;
  readonly producer: Producer;
  readonly clickhouse: ClickHouseClient;
  readonly temporal: Client;
  readonly #connection: Connection;
  readonly #options: FixtureOptions;
  readonly #acks: Ack[] = [];
  #ackConsumer: Consumer | undefined;
  #produced = 0;
  /** Requests to Temporal that are under way. */
  readonly #asked = new Set<Promise<unknown>>();
  #isClosed = false;
  #sends = 0;

  private constructor(stack: StackAddresses, options: FixtureOptions, connection: Connection) {
    this.name = `p${process.pid}-${++fixtures}`;
    this.topic = `${this.name}.input`;
    this.replyTopic = `${this.name}.replies`;
    this.deadLetterTopic = `${this.name}.dead-letters`;
    this.table = `t_${this.name.replaceAll('-', '_')}`;
    this.batchers = Number(options.pipeline?.batchers ?? 8);
    this.stack = stack;
    this.#options = options;
    registerCodecs();
    this.kafka = new Kafka({ brokers: [...stack.kafka.brokers], logLevel: logLevel.NOTHING });
    this.admin = createAdmin(this.kafka);
    this.producer = this.kafka.producer({
      allowAutoTopicCreation: false,
      ...(options.producer === 'repeating' ? { retry: { retries: 60, maxRetryTime: 1_000 } } : { idempotent: true }),
    });
    this.clickhouse = createClient({ url: stack.clickhouse.url });
    this.#connection = connection;
    this.temporal = new Client({ connection, dataConverter: { payloadCodecs: options.payloadCodecs ?? [] } });
  }

  /** @param atEnd takes what closes it; by default the end of the test does */
  static async create(stack: StackAddresses, options: FixtureOptions = {}, atEnd: AtEnd = atTestEnd): Promise<Fixture> {
    const fixture = new Fixture(stack, options, await Connection.connect({ address: stack.temporal.address }));
    atEnd(() => fixture.close());
    await Promise.all([fixture.admin.connect(), fixture.producer.connect()]);
    const numPartitions = options.partitions ?? 8;
    await Promise.all([
      fixture.createTopic(fixture.topic, numPartitions, options.topicConfig),
      fixture.createTopic(fixture.replyTopic, numPartitions),
      fixture.createTopic(fixture.deadLetterTopic, numPartitions),
      fixture.clickhouse.command({
        query: `CREATE TABLE ${fixture.table} (
          ${options.columns ?? 'id Int64, text String'},
          _topic LowCardinality(String), _partition UInt32, _offset UInt64, _timestamp DateTime64(3), _key String,
          _epoch LowCardinality(String)
        ) ENGINE = MergeTree ORDER BY (_topic, _partition, _epoch, _offset)
        SETTINGS non_replicated_deduplication_window = ${options.deduplicationWindow ?? 1_000}`,
      }),
    ]);
    return fixture;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    // Temporal's client repeats a request in a timer. Over a closed connection that throws outside of any test.
    await Promise.allSettled(this.#asked);
    await Promise.allSettled([
      this.#ackConsumer?.disconnect(),
      this.admin.disconnect(),
      this.producer.disconnect(),
      this.clickhouse.close(),
      this.#connection.close(),
    ]);
  }

  /** kafkajs's own wait for leaders gives up where a broker does not know the new topic yet. */
  async createTopic(
    topic: string,
    numPartitions: number,
    config: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const topics = [{ topic, numPartitions, configEntries: configEntries(config) }];
    await this.admin.createTopics({ topics, waitForLeaders: false });
    await eventually(() => fetchLogOffsets(this.admin, [topic]));
  }

  /** Gives settings to topics that exist; those that are not named go back to their defaults. */
  async alterTopics(topics: readonly string[], config: Readonly<Record<string, string>>): Promise<void> {
    const resources = topics.map((name) => {
      return { type: ConfigResourceTypes.TOPIC, name, configEntries: configEntries(config) };
    });
    await this.admin.alterConfigs({ validateOnly: false, resources });
  }

  /** Removes what comes before an offset of partition 0, as its topic's retention does. */
  async removeBefore(offset: number): Promise<void> {
    const { admin, topic } = this;
    // kafkajs finds the leader only of topics that it was asked for before.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(offset) }] });
  }

  /** The configuration file of a daemon for this pipeline. */
  config(pipeline: Partial<PipelineInput> = {}, temporal: Partial<NonNullable<ConfigInput['temporal']>> = {}): string {
    const { brokers } = this.stack.kafka;
    const input: ConfigInput = {
      kafka: { brokers: [...brokers], sessionTimeout: '6s' },
      temporal: { address: this.stack.temporal.address, taskQueue: this.name, ...temporal },
      clickhouse: { url: this.stack.clickhouse.url },
      http: { listen: '127.0.0.1:0' },
      log: { format: 'json' },
      ...this.#options.config,
      pipelines: {
        [this.name]: {
          topics: [this.topic],
          table: this.table,
          batchers: this.batchers,
          reply: { topic: this.replyTopic, copyHeaders: ['trace'] },
          deadLetter: { topic: this.deadLetterTopic },
          ...this.#options.pipeline,
          ...pipeline,
        },
      },
    };
    return stringify(input);
  }

  /** Produces records with ascending ids, keyed by one of a few hundred keys. */
  async produce(
    records: number,
    overrides: (id: number) => Partial<Message> = () => ({}),
    compression = CompressionTypes.None,
  ): Promise<void> {
    for (let left = records; left > 0;) {
      const size = Math.min(left, 500);
      const partition = this.#options.producer === 'repeating' ? this.#nextPartition() : undefined;
      const messages = Array.from({ length: size }, (_, index): Message => {
        const id = this.#produced + index;
        return {
          key: `key-${id % 331}`,
          value: JSON.stringify({ id, text: `record number ${id} of the test` }),
          ...(partition === undefined ? {} : { partition }),
          ...overrides(id),
        };
      });
      await this.producer.send({ topic: this.topic, messages, compression });
      this.#produced += size;
      left -= size;
    }
  }

  #nextPartition(): number {
    return this.#sends++ % (this.#options.partitions ?? 8);
  }

  get produced(): number {
    return this.#produced;
  }

  /** Begins to collect the acknowledgements, from the first. */
  async collectAcks(): Promise<readonly Ack[]> {
    this.#ackConsumer = this.kafka.consumer({ groupId: `${this.name}.acks`, maxWaitTimeInMs: IDLE_WAIT_MS });
    await this.#ackConsumer.connect();
    await this.#ackConsumer.subscribe({ topics: [this.replyTopic], fromBeginning: true });
    await this.#ackConsumer.run({
      autoCommit: false,
      eachBatch: ({ batch }) => {
        for (const message of batch.messages) {
          const { key, value } = message;
          const texts = Object.entries(headersOf(message)).map(([name, bytes]) => [name, String(bytes)]);
          this.#acks.push({
            ...(JSON.parse(String(value)) as Omit<Ack, 'key' | 'headers' | 'receivedAtMs'>),
            key: key === null ? null : key.toString(),
            headers: Object.fromEntries(texts) as Record<string, string>,
            receivedAtMs: Date.now(),
          });
        }
        return Promise.resolve();
      },
    });
    return this.#acks;
  }

  get acks(): readonly Ack[] {
    return this.#acks;
  }

  /** Records that a consumer which begins at the start gets, by the offsets that are still there. */
  async recordsInTopic(): Promise<number> {
    const ends = new Map(
      (await fetchLogOffsets(this.admin, [this.topic])).map(({ partition, logEnd }) => [partition, logEnd]),
    );
    const consumer = this.kafka.consumer({ groupId: `${this.name}.count.${Date.now()}`, maxWaitTimeInMs: 100 });
    const reached = new Map([...ends].filter(([, end]) => end > 0).map(([partition]) => [partition, 0]));
    let records = 0;
    await consumer.connect();
    await consumer.subscribe({ topics: [this.topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: ({ batch }) => {
        records += batch.messages.length;
        reached.set(batch.partition, Number(batch.lastOffset()) + 1);
        return Promise.resolve();
      },
    });
    await eventually(() => {
      if ([...reached].some(([partition, next]) => next < (ends.get(partition) ?? 0)))
        throw new Error('the topic has not been read to its end');
    });
    await consumer.disconnect();
    return records;
  }

  /** Waits until compaction has removed records. */
  async untilCompacted(): Promise<void> {
    await eventually(async () => {
      // A new segment lets the old one be compacted.
      await this.produce(1, (id) => ({ key: `key-${id % 10}` }));
      if ((await this.recordsInTopic()) > this.#produced / 2) throw new Error('the topic has not been compacted');
    });
  }

  /** What the dead-letter topic holds, once it has so many messages. */
  async deadLetters(count: number): Promise<KafkaMessage[]> {
    const letters: KafkaMessage[] = [];
    const consumer = this.kafka.consumer({
      groupId: `${this.name}.dead-letters.${letters.length}`,
      maxWaitTimeInMs: 100,
      maxBytesPerPartition: 20_000_000,
      maxBytes: 50_000_000,
    });
    await consumer.connect();
    await consumer.subscribe({ topics: [this.deadLetterTopic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: ({ batch }) => Promise.resolve(void letters.push(...batch.messages.map(asKafkajsGives))),
    });
    try {
      await eventually(() => {
        if (letters.length < count) throw new Error(`${letters.length} of ${count} dead letters`);
      });
    } finally {
      await consumer.disconnect();
    }
    return letters;
  }

  async query<T>(query: string): Promise<T[]> {
    const result = await this.clickhouse.query({ query, format: 'JSONEachRow' });
    return result.json<T>();
  }

  /** Rows in the table, and different identities and ids among them. */
  async rowCounts(): Promise<{ rows: number; identities: number; ids: number }> {
    const [counts] = await this.query<{ rows: string; identities: string; ids: string }>(
      `SELECT count() AS rows, uniqExact(_topic, _partition, _offset, _epoch) AS identities, uniqExact(id) AS ids FROM ${this.table}`,
    );
    return { rows: Number(counts?.rows), identities: Number(counts?.identities), ids: Number(counts?.ids) };
  }

  /** Next offset that the group has committed, and the end of the log, per partition. */
  async offsets(): Promise<{ partition: number; committed: number; end: number; metadata: string | null }[]> {
    const offsets = allLogs(await findGroupOffsets(this.admin, `ktb-${this.name}`, [this.topic]));
    return offsets.map(({ partition, logEnd, committedOffset, committedMetadata }) => ({
      partition,
      committed: committedOffset ?? -1,
      end: logEnd,
      metadata: committedMetadata,
    }));
  }

  batcher(index: number) {
    const layout = { batchers: this.batchers, keyFunction: 'key' } as const;
    return this.temporal.workflow.getHandle(batcherWorkflowId(this.name, layout, index));
  }

  async batcherStatus(index: number): Promise<BatcherStatus> {
    if (this.#isClosed) throw new Error('the test is over');
    const answer = this.batcher(index).query<BatcherStatus>(BATCHER.queries.status);
    this.#asked.add(answer);
    try {
      return await answer;
    } finally {
      this.#asked.delete(answer);
    }
  }
}

function configEntries(config: Readonly<Record<string, string>>): { name: string; value: string }[] {
  return Object.entries(config).map(([name, value]) => ({ name, value }));
}
