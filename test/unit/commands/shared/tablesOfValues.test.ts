import { expect, it } from 'vitest';
import { rowMaker, textsOf } from '../../../../src/commands/setup/sampleRows.js';
import { skipTest } from '../../../../src/commands/shared/skippedRecords.js';
import { Decoders } from '../../../../src/formats/decoders.js';
import type { Mapping, TablesOfValues } from '../../../../src/protocol/settings.js';
import { record } from '../../../support/records.js';

const SOURCE = { topic: 'orders', partition: 0, epoch: 'e' };
const MAPPING: Mapping = { format: 'json', unknownFields: 'ignore', tombstones: 'reject' };
const TABLES: TablesOfValues = { by: '/t', tables: [['a', 'ta']], otherwise: 'skip' };

const schema = JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 't', type: 'string' }] });
const decoders = new Decoders({ schema: () => Promise.resolve({ schema, type: 'AVRO', references: [] }) });

async function skips(value: string | null, tablesOfValues = TABLES, mapping: Partial<Mapping> = {}) {
  const test = await skipTest({ mapping: { ...MAPPING, ...mapping }, tablesOfValues }, decoders);
  return test(SOURCE, record(0, { value: value === null ? null : Buffer.from(value) }));
}

it('commands know which records are skipped because their value names no table', async () => {
  expect(await skips('{"t":"a"}')).toBe(false);
  expect(await skips('{"t":"b"}')).toBe(true);
  expect(await skips('{}')).toBe(true);
  // These are rejected.
  for (const value of ['{"t":"b"', '[]', null]) expect(await skips(value)).toBe(false);
  expect(await skips('{"t":"b"}', { ...TABLES, otherwise: 'reject' })).toBe(false);
  expect(await skips('{"t":"a"}', TABLES, { where: [{ pointer: '/t', equals: 'b' }] })).toBe(true);
  const avro = (text: string) => `\0\0\0\0\u0001\u0002${text}`;
  expect(await skips(avro('a'), TABLES, { format: 'avro' })).toBe(false);
  expect(await skips(avro('b'), TABLES, { format: 'avro' })).toBe(true);
  // Only the acknowledgement tells.
  for (const mapping of [{ format: 'text' }, { format: 'json-lines' }] as const)
    expect(await skips('{"t":"b"}', TABLES, mapping)).toBeNull();
  expect(await skips('{}', { ...TABLES, by: 'key:/t' }, { key: { format: 'json' } })).toBeNull();
});

it('a table is proposed from the records that go to it', () => {
  const { rows, add } = rowMaker({ columns: {}, mapping: MAPPING, tablesOfValues: TABLES }, 'ta', 10);
  for (const value of ['{"t":"a","x":1}', '{"t":"b","y":1}', '{"t":"a","z":1}', '{}'])
    add(SOURCE, record(0, { value: Buffer.from(value) }));
  expect(textsOf(rows)).toEqual(['{"t":"a","x":1}', '{"t":"a","z":1}']);
});
