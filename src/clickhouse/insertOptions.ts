import type { InsertNotes } from '../protocol/attemptNotes.js';
import type { Mapping } from '../protocol/settings.js';
import type { Fill } from './batchRows.js';
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
  /** Default: `DEFAULT_MAPPING`. */
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

/** In place of a journal. */
export const NO_JOURNAL: InsertJournal = {
  complete: false,
  notes: undefined,
  ageMs: () => 0,
  save: () => Promise.resolve(),
};
