import type { KafkaMessage } from 'kafkajs';
import { PackedRecord } from '../protocol/packedRecord.js';
import type { KafkaRecord } from '../protocol/record.js';

/** An offset over 2^53 - 1, which is not exact as a JavaScript number. The consumer stops there, so nothing is lost. */
export class OffsetTooLargeError extends Error {
  override readonly name = 'OffsetTooLargeError';
}

/** The record in a message of kafkajs. Our own decoder has made it, so it is a record already. */
export function fromKafkaMessage(message: KafkaMessage): KafkaRecord {
  if (message instanceof PackedRecord) return message;
  throw new TypeError('a message is not of our decoder: see kafka/kafkajs/repairs.ts');
}

/** @throws OffsetTooLargeError beyond 2^53 - 1 */
export function toOffset(text: string): number {
  const offset = Number(text);
  if (!Number.isSafeInteger(offset)) throw new OffsetTooLargeError(`offset ${text} is beyond 2^53 - 1`);
  return offset;
}
