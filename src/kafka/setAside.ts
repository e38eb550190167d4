import { setAsideBecause } from '../protocol/ack.js';
import { markOf } from '../codecs/chunkCodec.js';
import { encodablePart } from '../codecs/columns.js';
import {
  isStub,
  NO_HEADERS,
  recordBytes,
  type KafkaRecord,
  type RecordHeader,
  type RecordSource,
} from '../protocol/record.js';
import { REPLY_HEADERS } from '../protocol/replyRequest.js';
import type { BatcherSettings } from '../protocol/settings.js';
import type { Metrics } from '../telemetry/metrics.js';
import { publishDeadLetters } from './deadLetters.js';
import type { Publisher } from './publisher.js';

/** What of key and headers a stub keeps, so that the acknowledgement finds its way. A key that is larger is left out. */
const STUB_KEY_BYTES_MAX = 16 * 1024;
/** Names and values of all headers together; those that do not fit are left out. */
const STUB_HEADERS_BYTES_MAX = 16 * 1024;
/** What a header takes beside name and value: many small ones must not add up. */
const HEADER_OVERHEAD_BYTES = 16;

/**
 * Puts a record that is too large for any signal, or that no chunk can carry, on the dead-letter topic and gives the stub that takes
 * its place in the lane, so that it is acknowledged in its turn. Repeating it publishes a second dead letter and loses nothing.
 *
 * A stub that is refused as too large has its dead letter already: it comes back without key and headers.
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
    key: key !== null && key.length > STUB_KEY_BYTES_MAX ? null : key,
    value: null,
    headers: headersOfStub(record),
    tooLargeBytes,
    originalCrc32: markOf(record).crc32,
  };
}

/** First what says where the acknowledgement is awaited, then as many others as there is room for, in the record's order. */
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
  return kept.size === 0 ? NO_HEADERS : headers.filter((header) => kept.has(header));
}
