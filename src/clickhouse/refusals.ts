import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchRow } from './batchRows.js';
import type { FoundRows } from './foundRows.js';
import { InsertError } from './insertErrors.js';
import type { BatchInsertOptions } from './insertOptions.js';
import type { RowBlocks } from './rowBlocks.js';
import type { TableColumns } from './rows.js';
import type { Refused } from './search.js';

/** Why a set of rows was refused: see `Refusal` in `search.ts`. */
export interface RowRefusal {
  readonly error: InsertError;
  readonly suspect: number | undefined;
  readonly doubtful: boolean;
}
/** A row that was refused alone. */
export type RefusedRow = Refused<BatchRow, RowRefusal>;

/** A row that is refused for a reason that does not blame the data is tried again after each of these pauses. */
const CONFIRM_AFTER_MS = [1_000, 5_000];
/** More such refusals in a row than this are not the rows' fault, unless another batch goes in meanwhile. */
const DOUBTFUL_MAX = 100;
const AWAIT_OTHERS_MS = 5_000;
/** A table that takes one of them after all, again and again, is ill. */
const CONFIRM_ROUNDS_MAX = 10;

/** Code of ClickHouse's TOO_MANY_PARTS, which, of an insert that is too large, says that it has too many partitions. */
const TOO_MANY_PARTITIONS = '252';
/** Code of ClickHouse's MEMORY_LIMIT_EXCEEDED. */
const TOO_MUCH_MEMORY = '241';

/**
 * Judges what one attempt's inserts are refused with: whether rows may be the reason, or the batch has to be held.
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
 */
export class Refusals {
  readonly #options: BatchInsertOptions;
  readonly #tableColumns: TableColumns;
  readonly #lines: RowBlocks;
  readonly #found: FoundRows;
  #doubtfulInARow = 0;
  #doubtfulSinceMs = 0;
  /** When this attempt was refused first for a reason that does not blame the data. */
  #refusedSinceMs: number | undefined;
  /** Likewise, for a limit: what a limit refused says nothing about the table. */
  #tooLargeSinceMs: number | undefined;

  constructor(options: BatchInsertOptions, tableColumns: TableColumns, lines: RowBlocks, found: FoundRows) {
    this.#options = options;
    this.#tableColumns = tableColumns;
    this.#lines = lines;
    this.#found = found;
  }

  /** Rows went in. */
  taken(): void {
    this.#doubtfulInARow = 0;
  }

  /** @throws InsertError where no row may be the reason of an error, or where that cannot be found out */
  async mustBeWorthASearch(rows: readonly BatchRow[], error: InsertError): Promise<void> {
    const { overdue, onTooLarge } = this.#options;
    if (error.kind === 'data') return;
    const isTooLarge = error.kind === 'oversized';
    if (error.kind === 'transient' && !overdue) throw error;
    if (isTooLarge) this.#tooLargeSinceMs ??= performance.now();
    else this.#refusedSinceMs ??= performance.now();
    // Without look-ups, what a search has inserted would be inserted again if it ends with the batch held. Too many
    // partitions never end so: a row has one.
    if (!this.#found.canLookUp && !(isTooLarge && error.code === TOO_MANY_PARTITIONS)) throw error;
    if (isTooLarge && rows.length > 1) {
      this.#limitInserts(rows, error);
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

  /** The table's next inserts are smaller than these rows. */
  #limitInserts(rows: readonly BatchRow[], { code }: InsertError): void {
    const { tables, table } = this.#options;
    tables.wasTooLarge(
      table,
      rows.reduce((bytes, { row }) => bytes + this.#lines.bytesOf(row), 0),
      code === TOO_MANY_PARTITIONS || code === TOO_MUCH_MEMORY,
    );
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

  /**
   * Sends each row that was refused for a reason that does not blame the data again, alone, after a while.
   *
   * @param sendAlone see `RowRefusal` for what it gives back; null where the row is in the table
   * @returns those that are refused still, while the table takes other rows
   * @throws InsertError where the batch is to be held
   */
  async confirm(
    doubtful: readonly RefusedRow[],
    sendAlone: (row: BatchRow) => Promise<RowRefusal | null>,
  ): Promise<readonly RefusedRow[]> {
    // The search ends where so many are refused in a row: other rows went in between these.
    const areMany = doubtful.length > DOUBTFUL_MAX;
    mustBeOfRows(doubtful, areMany);
    const refused = await this.#refusedAgain(doubtful, sendAlone);
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

  /** @returns those that are refused after each pause; none is taken in the last rounds */
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
      // A failing view refuses with the row in the table: it must not be inserted once more.
      await this.#found.lookUp(refused.map(({ item }) => item));
      const still: RefusedRow[] = [];
      for (const { item } of refused) {
        // All of these were refused before: one more says nothing about the table, which is probed anew instead.
        if (this.#doubtfulInARow === DOUBTFUL_MAX) this.#doubtfulInARow = 0;
        const reason = await sendAlone(item);
        if (reason !== null) still.push({ item, reason });
      }
      // One that goes in shows that refusals pass: the others have to prove themselves from the start.
      round = still.length === refused.length ? round + 1 : 0;
      refused = still;
    }
    return refused;
  }
}

/** @throws InsertError where a row is refused for what it cannot be the reason of; where they are many, a value of it */
function mustBeOfRows(refused: readonly RefusedRow[], areMany: boolean): void {
  const ofTable = refused.find(({ reason: { error } }) => !(areMany ? error.mayBeOfValue : error.mayBeOfRow));
  if (ofTable !== undefined) throw ofTable.reason.error;
}
