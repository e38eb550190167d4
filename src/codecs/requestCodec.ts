import type { AckStatus, Rejection } from '../protocol/ack.js';
import { lastHeader, type KafkaRecord, type RecordHeader, type RecordSource } from '../protocol/record.js';
import {
  CONFIRMATION_FORMAT,
  hasWholeCharacters,
  type BufferedRequest,
  type Unconfirmed,
} from '../protocol/request.js';

/**
 * Headers that say whom to answer when a request has become a record. They come after the request's own headers,
 * because the last one of a name counts.
 */
const ID_HEADER = 'ktb-request-id';
const REQUESTER_HEADER = 'ktb-requester';

/**
 * Decodes a request's chunk as a record for the insert. It is a stub, which is rejected, if the request was too large, or
 * has a text that bytes cannot hold.
 */
export function decodeRequest(body: Uint8Array, offset: number): KafkaRecord {
  const request = JSON.parse(new TextDecoder().decode(body)) as BufferedRequest;
  const { id, requester, value, key = null, headers = {}, atMs } = request;
  const tooLargeBytes = request.tooLargeBytes ?? (hasWholeCharacters(request) ? undefined : NOT_ENCODABLE);
  const requesting: RecordHeader[] = [
    [ID_HEADER, Buffer.from(id)],
    [REQUESTER_HEADER, Buffer.from(requester)],
  ];
  if (tooLargeBytes !== undefined)
    return { offset, timestampMs: atMs, key: null, value: null, headers: requesting, tooLargeBytes };
  const own = Object.entries(headers).map(([name, text]): RecordHeader => [name, Buffer.from(text)]);
  return {
    offset,
    timestampMs: atMs,
    key: key === null ? null : Buffer.from(key),
    value: Buffer.from(value),
    headers: [...own, ...requesting],
  };
}

/** See `tooLargeBytes` of a record. */
const NOT_ENCODABLE = 0;

/** The confirmation that the requester gets for a record that was a request. */
export function confirmationOf(
  { topic, partition, epoch }: RecordSource,
  { offset, headers }: KafkaRecord,
  outcome: { readonly status: AckStatus; readonly batch: string; readonly rejection?: Rejection | undefined },
): Unconfirmed {
  const { status, batch, rejection } = outcome;
  return {
    requester: lastHeader(headers, REQUESTER_HEADER)?.toString() ?? '',
    confirmation: {
      format: CONFIRMATION_FORMAT,
      id: lastHeader(headers, ID_HEADER)?.toString() ?? '',
      status,
      topic,
      partition,
      offset,
      epoch,
      batch,
      ...(rejection === undefined ? {} : { code: rejection.code, message: rejection.message }),
    },
    attempts: 0,
  };
}
