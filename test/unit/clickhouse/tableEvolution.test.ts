import { ClickHouseError, type ClickHouseClient } from '@clickhouse/client';
import { afterEach, expect, it, vi } from 'vitest';
import { ofAlter } from '../../../src/clickhouse/evolve/addColumns.js';
import { TableEvolution, type EvolvedField } from '../../../src/clickhouse/evolve/tableEvolution.js';
import { classifyInsertError } from '../../../src/clickhouse/insertErrors.js';
import type { Evolution } from '../../../src/protocol/settings.js';

const failure = (code: number) => new ClickHouseError({ code: String(code), type: 'SOME', message: 'no' });

afterEach(() => {
  vi.restoreAllMocks();
});

/** A server with tables in memory. It fails as it is told to. */
class FakeServer {
  engine = 'MergeTree';
  hasViews = false;
  readonly columns = new Map([['id', '']]);
  readonly statements: string[] = [];
  /** What a statement waits for. */
  waits: (statement: string) => Promise<void> = () => Promise.resolve();
  /** The error of a statement. Null: it succeeds. */
  fails: (statement: string) => number | null = () => null;

  get client(): ClickHouseClient {
    const command = async ({ query }: { query: string }) => {
      await this.#note(query);
      for (const [, name = ''] of query.matchAll(/IF NOT EXISTS `(\w+)`/g)) this.columns.set(name, 'added by ktb');
    };
    const query = async ({ query: text }: { query: string }) => {
      await this.#note(text);
      const rows = this.#rowsOf(text);
      return {
        response_headers: { 'x-clickhouse-summary': '{}' },
        json: () => Promise.resolve(rows),
        stream: () => [rows.map((row) => ({ json: () => row }))],
      };
    };
    return { command, query } as unknown as ClickHouseClient;
  }

  count(part: string): number {
    return this.statements.filter((statement) => statement.includes(part)).length;
  }

  async #note(statement: string): Promise<void> {
    this.statements.push(statement);
    const code = this.fails(statement);
    if (code !== null) throw failure(code);
    await this.waits(statement);
  }

  #rowsOf(text: string): unknown[] {
    if (text.includes('system.tables')) return [[this.engine, Number(this.hasViews)]];
    return Array.from(this.columns, ([name, comment]) => [name, '', comment]);
  }
}

/** Places fields as a batch does. */
async function place(
  evolution: TableEvolution,
  names: readonly string[],
  more: Partial<Evolution> = {},
  { table = 't', mustBeAlive = () => undefined }: { table?: string; mustBeAlive?: () => void } = {},
) {
  const reported: EvolvedField[] = [];
  const request = {
    ...{ table, columns: new Map([['id', 'Int64']]) },
    evolution: { mode: 'apply', columnsMax: 100, ...more } as const,
    report: (field: EvolvedField) => void reported.push(field),
  };
  const fields = evolution.fieldsOf(request);
  for (const name of names) fields.note(name, '1', 0, 1);
  const ofSchemas = () => Promise.resolve(new Map<string, string>());
  const placed = await evolution.place({ ...request, fields, ofSchemas, mustBeAlive });
  return { placed, outcomes: Object.fromEntries(reported.map(({ name, outcome }) => [name, outcome])), reported };
}

it('only what a name or a type can cause is the fault of a column that cannot be added', () => {
  const kindOf = (code: number) => ofAlter(classifyInsertError(failure(code)), { table: 't' }).kind;
  for (const code of [15, 36, 43, 44, 50, 62, 167, 306, 455]) expect([code, kindOf(code)]).toEqual([code, 'data']);
  const ofServer = [48, 60, 75, 76, 81, 164, 226, 243, 294, 344, 392, 452, 497, 516, 586, 1000, 1001, 1002, 290, 9_999];
  for (const code of ofServer) expect([code, kindOf(code)]).toEqual([code, 'structural']);
  for (const code of [159, 241, 252, 307, 517, 999]) expect([code, kindOf(code)]).toEqual([code, 'transient']);
});

it('a batch waits while its table cannot be altered, and its fields get their columns as soon as it can', async () => {
  const server = new FakeServer();
  const evolution = new TableEvolution(server.client, 'default');
  for (const code of [243, 294, 452, 1001]) {
    server.fails = (statement) => (statement.startsWith('ALTER') ? code : null);
    await expect(place(evolution, ['a', 'b'])).rejects.toMatchObject({ kind: 'structural', code: String(code) });
  }
  server.fails = () => null;
  expect(await place(evolution, ['a', 'b'])).toMatchObject({
    placed: ['a', 'b'],
    outcomes: { a: 'added', b: 'added' },
  });
});

it('of several columns, the one that is refused alone gets none', async () => {
  const server = new FakeServer();
  server.fails = (statement) => (statement.startsWith('ALTER') && statement.includes('`b`') ? 44 : null);
  expect(await place(new TableEvolution(server.client, 'default'), ['a', 'b', 'c'])).toMatchObject({
    placed: ['a', 'c'],
    outcomes: { a: 'added', b: 'refused', c: 'added' },
  });
});

it('a table with materialized views gets columns only if the pipeline says so', async () => {
  const server = new FakeServer();
  server.hasViews = true;
  const evolution = new TableEvolution(server.client, 'default');
  const { placed, reported } = await place(evolution, ['a']);
  expect(placed).toEqual([]);
  expect(reported).toMatchObject([{ outcome: 'proposed', why: expect.stringContaining('evolve.withViews') as string }]);
  expect(server.count('ALTER')).toBe(0);
  // Another pipeline into this table decides by itself, at once.
  expect((await place(evolution, ['a'], { withViews: true })).placed).toEqual(['a']);
});

it('ever new names are no longer looked at once as many columns are proposed or added as may be', async () => {
  for (const mode of ['propose', 'apply'] as const) {
    const server = new FakeServer();
    const evolution = new TableEvolution(server.client, 'default');
    for (let batch = 0; batch < 3; batch++) {
      const names = Array.from({ length: 50 }, (_, at) => `f${batch}_${at}`);
      const { reported } = await place(evolution, names, { mode, columnsMax: 60 });
      // The third one has only fields that are not looked at.
      expect([batch, reported.length]).toEqual([batch, batch < 2 ? 50 : 0]);
    }
    expect([mode, server.columns.size]).toEqual([mode, mode === 'apply' ? 61 : 1]);
  }
});

it('a field counts once among those that columns are proposed for, however long it is without one', async () => {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  const evolution = new TableEvolution(new FakeServer().client, 'default');
  const propose = (...names: string[]) => place(evolution, names, { mode: 'propose', columnsMax: 2 });
  expect((await propose('a')).outcomes).toEqual({ a: 'proposed' });
  for (let round = 0; round < 5; round++) {
    now += 11 * 60_000;
    expect([round, (await propose('a')).reported]).toEqual([round, []]);
  }
  expect((await propose('a', 'b', 'c')).outcomes).toEqual({ b: 'proposed', c: 'refused' });
  now += 11 * 60_000;
  expect((await propose('a', 'b', 'c', 'd', 'e')).outcomes).toEqual({ c: 'proposed', d: 'proposed', e: 'refused' });
});

it('a column that was proposed is added once the table may be altered', async () => {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  const server = new FakeServer();
  server.hasViews = true;
  const evolution = new TableEvolution(server.client, 'default');
  expect((await place(evolution, ['a'])).outcomes).toEqual({ a: 'proposed' });
  server.hasViews = false;
  now += 11 * 60_000;
  expect((await place(evolution, ['a'])).outcomes).toEqual({ a: 'added' });
});

it('a table is not full before its last columns are added: fields of a batch that was held would get none', async () => {
  const server = new FakeServer();
  const evolution = new TableEvolution(server.client, 'default');
  server.fails = (text) => (text.startsWith('ALTER') ? 243 : null);
  await expect(place(evolution, ['a', 'b'], { columnsMax: 1 })).rejects.toMatchObject({ code: '243' });
  server.fails = () => null;
  const { placed, outcomes } = await place(evolution, ['a', 'b'], { columnsMax: 1 });
  expect([placed, outcomes]).toEqual([['a'], { a: 'added', b: 'refused' }]);
});

it('a table that is altered for long stops no other one, and nothing is done for a batch that has lost its turn meanwhile', async () => {
  const server = new FakeServer();
  const evolution = new TableEvolution(server.client, 'default');
  let finish: () => void = () => undefined;
  const altered = new Promise<void>((resolve) => (finish = resolve));
  server.waits = (statement) =>
    statement.startsWith('ALTER') && statement.includes('`slow`') ? altered : Promise.resolve();
  const slow = place(evolution, ['a'], {}, { table: 'slow' });
  const dead = place(
    evolution,
    ['b'],
    {},
    {
      table: 'default.slow',
      mustBeAlive: () => {
        throw new Error('dead');
      },
    },
  );
  expect((await place(evolution, ['c'], {}, { table: 'quick' })).placed).toEqual(['c']);
  expect(server.count('ALTER')).toBe(2);
  const before = server.statements.length;
  finish();
  expect((await slow).placed).toEqual(['a']);
  await expect(dead).rejects.toThrow('dead');
  expect(server.statements).toHaveLength(before);
});
