import { tooLarge } from '../records/ack.js';
import { markOf } from '../records/chunkCodec.js';
import { NO_HEADERS, recordBytes, type KafkaRecord, type RecordSource } from '../records/record.js';
import { REPLY_HEADERS } from '../records/replyRequest.js';
import type { BatcherSettings } from '../records/settings.js';
import type { Metrics } from '../telemetry/metrics.js';
import { publishDeadLetters } from './deadLetters.js';
import type { Publisher } from './publisher.js';

/** What of key and headers a stub keeps, so that the acknowledgement finds its way; larger ones are left out. */
const STUB_PART_BYTES_MAX = 16 * 1024;
const STUB_HEADERS_MAX = 32;

/**
 * Puts a record that is too large for any signal on the dead-letter topic and gives the stub that takes its place in the
 * lane, so that it is acknowledged in its turn. Repeating it publishes a second dead letter and loses nothing.
 */
export function createSetAside(publisher: Publisher, { pipeline, destination }: BatcherSettings, metrics: Metrics) {
  return async (source: RecordSource, record: KafkaRecord): Promise<KafkaRecord> => {
    const tooLargeBytes = recordBytes(record);
    const rejection = tooLarge(tooLargeBytes);
    await publishDeadLetters(publisher, destination.deadLetterTopic, pipeline, [{ source, record, rejection }]);
    metrics.deadLetters.inc({ pipeline, code: rejection.code });
    return toStub(record, tooLargeBytes);
  };
}

function toStub(record: KafkaRecord, tooLargeBytes: number): KafkaRecord {
  const { offset, timestampMs, key, headers } = record;
  const small = (bytes: Buffer | null): boolean => bytes === null || bytes.length <= STUB_PART_BYTES_MAX;
  const smallOnes = headers.filter(([, value]) => small(value));
  const kept = smallOnes.slice(0, STUB_HEADERS_MAX);
  for (const name of Object.values(REPLY_HEADERS)) {
    const last = smallOnes.findLast(([own]) => own === name);
    if (last !== undefined && !kept.includes(last)) kept.push(last);
  }
  return {
    offset,
    timestampMs,
    key: small(key) ? key : null,
    value: null,
    headers: kept.length === 0 ? NO_HEADERS : kept,
    tooLargeBytes,
    originalCrc32: markOf(record).crc32,
  };
}
