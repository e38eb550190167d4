import { setTimeout as sleep } from 'node:timers/promises';
import { bytesOfRows, countRows, type BatchRow } from './batchRows.js';
import { TOO_MANY_PARTITIONS, TOO_MUCH_MEMORY } from './errorCodes.js';
import type { FoundRows } from './foundRows.js';
import { InsertError } from './insertErrors.js';
import type { BatchInsertOptions } from './insertOptions.js';
import type { RowBlocks } from './rowBlocks.js';
import type { TableColumns } from './tableColumns.js';
import type { Refusal, Refused } from './findRefused.js';

/** Why a set of rows was refused. */
export interface RowRefusal extends Required<Refusal> {
  readonly error: InsertError;
  /** The number of the row that ClickHouse names, if its record may hold many. It is a hint, not a proof. */
  readonly number?: number | undefined;
}

/** A row that was refused alone. */
export type RefusedRow = Refused<BatchRow, RowRefusal>;

/** A row that is refused for a doubtful reason is tried again after each of these pauses. */
const CONFIRM_AFTER_MS = [1_000, 5_000];
/**
 * If more rows than this are refused for doubtful reasons in a row, the rows are not the reason, unless another batch
 * goes in meanwhile.
 */
const DOUBTFUL_MAX = 100;
const AWAIT_OTHERS_MS = 5_000;
/** If a table takes one of them again in each of so many rounds, the table is broken. */
const CONFIRM_ROUNDS_MAX = 10;

/**
 * Judges the errors of one attempt's inserts: whether rows may be the reason, or the batch has to be held.
 *
 * - An error about the data starts a search if an insert without rows succeeds. The row that is refused alone is
 *   rejected.
 * - An insert over a limit is halved.
 * - A transient error that is not overdue ends the attempt. The batch is held.
 * - Any other error of which no row can be the reason, such as a full disk, ends the attempt, too.
 * - Doubtful errors (a structural one, an unknown one, or an overdue transient one) start a search if a probe, an
 *   insert without rows, shows that the table can be written. It shows no more: on a broken disk it succeeds, too. A row
 *   is rejected only if it is refused alone again and again, and if the table has taken other rows since this attempt was
 *   refused first. Otherwise the batch is held: a broken ClickHouse must not send good rows to the dead-letter topic. More
 *   than {@link DOUBTFUL_MAX} rows are rejected only if the error can come from a value, and other rows, of this batch or
 *   another one, went in between.
 */
export class Refusals {
  readonly #options: BatchInsertOptions;
  readonly #tableColumns: TableColumns;
  readonly #lines: RowBlocks;
  readonly #found: FoundRows;
  /** An insert without rows has succeeded after an error about the data. */
  #isWritable = false;
  #doubtfulInARow = 0;
  #doubtfulSinceMs = 0;
  /** When this attempt was first refused for a doubtful reason. */
  #refusedSinceMs: number | undefined;
  /** The same for a limit. A limit's refusal says nothing about the table. */
  #tooLargeSinceMs: number | undefined;

  constructor(options: BatchInsertOptions, tableColumns: TableColumns, lines: RowBlocks, found: FoundRows) {
    this.#options = options;
    this.#tableColumns = tableColumns;
    this.#lines = lines;
    this.#found = found;
  }

  /** Notes that rows went in. */
  taken(): void {
    this.#doubtfulInARow = 0;
    this.#isWritable = true;
  }

  /** @throws InsertError if no row can be the reason of an error, or that cannot be found out */
  async mustBeWorthASearch(rows: readonly BatchRow[], error: InsertError): Promise<void> {
    const { overdue, onTooLarge } = this.#options;
    if (error.kind === 'data') {
      // Once: a setting of the configuration with a wrong value may be refused like a value of a row.
      if (!this.#isWritable) await this.#mustTakeNoRows(error);
      this.#isWritable = true;
      return;
    }
    const isTooLarge = error.kind === 'oversized';
    if (error.kind === 'transient' && !overdue) throw error;
    // Parts are refused by the same disk. If it had room again in the middle of a search, the later rows would go in first.
    if (!error.mayBeOfRow) throw error;
    if (isTooLarge) this.#tooLargeSinceMs ??= performance.now();
    else this.#refusedSinceMs ??= performance.now();
    // Without look-ups, a held batch would insert again what its search has inserted. Too many partitions never end
    // with a held batch, because a row has one partition.
    if (!this.#found.canLookUp && !(isTooLarge && error.code === TOO_MANY_PARTITIONS)) throw error;
    if (isTooLarge && rows.length > 1) {
      this.#limitInserts(rows, error);
      onTooLarge?.(error, countRows(rows));
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

  /** Makes the table's next inserts smaller than these rows. */
  #limitInserts(rows: readonly BatchRow[], { code }: InsertError): void {
    const { tables, table } = this.#options;
    tables.sizes.wasTooLarge(
      table,
      rows.reduce((bytes, row) => bytes + bytesOfRows(row, this.#lines), 0),
      code === TOO_MANY_PARTITIONS || code === TOO_MUCH_MEMORY,
    );
  }

  /**
   * Whether rows went in since then. It also waits for rows of another batch, because the good rows of this one may be
   * in the table already.
   */
  async #othersGoIn(sinceMs: number): Promise<boolean> {
    const { tables, table, pause = sleep } = this.#options;
    const wentIn = (): boolean => (tables.lastInsertAtMs(table) ?? -Infinity) > sinceMs;
    if (!wentIn()) await pause(AWAIT_OTHERS_MS);
    return wentIn();
  }

  /** @throws InsertError that holds the batch, if an insert without rows is refused, too: no row is the reason */
  async #mustTakeNoRows(error: InsertError): Promise<void> {
    try {
      await this.#options.tables.probe(this.#options.table, this.#tableColumns);
    } catch (probeError) {
      if (!(probeError instanceof InsertError) || probeError.kind !== 'data') throw probeError;
      const message = `${error.message}: an insert without rows is refused, too, so the reason may be a value in clickhouse.settings or in the user's settings profile`;
      throw new InsertError('structural', { code: error.code, message, cause: probeError });
    }
  }

  async #mustBeWritable(error: InsertError): Promise<void> {
    try {
      await this.#options.tables.probe(this.#options.table, this.#tableColumns);
    } catch (probeError) {
      // The first error is reported. If the probe fails with a structural error, that one explains more.
      throw probeError instanceof InsertError && probeError.kind === 'structural' ? probeError : error;
    }
  }

  /**
   * Sends each row that was refused for a doubtful reason again, alone, after a while.
   *
   * @param sendAlone see `RowRefusal` for its result. Null if the row is in the table
   * @returns the rows that are still refused, while the table takes other rows
   * @throws InsertError if the batch has to be held
   */
  async confirm(
    doubtful: readonly RefusedRow[],
    sendAlone: (row: BatchRow) => Promise<RowRefusal | null>,
  ): Promise<readonly RefusedRow[]> {
    // The search ends if so many are refused in a row. So other rows went in between these.
    const areMany = doubtful.length > DOUBTFUL_MAX;
    mustBeOfRows(doubtful, areMany);
    const refused = await this.#refusedAgain(doubtful, sendAlone);
    const [first] = refused;
    if (first === undefined) return [];
    const { error } = first.reason;
    mustBeOfRows(refused, areMany);
    // For a structural or a transient error, only other rows can show that the table is not the reason.
    const isItsOwn = (error.kind === 'unknown' && !error.mayBeOfMachine) || error.kind === 'oversized';
    const mayBeAlone = this.#options.overdue && refused.length === 1 && isItsOwn;
    const sinceMs = error.kind === 'oversized' ? this.#tooLargeSinceMs : this.#refusedSinceMs;
    if (!areMany && !mayBeAlone && !(await this.#othersGoIn(sinceMs ?? Infinity))) throw error;
    await this.#mustBeWritable(error);
    return refused;
  }

  /** @returns the rows that are refused after each pause. In the last rounds none succeeded */
  async #refusedAgain(
    doubtful: readonly RefusedRow[],
    sendAlone: (row: BatchRow) => Promise<RowRefusal | null>,
  ): Promise<readonly RefusedRow[]> {
    const { pause = sleep } = this.#options;
    let refused = doubtful;
    let round = 0;
    for (let rounds = 0; round < CONFIRM_AFTER_MS.length; rounds++) {
      if (refused[0] === undefined) return [];
      if (rounds === CONFIRM_ROUNDS_MAX) throw refused[0].reason.error;
      await pause(CONFIRM_AFTER_MS[round] as number);
      this.#doubtfulInARow = 0;
      // If a view fails, the row is in the table although it was refused. It must not be inserted again.
      await this.#found.lookUp(refused.map(({ item }) => item));
      const still: RefusedRow[] = [];
      for (const { item } of refused) {
        // All of these were refused before, so one more says nothing about the table. It is probed again instead.
        if (this.#doubtfulInARow === DOUBTFUL_MAX) this.#doubtfulInARow = 0;
        const reason = await sendAlone(item);
        if (reason !== null) still.push({ item, reason });
      }
      // A row that succeeds shows that refusals may pass. The others are tried from the first pause again.
      round = still.length === refused.length ? round + 1 : 0;
      refused = still;
    }
    return refused;
  }
}

/** @throws InsertError if a row cannot be the reason of its error. If they are many, a value has to be the reason */
function mustBeOfRows(refused: readonly RefusedRow[], areMany: boolean): void {
  const ofTable = refused.find(({ reason: { error } }) => !(areMany ? error.mayBeOfValue : error.mayBeOfRow));
  if (ofTable !== undefined) throw ofTable.reason.error;
}
