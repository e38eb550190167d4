import { recordBytes, type KafkaRecord } from './record.js';

/**
 * Bytes that the objects of one record, and of one header, take in memory besides what `recordBytes` counts. Measured
 * with Node 20. Many records in columns take less, a seventh.
 */
const RECORD_OBJECT_BYTES = 330;
const HEADER_OBJECT_BYTES = 200;

/**
 * The most bytes of memory that one record may take, by {@link memoryBytes}. A larger one becomes no row: it is set
 * aside before anything of it is parsed, packed or compressed. Without this bound a record of a few kilobytes could
 * decompress to 256 MiB, and each process that handles it needs several times as much.
 *
 * Measured with Node 20: while a record of 16 MiB is packed, it takes 50 MiB in the consumer. In each flush of a worker
 * it takes some 65 MiB, and for a moment up to 500 MiB if it has three million fields, or zero bytes that a mapped column
 * takes. Beside a full load that is over 1 GiB, the limit of the chart.
 *
 * Records that a batcher accepted before this bound existed may be larger. They are still decoded and inserted.
 */
export const RECORD_MEMORY_BYTES_MAX = 16 * 1024 * 1024;

/**
 * About how many bytes a record takes in memory.
 *
 * @param bytes what `recordBytes` says of it
 */
export function memoryBytes({ headers }: Pick<KafkaRecord, 'headers'>, bytes: number): number {
  return memoryBytesOf({ records: 1, headers: headers.length }, bytes);
}

/**
 * About how many bytes several records take in memory.
 *
 * @param bytes what `recordBytes` says of them together
 */
export function memoryBytesOf(count: { readonly records: number; readonly headers: number }, bytes: number): number {
  return bytes + count.records * RECORD_OBJECT_BYTES + count.headers * HEADER_OBJECT_BYTES;
}

/**
 * Bytes that columns of records take besides what {@link memoryBytesOf} says of their records: arrays, buffers and
 * objects, also for a single record. Measured with Node 20.
 */
export const COLUMNS_BYTES = 2_000;

/** Whether a record is over {@link RECORD_MEMORY_BYTES_MAX}. */
export function isOverLimit(record: KafkaRecord): boolean {
  return memoryBytes(record, recordBytes(record)) > RECORD_MEMORY_BYTES_MAX;
}
