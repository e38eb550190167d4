/*
 * The value and the key of a record, for code that treats both alike. The bytes are read in their place in a larger buffer.
 */
import { NULL_LENGTH, PackedRecord } from './packedRecord.js';
import type { KafkaRecord } from './record.js';

export interface PayloadPart {
  /** In messages. */
  readonly name: 'value' | 'key';
  /** The buffer that the part is in. Empty if there is none. */
  readonly bytesOf: (record: KafkaRecord) => Buffer;
  /** Where it begins there. */
  readonly startOf: (record: KafkaRecord) => number;
  /** {@link NULL_LENGTH} if the record has no such part. */
  readonly lengthOf: (record: KafkaRecord) => number;
  /** The record with other bytes in its place. */
  readonly replaced: (record: KafkaRecord, bytes: Buffer, at: number, length: number) => PackedRecord;
}

export const VALUE: PayloadPart = {
  name: 'value',
  bytesOf: (record) => (record instanceof PackedRecord ? record.values : (record.value ?? NOTHING)),
  startOf: (record) => (record instanceof PackedRecord ? record.valueAt : 0),
  lengthOf: (record) => (record instanceof PackedRecord ? record.valueLength : (record.value?.length ?? NULL_LENGTH)),
  replaced: (record, values, valueAt, valueLength) => {
    const { offset, timestampMs, headers } = record;
    const keys = KEY.bytesOf(record);
    const keyAt = KEY.startOf(record);
    const keyLength = KEY.lengthOf(record);
    return new PackedRecord(offset, timestampMs, keys, keyAt, keyLength, values, valueAt, valueLength, headers);
  },
};

export const KEY: PayloadPart = {
  name: 'key',
  bytesOf: (record) => (record instanceof PackedRecord ? record.keys : (record.key ?? NOTHING)),
  startOf: (record) => (record instanceof PackedRecord ? record.keyAt : 0),
  lengthOf: (record) => (record instanceof PackedRecord ? record.keyLength : (record.key?.length ?? NULL_LENGTH)),
  replaced: (record, keys, keyAt, keyLength) => {
    const { offset, timestampMs, headers } = record;
    const values = VALUE.bytesOf(record);
    const valueAt = VALUE.startOf(record);
    const valueLength = VALUE.lengthOf(record);
    return new PackedRecord(offset, timestampMs, keys, keyAt, keyLength, values, valueAt, valueLength, headers);
  },
};

const NOTHING = Buffer.alloc(0);
