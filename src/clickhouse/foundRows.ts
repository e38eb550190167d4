import { groupBy } from '../lib/groupBy.js';
import type { SourcedRecord } from '../protocol/record.js';
import type { BatchRow } from './batchRows.js';
import { canLookUp } from './identityColumns.js';
import { inParts } from './inParts.js';
import { InsertError } from './insertErrors.js';
import type { BatchInsertOptions } from './insertOptions.js';
import type { TableColumns } from './tableColumns.js';
import { recordName } from './lookUps.js';

/**
 * The rows of a batch that are in the table already, as far as they were looked up. It begins empty and grows with each
 * {@link lookUp}. A table without identity columns cannot be asked, so nothing is found there.
 */
export class FoundRows {
  /** Whether the table can be asked. */
  readonly canLookUp: boolean;
  readonly #options: BatchInsertOptions;
  readonly #tableColumns: TableColumns;
  readonly #found = new Set<BatchRow>();
  /** An insert of this batch may still be running. */
  #mayBeRunning: boolean;

  constructor(options: BatchInsertOptions, tableColumns: TableColumns) {
    this.#options = options;
    this.#tableColumns = tableColumns;
    this.canLookUp = canLookUp(tableColumns);
    this.#mayBeRunning = options.repeated;
  }

  get size(): number {
    return this.#found.size;
  }

  has(row: BatchRow): boolean {
    return this.#found.has(row);
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
   * @throws InsertError if one may be running, or the table cannot be asked
   */
  async lookUp(rows: readonly BatchRow[]): Promise<void> {
    if (!this.canLookUp) return;
    if (this.#mayBeRunning) {
      await this.#mustNotBeRunning();
      this.#mayBeRunning = false;
    }
    for (let asked = rows; asked.length > 0;) {
      const present = await rowsInTable(this.#options, this.#tableColumns, asked);
      if (present.length === 0) return;
      for (const row of present) this.#found.add(row);
      asked = this.missing(asked);
    }
  }

  /**
   * Which of these rows the table lacks although their insert was answered with success. Those that it has do not count
   * as found.
   *
   * @throws InsertError as {@link lookUp}
   */
  async lost(rows: readonly BatchRow[]): Promise<readonly BatchRow[]> {
    // An insert that knows the token may have come meanwhile, and its rows come at its end.
    await this.#mustNotBeRunning();
    const there = new Set(await rowsInTable(this.#options, this.#tableColumns, rows));
    return rows.filter((row) => !there.has(row));
  }

  async #mustNotBeRunning(): Promise<void> {
    const { tables, batch } = this.#options;
    if (await tables.isInserting(batch)) throw stillInserting();
  }
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
  const present: BatchRow[] = [];
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
      if (isFilled) {
        const found = await tables.foundRecords(table, tableColumns, source, asked);
        return part.filter(({ record }) => found.has(recordName(record)));
      }
      const found = await tables.foundOffsets(table, source, asked);
      return part.filter(({ record }) => found.has(record.offset));
    });
    for await (const part of parts) for (const row of part) present.push(row);
  }
  return present;
}
