import type { OutgoingMessage, Refusal } from '../kafka/publisher.js';
import { ackHeaders, ackValues, type AckStatus, type Rejection } from '../protocol/ack.js';
import { placeName, type RecordPlace, type RecordSource } from '../protocol/record.js';
import { REPLY_HEADERS } from '../protocol/replyRequest.js';
import type { SourcedRecord } from '../clickhouse/batchRows.js';

/** A record whose fate is decided. */
export interface Answered extends SourcedRecord {
  readonly rejection?: Rejection;
  /** Of the topic that its acknowledgement goes to; without one the key decides. */
  readonly replyPartition?: number;
}

/** The acknowledgements of records, one by one as they are asked for: a batch's would take as much memory as the batch. */
export function* ackMessages(
  answered: readonly Answered[],
  copyHeaders: readonly string[],
  status: AckStatus,
  batch: string,
): Iterable<OutgoingMessage> {
  const valuesOf = new Map<RecordSource, ReturnType<typeof ackValues>>();
  for (const { source, record, rejection, replyPartition } of answered) {
    let valueOf = valuesOf.get(source);
    if (valueOf === undefined) {
      valueOf = ackValues(source, status, batch);
      valuesOf.set(source, valueOf);
    }
    const value = valueOf(record.offset, rejection);
    const headers = ackHeaders(record, copyHeaders, status === 'rejected', value);
    const message = { key: record.key, value };
    if (headers === undefined && replyPartition === undefined) yield message;
    else {
      yield {
        ...message,
        ...(headers === undefined ? {} : { headers }),
        ...(replyPartition === undefined ? {} : { partition: replyPartition }),
      };
    }
  }
}

/** Marks an acknowledgement that was too large for its topic, and went there without its key and copied headers. */
const ACK_REDUCED = 'ktb.ack.reduced';
/** Marks one whose key its topic refused: it has its record's topic, partition and offset in its place. */
const ACK_KEYED = 'ktb.ack.keyed';

/**
 * What to publish instead of an acknowledgement that its topic refuses. One that is too large comes back with its value, and
 * the correlation id if it is short; one that is not valid, as without a key in a compacted topic, with another key, then
 * without headers. Undefined where nothing is left to try.
 */
export function amendAck(message: OutgoingMessage, refusal: Refusal): OutgoingMessage | undefined {
  if (refusal === 'record' && !isMarked(message, ACK_KEYED)) return keyedAck(message);
  return isMarked(message, ACK_REDUCED) ? undefined : reducedAck(message);
}

function isMarked({ headers = {} }: OutgoingMessage, mark: string): boolean {
  return Object.hasOwn(headers, mark);
}

function keyedAck(message: OutgoingMessage): OutgoingMessage {
  const place = JSON.parse(String(message.value)) as RecordPlace;
  return { ...message, key: Buffer.from(placeName(place)), headers: { ...message.headers, [ACK_KEYED]: '1' } };
}

function reducedAck({ key, value, partition, headers = {} }: OutgoingMessage): OutgoingMessage {
  const isKeyed = Object.hasOwn(headers, ACK_KEYED);
  const correlationId = headers[REPLY_HEADERS.correlationId];
  const keepsId = correlationId !== undefined && (correlationId?.length ?? 0) <= CORRELATION_ID_BYTES_MAX;
  return {
    key: isKeyed ? key : null,
    value,
    headers: {
      ...(keepsId ? { [REPLY_HEADERS.correlationId]: correlationId } : {}),
      ...(isKeyed ? { [ACK_KEYED]: '1' } : {}),
      [ACK_REDUCED]: '1',
    },
    ...(partition === undefined ? {} : { partition }),
  };
}

/** A correlation id is some ten bytes long; one that is longer than this may be what made the message too large. */
const CORRELATION_ID_BYTES_MAX = 1_024;
