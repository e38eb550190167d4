import { isUtf8 } from 'node:buffer';
import { REJECTION_CODES, setAsideBecause } from '../../protocol/ack.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import type { Mapping } from '../../protocol/settings.js';
import type { TableColumns } from '../tableColumns.js';
import { JsonObject } from '../values/json.js';
import { knownFields } from './knownFields.js';
import { LeadingFields } from './leadingFields.js';
import { NestedFields } from './nestedFields.js';
import { ObjectRows } from './objectRows.js';
import type { Row } from './row.js';
import { noTime } from './rowRejections.js';
import { timestampCheck } from './timestamps.js';

/** Makes rows for one table and one mapping. */
export type RowBuilder = (source: RecordSource, record: KafkaRecord) => Row;

/** @param columns the mapped columns, and where each is taken from */
export function createRowBuilder(
  table: TableColumns,
  columns: Readonly<Record<string, string>>,
  { format, unknownFields, tombstones }: Mapping,
): RowBuilder {
  const object = new JsonObject();
  const leading = new LeadingFields(table, columns, object);
  const fields = knownFields(table, columns, leading.identity);
  const rejectsUnknown = unknownFields === 'reject';
  const nested = new NestedFields(fields, Object.values(columns), rejectsUnknown);
  const objectRows = new ObjectRows({ object, fields, leading, nested, rejectsUnknown });
  const misfitTime = timestampCheck(table, leading.timeColumns());

  return (source, record) => {
    if (record.tooLargeBytes !== undefined) return setAsideBecause(record.tooLargeBytes);
    const misfit = misfitTime(record.timestampMs);
    if (misfit !== undefined) return noTime(misfit);
    if (record.value === null && tombstones === 'insert') return leading.rowOf(source, record);
    if (format === 'json') return objectRows.rowOf(source, record);
    if (record.value === null) return { code: REJECTION_CODES.noValue, message: 'the record has no value' };
    if (format === 'text' && !isUtf8(record.value))
      return { code: REJECTION_CODES.notText, message: 'the value is not UTF-8' };
    return leading.rowOf(source, record);
  };
}
