import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import { REJECTION_CODES, type Rejection } from '../protocol/ack.js';
import type { RecordSource } from '../protocol/record.js';
import { DEFAULT_MAPPING } from '../protocol/settings.js';
import { buildRows, type BatchRows, type SourcedRecord } from './batchRows.js';
import { identityFaults, misfitOf, unfitColumns } from './identityColumns.js';
import { InsertError } from './insertErrors.js';
import { Insertion } from './insertion.js';
import type { BatchInsertOptions } from './insertOptions.js';
import type { TableColumns } from './rows.js';
import { columnsIfAny } from './tables.js';
import type { MissedByViews } from './viewRepair.js';

export interface BatchInsertResult {
  readonly inserted: readonly SourcedRecord[];
  readonly rejected: readonly RejectedRecord[];
  /** Rows that were in the table already, from an earlier attempt. */
  readonly found: number;
  /** Rows that are in the table and that materialized views of it lack, or may lack; null where there are none. */
  readonly missedByViews: MissedByViews | null;
}

/**
 * Inserts the records of a batch into a table, each once. A record that cannot become a row, or that ClickHouse refuses, is given
 * back; the others are inserted.
 *
 * Two nets against doubles: the deduplication token, a hash of exactly the rows sent; and, wherever an insert may have
 * left something behind, the question which identities are in the table already. The second needs the identity columns.
 *
 * @throws InsertError where the batch has to be held: nothing is proved against any record
 */
export async function insertRecords(
  records: readonly SourcedRecord[],
  options: BatchInsertOptions,
): Promise<BatchInsertResult> {
  try {
    return await insertOnce(records, options);
  } catch (error) {
    options.tables.forget(options.table);
    // The table was altered since its columns were read; they are read anew. A second time it is for a person to see.
    if (!(error instanceof InsertError && error.code === NO_SUCH_COLUMN)) throw error;
    return insertOnce(records, { ...options, repeated: true });
  }
}

const NO_SUCH_COLUMN = '16';

async function insertOnce(records: readonly SourcedRecord[], options: BatchInsertOptions): Promise<BatchInsertResult> {
  const { tableColumns, ...batchRows } = await rowsByLatestColumns(records, options);
  const insertion = new Insertion(options, tableColumns, batchRows);
  const refused = await insertion.findRefused();
  const refusedRows = new Set(refused.map(({ item }) => item));
  const mayBeThere = options.repeated || options.fill !== undefined;
  const { there, others } = mayBeThere
    ? await insertion.divideRejected(batchRows.rejected)
    : { there: [], others: batchRows.rejected };
  return {
    inserted: [...batchRows.rows.filter((row) => !refusedRows.has(row)), ...there],
    rejected: [
      ...others,
      ...refused.map(({ item: { source, record }, reason }) => ({
        source,
        record,
        rejection: { code: REJECTION_CODES.refused, message: reason.error.message },
      })),
    ],
    found: insertion.found.size,
    missedByViews: insertion.missedByViews,
  };
}

/** Rejections that another table, or the same one altered, would not have. */
const BLAMES_COLUMNS: Readonly<Record<string, true>> = {
  [REJECTION_CODES.unknownField]: true,
  [REJECTION_CODES.outOfRange]: true,
};

type RowsOfTable = BatchRows & { readonly tableColumns: TableColumns };

/** The table may have been altered since its columns were read: before these are the reason for a rejection they are read anew. */
async function rowsByLatestColumns(
  records: readonly SourcedRecord[],
  options: BatchInsertOptions,
): Promise<RowsOfTable> {
  const known = await rowsByKnownColumns(records, options);
  if (!known.rejected.some(({ rejection }) => rejection.code in BLAMES_COLUMNS)) return known;
  options.tables.forget(options.table);
  return rowsByKnownColumns(records, options);
}

async function rowsByKnownColumns(
  records: readonly SourcedRecord[],
  options: BatchInsertOptions,
): Promise<RowsOfTable> {
  const tableColumns = await options.tables.columns(options.table);
  mustHaveColumns(tableColumns, options);
  mustHoldIdentities(tableColumns, records, options);
  return { tableColumns, ...(await buildRows(records, tableColumns, options)) };
}

/**
 * Gives the records of a batch up: those that are in the table are inserted, all others are rejected. Nothing is inserted
 * any more. What could not have become a row is rejected for that, as ever. Of a table without identity columns nothing
 * can be found; one that is not there, or that this user may not see, has nothing.
 *
 * @param rejection of what is not there
 * @throws InsertError where the table cannot be asked, or an earlier insert may still be running: nothing is decided then
 */
export async function giveUpRecords(
  records: readonly SourcedRecord[],
  options: BatchInsertOptions,
  rejection: Rejection,
): Promise<BatchInsertResult> {
  const { tables, table, mapping = DEFAULT_MAPPING } = options;
  // It may have been altered since, and its columns decide on verdicts.
  tables.forget(table);
  const tableColumns = await columnsIfAny(tables, table);
  const batchRows = await buildRows(
    records,
    tableColumns ?? new Map(),
    // Without a table no field has a column: that is not the records' fault.
    tableColumns === null ? { ...options, mapping: { ...mapping, unknownFields: 'ignore' } } : options,
  );
  const { rows, rejected } = batchRows;
  const insertion = new Insertion({ ...options, repeated: true }, tableColumns ?? new Map(), batchRows);
  const { found } = insertion;
  await found.lookUp(rows);
  const givenUp = found.missing(rows);
  const inserted = rows.filter((row) => found.has(row));
  const { there, others } = await insertion.divideRejected(rejected);
  return {
    inserted: [...inserted, ...there],
    rejected: [...others, ...givenUp.map(({ source, record }) => ({ source, record, rejection }))],
    found: found.size,
    missedByViews: null,
  };
}

function mustHaveColumns(tableColumns: TableColumns, { table, columns }: BatchInsertOptions): void {
  const missing = Object.keys(columns).find((column) => !tableColumns.has(column));
  if (missing === undefined) return;
  const message = `table ${table} has no column ${missing}, which the pipeline's columns name: add it, or take it out there`;
  throw new InsertError('structural', { code: NO_SUCH_COLUMN, message });
}

/** A number that does not fit would become another record's identity without a word; then its row is taken for that one's. */
function mustHoldIdentities(
  tableColumns: TableColumns,
  records: readonly SourcedRecord[],
  { table, columns }: BatchInsertOptions,
): void {
  const written = new Map([...tableColumns].filter(([name]) => !Object.hasOwn(columns, name)));
  if (identityFaults(written).length === 0) return;
  const offsetMax = new Map<RecordSource, number>();
  for (const { source, record } of records)
    offsetMax.set(source, Math.max(record.offset, offsetMax.get(source) ?? record.offset));
  const misfits = Array.from(offsetMax, ([source, offset]) => misfitOf(written, source, offset) ?? []).flat();
  const [reason] = [...unfitColumns(written), ...misfits];
  if (reason !== undefined)
    throw new InsertError('structural', { code: UNFIT_IDENTITY, message: `table ${table}: ${reason}` });
}

/** In place of a code of ClickHouse, which would not notice. */
const UNFIT_IDENTITY = 'unfit_identity';
