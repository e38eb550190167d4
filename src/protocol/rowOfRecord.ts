import { NULL_LENGTH, PackedRecord } from './packedRecord.js';
import type { KafkaRecord } from './record.js';

/** One row of a record that holds many: the record with the text of the row in place of its value. */
export class RowOfRecord extends PackedRecord {
  /** Its index among the rows of its record, from 0. */
  readonly number: number;

  /** @param valueAt where the row begins in the buffer `values` */
  constructor(record: KafkaRecord, number: number, values: Buffer, valueAt: number, valueLength: number) {
    const { offset, timestampMs, headers } = record;
    if (record instanceof PackedRecord) {
      const { keys, keyAt, keyLength } = record;
      super(offset, timestampMs, keys, keyAt, keyLength, values, valueAt, valueLength, headers);
    } else {
      const { key } = record;
      super(offset, timestampMs, key ?? NOTHING, 0, key?.length ?? NULL_LENGTH, values, valueAt, valueLength, headers);
    }
    this.number = number;
  }
}

const NOTHING = Buffer.alloc(0);
