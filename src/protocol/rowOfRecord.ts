import { PartOfRecord } from './partOfRecord.js';
import type { KafkaRecord } from './record.js';

/** One row of a record that holds many: the record with the text of the row in place of its value. */
export class RowOfRecord extends PartOfRecord {
  /** Its index among the rows of its record, from 0. */
  readonly number: number;

  /** @param valueAt where the row begins in the buffer `values` */
  constructor(record: KafkaRecord, number: number, values: Buffer, valueAt: number, valueLength: number) {
    super(record, values, valueAt, valueLength);
    this.number = number;
  }
}
