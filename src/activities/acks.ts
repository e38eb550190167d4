import type { OutgoingMessage } from '../kafka/outgoingMessage.js';
import type { MessageRefusal } from '../kafka/messageRefusal.js';
import { ackHeaders, ackValues, type AckStatus, type Rejection } from '../protocol/ack.js';
import { placeName, type RecordPlace, type RecordSource, type SourcedRecord } from '../protocol/record.js';
import { REPLY_HEADERS } from '../protocol/replyRequest.js';

/** A record whose answer is decided, with its rejection if it was rejected. */
export interface DecidedRecord extends SourcedRecord {
  readonly rejection?: Rejection;
  /** The partition for its acknowledgement. Without one the key decides. */
  readonly replyPartition?: number;
}

/**
 * Makes the acknowledgements of records, one by one as they are needed. All of a batch would take as much memory as the
 * batch.
 */
export function* ackMessages(
  records: readonly DecidedRecord[],
  copyHeaders: readonly string[],
  status: AckStatus,
  batch: string,
): Iterable<OutgoingMessage> {
  const valuesOf = new Map<RecordSource, ReturnType<typeof ackValues>>();
  for (const { source, record, rejection, replyPartition } of records) {
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

/** Header of an acknowledgement that was too large for its topic, so that its key and copied headers were left out. */
const ACK_REDUCED = 'ktb.ack.reduced';
/** Header of an acknowledgement whose key the topic refused. Its key is the record's topic, partition and offset. */
const ACK_KEYED = 'ktb.ack.keyed';

/**
 * The acknowledgement to publish in place of one that its topic refuses. If it was too large, only the value is kept,
 * and the correlation id if that is short. If it was not valid, for example without a key in a compacted topic, it gets
 * another key, and after that loses its headers. Undefined if there is nothing left to try.
 */
export function amendAck(message: OutgoingMessage, refusal: MessageRefusal): OutgoingMessage | undefined {
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

/** Correlation ids have some ten bytes. A longer one than this may be the reason why the message was too large. */
const CORRELATION_ID_BYTES_MAX = 1_024;
