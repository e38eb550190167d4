/**
 * The rows of a batch as the bytes that an insert sends, a line each, in blocks of some thousands: one buffer a block
 * is cheaper to keep than a string a row.
 */
export class RowBlocks {
  /** Rows in a block. */
  static readonly BLOCK_ROWS = 2_000;

  readonly #blocks: Buffer[] = [];
  /** Per row where it ends in its block, the line break included. */
  readonly #ends: number[] = [];
  #pending: string[] = [];
  #pendingBytes = 0;

  /** Rows added. */
  get length(): number {
    return this.#ends.length;
  }

  /** @param row one character a byte (`latin1`), without a line break at its end */
  add(row: string): void {
    this.#pending.push(row);
    this.#pendingBytes += row.length + 1;
    this.#ends.push(this.#pendingBytes);
    if (this.#pending.length === RowBlocks.BLOCK_ROWS) this.#close();
  }

  /** Bytes of a row's line. */
  bytesOf(row: number): number {
    return (this.#ends[row] as number) - this.#startOf(row);
  }

  /** The lines of these rows, in this order. All of them are the blocks as they are, nothing is copied. */
  lines(rows: readonly number[]): Buffer[] {
    this.#close();
    if (rows.length === this.length) return [...this.#blocks];
    return rows.map((row) => {
      const block = Math.floor(row / RowBlocks.BLOCK_ROWS);
      return (this.#blocks[block] as Buffer).subarray(this.#startOf(row), this.#ends[row]);
    });
  }

  /** Where a row begins in its block. */
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
