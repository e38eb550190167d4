import { PackedRecord } from './packedRecord.js';
import { KEY } from './payloadParts.js';
import type { KafkaRecord } from './record.js';

/** A record with a part of its value in place of the value. */
export class PartOfRecord extends PackedRecord {
  /** @param valueAt where the value begins in the buffer `values` */
  constructor(record: KafkaRecord, values: Buffer, valueAt: number, valueLength: number) {
    const { offset, timestampMs, headers } = record;
    const keys = KEY.bytesOf(record);
    super(offset, timestampMs, keys, KEY.startOf(record), KEY.lengthOf(record), values, valueAt, valueLength, headers);
  }
}
