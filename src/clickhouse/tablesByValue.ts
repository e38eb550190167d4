/*
 * Pipelines whose records go to tables by a value of theirs: which records go to which table, and what becomes of those that
 * go to none.
 */
import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import type { RecordDecoder } from '../formats/recordDecoder.js';
import { Breaks } from '../lib/breaks.js';
import { REJECTION_CODES, type Rejection } from '../protocol/ack.js';
import { isStub, type SourcedRecord } from '../protocol/record.js';
import type { Mapping, TablesOfValues } from '../protocol/settings.js';
import { buildRows } from './batchRows.js';
import type { BatchInsertOptions } from './insertOptions.js';
import { decodingOf } from './insertRecords.js';
import { opener } from './openedRecords.js';
import { leftOut } from './rows/rowRejections.js';
import { TableFinder } from './rows/tableFinder.js';

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
  const breaks = new Breaks();
  for (const item of records) {
    const { source, record } = item;
    // Each is decoded as if it were alone: nothing of it is kept, and what else is in the batch must not decide.
    size.documentBytes = 0;
    const opened = isStub(record) || open === undefined ? record : open(source, record);
    const table = isStub(record) || 'code' in opened ? null : finder.of(opened);
    const list = table === null ? withoutTable : ofTables.get(table);
    if (list !== undefined) list.push(item);
    else if (table !== null) ofTables.set(table, [item]);
    if (breaks.isDue()) await breaks.take();
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
  { mapping, decoder }: { readonly mapping: Mapping } & Pick<DividedRecords, 'decoder'>,
): Promise<readonly RejectedRecord[]> {
  const rejection = otherwise === 'skip' ? leftOut() : noSuchTable(by);
  const { rows, rejected } = await buildRows(records, new Map(), {
    columns: {},
    mapping: { ...mapping, unknownFields: 'ignore' },
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
