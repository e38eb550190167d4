import type { RecordSource } from '../protocol/record.js';
import { hasManyRows, type Mapping } from '../protocol/settings.js';
import { innerType, type ColumnType } from './values/columnTypes.js';
import type { TableColumns } from './tableColumns.js';

/**
 * The identity columns: a record's identity, its timestamp and key. Named like the virtual columns of ClickHouse's
 * Kafka engine. Filled if the table has them.
 */
export const IDENTITY_COLUMNS = ['_topic', '_partition', '_offset', '_timestamp', '_key', '_epoch'] as const;
export type IdentityColumn = (typeof IDENTITY_COLUMNS)[number] | typeof ROW_COLUMN | (typeof CHANGE_COLUMNS)[number];

/** The columns of pipelines that take changes of another table's rows, for `ReplacingMergeTree(_version, _is_deleted)`. */
export const CHANGE_COLUMNS = ['_version', '_is_deleted'] as const;

/**
 * The index of a row among those of its record, from 0. It is an identity column only of pipelines whose records may hold
 * many rows. These cannot do without it. For others it is a column like any.
 */
export const ROW_COLUMN = '_row';

/** The most rows that one record may have. */
export const ROWS_OF_RECORD_MAX = 100_000;

/** The columns that a look-up of identities needs. */
export const LOOKUP_COLUMNS: readonly IdentityColumn[] = ['_topic', '_partition', '_offset', '_epoch'];

/** The columns by which a rewind finds rows, whatever their epoch. */
export const REWIND_COLUMNS: readonly IdentityColumn[] = [...LOOKUP_COLUMNS, '_timestamp'];

/** The columns that a table lacks. Default: of those that a look-up of identities needs. */
export function missingColumns(table: TableColumns, wanted: readonly string[] = LOOKUP_COLUMNS): string[] {
  return wanted.filter((column) => !table.has(column));
}

/**
 * A problem with the type of an identity column.
 *
 * - `unfit`: no identity can be looked up in it
 * - `narrow`: some identities fit, others would be stored as those of other records
 * - `rewind`: `_timestamp` does not keep the second, by which a rewind finds rows
 */
export interface IdentityFault {
  readonly column: IdentityColumn;
  readonly kind: 'unfit' | 'narrow' | 'rewind';
  readonly problem: string;
  /** What an `ALTER TABLE` of the table has to do. */
  readonly statement: string;
}

/** The highest partition number of a topic. Whole Kafka clusters have fewer partitions. */
const PARTITION_MAX = 65_535;

/** Types for the identity columns that can hold every identity. */
export const IDENTITY_TYPES: Readonly<Record<IdentityColumn, string>> = {
  _topic: 'LowCardinality(String)',
  _partition: 'UInt32',
  _offset: 'UInt64',
  _timestamp: 'DateTime64(3)',
  _key: 'String',
  _epoch: 'LowCardinality(String)',
  _row: 'UInt32',
  _version: 'UInt64',
  _is_deleted: 'UInt8',
};

/** The identity columns of a pipeline's tables, and others that are not for fields of the values. */
export function identityColumnsOf({
  format,
  envelope,
}: Pick<Mapping, 'format' | 'envelope'>): readonly IdentityColumn[] {
  return [
    ...IDENTITY_COLUMNS,
    ...(hasManyRows(format) ? ([ROW_COLUMN] as const) : []),
    ...(envelope === undefined ? [] : CHANGE_COLUMNS),
  ];
}

/** Says what is wrong with the columns for changes in a table. Undefined if nothing is. */
export function changeColumnsFault(table: TableColumns): string | undefined {
  const missing = missingColumns(table, CHANGE_COLUMNS);
  if (missing.length > 0) return `has no column ${missing.join(' and ')}, which changes need`;
  const wrong = CHANGE_COLUMNS.find((column) => innerType(table.get(column) ?? '').name !== IDENTITY_TYPES[column]);
  return wrong === undefined
    ? undefined
    : `has a column ${wrong} of type ${table.get(wrong)}, not ${IDENTITY_TYPES[wrong]}`;
}

/** Says what is wrong with `_row` in a table for records that may hold many rows. Undefined if nothing is. */
export function rowColumnFault(table: TableColumns): string | undefined {
  const text = table.get(ROW_COLUMN);
  if (text === undefined)
    return `has no column ${ROW_COLUMN}, by which the rows of one record are told from each other`;
  const max = numberMax(innerType(text));
  if (max !== null && max >= ROWS_OF_RECORD_MAX) return undefined;
  return `has a column ${ROW_COLUMN} of type ${text}, which does not hold the numbers 0 to ${ROWS_OF_RECORD_MAX - 1} of the rows of one record`;
}

/**
 * Whether merges of such a table would leave one row of each record: its sorting key has the record's offset, and not the
 * index of the row.
 */
export function mergesRowsOfRecord({
  engine,
  sortingKey,
}: {
  readonly engine: string;
  readonly sortingKey: string;
}): boolean {
  const merges = engine.endsWith('MergeTree') && !/^(Replicated|Shared)?MergeTree$/.test(engine);
  return merges && /\b_offset\b/.test(sortingKey) && !/\b_row\b/.test(sortingKey);
}

/** Says so if {@link mergesRowsOfRecord}. Undefined if merges keep all rows, or nothing is known of them. */
export function mergeFault(table: TableColumns): string | undefined {
  return table.mergesRowsOfRecord === true
    ? `has no ${ROW_COLUMN} in its sorting key: merges would leave one row of each record`
    : undefined;
}

/** Finds identity columns whose types cannot hold all identities. Columns that the table lacks are not listed. */
export function identityFaults(table: TableColumns): IdentityFault[] {
  const faults: IdentityFault[] = [];
  for (const column of ['_topic', '_partition', '_offset', '_epoch', '_timestamp'] as const) {
    const text = table.get(column);
    if (text === undefined) continue;
    const kind = faultOf(column, text);
    if (kind === null) continue;
    const problem = `column ${column} is ${text}, ${CONSEQUENCES[kind]}`;
    faults.push({ column, kind, problem, statement: `MODIFY COLUMN \`${column}\` ${IDENTITY_TYPES[column]}` });
  }
  return faults;
}

/** A message about a fault with the statement that repairs it. */
export function faultMessage({ problem, statement }: IdentityFault): string {
  return `${problem}: ${statement}`;
}

const CONSEQUENCES: Readonly<Record<IdentityFault['kind'], string>> = {
  unfit: 'by which no record can be looked up',
  narrow: 'which is too narrow: larger numbers would become those of other records',
  rewind: 'which does not keep the second a record was written, by which `ktb rewind` finds it',
};

function faultOf(column: IdentityColumn, text: string): IdentityFault['kind'] | null {
  const type = innerType(text);
  if (column === '_timestamp') return KEEPS_SECONDS.has(type.name) ? null : 'rewind';
  if (column === '_topic' || column === '_epoch') {
    if (type.name === 'String') return null;
    return type.name === 'FixedString' || type.name.startsWith('Enum') ? 'narrow' : 'unfit';
  }
  const max = numberMax(type);
  if (max === null) return 'unfit';
  return max < (column === '_partition' ? PARTITION_MAX : Number.MAX_SAFE_INTEGER) ? 'narrow' : null;
}

const KEEPS_SECONDS: ReadonlySet<string> = new Set(
  ['DateTime', 'DateTime64'].concat(['Int', 'UInt'].flatMap((sign) => [64, 128, 256].map((bits) => `${sign}${bits}`))),
);

/**
 * Checks whether the identities of a source fit into the table's columns, some of which may be too narrow.
 *
 * @param offsetMax the source's highest offset
 * @returns a message about what does not fit. Null if all fits
 */
export function misfitOf(
  table: TableColumns,
  { topic, partition, epoch }: RecordSource,
  offsetMax: number,
): string | null {
  const narrow = identityFaults(table).filter(({ kind }) => kind === 'narrow');
  const values = { _topic: topic, _partition: partition, _offset: offsetMax, _epoch: epoch };
  for (const fault of narrow) {
    const value = values[fault.column as keyof typeof values];
    if (!holds(innerType(table.get(fault.column) ?? ''), value))
      return `${String(value)} does not fit: ${faultMessage(fault)}`;
  }
  return null;
}

/** Whether the rows keep the second that their record was written at, by which records of one offset are told apart. */
export function keepsSeconds(table: TableColumns): boolean {
  const type = table.get('_timestamp');
  return type !== undefined && faultOf('_timestamp', type) === null;
}

/** Messages about columns by which no record can be looked up. */
export function unfitColumns(table: TableColumns): string[] {
  return identityFaults(table).flatMap((fault) => (fault.kind === 'unfit' ? [faultMessage(fault)] : []));
}

/** Whether repeated inserts can look up which rows are in the table. */
export function canLookUp(table: TableColumns): boolean {
  return LOOKUP_COLUMNS.every((column) => table.has(column)) && unfitColumns(table).length === 0;
}

function holds(type: ColumnType, value: string | number): boolean {
  if (typeof value === 'number') return value <= (numberMax(type) ?? 0);
  if (type.name === 'FixedString') return Buffer.byteLength(value) <= Number(type.parameters[0]);
  return type.parameters.some((element) => element.startsWith(`'${value}'`));
}

/** The largest number up to which a type holds every integer. Null if it holds no numbers. */
function numberMax({ name, parameters }: ColumnType): number | null {
  const [, unsigned, bits] = /^(U?)Int(\d+)$/.exec(name) ?? [];
  if (bits !== undefined) return 2 ** (Number(bits) - (unsigned === 'U' ? 0 : 1)) - 1;
  if (name === 'Float32') return 2 ** 24;
  if (name === 'Float64') return Number.MAX_SAFE_INTEGER;
  if (name === 'Decimal') return 10 ** (Number(parameters[0]) - Number(parameters[1] ?? 0)) - 1;
  return null;
}
