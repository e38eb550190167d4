import { groupBy } from '../lib/groupBy.js';
import type { SourcedRecord } from '../protocol/record.js';
import { hasManyRows } from '../protocol/settings.js';
import { countRows, type BatchRow, type Fill } from './batchRows.js';
import { canLookUp, rowColumnFault } from './identityColumns.js';
import { inParts } from './inParts.js';
import { InsertError } from './insertErrors.js';
import { NO_JOURNAL, type BatchInsertOptions } from './insertOptions.js';
import type { TableColumns } from './tableColumns.js';
import { recordName } from './lookUps.js';
import type { ClickHouseTables } from './tables.js';

/** How a table is asked for rows of a batch. */
export interface LookUpOptions extends Pick<
  BatchInsertOptions,
  'tables' | 'table' | 'batch' | 'repeated' | 'mapping' | 'journal' | 'mustBeAlive'
> {
  readonly fill?: Fill | undefined;
}

/**
 * The rows of a batch that are in the table already, as far as they were looked up. It begins empty and grows with each
 * {@link lookUp}. A table without identity columns cannot be asked, so nothing is found there.
 */
export class FoundRows {
  /** Whether the table can be asked. */
  readonly canLookUp: boolean;
  readonly #options: LookUpOptions;
  readonly #tableColumns: TableColumns;
  readonly #found = new Set<BatchRow>();
  /** Records of which the table has some rows and lacks others: the numbers of those that it has. */
  readonly #partly = new Map<BatchRow, ReadonlySet<number>>();
  /** An insert of this batch may still be running. */
  #mayBeRunning: boolean;

  constructor(options: LookUpOptions, tableColumns: TableColumns) {
    this.#options = options;
    this.#tableColumns = tableColumns;
    this.canLookUp =
      canLookUp(tableColumns) && (!hasManyRows(options.mapping.format) || rowColumnFault(tableColumns) === undefined);
    this.#mayBeRunning = options.repeated;
  }

  get size(): number {
    return this.#found.size;
  }

  /** How many rows were found, also of records of which others are missing. */
  get rowCount(): number {
    let count = countRows([...this.#found]);
    for (const numbers of this.#partly.values()) count += numbers.size;
    return count;
  }

  has(row: BatchRow): boolean {
    return this.#found.has(row);
  }

  /** The numbers of the rows that the table has of a record of which it lacks others. Undefined if there are none. */
  partOf(row: BatchRow): ReadonlySet<number> | undefined {
    return this.#partly.get(row);
  }

  /** Whether the table has some rows, and lacks others, of one of these records. */
  hasPartOf(rows: readonly BatchRow[]): boolean {
    return this.#partly.size > 0 && rows.some((row) => this.#partly.has(row));
  }

  /**
   * The lines to send, so that the table has all rows of these records.
   *
   * @param firstOf the first line of a record
   */
  linesOf(rows: readonly BatchRow[], firstOf: (row: BatchRow) => number): readonly number[] {
    const lines: number[] = [];
    for (const row of rows) {
      const { numbers } = row;
      const first = firstOf(row);
      if (numbers === undefined) {
        lines.push(first);
        continue;
      }
      const part = this.#partly.get(row);
      for (const [index, number] of numbers.entries()) if (part?.has(number) !== true) lines.push(first + index);
    }
    return lines;
  }

  /** The record that a line to send is of, and its number in it if that has many. Undefined if there is no such line. */
  rowAt(rows: readonly BatchRow[], line: number): { readonly row: BatchRow; readonly number?: number } | undefined {
    let left = line;
    for (const row of rows) {
      const part = this.#partly.get(row);
      const numbers = row.numbers?.filter((number) => part?.has(number) !== true);
      const length = numbers?.length ?? 1;
      const number = numbers?.[left];
      if (left < length) return number === undefined ? { row } : { row, number };
      left -= length;
    }
    return undefined;
  }

  /** The found rows, in the order in which they were found. */
  all(): Iterable<BatchRow> {
    return this.#found;
  }

  /** Their indexes among the records of the batch. */
  indexes(): ReadonlySet<number> {
    return new Set(Array.from(this.#found, ({ recordIndex }) => recordIndex));
  }

  /** The rows that were not found. */
  missing<Row extends BatchRow>(rows: readonly Row[]): readonly Row[] {
    return this.#found.size === 0 ? rows : rows.filter((row) => !this.#found.has(row));
  }

  /**
   * Those of the rejected records whose row is in the table. They are as good as inserted, so nothing of their rejection
   * is left: an answer of success names no code.
   */
  among(rejected: readonly BatchRow[]): readonly SourcedRecord[] {
    return rejected.filter((record) => this.#found.has(record)).map(({ source, record }) => ({ source, record }));
  }

  /** Notes that an insert has failed. If it had no answer, it may still be running. */
  failed({ answered }: InsertError): void {
    this.#mayBeRunning ||= !answered;
  }

  /**
   * Asks which of these rows are in the table. First it makes sure that no insert is running that could still bring
   * some.
   *
   * Each source is asked for by itself. If an earlier attempt, of which nobody knows any more, inserts the batch meanwhile,
   * only the sources asked for after it have rows. So what is missing is asked for again until nothing new is found.
   * Otherwise the rest would be sent as another set, whose token is not known.
   *
   * For the same reason, if only some are found, a replica that lags is waited for: it may have one partition of an insert
   * that another replica has taken, and get the others later. If none is found, their own token tells. Nothing is waited
   * for if nothing is left to send.
   *
   * @param unsent rows that are not sent, whatever is found
   * @throws InsertError if one may be running, or the table cannot be asked
   */
  async lookUp(rows: readonly BatchRow[], unsent: readonly BatchRow[] = []): Promise<void> {
    if (!this.canLookUp) return;
    if (this.#mayBeRunning) {
      await mustNotBeInserting(this.#options);
      this.#mayBeRunning = false;
    }
    const all = unsent.length === 0 ? rows : [...rows, ...unsent];
    await this.#ask(all);
    if (this.missing(rows).length === 0) return;
    const left = this.missing(all);
    const isPart = left.length < all.length || this.hasPartOf(left);
    const { tables, table, mustBeAlive } = this.#options;
    if (isPart && (await tables.caughtUp(table, { ageMs: this.#ageMs(), mustBeAlive }))) await this.#ask(left);
  }

  /** How old rows of the batch in the table may be. A rewind also finds those of other batches. */
  #ageMs(): number {
    const { journal = NO_JOURNAL, fill } = this.#options;
    return journal.onlyThisActivity && fill === undefined ? journal.ageMs() : Infinity;
  }

  async #ask(rows: readonly BatchRow[]): Promise<void> {
    for (let asked = rows; asked.length > 0;) {
      const present = await rowsInTable(this.#options, this.#tableColumns, asked);
      if (!this.#note(present)) return;
      asked = this.missing(asked);
    }
  }

  /** @returns whether more is found than before */
  #note({ whole, partly }: RowsInTable): boolean {
    let isMore = whole.length > 0;
    for (const row of whole) {
      this.#found.add(row);
      this.#partly.delete(row);
    }
    for (const [row, numbers] of partly) {
      if (numbers.size > (this.#partly.get(row)?.size ?? 0)) isMore = true;
      this.#partly.set(row, numbers);
    }
    return isMore;
  }

  /**
   * The rows that the table lacks although their insert was answered with success. A record of which it has a part is
   * among them, and the part is noted, so that only the rest is sent. Records that it has whole are not noted as found.
   *
   * @throws InsertError as {@link lookUp}
   */
  async lost(rows: readonly BatchRow[]): Promise<readonly BatchRow[]> {
    // An insert that knows the token may have come meanwhile, and its rows come at its end.
    await mustNotBeInserting(this.#options);
    const { whole, partly } = await rowsInTable(this.#options, this.#tableColumns, rows);
    const there = new Set(whole);
    for (const [row, numbers] of partly) this.#partly.set(row, numbers);
    return rows.filter((row) => !there.has(row));
  }
}

/** @throws InsertError if an insert of the batch is running, into whatever table, which could still bring rows */
export async function mustNotBeInserting({
  tables,
  batch,
}: Pick<BatchInsertOptions, 'batch'> & { readonly tables: Pick<ClickHouseTables, 'isInserting'> }): Promise<void> {
  if (!(await tables.isInserting(batch))) return;
  const message = 'an earlier insert of this batch, whose connection was lost, is still running';
  throw new InsertError('transient', { code: 'still_inserting', message });
}

/** Records of which the table has all rows, and those of which it has some. */
interface RowsInTable {
  readonly whole: readonly BatchRow[];
  readonly partly: ReadonlyMap<BatchRow, ReadonlySet<number>>;
}

async function rowsInTable(
  { tables, table, fill, mapping }: LookUpOptions,
  tableColumns: TableColumns,
  rows: readonly BatchRow[],
): Promise<RowsInTable> {
  const whole: BatchRow[] = [];
  const partly = new Map<BatchRow, ReadonlySet<number>>();
  const manyRows = hasManyRows(mapping.format);
  for (const [source, list] of groupBy(rows, (row) => row.source)) {
    const isFilled = fill?.sources.has(source) === true;
    list.sort((one, other) => one.record.offset - other.record.offset);
    // The range also holds rows of other batchers. So an answer can be over a limit that this batch alone would keep.
    const parts = inParts(list, async (part) => {
      const offsets = new Set(part.map(({ record }) => record.offset));
      const asked = {
        from: part[0]?.record.offset ?? 0,
        to: part.at(-1)?.record.offset ?? 0,
        isOwn: (offset: number): boolean => offsets.has(offset),
      };
      if (manyRows) {
        const found = isFilled
          ? await tables.foundRowNumbersOfRecords(table, tableColumns, source, asked)
          : await tables.foundRowNumbers(table, source, asked);
        return part.filter((row) => {
          const { record, numbers = [], unsure } = row;
          const there = new Set(found.get(isFilled ? recordName(record) : String(record.offset)));
          const present = numbers.filter((number) => there.has(number));
          const isWhole = numbers.every((number) => there.has(number) || unsure?.has(number) === true);
          if (present.length > 0 && !isWhole) partly.set(row, new Set(present));
          return present.length > 0 && isWhole;
        });
      }
      if (isFilled) {
        const found = await tables.foundRecords(table, tableColumns, source, asked);
        return part.filter(({ record }) => found.has(recordName(record)));
      }
      const found = await tables.foundOffsets(table, source, asked);
      return part.filter(({ record }) => found.has(record.offset));
    });
    for await (const part of parts) for (const row of part) whole.push(row);
  }
  return { whole, partly };
}
