import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';
import type { Destination, Mapping } from '../protocol/settings.js';
import { fromLatin1 } from '../lib/latin1.js';
import { unescaped } from '../lib/unescaped.js';
import { INFERENCE_SETTINGS } from '../config/insertSettings.js';
import { checkOfType } from './values/checkOfType.js';
import { TYPE_DEPTH_MAX } from './values/columnTypes.js';
import { objectMembers } from './values/jsonText.js';
import type { ValueLimits } from './values/valueCheck.js';
import { identityColumnsOf } from './identityColumns.js';
import { classifyInsertError, type InsertError } from './insertErrors.js';
import { INT64_MIN, integerType, UINT64_MAX } from './integerTypes.js';
import { queryRows, unlessRefused } from './queries.js';
import { withoutNull } from './schemaColumns/fieldType.js';
import { ServerLimits } from './serverLimits.js';
import { defaultRows, namedColumns, typesBeforeRecords, typeWithRecords } from './namedColumns.js';
import type { ColumnTypes } from './schemaColumns/schemaColumns.js';
import { quoteName, withoutQuoted } from './sqlNames.js';

/** Definitions of columns with quoted names, and reasons why some fields have none. */
export interface InferredColumns {
  readonly columns: readonly string[];
  readonly left: readonly string[];
}

/** What decides on columns beside records. */
export interface ColumnsWanted {
  readonly columns: Destination['columns'];
  /** Says which identity columns there are, and whether a column takes the fields that have none. */
  readonly mapping: Pick<Mapping, 'format' | 'envelope' | 'unknownFields'>;
}

const FIELDS_ALONE: ColumnsWanted = { columns: {}, mapping: { format: 'json', unknownFields: 'ignore' } };

/**
 * Proposes columns for rows with ClickHouse's own inference. Fields that it cannot infer become texts. Integers over 64
 * bits get a type that holds them. Every column that the configuration names is among them, with the type that its source
 * always has, if it has one.
 *
 * @param rows lines of JSON, one character per byte
 * @param key columns that must not be nullable, since the table is sorted by them
 * @param ofSchema types of fields that are not inferred, by their names
 */
export async function inferColumns(
  clickhouse: ClickHouseClient,
  rows: readonly string[],
  wanted = FIELDS_ALONE,
  key: readonly string[] = [],
  ofSchema: ColumnTypes = new Map(),
): Promise<InferredColumns> {
  const identity: readonly string[] = identityColumnsOf(wanted.mapping);
  const known = typesBeforeRecords(wanted, ofSchema);
  const sampled = [...rows, ...defaultRows(wanted.columns)];
  const fields = fieldsOf(sampled);
  const named = namedColumns(wanted);
  const left = [...new Set([...known.keys(), ...fields.keys()])].flatMap((name) => {
    if (name === '') return ['a field without a name gets no column'];
    const isReserved = identity.includes(name) && !named.includes(name);
    return isReserved ? [`records with the field ${name}, which is the name of an identity column, are rejected`] : [];
  });
  const missing = [...fields.keys()].some((name) => !known.has(name));
  const inferred = missing ? await inferTypes(clickhouse, sampled, fields) : [];
  const types = new Map([...known, ...inferred.filter(({ name }) => !known.has(name)).map(pairOf)]);
  for (const name of named.filter((name) => !known.has(name) && !identity.includes(name))) {
    const type = typeWithRecords(wanted.columns[name], types.get(name));
    if (!types.has(name)) left.push(`no record of the sample has a value for column ${name}: it becomes ${type}`);
    types.set(name, type);
  }
  const columns = [...types]
    .filter(([name]) => name !== '' && !identity.includes(name))
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
  const settings = await knownSettings(clickhouse);
  const limits = await new ServerLimits(clickhouse, {}).read();
  const inferred = (await describe(clickhouse, rows, settings)) ?? (await describeEach(clickhouse, fields, settings));
  return inferred.map(({ name, type }) => ({ name, type: typeThatLasts(type, fields.get(name), limits) }));
}

/** Those of the settings of inference that the server knows. */
async function knownSettings(clickhouse: ClickHouseClient): Promise<ClickHouseSettings> {
  const names = Object.keys(INFERENCE_SETTINGS);
  const asked = queryRows<[string]>(
    clickhouse,
    'SELECT name FROM system.settings WHERE name IN {names:Array(String)}',
    { names },
  );
  const known = new Set((await unlessRefused(asked, [])).map(([name]) => name));
  return Object.fromEntries(Object.entries(INFERENCE_SETTINGS).filter(([name]) => known.has(name)));
}

/** The type for a field, if ClickHouse can fill it with all values and read it again. Otherwise one that takes them. */
function typeThatLasts(inferred: string, values: readonly string[] = [], limits: ValueLimits): string {
  const fits =
    !hasUnreadableName(inferred) && depthOf(inferred) <= TYPE_DEPTH_MAX && takesAll(inferred, values, limits);
  return typeOfIntegers(values) ?? (fits ? inferred : 'Nullable(String)');
}

/** Whether records with these values are inserted: inference takes `"2024-01-02-03"` for a time, which no insert does. */
function takesAll(type: string, values: readonly string[], limits: ValueLimits): boolean {
  const check = checkOfType(type, limits);
  return check === undefined || values.every((value) => check(value, 0, value.length));
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
      const name = fromLatin1(latin1);
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
  settings: ClickHouseSettings,
): Promise<Column[]> {
  const columns: Column[] = [];
  for (const [name, values] of fields) {
    const inferred = await describe(
      clickhouse,
      values.map((value) => `{"value":${value}}`),
      settings,
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
async function describe(
  clickhouse: ClickHouseClient,
  rows: readonly string[],
  settings: ClickHouseSettings,
): Promise<Column[] | null> {
  const sample = Buffer.from(rows.map(quoteLargeIntegers).join('\n'), 'latin1').toString();
  try {
    const result = await clickhouse.query({
      query: 'DESCRIBE TABLE format(JSONEachRow, {sample:String})',
      query_params: { sample },
      format: 'JSONEachRow',
      clickhouse_settings: {
        ...settings,
        input_format_max_rows_to_read_for_schema_inference: String(rows.length),
      },
    });
    return await result.json<Column>();
  } catch (error) {
    const classified = classifyInsertError(error);
    if (isOfRows(classified)) return null;
    throw classified;
  }
}

/** Inference has codes of its own, such as CANNOT_EXTRACT_TABLE_STRUCTURE, which no insert gives. */
function isOfRows(error: InsertError): boolean {
  if (!error.answered) return false;
  const isOfInference = error.kind === 'unknown' && !error.mayBeOfMachine;
  return error.mayBeOfColumn || isOfInference;
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

/** Strings, which are skipped, and numbers. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Puts integers over 64 bits in quotes, because inference fails on them and accepts texts. */
function quoteLargeIntegers(row: string): string {
  return row.replaceAll(TOKENS, (token) => {
    if (!/^-?\d{19,}$/.test(token)) return token;
    if (token.length > DIGITS_MAX) return `"${token}"`;
    const number = BigInt(token);
    return number < INT64_MIN || number > UINT64_MAX ? `"${token}"` : token;
  });
}

/** The type for a field whose values are all integers, if some need more than 63 bits. Otherwise null. */
function typeOfIntegers(values: readonly string[]): string | null {
  const numbers = values.filter((value) => value !== 'null');
  if (!numbers.some((value) => /^-?\d{19,}$/.test(value)) || !numbers.every((value) => /^-?\d+$/.test(value)))
    return null;
  if (numbers.some((value) => value.length > DIGITS_MAX)) return 'Nullable(String)';
  const integers = numbers.map(BigInt);
  const least = integers.reduce((low, number) => (number < low ? number : low));
  const largest = integers.reduce((high, number) => (number > high ? number : high));
  return `Nullable(${integerType(least, largest) ?? 'String'})`;
}

/** More than any integer type holds, with its sign. Longer numbers are not turned into integers, because that is slow. */
const DIGITS_MAX = 80;
