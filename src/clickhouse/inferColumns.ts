import type { ClickHouseClient } from '@clickhouse/client';
import type { Mapping } from '../protocol/settings.js';
import { unescaped } from '../lib/unescaped.js';
import { objectMembers } from './values/json.js';
import { identityColumnsOf } from './identityColumns.js';
import { classifyInsertError, type InsertError } from './insertErrors.js';
import { withoutNull } from './schemaColumns/fieldType.js';
import { quoteName, withoutQuoted } from './sqlNames.js';

/** Definitions of columns with quoted names, and reasons why some fields have none. */
export interface InferredColumns {
  readonly columns: readonly string[];
  readonly left: readonly string[];
}

/**
 * Proposes columns for rows with ClickHouse's own inference. Fields that it cannot infer become texts. Integers over 64
 * bits get a type that holds them.
 *
 * @param rows lines of JSON, one character per byte
 * @param mapping says which identity columns there are
 * @param key columns that must not be nullable, since the table is sorted by them
 * @param known types of columns that are not inferred, by their names
 */
export async function inferColumns(
  clickhouse: ClickHouseClient,
  rows: readonly string[],
  mapping: Pick<Mapping, 'format' | 'envelope'> = { format: 'json' },
  key: readonly string[] = [],
  known: ReadonlyMap<string, string> = new Map(),
): Promise<InferredColumns> {
  const identity = identityColumnsOf(mapping);
  const fields = fieldsOf(rows);
  const names = new Set([...known.keys(), ...fields.keys()]);
  const left = [...names].flatMap((name) => {
    if (name === '') return ['a field without a name gets no column'];
    const isReserved = identity.some((own) => own === name);
    return isReserved ? [`records with the field ${name}, which is the name of an identity column, are rejected`] : [];
  });
  const missing = [...fields.keys()].some((name) => !known.has(name));
  const inferred = missing ? await inferTypes(clickhouse, rows, fields) : [];
  const types = new Map([...known, ...inferred.filter(({ name }) => !known.has(name)).map(pairOf)]);
  const columns = [...types]
    .filter(([name]) => name !== '' && !identity.some((own) => own === name))
    .map(([name, type]) => `${quoteName(name)} ${key.includes(name) ? withoutNull(type) : type}`);
  return { columns, left };
}

function pairOf({ name, type }: Column): readonly [string, string] {
  return [name, type];
}

/** @param fields the values of each field of the rows */
async function inferTypes(
  clickhouse: ClickHouseClient,
  rows: readonly string[],
  fields: ReadonlyMap<string, readonly string[]>,
): Promise<Column[]> {
  const inferred = (await describe(clickhouse, rows)) ?? (await describeEach(clickhouse, fields));
  return inferred.map(({ name, type }) => ({ name, type: typeThatLasts(type, fields.get(name)) }));
}

/**
 * The types of columns for fields, as {@link inferColumns} proposes them.
 *
 * @param fields JSON of the values of each, one character per byte
 */
export async function inferTypesOfFields(
  clickhouse: ClickHouseClient,
  fields: ReadonlyMap<string, readonly string[]>,
): Promise<ReadonlyMap<string, string>> {
  const columns = await describeEach(clickhouse, fields);
  return new Map(columns.map(({ name, type }) => [name, typeThatLasts(type, fields.get(name))]));
}

/**
 * Types within each other, at most. ClickHouse 26.7 takes a column of 150 types within each other and writes parts with
 * it, but cannot read such a type again: when it starts, it detaches these parts as broken.
 */
const DEPTH_MAX = 20;

/** The type for a field, if ClickHouse can fill it and read it again. Otherwise one that takes every value. */
function typeThatLasts(inferred: string, values: readonly string[] = []): string {
  const fits = !hasUnreadableName(inferred) && depthOf(inferred) <= DEPTH_MAX;
  return typeOfIntegers(values) ?? (fits ? inferred : 'Nullable(String)');
}

/** How many types are within each other. Names of elements may have parentheses, too. */
function depthOf(type: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [bracket] of withoutQuoted(type).matchAll(/[()]/g)) {
    if (bracket === ')') depth--;
    else deepest = Math.max(deepest, ++depth);
  }
  return deepest;
}

interface Column {
  readonly name: string;
  readonly type: string;
}

/** The texts of each field's values, by its name. */
function fieldsOf(rows: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, string[]>();
  for (const row of rows) {
    for (const { name: latin1, start, end } of objectMembers(row)) {
      const name = Buffer.from(latin1, 'latin1').toString();
      const values = fields.get(name);
      if (values === undefined) fields.set(name, [row.slice(start, end)]);
      else values.push(row.slice(start, end));
    }
  }
  return fields;
}

/** Infers each field alone, so that a field that cannot be inferred does not affect the others. */
async function describeEach(
  clickhouse: ClickHouseClient,
  fields: ReadonlyMap<string, readonly string[]>,
): Promise<Column[]> {
  const columns: Column[] = [];
  for (const [name, values] of fields) {
    const inferred = await describe(
      clickhouse,
      values.map((value) => `{"value":${value}}`),
    );
    columns.push({ name, type: inferred?.[0]?.type ?? 'Nullable(String)' });
  }
  return columns;
}

/**
 * Null if ClickHouse can infer nothing from these rows.
 *
 * @throws InsertError if the rows are not the reason: a column would be a text for ever because ClickHouse was busy, its
 *   disk was full, or a right was missing
 */
async function describe(clickhouse: ClickHouseClient, rows: readonly string[]): Promise<Column[] | null> {
  const sample = Buffer.from(rows.map(quoteLargeIntegers).join('\n'), 'latin1').toString();
  try {
    const result = await clickhouse.query({
      query: 'DESCRIBE TABLE format(JSONEachRow, {sample:String})',
      query_params: { sample },
      format: 'JSONEachRow',
      clickhouse_settings: {
        input_format_max_rows_to_read_for_schema_inference: String(rows.length),
        schema_inference_make_columns_nullable: 1,
        date_time_input_format: 'best_effort',
      },
    });
    return await result.json<Column>();
  } catch (error) {
    const classified = classifyInsertError(error);
    if (isOfRows(classified)) return null;
    throw classified;
  }
}

/** What a server before ClickHouse answers if an address is too long for it. The rows are a part of the address. */
const TOO_LONG: ReadonlySet<string> = new Set(['http_413', 'http_414', 'http_431']);

/** Inference has codes of its own, such as CANNOT_EXTRACT_TABLE_STRUCTURE, which no insert gives. */
function isOfRows(error: InsertError): boolean {
  if (!error.answered) return false;
  const isOfInference = error.kind === 'unknown' && !error.mayBeOfMachine;
  return error.mayBeOfColumn || isOfInference || TOO_LONG.has(error.code);
}

/**
 * Whether a tuple has an element whose name needs escapes in JSON. ClickHouse does not resolve them, so that no JSON
 * object can fill the element.
 */
function hasUnreadableName(type: string): boolean {
  return Array.from(type.matchAll(/`((?:[^`\\]|\\.)*)`/g)).some(([, name = '']) =>
    JSON.stringify(unescaped(name)).slice(1, -1).includes('\\'),
  );
}

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

/** Strings, which are skipped, and numbers. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Puts integers over 64 bits in quotes, because inference fails on them and accepts texts. */
function quoteLargeIntegers(row: string): string {
  return row.replaceAll(TOKENS, (token) => {
    if (!/^-?\d{19,}$/.test(token)) return token;
    const number = BigInt(token);
    return number < INT64_MIN || number > UINT64_MAX ? `"${token}"` : token;
  });
}

/** The type for a field whose values are all integers, some over 64 bits. Otherwise null. */
function typeOfIntegers(values: readonly string[]): string | null {
  const numbers = values.filter((value) => value !== 'null');
  if (!numbers.some((value) => /^-?\d{19,}$/.test(value)) || !numbers.every((value) => /^-?\d+$/.test(value)))
    return null;
  const integers = numbers.map(BigInt);
  const min = integers.reduce((low, number) => (number < low ? number : low), 0n);
  const max = integers.reduce((high, number) => (number > high ? number : high), 0n);
  if (min >= INT64_MIN && max <= UINT64_MAX) return null;
  const holds = (bits: bigint): boolean => min >= -(2n ** (bits - 1n)) && max < 2n ** (bits - 1n);
  if (holds(128n)) return 'Nullable(Int128)';
  if (holds(256n)) return 'Nullable(Int256)';
  return min >= 0n && max < 2n ** 256n ? 'Nullable(UInt256)' : 'Nullable(String)';
}
