import { isUtf8 } from 'node:buffer';
import { REJECTION_CODES, setAsideBecause, type Rejection } from '../../protocol/ack.js';
import type { ColumnSource } from '../../protocol/columnSource.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import { holdsObjects, type Mapping } from '../../protocol/settings.js';
import type { NewFields } from '../evolve/newFields.js';
import type { TableColumns } from '../tableColumns.js';
import type { RowBlocks } from '../rowBlocks.js';
import { JsonObject } from '../values/jsonBytesReader.js';
import { IgnoredFields } from './ignoredFields.js';
import { columnCheck, knownFields } from './knownFields.js';
import { LeadingFields } from './leadingFields.js';
import { NestedFields } from './nestedFields.js';
import { ObjectRows } from './objectRows.js';
import { RecordValue } from './recordValue.js';
import { noTime } from './rowRejections.js';
import { timestampCheck } from './timestamps.js';
import { UnknownFields } from './unknownFields.js';
import { UnknownMembers } from './unknownMembers.js';
import { WhereRules } from './whereRules.js';

/**
 * Writes the row of a record for one table and one mapping, as a line of `JSONEachRow` without its end. Bytes that are not
 * checked stay unchanged. Returns a rejection if the record can become no row, or is left out ({@link LEFT_OUT}). Then
 * nothing is written.
 */
export type RowBuilder = (into: RowBlocks, source: RecordSource, record: KafkaRecord) => Rejection | undefined;

/**
 * @param columns the mapped columns, and where each is taken from
 * @param ignored counts the fields that are left out
 * @param newFields notes the fields without a column. Default: nobody asks for them
 */
export function createRowBuilder(
  table: TableColumns,
  columns: Readonly<Record<string, ColumnSource>>,
  mapping: Mapping,
  ignored = new IgnoredFields(),
  newFields?: NewFields,
): RowBuilder {
  const { format, unknownFields, tombstones, where } = mapping;
  const isObject = holdsObjects(format);
  const value = new RecordValue();
  const object = new JsonObject();
  const members = new UnknownMembers(unknownFields, ignored);
  const leading = new LeadingFields(table, columns, object, mapping, members);
  const unknown = typeof unknownFields === 'object' ? new UnknownFields(unknownFields.into, table) : undefined;
  const fields = knownFields(table, columns, leading.identity, unknown?.column, members.mayLeaveOut);
  const rejectsUnknown = unknownFields === 'reject';
  const nested = new NestedFields(fields, Object.values(columns), rejectsUnknown, members, unknown);
  const rules = where === undefined ? undefined : new WhereRules(where);
  const objectRows = new ObjectRows({
    ...{ value, object, fields, leading, nested, rejectsUnknown, rules, members, ignored, newFields },
    unknown: unknown === undefined ? undefined : { fields: unknown, check: columnCheck(table, unknown.column) },
  });
  const misfitTime = timestampCheck(table, leading.timeColumns());

  return (into, source, record) => {
    if (record.tooLargeBytes !== undefined) return setAsideBecause(record.tooLargeBytes);
    const misfit = misfitTime(record.timestampMs);
    if (misfit !== undefined) return (isObject ? objectRows.leftOut(record) : undefined) ?? noTime(misfit);
    const hasValue = value.set(record);
    if (!hasValue && tombstones === 'insert') return leading.writeRow(into, source, record);
    if (!hasValue) return isObject ? TOMBSTONE : NO_VALUE;
    if (isObject) return objectRows.writeRow(into, source, record);
    if (format === 'text' && !isUtf8(value.bytes.subarray(value.from, value.to)))
      return { code: REJECTION_CODES.notText, message: 'the value is not UTF-8' };
    return leading.writeRow(into, source, record);
  };
}

const TOMBSTONE: Rejection = { code: REJECTION_CODES.notJson, message: 'the record has no value (a tombstone)' };
const NO_VALUE: Rejection = { code: REJECTION_CODES.noValue, message: 'the record has no value' };
