/*
 * The columns that a pipeline names, and what its configuration says of their types.
 */
import { pointerTokens } from '../lib/jsonPointer.js';
import { sourcesOf, type ColumnSource, type Constant, type TimeUnit } from '../protocol/columnSource.js';
import type { Destination, Mapping } from '../protocol/settings.js';
import { IDENTITY_TYPES } from './identityColumns.js';
import { constantText } from './rows/columnSources.js';
import { quote } from './rows/quoting.js';
import { nullableType } from './schemaColumns/fieldType.js';
import type { ColumnTypes } from './schemaColumns/schemaColumns.js';

/** What names columns. */
export type Naming = Pick<Destination, 'columns'> & { readonly mapping: Pick<Mapping, 'unknownFields'> };

/** The columns that a pipeline names. A table without one of them gets nothing. */
export function namedColumns({ columns, mapping: { unknownFields } }: Naming): string[] {
  return [...Object.keys(columns), ...(typeof unknownFields === 'object' ? [unknownFields.into] : [])];
}

/**
 * The types of columns before any record is looked at: what the configuration says, then what a schema says.
 *
 * @param ofSchema types by the names of the value's fields. A mapped column of such a name has other values
 */
export function typesBeforeRecords(naming: Naming, ofSchema: ColumnTypes): ColumnTypes {
  const { columns, mapping } = naming;
  const types = new Map(
    [...ofSchema].filter(([name, type]) => !Object.hasOwn(columns, name) || isField(columns[name], name, type)),
  );
  for (const [column, source] of Object.entries(columns)) {
    const type = typeOfSource(source);
    if (type !== undefined) types.set(column, type);
  }
  if (typeof mapping.unknownFields === 'object') types.set(mapping.unknownFields.into, TEXTS_BY_NAME);
  return types;
}

/** Whether a mapped column has the values of the field of its name, as they are, or one that the field's type takes, too. */
function isField(source: ColumnSource | undefined, name: string, type: string): boolean {
  if (typeof source === 'object') {
    const { unit, default: standard } = source;
    if (unit !== undefined || (standard !== undefined && !takes(type, standard))) return false;
  }
  const [from = '', ...others] = source === undefined ? [] : sourcesOf(source);
  const [field, ...deeper] = from.startsWith('/') ? pointerTokens(from) : [];
  return others.length === 0 && field === name && deeper.length === 0;
}

/** Whether a column of this type surely takes a constant. */
function takes(type: string, constant: Constant): boolean {
  const [, inner = ''] = /^(?:Nullable\(|LowCardinality\()*(\w+)/.exec(type) ?? [];
  if (typeof constant === 'string') return inner === 'String';
  if (typeof constant === 'boolean') return inner === 'Bool';
  return /^(Int\d+|Float\d+|Decimal\d*)$/.test(inner) || (inner.startsWith('UInt') && constant >= 0);
}

const TEXTS_BY_NAME = 'Map(String, String)';

/** Undefined: the values of records decide. */
function typeOfSource(source: ColumnSource): string | undefined {
  if (typeof source === 'string') {
    if (source.startsWith('header:')) return TYPES.value;
    return Object.hasOwn(TYPES, source) ? TYPES[source as keyof typeof TYPES] : undefined;
  }
  return source.constant === undefined ? undefined : typeOfConstant(source.constant);
}

/** Sources whose values are always of one type. Types inferred from some of them would refuse others. */
const TYPES = {
  topic: IDENTITY_TYPES._topic,
  partition: IDENTITY_TYPES._partition,
  offset: IDENTITY_TYPES._offset,
  epoch: IDENTITY_TYPES._epoch,
  // Some records have none.
  timestamp: "Nullable(DateTime64(3, 'UTC'))",
  key: 'Nullable(String)',
  value: 'Nullable(String)',
  document: 'Nullable(String)',
  headers: TEXTS_BY_NAME,
  kind: 'LowCardinality(String)',
};

function typeOfConstant(constant: Constant): string {
  if (typeof constant === 'string') return 'String';
  return typeof constant === 'number' ? 'Int64' : 'Bool';
}

/** Rows with the values that stand for those that records lack, one character per byte: their columns have to take them, too. */
export function defaultRows(columns: Destination['columns']): string[] {
  return Object.entries(columns).flatMap(([column, source]) => {
    const standard = typeof source === 'string' ? undefined : source.default;
    if (standard === undefined) return [];
    return [`{${quote(column)}:${constantText(standard)}}`];
  });
}

/**
 * The type of a column that the configuration names, and whose type depends on records.
 *
 * @param inferred from records. Undefined: none of them has a value for it
 */
export function typeWithRecords(source: ColumnSource | undefined, inferred: string | undefined): string {
  const unit = typeof source === 'object' ? source.unit : undefined;
  if (unit === undefined) return inferred ?? 'Nullable(String)';
  const time = `DateTime64(${PLACES[unit]}, 'UTC')`;
  const [arrays = ''] = /^(Array\()*/.exec(inferred ?? '') ?? [];
  return `${arrays}${nullableType(time)}${')'.repeat(arrays.length / ARRAY.length)}`;
}

/** Decimal places of a second that a unit counts. */
const PLACES: Readonly<Record<TimeUnit, number>> = { s: 0, ms: 3, us: 6, ns: 9 };

const ARRAY = 'Array(';
