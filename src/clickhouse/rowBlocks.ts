/**
 * The rows of a batch as the bytes for an insert, one line each. They are kept in blocks of some thousand rows, because
 * one buffer for a block costs less than one string for each row.
 */
export class RowBlocks {
  /** Rows in a block. */
  static readonly BLOCK_ROWS = 2_000;

  readonly #blocks: Buffer[] = [];
  /** For each row, its end in its block, including the line break. */
  readonly #ends: number[] = [];
  #pending: string[] = [];
  #pendingBytes = 0;

  /** Rows added. */
  get length(): number {
    return this.#ends.length;
  }

  /** @param row one character per byte (`latin1`), without a line break at its end */
  add(row: string): void {
    this.#pending.push(row);
    this.#pendingBytes += row.length + 1;
    this.#ends.push(this.#pendingBytes);
    if (this.#pending.length === RowBlocks.BLOCK_ROWS) this.#close();
  }

  /** The size of a row's line in bytes. */
  bytesOf(row: number): number {
    return (this.#ends[row] as number) - this.#startOf(row);
  }

  /** The lines of these rows, in this order. For all rows these are the blocks themselves, without a copy. */
  lines(rows: readonly number[]): Buffer[] {
    this.#close();
    if (rows.length === this.length) return [...this.#blocks];
    return rows.map((row) => {
      const block = Math.floor(row / RowBlocks.BLOCK_ROWS);
      return (this.#blocks[block] as Buffer).subarray(this.#startOf(row), this.#ends[row]);
    });
  }

  /** The start of a row in its block. */
  #startOf(row: number): number {
    return row % RowBlocks.BLOCK_ROWS === 0 ? 0 : (this.#ends[row - 1] as number);
  }

  #close(): void {
    if (this.#pending.length === 0) return;
    this.#blocks.push(Buffer.from(`${this.#pending.join('\n')}\n`, 'latin1'));
    this.#pending = [];
    this.#pendingBytes = 0;
  }
}
