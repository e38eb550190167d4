import type { IHeaders, KafkaMessage } from 'kafkajs';
import { NO_HEADERS, type KafkaRecord, type RecordHeader } from '../records/record.js';

/** Larger offsets cannot be told apart as JavaScript numbers. Nothing is lost: the consumer stops there. */
export class OffsetTooLargeError extends Error {
  override readonly name = 'OffsetTooLargeError';
}

/** A record as kafkajs gives it, in the form that the bridge carries. The bytes are shared, not copied. */
export function fromKafkaMessage(message: KafkaMessage): KafkaRecord {
  return {
    offset: toOffset(message.offset),
    timestampMs: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers: message.headers === undefined ? NO_HEADERS : toHeaders(message.headers),
  };
}

/** @throws OffsetTooLargeError beyond 2^53 - 1 */
export function toOffset(text: string): number {
  const offset = Number(text);
  if (!Number.isSafeInteger(offset)) throw new OffsetTooLargeError(`offset ${text} is beyond 2^53 - 1`);
  return offset;
}

/** kafkajs gives a header without a value as null, whatever its types say. */
function toBuffer(value: Buffer | string | null | undefined): Buffer | null {
  if (value === null || value === undefined) return null;
  return typeof value === 'string' ? Buffer.from(value) : value;
}

function toHeaders(headers: IHeaders): readonly RecordHeader[] {
  const list: RecordHeader[] = [];
  for (const [name, values] of Object.entries(headers)) {
    for (const value of Array.isArray(values) ? values : [values]) {
      list.push([name, toBuffer(value)]);
    }
  }
  return list.length === 0 ? NO_HEADERS : list;
}
