import { lastHeader, type KafkaRecord, type RecordSource } from './record.js';
import { isNestRequest, REPLY_HEADERS } from './replyRequest.js';

/** Why a record was rejected. Codes are stable: programs may branch on them. */
export const REJECTION_CODES = {
  notJson: 'not_json',
  notObject: 'not_object',
  notText: 'not_text',
  noValue: 'no_value',
  unknownField: 'unknown_field',
  reservedField: 'reserved_field',
  outOfRange: 'out_of_range',
  tooLarge: 'record_too_large',
  unencodable: 'record_not_encodable',
  refused: 'refused_by_clickhouse',
  retriesExhausted: 'retries_exhausted',
  parked: 'parked',
  noTable: 'no_table',
} as const;
export type RejectionCode = (typeof REJECTION_CODES)[keyof typeof REJECTION_CODES];

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
 * Makes the JSON values of acknowledgements:
 * `{"status":"inserted","topic":"orders","partition":3,"offset":12345,"batch":"…"}`. A rejection also has `code` and
 * `message`. The part that all records of a partition share is built once, because acknowledgements are the most
 * expensive step.
 */
export function ackValues(
  { topic, partition }: Pick<RecordSource, 'topic' | 'partition'>,
  status: AckStatus,
  batch: string,
) {
  const head = `{"status":"${status}","topic":${JSON.stringify(topic)},"partition":${partition},"offset":`;
  const tail = `,"batch":${JSON.stringify(batch)}`;
  return (offset: number, rejection?: Rejection): string => {
    if (rejection === undefined) return `${head}${offset}${tail}}`;
    return `${head}${offset}${tail},"code":"${rejection.code}","message":${JSON.stringify(rejection.message)}}`;
  };
}

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
 * @param value the acknowledgement's value: the error that a NestJS caller gets for a rejected record
 */
export function ackHeaders(
  { headers }: KafkaRecord,
  copyHeaders: readonly string[],
  rejected: boolean,
  value: string,
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
    if (rejected) copied[NEST_ERROR] = Buffer.from(value);
    else if (isNestRequest(headers)) copied[NEST_DISPOSED] = DISPOSED;
  }
  return Object.keys(copied).length === 0 ? undefined : copied;
}
