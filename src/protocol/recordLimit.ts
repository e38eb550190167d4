import { recordBytes, type KafkaRecord } from './record.js';

/**
 * What the objects of one record, and of one header, take in memory beside what the record counts in `recordBytes`: measured with
 * Node 20.
 */
const RECORD_OBJECT_BYTES = 330;
const HEADER_OBJECT_BYTES = 200;

/**
 * Memory that one record may take, in bytes, by {@link memoryBytes}. A larger one becomes no row: it is set aside before anything of it is
 * parsed, packed or compressed. Without the bound a record of a few kilobytes could decompress to 256 MiB, and each process that works
 * on it needs several times as much.
 *
 * Measured with Node 20: a record of 16 MiB takes 50 MiB in the consumer while it is packed, and some 65 MiB in each flush of a worker,
 * 200 MiB for a moment where it has a million fields. With three flushes at once that fits into 1 GiB, the limit of the chart.
 *
 * What was accepted before there was a bound may be larger, and is decoded and inserted all the same.
 */
export const RECORD_MEMORY_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Bytes that a record takes in memory, about.
 *
 * @param bytes what it counts in `recordBytes`
 */
export function memoryBytes({ headers }: Pick<KafkaRecord, 'headers'>, bytes: number): number {
  return bytes + RECORD_OBJECT_BYTES + headers.length * HEADER_OBJECT_BYTES;
}

/** Whether a record is over {@link RECORD_MEMORY_BYTES_MAX}. */
export function isOverLimit(record: KafkaRecord): boolean {
  return memoryBytes(record, recordBytes(record)) > RECORD_MEMORY_BYTES_MAX;
}
