import { expect, it } from 'vitest';
import { DATA_CODES } from '../../src/clickhouse/errorCodes.js';
import { messageOf } from '../../src/lib/messageOf.js';
import { REJECTION_CODES } from '../../src/protocol/ack.js';
import { useValueStore } from '../support/storedValues.js';
import { isSame, parse } from '../support/valueOracle.js';
import { fuzzColumns, ValueMaker, type FuzzColumn } from '../support/values.js';

/** Pairs of a type and a value: `KTB_FUZZ_VALUES=200000` is the long run. The short one has a few of each type. */
const PAIRS = Number(process.env['KTB_FUZZ_VALUES'] ?? 0);
const IS_LONG = PAIRS > 0;
/** `KTB_FUZZ_SEED` takes the seed that a failure prints. The long run explores; the short one looks at the same pairs each time. */
const SEED = Number(process.env['KTB_FUZZ_SEED'] ?? (IS_LONG ? Date.now() % 2 ** 31 : 1));
/** So many columns in a table. */
const COLUMNS = 8;

const values = useValueStore(`fuzz_${SEED}`);
const columns = fuzzColumns(IS_LONG);
/** So many values of each type in a batch. */
const VALUES = Math.min(150, Math.max(6, Math.ceil(PAIRS / columns.length)));

/** Of each table its columns, which have the same settings. */
function tables(): FuzzColumn[][] {
  const groups = new Map<string, FuzzColumn[]>();
  for (const column of columns) {
    const settings = JSON.stringify([column.insertSettings, column.createSettings]);
    const groupOf = groups.get(settings) ?? [];
    groups.set(settings, groupOf);
    groupOf.push(column);
  }
  return [...groups.values()].flatMap((group) =>
    Array.from({ length: Math.ceil(group.length / COLUMNS) }, (_, index) =>
      group.slice(index * COLUMNS, (index + 1) * COLUMNS),
    ),
  );
}

const CREATE_SETTINGS = {
  allow_suspicious_low_cardinality_types: 1,
  allow_suspicious_variant_types: 1,
  allow_experimental_qbit_type: 1,
};
const READ_SETTINGS = {
  output_format_json_quote_64bit_integers: 1,
  output_format_json_quote_decimals: 1,
  output_format_json_quote_denormals: 1,
  output_format_json_named_tuples_as_objects: 1,
  date_time_output_format: 'iso',
} as const;

/** Whether ClickHouse blames the value: for other errors the batch is held first, and others with it. */
function blamesValue({ code, message }: { readonly code: string; readonly message: string }): boolean {
  return code !== REJECTION_CODES.refused || Number(/^ClickHouse error (\d+)/.exec(message)?.[1]) in DATA_CODES;
}

it(
  'what is stored is what was written, for every type and value, or the record is rejected, alone',
  async () => {
    const maker = new ValueMaker(SEED);
    const wrong: string[] = [];
    let [stored, pairs] = [0, 0];
    do {
      for (const table of tables()) {
        const made = table.flatMap(({ type }, column) =>
          Array.from({ length: VALUES }, () => ({ column, ...maker.make(type) })),
        );
        const outcomes = await values()
          .store(
            table.map(({ define, read }) => ({ define, read: (name) => `toJSONString(tuple(${read(name)}))` })),
            made,
            {
              insertSettings: table[0]?.insertSettings ?? {},
              createSettings: { ...CREATE_SETTINGS, ...table[0]?.createSettings },
              readSettings: READ_SETTINGS,
            },
          )
          // Held, or stored and not to be read again.
          .catch((error: unknown) => {
            wrong.push(`${table.map(({ type }) => type).join(', ')}: ${messageOf(error)}`);
            return [];
          });
        for (const [index, { stored: text, rejection }] of outcomes.entries()) {
          pairs++;
          const { column, json, isPlain } = made[index] as (typeof made)[number];
          const { type } = table[column] as FuzzColumn;
          if (rejection !== null) {
            const { code, message } = rejection;
            if (isPlain) wrong.push(`${type} refuses ${json}: ${code}, ${message}`);
            else if (!type.includes('AggregateFunction(') && !blamesValue(rejection))
              wrong.push(`${type} ${json}: ${message}`);
            continue;
          }
          stored++;
          const row = parse(text as string);
          const value = row.kind === 'array' ? row.items[0] : row.kind === 'object' ? row.members[0]?.[1] : undefined;
          if (value === undefined || !isSame(type, parse(json), value, maker.meanings))
            wrong.push(`${type} stores ${json} as ${text}`);
        }
      }
    } while (pairs < PAIRS);
    // A run in which nothing is stored would prove nothing.
    expect(stored).toBeGreaterThan(pairs / 4);
    expect({ seed: SEED, pairs, wrong: wrong.slice(0, 60), count: wrong.length }).toMatchObject({
      wrong: [],
      count: 0,
    });
  },
  120_000 + PAIRS * 50,
);

it('every family of types that the server has is among those that are tried', async () => {
  const result = await values().client.query({
    query: "SELECT name FROM system.data_type_families WHERE alias_to = ''",
    format: 'JSONCompactEachRow',
  });
  const families = (await result.json<[string]>()).map(([name]) => name);
  expect(families.length).toBeGreaterThan(50);
  const tried = new Set(
    columns.flatMap(
      ({ define }) =>
        define('v')
          .replaceAll(/'[^']*'|`[^`]*`/g, '')
          .match(/[A-Za-z]\w*/g) ?? [],
    ),
  );
  const untried = families.filter((family) => !tried.has(family));
  // No table can have such a column.
  expect(untried).toEqual(['Nothing']);
  const made = values().client.command({ query: 'CREATE TABLE fuzz_nothing (v Nothing) ENGINE = Memory' });
  await expect(made).rejects.toThrow('cannot be used in tables');
});
