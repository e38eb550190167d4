import { REJECTION_CODES, type Rejection } from '../../protocol/ack.js';
import { PartOfRecord } from '../../protocol/partOfRecord.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import { replayedOffset } from '../../protocol/replayedRecord.js';
import { isRequestSource } from '../../protocol/request.js';
import type { DebeziumEnvelope } from '../../protocol/settings.js';
import { JsonObject } from '../values/jsonBytesReader.js';
import { RecordValue } from './recordValue.js';
import { leftOut, notJson, notObject } from './rowRejections.js';

/** A row of the source's table after a change, or before it if it was deleted, in place of the record's value. */
export class ChangedRow extends PartOfRecord {
  /** Grows with each change of a row. Digits, up to 2^64. */
  readonly version: string;
  readonly isDeleted: boolean;
  readonly #envelope: Range;

  constructor(
    record: KafkaRecord,
    values: Buffer,
    { row: [valueAt, valueEnd], envelope }: { readonly row: Range; readonly envelope: Range },
    { version, isDeleted }: Pick<ChangedRow, 'version' | 'isDeleted'>,
  ) {
    super(record, values, valueAt, valueEnd - valueAt);
    this.version = version;
    this.isDeleted = isDeleted;
    this.#envelope = envelope;
  }

  /** The whole envelope, without the schema around it. One character per byte. */
  get envelope(): string {
    return this.values.toString('latin1', ...this.#envelope);
  }
}

/**
 * Whether a record deletes a row of the source. It may say no more of the row than its primary key. If it were left out for
 * that, the deleted row would stay in the table. The deletion of a row that never came hides nothing, unless the table sorts
 * by less than the source's primary key: docs/debezium.md says so.
 */
export function isDeletion(record: KafkaRecord): boolean {
  return record instanceof ChangedRow && record.isDeleted;
}

type Range = readonly [from: number, to: number];

/** Operations that leave a row: created, read by a snapshot, updated. */
const LEAVES_ROW: ReadonlySet<string> = new Set(['"c"', '"r"', '"u"']);
const DELETES = '"d"';
const TRUNCATES = '"t"';

/**
 * Takes the rows out of Debezium's envelopes, with and without their schema around them. A record is one change.
 *
 * Source: "Data change events" of Debezium's PostgreSQL and MySQL connectors.
 */
export class DebeziumEnvelopes {
  readonly #settings: DebeziumEnvelope;
  readonly #value = new RecordValue();
  readonly #object = new JsonObject();

  constructor(settings: DebeziumEnvelope) {
    this.#settings = settings;
  }

  /**
   * @param record its value is JSON, or nothing
   * @returns why there is no row, if there is none. It is left out ({@link leftOut}) if the pipeline skips such changes
   */
  open(source: Pick<RecordSource, 'topic'>, record: KafkaRecord): ChangedRow | Rejection {
    const value = this.#value;
    if (!value.set(record)) return leftOut();
    value.passOverMark();
    const { bytes, from, to } = value;
    const kind = this.#object.read(bytes, from, to);
    if (kind === undefined) return notJson(value.text, this.#object);
    if (kind !== 'object') return notObject(kind);
    const whole = this.#members(from);
    // A converter with schemas puts the envelope under this name.
    const payload = whole.has('op') ? undefined : whole.get('payload');
    const members = payload === undefined ? whole : this.#membersOf(bytes, payload);
    if (members === null) return noEnvelope('payload is no object');
    const change = this.#change(record, bytes, payload ?? [from, to], members);
    if (this.#settings.version === 'offset' && change instanceof ChangedRow && isRequestSource(source))
      return noEnvelope(OF_WORKFLOW);
    return change;
  }

  #change(
    record: KafkaRecord,
    bytes: Buffer,
    envelope: Range,
    members: ReadonlyMap<string, Range>,
  ): ChangedRow | Rejection {
    const op = textAt(bytes, members.get('op'));
    if (op === undefined) return noEnvelope('it has no op');
    if (op === TRUNCATES)
      return this.#settings.truncates === 'skip'
        ? leftOut()
        : noEnvelope('op is t: the table was truncated, which no row can say');
    const isDeleted = op === DELETES;
    if (!isDeleted && !LEAVES_ROW.has(op)) return noEnvelope('op is none of c, r, u, d and t');
    const name = isDeleted ? 'before' : 'after';
    const row = members.get(name);
    if (row !== undefined && bytes[row[0]] === QUOTE) return noEnvelope(`${name} ${OF_MONGODB}`);
    if (row === undefined || bytes[row[0]] !== OPEN_BRACE)
      return noEnvelope(`${name} is no object${isDeleted ? WITHOUT_BEFORE : ''}`);
    const version = this.#version(record, bytes, members);
    if (typeof version !== 'string') return version;
    return new ChangedRow(record, bytes, { row, envelope }, { version, isDeleted });
  }

  /** Digits that grow with each change of a row. */
  #version(record: KafkaRecord, bytes: Buffer, members: ReadonlyMap<string, Range>): string | Rejection {
    const { version } = this.#settings;
    if (version === 'offset') return String(replayedOffset(record.headers) ?? record.offset);
    const source = this.#membersOf(bytes, members.get('source'));
    if (source === null) return noEnvelope('source is no object');
    const number = (name: string): string | undefined => integerAt(bytes, source.get(name));
    if (version !== 'pos') return number(version) ?? noEnvelope(`source.${version} is no number that UInt64 holds`);
    return positionOf(textAt(bytes, source.get('file')), number('pos')) ?? noEnvelope(NO_POSITION);
  }

  /** Null if there is no object. */
  #membersOf(bytes: Buffer, range: Range | undefined): ReadonlyMap<string, Range> | null {
    if (range === undefined) return null;
    const [from, to] = range;
    return this.#object.read(bytes, from, to) === 'object' ? this.#members(from) : null;
  }

  /** Of several members with one name the last counts. */
  #members(from: number): ReadonlyMap<string, Range> {
    const { names, starts, ends, length } = this.#object;
    const members = new Map<string, Range>();
    for (let index = 0; index < length; index++) {
      const name = names[index] as string;
      if (NAMES.has(name)) members.set(name, [from + (starts[index] as number), from + (ends[index] as number)]);
    }
    return members;
  }
}

/** Members that are looked at. */
const NAMES: ReadonlySet<string> = new Set(
  ['op', 'payload', 'before', 'after', 'source'].concat(['lsn', 'file', 'pos', 'ts_ms']),
);

function textAt(bytes: Buffer, range: Range | undefined): string | undefined {
  return range === undefined ? undefined : bytes.toString('latin1', range[0], range[1]);
}

function integerAt(bytes: Buffer, range: Range | undefined): string | undefined {
  const text = textAt(bytes, range);
  if (text === undefined || !/^\d{1,20}$/.test(text)) return undefined;
  return text.length < DIGITS_OF_UINT64 || BigInt(text) < 2n ** 64n ? text : undefined;
}

const DIGITS_OF_UINT64 = 20;

/**
 * A position within a binary log of MySQL, with the number at the end of the log's name before it: `mysql-bin.000003`. Each
 * log begins at the first position again, so the number of the log counts first.
 */
function positionOf(file: string | undefined, pos: string | undefined): string | undefined {
  const number = /\.(\d{1,9})"$/.exec(file ?? '')?.[1];
  if (number === undefined || pos === undefined || pos.length > POSITION_DIGITS) return undefined;
  const version = `${Number(number)}${pos.padStart(POSITION_DIGITS, '0')}`;
  return version.length < DIGITS_OF_UINT64 ? version : undefined;
}

/** A log has up to a terabyte. */
const POSITION_DIGITS = 12;

const NO_POSITION =
  'source.file and source.pos are no position in a binary log (such as mysql-bin.000003, 154): set debezium.version';

/** Its offset counts the rows of its workflow. */
const OF_WORKFLOW =
  'the row of a workflow has no place among the offsets of a topic: set debezium.version to a part of source';

const OF_MONGODB =
  "is a text: changes of MongoDB are not supported. Let Debezium's ExtractNewDocumentState unpack them, and remove envelope";

const WITHOUT_BEFORE = ': PostgreSQL says what was deleted if the table has a primary key, or REPLICA IDENTITY FULL';

function noEnvelope(why: string): Rejection {
  return { code: REJECTION_CODES.noEnvelope, message: `the value is no Debezium envelope with a row: ${why}` };
}

const OPEN_BRACE = 123;
const QUOTE = 34;
