import { opener } from '../../clickhouse/batchRows.js';
import { RowBlocks } from '../../clickhouse/rowBlocks.js';
import { connectPayload } from '../../clickhouse/rows/jsonKeys.js';
import { createRowBuilder } from '../../clickhouse/rows/rowBuilder.js';
import { TableFinder } from '../../clickhouse/rows/tableFinder.js';
import { rowsOfRecord } from '../../clickhouse/rows/rowsOfRecord.js';
import { JsonObject } from '../../clickhouse/values/jsonObject.js';
import type { RecordDecoder } from '../../formats/recordDecoder.js';
import { withoutMark } from '../../lib/byteOrderMark.js';
import { rangesOf, readRanges } from '../../kafka/readRanges.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import { hasManyRows, type Destination } from '../../protocol/settings.js';
import { tellPassedOver } from '../shared/passedOver.js';
import type { Sample, SampledParts, TableOfTopics } from './sample.js';

export const SAMPLE_WAIT_MS = 10_000;

/**
 * Makes rows of the first records of some topics. If few of them become rows, it stops after some seconds.
 *
 * @throws Error if the topics cannot be read
 */
export async function sampleRows(
  { kafka, admin }: SampledParts,
  { pipeline: { settings }, name, topics }: TableOfTopics,
  records: number,
): Promise<Sample> {
  const { envelope } = settings.destination.mapping;
  const { rows, add } = rowMaker(settings.destination, name, records);
  let key: readonly string[] | null = null;
  const untilMs = performance.now() + SAMPLE_WAIT_MS;
  await readRanges(kafka, admin, await rangesOf(admin, topics), {
    record: (record, { topic, partition }) => {
      if (envelope !== undefined) key ??= keyColumns(record);
      add({ topic, partition, epoch: '' }, record);
      return rows.length >= records || performance.now() >= untilMs;
    },
    passedOver: tellPassedOver,
  });
  return { rows: textsOf(rows), key };
}

/**
 * Makes rows as for a table without columns. A record that can become none is passed over, and one that goes to another
 * table by a value of it.
 *
 * @param table the table that is proposed
 * @param rowsMax what is beyond is left out
 * @param decoder of values and keys. Default: they are JSON
 */
export function rowMaker(
  { columns, mapping, tablesOfValues }: Pick<Destination, 'columns' | 'mapping' | 'tablesOfValues'>,
  table: string,
  rowsMax: number,
  decoder?: () => RecordDecoder,
): { readonly rows: RowBlocks; readonly add: (source: RecordSource, record: KafkaRecord) => void } {
  const { format } = mapping;
  const build = createRowBuilder(new Map(), columns, { ...mapping, unknownFields: 'ignore', tombstones: 'reject' });
  const open = opener(mapping, decoder);
  const finder = tablesOfValues === undefined ? undefined : new TableFinder(tablesOfValues, mapping);
  const rows = new RowBlocks();
  const addRow = (source: RecordSource, row: KafkaRecord): void => {
    if (rows.length < rowsMax && build(rows, source, row) === undefined) rows.endRow();
  };
  const add = (source: RecordSource, record: KafkaRecord): void => {
    const opened = open === undefined ? record : open(source, record);
    if ('code' in opened || (finder !== undefined && finder.of(opened) !== table)) return;
    if (!hasManyRows(format)) addRow(source, opened);
    else for (const row of rowsOfRecord(opened, format)) addRow(source, row);
  };
  return { rows, add };
}

/** One character per byte. */
export function textsOf(rows: RowBlocks): string[] {
  return Array.from({ length: rows.length }, (_, row) => rows.textOf(row));
}

/** The names in a key that Debezium has written as JSON, with or without its schema. Null if there are none. */
export function keyColumns({ key }: Pick<KafkaRecord, 'key'>): readonly string[] | null {
  if (key === null) return null;
  const bytes = withoutMark(key);
  const object = new JsonObject();
  if (object.read(bytes) !== 'object') return null;
  const payload = connectPayload(object);
  if (payload !== undefined && object.read(bytes, payload.start, payload.end) !== 'object') return null;
  const names = object.names.slice(0, object.length).map((name) => Buffer.from(name, 'latin1').toString());
  return names.length === 0 ? null : names;
}
