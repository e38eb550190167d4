import { JsonObject } from '../../clickhouse/values/jsonObject.js';
import { TableFinder } from '../../clickhouse/rows/tableFinder.js';
import { WhereRules } from '../../clickhouse/rows/whereRules.js';
import type { Decoders } from '../../formats/decoders.js';
import { choicesOf, prepareDecoding } from '../../formats/recordDecoder.js';
import { withoutMark } from '../../lib/byteOrderMark.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import type { WhereRule } from '../../protocol/whereRule.js';
import { DebeziumEnvelopes } from '../../clickhouse/rows/debeziumEnvelope.js';
import { LEFT_OUT, type Rejection } from '../../protocol/ack.js';
import { rowsOfRecord } from '../../clickhouse/rows/rowsOfRecord.js';
import {
  hasManyRows,
  holdsObjects,
  isSkipped,
  type Destination,
  type ManyRowsFormat,
} from '../../protocol/settings.js';

/**
 * Tells whether a pipeline skips a record. A promise if its value has to be decoded with a schema. Null: only its
 * acknowledgement tells, since commands do not look for the table of its value.
 */
export type SkipTest = (source: RecordSource, record: KafkaRecord) => boolean | Promise<boolean> | null;

/**
 * Makes the test of a pipeline: what its workers do, without its table.
 *
 * @param decoders of values with schemas. Undefined if there is no registry. What is made rejects with RegistryError if
 *   one is needed and does not answer
 */
export async function skipTest(
  destination: Pick<Destination, 'mapping' | 'tablesOfValues'>,
  decoders: Decoders | undefined,
): Promise<SkipTest> {
  const { tablesOfValues } = destination;
  const { key: _, ...mapping } = destination.mapping;
  const { where, format, envelope } = mapping;
  const finder =
    tablesOfValues?.otherwise === 'skip' ? new TableFinder(tablesOfValues, destination.mapping) : undefined;
  if (finder !== undefined && !isTableOfObject(destination))
    return (_source, record) => (isSkipped(record, destination) ? true : null);
  if (hasManyRows(format)) {
    const count = rowCounter(format, where);
    return (_source, record) => isSkipped(record, destination) || (record.value !== null && count(record) === 0);
  }
  if (where === undefined && envelope?.truncates !== 'skip' && finder === undefined)
    return (_source, record) => isSkipped(record, destination);
  const rules = where === undefined ? undefined : new WhereRules(where);
  const envelopes = envelope === undefined ? undefined : new DebeziumEnvelopes(envelope);
  const object = new JsonObject();
  // One that is too large is rejected, and so is one where they become no rows.
  const isSkippedTombstone = (record: KafkaRecord): boolean =>
    mapping.tombstones === 'insert' && record.tooLargeBytes === undefined && finder?.of(record) === null;
  const isLeftOut = (decoded: KafkaRecord | Rejection): boolean => {
    if ('code' in decoded) return false;
    const opened = envelopes?.open(decoded) ?? decoded;
    if ('code' in opened) return opened.code === LEFT_OUT;
    if (opened.value === null) return isSkippedTombstone(opened);
    const bytes = withoutMark(opened.value);
    if (object.read(bytes) !== 'object') return false;
    return rules?.hold(bytes.toString('latin1')) === false || finder?.of(opened) === null;
  };
  const hasSchemas = choicesOf(mapping) !== undefined;
  const decode = hasSchemas ? undefined : (await prepareDecoding([], mapping, undefined))?.();
  return (source, record) => {
    if (isSkipped(record, destination)) return true;
    if (record.value === null) return isSkippedTombstone(record);
    if (!hasSchemas) return isLeftOut(decode === undefined ? record : decode(source, record));
    const prepared = prepareDecoding([{ source, record }], mapping, decoders);
    return prepared.then((make) => isLeftOut(make === undefined ? record : make()(source, record)));
  };
}

/** Whether a JSON object or a header says which table a record goes to, so that nothing else has to be read. */
function isTableOfObject({ mapping, tablesOfValues }: Pick<Destination, 'mapping' | 'tablesOfValues'>): boolean {
  const { format, key } = mapping;
  return (
    holdsObjects(format) && !hasManyRows(format) && (key === undefined || tablesOfValues?.by.startsWith('key') !== true)
  );
}

/** Tells how many rows a record becomes, if the pipeline's records may hold many. Undefined if each is one row. */
export function expectedRows({ mapping }: Pick<Destination, 'mapping'>): ((record: KafkaRecord) => number) | undefined {
  const { format, where } = mapping;
  if (!hasManyRows(format)) return undefined;
  const count = rowCounter(format, where);
  // A record that is no such list, or is a tombstone, has one row if any.
  return (record) => (record.value === null ? 1 : (count(record) ?? 1));
}

/** Counts the rows that `where` does not leave out. Null if the record is no such list. */
function rowCounter(
  format: ManyRowsFormat,
  where: readonly WhereRule[] | undefined,
): (record: KafkaRecord) => number | null {
  const rules = where === undefined ? undefined : new WhereRules(where);
  const object = new JsonObject();
  const isLeftOut = ({ value }: KafkaRecord): boolean =>
    rules !== undefined && value !== null && object.read(value) === 'object' && !rules.hold(value.toString('latin1'));
  return (record) => {
    let count = 0;
    const rows = rowsOfRecord(record, format);
    let next = rows.next();
    for (; next.done !== true; next = rows.next()) if (!isLeftOut(next.value)) count++;
    return next.value === undefined ? count : null;
  };
}
