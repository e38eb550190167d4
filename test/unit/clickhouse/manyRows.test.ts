import { expect, it } from 'vitest';
import { insertRecords } from '../../../src/clickhouse/insertRecords.js';
import type { BatchInsertOptions } from '../../../src/clickhouse/insertOptions.js';
import { PIECE_BYTES } from '../../../src/clickhouse/manyRows.js';
import { DEFAULT_MAPPING } from '../../support/chunks.js';
import { FakeTable } from '../../support/fakeTable.js';
import { record } from '../../support/records.js';

const MIB = 1024 * 1024;

/** Inserts records into a table that only measures what it is sent. */
async function insert(records: number, lines: (offset: number) => string, own: Partial<BatchInsertOptions> = {}) {
  const { tables } = new FakeTable();
  const inserts: { bytes: number; lines: string[]; token: string }[] = [];
  const outcome = await insertRecords(
    Array.from({ length: records }, (_, offset) => ({
      source: { topic: 'readings', partition: 0, epoch: 'e1' },
      record: record(offset, { value: Buffer.from(lines(offset)) }),
    })),
    {
      tables: {
        ...tables,
        send: (_, sent) => {
          const bytes = Buffer.concat([...sent.lines]);
          const few = bytes.length < MIB ? bytes.toString().trimEnd().split('\n') : [];
          inserts.push({ bytes: bytes.length, lines: few, token: sent.token });
          return Promise.resolve();
        },
      },
      ...{ table: 't', columns: {}, mapping: { ...DEFAULT_MAPPING, format: 'json-lines' } },
      ...{ batch: 'b', repeated: false, overdue: false, mustBeAlive: () => undefined },
      ...own,
    },
  );
  return { inserts, outcome };
}

it('small rows become many times as large, so they are made and sent in pieces, and no record is rejected for its neighbours', async () => {
  const { inserts, outcome } = await insert(60, () => '{}\n'.repeat(20_000));
  const sizes = inserts.map(({ bytes }) => bytes);
  expect(sizes.reduce((sum, bytes) => sum + bytes)).toBeGreaterThan(2.5 * PIECE_BYTES);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(PIECE_BYTES);
  // All but the last one are nearly full.
  expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThan(PIECE_BYTES - 4 * MIB);
  expect([outcome.inserted.length, outcome.rejected.length, outcome.rows]).toEqual([60, 0, 1_200_000]);
}, 60_000);

it('pieces are the same at each worker, a record is in one of them, and each has its own token', async () => {
  const lines = (offset: number) => '{}\n'.repeat(1 + (offset % 7));
  const attempts = [await insert(50, lines, { pieceBytes: 2_000 }), await insert(50, lines, { pieceBytes: 2_000 })];
  const [first, second] = attempts.map(({ inserts }) => inserts);
  expect(first).toEqual(second);
  expect(new Set(first?.map(({ token }) => token)).size).toBe(first?.length);
  expect(first?.length).toBeGreaterThan(8);
  const { inserts: whole } = await insert(50, lines);
  expect(whole).toHaveLength(1);
  expect(first?.flatMap((piece) => piece.lines)).toEqual(whole[0]?.lines);
  const offsets = first?.map((piece) => new Set(piece.lines.map((line) => /"_offset":"?(\d+)/.exec(line)?.[1])));
  expect(offsets?.reduce((sum, { size }) => sum + size, 0)).toBe(50);
});
