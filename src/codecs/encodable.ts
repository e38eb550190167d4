import { PackedRecord } from '../protocol/packedRecord.js';
import { NO_TIMESTAMP, type KafkaRecord, type RecordHeader } from '../protocol/record.js';

/** A record that could not be read again after packing. It has to be set aside. A retry does not help. */
export class UnencodableRecordError extends Error {
  override readonly name = 'UnencodableRecordError';
}

/**
 * Whether a record can be packed and read again. The types promise all of this. But msgpackr packs anything, and only
 * unpacking would show that the value was wrong.
 */
export function isEncodable(record: KafkaRecord): boolean {
  return (
    Number.isSafeInteger(record.offset) &&
    Number.isInteger(record.timestampMs) &&
    // A packed record has only bytes.
    (record instanceof PackedRecord || (isBytesOrNull(record.key) && isBytesOrNull(record.value))) &&
    record.headers.every(isEncodableHeader)
  );
}

/**
 * The part of a record that can be packed: the record itself, or a copy without the timestamp, key, value and headers
 * that cannot be packed. An invalid offset is kept.
 */
export function encodablePart(record: KafkaRecord): KafkaRecord {
  if (isEncodable(record)) return record;
  const { offset, timestampMs, key, value, headers, tooLargeBytes, originalCrc32 } = record;
  return {
    offset,
    timestampMs: Number.isInteger(timestampMs) ? timestampMs : NO_TIMESTAMP,
    key: isBytesOrNull(key) ? key : null,
    value: isBytesOrNull(value) ? value : null,
    headers: headers.filter(isEncodableHeader),
    ...(tooLargeBytes === undefined ? {} : { tooLargeBytes }),
    ...(originalCrc32 === undefined ? {} : { originalCrc32 }),
  };
}

function isEncodableHeader([name, bytes]: RecordHeader): boolean {
  return typeof name === 'string' && isBytesOrNull(bytes);
}

function isBytesOrNull(bytes: unknown): boolean {
  return bytes === null || bytes instanceof Uint8Array;
}
