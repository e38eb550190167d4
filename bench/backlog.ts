import { CompressionTypes, Kafka, logLevel, type PartitionerArgs } from 'kafkajs';
import { repairKafkajs } from '../src/kafka/kafkajs/repairs.js';
import { murmur2 } from '../src/lib/murmur2.js';
import type { Stack } from '../stack/index.js';
import { messagesOf } from './formats.js';
import { createTopics, recordsIn, withAdmin } from './topics.js';
import type { Scenario } from './scenario.js';

let backlogs = 0;

/** The record batches of a log have so many records. kafkajs groups a request's messages by partition in quadratic time. */
const BATCH_RECORDS = 64;
/** Of one produce request. */
const REQUEST_BYTES_MAX = 8_000_000;

/** Records that wait in a topic. Any number of destinations can be drained from it, one after the other. */
export class Backlog {
  readonly topic = `bench${++backlogs}.input`;
  readonly scenario: Scenario;
  /** Of the schema registry, for values that have a schema. */
  readonly registryUrl: string | undefined;
  readonly #kafka: Kafka;

  private constructor(stack: Stack, scenario: Scenario, registryUrl: string | undefined) {
    this.scenario = scenario;
    this.registryUrl = scenario.format === 'json' ? undefined : registryUrl;
    this.#kafka = new Kafka({ brokers: [...stack.kafka.brokers], logLevel: logLevel.NOTHING });
  }

  /** Creates the topic, and produces. */
  static async produce(stack: Stack, scenario: Scenario, registryUrl?: string): Promise<Backlog> {
    repairKafkajs();
    const messageOf = await messagesOf(scenario, registryUrl);
    const backlog = await Backlog.create(stack, scenario, registryUrl);
    // Idempotent: kafkajs repeats a request that failed for one partition for all of them, and a new topic's do fail.
    const producer = backlog.#kafka.producer({ allowAutoTopicCreation: false, idempotent: true, createPartitioner });
    const { records, partitions, bytes, compression } = scenario;
    const batch = Math.min(BATCH_RECORDS * partitions, Math.ceil(REQUEST_BYTES_MAX / bytes));
    await producer.connect();
    let sent: Promise<unknown> = Promise.resolve();
    for (let id = 0; id < records; id += batch) {
      const size = Math.min(batch, records - id);
      const messages = Array.from({ length: size }, (_, index) => messageOf(id + index));
      // One after the other, but the next are made meanwhile.
      await sent;
      sent = producer.send({
        topic: backlog.topic,
        messages,
        compression: compression === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None,
      });
    }
    await sent;
    await producer.disconnect();
    const held = await withAdmin(backlog.#kafka, (admin) => recordsIn(admin, backlog.topic));
    if (held !== records) throw new Error(`the producer wrote ${held} records instead of ${records}: run it again`);
    return backlog;
  }

  /** Creates the topic. */
  static async create(stack: Stack, scenario: Scenario, registryUrl?: string): Promise<Backlog> {
    const backlog = new Backlog(stack, scenario, registryUrl);
    await createTopics(backlog.#kafka, [backlog.topic], scenario.partitions);
    return backlog;
  }

  async remove(): Promise<void> {
    await withAdmin(this.#kafka, (admin) => admin.deleteTopics({ topics: [this.topic] }));
  }
}

/** Chooses as kafkajs does, in a sixtieth of the time. */
function createPartitioner(): (args: PartitionerArgs) => number {
  return ({ partitionMetadata, message }) => murmur2(message.key as Buffer) % partitionMetadata.length;
}
