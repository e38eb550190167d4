import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { REJECTION_CODES, type Rejection } from '../records/ack.js';
import type { KafkaRecord, RecordSource } from '../records/record.js';
import type { RejectedRecord } from '../records/rejectionCodec.js';
import { bisect } from './bisect.js';
import { InsertError, type ClickHouseTables } from './clickhouse.js';
import { RowBlocks } from './rowBlocks.js';
import { createRowBuilder, LOOKUP_COLUMNS } from './rows.js';

/** A record and where it comes from. */
export interface SourcedRecord {
  readonly source: RecordSource;
  readonly record: KafkaRecord;
}

/** A record of a batch that has a row. */
export interface BatchRow extends SourcedRecord {
  /** Its place among the rows. */
  readonly row: number;
}

export interface BatchInsertResult {
  readonly inserted: readonly BatchRow[];
  readonly rejected: readonly RejectedRecord[];
  /** Rows that were in the table already, from an earlier attempt. */
  readonly found: number;
}

export interface BatchInsertOptions {
  readonly tables: Pick<ClickHouseTables, 'columns' | 'forget' | 'insert' | 'foundOffsets'>;
  readonly table: string;
  readonly columns: Readonly<Record<string, string>>;
  /** True where an insert of these records may have happened before: what is there is looked up first. */
  readonly repeated: boolean;
  /** Called right before each effect; throws where this attempt may have none any more. */
  readonly mustBeAlive: () => void;
  readonly onInsert?: (outcome: 'ok' | 'failed') => void;
}

/**
 * Inserts the records of a batch, each once. A record that cannot become a row, or that ClickHouse refuses, is given
 * back; the others are inserted.
 *
 * Two nets against doubles: the deduplication token, a hash of exactly the rows sent; and, wherever an insert may have
 * left something behind, the question which identities are in the table already. The second needs the identity columns.
 *
 * @throws InsertError, transient or structural: nothing is known to be wrong with any record
 */
export async function insertRecords(
  records: readonly SourcedRecord[],
  options: BatchInsertOptions,
): Promise<BatchInsertResult> {
  try {
    return await insertOnce(records, options);
  } catch (error) {
    // The table was altered since its columns were read; they are read anew. A second time it is for a person to see.
    if (!(error instanceof InsertError && error.code === NO_SUCH_COLUMN)) throw error;
    return insertOnce(records, { ...options, repeated: true });
  }
}

const NO_SUCH_COLUMN = '16';

async function insertOnce(records: readonly SourcedRecord[], options: BatchInsertOptions): Promise<BatchInsertResult> {
  const { tables, table, columns, mustBeAlive, onInsert } = options;
  const tableColumns = await tables.columns(table);
  for (const column of Object.keys(columns)) {
    if (!tableColumns.has(column)) {
      const message = `table ${table} has no column ${column}, which the pipeline's columns name: add it, or take it out there`;
      tables.forget(table);
      throw new InsertError('structural', NO_SUCH_COLUMN, message, undefined);
    }
  }
  const canLookUp = LOOKUP_COLUMNS.every((name) => tableColumns.has(name));
  const buildRow = createRowBuilder(tableColumns, columns);

  const rows: BatchRow[] = [];
  const blocks = new RowBlocks();
  const rejected: RejectedRecord[] = [];
  for (const { source, record } of records) {
    const row = buildRow(source, record);
    if (typeof row === 'string') {
      rows.push({ source, record, row: blocks.length });
      blocks.add(row);
    } else {
      rejected.push({ source, record, rejection: row });
    }
    // A large batch must not keep heartbeats and other batches waiting.
    if ((rows.length + rejected.length) % RowBlocks.BLOCK_ROWS === 0) await setImmediate();
  }

  const found = new Set<BatchRow>();
  let lookUpFirst = options.repeated;
  const insertMissing = async (part: readonly BatchRow[]): Promise<Rejection | null> => {
    if (lookUpFirst && canLookUp) for (const row of await rowsInTable(tables, table, part)) found.add(row);
    const missing = part.filter((row) => !found.has(row));
    if (missing.length === 0) return null;
    mustBeAlive();
    try {
      await tables.insert(table, tableColumns, blocks.lines(missing.map(({ row }) => row)), identityToken(missing));
      onInsert?.('ok');
      return null;
    } catch (error) {
      onInsert?.('failed');
      // From here on an insert may have left rows behind, whatever its error says: a failing view leaves all of them.
      lookUpFirst = true;
      tables.forget(table);
      if (error instanceof InsertError && error.kind === 'data') return rejectionOf(error);
      throw error;
    }
  };
  for (const { item, reason } of await bisect(rows, insertMissing)) {
    // A row that is there is inserted, even where the last word about it was an error.
    if (lookUpFirst && canLookUp && (await rowsInTable(tables, table, [item])).length > 0) found.add(item);
    else rejected.push({ source: item.source, record: item.record, rejection: reason });
  }
  const refused = new Set(rejected.map(({ record }) => record));
  return { inserted: rows.filter(({ record }) => !refused.has(record)), rejected, found: found.size };
}

/** The message names ClickHouse's error, not its text: that quotes the row. */
function rejectionOf(error: InsertError): Rejection {
  return { code: REJECTION_CODES.refused, message: error.message };
}

async function rowsInTable(
  tables: BatchInsertOptions['tables'],
  table: string,
  rows: readonly BatchRow[],
): Promise<BatchRow[]> {
  const bySource = new Map<RecordSource, BatchRow[]>();
  for (const row of rows) {
    const list = bySource.get(row.source);
    if (list === undefined) bySource.set(row.source, [row]);
    else list.push(row);
  }
  const present: BatchRow[] = [];
  for (const [source, list] of bySource) {
    const offsets = list.map(({ record }) => record.offset);
    const found = await tables.foundOffsets(table, source, min(offsets), max(offsets));
    present.push(...list.filter(({ record }) => found.has(record.offset)));
  }
  return present;
}

/** The deduplication token: 128 bits of a hash of the identities of just these rows. */
function identityToken(rows: readonly BatchRow[]): string {
  const hash = createHash('sha256');
  let source: RecordSource | undefined;
  for (const row of rows) {
    if (row.source !== source) {
      source = row.source;
      hash.update(`\n${source.topic}/${source.partition}/${source.epoch}:`);
    }
    hash.update(`${row.record.offset},`);
  }
  return hash.digest('hex').slice(0, 32);
}

/** `Math.min(...)` of a long list would overflow the stack. */
function min(numbers: readonly number[]): number {
  return numbers.reduce((low, number) => (number < low ? number : low), Infinity);
}

function max(numbers: readonly number[]): number {
  return numbers.reduce((high, number) => (number > high ? number : high), -Infinity);
}
