import type { ColumnSource } from '../protocol/columnSource.js';
import type { InsertNotes } from '../protocol/attemptNotes.js';
import type { Decoders } from '../formats/decoders.js';
import type { Mapping } from '../protocol/settings.js';
import type { Fill } from './batchRows.js';
import type { EvolvedField, TableEvolution } from './evolve/tableEvolution.js';
import type { InsertError } from './insertErrors.js';
import type { ClickHouseTables } from './tables.js';

/** How the records of a batch are inserted into a table. */
export interface BatchInsertOptions {
  readonly tables: Pick<
    ClickHouseTables,
    | 'columns'
    | 'forget'
    | 'send'
    | 'foundOffsets'
    | 'foundRecords'
    | 'foundRowNumbers'
    | 'foundRowNumbersOfRecords'
    | 'probe'
    | 'isInserting'
    | 'caughtUp'
    | 'lastInsertAtMs'
    | 'sizes'
    | 'hasViews'
    | 'mayLoseKnownRows'
    | 'knowsTokens'
    | 'rememberedBy'
  >;
  readonly table: string;
  readonly columns: Readonly<Record<string, ColumnSource>>;
  readonly mapping: Mapping;
  /** Decode values, if the mapping says so. Undefined if no registry is configured. */
  readonly decoders?: Decoders | undefined;
  /** Adds columns to tables, if the mapping says so. Default: nothing does. */
  readonly evolution?: Pick<TableEvolution, 'fieldsOf' | 'place'> | undefined;
  /** Id of the batch. */
  readonly batch: string;
  /** True if these records may have been inserted before. Then the table is asked first. */
  readonly repeated: boolean;
  /**
   * Set if a rewind fills holes. Rows of these sources are looked up first, whatever their epoch.
   */
  readonly fill?: Fill;
  /** True if attempts have failed for so long that a row may be the reason, whatever the error says. */
  readonly overdue: boolean;
  /** Called right before each effect. Throws if this attempt may have no more effects. */
  readonly mustBeAlive: () => void;
  /** Called when the rows are in the table, with the fields that were left out, by name, if there are any. */
  readonly onIgnored?: (fields: ReadonlyMap<string, number>) => void;
  /** Called for each field without a column that something is decided about. */
  readonly onEvolved?: (field: EvolvedField) => void;
  readonly onInsert?: (outcome: 'ok' | 'failed', rows: number) => void;
  /** Called if an insert of so many rows is over a limit and is divided. */
  readonly onTooLarge?: (error: InsertError, rows: number) => void;
  /** Default: nothing is known about earlier attempts, and nothing is noted. */
  readonly journal?: InsertJournal;
  /**
   * `required`: the batch is held while a view refuses rows that are in the table. Default: `best-effort`, it is held
   * only for an error that may pass, until it is overdue.
   */
  readonly views?: 'required' | 'best-effort';
  /** The bytes of a piece of rows of records that hold many. Default: `PIECE_BYTES`. */
  readonly pieceBytes?: number;
  /** Waits for some milliseconds. Default: a timer. */
  readonly pause?: (delayMs: number) => Promise<unknown>;
}

/**
 * The notes of earlier attempts about their inserts into a table, to which this one adds its own. They are shared by
 * the attempts of one activity only.
 */
export interface InsertJournal {
  /** Whether only this activity can have inserted these records. */
  readonly onlyThisActivity: boolean;
  readonly notes: InsertNotes | undefined;
  /** The most milliseconds since the first attempt began. */
  ageMs(): number;
  /** Resolves when the notes would survive this process. Rejects if they may not. */
  save(notes: InsertNotes): Promise<void>;
}

/** The journal if there is none. */
export const NO_JOURNAL: InsertJournal = {
  onlyThisActivity: false,
  notes: undefined,
  ageMs: () => 0,
  save: () => Promise.resolve(),
};
