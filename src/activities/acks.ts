import type { OutgoingMessage } from '../kafka/publisher.js';
import { ackHeaders, ackValues, type AckStatus, type Rejection } from '../records/ack.js';
import type { RecordSource } from '../records/record.js';
import { REPLY_HEADERS } from '../records/replyRequest.js';
import type { SourcedRecord } from './batchInsert.js';

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

/**
 * What is left of an acknowledgement that is too large for its topic: its value, and the correlation id if it is short.
 * Undefined where even that is too large.
 */
export function reducedAck({ value, partition, headers = {} }: OutgoingMessage): OutgoingMessage | undefined {
  if (ACK_REDUCED in headers) return undefined;
  const correlationId = headers[REPLY_HEADERS.correlationId];
  const keepsId = correlationId !== undefined && correlationId.length <= CORRELATION_ID_BYTES_MAX;
  return {
    key: null,
    value,
    headers: { ...(keepsId ? { [REPLY_HEADERS.correlationId]: correlationId } : {}), [ACK_REDUCED]: '1' },
    ...(partition === undefined ? {} : { partition }),
  };
}

/** A correlation id is some ten bytes long; one that is longer than this may be what made the message too large. */
const CORRELATION_ID_BYTES_MAX = 1_024;
