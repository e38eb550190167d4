import fc from 'fast-check';
import { expect, it } from 'vitest';
import { giveUpRecords, insertRecords, type BatchInsertResult } from '../../src/clickhouse/insertRecords.js';
import type { BatchInsertOptions } from '../../src/clickhouse/insertOptions.js';
import { classifyForeignAnswer, InsertError } from '../../src/clickhouse/insertErrors.js';
import type { Rejection } from '../../src/protocol/ack.js';
import type { InsertNotes } from '../../src/protocol/attemptNotes.js';
import { DEFAULT_MAPPING } from '../support/chunks.js';
import { attemptsUntilDone, Died, FakeTable, type Fault } from '../support/fakeTable.js';
import { record } from '../support/records.js';

const fault = fc.constantFrom<Fault>(
  'none',
  'none',
  'none',
  'lostBefore',
  'lostAfter',
  'lostWhileRunning',
  'tooLargeForProxy',
  'viewFails',
  'viewIsAway',
  'viewFailsAndDies',
  'diesBefore',
  'diesAfter',
);

type Kind = 'good' | 'refused' | 'odd' | 'noJson' | 'later';
const VALUES: Readonly<Record<Kind, string>> = {
  good: '{}',
  refused: '{"bad":true}',
  odd: '{"odd":true}',
  noJson: 'x',
  // Rejected while the table lacks this column.
  later: '{"later":"1"}',
};

/** A batch of two partitions; some records are refused by ClickHouse, some are no JSON. */
const batch = fc.array(fc.constantFrom<Kind>('good', 'good', 'good', 'good', 'refused', 'noJson'), {
  minLength: 1,
  maxLength: 40,
});

function records(kinds: readonly Kind[]) {
  const sources = [0, 1].map((partition) => ({ topic: 'orders', partition, epoch: 'e1' }));
  return kinds.map((kind, index) => {
    const value = Buffer.from(VALUES[kind]);
    return { source: sources[index % 2]!, record: record(index, { value, key: null }) };
  });
}

const many = (count: number, kind: Kind): Kind[] => Array.from({ length: count }, () => kind);

function defaults({ tables }: FakeTable): BatchInsertOptions {
  return {
    tables,
    table: 'orders',
    columns: {},
    mapping: { ...DEFAULT_MAPPING, unknownFields: 'reject' },
    batch: 'b1',
    repeated: false,
    overdue: false,
    mustBeAlive: () => undefined,
    pause: () => Promise.resolve(),
  };
}

function insert(table: FakeTable, kinds: readonly Kind[], options: Partial<BatchInsertOptions> = {}) {
  return insertRecords(records(kinds), { ...defaults(table), ...options });
}

/** @param withoutNotes see {@link attemptsUntilDone} */
function untilDone(
  table: FakeTable,
  kinds: readonly Kind[],
  options: Partial<BatchInsertOptions> = {},
  withoutNotes = 0,
): Promise<BatchInsertResult> {
  return attemptsUntilDone(
    table,
    (own) => insert(table, kinds, { ...own, ...options }),
    ({ code }) => code === 'columns_changed' || options.views === 'required',
    withoutNotes,
  );
}

const unknown = new InsertError('unknown', { code: '9999', message: 'new in some version' });

const offsetsOf = (items: readonly { record: { offset: number } }[]) =>
  items.map((item) => item.record.offset).toSorted((a, b) => a - b);
const offsetsWhere = (kinds: readonly Kind[], holds: (kind: Kind) => boolean) =>
  kinds.flatMap((kind, index) => (holds(kind) ? [index] : []));
const offsetsIn = (table: FakeTable) => table.rows.map(({ _offset }) => _offset).toSorted((a, b) => a - b);

/** What the view has. It has nothing twice. */
function offsetsInView({ viewRows }: FakeTable): number[] {
  const inView = viewRows.map(({ _offset }) => _offset).toSorted((a, b) => a - b);
  expect(new Set(inView).size).toBe(inView.length);
  return inView;
}

/** Like {@link offsetsInView}. What the view lacks of these rows is counted. */
function toldOfView(table: FakeTable, rows: readonly number[], missed: BatchInsertResult['missedByViews']): number[] {
  const inView = offsetsInView(table);
  expect(inView.length + (missed?.rows ?? 0)).toBeGreaterThanOrEqual(rows.length);
  return inView;
}

it('inserts each good record once and gives back each bad one, whatever fails before, after and beside the insert', async () => {
  await fc.assert(
    fc.asyncProperty(
      batch,
      fc.array(fault, { maxLength: 12 }),
      fc.boolean(),
      fc.constantFrom(Infinity, 1, 2, 3, 5, 8),
      fc.constantFrom('right' as const, 'wrong' as const, 'none' as const),
      async (kinds, faults, remembersTokens, windowAfter, hints) => {
        const table = new FakeTable();
        Object.assign(table, { faults: [...faults], remembersTokens, windowAfter, hints, hasView: true });
        const { inserted, rejected, missedByViews } = await untilDone(table, kinds);
        const good = offsetsWhere(kinds, (kind) => kind === 'good');
        toldOfView(table, good, missedByViews);
        expect(offsetsIn(table)).toEqual(good);
        expect(inserted.map((row) => row.record.offset)).toEqual(good);
        expect(offsetsOf(rejected)).toEqual(offsetsWhere(kinds, (kind) => kind !== 'good'));
      },
    ),
    { numRuns: 1_000 },
  );
}, 60_000);

it('inserts each good record once, also where an insert comes into one partition only; what views lack is said', async () => {
  await fc.assert(
    fc.asyncProperty(
      batch,
      fc.array(fc.oneof(fault, fc.constant('lostInPart' as const)), { maxLength: 8 }),
      fc.constantFrom('required' as const, 'best-effort' as const),
      fc.constantFrom(Infinity, 200),
      async (kinds, faults, views, bytesMax) => {
        const table = new FakeTable();
        Object.assign(table, { faults: [...faults], hasView: true });
        table.tables.sizes.wasTooLarge('orders', bytesMax, false);
        const { missedByViews } = await untilDone(table, kinds, { views });
        const good = offsetsWhere(kinds, (kind) => kind === 'good');
        expect(offsetsIn(table)).toEqual(good);
        const inView = toldOfView(table, good, missedByViews);
        if (missedByViews === null) expect(inView).toEqual(good);
      },
    ),
    { numRuns: 2_000 },
  );
}, 60_000);

const lossy = fc.constantFrom<Fault>(
  ...(['none', 'none', 'known', 'known'] as const),
  ...(['lostBefore', 'lostAfter', 'lostWhileRunning', 'tooLargeForProxy', 'diesBefore', 'diesAfter'] as const),
);

it('inserts each good record once, also where the table knows a token and has lost its rows; what views may lack is said', async () => {
  await fc.assert(
    fc.asyncProperty(
      batch,
      fc.array(lossy, { maxLength: 12 }),
      fc.boolean(),
      fc.constantFrom(Infinity, 200),
      async (kinds, faults, hasView, bytesMax) => {
        const table = new FakeTable();
        Object.assign(table, { faults: [...faults], hasView });
        table.tables.sizes.wasTooLarge('orders', bytesMax, false);
        const { inserted, missedByViews } = await untilDone(table, kinds);
        const good = offsetsWhere(kinds, (kind) => kind === 'good');
        expect([offsetsOf(inserted), offsetsIn(table)]).toEqual([good, good]);
        const inView = new Set(table.viewRows.map(({ _offset }) => _offset));
        if (hasView && missedByViews === null) expect([...inView].toSorted((a, b) => a - b)).toEqual(good);
      },
    ),
    { numRuns: 2_000 },
  );
}, 60_000);

it('a row whose token the table has kept from an insert with an error is there after the next one', async () => {
  const table = new FakeTable();
  table.faults = ['renameFails'];
  const { inserted, found } = await insert(table, ['good']);
  expect([inserted.length, found, offsetsIn(table), table.insertSizes]).toEqual([1, 0, [0], [1, 1, 1]]);
});

it('what is sent again is looked up once more, which finds it, and a replica that does not have it yet gets it once', async () => {
  const table = new FakeTable();
  table.faults = ['lostBefore'];
  await expect(insert(table, many(4, 'good'))).rejects.toMatchObject({ code: 'ECONNRESET' });
  const { inserted, found } = await insert(table, many(4, 'good'), { repeated: true });
  expect([inserted.length, found, table.insertSizes, table.lookUps]).toEqual([4, 0, [4, 4], 4]);
  const replica = new FakeTable();
  replica.faults = ['known'];
  await expect(insert(replica, many(4, 'good'))).rejects.toMatchObject({ code: 'ECONNRESET' });
  const tables = { ...replica.tables, mayLoseKnownRows: () => Promise.resolve(false) };
  await insert(replica, many(4, 'good'), { tables, repeated: true });
  expect(replica.insertSizes).toEqual([4, 4]);
});

it('a repeated batch may have more rows than a call can have arguments', async () => {
  const rows = 200_000;
  const table = new FakeTable();
  const { inserted } = await insert(table, many(rows, 'good'), { repeated: true });
  expect([inserted.length, table.rows.length, table.insertSizes]).toEqual([rows, rows, [rows]]);
}, 60_000);

it('an insert that begins after the look-up, and still runs when its token is known, is waited for', async () => {
  const table = new FakeTable();
  const { foundOffsets } = table.tables;
  let looks = 0;
  const tables: FakeTable['tables'] = {
    ...table.tables,
    foundOffsets: async (...asked) => {
      const found = await foundOffsets(...asked);
      if (++looks < 2) return found;
      table.faults = ['lostWhileRunning'];
      await expect(insert(table, many(4, 'good'))).rejects.toMatchObject({ code: 'ECONNRESET' });
      return found;
    },
  };
  const again = insert(table, many(4, 'good'), { tables, repeated: true });
  await expect(again).rejects.toMatchObject({ code: 'still_inserting' });
  expect((await insert(table, many(4, 'good'), { repeated: true })).found).toBe(4);
  expect(offsetsIn(table)).toEqual([0, 1, 2, 3]);
});

it('rows that the table of a view may have lost with a failure of its disk are said, though it takes them again', async () => {
  const ofDisk = new InsertError('unknown', { code: '1001', message: 'no space left' });
  const ofValue = new InsertError('data', { code: '6', message: 'a view refuses' });
  for (const [error, missed] of [
    [ofDisk, 4],
    [ofValue, undefined],
  ] as const) {
    const table = new FakeTable();
    table.hasView = true;
    let inserts = 0;
    const send: typeof table.tables.send = async (name, rows) => {
      await table.tables.send(name, rows);
      if (++inserts === 1) throw error;
    };
    const { missedByViews } = await insert(table, many(4, 'good'), { tables: { ...table.tables, send } });
    expect([missedByViews?.rows, offsetsIn(table)]).toEqual([missed, [0, 1, 2, 3]]);
  }
});

it('rows that a table has lost come with an insert of their own, and it is said that views may have them twice', async () => {
  for (const last of [[], ['lostAfter'], ['diesAfter']] as const) {
    const table = new FakeTable();
    Object.assign(table, { hasView: true, faults: ['known', 'none', ...last] });
    const own = { journal: journal(), views: 'required' as const };
    await expect(insert(table, many(4, 'good'), own)).rejects.toMatchObject({ code: 'ECONNRESET' });
    for (const died of [...last, undefined]) {
      const again = insert(table, many(4, 'good'), { ...own, repeated: true });
      if (died === undefined) expect((await again).missedByViews?.rows).toBe(4);
      else await expect(again).rejects.toThrow();
    }
    expect(offsetsIn(table)).toEqual([0, 1, 2, 3]);
  }
});

it('a view has each row that the table has, once, whatever fails; what it lacks is said, and not at all where it is required', async () => {
  await fc.assert(
    fc.asyncProperty(
      batch,
      fc.array(fault, { maxLength: 12 }),
      fc.constantFrom('right' as const, 'wrong' as const, 'none' as const),
      fc.constantFrom('required' as const, 'best-effort' as const),
      async (kinds, faults, hints, views) => {
        const table = new FakeTable();
        Object.assign(table, { faults: [...faults], hints, hasView: true });
        const { missedByViews } = await untilDone(table, kinds, { views });
        const good = offsetsWhere(kinds, (kind) => kind === 'good');
        const inView = toldOfView(table, good, missedByViews);
        expect(offsetsIn(table)).toEqual(good);
        if (views === 'required') expect(missedByViews).toBeNull();
        if (missedByViews === null) expect(inView).toEqual(good);
      },
    ),
    { numRuns: 2_000 },
  );
}, 60_000);

it('a view has each row that the table has, once, whatever the table is altered to between and within attempts', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom<Kind>('good', 'good', 'good', 'later', 'refused', 'noJson'), {
        minLength: 1,
        maxLength: 40,
      }),
      fc.array(fault, { maxLength: 8 }),
      fc.array(fc.constantFrom(false, false, true, 'later' as const), { maxLength: 30 }),
      fc.constantFrom('required' as const, 'best-effort' as const),
      fc.constantFrom(Infinity, 200),
      async (kinds, faults, alterations, views, bytesMax) => {
        const table = new FakeTable();
        Object.assign(table, { faults: [...faults], alterations: [...alterations], hasView: true });
        table.tables.sizes.wasTooLarge('orders', bytesMax, false);
        const { inserted, rejected, missedByViews } = await untilDone(table, kinds, { views });
        const rows = offsetsIn(table);
        expect(offsetsOf(inserted)).toEqual(rows);
        expect(offsetsOf([...inserted, ...rejected])).toEqual(kinds.map((_, index) => index));
        expect(rows).toEqual(expect.arrayContaining(offsetsWhere(kinds, (kind) => kind === 'good')));
        for (const row of rows) expect(['good', 'later']).toContain(kinds[row]);
        const inView = toldOfView(table, rows, missedByViews);
        if (views === 'required' || missedByViews === null) expect([inView, missedByViews]).toEqual([rows, null]);
      },
    ),
    { numRuns: 2_000 },
  );
}, 60_000);

/** The notes of one activity, as Temporal keeps them. */
function journal(onlyThisActivity = true) {
  let notes: InsertNotes | undefined;
  return {
    onlyThisActivity,
    get notes() {
      return notes;
    },
    ageMs: () => 0,
    save: (saved: InsertNotes) => {
      notes = JSON.parse(JSON.stringify(saved)) as InsertNotes;
      return Promise.resolve();
    },
  };
}

it.each([
  ['a proxy finds too large', classifyForeignAnswer(413), false],
  [
    'breaks its connection for 15 minutes',
    new InsertError('transient', { code: 'E', message: '', answered: false }),
    true,
  ],
])('a set that %s is not sent again once its rows have come in smaller ones', async (_, error, overdue) => {
  const table = new FakeTable();
  table.hasView = true;
  const { tables } = table;
  const send: typeof tables.send = (name, rows) =>
    Buffer.concat([...rows.lines])
      .toString()
      .trimEnd()
      .includes('\n')
      ? Promise.reject(error)
      : tables.send(name, rows);
  const own = { journal: journal(), overdue };
  const kinds = many(4, 'good');
  await insert(table, kinds, { ...own, tables: { ...tables, send } });
  // Its acknowledgements could not be published, so there is another attempt.
  const { inserted, missedByViews } = await insert(table, kinds, { ...own, repeated: true });
  expect([inserted.length, missedByViews, offsetsIn(table)]).toEqual([4, null, [0, 1, 2, 3]]);
  expect(table.viewRows).toHaveLength(4);
});

it('a view that was dropped and made anew gets no row twice: what went in meanwhile is noted, too', async () => {
  const table = new FakeTable();
  table.hasView = true;
  const kinds = many(4, 'good');
  const own = { journal: journal() };
  table.faults = ['lostBefore'];
  await expect(insert(table, kinds, own)).rejects.toMatchObject({ code: 'ECONNRESET' });
  table.hasView = false;
  table.tables.sizes.wasTooLarge('orders', 200, false);
  table.faults = ['none', 'none', 'none', 'diesAfter'];
  await expect(insert(table, kinds, { ...own, repeated: true })).rejects.toThrow(Died);
  expect(table.insertSizes).toEqual([4, 1, 1, 1, 1]);
  table.hasView = true;
  await insert(table, kinds, { ...own, repeated: true });
  expect(offsetsIn(table)).toEqual([0, 1, 2, 3]);
});

const ofThree: Kind[] = ['good', 'later', 'good'];

it('a batch that waits for a view goes on once the view takes its rows, though another record has become one', async () => {
  const table = new FakeTable();
  Object.assign(table, { hasView: true, faults: ['viewFails', 'viewFails'] });
  const own = { journal: journal(), views: 'required' as const };
  const held = { message: expect.stringContaining('insert.views is required') as string };
  await expect(insert(table, ofThree, own)).rejects.toMatchObject(held);
  table.hasLater = true;
  const { inserted, missedByViews } = await insert(table, ofThree, { ...own, repeated: true });
  expect([inserted.length, missedByViews, offsetsIn(table)]).toEqual([3, null, [0, 1, 2]]);
  expect(table.viewRows).toHaveLength(3);
});

it.each([
  ['two', ofThree, true, true],
  ['two, after attempts of which nothing is known', ofThree, false, true],
  ['two, where it may not be asked whether tokens are known', ofThree, true, undefined],
  [
    'more than can be noted',
    Array.from({ length: 900 }, (_, id): Kind => (id % 2 === 0 ? 'good' : 'later')),
    true,
    true,
  ],
])(
  'an attempt that begins anew misses no rows in a view that has taken them: %s',
  async (_, kinds, onlyThisActivity, remembers) => {
    const table = new FakeTable();
    Object.assign(table, { hasView: true, hasLater: true, remembersTokens: remembers });
    const { tables } = table;
    // The first part has come when the table is altered.
    tables.sizes.wasTooLarge('orders', 200, false);
    const send: typeof tables.send = async (name, rows) => {
      await tables.send(name, rows);
      if (table.insertSizes.length === 1) table.alterations = ['later'];
    };
    const result = await insert(table, kinds, { journal: journal(onlyThisActivity), tables: { ...tables, send } });
    expect(result.missedByViews).toBeNull();
    expect(offsetsOf(result.inserted)).toEqual(offsetsIn(table));
    expect(table.viewRows).toHaveLength(table.rows.length);
  },
);

it.each(['required', 'best-effort'] as const)(
  'a batch that waits for a row too large for a proxy waits for no view that has taken all others: %s',
  async (views) => {
    const table = new FakeTable();
    Object.assign(table, { hasView: true, remembersTokens: false });
    const tooLarge = classifyForeignAnswer(413);
    const own = { journal: journal(), views };
    const refusing = { ...own, tables: refusingOdd(table, tooLarge) };
    const kinds = [...many(2, 'good'), 'odd', ...many(5, 'good')] satisfies Kind[];
    await expect(insert(table, kinds, refusing)).rejects.toBe(tooLarge);
    await expect(insert(table, kinds, { ...refusing, repeated: true })).rejects.toBe(tooLarge);
    expect(table.viewRows).toHaveLength(7);
    const { rejected, missedByViews } = await insert(table, kinds, { ...refusing, repeated: true, overdue: true });
    expect([offsetsOf(rejected), missedByViews, offsetsIn(table).length]).toEqual([[2], null, 7]);
  },
);

it.each(
  (['required', 'best-effort'] as const).flatMap((views) =>
    (['viewFails', 'viewFailsAndDies', 'lostAfter', 'diesAfter'] as const).flatMap((fault) =>
      [false, undefined].map((remembers) => [views, fault, remembers] as const),
    ),
  ),
)(
  'what was sent without a window is not sent again after the table got a window: %s, %s, known later: %s',
  async (views, fault, remembersTokens) => {
    const table = new FakeTable();
    Object.assign(table, { hasView: true, remembersTokens: false, faults: [fault] });
    const tables = { ...table.tables, knowsTokens: () => Promise.resolve(remembersTokens) };
    const own = { journal: journal(), views };
    await insert(table, many(4, 'good'), { ...own, tables }).catch(() => undefined);
    table.remembersTokens = true;
    const again = insert(table, many(4, 'good'), { ...own, repeated: true });
    if (views === 'best-effort') expect((await again).missedByViews?.rows).toBe(4);
    else await expect(again).rejects.toMatchObject({ kind: 'structural' });
    expect(offsetsIn(table)).toEqual([0, 1, 2, 3]);
  },
);

it('what was sent without a window and never came may be sent again once there is one', async () => {
  const table = new FakeTable();
  Object.assign(table, { hasView: true, remembersTokens: false, faults: ['lostBefore'] });
  const own = { journal: journal(), views: 'required' as const };
  await expect(insert(table, many(4, 'good'), own)).rejects.toMatchObject({ code: 'ECONNRESET' });
  Object.assign(table, { remembersTokens: true, faults: ['viewFails'] });
  expect((await insert(table, many(4, 'good'), { ...own, repeated: true })).missedByViews).toBeNull();
  expect([table.rows.length, table.viewRows.length]).toEqual([4, 4]);
});

it('rows that were counted as missing in a view are not sent again, because people may have filled it since', async () => {
  const table = new FakeTable();
  Object.assign(table, { hasView: true, faults: ['viewFails', 'viewFails', 'viewFails'] });
  const own = { journal: journal() };
  expect((await insert(table, many(4, 'good'), own)).missedByViews?.rows).toBe(4);
  table.viewRows.push(...table.rows);
  expect((await insert(table, many(4, 'good'), { ...own, repeated: true })).missedByViews?.rows).toBe(4);
  expect([table.rows.length, table.viewRows.length]).toEqual([4, 4]);
});

it('a batch is not sent while it cannot be told whether its token is remembered', async () => {
  const table = new FakeTable();
  table.hasView = true;
  const away = new InsertError('transient', { code: 'ECONNREFUSED', message: 'away', answered: false });
  const denied = new InsertError('structural', { code: '497', message: 'denied' });
  const asking = (error: InsertError) => ({ ...table.tables, rememberedBy: () => Promise.reject(error) });
  await expect(insert(table, many(4, 'good'), { tables: asking(away) })).rejects.toBe(away);
  expect(table.insertSizes).toEqual([]);
  expect((await insert(table, many(4, 'good'), { tables: asking(denied) })).inserted).toHaveLength(4);
});

it.each(['required', 'best-effort'] as const)(
  'rows that cannot be sent again, because a record of theirs cannot become a row any more, wait or are said: %s',
  async (views) => {
    for (const kinds of [ofThree, ['later'] as Kind[]]) {
      const table = new FakeTable();
      Object.assign(table, { hasView: true, hasLater: true, faults: ['viewFailsAndDies'] });
      const again = { journal: journal(), views, repeated: true };
      await expect(insert(table, kinds, { ...again, repeated: false })).rejects.toThrow(Died);
      table.hasLater = false;
      if (views === 'best-effort') {
        const { inserted, missedByViews } = await insert(table, kinds, again);
        expect([inserted.length, missedByViews?.rows]).toEqual([kinds.length, kinds.length]);
        // What was counted, people may have brought to the view, before they undo the alteration.
        table.viewRows.push(...table.rows);
        table.hasLater = true;
        await insert(table, kinds, again);
        expect(table.viewRows).toHaveLength(kinds.length);
      } else {
        await expect(insert(table, kinds, again)).rejects.toMatchObject({
          kind: 'structural',
          message: expect.stringContaining('undo the alteration') as string,
        });
        table.hasLater = true;
        expect((await insert(table, kinds, again)).missedByViews).toBeNull();
        expect(table.viewRows).toHaveLength(kinds.length);
      }
      expect(table.rows).toHaveLength(kinds.length);
    }
  },
);

it('rows go only into a table with the columns that they were made for, each once, whenever it is altered', async () => {
  await fc.assert(
    fc.asyncProperty(
      batch,
      fc.array(fault, { maxLength: 6 }),
      fc.array(fc.boolean(), { maxLength: 30 }),
      fc.constantFrom('right' as const, 'wrong' as const, 'none' as const),
      fc.constantFrom(Infinity, 200),
      fc.boolean(),
      async (kinds, faults, alterations, hints, bytesMax, hasView) => {
        const table = new FakeTable();
        Object.assign(table, { faults: [...faults], alterations: [...alterations], hints, hasView });
        table.tables.sizes.wasTooLarge('orders', bytesMax, false);
        const { rejected, missedByViews } = await untilDone(table, kinds);
        const good = offsetsWhere(kinds, (kind) => kind === 'good');
        const inView = offsetsInView(table);
        expect(offsetsIn(table)).toEqual(good);
        expect(offsetsOf(rejected)).toEqual(offsetsWhere(kinds, (kind) => kind !== 'good'));
        if (hasView && missedByViews === null) expect(inView).toEqual(good);
      },
    ),
    { numRuns: 1_000 },
  );
}, 60_000);

it('an alteration blames no row of an overdue batch, and holds it only if the next one comes before its rows are sent', async () => {
  const kinds: Kind[] = [...many(5, 'good'), 'odd', ...many(5, 'good')];
  const once = new FakeTable();
  Object.assign(once, { alterations: [...Array.from({ length: 8 }, () => false), true], hints: 'none' });
  const { rejected, found } = await insert(once, kinds, { overdue: true });
  expect([offsetsIn(once), offsetsOf(rejected), found]).toEqual([
    offsetsWhere(kinds, (kind) => kind === 'good'),
    [5],
    3,
  ]);
  const always = new FakeTable();
  always.alterations = Array.from({ length: 50 }, () => true);
  const held = insert(always, kinds, { overdue: true });
  await expect(held).rejects.toMatchObject({ kind: 'structural', code: 'columns_changed' });
  expect([always.rows, always.insertSizes, always.alterations.length]).toEqual([[], [], 44]);
});

it('a table that cannot be looked up is not left in the middle of a search, because its rows would come twice', async () => {
  const table = new FakeTable();
  const identities = new Set(['_topic', '_partition', '_epoch', '_offset']);
  const { tables } = table;
  let looks = 0;
  const columns = async () => {
    looks++;
    const all = [...(await tables.columns('orders'))];
    return new Map(all.filter(([name]) => !identities.has(name)));
  };
  const sent: number[] = [];
  const send: typeof tables.send = (_name, { lines }) => {
    const text = Buffer.concat([...lines]).toString();
    sent.push(text.trimEnd().split('\n').length);
    return text.includes('bad')
      ? Promise.reject(new InsertError('data', { code: '27', message: 'a bad row' }))
      : Promise.resolve();
  };
  table.alterations = [false, false, false, false, true];
  const { inserted, rejected } = await insert(table, [...many(3, 'good'), 'refused'], {
    tables: { ...tables, columns, send },
  });
  expect([inserted.length, rejected.length, sent]).toEqual([3, 1, [4, 2, 2, 1, 1]]);
  expect(looks).toBe(3);
});

it('a view has no row twice after attempts of version 0.1.0, which noted nothing, and what it lacks is said', async () => {
  await fc.assert(
    fc.asyncProperty(
      batch,
      fc.array(fault, { maxLength: 12 }),
      fc.constantFrom('right' as const, 'wrong' as const, 'none' as const),
      fc.integer({ min: 1, max: 3 }),
      fc.constantFrom(Infinity, 200),
      async (kinds, faults, hints, withoutNotes, bytesMax) => {
        const table = new FakeTable();
        Object.assign(table, { faults: [...faults], hints, hasView: true });
        table.tables.sizes.wasTooLarge('orders', bytesMax, false);
        const { missedByViews } = await untilDone(table, kinds, {}, withoutNotes);
        const inView = offsetsInView(table);
        const good = offsetsWhere(kinds, (kind) => kind === 'good');
        expect(offsetsIn(table)).toEqual(good);
        if (missedByViews === null) expect(inView).toEqual(good);
      },
    ),
    { numRuns: 2_000 },
  );
}, 60_000);

it('an insert that is over a limit goes in by parts, and the next ones are no larger', async () => {
  const table = new FakeTable();
  const { tables } = table;
  const tooLarge = new InsertError('oversized', { code: '252', message: 'too many partitions' });
  const insertFew: typeof tables.send = (name, rows) =>
    Buffer.concat([...rows.lines])
      .toString()
      .trimEnd()
      .split('\n').length > 100
      ? Promise.reject(tooLarge)
      : tables.send(name, rows);
  const divided: number[] = [];
  const options = {
    tables: { ...tables, send: insertFew },
    onTooLarge: (_error: InsertError, rows: number) => divided.push(rows),
  };
  const { inserted, rejected } = await insert(table, many(1_000, 'good'), options);
  expect([inserted.length, rejected.length, table.rows.length]).toEqual([1_000, 0, 1_000]);
  expect(divided.length).toBeGreaterThan(0);
  divided.splice(0);
  await insert(table, many(1_000, 'good'), { ...options, batch: 'b2' });
  expect(divided).toEqual([]);
});

it('one batch that is over a limit of partitions or memory makes the next ones no crumbs; over one of bytes they stay small', async () => {
  const insertsAfter = async (code: string): Promise<number> => {
    const table = new FakeTable();
    const { tables } = table;
    const tooLarge = new InsertError('oversized', { code, message: 'too much for one insert' });
    const insertSmall: typeof tables.send = (name, rows) =>
      Buffer.concat([...rows.lines])
        .toString()
        .split('"odd"').length > 2
        ? Promise.reject(tooLarge)
        : tables.send(name, rows);
    const options = { tables: { ...tables, send: insertSmall } };
    const first = many(20, 'good').map((kind, index) => (index % 5 === 4 ? 'odd' : kind));
    await insert(table, first, options).catch(() => undefined);
    table.insertSizes.splice(0);
    await insert(table, many(10_000, 'good'), { ...options, batch: 'b2' });
    return table.insertSizes.length;
  };
  expect(await insertsAfter('252')).toBeLessThan(200);
  expect(await insertsAfter('241')).toBeLessThan(200);
  expect(await insertsAfter('http_413')).toBeGreaterThan(1_000);
});

it('a row that alone is over a limit holds its batch, and its batch mates are inserted meanwhile', async () => {
  const table = new FakeTable();
  const { tables } = table;
  const tooLarge = new InsertError('oversized', { code: '241', message: 'no memory' });
  const insertSmall: typeof tables.send = (name, rows) =>
    Buffer.concat([...rows.lines]).includes('"odd"') ? Promise.reject(tooLarge) : tables.send(name, rows);
  const options = { tables: { ...tables, send: insertSmall } };
  const kinds = many(20, 'good').map((kind, index) => (index === 7 ? 'odd' : kind));
  await expect(insert(table, kinds, options)).rejects.toBe(tooLarge);
  expect(table.rows).toHaveLength(19);
  const { rejected } = await insert(table, kinds, { ...options, repeated: true, overdue: true });
  expect(offsetsOf(rejected)).toEqual([7]);
});

it('a structural error is a row’s only where a probe succeeds and the table takes other rows', async () => {
  const structural = new InsertError('structural', { code: '36', message: 'a bad argument' });
  const refusing = (table: FakeTable): FakeTable['tables'] => ({
    ...table.tables,
    send: (name, rows) =>
      Buffer.concat([...rows.lines]).includes('"odd"') ? Promise.reject(structural) : table.tables.send(name, rows),
  });
  const table = new FakeTable();
  const kinds = many(20, 'good').map((kind, index) => (index === 7 ? 'odd' : kind));
  table.probeFails = structural;
  await expect(insert(table, kinds, { tables: refusing(table) })).rejects.toBe(structural);
  expect(table.rows).toEqual([]);
  table.probeFails = undefined;
  expect(offsetsOf((await insert(table, kinds, { tables: refusing(table) })).rejected)).toEqual([7]);
  expect(table.rows).toHaveLength(19);
  const alone = new FakeTable();
  for (const overdue of [false, true])
    await expect(insert(alone, ['odd'], { tables: refusing(alone), repeated: overdue, overdue })).rejects.toBe(
      structural,
    );
});

/** Records of one kind side by side: odd ones, however many, and then at least a fourth as many good ones. */
const runs = fc
  .array(fc.tuple(fc.nat(250), fc.integer({ min: 1, max: 60 })), { minLength: 1, maxLength: 4 })
  .map((list) => list.flatMap(([odd, good]) => [...many(odd, 'odd'), ...many(good + Math.ceil(odd / 4), 'good')]));

it('rejects all rows that an unknown error belongs to, however many and wherever they are, where others go in between', async () => {
  await fc.assert(
    fc.asyncProperty(
      runs,
      fc.constantFrom('right' as const, 'wrong' as const, 'none' as const),
      async (kinds, hints) => {
        const table = new FakeTable();
        table.hints = hints;
        const { inserted, rejected } = await insert(table, kinds);
        const good = offsetsWhere(kinds, (kind) => kind === 'good');
        expect(offsetsOf(rejected)).toEqual(offsetsWhere(kinds, (kind) => kind === 'odd'));
        expect([offsetsOf(inserted), offsetsIn(table)]).toEqual([good, good]);
      },
    ),
    { numRuns: 100 },
  );
}, 60_000);

/** Refuses odd rows with this. */
function refusingOdd(table: FakeTable, error: InsertError): FakeTable['tables'] {
  return {
    ...table.tables,
    send: (name, rows) =>
      Buffer.concat([...rows.lines]).includes('"odd"') ? Promise.reject(error) : table.tables.send(name, rows),
  };
}

const everyThirdOdd = many(400, 'good').map((kind, index) => (index % 3 === 0 ? 'odd' : kind));

it('134 rows of 400 with a structural error that a value can give are rejected, those with another one hold the batch', async () => {
  const table = new FakeTable();
  const ofValue = new InsertError('structural', { code: '36', message: 'a bad argument' });
  const { inserted, rejected } = await insert(table, everyThirdOdd, { tables: refusingOdd(table, ofValue) });
  expect([inserted.length, rejected.length, table.rows.length]).toEqual([266, 134, 266]);
  for (const kind of ['structural', 'transient'] as const) {
    const ofShard = new InsertError(kind, { code: '60', message: 'one shard has no such table' });
    const half = new FakeTable();
    const options = { tables: refusingOdd(half, ofShard), overdue: true };
    await expect(insert(half, everyThirdOdd, options)).rejects.toBe(ofShard);
    expect(half.rows).toEqual([]);
  }
});

it('a full disk holds a batch whole, also if it has room again at the second try', async () => {
  const full = new InsertError('structural', { code: '243', message: 'no room' });
  const table = new FakeTable();
  let tries = 0;
  const send: FakeTable['tables']['send'] = (...insertion) =>
    ++tries === 1 ? Promise.reject(full) : table.tables.send(...insertion);
  const options = { tables: { ...table.tables, send } };
  await expect(insert(table, many(400, 'good'), options)).rejects.toBe(full);
  expect(table.rows).toEqual([]);
  await insert(table, many(400, 'good'), { ...options, repeated: true });
  expect(table.rows).toHaveLength(400);
});

it('300 odd rows at the end of a batch, or left over by an earlier attempt, hold it until other batches go in meanwhile', async () => {
  const kinds = [...many(20, 'good'), ...many(300, 'odd')];
  const table = new FakeTable();
  await expect(insert(table, kinds)).rejects.toMatchObject({ code: '9999' });
  table.takesOthers();
  await expect(insert(table, kinds, { repeated: true })).rejects.toMatchObject({ code: '9999' });
  const pause = () => {
    table.takesOthers();
    return Promise.resolve();
  };
  const { rejected } = await insert(table, kinds, { repeated: true, pause });
  expect([rejected.length, table.rows.length]).toEqual([300, 20]);
});

it('a table that takes nothing any more, half-way through a search, holds the batch', async () => {
  const table = new FakeTable();
  const { tables } = table;
  let taken = 0;
  const options = {
    tables: {
      ...tables,
      send: async (...insertion: Parameters<typeof tables.send>) => {
        if (taken >= 300) table.ill = unknown;
        const before = table.rows.length;
        await tables.send(...insertion);
        taken += table.rows.length - before;
      },
    },
  };
  await expect(insert(table, [...everyThirdOdd, ...everyThirdOdd, ...everyThirdOdd], options)).rejects.toBe(unknown);
  expect(table.rows.length).toBeGreaterThanOrEqual(300);
});

it('a table that refuses every other insert, whatever is in it, gets all rows, once', async () => {
  const table = new FakeTable();
  const { tables } = table;
  let inserts = 0;
  const insertByTurns: typeof tables.send = (name, rows) =>
    inserts++ % 2 === 0 ? Promise.reject(unknown) : tables.send(name, rows);
  const options = { tables: { ...tables, send: insertByTurns } };
  const { inserted, rejected } = await insert(table, many(1_000, 'good'), options);
  expect([inserted.length, rejected.length, table.rows.length]).toEqual([1_000, 0, 1_000]);
});

it('a first attempt that succeeds is one insert and no question', async () => {
  const table = new FakeTable();
  await insert(table, many(1_000, 'good'));
  expect([table.insertSizes, table.lookUps]).toEqual([[1_000], 0]);
});

it.each([
  ['one bad in the middle of 10,000', [4_711], 3],
  ['a bad first and a bad last one', [0, 9_999], 5],
])('%s: two inserts more for each, whose number ClickHouse says', async (_, bad, inserts) => {
  const table = new FakeTable();
  const kinds = many(10_000, 'good').map((kind, index) => (bad.includes(index) ? 'refused' : kind));
  const { inserted, rejected } = await insert(table, kinds);
  expect(offsetsOf(rejected)).toEqual(bad);
  expect([inserted.length, table.rows.length]).toEqual([10_000 - bad.length, 10_000 - bad.length]);
  expect(table.insertSizes.length).toBe(inserts);
});

it('one bad of 10,000 whose number is not said costs a logarithm of inserts', async () => {
  const table = new FakeTable();
  table.hints = 'none';
  const { rejected } = await insert(
    table,
    many(10_000, 'good').map((kind, index) => (index === 9_999 ? 'refused' : kind)),
  );
  expect(offsetsOf(rejected)).toEqual([9_999]);
  expect(table.insertSizes.length).toBeLessThanOrEqual(1 + 2 * Math.ceil(Math.log2(10_000)));
});

it('10,000 bad of 10,000 cost one insert each, and next to no look-up', async () => {
  const table = new FakeTable();
  const { rejected } = await insert(table, many(10_000, 'refused'));
  expect(rejected).toHaveLength(10_000);
  expect(table.insertSizes.length).toBeLessThanOrEqual(10_010);
  expect(table.lookUps).toBeLessThanOrEqual(20);
});

it('every other one bad: two inserts for each, and the good ones are not inserted one by one', async () => {
  const table = new FakeTable();
  const kinds = Array.from({ length: 2_000 }, (_, index): Kind => (index % 2 === 0 ? 'refused' : 'good'));
  const { inserted, rejected } = await insert(table, kinds);
  expect([inserted.length, rejected.length]).toEqual([1_000, 1_000]);
  expect(table.insertSizes.length).toBeLessThanOrEqual(2 * 1_000 + 100);
});

it('rejects nothing where rows are refused only in company', async () => {
  const table = new FakeTable();
  table.companyMax = 3;
  const { inserted, rejected } = await insert(table, many(100, 'good'));
  expect([inserted.length, rejected.length, table.rows.length]).toEqual([100, 0, 100]);
});

it('an unknown error of a row rejects it alone, as the table takes the others', async () => {
  const table = new FakeTable();
  const kinds = many(50, 'good').map((kind, index) => (index === 0 || index === 49 ? 'odd' : kind));
  const { rejected } = await insert(table, kinds);
  expect(offsetsOf(rejected)).toEqual([0, 49]);
  expect(table.rows).toHaveLength(48);
});

const transient = new InsertError('transient', { code: '241', message: 'no memory' });

it.each([
  ['an unknown error of everything', unknown, false],
  ['an overdue one', transient, true],
])('%s holds the batch, at a bounded cost, and rejects nothing', async (_, ill, overdue) => {
  const table = new FakeTable();
  table.ill = ill;
  await expect(insert(table, many(5_000, 'good'), { overdue })).rejects.toBe(ill);
  expect(table.insertSizes.length).toBeLessThanOrEqual(101);
  // Even where another batch went in a moment ago.
  table.takesOthers();
  await expect(insert(table, many(5_000, 'good'), { overdue, repeated: true })).rejects.toBe(ill);
});

it('a search does not begin where a probe fails, nor for a transient error that is not overdue', async () => {
  const table = new FakeTable();
  table.ill = transient;
  await expect(insert(table, many(10, 'good'))).rejects.toBe(transient);
  table.ill = unknown;
  table.probeFails = new InsertError('transient', { code: '252', message: 'too many parts' });
  await expect(insert(table, many(10, 'good'), { repeated: true })).rejects.toBe(unknown);
  table.probeFails = new InsertError('structural', { code: '60', message: 'no table' });
  await expect(insert(table, many(10, 'good'), { repeated: true })).rejects.toBe(table.probeFails);
  // A wrong value in clickhouse.settings is refused like a value of a row.
  table.ill = new InsertError('data', { code: '27', message: 'cannot parse a setting' });
  table.probeFails = table.ill;
  await expect(insert(table, many(10, 'good'), { repeated: true })).rejects.toMatchObject({
    kind: 'structural',
    code: '27',
    message: expect.stringContaining('clickhouse.settings') as string,
  });
  expect(table.insertSizes).toEqual([10, 10, 10, 10]);
});

it('without identity columns an unknown error holds the batch at once: a search that ends in holding it would double rows', async () => {
  const table = new FakeTable();
  const tables = { ...table.tables, columns: () => Promise.resolve(new Map([['odd', 'Bool']])) };
  const kinds: Kind[] = ['good', 'good', 'good', 'odd'];
  for (const overdue of [false, true])
    await expect(insert(table, kinds, { tables, overdue })).rejects.toMatchObject({ code: '9999' });
  expect([table.insertSizes, table.rows.length]).toEqual([[4, 4], 0]);
});

it('an unknown error of a row that is alone holds it, until another row is taken, or it is overdue', async () => {
  const table = new FakeTable();
  await expect(insert(table, ['odd'])).rejects.toMatchObject({ code: '9999' });
  expect((await insert(table, ['odd'], { repeated: true, overdue: true })).rejected).toHaveLength(1);
  table.takesOthers();
  await expect(insert(table, ['odd'], { repeated: true })).rejects.toMatchObject({ code: '9999' });
  const pause = () => {
    table.takesOthers();
    return Promise.resolve();
  };
  expect((await insert(table, ['odd'], { repeated: true, pause })).rejected).toHaveLength(1);
});

/** Errors that can be anybody's fault, and then those that no row can be the reason of. */
const ofSomebody = [
  unknown,
  // A disk without inodes gives this.
  new InsertError('unknown', { code: '1001', message: '' }),
  new InsertError('structural', { code: '36', message: '' }),
  // A dictionary’s server that is away gives 86 and 510.
  ...['86', '159', '241', '510'].map((code) => new InsertError('transient', { code, message: '' })),
];
const ofNoRow = [
  ...['60', '74', '75', '76', '164', '243', '497'].map((code) => new InsertError('structural', { code, message: '' })),
  ...['107', '210', '242', '499', '999'].map((code) => new InsertError('transient', { code, message: '' })),
  new InsertError('structural', { code: 'http_401', message: '' }),
];

it('a table that took rows a moment ago and takes none any more, which a probe does not show, rejects none', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...ofSomebody, ...ofNoRow),
      fc.oneof(fc.constantFrom(1, 2), fc.integer({ min: 3, max: 150 })),
      fc.boolean(),
      async (ill, count, overdue) => {
        // After 15 minutes a code that nobody knows is taken for a lone row's.
        fc.pre(!(ill === unknown && count === 1 && overdue));
        const table = new FakeTable();
        await insert(table, many(10, 'good'));
        table.ill = ill;
        await expect(insert(table, many(10 + count, 'good'), { batch: 'b2', repeated: true, overdue })).rejects.toBe(
          ill,
        );
        expect(table.rows).toHaveLength(10);
      },
    ),
  );
});

it('a transient error of a batch of one record holds it, however long it lasts, until the table takes other rows', async () => {
  for (const code of ['159', '210', '241', '252', 'ECONNRESET']) {
    const away = new InsertError('transient', { code, message: 'it may pass' });
    const table = new FakeTable();
    table.ill = away;
    await expect(insert(table, ['good'], { overdue: true })).rejects.toBe(away);
    table.takesOthers();
    await expect(insert(table, ['good'], { repeated: true, overdue: true })).rejects.toBe(away);
    table.ill = undefined;
    const { inserted, rejected } = await insert(table, ['good'], { repeated: true, overdue: true });
    expect([inserted.length, rejected.length]).toEqual([1, 0]);
  }
  const table = new FakeTable();
  const slow = new InsertError('transient', { code: '159', message: 'a pattern takes for ever' });
  const pause = () => {
    table.takesOthers();
    return Promise.resolve();
  };
  const options = { tables: refusingOdd(table, slow), repeated: true, overdue: true, pause };
  expect(offsetsOf((await insert(table, ['odd'], options)).rejected)).toEqual([0]);
});

it('a dictionary’s source that only some rows need, and that is away, rejects none of them until it is overdue, and never many', async () => {
  const away = new InsertError('transient', { code: '510', message: 'the source is away' });
  for (const [count, overdue, rejects] of [
    [3, false, false],
    [3, true, true],
    [150, true, false],
  ] as const) {
    const table = new FakeTable();
    const pause = () => {
      table.takesOthers();
      return Promise.resolve();
    };
    const options = { tables: refusingOdd(table, away), overdue, pause };
    const inserting = insert(table, [...many(200, 'good'), ...many(count, 'odd')], options);
    if (rejects) expect((await inserting).rejected).toHaveLength(count);
    else await expect(inserting).rejects.toBe(away);
  }
});

it('a disk that fills up in the middle of a search rejects nothing, whatever went in before and goes in beside', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom<Kind>('good', 'good', 'odd', 'refused'), { minLength: 1, maxLength: 60 }),
      fc.constantFrom(...ofNoRow),
      fc.nat(30),
      fc.constantFrom('right' as const, 'wrong' as const, 'none' as const),
      async (kinds, ill, tries, hints) => {
        const table = new FakeTable();
        table.hints = hints;
        const { tables } = table;
        let insertsLeft = tries;
        const insertUntilFull = (...insertion: Parameters<typeof tables.send>) => {
          if (insertsLeft-- <= 0) table.ill = ill;
          return tables.send(...insertion);
        };
        const pause = () => {
          table.takesOthers();
          return Promise.resolve();
        };
        const options = { tables: { ...tables, send: insertUntilFull }, overdue: true, pause };
        const rejected = await insert(table, kinds, options).then(
          (result) => offsetsOf(result.rejected),
          (error: unknown) => {
            expect(error).toBeInstanceOf(InsertError);
            return [];
          },
        );
        for (const offset of rejected) expect(kinds[offset]).not.toBe('good');
      },
    ),
    { numRuns: 500 },
  );
});

it('what went in after a limit had divided a batch, and before the table fell ill, is no proof that the table takes rows', async () => {
  const tooMany = new InsertError('oversized', { code: '252', message: 'too many partitions' });
  const table = new FakeTable();
  const { tables } = table;
  let inserts = 0;
  const insertHalf: typeof tables.send = (name, rows) => {
    if (++inserts === 1) return Promise.reject(tooMany);
    if (inserts > 2) table.ill = unknown;
    return tables.send(name, rows);
  };
  await expect(insert(table, many(150, 'good'), { tables: { ...tables, send: insertHalf } })).rejects.toBe(unknown);
  expect(table.rows).toHaveLength(75);
});

it('an overdue transient error that goes with large inserts ends with small ones', async () => {
  const table = new FakeTable();
  const { tables } = table;
  const insertFew: typeof tables.send = (name, rows) =>
    rows.lines.length > 100 || (rows.lines[0]?.length ?? 0) > 10_000
      ? Promise.reject(transient)
      : tables.send(name, rows);
  const options = { tables: { ...tables, send: insertFew } };
  await expect(insert(table, many(1_000, 'good'), options)).rejects.toBe(transient);
  const { inserted, rejected } = await insert(table, many(1_000, 'good'), {
    ...options,
    repeated: true,
    overdue: true,
  });
  expect([inserted.length, rejected.length, table.rows.length]).toEqual([1_000, 0, 1_000]);
});

it.each([1, 2, 50])(
  'a view that fails with an unknown error leaves the rows of a batch of %i: inserted, once',
  async (count) => {
    const table = new FakeTable();
    table.remembersTokens = false;
    table.hasView = true;
    table.faults = ['viewFailsOddly', 'viewFailsOddly', 'viewFailsOddly', 'viewFailsOddly'];
    const { inserted, rejected } = await insert(table, many(count, 'good'));
    expect([inserted.length, rejected.length, table.rows.length]).toEqual([count, 0, count]);
  },
);

it('inserts nothing while an earlier insert of the batch is still running', async () => {
  const table = new FakeTable();
  table.remembersTokens = false;
  table.faults = ['lostWhileRunning'];
  await expect(insert(table, many(3, 'good'))).rejects.toMatchObject({ code: 'ECONNRESET' });
  await expect(insert(table, many(3, 'good'), { repeated: true })).rejects.toMatchObject({ code: 'still_inserting' });
  const { found } = await insert(table, many(3, 'good'), { repeated: true });
  expect([found, table.rows.length]).toEqual([3, 3]);
});

it('does nothing at all once its attempt has expired', async () => {
  const table = new FakeTable();
  const mustBeAlive = () => {
    throw new Error('expired');
  };
  await expect(insert(table, ['good'], { mustBeAlive })).rejects.toThrow('expired');
  expect(table.rows).toEqual([]);
});

it('holds the batch and names the column where a mapped one is not in the table', async () => {
  await expect(insert(new FakeTable(), ['good'], { columns: { nope: '/a' } })).rejects.toMatchObject({
    kind: 'structural',
    message: expect.stringContaining('nope') as string,
  });
});

it('a batch that is given up, whenever it is: each record has a row or is rejected, and none has both', async () => {
  const rejection: Rejection = { code: 'parked', message: 'because' };
  await fc.assert(
    fc.asyncProperty(batch, fc.array(fault, { maxLength: 6 }), fc.nat(3), async (kinds, faults, attempts) => {
      const table = new FakeTable();
      Object.assign(table, { faults: [...faults], remembersTokens: false, hasView: true });
      for (let attempt = 1; attempt <= attempts; attempt++)
        await insert(table, kinds, { repeated: attempt > 1 }).catch(() => undefined);
      // The first look-up may meet an insert that is still running.
      const give = () => giveUpRecords(records(kinds), { ...defaults(table), repeated: true }, rejection);
      const { inserted, rejected } = await give().catch(give);
      expect(offsetsOf(inserted)).toEqual(offsetsIn(table));
      expect(offsetsOf([...inserted, ...rejected])).toEqual(kinds.map((_, index) => index));
      const codes = new Map(rejected.map((item) => [item.record.offset, item.rejection.code]));
      for (const offset of offsetsWhere(kinds, (kind) => kind === 'noJson')) expect(codes.get(offset)).toBe('not_json');
    }),
    { numRuns: 1_000 },
  );
}, 60_000);
