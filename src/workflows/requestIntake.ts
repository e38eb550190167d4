import type { RecordSource } from '../protocol/record.js';
import {
  CONFIRMATION_FORMAT,
  encodeRequest,
  requestSource,
  type RequestVerdict,
  type RowRequest,
  type Unconfirmed,
} from '../protocol/request.js';
import { encodedBytesOf, type Buffered } from './batchPlanning.js';
import type { Requests } from './requests.js';

/** What happens to a request that arrives. */
export type RequestIntake =
  | { readonly type: 'new'; readonly buffered: Buffered }
  /** It was accepted before. Its confirmation follows when its batch is done. */
  | { readonly type: 'pending' }
  /** It was answered before. The answer is sent again. */
  | { readonly type: 'answered'; readonly unconfirmed: Unconfirmed };

/**
 * Accepts a workflow's request. A new request becomes a chunk of one record, whose source is the batcher itself. One
 * that was answered before gets the same answer. Pure, except that the request's name is remembered.
 *
 * @param workflowId the batcher's
 * @param fits whether a batch has room for a chunk of so many bytes. A request without room is too large
 */
export function takeRequest(
  requests: Requests,
  workflowId: string,
  request: RowRequest,
  nowMs: number,
  fits: (encodedBytes: number) => boolean,
): RequestIntake {
  const judgement = requests.accept(request, nowMs);
  switch (judgement.type) {
    case 'new':
      return { type: 'new', buffered: toChunk(request, workflowId, requests.epoch, judgement.offset, nowMs, fits) };
    case 'pending':
      return judgement;
    case 'answered': {
      const confirmation = confirmAgain(request.id, workflowId, requests.epoch, judgement.verdict);
      return { type: 'answered', unconfirmed: { requester: request.requester, confirmation, attempts: 0 } };
    }
  }
}

function toChunk(
  request: RowRequest,
  workflowId: string,
  epoch: string,
  offset: number,
  nowMs: number,
  fits: (encodedBytes: number) => boolean,
): Buffered {
  const source = requestSource(workflowId, epoch);
  const whole = chunkOf(encodeRequest(request, nowMs), source, offset, nowMs);
  return fits(encodedBytesOf(whole)) ? whole : chunkOf(encodeRequest(request, nowMs, 0), source, offset, nowMs);
}

function chunkOf(body: Uint8Array, source: RecordSource, offset: number, nowMs: number): Buffered {
  const counted = { records: 1, bytes: body.length };
  const segment = { ...source, from: offset - 1, to: offset, ...counted };
  const chunk = { segments: [segment], keep: [null], ...counted, bodyBytes: body.length, acceptedAtMs: nowMs };
  return { chunk, body };
}

function confirmAgain(
  id: string,
  workflowId: string,
  epoch: string,
  [offset, verdict]: RequestVerdict,
): Unconfirmed['confirmation'] {
  const source = requestSource(workflowId, epoch);
  const confirmation = { format: CONFIRMATION_FORMAT, id, ...source, offset, batch: null } as const;
  return verdict === 'inserted' || verdict === 'skipped'
    ? { ...confirmation, status: verdict }
    : { ...confirmation, status: 'rejected', code: verdict, message: REJECTED_BEFORE };
}

const REJECTED_BEFORE = 'a request of this id was rejected before; its first confirmation says why';
