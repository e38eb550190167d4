import type { OutgoingMessage } from '../kafka/publisher.js';
import { ackHeaders, ackValues, type AckStatus, type Rejection } from '../records/ack.js';
import type { RecordSource } from '../records/record.js';
import type { SourcedRecord } from './batchInsert.js';

/** A record whose fate is decided. */
export interface Answered extends SourcedRecord {
  readonly rejection?: Rejection;
}

/** The acknowledgements of records, one by one as they are asked for: a batch's would take as much memory as the batch. */
export function* ackMessages(
  answered: readonly Answered[],
  copyHeaders: readonly string[],
  status: AckStatus,
  batch: string,
): Iterable<OutgoingMessage> {
  const valuesOf = new Map<RecordSource, ReturnType<typeof ackValues>>();
  for (const { source, record, rejection } of answered) {
    let value = valuesOf.get(source);
    if (value === undefined) {
      value = ackValues(source, status, batch);
      valuesOf.set(source, value);
    }
    const headers = ackHeaders(record, copyHeaders);
    const message = { key: record.key, value: value(record.offset, rejection) };
    yield headers === undefined ? message : { ...message, headers };
  }
}
