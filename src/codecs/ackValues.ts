import { writeDigits } from '../lib/digits.js';
import type { AckStatus, Rejection } from '../protocol/ack.js';
import type { RecordSource } from '../protocol/record.js';

/**
 * Writes the JSON values of acknowledgements for records of one partition:
 * `{"status":"inserted","topic":"orders","partition":3,"offset":12345,"batch":"…"}`. A rejection also has `code` and
 * `message`. They differ in little but the offset, so mostly only its digits are written.
 */
export class AckValues {
  readonly #head: string;
  readonly #tail: string;
  /** The last value of a record that was not rejected. The next one gets its own digits into it. */
  #value: Buffer = Buffer.alloc(0);
  readonly #digitsAt: number;
  /** Offsets with as many digits, from the first to below the second. */
  #offsetMin = 0;
  #offsetEnd = 0;

  constructor({ topic, partition }: Pick<RecordSource, 'topic' | 'partition'>, status: AckStatus, batch: string) {
    this.#head = `{"status":"${status}","topic":${JSON.stringify(topic)},"partition":${partition},"offset":`;
    this.#tail = `,"batch":${JSON.stringify(batch)}`;
    this.#digitsAt = Buffer.byteLength(this.#head);
  }

  /** @returns the value, which is good until the next one is asked for */
  of(offset: number, rejection?: Rejection): Buffer {
    if (rejection !== undefined)
      return this.#text(offset, `,"code":"${rejection.code}","message":${JSON.stringify(rejection.message)}`);
    if (!Number.isSafeInteger(offset) || offset < 0) return this.#text(offset);
    if (offset >= this.#offsetMin && offset < this.#offsetEnd) writeDigits(this.#value, this.#digitsAt, offset);
    else this.#begin(offset);
    return this.#value;
  }

  #text(offset: number, more = ''): Buffer {
    return Buffer.from(`${this.#head}${offset}${this.#tail}${more}}`);
  }

  #begin(offset: number): void {
    const digits = String(offset).length;
    this.#value = this.#text(offset);
    this.#offsetMin = digits === 1 ? 0 : 10 ** (digits - 1);
    this.#offsetEnd = 10 ** digits;
  }
}
