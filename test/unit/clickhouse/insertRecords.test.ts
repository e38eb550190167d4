import { setImmediate } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { giveUpRecords, insertRecords } from '../../../src/clickhouse/insertRecords.js';
import { buildRows } from '../../../src/clickhouse/batchRows.js';
import { NO_JOURNAL, type BatchInsertOptions } from '../../../src/clickhouse/insertOptions.js';
import { InsertError } from '../../../src/clickhouse/insertErrors.js';
import { InsertSizes } from '../../../src/clickhouse/insertSizes.js';
import { recordName } from '../../../src/clickhouse/lookUps.js';
import { JsonObject } from '../../../src/clickhouse/values/jsonBytesReader.js';
import { REJECTION_CODES } from '../../../src/protocol/ack.js';
import { Decoders } from '../../../src/formats/decoders.js';
import { RegistryError, type RegisteredSchema } from '../../../src/formats/schemaRegistry.js';
import type { InsertNotes } from '../../../src/protocol/attemptNotes.js';
import { DEFAULT_MAPPING } from '../../support/chunks.js';
import { FakeTable } from '../../support/fakeTable.js';
import { record } from '../../support/records.js';

it('lets others have their turn by the time that rows take, not by their number', async () => {
  let nowMs = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 100));
  let turns = 0;
  const done = new AbortController();
  const others = (async () => {
    while (!done.signal.aborted) {
      await setImmediate();
      turns++;
    }
  })();
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const records = Array.from({ length: 50 }, (_, offset) => ({ source, record: record(offset) }));
  const { tables, rows } = new FakeTable();
  await insertRecords(records, {
    tables,
    table: 't',
    columns: {},
    mapping: DEFAULT_MAPPING,
    batch: 'b',
    repeated: false,
    overdue: false,
    mustBeAlive: () => undefined,
  });
  done.abort();
  clock.mockRestore();
  await others;
  expect(rows).toHaveLength(50);
  expect(turns).toBeGreaterThanOrEqual(50);
});

it('rows that an earlier attempt inserts between two questions of a look-up are found, and not sent as another set', async () => {
  const table = new FakeTable();
  const sources = [0, 1, 2].map((partition) => ({ topic: 'orders', partition, epoch: 'e1' }));
  const records = sources.map((source) => ({ source, record: record(7) }));
  const options = {
    table: 't',
    columns: {},
    mapping: DEFAULT_MAPPING,
    batch: 'b',
    repeated: true,
    overdue: false,
    mustBeAlive: () => undefined,
  };
  let asked = 0;
  const tables: BatchInsertOptions['tables'] = {
    ...table.tables,
    foundOffsets: async (...question) => {
      // The attempt that nobody knows of any more. Its rows come at once.
      if (++asked === 2) await insertRecords(records, { ...options, repeated: false, tables: table.tables });
      return table.tables.foundOffsets(...question);
    },
  };
  const { inserted } = await insertRecords(records, { ...options, tables });
  expect(inserted).toHaveLength(3);
  expect(table.rows.map(({ _partition }) => _partition)).toEqual([0, 1, 2]);
});

it('a replica that has a part of an insert, and gets the rest later, is waited for: the rest is not sent as another set', async () => {
  const table = new FakeTable();
  const sources = [0, 1, 2].map((partition) => ({ topic: 'orders', partition, epoch: 'e1' }));
  const records = sources.map((source) => ({ source, record: record(7) }));
  const options = {
    ...{ table: 't', columns: {}, mapping: DEFAULT_MAPPING, batch: 'b', overdue: false },
    mustBeAlive: () => undefined,
  };
  await insertRecords(records, { ...options, repeated: false, tables: table.tables });
  let isBehind = true;
  let waits = 0;
  const tables: BatchInsertOptions['tables'] = {
    ...table.tables,
    caughtUp: () => {
      waits++;
      isBehind = false;
      return Promise.resolve(true);
    },
    foundOffsets: async (...question) =>
      isBehind && question[1].partition > 0 ? new Set() : table.tables.foundOffsets(...question),
  };
  const { inserted, found } = await insertRecords(records, { ...options, repeated: true, tables });
  expect([inserted.length, found, waits, table.insertSizes]).toEqual([3, 3, 1, [3]]);
  // Nobody waits for it if all is there, or nothing, or the batch is given up.
  await insertRecords(records, { ...options, repeated: true, tables });
  table.rows.splice(0);
  await insertRecords([records[0]!], { ...options, repeated: true, tables });
  await giveUpRecords(records, { ...options, repeated: true, tables }, { code: 'parked', message: 'by me' });
  expect(waits).toBe(1);
});

it('a batch whose rows are all in the table waits for no replica, also if records are left out or rejected', async () => {
  const table = new FakeTable();
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const records = [
    { source, record: record(0) },
    { source, record: record(1, { value: Buffer.from('no JSON') }) },
  ];
  const waits: unknown[] = [];
  const options: BatchInsertOptions = {
    tables: {
      ...table.tables,
      caughtUp: (...asked) => {
        waits.push(asked);
        return Promise.resolve(true);
      },
    },
    ...{ table: 't', columns: {}, mapping: DEFAULT_MAPPING, batch: 'b', repeated: true, overdue: false },
    mustBeAlive: () => undefined,
  };
  table.rows.push({ _topic: 'orders', _partition: 0, _epoch: 'e1', _offset: 0 });
  expect(await insertRecords(records, options)).toMatchObject({ found: 1, rejected: [{ record: { offset: 1 } }] });
  expect(waits).toEqual([]);
  // Something is left to send.
  await insertRecords([...records, { source, record: record(2) }], options);
  expect(waits).toEqual([['t', { ageMs: Infinity, mustBeAlive: options.mustBeAlive }]]);
});

it('a replica is waited for only as far as it may have rows of the batch: of any age, if others may have sent them', async () => {
  const table = new FakeTable();
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const ages: unknown[] = [];
  const insert = (offset: number, onlyThisActivity: boolean, fill?: BatchInsertOptions['fill']) =>
    insertRecords(
      [0, offset].map((at) => ({ source, record: record(at) })),
      {
        tables: { ...table.tables, caughtUp: (_table, options) => Promise.resolve(ages.push(options?.ageMs) > 0) },
        ...{ table: 't', columns: {}, mapping: DEFAULT_MAPPING, batch: 'b', repeated: true, overdue: false },
        mustBeAlive: () => undefined,
        journal: { ...NO_JOURNAL, onlyThisActivity, ageMs: () => 7_000 },
        ...(fill === undefined ? {} : { fill }),
      },
    );
  table.rows.push({ _topic: 'orders', _partition: 0, _epoch: 'e1', _offset: 0 });
  await insert(1, true);
  await insert(2, false);
  await insert(3, true, { sources: new Set(), salt: 's' });
  expect(ages).toEqual([7_000, Infinity, Infinity]);
});

it('a batch of which a replica that lags has a part is held', async () => {
  const table = new FakeTable();
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const lags = new InsertError('transient', { code: 'replica_lags', message: 'it lags', answered: false });
  table.rows.push({ _topic: 'orders', _partition: 0, _epoch: 'e1', _offset: 0 });
  const attempt = insertRecords(
    [0, 1].map((offset) => ({ source, record: record(offset) })),
    {
      tables: { ...table.tables, caughtUp: () => Promise.reject(lags) },
      ...{ table: 't', columns: {}, mapping: DEFAULT_MAPPING, batch: 'b', repeated: true, overdue: false },
      mustBeAlive: () => undefined,
    },
  );
  await expect(attempt).rejects.toBe(lags);
  expect(table.insertSizes).toEqual([]);
});

const ANSWER_ROWS_MAX = 100;

/** Every eighth of these records is of the batch, the others are other batchers'. An answer to a look-up has a limit. */
function sparseBatch() {
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const table = new FakeTable();
  for (let offset = 0; offset < 3_000; offset++)
    table.rows.push({ _topic: 'orders', _partition: 0, _epoch: 'e1', _offset: offset });
  const kept: number[] = [];
  const options: BatchInsertOptions = {
    tables: {
      ...table.tables,
      foundOffsets: async (name, source, asked) => {
        if (asked.to - asked.from + 1 > ANSWER_ROWS_MAX)
          throw new InsertError('oversized', { code: '396', message: 'over max_result_rows' });
        const found = await table.tables.foundOffsets(name, source, asked);
        kept.push(...found);
        return found;
      },
    },
    ...{ table: 't', columns: {}, mapping: DEFAULT_MAPPING, batch: 'b', repeated: true, overdue: false },
    mustBeAlive: () => undefined,
  };
  const records = Array.from({ length: 400 }, (_, index) => ({ source, record: record(index * 8) }));
  return { table, options, records, kept };
}

it('a look-up over a limit of the user’s is divided, and no row of other batchers in its range is kept', async () => {
  const { table, options, records, kept } = sparseBatch();
  const { inserted, rejected } = await insertRecords([...records].reverse(), options);
  expect([inserted.length, rejected.length]).toEqual([400, 0]);
  expect(table.insertSizes).toEqual([25]);
  // The last 25 are found after their insert.
  expect(kept.toSorted((one, other) => one - other)).toEqual(Array.from({ length: 400 }, (_, index) => index * 8));
});

it('a batch can be given up although a look-up of its whole range is over a limit of the user’s', async () => {
  const { table, options, records } = sparseBatch();
  const parked = { code: REJECTION_CODES.parked, message: 'by a person' };
  const { inserted, rejected } = await giveUpRecords(records, options, parked);
  expect([inserted.length, rejected.length]).toEqual([375, 25]);
  expect(table.insertSizes).toEqual([]);
});

it('a batch is held while a look-up of a single row is over a limit of the user’s', async () => {
  const { options, records } = sparseBatch();
  const error = new InsertError('oversized', { code: '158', message: 'over max_rows_to_read' });
  let asked = 0;
  const foundOffsets = () => {
    asked++;
    return Promise.reject(error);
  };
  await expect(insertRecords(records, { ...options, tables: { ...options.tables, foundOffsets } })).rejects.toBe(error);
  expect(asked).toBe(10);
});

it('a batch can be given up whatever is in its records: large ones are not judged', async () => {
  const { table, options } = sparseBatch();
  const source = { topic: 'orders', partition: 1, epoch: 'e1' };
  const records = [10, 70_000, 16_000_000].map((bytes, offset) => ({
    source,
    record: record(offset, { value: Buffer.alloc(bytes, '[') }),
  }));
  const read = vi.spyOn(JsonObject.prototype, 'read');
  const { inserted, rejected } = await giveUpRecords(records, options, {
    code: REJECTION_CODES.parked,
    message: 'by me',
  });
  const lengths = read.mock.calls.map(([, from = 0, to = 0]) => to - from);
  read.mockRestore();
  expect(rejected.map(({ record: { offset }, rejection }) => [offset, rejection.code])).toEqual([
    [0, REJECTION_CODES.notJson],
    [1, REJECTION_CODES.parked],
    [2, REJECTION_CODES.parked],
  ]);
  expect([inserted, table.insertSizes, lengths]).toEqual([[], [], [10]]);
});

it('keeps no rows of a batch that is given up, however large mapped columns make them', async () => {
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const records = [0, 1].map((offset) => ({ source, record: record(offset, { value: Buffer.alloc(1_000) }) }));
  const columns = { one: 'value', other: 'value' };
  const table = new Map([['one', 'String'] as const, ['other', 'String'] as const]);
  const bytes = async (judgedBytesMax?: number) => {
    const options = { columns, mapping: { ...DEFAULT_MAPPING, format: 'bytes' as const } };
    const { rows, lines } = await buildRows(records, table, {
      ...options,
      ...(judgedBytesMax === undefined ? {} : { judgedBytesMax }),
    });
    return rows.map(({ row }) => lines.bytesOf(row));
  };
  expect((await bytes()).every((length) => length > 12_000)).toBe(true);
  expect(await bytes(64 * 1024)).toEqual([1, 1]);
});

it('a record whose row is there counts as inserted, and nothing is left of its rejection if it could become no row now', async () => {
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const records = [0, 1].map((offset) => ({ source, record: record(offset) }));
  const { tables } = new FakeTable();
  const options = {
    ...{ tables, table: 't', columns: {}, mapping: DEFAULT_MAPPING, batch: 'b', overdue: false },
    mustBeAlive: () => undefined,
  };
  await insertRecords(records, { ...options, repeated: false });
  const altered = { ...options, repeated: true, mapping: { ...DEFAULT_MAPPING, unknownFields: 'reject' as const } };
  const parked = { code: REJECTION_CODES.parked, message: 'by me' };
  for (const { inserted, rejected } of [
    await insertRecords(records, altered),
    await giveUpRecords(records, altered, parked),
  ]) {
    expect(inserted).toEqual(records);
    expect(rejected).toEqual([]);
  }
});

const rewound = { topic: 'orders', partition: 0, epoch: 'e2' };
const readOn = { topic: 'orders', partition: 1, epoch: 'e1' };

/** A batch of a partition that is being rewound and of one that is not, into a table with a view. */
function rewindBatch() {
  const table = new FakeTable();
  table.hasView = true;
  const records = [rewound, readOn].flatMap((source) =>
    [0, 1, 2].map((offset) => ({ source, record: record(offset) })),
  );
  const noted: { notes: InsertNotes | undefined } = { notes: undefined };
  const save = (notes: InsertNotes) => {
    noted.notes = notes;
    return Promise.resolve();
  };
  // The rewound partition has nothing else in the table than this batch.
  const foundRecords: BatchInsertOptions['tables']['foundRecords'] = async (name, _, source, asked) => {
    const offsets = await table.tables.foundOffsets(name, source, asked);
    return new Set(records.filter((one) => offsets.has(one.record.offset)).map((one) => recordName(one.record)));
  };
  const options = (onlyThisActivity: boolean, own: Partial<BatchInsertOptions> = {}): BatchInsertOptions => ({
    tables: { ...table.tables, foundRecords },
    ...{ table: 't', columns: {}, mapping: DEFAULT_MAPPING, batch: 'b', repeated: true, overdue: false },
    mustBeAlive: () => undefined,
    fill: { sources: new Set([rewound]), salt: 's' },
    journal: Object.assign(noted, { onlyThisActivity, ageMs: () => 1, save }),
    ...own,
  });
  const giveUp = (onlyThisActivity: boolean) =>
    giveUpRecords(records, options(onlyThisActivity), { code: 'parked', message: 'by me' });
  return { table, records, options, giveUp, noted };
}

it.each(['given up', 'inherited'])(
  'rows that views may lack are counted where nothing is known of earlier attempts, but not those of a rewound partition: a batch is %s',
  async (how) => {
    const { table, records, options, giveUp, noted } = rewindBatch();
    await insertRecords(records, options(true, { repeated: false }));
    expect(table.rows).toHaveLength(6);
    noted.notes = undefined;
    const { inserted, missedByViews } =
      how === 'given up' ? await giveUp(false) : await insertRecords(records, options(false));
    expect([inserted.length, missedByViews?.rows]).toEqual([6, 3]);
  },
);

it('rows of a rewound partition are counted, too, where they are known to be sent and views may lack them', async () => {
  const { table, records, options, giveUp } = rewindBatch();
  table.faults = ['viewIsAway'];
  await expect(insertRecords(records, options(true, { repeated: false }))).rejects.toBeInstanceOf(InsertError);
  expect(table.rows).toHaveLength(6);
  for (const complete of [true, false]) expect((await giveUp(complete)).missedByViews?.rows).toBe(6);
});

it.each([
  ['partitions makes the next inserts small enough', '252', [2_400, 1_800, undefined], [2_400, 1_200, 600]],
  // The third finds that no size helps: inserts are whole again.
  ['what it reads makes no crumbs of them', '158', [2_400, 2_200, 2_400], [2_400, 1_200, 2_400]],
] as const)('a view whose limit is about %s', async (_, code, lacking, tooLarge) => {
  const table = new FakeTable();
  table.hasView = true;
  table.viewTakesMax = 300;
  table.viewLimit = { code, message: 'over a limit of a view' };
  const said: number[] = [];
  const missed: (number | undefined)[] = [];
  for (const epoch of ['e1', 'e2', 'e3']) {
    const source = { topic: 'orders', partition: 0, epoch };
    const records = Array.from({ length: 2_400 }, (_, offset) => ({ source, record: record(offset + 1_000) }));
    const { inserted, missedByViews } = await insertRecords(records, {
      tables: table.tables,
      ...{ table: 't', columns: {}, mapping: DEFAULT_MAPPING, batch: epoch, repeated: false, overdue: false },
      mustBeAlive: () => undefined,
      onTooLarge: (_, rows) => said.push(rows),
    });
    expect(inserted).toHaveLength(2_400);
    missed.push(missedByViews?.rows);
  }
  expect(table.rows).toHaveLength(7_200);
  expect(missed).toEqual(lacking);
  expect(said).toEqual(tooLarge);
});

it('the limit of a view outlasts that of its table, and does not grow: to try it would cost the view rows', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const sizes = new InsertSizes();
  sizes.wasTooLargeForViews('t', 8_000, 100);
  sizes.wasTooLarge('t', 2_000, true);
  const limits = () => [sizes.bytesMax('t'), sizes.rowsMax('t')];
  expect(limits()).toEqual([1_000, 4_000]);
  for (let inserts = 0; inserts < 20; inserts++) sizes.fitted('t', sizes.bytesMax('t'));
  expect(limits()).toEqual([2_000, 4_000]);
  vi.advanceTimersByTime(23 * 60 * 60_000);
  expect([...limits(), sizes.rowsMax('other')]).toEqual([Infinity, 4_000, Infinity]);
  vi.advanceTimersByTime(60 * 60_000);
  expect(limits()).toEqual([Infinity, Infinity]);
});

it('the limit of a view is never below its lowest value, and ends if the view is another one', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const sizes = new InsertSizes();
  expect(sizes.shouldLookAtViews('t')).toBe(false);
  for (const rows of [1_000, 180, 101]) sizes.wasTooLargeForViews('t', rows, 100);
  expect(sizes.rowsMax('t')).toBe(100);
  expect([sizes.shouldLookAtViews('t'), sizes.shouldLookAtViews('t')]).toEqual([true, false]);
  sizes.sawViews('t', 'as they are');
  vi.advanceTimersByTime(30_000);
  expect(sizes.shouldLookAtViews('t')).toBe(true);
  sizes.sawViews('t', 'as they are');
  expect(sizes.rowsMax('t')).toBe(100);
  // A batch that is held is refused again and again.
  expect(sizes.wasTooLargeForViews('t', 1_000, 100)).toBe(true);
  sizes.sawViews('t', 'altered');
  expect(sizes.rowsMax('t')).toBe(Infinity);
  // At its lowest value it does not help: then there is none.
  const helps = [1_000, 180, 90].map((rows) => sizes.wasTooLargeForViews('t', rows, 100));
  expect([...helps, sizes.rowsMax('t')]).toEqual([true, true, false, Infinity]);
});

it('a view that makes many partitions of one row makes no crumbs of the inserts, whatever they weigh', async () => {
  const table = new FakeTable();
  table.hasView = true;
  table.viewTakesMax = 0;
  const inserted = async (batch: string, count: number) => {
    const before = table.insertSizes.length;
    const source = { topic: 'orders', partition: 0, epoch: batch };
    const records = Array.from({ length: count }, (_, offset) => ({ source, record: record(offset + 1_000) }));
    await insertRecords(records, {
      tables: table.tables,
      ...{ table: 't', columns: {}, mapping: DEFAULT_MAPPING, batch, repeated: false, overdue: false },
      mustBeAlive: () => undefined,
    });
    return table.insertSizes.slice(before);
  };
  for (const [batch, count] of [2, 9, 1_000, 1_000].entries()) await inserted(`b${batch}`, count);
  table.viewTakesMax = Infinity;
  // Whole again: ten rows were refused, too, so no size helps.
  expect((await inserted('after', 1_000)).length).toBeLessThan(5);
});

it('the memory of rows serves others only if each insert was answered with success: a failed one may still be sent', async () => {
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const records = Array.from({ length: 3 }, (_, offset) => ({ source, record: record(offset) }));
  /** The memory that an insert reads, and whether the rows after it are written there. */
  const isUsedAgain = async (failures: number): Promise<boolean> => {
    const table = new FakeTable();
    const sent: Buffer[] = [];
    let left = failures;
    const send: BatchInsertOptions['tables']['send'] = (name, rows) => {
      sent.push(...rows.lines);
      if (left-- > 0) return Promise.reject(new InsertError('transient', { code: '242', message: 'read only' }));
      return table.tables.send(name, rows);
    };
    const options: BatchInsertOptions = {
      tables: { ...table.tables, send },
      ...{ table: 't', columns: {}, mapping: DEFAULT_MAPPING, batch: 'b', repeated: false, overdue: false },
      mustBeAlive: () => undefined,
    };
    await insertRecords(records, options).catch(() => undefined);
    const { lines } = await buildRows(records, await table.tables.columns('t'), options);
    const next = lines.lines([0, 1, 2]);
    return next.some(({ buffer }) => sent.some((before) => before.buffer === buffer));
  };
  expect(await isUsedAgain(0)).toBe(true);
  expect(await isUsedAgain(1)).toBe(false);
});

/** A batch of Avro, of which the registry can be asked or not. */
function avroBatch(schema: () => Promise<RegisteredSchema | null>) {
  const { table, options } = sparseBatch();
  const source = { topic: 'orders', partition: 2, epoch: 'e1' };
  const records = [Buffer.of(0, 0, 0, 0, 1, 8), Buffer.of(0, 0, 0, 0, 1)].map((value, offset) => ({
    source,
    record: record(offset, { value }),
  }));
  const mapping = { ...DEFAULT_MAPPING, format: 'avro' } as const;
  return { table, records, options: { ...options, repeated: false, mapping, decoders: new Decoders({ schema }) } };
}

it.each([
  ['away', 'transient'],
  ['wrong', 'structural'],
] as const)(
  'a registry that is %s holds a batch, proves nothing against a record, and is no answer of ClickHouse',
  async (kind, held) => {
    const { table, records, options } = avroBatch(() => Promise.reject(new RegistryError(kind, 'the registry')));
    const error = {
      name: 'InsertError',
      kind: held,
      code: `registry_${kind}`,
      message: 'the registry',
      answered: false,
    };
    await expect(insertRecords(records, options)).rejects.toMatchObject(error);
    expect(table.insertSizes).toEqual([]);
    const parked = { code: REJECTION_CODES.parked, message: 'by a person' };
    const { inserted, rejected } = await giveUpRecords(records, options, parked);
    expect([inserted.length, rejected.map(({ rejection }) => rejection.code)]).toEqual([0, ['parked', 'parked']]);
  },
);

it('schemas are asked for once, also if the columns are read again', async () => {
  const schema = JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'unknown', type: 'long' }] });
  const { records, options } = avroBatch(() => Promise.resolve({ schema, type: 'AVRO', references: [] }));
  const { decoders } = options;
  const of = vi.spyOn(decoders, 'of');
  const forget = vi.spyOn(options.tables, 'forget');
  const mapping = { ...options.mapping, unknownFields: 'reject' } as const;
  const { rejected } = await insertRecords(records, { ...options, mapping });
  expect(rejected.map(({ rejection: { code } }) => code)).toEqual(['unknown_field', 'undecodable']);
  expect(forget).toHaveBeenCalled();
  expect(of).toHaveBeenCalledTimes(1);
});

it('a batch is given up whatever the decoder throws', async () => {
  const parked = { code: REJECTION_CODES.parked, message: 'by a person' };
  const fail = (): never => {
    throw new TypeError('a bug');
  };
  const failing = [
    { of: () => Promise.reject(new TypeError('a bug')) },
    { of: () => Promise.resolve(new Map([[1, { bytes: 1, decode: fail }]])) },
  ];
  for (const one of failing) {
    const { records, options } = avroBatch(() => Promise.resolve(null));
    const decoders = one as unknown as Decoders;
    const { rejected } = await giveUpRecords(records, { ...options, decoders }, parked);
    expect(rejected.map(({ rejection }) => rejection)).toEqual([parked, parked]);
  }
});

it('a batch of Avro is inserted but for the records that do not decode, whose own bytes are given back', async () => {
  const schema = JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'id', type: 'long' }] });
  const { table, records, options } = avroBatch(() => Promise.resolve({ schema, type: 'AVRO', references: [] }));
  const { inserted, rejected } = await insertRecords(records, options);
  expect([inserted.length, table.insertSizes]).toEqual([1, [1]]);
  expect(rejected.map(({ record: { value }, rejection: { code } }) => [value, code])).toEqual([
    [records[1]?.record.value, 'undecodable'],
  ]);
  const { rejected: givenUp } = await giveUpRecords(records, options, { code: REJECTION_CODES.parked, message: '' });
  expect(givenUp.map(({ rejection: { code } }) => code)).toEqual(['undecodable']);
});
