import { copyBytes } from '../lib/copyBytes.js';
import { writeDigits } from '../lib/digits.js';
import { SpareBuffers } from '../lib/spareBuffers.js';

/**
 * The rows of a batch as the bytes for an insert, one line each, in blocks of many rows. They are written into the blocks
 * piece by piece, because an object or a string for each row costs more than all the rest.
 *
 *     piece, piece, … endRow ──► the row is there
 *                     dropRow ─► nothing of it is left
 *
 * After {@link release} other rows use the blocks.
 */
export class RowBlocks {
  /**
   * The bytes of a block. Only a row that is larger has a larger block. glibc asks the kernel for each piece of memory of
   * 128 KiB or more, and gives it back at once. The first access to each of its pages takes more time than the writing
   * (measured), so blocks are smaller than that.
   */
  static readonly BLOCK_BYTES = 120 * 1024;

  /** The blocks before the present one. */
  #closed: ClosedBlock[] = [];
  /** The first row of each block. */
  readonly #firstRows: number[] = [0];
  /** For each row, the bytes of all lines up to its end, including the line break. */
  readonly #ends: number[] = [];
  #block = SPARE.take();
  /** The bytes of all closed blocks. */
  #closedBytes = 0;
  /** Where the row that is being written begins in the block. */
  #rowStart = 0;
  /** The end of what is written of it. */
  #at = 0;

  /** Rows that were ended. */
  get length(): number {
    return this.#ends.length;
  }

  /** The bytes that are written of the present row. */
  get rowBytes(): number {
    return this.#at - this.#rowStart;
  }

  byte(code: number): void {
    this.#makeRoom(1);
    this.#block[this.#at++] = code;
  }

  /** Writes the bytes between two places. */
  bytes(source: Buffer, from: number, to: number): void {
    const length = to - from;
    this.#makeRoom(length);
    copyBytes(this.#block, this.#at, source, from, length);
    this.#at += length;
  }

  /** @param text one character per byte (`latin1`) */
  text(text: string): void {
    this.#makeRoom(text.length);
    this.#at += this.#block.write(text, this.#at, 'latin1');
  }

  /** @param value from 0 to 2^53 */
  integer(value: number): void {
    this.#makeRoom(DIGITS_MAX);
    this.#at = writeDigits(this.#block, this.#at, value);
  }

  /** Ends the line of the present row, which may have no bytes. */
  endRow(): void {
    this.byte(LINE_BREAK);
    this.#rowStart = this.#at;
    this.#ends.push(this.#closedBytes + this.#at);
  }

  /** Forgets what is written of the present row. */
  dropRow(): void {
    this.#at = this.#rowStart;
  }

  /** Forgets the rows from this one on. No row may be begun. */
  dropFrom(row: number): void {
    while (this.#closed.length > 0 && (this.#firstRows.at(-1) as number) > row) this.#reopenBlock();
    this.#ends.length = row;
    this.#rowStart = this.#at = this.#startOf(row) - this.#closedBytes;
  }

  #reopenBlock(): void {
    const { block, end } = this.#closed.pop() as ClosedBlock;
    SPARE.give(this.#block);
    this.#block = block;
    this.#firstRows.pop();
    this.#closedBytes -= end;
  }

  /** The size of a row's line in bytes. */
  bytesOf(row: number): number {
    return (this.#ends[row] as number) - this.#startOf(row);
  }

  /** A row without its line break, one character per byte. */
  textOf(row: number): string {
    const [line] = this.#linesOf([row]);
    return line?.toString('latin1', 0, line.length - 1) ?? '';
  }

  /** The lines of these rows, in this order. Buffers may hold many lines. For all rows these are the blocks themselves, without a copy. */
  lines(rows: readonly number[]): Buffer[] {
    return rows.length === this.length ? this.#blocks() : this.#linesOf(rows);
  }

  /**
   * Lets other rows use the blocks. To be called only if no insert of them can still be on its way: a request that failed
   * may still be written to its socket.
   */
  release(): void {
    for (const { block } of this.#closed) SPARE.give(block);
    SPARE.give(this.#block);
    this.#closed = [];
    this.#block = NOTHING;
  }

  #blocks(): Buffer[] {
    if (this.#block === NOTHING) throw new Error('these rows were released');
    const blocks = this.#closed.map(({ block, end }) => block.subarray(0, end));
    if (this.#rowStart > 0) blocks.push(this.#block.subarray(0, this.#rowStart));
    return blocks;
  }

  /** Lines that follow each other in a block are one buffer: a buffer for each of a million would take 145 MiB. */
  #linesOf(rows: readonly number[]): Buffer[] {
    const blocks = this.#blocks();
    const lines: Buffer[] = [];
    // Rows mostly come in order, so the next one's block is this one, or near.
    let block = 0;
    for (let index = 0; index < rows.length; index++) {
      const first = rows[index] as number;
      while (first < (this.#firstRows[block] as number)) block--;
      while (first >= (this.#firstRows[block + 1] ?? Infinity)) block++;
      const blockStart = this.#startOf(this.#firstRows[block] as number);
      const next = this.#firstRows[block + 1] ?? Infinity;
      let last = first;
      while (last + 1 < next && rows[index + 1] === last + 1) {
        last++;
        index++;
      }
      const end = (this.#ends[last] as number) - blockStart;
      lines.push((blocks[block] as Buffer).subarray(this.#startOf(first) - blockStart, end));
    }
    return lines;
  }

  /** The bytes of all lines before a row's. */
  #startOf(row: number): number {
    return row === 0 ? 0 : (this.#ends[row - 1] as number);
  }

  #makeRoom(bytes: number): void {
    if (this.#at + bytes > this.#block.length) this.#openBlock(bytes);
  }

  /** Goes on in a new block, with what is written of the present row. */
  #openBlock(bytes: number): void {
    const { rowBytes } = this;
    const block = this.#block;
    this.#block = SPARE.take(rowBytes + bytes + END_OF_ROW_BYTES);
    block.copy(this.#block, 0, this.#rowStart, this.#at);
    if (this.#rowStart > 0) {
      this.#closed.push({ block, end: this.#rowStart });
      this.#firstRows.push(this.length);
      this.#closedBytes += this.#rowStart;
    } else SPARE.give(block);
    this.#rowStart = 0;
    this.#at = rowBytes;
  }
}

interface ClosedBlock {
  readonly block: Buffer;
  readonly end: number;
}

/** 11 MiB: as many as the rows of a large batch fill. */
const SPARE = new SpareBuffers(RowBlocks.BLOCK_BYTES, 96);

const NOTHING = Buffer.alloc(0);

const LINE_BREAK = 10;

/** Room for the end of a large row. Otherwise all of it would have to be copied for some last bytes. */
const END_OF_ROW_BYTES = 64;

/** Of the largest integer. */
const DIGITS_MAX = 16;
