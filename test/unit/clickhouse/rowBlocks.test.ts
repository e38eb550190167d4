import { expect, it } from 'vitest';
import { RowBlocks } from '../../../src/clickhouse/rowBlocks.js';

/** Rows that were written one after the other. */
function written(rows: readonly string[]): RowBlocks {
  const blocks = new RowBlocks();
  for (const row of rows) {
    blocks.text(row);
    blocks.endRow();
  }
  return blocks;
}

it('gives all lines, or those asked for, across blocks, byte for byte', () => {
  const rows = Array.from({ length: 40_000 }, (_, index) => `${index}\u00ff`.repeat(1 + (index % 9)));
  const blocks = written(rows);
  const whole = blocks.lines(rows.map((_, index) => index));
  expect(whole.length).toBeGreaterThan(3);
  expect(Buffer.concat(whole).toString('latin1')).toBe(`${rows.join('\n')}\n`);
  // The rows around the ends of blocks.
  let row = 0;
  for (const block of whole.slice(0, -1)) {
    row += block.filter((byte) => byte === 10).length;
    const some = [row - 2, row - 1, row, row + 1];
    const lines = Buffer.concat(blocks.lines(some)).toString('latin1');
    expect(lines).toBe(`${some.map((index) => rows[index]).join('\n')}\n`);
    expect(some.map((index) => blocks.textOf(index))).toEqual(some.map((index) => rows[index]));
  }
});

it('has a larger block for a large row, and gives the lines of any rows in any order', () => {
  const sizes = [
    1,
    300,
    RowBlocks.BLOCK_BYTES * 3,
    5,
    ...Array.from({ length: 20 }, () => RowBlocks.BLOCK_BYTES / 16),
    7,
  ];
  const rows = sizes.map((size, index) => `${index}:`.padEnd(size, 'x'));
  const blocks = written(rows);
  const all = rows.map((_, index) => index);
  const whole = blocks.lines(all);
  expect(whole.filter(({ length }) => length > RowBlocks.BLOCK_BYTES)).toHaveLength(1);
  expect(Buffer.concat(whole).equals(Buffer.from(`${rows.join('\n')}\n`))).toBe(true);
  for (const some of [all.slice(1), [24, 3, 2, 20, 0], [12]]) {
    const lines = some.map((row) => `${rows[row]}\n`);
    expect(Buffer.concat(blocks.lines(some)).equals(Buffer.from(lines.join('')))).toBe(true);
    expect(some.map((row) => blocks.bytesOf(row))).toEqual(lines.map(({ length }) => length));
  }
});

it('joins the pieces of a row wherever a block ends, and leaves nothing of a row that is dropped', () => {
  const blocks = new RowBlocks();
  const long = Buffer.from('long'.repeat(20));
  const rows: string[] = [];
  for (let row = 0; row < 3_000; row++) {
    const dropped = row % 3 === 1;
    blocks.byte(123);
    blocks.bytes(long, 2, row % 2 === 0 ? 9 : 75);
    blocks.text('\u00e9'.repeat(row % 7));
    blocks.integer(row * 1e9);
    const text = `{${long.toString('latin1', 2, row % 2 === 0 ? 9 : 75)}${'\u00e9'.repeat(row % 7)}${row * 1e9}`;
    expect(blocks.rowBytes).toBe(text.length);
    if (dropped) blocks.dropRow();
    blocks.endRow();
    rows.push(dropped ? '' : text);
  }
  expect(rows.map((_, row) => blocks.textOf(row))).toEqual(rows);
  expect(Buffer.concat(blocks.lines(rows.map((_, row) => row))).toString('latin1')).toBe(`${rows.join('\n')}\n`);
});

it('forgets the last rows, whatever blocks they are in, and goes on behind those that stay', () => {
  const rows = Array.from({ length: 3_000 }, (_, index) => `${index}`.repeat(1 + (index % 200)));
  for (const kept of [0, 1, 700, 1_500, 2_999, 3_000]) {
    const blocks = written(rows);
    blocks.dropFrom(kept);
    expect([blocks.length, blocks.rowBytes]).toEqual([kept, 0]);
    const more = [...rows.slice(0, kept), ...rows.slice(500)];
    for (const row of rows.slice(500)) {
      blocks.text(row);
      blocks.endRow();
    }
    const all = more.map((_, index) => index);
    expect(Buffer.concat(blocks.lines(all)).toString('latin1')).toBe(`${more.join('\n')}\n`);
    const last = all.slice(-3);
    expect(last.map((index) => blocks.textOf(index))).toEqual(more.slice(-3));
  }
});

it('lets other rows use its blocks after a release, and has no lines any more', () => {
  const rows = Array.from({ length: 50 }, (_, index) => `${index}:`.padEnd(RowBlocks.BLOCK_BYTES / 8, 'x'));
  const all = rows.map((_, index) => index);
  const memoryOf = (blocks: RowBlocks) => new Set(blocks.lines(all).map(({ buffer }) => buffer));
  const first = written(rows);
  const kept = written(rows);
  const used = memoryOf(first);
  first.release();
  first.release();
  expect(() => first.lines(all)).toThrow('these rows were released');
  expect(() => first.lines([1])).toThrow('these rows were released');
  const second = written(rows.map((row) => row.replaceAll('x', 'y')));
  const third = written(rows);
  expect([...memoryOf(second)].filter((memory) => used.has(memory))).toHaveLength(used.size);
  expect([...memoryOf(third)].filter((memory) => used.has(memory))).toEqual([]);
  expect(Buffer.concat(kept.lines(all)).toString()).toBe(`${rows.join('\n')}\n`);
});
