import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import { prepareDecoding, type RecordDecoder } from '../formats/recordDecoder.js';
import { ofRegistry } from './registryErrors.js';
import { REJECTION_CODES, type Rejection } from '../protocol/ack.js';
import type { RecordSource, SourcedRecord } from '../protocol/record.js';
import { hasManyRows } from '../protocol/settings.js';
import { buildRows, countRows, type BatchRow, type BatchRows } from './batchRows.js';
import { NO_SUCH_COLUMN_IN_TABLE } from './errorCodes.js';
import {
  changeColumnsFault,
  identityFaults,
  mergeFault,
  misfitOf,
  missingColumns,
  ROW_COLUMN,
  rowColumnFault,
  unfitColumns,
} from './identityColumns.js';
import { namedColumns } from './namedColumns.js';
import { InsertError } from './insertErrors.js';
import { FoundRows } from './foundRows.js';
import { Insertion } from './insertion.js';
import type { BatchInsertOptions } from './insertOptions.js';
import type { RowRefusal } from './refusals.js';
import type { TableColumns } from './tableColumns.js';
import { columnsIfAny } from './knownColumns.js';
import type { NewFields } from './evolve/newFields.js';
import { newFieldsOf, placeNewFields } from './evolve/placeNewFields.js';
import { SentSets } from './sentSets.js';
import { COLUMNS_CHANGED, NotSent } from './tokenSender.js';
import type { MissedByViews } from './viewRepair.js';

export interface BatchInsertResult {
  readonly inserted: readonly SourcedRecord[];
  readonly rejected: readonly RejectedRecord[];
  /** Rows that were in the table already, from an earlier attempt. */
  readonly found: number;
  /** Rows of the inserted records. */
  readonly rows: number;
  /** Rows in the table that its materialized views lack, or may lack. Null if there are none. */
  readonly missedByViews: MissedByViews | null;
}

/**
 * Inserts the records of a batch into a table, each once. Records that cannot become rows, or that ClickHouse refuses,
 * are returned. The others are inserted.
 *
 * Two things prevent doubles: the deduplication token, which is a hash of exactly the rows sent; and a look-up of the
 * identities in the table, whenever an earlier insert may have left rows. The look-up needs the identity columns. See
 * `docs/internals/flush.md`.
 *
 * @throws InsertError if the batch has to be held. Then nothing is proved against any record
 */
export async function insertRecords(
  records: readonly SourcedRecord[],
  options: BatchInsertOptions,
): Promise<BatchInsertResult> {
  const sent = new SentSets(options, records);
  const batch = { records, decoder: await decodingOf(records, options) };
  try {
    return await insertOnce(batch, options, sent);
  } catch (error) {
    // Whatever the error, the table may have been altered since its columns were read.
    options.tables.forget(options.table);
    // Then this has to go well the second time. If it does not, a person has to see it.
    if (!(error instanceof InsertError && SAYS_ALTERED.has(error.code))) throw error;
    return insertOnce(batch, { ...options, repeated: true }, sent);
  }
}

/** Codes of errors that say that the table was altered. */
const SAYS_ALTERED: ReadonlySet<string> = new Set([NO_SUCH_COLUMN_IN_TABLE, COLUMNS_CHANGED]);

/** Records, and what makes the decoder of their values and keys. Undefined if they need none. */
interface DecodableBatch {
  readonly records: readonly SourcedRecord[];
  readonly decoder: (() => RecordDecoder) | undefined;
}

async function insertOnce(
  batch: DecodableBatch,
  options: BatchInsertOptions,
  sent: SentSets,
): Promise<BatchInsertResult> {
  const { tableColumns, ...batchRows } = await rowsByLatestColumns(batch, options);
  const { rows, rejected } = batchRows;
  const insertion = new Insertion(options, tableColumns, batchRows, sent);
  const refused = await insertion.insert().catch((error: unknown) => {
    throw error instanceof NotSent ? error.reason : error;
  });
  insertion.release();
  const ignored = batchRows.ignored.counts();
  if (ignored.size > 0) options.onIgnored?.(ignored);
  const refusedRows = new Set(refused.map(({ item }) => item));
  const { found } = insertion;
  const inserted = rows.filter((row) => !refusedRows.has(row));
  const late = found.among(rejected);
  return {
    inserted: [...inserted, ...late],
    rejected: [
      ...found.missing(rejected).map((row) => withPart(row, row.rejection, found)),
      ...refused.map(({ item, reason }) => withPart(item, refusedBecause(item, reason), found)),
    ],
    found: found.rowCount,
    rows: countRows(inserted) + late.length,
    missedByViews: insertion.missedByViews,
  };
}

function refusedBecause({ numbers }: BatchRow, { error, number }: RowRefusal): Rejection {
  const { message } = error;
  if (numbers === undefined) return { code: REJECTION_CODES.refused, message };
  const which = number === undefined ? 'one of its rows' : `row ${number}`;
  return { code: REJECTION_CODES.refused, message: `${which}: ${message}` };
}

/** A rejected record. Says so if the table has some of its rows, since an insert of several blocks may end in the middle. */
function withPart(row: BatchRow, rejection: Rejection, found: FoundRows): RejectedRecord {
  const { source, record, numbers = [] } = row;
  const part = found.partOf(row)?.size;
  if (part === undefined) return { source, record, rejection };
  const { code, message } = rejection;
  return {
    source,
    record,
    rejection: { code, message: `${message}; ${part} of its ${numbers.length} rows are in the table` },
  };
}

/** Rejections that depend on the table's columns. */
const BLAMES_COLUMNS: Readonly<Record<string, true>> = {
  [REJECTION_CODES.unknownField]: true,
  [REJECTION_CODES.outOfRange]: true,
};

type RowsOfTable = BatchRows & {
  readonly tableColumns: TableColumns;
  /** Fields without a column. Undefined if they get none. */
  readonly newFields: NewFields | undefined;
};

/**
 * Makes rows. If columns are the reason for a rejection, they are read again first, because the table may have been
 * altered. If the pipeline's tables get columns for new fields, they have them afterwards, before anything is sent.
 */
async function rowsByLatestColumns(batch: DecodableBatch, options: BatchInsertOptions): Promise<RowsOfTable> {
  let made = await rowsByKnownColumns(batch, options);
  for (let round = 0; round < EVOLVED_ROUNDS_MAX && made.newFields !== undefined; round++) {
    if (!(await placeNewFields(batch.records, made.tableColumns, made.newFields, options))) break;
    made.lines.release();
    made = await rowsByKnownColumns(batch, options);
  }
  if (!made.rejected.some(({ rejection }) => rejection.code in BLAMES_COLUMNS)) return made;
  options.tables.forget(options.table);
  made.lines.release();
  return rowsByKnownColumns(batch, options);
}

/** So often are rows made again because their table has new columns. Each time it may get a hundred. */
const EVOLVED_ROUNDS_MAX = 12;

async function rowsByKnownColumns(
  { records, decoder }: DecodableBatch,
  options: BatchInsertOptions,
): Promise<RowsOfTable> {
  const tableColumns = await options.tables.columns(options.table);
  mustHaveColumns(tableColumns, options);
  mustHoldIdentities(tableColumns, records, options);
  const newFields = newFieldsOf(tableColumns, options);
  const rows = await buildRows(records, tableColumns, { ...options, decoder, newFields });
  return { tableColumns, newFields, ...rows };
}

/**
 * Prepares the decoding of the values and keys of a batch, see {@link prepareDecoding}.
 *
 * @throws InsertError if the registry has to be asked and does not answer
 */
export async function decodingOf(
  records: readonly SourcedRecord[],
  { mapping, decoders }: Pick<BatchInsertOptions, 'mapping' | 'decoders'>,
): ReturnType<typeof prepareDecoding> {
  try {
    return await prepareDecoding(records, mapping, decoders);
  } catch (error) {
    throw ofRegistry(error);
  }
}

/**
 * The largest record of a batch that is given up that is still judged. The batch may be held because a record takes too
 * long to judge, and giving it up must always succeed.
 */
const GIVEN_UP_JUDGED_BYTES_MAX = 64 * 1024;

/**
 * Gives the records of a batch up. Those in the table count as inserted, all others are rejected. Nothing more is
 * inserted. Records that cannot become rows are rejected for that reason, as before, if they are not large. In a table
 * without identity columns nothing can be found. A table that does not exist, or that this user may not see, has nothing.
 * Views are left as they are.
 *
 * @param rejection for records that are not in the table
 * @throws InsertError if the table cannot be asked, or an earlier insert may still be running. Then nothing is decided
 */
export async function giveUpRecords(
  records: readonly SourcedRecord[],
  options: BatchInsertOptions,
  rejection: Rejection,
): Promise<BatchInsertResult> {
  const { tables, table, mapping } = options;
  // The table may have been altered, and its columns decide on verdicts.
  tables.forget(table);
  const tableColumns = await columnsIfAny(tables, table);
  // Giving up must always succeed, whatever is wrong with the schemas. Without them no value is judged.
  const decoder = await decodingOf(records, options).catch(() => null);
  const { key: _, ...withoutKey } = mapping;
  const judged = decoder === null ? withoutKey : mapping;
  const batchRows = await buildRows(records, tableColumns ?? new Map(), {
    ...options,
    decoder: decoder === null || decoder === undefined ? undefined : () => orElse(decoder(), rejection),
    // Without a table no field has a column. That is not the records' fault.
    mapping: tableColumns === null ? { ...judged, unknownFields: 'ignore' } : judged,
    judgedBytesMax: decoder === null ? 0 : GIVEN_UP_JUDGED_BYTES_MAX,
  });
  const { rows, rejected } = batchRows;
  const repeated = { ...options, repeated: true };
  const found = new FoundRows(repeated, tableColumns ?? new Map());
  batchRows.lines.release();
  // Nothing is sent, so a batch can be given up also while a replica is away for good.
  await found.lookUp([], [...rows, ...rejected]);
  return {
    inserted: [...rows.filter((row) => found.has(row)), ...found.among(rejected)],
    rejected: [
      ...found.missing(rejected).map((row) => withPart(row, row.rejection, found)),
      ...found.missing(rows).map((row) => withPart(row, rejection, found)),
    ],
    found: found.rowCount,
    rows: found.rowCount,
    missedByViews: tableColumns?.hasViews === true ? missedIfGivenUp(found, new SentSets(repeated, records)) : null,
  };
}

/** A decoder that never fails. If it would, the record is rejected for another reason. */
function orElse(decode: RecordDecoder, rejection: Rejection): RecordDecoder {
  return (source, record) => {
    try {
      return decode(source, record);
    } catch {
      // The batch is given up because of such errors, too, and the log has them from its attempts.
      return rejection;
    }
  };
}

function missedIfGivenUp(found: FoundRows, sent: SentSets): MissedByViews | null {
  const rows = sent.mayBeMissed([...found.all()]);
  const why = 'a batch is given up that views refuse, or of which it is not known what was answered';
  return rows === 0 ? null : { rows, why };
}

function mustHaveColumns(tableColumns: TableColumns, { table, columns, mapping }: BatchInsertOptions): void {
  const { format } = mapping;
  const fault = hasManyRows(format) ? rowColumnFault(tableColumns) : undefined;
  if (fault !== undefined)
    throw new InsertError('structural', {
      code: tableColumns.has(ROW_COLUMN) ? UNFIT_IDENTITY : NO_SUCH_COLUMN_IN_TABLE,
      message: `table ${table} ${fault}: \`ktb check\` says how to alter it`,
    });
  const merges = hasManyRows(format) ? mergeFault(tableColumns) : undefined;
  if (merges !== undefined)
    throw new InsertError('structural', {
      code: UNFIT_IDENTITY,
      message: `table ${table} ${merges}: \`ktb check\` says what to do`,
    });
  const changeFault = mapping.envelope === undefined ? undefined : changeColumnsFault(tableColumns);
  if (changeFault !== undefined)
    throw new InsertError('structural', {
      code: NO_SUCH_COLUMN_IN_TABLE,
      message: `table ${table} ${changeFault}: \`ktb check\` says how to alter it`,
    });
  const [missing] = missingColumns(tableColumns, namedColumns({ columns, mapping }));
  if (missing === undefined) return;
  const named = Object.hasOwn(columns, missing) ? 'columns name' : 'unknownFields names';
  const message = `table ${table} has no column ${missing}, which the pipeline's ${named}: add it, or take it out there`;
  throw new InsertError('structural', { code: NO_SUCH_COLUMN_IN_TABLE, message });
}

/**
 * Checks that the identity columns can hold the batch's identities. A number that does not fit would silently become
 * another record's identity, and its row would be taken for that record's.
 */
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

/** The error code for this. ClickHouse itself would not notice. */
const UNFIT_IDENTITY = 'unfit_identity';
