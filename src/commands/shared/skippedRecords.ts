import { leftOutTest } from '../../clickhouse/leftOutRecords.js';
import { RowBlocks } from '../../clickhouse/rowBlocks.js';
import { createRowBuilder } from '../../clickhouse/rows/rowBuilder.js';
import { rowsOfRecord } from '../../clickhouse/rows/rowsOfRecord.js';
import type { Decoders } from '../../formats/decoders.js';
import { LEFT_OUT } from '../../protocol/ack.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import {
  hasManyRows,
  isSkipped,
  type Destination,
  type ManyRowsFormat,
  type Mapping,
} from '../../protocol/settings.js';

/** Tells whether a pipeline skips a record. A promise if it has to be read for that. */
export type SkipTest = (source: RecordSource, record: KafkaRecord) => boolean | Promise<boolean>;

/**
 * Makes the test of a pipeline: what its workers do, without its tables.
 *
 * @param decoders of values and keys with schemas. Undefined if there is no registry. What is made rejects with
 *   RegistryError if one is needed and does not answer
 */
export async function skipTest(
  destination: Pick<Destination, 'mapping' | 'tablesOfValues'>,
  decoders: Decoders | undefined,
): Promise<SkipTest> {
  const { mapping, tablesOfValues } = destination;
  const { where, format, envelope } = mapping;
  const mayLeaveOut =
    where !== undefined ||
    hasManyRows(format) ||
    envelope?.truncates === 'skip' ||
    tablesOfValues?.otherwise === 'skip';
  if (!mayLeaveOut) return (_source, record) => isSkipped(record, destination);
  const isLeftOut = await leftOutTest(destination, decoders);
  return (source, record) => isSkipped(record, destination) || isLeftOut({ source, record });
}

/** Tells how many rows a record becomes, if the pipeline's records may hold many. Undefined if each is one row. */
export function expectedRows({ mapping }: Pick<Destination, 'mapping'>): ((record: KafkaRecord) => number) | undefined {
  const { format } = mapping;
  if (!hasManyRows(format)) return undefined;
  const count = rowCounter(format, mapping);
  // A record that is no such list, or is a tombstone, has one row if any.
  return (record) => (record.value === null ? 1 : (count(record) ?? 1));
}

/**
 * Counts the rows that `where` does not leave out. It makes rows as the inserts do, for a table without columns. Null if the
 * record is no such list.
 */
function rowCounter(format: ManyRowsFormat, mapping: Mapping): (record: KafkaRecord) => number | null {
  const buildRow = createRowBuilder(new Map(), {}, { ...mapping, unknownFields: 'ignore' });
  const lines = new RowBlocks();
  const isLeftOut = (row: KafkaRecord): boolean => {
    const rejection = buildRow(lines, NO_SOURCE, row);
    if (rejection === undefined) lines.dropRow();
    return rejection?.code === LEFT_OUT;
  };
  return (record) => {
    let count = 0;
    const rows = rowsOfRecord(record, format);
    let next = rows.next();
    for (; next.done !== true; next = rows.next()) if (mapping.where === undefined || !isLeftOut(next.value)) count++;
    return next.value === undefined ? count : null;
  };
}

/** A row without columns does not depend on where its record was. */
const NO_SOURCE: RecordSource = { topic: '', partition: 0, epoch: '' };
