import { lastHeader, type KafkaRecord } from './record.js';
import { isNestRequest, REPLY_HEADERS } from './replyRequest.js';

/** Why a record was rejected. Codes are stable: programs may branch on them. */
export const REJECTION_CODES = {
  notJson: 'not_json',
  notObject: 'not_object',
  notText: 'not_text',
  undecodable: 'undecodable',
  noEnvelope: 'no_envelope',
  noValue: 'no_value',
  unknownField: 'unknown_field',
  reservedField: 'reserved_field',
  missingValue: 'missing_value',
  outOfRange: 'out_of_range',
  tooLarge: 'record_too_large',
  unencodable: 'record_not_encodable',
  refused: 'refused_by_clickhouse',
  retriesExhausted: 'retries_exhausted',
  parked: 'parked',
  noTable: 'no_table',
  noSuchTable: 'no_such_table',
} as const;

/** Stands for a record that the pipeline's `where` leaves out. It is skipped and acknowledged as that: nobody sees the code. */
export const LEFT_OUT = 'left_out';

export type RejectionCode = (typeof REJECTION_CODES)[keyof typeof REJECTION_CODES] | typeof LEFT_OUT;

/** Why one record was rejected. `message` may be shown to whoever sent the record: it contains no value of it. */
export interface Rejection {
  readonly code: RejectionCode;
  readonly message: string;
}

/** @param bytes of the record, see `recordBytes` */
function tooLarge(bytes: number): Rejection {
  const message = `the record has ${bytes} bytes, more than Temporal can carry at once`;
  return { code: REJECTION_CODES.tooLarge, message };
}

/**
 * Why a record was set aside before it got to a batcher.
 *
 * @param tooLargeBytes `tooLargeBytes` of its stub. 0 means that the record was not too large, but could not be encoded
 */
export function setAsideBecause(tooLargeBytes: number): Rejection {
  if (tooLargeBytes > 0) return tooLarge(tooLargeBytes);
  const message =
    'the record has a timestamp, key, value or header that no signal to Temporal can carry, such as half of a character (an unpaired surrogate)';
  return { code: REJECTION_CODES.unencodable, message };
}

export const ACK_STATUSES = ['inserted', 'rejected', 'skipped'] as const;
export type AckStatus = (typeof ACK_STATUSES)[number];

/**
 * Headers that NestJS's `ClientKafka` looks for. The first says that the reply is an error, and contains it. The second
 * ends the observable that the caller waits on.
 *
 * Source: `KafkaHeaders`, `KafkaResponseDeserializer` and `ServerKafka.sendMessage` in @nestjs/microservices.
 */
const NEST_ERROR = 'kafka_nest-err';
const NEST_DISPOSED = 'kafka_nest-is-disposed';
const DISPOSED = Buffer.alloc(1);

/**
 * Headers of an acknowledgement: the correlation id, byte for byte; the headers that the pipeline copies; and those
 * that NestJS's client looks for. Undefined if there are none.
 *
 * @param error the acknowledgement's value, if the record is rejected: the error that a NestJS caller gets
 */
export function ackHeaders(
  { headers }: KafkaRecord,
  copyHeaders: readonly string[],
  error: Buffer | undefined,
): Record<string, Buffer> | undefined {
  if (headers.length === 0) return undefined;
  const copied = Object.create(null) as Record<string, Buffer>;
  for (const name of copyHeaders) {
    const bytes = lastHeader(headers, name);
    if (bytes) copied[name] = bytes;
  }
  const correlationId = lastHeader(headers, REPLY_HEADERS.correlationId);
  if (correlationId) {
    copied[REPLY_HEADERS.correlationId] = correlationId;
    if (error !== undefined) copied[NEST_ERROR] = error;
    else if (isNestRequest(headers)) copied[NEST_DISPOSED] = DISPOSED;
  }
  return Object.keys(copied).length === 0 ? undefined : copied;
}
