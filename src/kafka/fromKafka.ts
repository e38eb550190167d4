import type { KafkaMessage } from 'kafkajs';
import type { KafkaRecord } from '../protocol/record.js';
import { FetchedRecord } from './kafkajs/fetchedRecord.js';

/** Larger offsets cannot be told apart as JavaScript numbers. Nothing is lost: the consumer stops there. */
export class OffsetTooLargeError extends Error {
  override readonly name = 'OffsetTooLargeError';
}

/** The record that kafkajs gives as a message: our decoder makes the form that the bridge carries. */
export function fromKafkaMessage(message: KafkaMessage): KafkaRecord {
  if (message instanceof FetchedRecord) return message;
  throw new TypeError('a message is not of our decoder: see kafka/kafkajs/repairs.ts');
}

/** @throws OffsetTooLargeError beyond 2^53 - 1 */
export function toOffset(text: string): number {
  const offset = Number(text);
  if (!Number.isSafeInteger(offset)) throw new OffsetTooLargeError(`offset ${text} is beyond 2^53 - 1`);
  return offset;
}
