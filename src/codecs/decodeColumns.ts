import { asBuffer } from '../lib/asBuffer.js';
import { NULL_LENGTH, PackedRecord } from '../protocol/packedRecord.js';
import { NO_HEADERS, type RecordHeader } from '../protocol/record.js';
import type { SegmentColumns } from './encodeColumns.js';
import { UnpackRoom } from './packing.js';

/** Of a record by itself, and its place in an array. Measured with Node 20, rounded up. */
const RECORD_BYTES = 200;

/**
 * The opposite of `encodeColumns`. Keys and values share the columns' memory.
 *
 * @throws Error if they are no columns of ours, or their records take more than the room
 */
export function decodeColumns(columns: SegmentColumns, room = new UnpackRoom()): PackedRecord[] {
  const [offsetDeltas, timestampDeltas, keyLengths, keys, valueLengths, values, headers, stubs] = columns;
  room.takeObjects(offsetDeltas.length * RECORD_BYTES);
  const headersOf = headersByIndex(headers);
  const tooLargeBytesOf =
    stubs.length === 0 ? undefined : new Map(stubs.filter(([, bytes]) => typeof bytes === 'number'));
  const keyBytes = asBuffer(keys);
  const valueBytes = asBuffer(values);
  let offset = 0;
  let timestampMs = 0;
  let keyAt = 0;
  let valueAt = 0;
  const records: PackedRecord[] = [];
  for (let index = 0; index < offsetDeltas.length; index++) {
    offset += offsetDeltas[index] as number;
    const timestampDelta = timestampDeltas[index] as number | bigint;
    if (typeof timestampDelta === 'number') timestampMs += timestampDelta;
    // From another negative place, bytes would be counted from the end.
    const keyLength = Math.max(NULL_LENGTH, keyLengths[index] as number);
    const valueLength = Math.max(NULL_LENGTH, valueLengths[index] as number);
    records.push(
      new PackedRecord(
        offset,
        typeof timestampDelta === 'number' ? timestampMs : Number(timestampDelta),
        keyBytes,
        keyAt,
        keyLength,
        valueBytes,
        valueAt,
        valueLength,
        headersOf?.get(index) ?? NO_HEADERS,
        tooLargeBytesOf?.get(index),
      ),
    );
    keyAt += Math.max(0, keyLength);
    valueAt += Math.max(0, valueLength);
  }
  // Texts would be put one after the other, and each record would have a longer one.
  if (typeof offset !== 'number') throw new Error('an offset that is no number');
  return records;
}

/** Undefined if no record has headers. */
function headersByIndex(headers: SegmentColumns[6]): ReadonlyMap<number, readonly RecordHeader[]> | undefined {
  if (headers.length === 0) return undefined;
  return new Map(headers.map(([index, ...namesAndValues]) => [index, pairs(namesAndValues)]));
}

/**
 * Version 0.1.0 wrote some headers twice: those with the name of a member of every object, such as `constructor`,
 * `toString` or `__proto__`. The first copy is that member, which is read as undefined or as an object. It was never in
 * the record, so it is dropped here.
 */
function pairs(namesAndValues: (string | Uint8Array | null)[]): RecordHeader[] {
  const headers: RecordHeader[] = [];
  for (let index = 0; index < namesAndValues.length; index += 2) {
    const name = namesAndValues[index];
    const value = namesAndValues[index + 1];
    if (typeof name !== 'string') throw new Error('a header whose name is no text');
    if (value === null) headers.push([name, null]);
    else if (value instanceof Uint8Array) headers.push([name, Buffer.from(value)]);
  }
  return headers;
}
