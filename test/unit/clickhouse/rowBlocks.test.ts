import { expect, it } from 'vitest';
import { RowBlocks } from '../../../src/clickhouse/rowBlocks.js';

it('gives all lines, or those asked for, across blocks, byte for byte', () => {
  const blocks = new RowBlocks();
  const rows = Array.from({ length: RowBlocks.BLOCK_ROWS * 2 + 3 }, (_, index) => `${index}\u00ff`);
  for (const row of rows) blocks.add(row);
  const text = (indexes: number[]) => Buffer.concat(blocks.lines(indexes)).toString('latin1');
  expect(text(rows.map((_, index) => index))).toBe(`${rows.join('\n')}\n`);
  const some = [0, 1, 1_999, 2_000, 2_001, 4_002];
  expect(text(some)).toBe(`${some.map((index) => rows[index]).join('\n')}\n`);
});

it('closes a block by its bytes, too, and gives the lines of any rows in any order', () => {
  const blocks = new RowBlocks();
  const sizes = [1, 300, RowBlocks.BLOCK_BYTES, 5, ...Array.from({ length: 20 }, () => RowBlocks.BLOCK_BYTES / 16), 7];
  const rows = sizes.map((size, index) => `${index}:`.padEnd(size, 'x'));
  for (const row of rows) blocks.add(row);
  const all = rows.map((_, index) => index);
  const whole = blocks.lines(all);
  for (const block of whole) expect(block.length).toBeLessThan(RowBlocks.BLOCK_BYTES * 2);
  expect(Buffer.concat(whole).equals(Buffer.from(`${rows.join('\n')}\n`))).toBe(true);
  for (const some of [all.slice(1), [24, 3, 2, 20, 0], [12]]) {
    const lines = blocks.lines(some);
    some.forEach((row, index) => {
      expect(lines[index]?.equals(Buffer.from(`${rows[row]}\n`))).toBe(true);
      expect(blocks.bytesOf(row)).toBe(lines[index]?.length);
    });
  }
});
