import type { BatcherSettings } from './settings.js';
import type { RecordSource } from './record.js';

/**
 * A chunk is what one signal carries from the consumer to a batcher: this metadata, readable in the Temporal UI, and
 * beside it the records as one opaque body (see `chunkCodec.ts`). A batcher decides everything from the metadata; it
 * never parses a record.
 */
export interface ChunkMeta {
  readonly format: typeof CHUNK_FORMAT;
  /** CRC-32 of the body as it travels (compressed). */
  readonly crc32: number;
  /** Records in the body, over all segments. */
  readonly records: number;
  /** What the records count in `batch.maxBytes`: their payload before compression. */
  readonly bytes: number;
  readonly segments: readonly Segment[];
  /** The sender's view of the batcher's settings; present in the first chunk of each lane, the latest one counts. */
  readonly settings?: BatcherSettings;
}

/**
 * The part of a chunk that comes from one partition.
 *
 * `(from, to]` is the range of offsets that the segment covers *for this batcher*: each record of the range whose key
 * belongs to the batcher is in the segment. A range therefore names the same records whoever sends it.
 */
export interface Segment extends RecordSource {
  /** The offset before the first one covered. */
  readonly from: number;
  /** The last offset covered. */
  readonly to: number;
  readonly records: number;
  readonly bytes: number;
  /** The last record of the segment: by it the log is known again when the group's offsets are gone. */
  readonly mark?: RecordMark;
  /**
   * True where a rewind fills holes: the batcher takes the records although it may have had them before, and the insert
   * leaves out what the table has.
   */
  readonly fill?: true;
}

/** What tells a record from another one at the same offset of another log. */
export interface RecordMark {
  readonly offset: number;
  readonly timestampMs: number;
  /** CRC-32 of key and value. */
  readonly crc32: number;
}

/** Version of the chunk's format: metadata and body together. A batcher refuses what it does not know, and loses nothing. */
export const CHUNK_FORMAT = 'ktb-chunk/1';

/** A range of offsets: greater than the first, up to and including the second. */
export type OffsetRange = readonly [from: number, to: number];

/**
 * A chunk as a batcher buffers it and gives it to a flush. `keep` has an entry per segment: null for all of it, or the
 * ranges that had not been accepted before (an empty list: nothing of it). `records` and `bytes` are the whole chunk's all the
 * same, since a batcher cannot look into it: by the limits of a batch such a chunk, which only a redelivery brings, is
 * larger than it is, and flushed earlier.
 */
export interface BufferedChunk {
  readonly segments: readonly Segment[];
  readonly keep: readonly (readonly OffsetRange[] | null)[];
  readonly records: number;
  readonly bytes: number;
  readonly bodyBytes: number;
}
