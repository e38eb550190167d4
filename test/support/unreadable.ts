import { CompressionTypes, type Producer } from 'kafkajs';
import { HEADERS_MAX } from '../../src/kafka/kafkajs/fetchedRecord.js';

/** Writes one record to partition 0 that no ktb reads, although brokers take it: it has one header too many, and is small compressed. */
export async function produceUnreadable(producer: Producer, topic: string): Promise<void> {
  const headers = { '': Array<string>(HEADERS_MAX + 1).fill('') };
  await producer.send({
    topic,
    compression: CompressionTypes.GZIP,
    messages: [{ partition: 0, key: 'unreadable', value: null, headers }],
  });
}
