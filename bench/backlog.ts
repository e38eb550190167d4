import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@clickhouse/client';
import { Kafka, logLevel, type Admin } from 'kafkajs';
import type { Stack } from '../stack/index.js';

const PARTITIONS = 8;
const KNOWN_WITHIN_MS = 30_000;
const POLL_MS = 50;
let backlogs = 0;

/** Records that wait in a topic, with the table and the reply topic that they are drained to. */
export class Backlog {
  readonly name: string;
  readonly topic: string;
  readonly replyTopic: string;
  readonly deadLetterTopic: string;
  readonly table: string;
  readonly records: number;
  readonly #stack: Stack;
  readonly #kafka: Kafka;

  private constructor(stack: Stack, records: number) {
    this.name = `bench${++backlogs}`;
    this.topic = `${this.name}.input`;
    this.replyTopic = `${this.name}.replies`;
    this.deadLetterTopic = `${this.name}.dead-letters`;
    this.table = this.name;
    this.records = records;
    this.#stack = stack;
    this.#kafka = new Kafka({ brokers: [...stack.kafka.brokers], logLevel: logLevel.NOTHING });
  }

  /** Creates topics and table, and produces. */
  static async produce(stack: Stack, records: number): Promise<Backlog> {
    const backlog = await Backlog.create(stack, records);
    // Idempotent: kafkajs repeats a request that failed for one partition for all of them, and a new topic's do fail.
    const producer = backlog.#kafka.producer({ allowAutoTopicCreation: false, idempotent: true });
    await producer.connect();
    for (let id = 0; id < records; id += BATCH) {
      const size = Math.min(BATCH, records - id);
      const messages = Array.from({ length: size }, (_, index) => benchMessage(id + index));
      await producer.send({ topic: backlog.topic, messages });
    }
    await producer.disconnect();
    await backlog.#mustHoldEachRecordOnce();
    return backlog;
  }

  /** Creates topics and table. */
  static async create(stack: Stack, records: number): Promise<Backlog> {
    const backlog = new Backlog(stack, records);
    const admin = backlog.#kafka.admin();
    await admin.connect();
    const topics = [backlog.topic, backlog.replyTopic, backlog.deadLetterTopic];
    await admin.createTopics({
      // It gives up where a broker does not know the new topic yet.
      waitForLeaders: false,
      topics: topics.map((topic) => ({ topic, numPartitions: PARTITIONS })),
    });
    for (const topic of topics) await untilKnown(admin, topic);
    await admin.disconnect();
    const clickhouse = createClient({ url: stack.clickhouse.url });
    await clickhouse.command({
      query: `CREATE TABLE ${backlog.table} (
          id UInt64, customer String, amount Decimal(12, 2), status LowCardinality(String), created DateTime64(3), note String,
          _topic LowCardinality(String), _partition UInt32, _offset UInt64, _timestamp DateTime64(3), _key String,
          _epoch LowCardinality(String)
        ) ENGINE = ReplacingMergeTree ORDER BY (_topic, _partition, _epoch, _offset)
        SETTINGS non_replicated_deduplication_window = 1000`,
    });
    await clickhouse.close();
    return backlog;
  }

  async #mustHoldEachRecordOnce(): Promise<void> {
    const held = await this.#held(this.topic);
    if (held !== this.records)
      throw new Error(`the producer wrote ${held} records instead of ${this.records}: run it again`);
  }

  async #held(topic: string): Promise<number> {
    const admin = this.#kafka.admin();
    await admin.connect();
    const offsets = await admin.fetchTopicOffsets(topic);
    await admin.disconnect();
    return offsets.reduce((sum, { high }) => sum + Number(high), 0);
  }

  /** Resolves when so many acknowledgements are on the reply topic as there are records. */
  async untilAcknowledged(timeoutMs = 600_000): Promise<void> {
    const admin = this.#kafka.admin();
    await admin.connect();
    const deadline = Date.now() + timeoutMs;
    try {
      for (;;) {
        const offsets = await admin.fetchTopicOffsets(this.replyTopic);
        const acks = offsets.reduce((sum, { high }) => sum + Number(high), 0);
        if (acks >= this.records) return;
        if (Date.now() > deadline) throw new Error(`only ${acks} of ${this.records} records were acknowledged in time`);
        await sleep(POLL_MS);
      }
    } finally {
      await admin.disconnect();
    }
  }

  /** Counts the rows, and takes everything away: a benchmark that lost or doubled a record has measured nothing. */
  async remove(): Promise<void> {
    const clickhouse = createClient({ url: this.#stack.clickhouse.url });
    const result = await clickhouse.query({
      query: `SELECT count() AS rows, uniqExact(id) AS ids, uniqExact(_topic, _partition, _offset, _epoch) AS identities FROM ${this.table}`,
      format: 'JSONEachRow',
    });
    const [counts] = await result.json<{ rows: string; ids: string; identities: string }>();
    if (Number(counts?.rows) !== this.records || Number(counts?.ids) !== this.records) {
      throw new Error(
        `${this.records} records became ${counts?.rows ?? 0} rows of ${counts?.ids ?? 0} ids and ${counts?.identities ?? 0} identities`,
      );
    }
    await clickhouse.command({ query: `DROP TABLE ${this.table} SYNC` });
    await clickhouse.close();
    const admin = this.#kafka.admin();
    await admin.connect();
    await admin.deleteTopics({ topics: [this.topic, this.replyTopic, this.deadLetterTopic] });
    await admin.disconnect();
  }
}

/** kafkajs groups a request's messages by partition in quadratic time. */
const BATCH = 500;

/** A JSON object of 200 bytes, with one of 5,000 keys. */
export function benchMessage(id: number): { key: string; value: string } {
  const customer = (id * 7_919) % 5_000;
  const value = {
    id,
    customer: `customer-${customer}`,
    amount: ((id * 37) % 1_000_000) / 100,
    status: ['new', 'paid', 'shipped', 'returned'][id % 4],
    created: new Date(1_760_000_000_000 + id * 250).toISOString(),
    note: '',
  };
  const bytes = JSON.stringify(value).length;
  return { key: `customer-${customer}`, value: JSON.stringify({ ...value, note: note(id, 200 - bytes) }) };
}

/** Text of this length that differs from record to record. */
function note(id: number, length: number): string {
  let text = '';
  for (let word = id; text.length < length; word = (word * 2_654_435_761 + 1) % 4_294_967_296)
    text += `${word.toString(36)} `;
  return text.slice(0, Math.max(0, length));
}

/** Waits until a topic that was just created can be asked for. */
async function untilKnown(admin: Admin, topic: string): Promise<void> {
  for (const deadline = Date.now() + KNOWN_WITHIN_MS; ;) {
    try {
      await admin.fetchTopicOffsets(topic);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(POLL_MS);
    }
  }
}
