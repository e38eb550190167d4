import { NULL_LENGTH, PackedRecord } from './packedRecord.js';
import type { KafkaRecord } from './record.js';

/** A record with a part of its value in place of the value. */
export class PartOfRecord extends PackedRecord {
  /** @param valueAt where the value begins in the buffer `values` */
  constructor(record: KafkaRecord, values: Buffer, valueAt: number, valueLength: number) {
    const { offset, timestampMs, headers } = record;
    if (record instanceof PackedRecord) {
      const { keys, keyAt, keyLength } = record;
      super(offset, timestampMs, keys, keyAt, keyLength, values, valueAt, valueLength, headers);
    } else {
      const { key } = record;
      super(offset, timestampMs, key ?? NOTHING, 0, key?.length ?? NULL_LENGTH, values, valueAt, valueLength, headers);
    }
  }
}

const NOTHING = Buffer.alloc(0);
