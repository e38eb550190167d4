import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@clickhouse/client';
import { Kafka, logLevel } from 'kafkajs';
import type { Stack } from '../stack/index.js';
import type { Backlog } from './backlog.js';
import { columnDefinitions } from './scenario.js';
import { createTopics, recordsIn, withAdmin } from './topics.js';

const ACKNOWLEDGED_WITHIN_MS = 600_000;
const INSERTED_WITHIN_MS = 120_000;
const POLL_MS = 50;
let destinations = 0;

/** Where a backlog is drained to: a table, a reply topic and a dead-letter topic of its own. */
export class Destination {
  readonly name = `bench_${++destinations}`;
  readonly replyTopic = `${this.name}.replies`;
  readonly deadLetterTopic = `${this.name}.dead-letters`;
  readonly table = this.name;
  readonly backlog: Backlog;
  readonly #stack: Stack;
  readonly #kafka: Kafka;

  private constructor(stack: Stack, backlog: Backlog) {
    this.backlog = backlog;
    this.#stack = stack;
    this.#kafka = new Kafka({
      brokers: [...stack.kafka.brokers],
      logLevel: logLevel.NOTHING,
      // It looks on while a broker is restarted.
      retry: { initialRetryTime: 50, maxRetryTime: 50, retries: 1_000 },
    });
  }

  /** @param identities whether a row says which record it is; without, the drainer writes values as they are */
  static async create(stack: Stack, backlog: Backlog, identities = true): Promise<Destination> {
    const destination = new Destination(stack, backlog);
    const { replyTopic, deadLetterTopic } = destination;
    await createTopics(destination.#kafka, [replyTopic, deadLetterTopic], backlog.scenario.partitions);
    await destination.#statement(
      `CREATE TABLE ${destination.table} (${columnDefinitions(backlog.scenario)}${identities ? IDENTITY : ''})
        ENGINE = MergeTree ORDER BY ${identities ? '(_topic, _partition, _epoch, _offset)' : 'id'}
        SETTINGS non_replicated_deduplication_window = 1000`,
    );
    return destination;
  }

  /** Resolves with their number when so many acknowledgements are on the reply topic; by default one a record. */
  async untilAcknowledged(count = this.backlog.scenario.records): Promise<number> {
    return withAdmin(this.#kafka, async (admin) => {
      for (const deadline = Date.now() + ACKNOWLEDGED_WITHIN_MS; ;) {
        const acks = await recordsIn(admin, this.replyTopic);
        if (acks >= count) return acks;
        if (Date.now() > deadline) throw new Error(`only ${acks} of ${count} records were acknowledged in time`);
        await sleep(POLL_MS);
      }
    });
  }

  /** Resolves when all rows are in the table: after a failure some records may be acknowledged twice. */
  async untilInserted(): Promise<void> {
    for (const deadline = Date.now() + INSERTED_WITHIN_MS; (await this.#held()).rows < this.backlog.scenario.records;) {
      if (Date.now() > deadline) return; // What is missing is told by `remove`.
      await sleep(POLL_MS);
    }
  }

  /** Counts the rows, and takes everything away: a benchmark that lost or doubled a record has measured nothing. */
  async remove(): Promise<void> {
    const { records } = this.backlog.scenario;
    const { rows, ids } = await this.#held();
    if (rows !== records || ids !== records) throw new Error(`${records} records became ${rows} rows of ${ids} ids`);
    await this.#statement(`DROP TABLE ${this.table} SYNC`);
    await withAdmin(this.#kafka, (admin) => admin.deleteTopics({ topics: [this.replyTopic, this.deadLetterTopic] }));
  }

  async #held(): Promise<{ readonly rows: number; readonly ids: number }> {
    const clickhouse = createClient({ url: this.#stack.clickhouse.url });
    const query = `SELECT count() AS rows, uniqExact(id) AS ids FROM ${this.table}`;
    const result = await clickhouse.query({ query, format: 'JSONEachRow' });
    const [counts] = await result.json<{ rows: string; ids: string }>();
    await clickhouse.close();
    return { rows: Number(counts?.rows), ids: Number(counts?.ids) };
  }

  async #statement(query: string): Promise<void> {
    const clickhouse = createClient({ url: this.#stack.clickhouse.url });
    await clickhouse.command({ query });
    await clickhouse.close();
  }
}

const IDENTITY = `, _topic LowCardinality(String), _partition UInt32, _offset UInt64, _timestamp DateTime64(3), _key String,
  _epoch LowCardinality(String)`;
