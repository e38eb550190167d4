import kafkajs, { type Kafka, type Message, type PartitionerArgs, type Producer } from 'kafkajs';
import { murmur2 } from '../lib/murmur2.js';
import { NULL_LENGTH } from '../protocol/packedRecord.js';
import { OutgoingBatch } from './kafkajs/outgoingBatch.js';
import { repairProduceRequests } from './kafkajs/produceRequest.js';
import type { MessageList } from './messageList.js';
import { PackedMessage } from './packedMessage.js';

/** Few retries, because the caller retries later, without holding a slot meanwhile. */
const FEW_RETRIES = { initialRetryTime: 100, maxRetryTime: 500, retries: 3 };

/** Sends messages to one topic. */
export interface MessageProducer {
  connect(): Promise<void>;
  /**
   * Sends messages in one request to each broker that leads a partition of them. Resolves when all in-sync replicas have
   * them.
   *
   * @throws what kafkajs throws, or if a partition does not exist
   */
  send(topic: string, messages: MessageList): Promise<void>;
  /** Stops also the retries, which kafkajs's own producer would go on with. */
  disconnect(): Promise<void>;
}

/** Makes producers that are not connected, as a `TopicProducer` wants them. */
export function producerFactory(kafka: Kafka): () => MessageProducer {
  repairProduceRequests();
  return () => new BatchProducer(kafka);
}

/**
 * A producer of kafkajs that gets record batches, see `produceRequest.ts`. So it has nothing to group, and nothing to
 * encode again for a retry.
 *
 * How many partitions the topic has is known inside kafkajs, which tells it to the partitioner only. So messages are
 * divided as it was told the last time. If that was another number, the partitioner refuses the request, and it is
 * written once more.
 */
class BatchProducer implements MessageProducer {
  readonly #producer: Producer;
  #partitions = 1;
  /** Messages without a key, each of which goes to the next partition. */
  #keyless = 0;
  #isOver = false;

  constructor(kafka: Kafka) {
    this.#producer = kafka.producer({
      allowAutoTopicCreation: false,
      createPartitioner: () => (args) => this.#partitionOf(args),
      retry: FEW_RETRIES,
    });
  }

  connect(): Promise<void> {
    return this.#producer.connect();
  }

  disconnect(): Promise<void> {
    this.#isOver = true;
    return this.#producer.disconnect();
  }

  async send(topic: string, messages: MessageList): Promise<void> {
    for (let division = 1; ; division++) {
      try {
        const batches = this.#divide(messages);
        await sendAll(this.#producer, topic, batches);
        for (const { value } of batches) value.release();
        return;
      } catch (error) {
        if (!isOtherPartitions(error) || division === DIVISIONS_MAX) throw error;
      }
    }
  }

  /** Writes the batch of each partition. */
  #divide(messages: MessageList): BatchMessage[] {
    const request: DividedRequest = { partitions: this.#partitions, isFixed: false };
    const batches = new Map<number, OutgoingBatch>();
    const message = new PackedMessage();
    for (let index = 0; index < messages.length; index++) {
      messages.fill(index, message);
      const partition = message.partition ?? this.#choose(message);
      let batch = batches.get(partition);
      if (batch === undefined) batches.set(partition, (batch = new OutgoingBatch()));
      batch.add(message);
    }
    return Array.from(batches, ([partition, value]) => ({ partition, value, request }));
  }

  /** Chooses a partition like Kafka's own partitioner. */
  #choose({ keys, keyAt, keyLength }: PackedMessage): number {
    return (keyLength === NULL_LENGTH ? this.#keyless++ : murmur2(keys, keyAt, keyAt + keyLength)) % this.#partitions;
  }

  #partitionOf({ partitionMetadata, message }: PartitionerArgs): number {
    if (this.#isOver) throw new kafkajs.KafkaJSNonRetriableError('the producer is not used any more');
    const { partition, request } = message as unknown as BatchMessage;
    if (!request.isFixed && request.partitions !== partitionMetadata.length) {
      this.#partitions = partitionMetadata.length;
      throw new OtherPartitionsError(`the topic has ${this.#partitions} partitions`);
    }
    // From now on, some of its partitions may have their messages.
    request.isFixed = true;
    return partition;
  }
}

/** Divisions of a request. One more than two means that brokers tell different numbers of partitions. */
const DIVISIONS_MAX = 5;

/** The messages of a partition, as one message of kafkajs. */
interface BatchMessage {
  readonly partition: number;
  readonly value: OutgoingBatch;
  readonly request: DividedRequest;
}

interface DividedRequest {
  /** The number of partitions by which its messages are divided. */
  readonly partitions: number;
  /** Set before it is sent for the first time. A retry must not divide it in another way. */
  isFixed: boolean;
}

/** The topic has another number of partitions than the one by which a request was divided. Nothing was sent of it. */
class OtherPartitionsError extends Error {
  override readonly name = 'OtherPartitionsError';
}

/** kafkajs puts an error of the partitioner into one of its own if the producer is not connected at that moment. */
function isOtherPartitions(error: unknown): boolean {
  return error instanceof OtherPartitionsError || (error instanceof Error && isOtherPartitions(error.cause));
}

/**
 * Sends all batches. kafkajs may report success although it has not sent some: it retries a failed send at the brokers
 * that have not answered yet. A partition whose leader has moved to a broker that has answered is left out, and so is a
 * partition that does not exist. The answer names the partitions that were sent. The rest is sent again here.
 */
async function sendAll(producer: Producer, topic: string, batches: readonly BatchMessage[]): Promise<void> {
  for (let unsent = batches; unsent.length > 0;) {
    const answers = await producer.send({ topic, messages: unsent as unknown as Message[], acks: -1 });
    const taken = new Set(answers.map(({ partition }) => partition));
    const left = unsent.filter(({ partition }) => !taken.has(partition));
    if (left.length === unsent.length)
      throw new Error(`there is no partition ${left.map(({ partition }) => partition).join(', ')}`);
    unsent = left;
  }
}
