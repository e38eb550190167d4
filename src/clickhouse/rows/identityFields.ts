import { NULL_LENGTH, PackedRecord } from '../../protocol/packedRecord.js';
import { ChangedRow } from './debeziumEnvelope.js';
import { RowOfRecord } from '../../protocol/rowOfRecord.js';
import { NO_TIMESTAMP, type KafkaRecord, type RecordSource } from '../../protocol/record.js';
import type { IdentityColumn } from '../identityColumns.js';
import type { RowBlocks } from '../rowBlocks.js';
import type { TableColumns } from '../tableColumns.js';
import { keyText } from './jsonKeys.js';
import { quote, quoteBytes } from './quoting.js';
import { timestampBytesWriter } from './timestamps.js';

/**
 * Writes the beginning of a row: its opening brace, and the fields of the identity columns. The bytes that all records of
 * a partition share are made once.
 */
export class IdentityFields {
  readonly #has: ReadonlySet<IdentityColumn>;
  readonly #hasOffset: boolean;
  readonly #hasTimestamp: boolean;
  readonly #hasKey: boolean;
  readonly #hasRow: boolean;
  readonly #hasChange: boolean;
  readonly #writeTimestamp: (into: RowBlocks, timestampMs: number) => void;
  readonly #beginnings = new WeakMap<RecordSource, Buffer>();
  /** The last record's, because the next one usually has the same. */
  #source: RecordSource | undefined;
  #beginning: Buffer = Buffer.alloc(0);

  readonly #hasJsonKeys: boolean;

  /** @param identity the columns to write */
  constructor(identity: readonly IdentityColumn[], table: TableColumns, hasJsonKeys: boolean) {
    this.#hasJsonKeys = hasJsonKeys;
    this.#has = new Set(identity);
    this.#hasOffset = this.#has.has('_offset');
    this.#hasTimestamp = this.#has.has('_timestamp');
    this.#hasKey = this.#has.has('_key');
    this.#hasRow = this.#has.has('_row');
    this.#hasChange = this.#has.has('_version') || this.#has.has('_is_deleted');
    this.#writeTimestamp = timestampBytesWriter(table.get('_timestamp') ?? '');
  }

  write(into: RowBlocks, source: RecordSource, record: KafkaRecord): void {
    if (source !== this.#source) this.#setSource(source);
    into.bytes(this.#beginning, 0, this.#beginning.length);
    if (this.#hasOffset) {
      writeName(into, OFFSET);
      into.integer(record.offset);
    }
    if (this.#hasTimestamp && record.timestampMs !== NO_TIMESTAMP) {
      writeName(into, TIMESTAMP);
      this.#writeTimestamp(into, record.timestampMs);
    }
    if (this.#hasKey) {
      writeName(into, KEY);
      if (this.#hasJsonKeys) into.text(keyText(record.key));
      else writeKey(into, record);
    }
    if (this.#hasRow) {
      writeName(into, ROW);
      into.integer(record instanceof RowOfRecord ? record.number : 0);
    }
    if (this.#hasChange && record instanceof ChangedRow) {
      if (this.#has.has('_version')) {
        writeName(into, VERSION);
        into.text(record.version);
      }
      if (this.#has.has('_is_deleted')) {
        writeName(into, IS_DELETED);
        into.integer(record.isDeleted ? 1 : 0);
      }
    }
  }

  #setSource(source: RecordSource): void {
    const beginning = this.#beginnings.get(source) ?? beginningOf(source, this.#has);
    this.#beginnings.set(source, beginning);
    this.#source = source;
    this.#beginning = beginning;
  }
}

function beginningOf({ topic, partition, epoch }: RecordSource, has: ReadonlySet<IdentityColumn>): Buffer {
  const fields: string[] = [];
  if (has.has('_topic')) fields.push(`"_topic":${quote(topic)}`);
  if (has.has('_partition')) fields.push(`"_partition":${partition}`);
  if (has.has('_epoch')) fields.push(`"_epoch":${quote(epoch)}`);
  return Buffer.from(`{${fields.join(',')}`, 'latin1');
}

/** Names with a comma before them, and with the colon. */
const OFFSET = Buffer.from(',"_offset":');
const TIMESTAMP = Buffer.from(',"_timestamp":');
const KEY = Buffer.from(',"_key":');
const ROW = Buffer.from(',"_row":');
const VERSION = Buffer.from(',"_version":');
const IS_DELETED = Buffer.from(',"_is_deleted":');

/** The first field of a row has no comma before it. */
function writeName(into: RowBlocks, name: Buffer): void {
  into.bytes(name, into.rowBytes > 1 ? 0 : 1, name.length);
}

function writeKey(into: RowBlocks, record: KafkaRecord): void {
  if (record instanceof PackedRecord && record.keyLength !== NULL_LENGTH) {
    const { keys, keyAt, keyLength } = record;
    if (needsNoEscapes(keys, keyAt, keyAt + keyLength)) {
      into.byte(QUOTE);
      into.bytes(keys, keyAt, keyAt + keyLength);
      into.byte(QUOTE);
      return;
    }
  }
  into.text(quoteBytes(record.key));
}

function needsNoEscapes(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const code = bytes[at] as number;
    if (code < SPACE || code === QUOTE || code === BACKSLASH) return false;
  }
  return true;
}

const SPACE = 32;
const QUOTE = 34;
const BACKSLASH = 92;
