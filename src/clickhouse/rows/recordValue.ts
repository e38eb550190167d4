import { NULL_LENGTH, PackedRecord } from '../../protocol/packedRecord.js';
import type { KafkaRecord } from '../../protocol/record.js';
import { beginsWithMark, MARK_BYTES } from '../../lib/byteOrderMark.js';

/**
 * The bytes of a record's value in the buffer that they are in. The instance is reused for each record, so a record makes
 * no object of its own.
 */
export class RecordValue {
  bytes = NOTHING;
  /** The value is between these places of the bytes. */
  from = 0;
  to = 0;
  #text: string | undefined;

  /** @returns false if the record has no value */
  set(record: KafkaRecord): boolean {
    this.#text = undefined;
    if (record instanceof PackedRecord) {
      this.bytes = record.values;
      this.from = record.valueAt;
      this.to = record.valueAt + record.valueLength;
      return record.valueLength !== NULL_LENGTH;
    }
    const { value } = record;
    this.bytes = value ?? NOTHING;
    this.from = 0;
    this.to = this.bytes.length;
    return value !== null;
  }

  /** Passes over a byte-order mark. Some producers write one before JSON, which has no place for it. */
  passOverMark(): void {
    if (beginsWithMark(this.bytes, this.from, this.to)) this.from += MARK_BYTES;
  }

  /** One character per byte. Made only if it is asked for. */
  get text(): string {
    return (this.#text ??= this.bytes.toString('latin1', this.from, this.to));
  }
}

const NOTHING: Buffer = Buffer.alloc(0);
