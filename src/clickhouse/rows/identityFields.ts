import { NO_TIMESTAMP, type KafkaRecord, type RecordSource } from '../../protocol/record.js';
import type { IdentityColumn } from '../identityColumns.js';
import type { TableColumns } from '../tableColumns.js';
import { quote, quoteBytes } from './quoting.js';
import { timestampWriter } from './timestamps.js';

/** Writes the fields of the identity columns, divided by commas. */
export type IdentityFieldWriter = (source: RecordSource, record: KafkaRecord) => string;

/**
 * The part that all records of a partition share is built once.
 *
 * @param identity the columns to write
 */
export function identityFieldWriter(identity: readonly IdentityColumn[], table: TableColumns): IdentityFieldWriter {
  const has = new Set(identity);
  const [hasOffset, hasTimestamp, hasKey] = [has.has('_offset'), has.has('_timestamp'), has.has('_key')];
  const timestampText = timestampWriter(table.get('_timestamp') ?? '');
  const sharedFields = new WeakMap<RecordSource, string>();
  return (source, record) => {
    let fields = sharedFields.get(source);
    if (fields === undefined) {
      fields = fieldsOfSource(source, has);
      sharedFields.set(source, fields);
    }
    if (hasOffset) fields += `${comma(fields)}"_offset":${record.offset}`;
    if (hasTimestamp && record.timestampMs !== NO_TIMESTAMP)
      fields += `${comma(fields)}"_timestamp":${timestampText(record.timestampMs)}`;
    if (hasKey) fields += `${comma(fields)}"_key":${quoteBytes(record.key)}`;
    return fields;
  };
}

function fieldsOfSource({ topic, partition, epoch }: RecordSource, has: ReadonlySet<IdentityColumn>): string {
  const fields: string[] = [];
  if (has.has('_topic')) fields.push(`"_topic":${quote(topic)}`);
  if (has.has('_partition')) fields.push(`"_partition":${partition}`);
  if (has.has('_epoch')) fields.push(`"_epoch":${quote(epoch)}`);
  return fields.join(',');
}

function comma(before: string): string {
  return before === '' ? '' : ',';
}
