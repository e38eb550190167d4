/**
 * The rows of a batch as the bytes for an insert, one line each. They are kept in blocks of some thousand rows, because
 * one buffer for a block costs less than one string for each row.
 */
export class RowBlocks {
  /** Rows in a block, at most. */
  static readonly BLOCK_ROWS = 2_000;
  /**
   * A block that has so many bytes gets no more rows. A block is one string for a moment, and a string has 512 MiB at
   * most. A row alone has less, but mapped columns can make each row far larger than its record.
   */
  static readonly BLOCK_BYTES = 16 * 1024 * 1024;

  readonly #blocks: Buffer[] = [];
  /** The first row of each block. */
  readonly #firstRows: number[] = [];
  /** For each row, the bytes of all lines up to its end, including the line break. */
  readonly #ends: number[] = [];
  #bytes = 0;
  #pending: string[] = [];
  /** The bytes of all lines before the pending ones. */
  #closedBytes = 0;

  /** Rows added. */
  get length(): number {
    return this.#ends.length;
  }

  /** @param row one character per byte (`latin1`), without a line break at its end */
  add(row: string): void {
    this.#pending.push(row);
    this.#bytes += row.length + 1;
    this.#ends.push(this.#bytes);
    const isFull =
      this.#pending.length === RowBlocks.BLOCK_ROWS || this.#bytes - this.#closedBytes >= RowBlocks.BLOCK_BYTES;
    if (isFull) this.#close();
  }

  /** The size of a row's line in bytes. */
  bytesOf(row: number): number {
    return (this.#ends[row] as number) - this.#startOf(row);
  }

  /** The lines of these rows, in this order. For all rows these are the blocks themselves, without a copy. */
  lines(rows: readonly number[]): Buffer[] {
    this.#close();
    if (rows.length === this.length) return [...this.#blocks];
    // Rows mostly come in order, so the next one's block is this one, or near.
    let block = 0;
    return rows.map((row) => {
      while (row < (this.#firstRows[block] as number)) block--;
      while (row >= (this.#firstRows[block + 1] ?? Infinity)) block++;
      const blockStart = this.#startOf(this.#firstRows[block] as number);
      return (this.#blocks[block] as Buffer).subarray(
        this.#startOf(row) - blockStart,
        (this.#ends[row] as number) - blockStart,
      );
    });
  }

  /** The bytes of all lines before a row's. */
  #startOf(row: number): number {
    return row === 0 ? 0 : (this.#ends[row - 1] as number);
  }

  #close(): void {
    if (this.#pending.length === 0) return;
    this.#firstRows.push(this.length - this.#pending.length);
    this.#blocks.push(Buffer.from(`${this.#pending.join('\n')}\n`, 'latin1'));
    this.#pending = [];
    this.#closedBytes = this.#bytes;
  }
}
