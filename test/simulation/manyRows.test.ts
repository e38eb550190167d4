import fc from 'fast-check';
import { expect, it } from 'vitest';
import { giveUpRecords, insertRecords, type BatchInsertResult } from '../../src/clickhouse/insertRecords.js';
import type { BatchInsertOptions } from '../../src/clickhouse/insertOptions.js';
import { DEFAULT_MAPPING } from '../support/chunks.js';
import { attemptsUntilDone, FakeTable, type Fault } from '../support/fakeTable.js';
import { record } from '../support/records.js';

const LINES = { good: '{}', refused: '{"bad":true}', noJson: 'x', blank: ' ' };
type Line = keyof typeof LINES;

/** Records, each with its lines. */
const batch = fc.array(
  fc.array(fc.constantFrom<Line>('good', 'good', 'good', 'good', 'good', 'refused', 'noJson', 'blank'), {
    maxLength: 6,
  }),
  { minLength: 1, maxLength: 15 },
);
const fault = fc.constantFrom<Fault>(
  ...(['none', 'none', 'lostBefore', 'lostAfter', 'lostInPart', 'lostInPart', 'lostWhileRunning'] as const),
  ...(['tooLargeForProxy', 'viewFails', 'viewIsAway', 'viewFailsAndDies', 'diesBefore', 'diesAfter'] as const),
);

const recordsOf = (lists: readonly (readonly Line[])[]) =>
  lists.map((lines, offset) => ({
    source: { topic: 'orders', partition: offset % 2, epoch: 'e1' },
    record: record(offset, { value: Buffer.from(lines.map((line) => LINES[line]).join('\n')) }),
  }));

function optionsOf({ tables }: FakeTable): BatchInsertOptions {
  return {
    tables,
    table: 'orders',
    columns: {},
    mapping: { ...DEFAULT_MAPPING, format: 'json-lines' },
    ...{ batch: 'b1', repeated: false, overdue: false },
    mustBeAlive: () => undefined,
    pause: () => Promise.resolve(),
  };
}

function untilDone(
  table: FakeTable,
  lists: readonly (readonly Line[])[],
  pieceBytes: number | undefined,
): Promise<BatchInsertResult> {
  const options = { ...optionsOf(table), ...(pieceBytes === undefined ? {} : { pieceBytes }) };
  return attemptsUntilDone(table, (own) => insertRecords(recordsOf(lists), { ...options, ...own }));
}

const rowsIn = ({ rows }: FakeTable) => rows.map(({ _offset, _row }) => `${_offset}/${_row}`).toSorted();
/** The rows of those records that are wholly good. */
const goodRows = (lists: readonly (readonly Line[])[]) =>
  lists
    .flatMap((lines, offset) => {
      const rows = lines.filter((line) => line !== 'blank');
      return rows.every((line) => line === 'good') ? rows.map((_, index) => `${offset}/${index}`) : [];
    })
    .toSorted();
const offsetsOf = (items: readonly { record: { offset: number } }[]) => items.map((item) => item.record.offset);

function table(faults: readonly Fault[], own: Partial<FakeTable> = {}): FakeTable {
  return Object.assign(new FakeTable(), { faults: [...faults], partitionsByRow: true, ...own });
}

it('the rows of each good record come once, and those of a record with a bad row not at all, whatever fails and wherever an insert ends', async () => {
  await fc.assert(
    fc.asyncProperty(
      batch,
      fc.array(fault, { maxLength: 8 }),
      fc.constantFrom('right' as const, 'wrong' as const, 'none' as const),
      fc.boolean(),
      fc.constantFrom(Infinity, 300),
      fc.constantFrom(undefined, 0, 200, 500),
      async (lists, faults, hints, hasView, bytesMax, pieceBytes) => {
        const fake = table(faults, { hints, hasView });
        fake.tables.sizes.wasTooLarge('orders', bytesMax, false);
        const { inserted, rejected, missedByViews } = await untilDone(fake, lists, pieceBytes);
        const good = goodRows(lists);
        const isGood = new Set(good);
        const inTable = rowsIn(fake);
        expect(inTable.filter((row) => isGood.has(row))).toEqual(good);
        // What an insert that ended in the middle has left of a record that ClickHouse refuses stays. Its letter says so.
        const left = new Set(inTable.filter((row) => !isGood.has(row)).map((row) => Number(row.split('/')[0])));
        const told = rejected.filter(({ rejection }) => rejection.message.includes('rows are in the table'));
        expect(new Set(offsetsOf(told))).toEqual(left);
        if (!faults.includes('lostInPart')) expect(left.size).toBe(0);
        const hasRows = (lines: readonly Line[]) => lines.some((line) => line !== 'blank');
        const empty = lists.flatMap((lines, offset) => (hasRows(lines) ? [] : [offset]));
        const leftOut = rejected.filter(({ rejection }) => rejection.code === 'left_out');
        expect(offsetsOf(leftOut)).toEqual(empty);
        expect([...offsetsOf(inserted), ...offsetsOf(rejected)].toSorted((a, b) => a - b)).toEqual(
          lists.map((_, offset) => offset),
        );
        const inView = fake.viewRows.map(({ _offset, _row }) => `${_offset}/${_row}`);
        expect(new Set(inView).size).toBe(inView.length);
        if (hasView && missedByViews === null) expect(good.filter((row) => !inView.includes(row))).toEqual([]);
      },
    ),
    { numRuns: 1_500 },
  );
}, 120_000);

it('a batch that is given up: a record of which the table has a part is rejected, and one that it has wholly is not', async () => {
  const fake = table(['lostInPart']);
  const lists: Line[][] = [['good'], ['good', 'good'], ['good', 'blank', 'good', 'good']];
  const attempt = insertRecords(recordsOf(lists), optionsOf(fake));
  await expect(attempt).rejects.toMatchObject({ code: 'ECONNRESET' });
  const { inserted, rejected } = await giveUpRecords(
    recordsOf(lists),
    { ...optionsOf(fake), repeated: true },
    { code: 'parked', message: 'because' },
  );
  expect(offsetsOf(inserted)).toEqual([0]);
  expect(rejected.map(({ rejection }) => rejection.message)).toEqual([
    'because; 1 of its 2 rows are in the table',
    'because; 2 of its 3 rows are in the table',
  ]);
});

it('a batch that is given up: rows that are too large to judge do not count against a record, if the pipeline may leave them out', async () => {
  const fake = table([]);
  const where = { pointer: '/id', notEquals: '13' } as const;
  const filler = `"text":"${'x'.repeat(70_000)}"`;
  const mapping = { ...optionsOf(fake).mapping, where: [where] };
  const values = [`{"id":1}\n{"id":13,${filler}}\n{"id":2,${filler}}`, `{"id":1}\n{"id":2}`, `{"id":13,${filler}}`];
  const records = values.map((value, offset) => ({
    source: { topic: 'orders', partition: 0, epoch: 'e1' },
    record: record(offset, { value: Buffer.from(value) }),
  }));
  const options = { ...optionsOf(fake), mapping };
  await insertRecords(records, options);
  expect(rowsIn(fake)).toEqual(['0/0', '0/2', '1/0', '1/1']);
  fake.rows.pop();
  const { inserted, rejected } = await giveUpRecords(records, options, { code: 'parked', message: 'because' });
  expect(offsetsOf(inserted)).toEqual([0]);
  expect(rejected.map(({ rejection }) => rejection.message)).toEqual([
    'because; 1 of its 2 rows are in the table',
    'because',
  ]);
});

it('a table without _row takes nothing of records that may hold many rows, and can be given up', async () => {
  const fake = table([]);
  const columns = new Map([
    ['_topic', 'String'],
    ['_partition', 'UInt32'],
    ['_offset', 'UInt64'],
    ['_epoch', 'String'],
  ]);
  for (const type of [undefined, 'UInt16', 'String']) {
    const own = new Map([...columns, ...(type === undefined ? [] : [['_row', type] as const])]);
    const options = { ...optionsOf(fake), tables: { ...fake.tables, columns: () => Promise.resolve(own) } };
    await expect(insertRecords(recordsOf([['good']]), options)).rejects.toMatchObject({
      kind: 'structural',
      message: expect.stringContaining('_row') as string,
    });
    const { rejected } = await giveUpRecords(recordsOf([['good']]), options, { code: 'parked', message: 'because' });
    expect(rejected).toHaveLength(1);
  }
  const merging = Object.assign(new Map([...columns, ['_row', 'UInt32'] as const]), { mergesRowsOfRecord: true });
  const options = { ...optionsOf(fake), tables: { ...fake.tables, columns: () => Promise.resolve(merging) } };
  await expect(insertRecords(recordsOf([['good']]), options)).rejects.toMatchObject({
    kind: 'structural',
    message: expect.stringContaining('_row in its sorting key') as string,
  });
  expect(fake.insertSizes).toEqual([]);
});
