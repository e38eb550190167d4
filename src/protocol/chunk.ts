import type { BatcherSettings } from './settings.js';
import type { RecordSource } from './record.js';

/**
 * What one signal carries from the consumer to a batcher: this metadata, readable in the Temporal UI, and beside it the
 * records as one opaque body (see `chunkCodec.ts`). A batcher decides everything from the metadata. It never parses a
 * record.
 */
export interface ChunkMeta {
  readonly format: typeof CHUNK_FORMAT;
  /** CRC-32 of the body as it travels (compressed). */
  readonly crc32: number;
  /** Records in the body, over all segments. */
  readonly records: number;
  /** The records' bytes as `batch.maxBytes` counts them: payload before compression. */
  readonly bytes: number;
  readonly segments: readonly Segment[];
  /** Milliseconds that the oldest record has waited in its lane for others. Missing in version 0.1.0. */
  readonly waitedMs?: number;
  /**
   * The batcher's settings, as the sender knows them. Present in the first chunk of each lane. The latest settings
   * count.
   */
  readonly settings?: BatcherSettings;
  /**
   * Set if the sender's settings require encryption: when it has encrypted the chunk (its clock, milliseconds since 1970).
   * Believed only if the chunk came encrypted. So a batcher knows it with the first chunk, even if settings come later.
   */
  readonly requiredAtMs?: number;
}

/**
 * The part of a chunk that comes from one partition.
 *
 * `(from, to]` is the range of offsets that the segment covers *for this batcher*: the segment has each record of the
 * range whose key belongs to the batcher. So a range names the same records, whoever sends it.
 */
export interface Segment extends RecordSource {
  /** The offset before the first one covered. */
  readonly from: number;
  /** The last offset covered. */
  readonly to: number;
  readonly records: number;
  readonly bytes: number;
  /** The last record of the segment. By it the log is recognized again if the group's offsets are gone. */
  readonly mark?: RecordMark;
  /**
   * True if a rewind fills holes. The batcher takes the records although it may have had them before. The insert leaves
   * out what the table has.
   */
  readonly fill?: true;
}

/** Tells a record from another one at the same offset of another log. */
export interface RecordMark {
  readonly offset: number;
  readonly timestampMs: number;
  /** CRC-32 of key and value. */
  readonly crc32: number;
  /** The leader epoch of the last offset that its chunk covers. Absent if that is not known, and in version 0.1.0. */
  readonly leaderEpoch?: number;
}

/**
 * Version of the chunk's format, metadata and body together. A batcher that does not know the format fails its workflow
 * task, so nothing is lost.
 */
export const CHUNK_FORMAT = 'ktb-chunk/1';

/** A range of offsets: after `from`, up to and including `to`. */
export type OffsetRange = readonly [from: number, to: number];

/** Whether one of the ranges has this offset. */
export function hasOffset(ranges: readonly OffsetRange[], offset: number): boolean {
  return ranges.some(([from, to]) => offset > from && offset <= to);
}

/**
 * A chunk as a batcher buffers it and gives it to a flush. `keep` has an entry for each segment: null for all of it, or
 * the ranges that had not been accepted before (an empty list for nothing). `records` and `bytes` always count the
 * whole chunk, because a batcher cannot look into it. So a chunk of which a part is dropped counts as too large, and is
 * flushed earlier. Only a redelivery makes such chunks.
 */
export interface BufferedChunk {
  readonly segments: readonly Segment[];
  readonly keep: readonly (readonly OffsetRange[] | null)[];
  readonly records: number;
  readonly bytes: number;
  readonly bodyBytes: number;
  /** True if it came encrypted, for this batcher. Absent otherwise. */
  readonly encrypted?: true;
}

/** A batcher keeps no more ranges of accepted offsets for each epoch, see `coverage.ts`. */
export const COVERED_RANGES_MAX = 4;

/**
 * Bytes that a chunk adds to a payload: its body, and a generous estimate of its metadata as JSON.
 *
 * @param keep see {@link BufferedChunk}
 */
export function chunkBytes(segments: readonly Segment[], keep: BufferedChunk['keep'], bodyBytes: number): number {
  let bytes = bodyBytes + 100;
  for (const segment of segments) bytes += segmentBytes(segment);
  for (const ranges of keep) bytes += ranges === null ? 5 : RANGE_BYTES * ranges.length;
  return bytes;
}

/** A generous estimate of a segment's metadata as JSON. */
function segmentBytes({ topic, epoch }: RecordSource): number {
  return 200 + topic.length + epoch.length;
}

/**
 * The most bytes that a chunk may add to a payload, whatever part of it the batcher has had before. A batch has at least
 * one chunk, so a chunk must fit into a batch.
 */
export function chunkBytesMax(segments: readonly Segment[], bodyBytes: number): number {
  return chunkBytes(segments, [], bodyBytes) + segments.length * RANGE_BYTES * (COVERED_RANGES_MAX + 1);
}

/** Of a range of offsets as JSON. */
const RANGE_BYTES = 40;
