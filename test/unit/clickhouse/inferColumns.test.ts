import { ClickHouseError, type ClickHouseClient } from '@clickhouse/client';
import { expect, it } from 'vitest';
import { inferColumns } from '../../../src/clickhouse/inferColumns.js';
import { INFERENCE_SETTINGS } from '../../../src/config/insertSettings.js';

/** A server that answers each question for types in the same way, and refuses all others. */
class FakeServer {
  settings: Record<string, unknown> = {};
  readonly #describe: () => readonly { name: string; type: string }[];

  constructor(describe: () => readonly { name: string; type: string }[]) {
    this.#describe = describe;
  }

  get client(): ClickHouseClient {
    const query = (asked: { query: string; clickhouse_settings: Record<string, unknown> }) => {
      if (asked.query.startsWith('DESCRIBE')) {
        this.settings = asked.clickhouse_settings;
        const rows = this.#describe();
        return Promise.resolve({ json: () => Promise.resolve(rows) });
      }
      if (!asked.query.startsWith('SELECT name FROM system.settings')) return Promise.reject(failure(60));
      const names = Object.keys(INFERENCE_SETTINGS).filter((name) => name !== NOT_KNOWN);
      return Promise.resolve({
        response_headers: { 'x-clickhouse-summary': '{}' },
        stream: () => [names.map((name) => ({ json: () => [name] }))],
      });
    };
    return { query } as unknown as ClickHouseClient;
  }
}

const NOT_KNOWN = 'input_format_try_infer_datetimes_only_datetime64';
const failure = (code: number) => new ClickHouseError({ code: String(code), type: 'SOME', message: 'no' });

async function columnOf(inferred: string, values: readonly string[]): Promise<string | undefined> {
  const server = new FakeServer(() => [{ name: 'a', type: inferred }]);
  const { columns } = await inferColumns(
    server.client,
    values.map((value) => `{"a":${value}}`),
  );
  return columns[0];
}

it('a type that refuses one of the values that it was inferred from is not proposed', async () => {
  const text = '`a` Nullable(String)';
  expect(await columnOf('Nullable(DateTime)', ['"2024-01-02-03"'])).toBe(text);
  expect(await columnOf('Nullable(Date)', ['"2024-01-02"', '"2026-02-30"'])).toBe(text);
  expect(await columnOf('Array(Nullable(DateTime))', ['["2024-01-31T25:00:00Z"]'])).toBe(text);
  expect(await columnOf('Nullable(Float64)', ['1e400'])).toBe(text);
  expect(await columnOf('Nullable(Date)', ['"2024-01-02"', 'null'])).toBe('`a` Nullable(Date)');
});

it('integers of both signs around 2^63 get a type that holds them all', async () => {
  expect(await columnOf('Nullable(String)', ['-1', '18446744073709551615'])).toBe('`a` Nullable(Int128)');
  expect(await columnOf('Nullable(UInt64)', ['1', '18446744073709551615'])).toBe('`a` Nullable(UInt64)');
});

it('the profile of the user does not decide how types are inferred', async () => {
  const server = new FakeServer(() => [{ name: 'a', type: 'Nullable(String)' }]);
  await inferColumns(server.client, ['{"a":"01234"}']);
  const { [NOT_KNOWN]: _, ...known } = INFERENCE_SETTINGS;
  expect(server.settings).toEqual({ ...known, input_format_max_rows_to_read_for_schema_inference: '1' });
});

it('no column becomes a text because the server refused the question about its type', async () => {
  const infer = (code: number) =>
    inferColumns(
      new FakeServer(() => {
        throw failure(code);
      }).client,
      ['{"a":1}'],
    );
  for (const code of [497, 452, 243, 164, 516, 1001, 241, 158, 210])
    await expect(infer(code), String(code)).rejects.toMatchObject({ code: String(code) });
  for (const code of [636, 306, 117, 36, 15, 62])
    expect([code, ...(await infer(code)).columns]).toEqual([code, '`a` Nullable(String)']);
});

it('every column that the pipeline names is proposed, also one that no sampled record has a value for', async () => {
  const server = new FakeServer(() => [
    { name: 'id', type: 'Nullable(Int64)' },
    { name: 'at', type: 'Nullable(Int64)' },
    { name: 'hs', type: 'Tuple(a Nullable(String))' },
  ]);
  const { columns, left } = await inferColumns(server.client, ['{"at":5,"hs":{"a":"x"},"id":1}'], {
    columns: {
      ...{ old: 'envelope:/before/name', at: { first: ['envelope:/source/ts_ms'], unit: 'ms' }, hs: 'headers' },
      ...{ _key: 'header:none' },
    },
    mapping: { format: 'json', unknownFields: { into: 'extra' } },
  });
  expect(columns.toSorted()).toEqual([
    "`at` Nullable(DateTime64(3, 'UTC'))",
    '`extra` Map(String, String)',
    '`hs` Map(String, String)',
    '`id` Nullable(Int64)',
    '`old` Nullable(String)',
  ]);
  expect(left).toEqual(['no record of the sample has a value for column old: it becomes Nullable(String)']);
});

it('columns are named also if there is a schema and no record becomes a row', async () => {
  const server = new FakeServer(() => {
    throw failure(636);
  });
  const wanted = { columns: { old: '/old' }, mapping: { format: 'avro', unknownFields: 'ignore' } } as const;
  const { columns } = await inferColumns(server.client, [], wanted, ['id'], new Map([['id', 'Nullable(Int64)']]));
  expect(columns).toEqual(['`id` Int64', '`old` Nullable(String)']);
});
