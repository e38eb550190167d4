import fc from 'fast-check';
import { expect, it } from 'vitest';
import { insertRecords, type BatchInsertResult } from '../../src/activities/batchInsert.js';
import { FakeTable, type Fault } from '../support/fakeTable.js';
import { record } from '../support/records.js';

const fault = fc.constantFrom<Fault>('none', 'none', 'none', 'lostBefore', 'lostAfter', 'viewFails');

/** A batch of two partitions; some records are refused by ClickHouse, some are no JSON. */
const batch = fc.array(fc.constantFrom('good', 'good', 'good', 'good', 'refused', 'noJson'), {
  minLength: 1,
  maxLength: 40,
});

function records(kinds: string[]) {
  const sources = [0, 1].map((partition) => ({ topic: 'orders', partition, epoch: 'e1' }));
  return kinds.map((kind, index) => {
    const value = kind === 'noJson' ? 'x' : JSON.stringify(kind === 'refused' ? { bad: true } : {});
    return { source: sources[index % 2]!, record: record(index, { value: Buffer.from(value), key: null }) };
  });
}

/** Attempts as Temporal makes them, the same batch again after each error, until one succeeds. */
async function untilDone(table: FakeTable, kinds: string[]): Promise<BatchInsertResult> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await insertRecords(records(kinds), {
        tables: table.tables,
        table: 'orders',
        columns: {},
        repeated: attempt > 1,
        mustBeAlive: () => undefined,
      });
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('lost'))) throw error;
    }
  }
}

it('inserts each good record once and gives back each bad one, whatever fails before, after and beside the insert', async () => {
  await fc.assert(
    fc.asyncProperty(
      batch,
      fc.array(fault, { maxLength: 12 }),
      fc.boolean(),
      async (kinds, faults, remembersTokens) => {
        const table = new FakeTable();
        table.faults = [...faults];
        table.remembersTokens = remembersTokens;
        const { inserted, rejected } = await untilDone(table, kinds);
        const good = kinds.flatMap((kind, index) => (kind === 'good' ? [index] : []));
        const offsets = table.rows.map(({ _offset }) => _offset).toSorted((a, b) => a - b);
        expect(offsets).toEqual(good);
        expect(inserted.map((row) => row.record.offset)).toEqual(good);
        expect(rejected.map((item) => item.record.offset).toSorted((a, b) => a - b)).toEqual(
          kinds.flatMap((kind, index) => (kind === 'good' ? [] : [index])),
        );
      },
    ),
    { numRuns: 500 },
  );
});

it('does nothing at all once its attempt has expired', async () => {
  const table = new FakeTable();
  const expired = () => {
    throw new Error('expired');
  };
  const options = { tables: table.tables, table: 'orders', columns: {}, repeated: false, mustBeAlive: expired };
  await expect(insertRecords(records(['good']), options)).rejects.toThrow('expired');
  expect(table.rows).toEqual([]);
});

it('holds the batch and names the column where a mapped one is not in the table', async () => {
  const table = new FakeTable();
  const options = {
    tables: table.tables,
    table: 'orders',
    columns: { nope: '/a' },
    repeated: false,
    mustBeAlive: () => undefined,
  };
  await expect(insertRecords(records(['good']), options)).rejects.toMatchObject({
    kind: 'structural',
    message: expect.stringContaining('nope') as string,
  });
});
