import { setAsideBecause } from '../protocol/ack.js';
import { markOf } from '../codecs/chunkCodec.js';
import { encodablePart } from '../codecs/encodable.js';
import {
  isStub,
  NO_HEADERS,
  recordBytes,
  type KafkaRecord,
  type RecordHeader,
  type RecordSource,
} from '../protocol/record.js';
import { ownBytes } from '../lib/ownBytes.js';
import { REPLY_HEADERS } from '../protocol/replyRequest.js';
import type { BatcherSettings } from '../protocol/settings.js';
import type { Metrics } from '../telemetry/metrics.js';
import { publishDeadLetters } from './deadLetters.js';
import type { Publisher } from './publisher.js';

/** A stub keeps the key and headers, so that the acknowledgement can be sent. A key over this size is left out. */
const STUB_KEY_BYTES_MAX = 16 * 1024;
/** Names and values of all headers together. Headers that do not fit are left out. */
const STUB_HEADERS_BYTES_MAX = 16 * 1024;
/** Bytes that a header counts besides name and value, because there may be many small ones. */
const HEADER_OVERHEAD_BYTES = 16;

/**
 * Makes a function that sets a record aside which is too large for any signal, or cannot be packed. It publishes the
 * record's dead letter and returns the stub that takes the record's place in the lane. So the record is acknowledged in
 * its turn. If this is repeated, there is a second dead letter, and nothing is lost.
 *
 * If even a stub is refused as too large, its dead letter exists already. It is returned without key and headers.
 */
export function createSetAside(publisher: Publisher, { pipeline, destination }: BatcherSettings, metrics: Metrics) {
  return async (source: RecordSource, original: KafkaRecord): Promise<KafkaRecord> => {
    const record = encodablePart(original);
    if (isStub(record)) return { ...record, key: null, headers: NO_HEADERS };
    const tooLargeBytes = record === original ? recordBytes(record) : 0;
    const rejection = setAsideBecause(tooLargeBytes);
    await publishDeadLetters(publisher, destination.deadLetterTopic, pipeline, [{ source, record, rejection }]);
    metrics.deadLetters.inc({ pipeline, code: rejection.code });
    return toStub(record, tooLargeBytes);
  };
}

function toStub(record: KafkaRecord, tooLargeBytes: number): KafkaRecord {
  const { offset, timestampMs, key } = record;
  return {
    offset,
    timestampMs,
    key: key !== null && key.length > STUB_KEY_BYTES_MAX ? null : ownBytes(key),
    value: null,
    headers: headersOfStub(record),
    tooLargeBytes,
    originalCrc32: markOf(record).crc32,
  };
}

/**
 * Keeps first the headers that say where the acknowledgement is awaited, then as many others as there is room for, in
 * the record's order.
 */
function headersOfStub({ headers }: KafkaRecord): readonly RecordHeader[] {
  const kept = new Set<RecordHeader>();
  let room = STUB_HEADERS_BYTES_MAX;
  const keep = (header: RecordHeader): void => {
    const bytes = Buffer.byteLength(header[0]) + (header[1]?.length ?? 0) + HEADER_OVERHEAD_BYTES;
    if (bytes > room || kept.has(header)) return;
    kept.add(header);
    room -= bytes;
  };
  for (const name of Object.values(REPLY_HEADERS)) {
    const last = headers.findLast(([own]) => own === name);
    if (last !== undefined) keep(last);
  }
  for (const header of headers) keep(header);
  if (kept.size === 0) return NO_HEADERS;
  return headers.filter((header) => kept.has(header)).map(([name, value]) => [name, ownBytes(value)]);
}
