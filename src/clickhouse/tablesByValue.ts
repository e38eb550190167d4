/*
 * Pipelines whose records go to tables by a value of theirs: which records go to which table, what becomes of those that go
 * to none, and where an earlier attempt has put them.
 */
import { setImmediate } from 'node:timers/promises';
import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import type { RecordDecoder } from '../formats/recordDecoder.js';
import { REJECTION_CODES, type Rejection } from '../protocol/ack.js';
import { isStub, type SourcedRecord } from '../protocol/record.js';
import { hasManyRows, type Mapping, type TablesOfValues } from '../protocol/settings.js';
import { buildRows, opener, type BatchRow, type Fill } from './batchRows.js';
import { FoundRows } from './foundRows.js';
import type { BatchInsertOptions } from './insertOptions.js';
import { decodingOf } from './insertRecords.js';
import { columnsIfAny } from './knownColumns.js';
import { NO_ROW } from './manyRows.js';
import { leftOut } from './rows/rowRejections.js';
import { TableFinder } from './rows/tableFinder.js';

/** How long tables are found before other work may run. */
const YIELD_AFTER_MS = 20;

/** How the records of a pipeline are read. */
type Reading = Pick<BatchInsertOptions, 'mapping' | 'decoders'>;

export interface DividedRecords {
  /** By table, its records in order. */
  readonly ofTables: ReadonlyMap<string, readonly SourcedRecord[]>;
  readonly withoutTable: readonly SourcedRecord[];
  /** Makes the decoder by which they were divided. Undefined if they need none. */
  readonly decoder: (() => RecordDecoder) | undefined;
}

/**
 * Divides records among the tables of their values. A record whose value or key cannot be read has no table.
 *
 * @throws InsertError if schemas are needed that the registry does not tell
 */
export async function divideByValue(
  records: readonly SourcedRecord[],
  tablesOfValues: TablesOfValues,
  { mapping, decoders }: Reading,
): Promise<DividedRecords> {
  const prepared = await decodingOf(records, { mapping, decoders });
  const size = { documentBytes: 0 };
  const open = opener(mapping, prepared && (() => prepared(size)));
  const finder = new TableFinder(tablesOfValues, mapping);
  const ofTables = new Map<string, SourcedRecord[]>();
  const withoutTable: SourcedRecord[] = [];
  let yieldedAt = performance.now();
  for (const item of records) {
    const { source, record } = item;
    // Each is decoded as if it were alone: nothing of it is kept, and what else is in the batch must not decide.
    size.documentBytes = 0;
    const opened = isStub(record) || open === undefined ? record : open(source, record);
    const table = isStub(record) || 'code' in opened ? null : finder.of(opened);
    const list = table === null ? withoutTable : ofTables.get(table);
    if (list !== undefined) list.push(item);
    else if (table !== null) ofTables.set(table, [item]);
    if (performance.now() - yieldedAt >= YIELD_AFTER_MS) {
      await setImmediate();
      yieldedAt = performance.now();
    }
  }
  return { ofTables, withoutTable, decoder: prepared };
}

/**
 * Says of records without a table why they become no row. What is no row in any table is rejected for that reason, or left
 * out. So a record that the pipeline does not want needs no table.
 */
export async function rejectWithoutTable(
  records: readonly SourcedRecord[],
  { by, otherwise }: TablesOfValues,
  {
    mapping,
    decoder,
    fill,
  }: { readonly mapping: Mapping; readonly fill?: Fill | undefined } & Pick<DividedRecords, 'decoder'>,
): Promise<readonly RejectedRecord[]> {
  const rejection = otherwise === 'skip' ? leftOut() : noSuchTable(by);
  const { rows, rejected } = await buildRows(records, new Map(), {
    columns: {},
    mapping: { ...mapping, unknownFields: 'ignore' },
    ...(fill === undefined ? {} : { fill }),
    decoder,
    // Nothing is sent.
    judgedBytesMax: Infinity,
  });
  return [
    ...rejected.map(({ source, record, rejection: own }) => ({ source, record, rejection: own })),
    ...rows.map(({ source, record }) => ({ source, record, rejection })),
  ];
}

/** It does not quote the value, as no message does. */
function noSuchTable(by: string): Rejection {
  const message = `the table goes by ${by}, and the pipeline has no table for what the record has there`;
  return { code: REJECTION_CODES.noSuchTable, message };
}

/**
 * Which of these records a table has, all rows of each. Nothing is inserted. In a table that does not exist, or that has no
 * identity columns, nothing is found.
 *
 * @throws InsertError if the table cannot be asked, or an earlier insert may still be running
 */
export async function recordsInTable(
  records: readonly SourcedRecord[],
  options: BatchInsertOptions,
): Promise<ReadonlySet<SourcedRecord>> {
  const { tables, table, mustBeAlive } = options;
  const columns = await columnsIfAny(tables, table);
  if (columns === null) return new Set();
  const rows = await identitiesOf(records, options);
  // A replica that lags may show none of them.
  await tables.caughtUp(table, { mustBeAlive });
  const found = new FoundRows({ ...options, repeated: true }, columns);
  await found.lookUp([], rows);
  return new Set(Array.from(found.all(), ({ recordIndex }) => records[recordIndex] as SourcedRecord));
}

/** Rows that can be looked up, and not sent. Only of records that may hold many it has to be known how many these are. */
async function identitiesOf(
  records: readonly SourcedRecord[],
  { mapping }: BatchInsertOptions,
): Promise<readonly BatchRow[]> {
  if (!hasManyRows(mapping.format)) return records.map((item, recordIndex) => ({ ...item, row: NO_ROW, recordIndex }));
  // Without their keys: one that cannot be read says nothing about the rows.
  const { key: _, ...withoutKey } = mapping;
  const { rows, rejected } = await buildRows(records, new Map(), {
    columns: {},
    mapping: { ...withoutKey, unknownFields: 'ignore' },
    judgedBytesMax: Infinity,
  });
  return [...rows, ...rejected];
}
