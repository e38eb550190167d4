import { copyBytes } from '../lib/copyBytes.js';
import { writeDigits } from '../lib/digits.js';
import { UndecodableError } from './errors.js';

/**
 * Writes JSON as bytes into one buffer, which is used again for each document. Texts keep their bytes: what is no UTF-8
 * stays as it is, because strings of ClickHouse are bytes.
 */
export class JsonWriter {
  bytes: Buffer = Buffer.allocUnsafe(FIRST_BYTES);
  /** Bytes that are written. */
  length = 0;
  #bytesMax = 0;

  /** @param bytesMax of the document. It grows no further, whatever its source says about itself */
  begin(bytesMax: number): void {
    this.length = 0;
    this.#bytesMax = bytesMax;
    // One large document must not keep its memory for ever.
    if (this.bytes.length > KEPT_BYTES_MAX) this.bytes = Buffer.allocUnsafe(FIRST_BYTES);
  }

  /**
   * Ends the document. It is no longer than allowed, however large the buffer was before.
   *
   * @throws UndecodableError
   */
  finish(): void {
    if (this.length > this.#bytesMax) throw tooLong();
  }

  byte(code: number): void {
    if (this.length === this.bytes.length) this.#grow(1);
    this.bytes[this.length++] = code;
  }

  /** Writes bytes that are JSON already. */
  literal(source: Buffer): void {
    const { length } = source;
    if (this.length + length > this.bytes.length) this.#grow(length);
    copyBytes(this.bytes, this.length, source, 0, length);
    this.length += length;
  }

  /** @param text one character per byte (`latin1`) */
  text(text: string): void {
    if (this.length + text.length > this.bytes.length) this.#grow(text.length);
    this.length += this.bytes.write(text, this.length, 'latin1');
  }

  /** Writes a whole number within 2^53. */
  integer(value: number): void {
    if (this.length + DIGITS_MAX > this.bytes.length) this.#grow(DIGITS_MAX);
    if (value < 0) this.bytes[this.length++] = MINUS;
    this.length = writeDigits(this.bytes, this.length, Math.abs(value));
  }

  /** Writes the bytes between two places as a JSON string. */
  string(source: Buffer, from: number, to: number): void {
    if (this.length + to - from + QUOTES > this.bytes.length) this.#grow(to - from + QUOTES);
    const { bytes } = this;
    let at = this.length;
    bytes[at++] = QUOTE;
    for (let index = from; index < to; index++) {
      const code = source[index] as number;
      if (code < SPACE || code === QUOTE || code === BACKSLASH) {
        this.length = at;
        this.#escaped(source, index, to);
        return;
      }
      bytes[at++] = code;
    }
    bytes[at++] = QUOTE;
    this.length = at;
  }

  /** The rest of a string, from a byte that needs an escape. */
  #escaped(source: Buffer, from: number, to: number): void {
    for (let index = from; index < to; index++) {
      const code = source[index] as number;
      if (code < SPACE || code === QUOTE || code === BACKSLASH) this.literal(ESCAPES[code] as Buffer);
      else this.byte(code);
    }
    this.byte(QUOTE);
  }

  #grow(bytes: number): void {
    const needed = this.length + bytes;
    if (needed > this.#bytesMax) throw tooLong();
    const larger = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}

function tooLong(): UndecodableError {
  return new UndecodableError('it becomes far more JSON than its size allows for');
}

const FIRST_BYTES = 16 * 1024;
const KEPT_BYTES_MAX = 4 * 1024 * 1024;
/** Of the largest whole number, with its sign. */
const DIGITS_MAX = 17;

const SPACE = 32;
const QUOTE = 34;
const MINUS = 45;
const BACKSLASH = 92;
const QUOTES = 2;

/** By code, the escape of each character that needs one. */
const ESCAPES: readonly Buffer[] = Array.from({ length: BACKSLASH + 1 }, (_, code) =>
  Buffer.from(JSON.stringify(String.fromCharCode(code)).slice(1, -1)),
);
