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
