import { createHash } from 'node:crypto';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { REJECTION_CODES, type Rejection } from '../protocol/ack.js';
import { sourceName, type KafkaRecord, type RecordSource } from '../protocol/record.js';
import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import { DEFAULT_MAPPING, type Mapping } from '../protocol/settings.js';
import { rowSet, rowsOf, type InsertNotes, type RowSet } from '../protocol/attemptNotes.js';
import { columnsIfAny, recordName, type ClickHouseTables } from './tables.js';
import { canLookUp, identityFaults, misfitOf, unfitColumns } from './identityColumns.js';
import { InsertError } from './insertErrors.js';
import { RowBlocks } from './rowBlocks.js';
import { createRowBuilder, type TableColumns } from './rows.js';
import { findRefused, type Refused } from './search.js';

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
  readonly inserted: readonly SourcedRecord[];
  readonly rejected: readonly RejectedRecord[];
  /** Rows that were in the table already, from an earlier attempt. */
  readonly found: number;
  /** Rows that are in the table and that materialized views of it lack, or may lack; null where there are none. */
  readonly missedByViews: MissedByViews | null;
}

export interface MissedByViews {
  readonly rows: number;
  /** What a view refuses them for; what is known otherwise. */
  readonly why: string;
}

/**
 * What earlier attempts have noted about their inserts into a table, and where this one does. The attempts of one
 * activity, with nobody else.
 */
export interface InsertJournal {
  /** Whether nobody but this activity can have inserted these records. */
  readonly complete: boolean;
  readonly notes: InsertNotes | undefined;
  /** How long ago the first attempt began, at most, in milliseconds. */
  ageMs(): number;
  /** Resolves when the notes outlive this process. Rejects where they may not. */
  save(notes: InsertNotes): Promise<void>;
}

/** What a rewind fills. */
export interface Fill {
  readonly sources: ReadonlySet<RecordSource>;
  /**
   * Names this batch among all that have the same records: rows that were deleted from the table would otherwise be taken
   * for inserted by the token that once brought them.
   */
  readonly salt: string;
}

export interface BatchInsertOptions {
  readonly tables: Pick<
    ClickHouseTables,
    | 'columns'
    | 'forget'
    | 'insert'
    | 'foundOffsets'
    | 'foundRecords'
    | 'probe'
    | 'isInserting'
    | 'lastInsertAtMs'
    | 'insertBytesMax'
    | 'wasTooLarge'
    | 'hasViews'
    | 'knowsTokens'
  >;
  readonly table: string;
  readonly columns: Readonly<Record<string, string>>;
  /** Default: {@link DEFAULT_MAPPING}. */
  readonly mapping?: Mapping;
  /** Id of the batch. */
  readonly batch: string;
  /** True where an insert of these records may have happened before: what is there is looked up first. */
  readonly repeated: boolean;
  /**
   * Where a rewind fills holes. What is there of these sources is looked up first, whatever its epoch, and a record may come
   * more than once.
   */
  readonly fill?: Fill;
  /** True where attempts have failed for so long that it may be a row's fault, whatever the error says. */
  readonly overdue: boolean;
  /** Called right before each effect; throws where this attempt may have none any more. */
  readonly mustBeAlive: () => void;
  readonly onInsert?: (outcome: 'ok' | 'failed', rows: number) => void;
  /** An insert of so many rows is over a limit, and is divided. */
  readonly onTooLarge?: (error: InsertError, rows: number) => void;
  /** Default: nothing is known of earlier attempts, and nothing is noted. */
  readonly journal?: InsertJournal;
  /** Whether the batch is held while a view refuses rows that are in the table. Default: `best-effort`, it is not. */
  readonly views?: 'required' | 'best-effort';
  /** Waits, in milliseconds. Default: a timer. */
  readonly pause?: (delayMs: number) => Promise<unknown>;
}

/**
 * Inserts the records of a batch, each once. A record that cannot become a row, or that ClickHouse refuses, is given
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

/** Rejections that another table, or the same one altered, would not have. */
const BLAMES_COLUMNS: Readonly<Record<string, true>> = {
  [REJECTION_CODES.unknownField]: true,
  [REJECTION_CODES.outOfRange]: true,
};

/** @param fresh the table's columns are read anew */
async function insertOnce(
  records: readonly SourcedRecord[],
  options: BatchInsertOptions,
  fresh = false,
): Promise<BatchInsertResult> {
  const tableColumns = await options.tables.columns(options.table);
  mustHaveColumns(tableColumns, options);
  mustHoldIdentities(tableColumns, records, options);
  const { rows, lines, rejected } = await buildRows(
    options.fill === undefined ? records : withoutRepetitions(records, options.fill),
    tableColumns,
    options,
  );
  // The table's columns are the reason. They may have been altered since they were read; then the attempt begins anew.
  if (!fresh && rejected.some(({ rejection }) => rejection.code in BLAMES_COLUMNS)) {
    options.tables.forget(options.table);
    return insertOnce(records, options, true);
  }

  const insertion = new Insertion(options, tableColumns, lines, rows);
  const refused = await insertion.insert();
  const refusedRows = new Set(refused.map(({ item }) => item));
  const mayBeThere = options.repeated || options.fill !== undefined;
  const { there, others } = mayBeThere ? await insertion.divideRejected(rejected) : { there: [], others: rejected };
  return {
    inserted: [...rows.filter((row) => !refusedRows.has(row)), ...there],
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
  const { tables, table, fill, mapping = DEFAULT_MAPPING } = options;
  // It may have been altered since, and its columns decide on verdicts.
  tables.forget(table);
  const tableColumns = await columnsIfAny(tables, table);
  const { rows, lines, rejected } = await buildRows(
    fill === undefined ? records : withoutRepetitions(records, fill),
    tableColumns ?? new Map(),
    // Without a table no field has a column: that is not the records' fault.
    tableColumns === null ? { ...options, mapping: { ...mapping, unknownFields: 'ignore' } } : options,
  );
  const insertion = new Insertion({ ...options, repeated: true }, tableColumns ?? new Map(), lines, rows);
  await insertion.lookUp(rows);
  const { found } = insertion;
  const givenUp = rows.filter((row) => !found.has(row));
  const { there, others } = await insertion.divideRejected(rejected);
  return {
    inserted: [...rows.filter((row) => found.has(row)), ...there],
    rejected: [...others, ...givenUp.map(({ source, record }) => ({ source, record, rejection }))],
    found: found.size,
    missedByViews: null,
  };
}

function withoutRepetitions(records: readonly SourcedRecord[], { sources }: Fill): SourcedRecord[] {
  const seen = new Map<RecordSource, Set<number>>();
  return records.filter(({ source, record: { offset } }) => {
    if (!sources.has(source)) return true;
    const offsets = seen.get(source) ?? new Set();
    seen.set(source, offsets);
    return offsets.size < offsets.add(offset).size;
  });
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

/** Rows are made for so long before others have their turn. */
const YIELD_AFTER_MS = 20;

async function buildRows(
  records: readonly SourcedRecord[],
  tableColumns: TableColumns,
  { columns, mapping }: BatchInsertOptions,
): Promise<{ rows: BatchRow[]; lines: RowBlocks; rejected: RejectedRecord[] }> {
  const buildRow = createRowBuilder(tableColumns, columns, mapping);
  const rows: BatchRow[] = [];
  const lines = new RowBlocks();
  const rejected: RejectedRecord[] = [];
  let yieldedAt = performance.now();
  for (const { source, record } of records) {
    const row = buildRow(source, record);
    if (typeof row === 'string') {
      rows.push({ source, record, row: lines.length });
      lines.add(row);
    } else {
      rejected.push({ source, record, rejection: row });
    }
    // A large batch must not keep heartbeats and other batches waiting, whether it is one of many rows or of large ones.
    if (performance.now() - yieldedAt >= YIELD_AFTER_MS) {
      await setImmediate();
      yieldedAt = performance.now();
    }
  }
  return { rows, lines, rejected };
}

/** In place of a row's number. */
const NO_ROW = -1;

const NO_JOURNAL: InsertJournal = {
  complete: false,
  notes: undefined,
  ageMs: () => 0,
  save: () => Promise.resolve(),
};

interface RowRefusal {
  readonly error: InsertError;
  readonly suspect: number | undefined;
  readonly doubtful: boolean;
}
type RefusedRow = Refused<BatchRow, RowRefusal>;

/** A row that is refused for a reason that does not blame the data is tried again after each of these pauses. */
const CONFIRM_AFTER_MS = [1_000, 5_000];
/** More such refusals in a row than this are not the rows' fault, unless another batch goes in meanwhile. */
const DOUBTFUL_MAX = 100;
const AWAIT_OTHERS_MS = 5_000;
/** A table that takes one of them after all, again and again, is ill. */
const CONFIRM_ROUNDS_MAX = 10;

/**
 * The inserts of one attempt at a batch.
 *
 * What a failed insert means:
 *
 * - An error that blames the data starts a search: the row that is refused alone is rejected.
 * - An insert that is over a limit is divided by halves.
 * - A transient error that is not overdue ends the attempt; the batch is held.
 * - A structural or an unknown error, or a transient one that is overdue, starts a search if a probe, an insert without
 *   rows, shows that the table can be written. It shows no more: on a full disk it succeeds. A row is rejected only if one row
 *   can be the reason of the error, if it is refused alone again and again, and if the table has taken other rows since this
 *   attempt was refused first. Otherwise the batch is held: an ill ClickHouse must not send good rows to the dead-letter
 *   topic. More than {@link DOUBTFUL_MAX} rows are rejected for it only where the error can come from a value, and other rows, of
 *   this batch or another one, went in between.
 *
 * Materialized views: one that fails leaves the rows in the table, and is left without them. So rows that are found after
 * an error are no proof. The same rows are sent again under the same token: the table and the views that have them drop
 * them, the others take them. That needs to be the very same set, and every token to be known still. So each set is noted for
 * the attempts to come before it is sent, and nothing is sent again that is not noted: version 0.1.0 noted nothing, and may have
 * sent any set.
 */
class Insertion {
  /** Rows that were in the table already. */
  readonly found = new Set<BatchRow>();
  readonly #options: BatchInsertOptions;
  readonly #tableColumns: TableColumns;
  readonly #lines: RowBlocks;
  readonly #rows: readonly BatchRow[];
  readonly #journal: InsertJournal;
  readonly #canLookUp: boolean;
  /** An insert of this batch may have been begun of which nobody knows whether it still runs. */
  #mayBeRunning: boolean;
  #doubtfulInARow = 0;
  #doubtfulSinceMs = 0;
  /** When this attempt was refused first for a reason that does not blame the data. */
  #refusedSinceMs: number | undefined;
  /** Likewise, for a limit: what a limit refused says nothing about the table. */
  #tooLargeSinceMs: number | undefined;
  #knownViews: boolean | undefined;
  /** By token. */
  readonly #unsettled = new Map<string, RowSet>();
  #incomplete = false;
  #missed = 0;
  #missedWhy = 'what an earlier run of the batcher was answered is not known';

  constructor(options: BatchInsertOptions, tableColumns: TableColumns, lines: RowBlocks, rows: readonly BatchRow[]) {
    this.#options = options;
    this.#tableColumns = tableColumns;
    this.#lines = lines;
    this.#rows = rows;
    this.#journal = options.journal ?? NO_JOURNAL;
    this.#canLookUp = canLookUp(tableColumns);
    this.#mayBeRunning = options.repeated;
  }

  get missedByViews(): MissedByViews | null {
    return this.#missed === 0 ? null : { rows: this.#missed, why: this.#missedWhy };
  }

  /** @returns the rows that are to be rejected; all others are in the table */
  async insert(): Promise<RefusedRow[]> {
    const { repeated, fill, overdue } = this.#options;
    if (repeated || fill !== undefined) await this.lookUp(this.#rows);
    if (repeated && this.found.size > 0) await this.#settleEarlier();
    const missing = this.#missing(this.#rows);
    const refused = await findRefused(missing, (part) => this.#tryInsert(part), this.#divide(missing));
    // Alone it is still too large: it may pass with more memory, and what came with it is in the table by now.
    const tooLarge = refused.find(({ reason }) => reason.error.kind === 'oversized');
    if (tooLarge !== undefined && !overdue) throw tooLarge.reason.error;
    const doubtful = refused.filter(({ reason }) => reason.error.kind !== 'data');
    const certain = refused.filter(({ reason }) => reason.error.kind === 'data');
    const verdicts = [...certain, ...(await this.#confirm(doubtful))];
    // A row that is there is inserted, even where the last word about it was an error.
    if (verdicts.length > 0) await this.lookUp(verdicts.map(({ item }) => item));
    await this.#noteSettled();
    return verdicts.filter(({ item }) => !this.found.has(item));
  }

  /** Where inserts of this table were too large of late, in parts that are small enough by the time they are asked for. */
  *#divide(rows: readonly BatchRow[]): Generator<readonly BatchRow[]> {
    for (let first = 0, next = 0; first < rows.length; first = next) {
      const bytesMax = this.#options.tables.insertBytesMax(this.#options.table);
      next = bytesMax === Infinity ? rows.length : first;
      for (let bytes = 0; next < rows.length; next++) {
        bytes += this.#lines.bytesOf((rows[next] as BatchRow).row);
        if (bytes > bytesMax && next > first) break;
      }
      yield next - first === rows.length ? rows : rows.slice(first, next);
    }
  }

  async #tryInsert(part: readonly BatchRow[]): Promise<RowRefusal | null> {
    const rows = this.#missing(part);
    if (rows.length === 0) return null;
    try {
      await this.#noteSending(rows);
      await this.#send(rows);
      this.#doubtfulInARow = 0;
      return null;
    } catch (error) {
      if (!(error instanceof InsertError)) throw error;
      this.#mayBeRunning ||= !error.answered;
      if (await this.#isOfViews(rows, error)) {
        await this.#sendAgain(rows, error);
        return null;
      }
      await this.#mustBeWorthASearch(rows, error);
      // It may have left rows behind, whatever its error says. A single row's turn comes at the end.
      if (rows.length > 1 || !error.answered) await this.lookUp(rows);
      const suspect = error.suspect === undefined ? undefined : rows[error.suspect];
      return {
        error,
        suspect: suspect === undefined ? undefined : part.indexOf(suspect),
        doubtful: error.kind !== 'data' && (error.kind !== 'oversized' || rows.length === 1),
      };
    }
  }

  /** @param ignoreViews see {@link RowsToInsert} */
  async #send(rows: readonly BatchRow[], ignoreViews = false): Promise<void> {
    const { tables, table, batch, mustBeAlive, onInsert } = this.#options;
    mustBeAlive();
    const token = this.#tokenOf(rows);
    try {
      const lines = this.#lines.lines(rows.map(({ row }) => row));
      const views = ignoreViews ? { ignoreViews } : {};
      await tables.insert(table, { columns: this.#tableColumns, lines, token, batch, ...views });
    } catch (error) {
      onInsert?.('failed', rows.length);
      throw error;
    }
    onInsert?.('ok', rows.length);
    // A view may lack them still.
    if (!ignoreViews) this.#unsettled.delete(token);
  }

  #tokenOf(rows: readonly BatchRow[]): string {
    return identityToken(rows, this.#options.fill?.salt);
  }

  /**
   * Before anything is sent to a table with views: otherwise the next attempt, on another worker, could not tell which set has
   * brought the rows that it finds. Whether there are any is not asked anew for the sake of the whole batch.
   */
  async #noteSending(rows: readonly BatchRow[]): Promise<void> {
    const isWhole = rows.length === this.#rows.length && this.#options.fill === undefined;
    const { hasViews } = this.#tableColumns;
    if (!this.#canLookUp || (isWhole && hasViews === false)) return;
    if (hasViews === true || (await this.#hasViews())) await this.#note(rows);
  }

  async #note(rows: readonly BatchRow[]): Promise<void> {
    const set = rowSet(rows.map(({ row }) => row));
    if (set === null) this.#incomplete = true;
    else this.#unsettled.set(this.#tokenOf(rows), set);
    await this.#save();
  }

  /** All that was sent has been answered: a later attempt, for another reason, must not take it for unsettled. */
  async #noteSettled(): Promise<void> {
    if ((this.#journal.notes?.unsettled.length ?? 0) === 0 || this.#unsettled.size > 0) return;
    // Not noted, it is sent again, or said to be lacking.
    await this.#save().catch(() => undefined);
  }

  async #save(forgotten = this.#isForgotten): Promise<void> {
    await this.#journal.save({
      whole: this.#tokenOf(this.#rows),
      unsettled: [...this.#unsettled.values()],
      ...(this.#incomplete ? { incomplete: true } : {}),
      ...(forgotten ? { forgotten } : {}),
    });
  }

  get #isForgotten(): boolean {
    return this.#journal.notes?.forgotten === true;
  }

  async #hasViews(): Promise<boolean> {
    const { tables, table } = this.#options;
    return (this.#knownViews ??= await tables.hasViews(table));
  }

  /** Whether an error, which ClickHouse has answered with, is a view's: the table has taken all rows. */
  async #isOfViews(rows: readonly BatchRow[], error: InsertError): Promise<boolean> {
    const mayPass = error.kind === 'transient' && !this.#options.overdue;
    if (!error.isOfClickHouse || mayPass || !this.#canLookUp || !(await this.#hasViews())) return false;
    await this.lookUp(rows);
    const left = this.#missing(rows).length;
    if (left === 0) {
      // The view is new.
      if (!this.#unsettled.has(this.#tokenOf(rows))) await this.#note(rows);
      return true;
    }
    if (left === rows.length) this.#unsettled.delete(this.#tokenOf(rows));
    else this.#miss(rows.length - left, error.message);
    return false;
  }

  /** Sends again what earlier attempts have left in the table, if views may lack it. */
  async #settleEarlier(): Promise<void> {
    const { fill } = this.#options;
    const { notes, complete } = this.#journal;
    if (!(await this.#hasViews())) return;
    const partial = new Set<BatchRow>();
    let unsettled = new Set([...this.found].filter(({ source }) => fill?.sources.has(source) !== true));
    const isSame = notes?.whole === this.#tokenOf(this.#rows);
    this.#incomplete = !isSame || notes.incomplete === true;
    const noted = isSame ? notes.unsettled.map((set) => rowsOf(set).flatMap((row) => this.#rows[row] ?? [])) : [];
    // What is not there never arrived: lookUp has waited for whatever was running.
    const arrived = noted.filter((rows) => rows.some((row) => this.found.has(row)));
    for (const rows of arrived) this.#unsettled.set(this.#tokenOf(rows), rowSet(rows.map(({ row }) => row)) ?? []);
    for (const rows of arrived) {
      // Not all of it is there: what is missing is sent under a token of its own.
      if (this.#missing(rows).length > 0) {
        for (const row of rows) if (this.found.has(row)) partial.add(row);
        continue;
      }
      await this.#sendAgain(rows, undefined);
      for (const row of rows) unsettled.delete(row);
    }
    // Whatever else an earlier attempt sent was answered with success, or it would be in its notes.
    if (complete && !this.#incomplete) unsettled = partial;
    if (fill === undefined && unsettled.size > 0) this.#miss(unsettled.size, this.#missedWhy);
  }

  /**
   * The same rows under the same token: what has them drops them. `best-effort`: where a view goes on refusing them, the other
   * views get them, and the batch goes on.
   *
   * @param refusal what they were refused with; undefined where that is not known
   * @throws InsertError where the batch is to be held
   */
  async #sendAgain(rows: readonly BatchRow[], refusal: InsertError | undefined): Promise<void> {
    const { tables, table, views = 'best-effort', overdue } = this.#options;
    let error = refusal;
    const known = this.#isForgotten ? false : await tables.knowsTokens(table, this.#journal.ageMs());
    if (known === true) {
      try {
        await this.#send(rows);
        return;
      } catch (again) {
        if (!(again instanceof InsertError)) throw again;
        this.#mayBeRunning ||= !again.answered;
        if (!again.answered || (again.kind === 'transient' && !overdue)) throw again;
        error = again;
      }
      if (views === 'best-effort') await this.#sendToOtherViews(rows);
    } else if (views === 'required' && known === false) {
      await this.#save(true);
    }
    if (views === 'required') throw heldForViews(error);
    this.#miss(rows.length, error?.message ?? 'no answer came to an insert, and a second one could double rows');
  }

  async #sendToOtherViews(rows: readonly BatchRow[]): Promise<void> {
    try {
      await this.#send(rows, true);
    } catch (error) {
      if (!(error instanceof InsertError && error.answered)) throw error;
    }
  }

  #miss(rows: number, why: string): void {
    this.#missed += rows;
    this.#missedWhy = why;
  }

  async #mustBeWorthASearch(rows: readonly BatchRow[], error: InsertError): Promise<void> {
    const { tables, table, overdue, onTooLarge } = this.#options;
    if (error.kind === 'data') return;
    const isTooLarge = error.kind === 'oversized';
    if (error.kind === 'transient' && !overdue) throw error;
    if (isTooLarge) this.#tooLargeSinceMs ??= performance.now();
    else this.#refusedSinceMs ??= performance.now();
    // Without look-ups, what a search has inserted would be inserted again if it ends with the batch held. Too many
    // partitions never end so: a row has one.
    if (!this.#canLookUp && !(isTooLarge && error.code === TOO_MANY_PARTITIONS)) throw error;
    if (isTooLarge && rows.length > 1) {
      tables.wasTooLarge(
        table,
        rows.reduce((bytes, { row }) => bytes + this.#lines.bytesOf(row), 0),
        error.code === TOO_MANY_PARTITIONS || error.code === TOO_MUCH_MEMORY,
      );
      onTooLarge?.(error, rows.length);
      return;
    }
    if (this.#doubtfulInARow === 0) {
      if (!isTooLarge) await this.#mustBeWritable(error);
      this.#doubtfulSinceMs = performance.now();
    }
    if (++this.#doubtfulInARow <= DOUBTFUL_MAX) return;
    if (!error.mayBeOfValue || !(await this.#othersGoIn(this.#doubtfulSinceMs))) throw error;
    this.#doubtfulInARow = 0;
  }

  /** Whether rows went in since then. Those of another batch are awaited: the good ones of this one may be in the table already. */
  async #othersGoIn(sinceMs: number): Promise<boolean> {
    const { tables, table, pause = sleep } = this.#options;
    const wentIn = (): boolean => (tables.lastInsertAtMs(table) ?? -Infinity) > sinceMs;
    if (!wentIn()) await pause(AWAIT_OTHERS_MS);
    return wentIn();
  }

  async #mustBeWritable(error: InsertError): Promise<void> {
    try {
      await this.#options.tables.probe(this.#options.table, this.#tableColumns);
    } catch (probeError) {
      // The first error is the one to show; the probe's says why it is believed to be nobody's fault.
      throw probeError instanceof InsertError && probeError.kind === 'structural' ? probeError : error;
    }
  }

  /** @returns those that are refused still, while the table takes other rows */
  async #confirm(doubtful: readonly RefusedRow[]): Promise<readonly RefusedRow[]> {
    const { pause = sleep } = this.#options;
    let refused = doubtful;
    // The search ends where so many are refused in a row: other rows went in between these.
    const areMany = doubtful.length > DOUBTFUL_MAX;
    mustBeOfRows(doubtful, areMany);
    let round = 0;
    for (let rounds = 0; round < CONFIRM_AFTER_MS.length; rounds++) {
      if (refused[0] === undefined) return [];
      if (rounds === CONFIRM_ROUNDS_MAX) throw refused[0].reason.error;
      await pause(CONFIRM_AFTER_MS[round] as number);
      this.#doubtfulInARow = 0;
      // A failing view refuses with the row in the table: it must not be inserted once more.
      await this.lookUp(refused.map(({ item }) => item));
      const still: RefusedRow[] = [];
      for (const { item } of refused) {
        // All of these were refused before: one more says nothing about the table, which is probed anew instead.
        if (this.#doubtfulInARow === DOUBTFUL_MAX) this.#doubtfulInARow = 0;
        const reason = await this.#tryInsert([item]);
        if (reason !== null) still.push({ item, reason });
      }
      // One that goes in shows that refusals pass: the others have to prove themselves from the start.
      round = still.length === refused.length ? round + 1 : 0;
      refused = still;
    }
    const [first] = refused;
    if (first === undefined) return [];
    const { error } = first.reason;
    mustBeOfRows(refused, areMany);
    // Of a structural or a transient error nobody but other rows can say that it is not the table's.
    const isItsOwn = (error.kind === 'unknown' && !error.mayBeOfMachine) || error.kind === 'oversized';
    const mayBeAlone = this.#options.overdue && refused.length === 1 && isItsOwn;
    const sinceMs = error.kind === 'oversized' ? this.#tooLargeSinceMs : this.#refusedSinceMs;
    if (!areMany && !mayBeAlone && !(await this.#othersGoIn(sinceMs ?? Infinity))) throw error;
    await this.#mustBeWritable(error);
    return refused;
  }

  #missing(rows: readonly BatchRow[]): readonly BatchRow[] {
    return this.found.size === 0 ? rows : rows.filter((row) => !this.found.has(row));
  }

  /**
   * Records that cannot become rows, or not any more: the table may have been altered, or this version may be stricter than the one that
   * has inserted them.
   *
   * @returns those that are in the table all the same, and the others
   */
  async divideRejected(
    rejected: readonly RejectedRecord[],
  ): Promise<{ there: readonly SourcedRecord[]; others: readonly RejectedRecord[] }> {
    const rows = rejected.map(({ source, record }) => ({ source, record, row: NO_ROW }));
    if (rows.length > 0) await this.lookUp(rows);
    const isThere = rows.map((row) => this.found.has(row));
    return {
      there: rejected.filter((_, index) => isThere[index]),
      others: rejected.filter((_, index) => !isThere[index]),
    };
  }

  /** Which of these rows are in the table, once no insert that could still bring some is running. */
  async lookUp(rows: readonly BatchRow[]): Promise<void> {
    if (!this.#canLookUp) return;
    const { tables, batch } = this.#options;
    if (this.#mayBeRunning) {
      if (await tables.isInserting(batch)) throw stillInserting();
      this.#mayBeRunning = false;
    }
    for (const row of await rowsInTable(this.#options, this.#tableColumns, rows)) this.found.add(row);
  }
}

/** @throws InsertError where a row is refused for what it cannot be the reason of; where they are many, a value of it */
function mustBeOfRows(refused: readonly RefusedRow[], areMany: boolean): void {
  const ofTable = refused.find(({ reason: { error } }) => !(areMany ? error.mayBeOfValue : error.mayBeOfRow));
  if (ofTable !== undefined) throw ofTable.reason.error;
}

/** Code of ClickHouse's TOO_MANY_PARTS, which, of an insert that is too large, says that it has too many partitions. */
const TOO_MANY_PARTITIONS = '252';
/** Code of ClickHouse's MEMORY_LIMIT_EXCEEDED. */
const TOO_MUCH_MEMORY = '241';

function heldForViews(refusal: InsertError | undefined): InsertError {
  const why =
    refusal === undefined
      ? 'its views may lack rows that are in the table, which can only be sent again within the deduplication windows of all of them'
      : `a materialized view refuses rows that are in the table: ${refusal.message}`;
  return new InsertError('structural', {
    code: refusal?.code ?? 'views',
    message: `${why}. The batch waits, since insert.views is required: mend the view, or park the batch`,
    cause: refusal,
  });
}

function stillInserting(): InsertError {
  const message = 'an earlier insert of this batch, whose connection was lost, is still running';
  return new InsertError('transient', { code: 'still_inserting', message });
}

async function rowsInTable(
  { tables, table, fill }: BatchInsertOptions,
  tableColumns: TableColumns,
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
    const range = [min(offsets), max(offsets)] as const;
    if (fill?.sources.has(source) === true) {
      const found = await tables.foundRecords(table, tableColumns, source, ...range);
      present.push(...list.filter(({ record }) => found.has(recordName(record))));
    } else {
      const found = await tables.foundOffsets(table, source, ...range);
      present.push(...list.filter(({ record }) => found.has(record.offset)));
    }
  }
  return present;
}

/** The deduplication token: 128 bits of a hash of the identities of just these rows. */
export function identityToken(rows: readonly SourcedRecord[], salt = ''): string {
  const hash = createHash('sha256').update(salt);
  let source: RecordSource | undefined;
  for (const row of rows) {
    if (row.source !== source) {
      source = row.source;
      hash.update(`\n${sourceName(source)}:`);
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
