import type { ColumnSource } from './columnSource.js';
import type { Installation } from './installation.js';
import type { KafkaRecord } from './record.js';
import type { WhereRule } from './whereRule.js';

/**
 * What a batcher needs to know about its pipeline. It travels with the first chunk of each lane and is kept in the
 * batcher's history. So a batch and its retries always use the settings that the batch was made with, whatever the
 * configuration says later.
 */
export interface BatcherSettings {
  readonly pipeline: string;
  readonly batch: BatchLimits;
  /**
   * The batcher continues as new when its history reaches one of these, unless the server suggests it earlier. Each run
   * has its own mark for events, between a half and all of `historyEvents`. All are well below the marks at which
   * senders stop and wait for a new run.
   */
  readonly continueAsNewAt: { readonly historyBytes: number; readonly historyEvents: number };
  readonly destination: Destination;
  /**
   * The installation whose workers do the work. Absent in settings of versions without installations, and until a
   * worker has claimed the pipeline.
   */
  readonly installation?: Installation;
  /**
   * The batcher takes only signals that are encrypted for it. Believed only if the settings themselves came so. Absent: it
   * takes others, too.
   */
  readonly encryption?: 'required';
  /**
   * When their sender encrypted them (its clock, milliseconds since 1970). Older ones than a batcher has are not believed:
   * somebody without the key may send an old signal again. Absent in settings that travel unencrypted.
   */
  readonly sealedAtMs?: number;
}

/** A batch is flushed when the first of these is reached. */
export interface BatchLimits {
  readonly maxRecords: number;
  /** Payload bytes before compression. */
  readonly maxBytes: number;
  /** Age of the oldest buffered record, counted from its arrival at the batcher. */
  readonly maxDelayMs: number;
  /**
   * Set if Temporal takes smaller payloads than by default, see `namespaceLimit.ts`. It comes from the server, not from
   * the configuration.
   */
  readonly payloadBytesMax?: number;
  /**
   * A large batch is stored once, see `BATCH_FORMATS`. Absent in settings of version 0.1.0, whose workers cannot insert
   * such a batch, and with `signal.linger: 0ms`, which is for going back to that version.
   */
  readonly storesOnce?: true;
}

/** `batch.maxRecords` of a pipeline that does not configure it. */
export const BATCH_RECORDS_DEFAULT = 50_000;

/** Where a batch goes: rows, acknowledgements, dead letters. */
export interface Destination {
  /**
   * The table, with its database if that is not the connection's: `orders`, `shop.orders`. `{topic}` in it is replaced
   * by the record's topic. An object if some topics have tables of their own. Null if the mapping has something that
   * version 0.1.0 would pass over: then it is `decodedTable`; or if it is `tablesOfValues`. See `tables.ts`.
   */
  readonly table: TableChoice | null;
  /**
   * The table of a pipeline whose values are decoded, or that leaves records out, see {@link needsNewerWorker}. A worker
   * of version 0.1.0 would insert them as they are. It does not know this key, and fails at a table that is null, so the
   * batch waits for a worker that does.
   */
  readonly decodedTable?: TableChoice;
  /**
   * Set if a value of each record says to which table it goes. Then `table` is null, so that the batch waits for a worker
   * that knows this key.
   */
  readonly tablesOfValues?: TablesOfValues;
  /**
   * The source of each column, see `columns` in the configuration reference. Empty: fields go to the columns of the
   * same names.
   */
  readonly columns: Readonly<Record<string, ColumnSource>>;
  /** Absent: no acknowledgements. */
  readonly reply?: ReplySettings;
  readonly deadLetterTopic: string;
  /** An insert that ClickHouse refuses for this long is given up. Absent: never. */
  readonly retryForMs?: number;
  /** `required`: a batch is held while a materialized view refuses its rows. Absent means `best-effort`: it is not. */
  readonly views?: 'required';
  readonly mapping: Mapping;
}

/** A table for all records, or one for each topic. */
export type TableChoice = string | TablesOfTopics;

/** What says to which table records go. */
export type DestinationTable = Pick<Destination, 'table' | 'decodedTable' | 'tablesOfValues'>;

/**
 * It takes the place of a plain table name. So a worker of a version that does not know it fails, and does not insert
 * into another table.
 */
export interface TablesOfTopics {
  /** Topic to table. */
  readonly ofTopics: Readonly<Record<string, string>>;
  /** The table of all other topics. It may contain `{topic}`. */
  readonly others: string;
}

/** Tables that records go to by a value of theirs. */
export interface TablesOfValues {
  /** Where the value is, as a source of a column: `/pointer`, `key:/pointer`, `envelope:/pointer`, `header:NAME` or `key`. */
  readonly by: string;
  /** In pairs, because a value may be any text, such as `__proto__`. */
  readonly tables: readonly (readonly [value: string, table: string])[];
  /** What happens to records whose value is none of these, or that have none there. */
  readonly otherwise: 'reject' | 'skip' | { readonly table: string };
}

/** How a record's value becomes a row. */
export interface Mapping {
  /**
   * `json`: an object whose fields go to columns. `avro`, `protobuf`, `json-schema`: such an object, as a serializer with
   * a schema registry writes it. `json-lines`, `json-array`: many such objects, each of which is a row. `text`: one value
   * in UTF-8. `bytes`: one value, not checked.
   */
  readonly format: 'json' | 'text' | 'bytes' | DecodedFormat | ManyRowsFormat;
  /** What becomes of Avro values for which there is more than one way. Absent: bytes are raw, unions plain. */
  readonly avro?: { readonly bytes: 'raw' | 'base64'; readonly unions: 'plain' | 'named' };
  /** The same for Protobuf. Absent: bytes are raw. */
  readonly protobuf?: { readonly bytes: 'raw' | 'base64' };
  /**
   * What keys are, if they are read: JSON, or what a serializer with a schema registry writes. Absent: bytes, which are not
   * looked into.
   */
  readonly key?: { readonly format: KeyFormat };
  /** Set if values are changes of another table's rows. Absent: they are the rows. */
  readonly envelope?: DebeziumEnvelope;
  /** What happens to fields that the table has no column for. An object names the column that they go into. */
  readonly unknownFields: 'ignore' | 'reject' | { readonly into: string };
  /** Whether fields without a column get one. Absent: they do not. */
  readonly evolve?: Evolution;
  /** What happens to records without a value. */
  readonly tombstones: 'reject' | 'skip' | 'insert';
  /** Records that have a value, and for which not all of these hold, are skipped. Absent: none is. */
  readonly where?: readonly WhereRule[];
}

/** How tables get columns for fields that have none. */
export interface Evolution {
  /** `propose`: the statement is logged. `apply`: the table is altered. */
  readonly mode: 'propose' | 'apply';
  /** Columns that a table gets in this way, at most. */
  readonly columnsMax: number;
  /** Whether tables are altered, too, that have materialized views. Absent: for them the statement is logged. */
  readonly withViews?: boolean;
}

/** Whether a worker of version 0.1.0 would insert wrong rows, because it does not know a part of the mapping. */
export function needsNewerWorker({ format, where, unknownFields, evolve, envelope, key }: Mapping): boolean {
  return (
    key !== undefined ||
    isDecoded(format) ||
    hasManyRows(format) ||
    envelope !== undefined ||
    where !== undefined ||
    evolve?.mode === 'apply' ||
    typeof unknownFields === 'object'
  );
}

/** How changes that Debezium has written become rows. */
export interface DebeziumEnvelope {
  readonly type: 'debezium';
  /**
   * What grows with each change of a row: the offset of its record, or a part of `source`: PostgreSQL's `lsn`, `pos`
   * within MySQL's `file`, or the time of the change.
   */
  readonly version: 'offset' | 'lsn' | 'pos' | 'ts_ms';
  /** What happens to a change that says that the table was truncated. */
  readonly truncates: 'reject' | 'skip';
}

/** Formats of values that are decoded before they are read as JSON. */
export type DecodedFormat = 'avro' | 'protobuf' | 'json-schema';

/** Formats of keys that are read. */
type KeyFormat = 'json' | DecodedFormat;

/** Whether values or keys are decoded before they are read as JSON. */
export function isDecoded(format: Mapping['format']): format is DecodedFormat {
  return format === 'avro' || format === 'protobuf' || format === 'json-schema';
}

/** Formats of values that hold many objects: one in each line, or the elements of an array. */
export type ManyRowsFormat = 'json-lines' | 'json-array';

/** Whether a value may hold any number of objects, each of which becomes a row. */
export function hasManyRows(format: Mapping['format']): format is ManyRowsFormat {
  return format === 'json-lines' || format === 'json-array';
}

/** Whether values are objects whose fields go to columns. */
export function holdsObjects(format: Mapping['format']): boolean {
  return format === 'json' || isDecoded(format) || hasManyRows(format);
}

/**
 * Whether a pipeline skips a record because it has no value. A stub has no value either, but its original does. `where`
 * also leaves records out: it is asked when their rows are made.
 */
export function isSkipped(
  record: Pick<KafkaRecord, 'value' | 'tooLargeBytes'>,
  { mapping }: Pick<Destination, 'mapping'>,
): boolean {
  // A packed record makes a buffer of its value each time it is asked for it.
  return mapping.tombstones === 'skip' && record.value === null && record.tooLargeBytes === undefined;
}

/** Where acknowledgements go, and which headers they copy. */
export interface ReplySettings {
  /** The topic for records that ask for no other, or for one that is not allowed. */
  readonly topic: string;
  readonly copyHeaders: readonly string[];
  /** Topics that a record may ask for. */
  readonly allowTopics: readonly string[];
}
