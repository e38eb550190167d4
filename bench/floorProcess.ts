import { createClient } from '@clickhouse/client';
import { Kafka, logLevel } from 'kafkajs';
import { Acknowledgements } from '../src/activities/acks.js';
import { insertRecords } from '../src/clickhouse/insertRecords.js';
import { ClickHouseTables } from '../src/clickhouse/tables.js';
import { FETCH_OPTIONS } from '../src/kafka/fetchOptions.js';
import { fromKafkaMessage } from '../src/kafka/fromKafka.js';
import { repairKafkajs } from '../src/kafka/kafkajs/repairs.js';
import { producerFactory } from '../src/kafka/producers.js';
import { Publisher } from '../src/kafka/publisher.js';
import type { SourcedRecord } from '../src/protocol/record.js';

/**
 * The floor of the benchmark: what is left when Temporal is taken out. The same consumer settings, decoding, inserting and
 * acknowledging code; no deduplication across failures, no order between inserts, no batch that outlives the process.
 */
interface Job {
  readonly brokers: string[];
  readonly clickhouse: string;
  readonly topic: string;
  readonly replyTopic: string;
  readonly table: string;
  readonly group: string;
}

/** As large as the bridge's batches are under the same load, and as many at a time. */
const BATCH_RECORDS = 10_000;
const CONCURRENT_BATCHES = 4;

const job = JSON.parse(process.argv[2] ?? '{}') as Job;
repairKafkajs();
const kafka = new Kafka({ brokers: job.brokers, logLevel: logLevel.NOTHING });
const consumer = kafka.consumer({ groupId: job.group, allowAutoTopicCreation: false, ...FETCH_OPTIONS });
const tables = new ClickHouseTables(createClient({ url: job.clickhouse }), 'default');
const publisher = new Publisher({ createProducer: producerFactory(kafka) });

let gathered: SourcedRecord[] = [];
let running = 0;
let waiting: (() => void)[] = [];

async function flush(records: readonly SourcedRecord[]): Promise<void> {
  const { inserted } = await insertRecords(records, {
    tables,
    table: job.table,
    columns: {},
    mapping: { format: 'json', unknownFields: 'ignore', tombstones: 'reject' },
    batch: 'floor',
    repeated: false,
    overdue: false,
    mustBeAlive: () => undefined,
  });
  await publisher.publish(job.replyTopic, new Acknowledgements(inserted, [], 'inserted', 'floor'));
}

/** Begins a flush of what was gathered; waits while too many are under way. */
async function flushGathered(): Promise<void> {
  const records = gathered;
  gathered = [];
  while (running >= CONCURRENT_BATCHES) await new Promise<void>((resolve) => waiting.push(resolve));
  running++;
  void flush(records).finally(() => {
    running--;
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  });
}

consumer.on(consumer.events.GROUP_JOIN, () => console.log('assigned'));
consumer.on(consumer.events.CRASH, ({ payload: { error } }) => {
  console.error(error);
  process.exit(1);
});
await consumer.connect();
await consumer.subscribe({ topics: [job.topic], fromBeginning: true });
await consumer.run({
  autoCommit: true,
  partitionsConsumedConcurrently: 16,
  eachBatch: async ({ batch: { topic, partition, messages } }) => {
    const source = { topic, partition, epoch: 'floor' };
    for (const message of messages) gathered.push({ source, record: fromKafkaMessage(message) });
    if (gathered.length >= BATCH_RECORDS) await flushGathered();
  },
});
// What is left when the topic is read to its end.
setInterval(() => {
  if (gathered.length > 0 && running === 0) void flushGathered();
}, 200);
process.once('SIGTERM', () => {
  void consumer.disconnect().finally(() => process.exit(0));
});
