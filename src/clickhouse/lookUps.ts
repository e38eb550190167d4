/*
 * Look-ups of rows that are in a table already, by the identity columns.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { NO_TIMESTAMP, type KafkaRecord, type RecordSource, type TopicPartition } from '../protocol/record.js';
import { TIMEOUT_EXCEEDED } from './errorCodes.js';
import { keepsSeconds } from './identityColumns.js';
import { InsertError } from './insertErrors.js';
import { quoted, type NamedTable } from './namedTables.js';
import { queryRows } from './queries.js';
import type { TableColumns } from './tableColumns.js';
import { innerType } from './values/columnTypes.js';

/** How rows are looked up. */
export interface LookUps {
  readonly client: ClickHouseClient;
  /** After this time ClickHouse gives a look-up up. The client waits a little longer. */
  readonly timeoutMs: number;
}

/** The time-out if none is configured. */
export const LOOK_UP_TIMEOUT_MS = 30_000;

/** The offsets of a source, or of a partition, that are looked up. */
export interface AskedOffsets {
  /** Both ends are included. */
  readonly from: number;
  readonly to: number;
  /**
   * Which of them are asked for. Others are not kept in memory: the range also holds the rows of all other batchers.
   * Default: all.
   */
  readonly isOwn?: ((offset: number) => boolean) | undefined;
}

/** The number of rows of one record under one epoch. It should be one, or all that the record holds, each once. */
export interface RowsOfRecord {
  readonly offset: number;
  readonly epoch: string;
  readonly rows: number;
  /** Set if records may hold many rows: how many different ones (`_row`) there are. */
  readonly different?: number;
  /** The record's timestamp, see {@link secondsOfRecord}. Null if the table has no column `_timestamp` that keeps it. */
  readonly seconds: number | null;
}

/**
 * The offsets of a source, within a range, that are in the table already.
 *
 * @throws InsertError
 */
export async function foundOffsets(
  lookUps: LookUps,
  table: NamedTable,
  { topic, partition, epoch }: RecordSource,
  { from, to, isOwn }: AskedOffsets,
): Promise<Set<number>> {
  const rows = await lookUp<[number | string]>(
    lookUps,
    table,
    `SELECT DISTINCT _offset FROM ${quoted(table)} WHERE ${IN_RANGE} AND _epoch = {epoch:String}`,
    { topic, partition, epoch, from, to },
    ofOwn(isOwn),
  );
  return new Set(rows.map(([offset]) => Number(offset)));
}

/**
 * The records of a partition, within a range of offsets, that are in the table already, whatever their epoch, as named by
 * {@link recordName}. A record of another log at the same offset has another timestamp.
 *
 * @throws InsertError
 */
export async function foundRecords(
  lookUps: LookUps,
  table: NamedTable,
  columns: TableColumns,
  { topic, partition }: RecordSource,
  { from, to, isOwn }: AskedOffsets,
): Promise<Set<string>> {
  const rows = await lookUp<[number | string, number | string]>(
    lookUps,
    table,
    `SELECT DISTINCT _offset, ${secondsOf(columns.get('_timestamp'))} FROM ${quoted(table)} WHERE ${IN_RANGE}`,
    { topic, partition, from, to },
    ofOwn(isOwn),
  );
  return new Set(rows.map(([offset, seconds]) => `${offset}@${seconds}`));
}

/**
 * The numbers of the rows (`_row`) that a table has of each record of a source, within a range of offsets, by its offset.
 * Records without a row are missing. For records that may hold many rows.
 *
 * @throws InsertError
 */
export async function foundRowNumbers(
  lookUps: LookUps,
  table: NamedTable,
  { topic, partition, epoch }: RecordSource,
  { from, to, isOwn }: AskedOffsets,
): Promise<Map<string, readonly number[]>> {
  const rows = await lookUp<[number | string, readonly (number | string)[]]>(
    lookUps,
    table,
    `SELECT _offset, groupUniqArray(_row) FROM ${quoted(table)} WHERE ${IN_RANGE} AND _epoch = {epoch:String}
     GROUP BY _offset`,
    { topic, partition, epoch, from, to },
    ofOwn(isOwn),
  );
  return new Map(rows.map(([offset, numbers]) => [String(offset), numbers.map(Number)]));
}

/**
 * The same, whatever their epoch, by the names of the records: see {@link foundRecords}.
 *
 * @throws InsertError
 */
export async function foundRowNumbersOfRecords(
  lookUps: LookUps,
  table: NamedTable,
  columns: TableColumns,
  { topic, partition }: RecordSource,
  { from, to, isOwn }: AskedOffsets,
): Promise<Map<string, readonly number[]>> {
  const rows = await lookUp<[number | string, number | string, readonly (number | string)[]]>(
    lookUps,
    table,
    `SELECT _offset, ${secondsOf(columns.get('_timestamp'))} AS seconds, groupUniqArray(_row)
     FROM ${quoted(table)} WHERE ${IN_RANGE} GROUP BY _offset, seconds`,
    { topic, partition, from, to },
    ofOwn(isOwn),
  );
  return new Map(rows.map(([offset, seconds, numbers]) => [`${offset}@${seconds}`, numbers.map(Number)]));
}

/**
 * How many rows each record of a range of offsets has, by epoch, in the order of offsets. Records of several logs may
 * have been at one offset.
 *
 * @param manyRows whether records may hold many rows
 * @throws InsertError
 */
export async function rowsByOffset(
  lookUps: LookUps,
  table: NamedTable,
  columns: TableColumns,
  { topic, partition }: TopicPartition,
  { from, to }: AskedOffsets,
  manyRows = false,
): Promise<RowsOfRecord[]> {
  const isTimed = keepsSeconds(columns);
  const seconds = isTimed ? `any(${secondsOf(columns.get('_timestamp'))})` : 'NULL';
  const different = manyRows ? ', uniqExact(_row)' : '';
  const rows = await lookUp<[number | string, string, number | string, number | string | null, (number | string)?]>(
    lookUps,
    table,
    `SELECT _offset, _epoch, count(), ${seconds}${different} FROM ${quoted(table)} WHERE ${IN_RANGE}
     GROUP BY _offset, _epoch ORDER BY _offset`,
    { topic, partition, from, to },
  );
  return rows.map(([offset, epoch, count, time, numbers]) => {
    return {
      offset: Number(offset),
      epoch,
      rows: Number(count),
      ...(manyRows ? { different: Number(numbers) } : {}),
      seconds: isTimed ? Number(time) : null,
    };
  });
}

const IN_RANGE =
  '_topic = {topic:String} AND _partition = {partition:Int64} AND _offset BETWEEN {from:Int64} AND {to:Int64}';

/** Rows begin with the offset. */
function ofOwn(isOwn: AskedOffsets['isOwn']): (row: readonly [offset: number | string, ...unknown[]]) => boolean {
  return isOwn === undefined ? () => true : ([offset]) => isOwn(Number(offset));
}

/** Code of a look-up that took too long. ClickHouse is not away then. */
export const LOOK_UP_TIMED_OUT = 'look_up_timeout';

/** Looks rows up. After its time-out ClickHouse stops it, too, so that repeated look-ups do not pile up there. */
async function lookUp<Row>(
  { client, timeoutMs }: LookUps,
  { table }: NamedTable,
  query: string,
  parameters: Record<string, unknown>,
  keeps: (row: Row) => boolean = () => true,
): Promise<Row[]> {
  const seconds = Math.ceil(timeoutMs / 1000);
  const startedAt = performance.now();
  try {
    return await queryRows(client, query, parameters, { settings: { max_execution_time: seconds }, keeps });
  } catch (error) {
    const tookTooLong =
      error instanceof InsertError &&
      (error.code === TIMEOUT_EXCEEDED || (!error.answered && performance.now() - startedAt >= timeoutMs));
    if (!tookTooLong) throw error;
    const message =
      `looking for a batch's rows in table ${table} took longer than clickhouse.lookUpTimeout, ${seconds} s: ` +
      'give it an order or a projection for it, as `ktb setup` proposes, or more time';
    // It counts like ClickHouse being away, because it is never the rows' fault.
    throw new InsertError('transient', { code: LOOK_UP_TIMED_OUT, message, cause: error, answered: false });
  }
}

/** Names a record by its offset and its timestamp in seconds. */
export function recordName({ offset, timestampMs }: KafkaRecord): string {
  return `${offset}@${secondsOfRecord(timestampMs)}`;
}

/** What a column `_timestamp` keeps of a record's timestamp, whatever its type: whole seconds, rounded down. 0 if the record has none. */
export function secondsOfRecord(timestampMs: number): number {
  return timestampMs === NO_TIMESTAMP ? 0 : Math.floor(timestampMs / 1000);
}

/**
 * Whether the seconds of a row say that it is of another record. Those of a row that was inserted before the table had
 * the column are 0, and those of a record without a timestamp may be a default of the column. They say nothing. Pure.
 */
export function isOtherTime(ofRow: number | null, ofRecord: number): boolean {
  return ofRow !== null && ofRow !== 0 && ofRecord !== 0 && ofRow !== ofRecord;
}

/**
 * The seconds of a `_timestamp` column. An integer column holds milliseconds. `toUnixTimestamp` fails after 2106, so
 * `DateTime64` uses another function. A nullable column has null for a record without a timestamp. `intDiv` rounds
 * towards 1970, but a `DateTime64(0)` rounds down, so the part of a second is taken off first.
 */
function secondsOf(type = ''): string {
  const { name } = innerType(type);
  const milliseconds = /^U?Int/.test(name)
    ? '_timestamp'
    : name === 'DateTime64'
      ? 'toUnixTimestamp64Milli(_timestamp)'
      : null;
  const seconds =
    milliseconds === null
      ? 'toUnixTimestamp(_timestamp)'
      : `intDiv(${milliseconds} - positiveModulo(${milliseconds}, 1000), 1000)`;
  return `ifNull(${seconds}, 0)`;
}
