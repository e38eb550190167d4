import kafkajs, { type Kafka, type Message, type PartitionerArgs, type Producer } from 'kafkajs';
import { murmur2 } from '../lib/murmur2.js';
import { groupingItself } from './kafkajs/groupingItself.js';

/** Few retries, because the caller retries later, without holding a slot meanwhile. */
export const FEW_RETRIES = { initialRetryTime: 100, maxRetryTime: 500, retries: 3 };

/**
 * Makes producers that are not connected, as a `TopicProducer` wants them. A producer that is disconnected stops its
 * retries, which kafkajs's own would go on with.
 */
export function producerFactory(kafka: Kafka): () => Producer {
  return () => {
    let isOver = false;
    const createChooser = (): ReturnType<typeof createPartitioner> => {
      const choose = createPartitioner();
      return (args) => {
        if (isOver) throw new kafkajs.KafkaJSNonRetriableError('the producer is not used any more');
        return choose(args);
      };
    };
    const producer = kafka.producer({
      allowAutoTopicCreation: false,
      createPartitioner: createChooser,
      retry: FEW_RETRIES,
    });
    return {
      ...producer,
      disconnect: () => {
        isOver = true;
        return producer.disconnect();
      },
    };
  };
}

/**
 * Chooses a partition like Kafka's own partitioner. It takes a sixtieth of the time of kafkajs's. Messages without a
 * key go to each partition in turn. The choice is written into the message, so that a retry does not choose again.
 */
export function createPartitioner(): (args: PartitionerArgs) => number {
  let round = 0;
  return ({ partitionMetadata, message }) => {
    const { key } = message;
    message.partition ??= (key instanceof Uint8Array ? murmur2(key) : round++) % partitionMetadata.length;
    return message.partition;
  };
}

/**
 * Sends all messages. kafkajs may report success although it has not sent some: it retries a failed send at the brokers
 * that have not answered yet. A partition whose leader has moved to a broker that has answered is left out, and so is a
 * partition that does not exist. The answer names the partitions that were sent. The rest is sent again here.
 */
export async function sendAll(producer: Producer, topic: string, messages: readonly Message[]): Promise<void> {
  for (let unsent = messages; unsent.length > 0;) {
    const answers = await producer.send({ topic, messages: groupingItself(unsent), acks: -1 });
    const taken = new Set(answers.map(({ partition }) => partition));
    const left = unsent.filter(({ partition }) => partition === undefined || !taken.has(partition));
    if (left.length === unsent.length) {
      const partitions = [...new Set(left.map(({ partition }) => partition ?? '?'))].join(', ');
      throw new Error(`there is no partition ${partitions}`);
    }
    unsent = left;
  }
}
