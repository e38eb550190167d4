import type { Rejection } from '../../protocol/ack.js';
import { pointerOf, sourcesOf, type ColumnSource } from '../../protocol/columnSource.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import type { Mapping } from '../../protocol/settings.js';
import { identityColumnsOf, type IdentityColumn } from '../identityColumns.js';
import type { RowBlocks } from '../rowBlocks.js';
import type { TableColumns } from '../tableColumns.js';
import { hasHalfCharacter } from '../values/jsonText.js';
import type { JsonObject } from '../values/jsonBytesReader.js';
import { JsonPointers } from '../values/jsonPointers.js';
import type { ValueCheck } from '../values/valueCheck.js';
import { columnReader, type ColumnReader } from './columnSources.js';
import { ChangedRow, isDeletion } from './debeziumEnvelope.js';
import { deletionGap } from './deletionGaps.js';
import { IdentityFields } from './identityFields.js';
import { columnCheck } from './knownFields.js';
import { quote } from './quoting.js';
import { halfCharacter, tooMuchMapped } from './rowRejections.js';
import type { UnknownMembers } from './unknownMembers.js';

/** A column that the configuration takes from somewhere in the record. */
interface MappedColumn {
  readonly column: string;
  readonly from: ColumnSource;
  readonly read: ColumnReader;
  readonly check: ValueCheck | undefined;
  readonly isOfEnvelope: boolean;
  readonly isGap: ValueCheck;
}

/**
 * Bytes of one record that mapped columns check, at most. A value counts once for each column that takes it, or a part
 * of it. A row is made without a pause, and heartbeats wait meanwhile. The most expensive values, times as keys of a Map,
 * take 0.1 to 0.3 s a MiB, so that a row takes 10 s at most, and a heartbeat may be 15 s late.
 */
const MAPPED_CHECKED_BYTES_MAX = 32 * 1024 * 1024;

/** Bytes of the mapped columns of one row, at most. A record of zero bytes alone becomes a text six times as long. */
const MAPPED_BYTES_MAX = 128 * 1024 * 1024;

/** The fields of a row that come before those of the value: the identity columns, then the mapped columns. */
export class LeadingFields {
  /** The identity columns that the table has and that are not mapped. */
  readonly identity: readonly IdentityColumn[];
  /** With `_key`, if its type may change what is written. */
  readonly mapped: readonly MappedColumn[];
  readonly #identityFields: IdentityFields;
  readonly #object: JsonObject;
  readonly #members: UnknownMembers;
  readonly #pointers = { value: new JsonPointers(), key: new JsonPointers(), envelope: new JsonPointers() };
  readonly #hasJsonKeys: boolean;

  /**
   * @param object has read the record's value, if its format is JSON
   * @param mapping says which identity columns there are
   * @param members decides about what the type of a column has no element for
   */
  constructor(
    table: TableColumns,
    columns: Readonly<Record<string, ColumnSource>>,
    object: JsonObject,
    mapping: Pick<Mapping, 'format' | 'envelope' | 'key'>,
    members: UnknownMembers,
  ) {
    this.#members = members;
    this.#object = object;
    this.#hasJsonKeys = mapping.key !== undefined;
    this.identity = identityColumnsOf(mapping).filter((name) => table.has(name) && !(name in columns));
    // A text for a number, a date or such may be changed by ClickHouse. So it is checked, like a mapped column.
    const checksKey = this.identity.includes('_key') && columnCheck(table, '_key') !== undefined;
    const written = this.identity.filter((name) => !checksKey || name !== '_key');
    this.#identityFields = new IdentityFields(written, table, this.#hasJsonKeys);
    const documents = { json: object, pointers: this.#pointers, hasJsonKeys: this.#hasJsonKeys };
    const mapped = { ...(checksKey ? ({ _key: 'key' } as const) : {}), ...columns };
    this.mapped = Object.entries(mapped).map(([column, from]) => {
      const check = columnCheck(table, column, members.mayLeaveOut);
      return {
        column,
        from,
        read: columnReader(column, from, table.get(column) ?? '', documents),
        check,
        isGap: deletionGap(table, column, check),
        isOfEnvelope: sourcesOf(from).some((source) => pointerOf(source)?.into === 'envelope'),
      };
    });
  }

  /** The columns that get the record's timestamp. */
  timeColumns(): readonly string[] {
    return [
      ...this.identity.filter((name) => name === '_timestamp'),
      ...this.mapped.flatMap(({ column, from }) => (from === 'timestamp' ? [column] : [])),
    ];
  }

  /**
   * Writes a row of these fields alone, for a record whose value is not read as JSON. Returns a rejection if a value does
   * not fit, and writes nothing.
   */
  writeRow(into: RowBlocks, source: RecordSource, record: KafkaRecord): Rejection | undefined {
    const fields = this.mappedOf(source, record, '');
    if ('code' in fields) return fields;
    this.writeFields(into, source, record, fields);
    return undefined;
  }

  /** Writes a row: the identity columns, then these fields. */
  writeFields(into: RowBlocks, source: RecordSource, record: KafkaRecord, fields: readonly string[]): void {
    this.writeIdentity(into, source, record);
    if (into.rowBytes > 1 && fields.length > 0) into.byte(COMMA);
    into.text(`${fields.join(',')}}`);
  }

  /** Writes the opening brace of a row and the identity columns. */
  writeIdentity(into: RowBlocks, source: RecordSource, record: KafkaRecord): void {
    this.#identityFields.write(into, source, record);
  }

  /**
   * The mapped columns, or a rejection if a value does not fit.
   *
   * @param text the JSON text of the value. Empty if it is not read as JSON
   */
  mappedOf(source: RecordSource, record: KafkaRecord, text: string): string[] | Rejection {
    const fields: string[] = [];
    const { value: ofValue, key: ofKey, envelope } = this.#pointers;
    ofValue.read(text);
    if (this.#hasJsonKeys && ofKey.isUsed) ofKey.read(record.key?.toString('latin1') ?? '');
    if (envelope.isUsed) envelope.read(record instanceof ChangedRow ? record.envelope : '');
    const isPart = isDeletion(record);
    let bytes = 0;
    let checkedBytes = 0;
    for (const { column, read, check, isGap, isOfEnvelope } of this.mapped) {
      const value = read(source, record);
      if (value === undefined) continue;
      if (typeof value !== 'string') return value;
      if (isPart && isGap(value, 0, value.length)) continue;
      bytes += value.length;
      if (bytes > MAPPED_BYTES_MAX) return tooMuchMapped('for one row');
      if (check !== undefined) {
        checkedBytes += value.length;
        if (checkedBytes > MAPPED_CHECKED_BYTES_MAX) return tooMuchMapped('to check');
        if (!check(value, 0, value.length)) return this.#members.rejection(column);
      }
      if ((isOfEnvelope || this.#object.hasHalfCharacters) && hasHalfCharacter(value)) return halfCharacter(column);
      fields.push(`${quote(column)}:${value}`);
    }
    return fields;
  }
}

const COMMA = 44;
