import type { ClickHouseClient } from '@clickhouse/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { insertRecords } from '../../src/activities/batchInsert.js';
import { ClickHouseTables } from '../../src/activities/clickhouse.js';
import { createClickHouse } from '../../src/clients.js';
import { record } from '../support/records.js';
import { useSharedStack } from '../support/useStack.js';
import { isSame, parse } from '../support/valueOracle.js';
import { TYPES, ValueMaker } from '../support/values.js';

/** Pairs of a type and a value. `KTB_FUZZ_VALUES=200000` is the long run. */
const PAIRS = Number(process.env['KTB_FUZZ_VALUES'] ?? 600);
/** `KTB_FUZZ_SEED` takes the seed that a failure prints. The long run explores; the short one looks at the same pairs each time. */
const SEED = Number(process.env['KTB_FUZZ_SEED'] ?? (PAIRS > 600 ? Date.now() % 2 ** 31 : 1));
const BATCH = 250;
/** Of each type, at least as many in a batch. */
const BATCH_MIN = 6;

const stack = useSharedStack();
let client: ClickHouseClient;
let tables: ClickHouseTables;

beforeAll(() => {
  client = createClickHouse({
    ...stack().clickhouse,
    accessToken: null,
    tls: null,
    requestTimeoutMs: 30_000,
    lookUpTimeoutMs: 30_000,
    settings: {},
    maxConnections: 4,
  });
  tables = new ClickHouseTables(client, 'default');
});
afterAll(() => client.close());

interface Pair {
  readonly json: string;
  readonly stored: string | null;
  readonly rejection: string | null;
}

let made = 0;

/** Inserts values as all rows are inserted; each is in the table afterwards, or it is rejected. */
async function store(type: string, values: readonly string[]): Promise<Pair[]> {
  const table = `fuzz_${SEED}_${++made}`;
  await client.command({
    query: `CREATE TABLE ${table} (v ${type}, _topic String, _partition UInt32, _offset UInt64, _epoch String)
      ENGINE = MergeTree ORDER BY _offset`,
    clickhouse_settings: { allow_suspicious_low_cardinality_types: 1, allow_experimental_qbit_type: 1 } as never,
  });
  const source = { topic: 'orders', partition: 0, epoch: 'e' };
  const { rejected, inserted } = await insertRecords(
    values.map((json, offset) => ({ source, record: record(offset, { value: Buffer.from(`{"v":${json}}`) }) })),
    { tables, table, columns: {}, batch: table, repeated: false, overdue: false, mustBeAlive: () => undefined },
  );
  const result = await client.query({
    query: `SELECT _offset, toJSONString(tuple(v)) FROM ${table}`,
    format: 'JSONCompactEachRow',
    clickhouse_settings: {
      ...{ output_format_json_quote_64bit_integers: 1, output_format_json_quote_decimals: 1 },
      ...{ output_format_json_quote_denormals: 1, output_format_json_named_tuples_as_objects: 1 },
    },
  });
  const rows = new Map(
    (await result.json<[string | number, string]>()).map(([offset, text]) => [Number(offset), text]),
  );
  await client.command({ query: `DROP TABLE ${table}` });
  const rejections = new Map(rejected.map(({ record: { offset }, rejection }) => [offset, rejection.code]));
  expect(rows.size).toBe(inserted.length);
  expect(rows.size + rejections.size).toBe(values.length);
  return values.map((json, offset) => ({
    json,
    stored: rows.get(offset) ?? null,
    rejection: rejections.get(offset) ?? null,
  }));
}

it(
  'what is stored is what was written, for every type and value, or the record is rejected, alone',
  async () => {
    const maker = new ValueMaker(SEED);
    const wrong: string[] = [];
    let [stored, pairs] = [0, 0];
    while (pairs < PAIRS) {
      for (const type of TYPES) {
        const count = Math.min(BATCH, Math.max(BATCH_MIN, Math.ceil(PAIRS / TYPES.length)));
        const values = Array.from({ length: count }, () => maker.make(type));
        for (const [index, pair] of (
          await store(
            type,
            values.map(({ json }) => json),
          )
        ).entries()) {
          pairs++;
          const { json, stored: text, rejection } = pair;
          if (text === null) {
            if (values[index]?.isPlain === true) wrong.push(`${type} refuses ${json}: ${rejection}`);
            continue;
          }
          stored++;
          const row = parse(text);
          const value = row.kind === 'array' ? row.items[0] : row.kind === 'object' ? row.members[0]?.[1] : undefined;
          if (value === undefined || !isSame(type, parse(json), value, maker.meanings))
            wrong.push(`${type} stores ${json} as ${text}`);
        }
      }
    }
    // A run in which nothing is stored would prove nothing.
    expect(stored).toBeGreaterThan(pairs / 4);
    expect({ seed: SEED, pairs, wrong: wrong.slice(0, 40), count: wrong.length }).toMatchObject({
      wrong: [],
      count: 0,
    });
  },
  60_000 + PAIRS * 10,
);
