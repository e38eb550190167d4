import type { Installation } from './installation.js';

/**
 * What a batcher needs to know about its pipeline. It travels with the first chunk of each lane and is kept in the
 * batcher's history, so that a batch and its retries always work with the settings they were made with, whatever the
 * configuration file says by then.
 */
export interface BatcherSettings {
  readonly pipeline: string;
  readonly batch: BatchLimits;
  /**
   * The batcher continues as new when its history has reached one of these, if the server has not suggested it before.
   * Well below the marks at which senders stop: they wait for a new run.
   */
  readonly continueAsNewAt: { readonly historyBytes: number; readonly historyEvents: number };
  readonly destination: Destination;
  /** Whose activities do the work. Absent in settings of versions that named none, and until a worker has claimed the pipeline. */
  readonly installation?: Installation;
}

/** A batch is flushed when the first of these is reached. */
export interface BatchLimits {
  readonly maxRecords: number;
  /** Payload bytes before compression. */
  readonly maxBytes: number;
  /** Age of the oldest buffered record, counted from its arrival at the batcher. */
  readonly maxDelayMs: number;
  /** Set where Temporal takes smaller payloads than by default, see `payloadLimit.ts`. No configuration, but what it says. */
  readonly payloadBytesMax?: number;
}

/** Where a batch goes: rows, acknowledgements, dead letters. */
export interface Destination {
  /**
   * Table, with its database where it is not the connection's: `orders`, `shop.orders`. `{topic}` in it stands for the
   * record's topic; an object where some topics have tables of their own. See `tables.ts`.
   */
  readonly table: string | TablesOfTopics;
  /** Column to source; see `columns` in the configuration reference. Empty: fields go to the columns of their names. */
  readonly columns: Readonly<Record<string, string>>;
  /** Absent: no acknowledgements. */
  readonly reply?: ReplySettings;
  readonly deadLetterTopic: string;
  /** After so long an insert that ClickHouse does not take is given up. Absent: never. */
  readonly retryForMs?: number;
  /** Whether a batch is held while a materialized view refuses its rows. Absent: `best-effort`, it is not. */
  readonly views?: 'required';
  /** Absent in settings that were made before there was a choice: {@link DEFAULT_MAPPING}. */
  readonly mapping?: Mapping;
}

/** Not beside a plain `table`: a worker of a version that does not know it must fail rather than insert elsewhere. */
export interface TablesOfTopics {
  /** Topic to table. */
  readonly ofTopics: Readonly<Record<string, string>>;
  /** The table of all other topics; may have `{topic}` in it. */
  readonly others: string;
}

/** How a record's value becomes a row. */
export interface Mapping {
  /** `json`: an object, whose fields go to columns. `text`, `bytes`: one value, which is UTF-8 or is not looked at. */
  readonly format: 'json' | 'text' | 'bytes';
  /** What happens to fields that the table has no column for. */
  readonly unknownFields: 'ignore' | 'reject';
  /** What happens to records without a value. */
  readonly tombstones: 'reject' | 'skip' | 'insert';
}

export const DEFAULT_MAPPING: Mapping = { format: 'json', unknownFields: 'ignore', tombstones: 'reject' };

/** Where acknowledgements go, and what they take along. */
export interface ReplySettings {
  /** For every record that does not ask for another, or may not have it. */
  readonly topic: string;
  readonly copyHeaders: readonly string[];
  /** Topics that a record may ask for. Absent in settings that were made before there were any. */
  readonly allowTopics?: readonly string[];
}
