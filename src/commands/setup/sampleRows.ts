import { opener } from '../../clickhouse/openedRecords.js';
import { RowBlocks } from '../../clickhouse/rowBlocks.js';
import { connectPayload } from '../../clickhouse/rows/jsonKeys.js';
import { createRowBuilder } from '../../clickhouse/rows/rowBuilder.js';
import { rowsOfRecord } from '../../clickhouse/rows/rowsOfRecord.js';
import { JsonObject } from '../../clickhouse/values/jsonBytesReader.js';
import type { RecordDecoder } from '../../formats/recordDecoder.js';
import { withoutMark } from '../../lib/byteOrderMark.js';
import { fromLatin1 } from '../../lib/latin1.js';
import { rangesOf, readRanges } from '../../kafka/readRanges.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import { hasManyRows, type Destination } from '../../protocol/settings.js';
import { tellPassedOver } from '../shared/passedOver.js';
import { SAMPLE_WAIT_MS, type Sample, type SampledParts, type TableOfTopics } from './sample.js';

/**
 * Makes rows of the first records of some topics. If few of them become rows, it stops after some seconds.
 *
 * @throws Error if the topics cannot be read
 */
export async function sampleRows(
  { kafka, admin }: SampledParts,
  { pipeline: { settings }, topics }: TableOfTopics,
  records: number,
): Promise<Sample> {
  const { rows, add, key } = tableSample(settings.destination, records);
  const untilMs = performance.now() + SAMPLE_WAIT_MS;
  await readRanges(kafka, admin, await rangesOf(admin, topics), {
    record: (record, { topic, partition }) => {
      add({ topic, partition, epoch: '' }, record);
      return rows.length >= records || performance.now() >= untilMs;
    },
    passedOver: tellPassedOver,
  });
  return { rows: textsOf(rows), key: key() };
}

/** Collects what a table is proposed from, of records that go to it. Values and keys are JSON. */
export function tableSample(
  destination: Pick<Destination, 'columns' | 'mapping'>,
  rowsMax: number,
): {
  readonly rows: RowBlocks;
  readonly add: (source: RecordSource, record: KafkaRecord) => void;
  readonly key: () => Sample['key'];
} {
  const maker = rowMaker(destination, rowsMax);
  let key: Sample['key'] = null;
  const add = (source: RecordSource, record: KafkaRecord): void => {
    if (destination.mapping.envelope !== undefined) key ??= keyColumns(record);
    maker.add(source, record);
  };
  return { rows: maker.rows, add, key: () => key };
}

/**
 * Makes rows as for a table without columns. A record that can become none is passed over.
 *
 * @param rowsMax what is beyond is left out
 * @param decoder of values and keys. Default: they are JSON
 */
export function rowMaker(
  { columns, mapping }: Pick<Destination, 'columns' | 'mapping'>,
  rowsMax: number,
  decoder?: () => RecordDecoder,
): { readonly rows: RowBlocks; readonly add: (source: RecordSource, record: KafkaRecord) => void } {
  const { format } = mapping;
  const build = createRowBuilder(new Map(), columns, { ...mapping, unknownFields: 'ignore', tombstones: 'reject' });
  const open = opener(mapping, decoder);
  const rows = new RowBlocks();
  const addRow = (source: RecordSource, row: KafkaRecord): void => {
    if (rows.length < rowsMax && build(rows, source, row) === undefined) rows.endRow();
  };
  const add = (source: RecordSource, record: KafkaRecord): void => {
    const opened = open === undefined ? record : open(source, record);
    if ('code' in opened) return;
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
  const names = object.names.slice(0, object.length).map(fromLatin1);
  return names.length === 0 ? null : names;
}
