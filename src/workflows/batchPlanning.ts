import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type { AcceptedChunk } from '../protocol/batcher.js';
import { chunkBytes, type BufferedChunk } from '../protocol/chunk.js';
import type { ChunkWithBody } from '../protocol/chunkBodies.js';
import {
  BATCH_FORMATS,
  STORED_ONCE_BYTES_MIN,
  STORED_ONCE_SHARE_MIN,
  type BatchFormat,
  type BatchSpec,
} from '../protocol/flush.js';
import { isRequestSource } from '../protocol/request.js';
import { BATCH_RECORDS_DEFAULT, type BatchLimits } from '../protocol/settings.js';
import { encodedLimit } from './limits.js';

/**
 * Divides chunks into batches, in order. Returns the number of chunks in each. A batch keeps to the limits, or has one
 * chunk.
 */
export function planBatches(chunks: readonly Buffered[], limits: BatchLimits): number[] {
  return [...batchSizes(chunks, limits)];
}

/**
 * The limits for batches that a closed run has not begun. Its own ones may have been tiny for a while, as
 * `batch.maxRecords: 1`. Then its heir would insert thousands of batches, one after the other. Within these limits a
 * worker has room for a batch in any case: a single record may have as many bytes.
 */
export function inheritedLimits(limits: BatchLimits): BatchLimits {
  return {
    ...limits,
    maxRecords: Math.max(limits.maxRecords, BATCH_RECORDS_DEFAULT),
    maxBytes: Math.max(limits.maxBytes, INHERITED_BYTES_MIN),
  };
}

/** Bytes of a record that every topic takes by default. Less than the default of `batch.maxBytes`, which bounds memory. */
const INHERITED_BYTES_MIN = 1024 * 1024;

/** A chunk in the buffer. */
export type Buffered = ChunkWithBody<AcceptedChunk>;

/**
 * The first number of {@link planBatches}, or 0 without chunks. It reads no more chunks than it needs, because there
 * may be thousands.
 */
export function firstBatchSize(chunks: readonly Buffered[], limits: BatchLimits): number {
  const [size = 0] = batchSizes(chunks, limits);
  return size;
}

function* batchSizes(chunks: readonly Buffered[], limits: BatchLimits): Generator<number, void> {
  const { maxRecords, maxBytes } = limits;
  const maxEncodedBytes = encodedLimit('batchEncodedBytes', limits);
  let size = 0;
  let records = 0;
  let bytes = 0;
  let encodedBytes = 0;
  for (const buffered of chunks) {
    const chunkEncodedBytes = encodedBytesOf(buffered);
    records += buffered.chunk.records;
    bytes += buffered.chunk.bytes;
    encodedBytes += chunkEncodedBytes;
    const full = records > maxRecords || bytes > maxBytes || encodedBytes > maxEncodedBytes;
    if (full && size > 0) {
      yield size;
      size = 0;
      records = buffered.chunk.records;
      bytes = buffered.chunk.bytes;
      encodedBytes = chunkEncodedBytes;
    }
    size++;
  }
  if (size > 0) yield size;
}

/** Bytes that a chunk in the buffer adds to a payload. */
export function encodedBytesOf({ chunk: { segments, keep }, body }: Buffered): number {
  return chunkBytes(segments, keep, body.length);
}

/** Makes a batch of chunks. Their bodies travel beside it, see `chunkBodies.ts`. */
export function batchSpec(
  taken: readonly Buffered[],
  batch: Pick<BatchSpec, 'format' | 'pipeline' | 'batcher' | 'number' | 'reason' | 'runs' | 'destination' | 'sealed'>,
): BatchSpec {
  const { format, pipeline, batcher, number, reason, runs, destination, sealed } = batch;
  return {
    format,
    pipeline,
    batcher,
    number,
    id: batchId(batcher, taken),
    reason,
    runs,
    destination,
    ...(sealed === true ? { sealed } : {}),
    chunks: taken.map(({ chunk: { segments, keep, records, bytes, bodyBytes, encrypted } }) => {
      return { segments, keep, records, bytes, bodyBytes, ...(encrypted === true ? { encrypted } : {}) };
    }),
  };
}

/**
 * How a batch of these chunks is stored: once, if it is a good part of the history that a worker reads to find it. The
 * bytes of a row from a workflow are made here, with the time of the workflow task, which is in no signal. So a batch
 * with such a row has its bodies with it.
 */
export function formatOf(taken: readonly Buffered[], { storesOnce }: BatchLimits, historyBytes: number): BatchFormat {
  const bytes = taken.reduce((sum, { body }) => sum + body.length, 0);
  const isLarge = bytes >= Math.max(STORED_ONCE_BYTES_MIN, historyBytes * STORED_ONCE_SHARE_MIN);
  const isOnce = storesOnce === true && isLarge && !taken.some(isOfWorkflow);
  return isOnce ? BATCH_FORMATS.storedOnce : BATCH_FORMATS.withBodies;
}

function isOfWorkflow({ chunk: { segments } }: Buffered): boolean {
  return segments.some(isRequestSource);
}

/**
 * Hash of the identities in a batch. It hashes ranges of offsets, because a batcher's part of a range is always the
 * same records.
 */
export function batchId(workflowId: string, taken: readonly { readonly chunk: BufferedChunk }[]): string {
  const ranges = taken.map(({ chunk: { segments, keep } }) =>
    segments.map(({ topic, partition, epoch, from, to }, index) => [
      topic,
      partition,
      epoch,
      keep[index] ?? [[from, to]],
    ]),
  );
  return bytesToHex(sha256(utf8ToBytes(JSON.stringify([workflowId, ranges])))).slice(0, BATCH_ID_HEX_DIGITS);
}

/** 128 bits. */
const BATCH_ID_HEX_DIGITS = 32;
