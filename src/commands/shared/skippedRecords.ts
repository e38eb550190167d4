import { JsonObject } from '../../clickhouse/values/jsonObject.js';
import { WhereRules } from '../../clickhouse/rows/whereRules.js';
import { prepareDecoding } from '../../formats/recordDecoder.js';
import { withoutMark } from '../../lib/byteOrderMark.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import { isDecoded, isSkipped, type Destination } from '../../protocol/settings.js';

/** Tells whether a pipeline skips a record. Null: only its acknowledgement tells, since commands do not decode its value. */
export type SkipTest = (source: RecordSource, record: KafkaRecord) => boolean | null;

/** Makes the test of a pipeline: what its workers do, without its table and its schema registry. */
export async function skipTest(destination: Pick<Destination, 'mapping'>): Promise<SkipTest> {
  const { mapping } = destination;
  const { where, format } = mapping;
  if (where === undefined) return (_source, record) => isSkipped(record, destination);
  const rules = new WhereRules(where);
  const object = new JsonObject();
  const isJson = format === 'json' || format === 'json-schema';
  const decode = isJson ? (await prepareDecoding([], mapping, undefined))?.() : undefined;
  return (source, record) => {
    if (isSkipped(record, destination)) return true;
    if (record.value === null) return false;
    if (isDecoded(format) && !isJson) return null;
    const decoded = decode === undefined ? record : decode(source, record);
    if ('code' in decoded || decoded.value === null) return false;
    const bytes = withoutMark(decoded.value);
    return object.read(bytes) === 'object' && !rules.hold(bytes.toString('latin1'));
  };
}
