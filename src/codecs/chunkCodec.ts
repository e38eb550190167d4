import { crc32 } from '../lib/crc32.js';
import { packCompressed, unpackCompressed, UnpackRoom } from './packing.js';
import {
  CHUNK_FORMAT,
  hasOffset,
  type ChunkMeta,
  type OffsetRange,
  type RecordMark,
  type Segment,
} from '../protocol/chunk.js';
import { encodeColumns, type SegmentColumns } from './encodeColumns.js';
import type { RecordColumns } from './recordColumns.js';
import { Scratch } from './scratch.js';
import { decodeColumns } from './decodeColumns.js';
import type { KafkaRecord, RecordSource } from '../protocol/record.js';
import type { BatcherSettings } from '../protocol/settings.js';

/** Records of one partition on their way into a chunk. */
export interface SegmentRecords extends RecordSource {
  readonly from: number;
  readonly to: number;
  /** In order. */
  readonly columns: readonly RecordColumns[];
  /** See `Segment.fill`. */
  readonly fill?: boolean;
  /** Of the offset `to`, see `RecordMark`. Null if it is not known. */
  readonly leaderEpoch?: number | null;
}

/** The records of one segment of a chunk. */
export interface DecodedSegment extends RecordSource {
  readonly records: KafkaRecord[];
}

export interface EncodedChunk {
  readonly meta: ChunkMeta;
  readonly body: Buffer;
}

/** A chunk without records, which brings a batcher its settings. */
export function settingsChunk(settings: BatcherSettings): EncodedChunk {
  const { meta, body } = encodeChunk([]);
  return { meta: { ...meta, settings }, body };
}

/** A body that cannot be read, because it is damaged, too large, or of another version. A retry does not help. */
export class ChunkCorruptError extends Error {
  override readonly name = 'ChunkCorruptError';
}

/** For what is copied together before it is packed. */
const scratch = new Scratch();

/**
 * Packs records into a chunk. The records of each segment keep their order.
 *
 * @throws UnencodableRecordError
 */
export function encodeChunk(segments: readonly SegmentRecords[]): EncodedChunk {
  const metas: Segment[] = [];
  const packed: SegmentColumns[] = [];
  let totalRecords = 0;
  let totalBytes = 0;
  scratch.reset();
  for (const { topic, partition, epoch, from, to, columns, fill = false, leaderEpoch = null } of segments) {
    let records = 0;
    let bytes = 0;
    for (const part of columns) {
      records += part.length;
      bytes += part.bytes;
    }
    const last = columns.at(-1)?.last;
    metas.push({
      topic,
      partition,
      epoch,
      from,
      to,
      records,
      bytes,
      ...(last === undefined ? {} : { mark: { ...markOf(last), ...(leaderEpoch === null ? {} : { leaderEpoch }) } }),
      ...(fill ? { fill } : {}),
    });
    packed.push(encodeColumns(columns, scratch));
    totalRecords += records;
    totalBytes += bytes;
  }
  const body = packCompressed(packed);
  const meta = {
    format: CHUNK_FORMAT,
    crc32: crc32(body),
    records: totalRecords,
    bytes: totalBytes,
    segments: metas,
  };
  return { meta: meta as ChunkMeta, body };
}

/**
 * The mark of a record, see `RecordMark`. A stub has the checksum of the original record, because it is compared with
 * the log.
 */
export function markOf({ offset, timestampMs, key, value, originalCrc32 }: KafkaRecord): RecordMark {
  return { offset, timestampMs, crc32: originalCrc32 ?? crc32(value ?? NOTHING, crc32(key ?? NOTHING)) };
}

const NOTHING = new Uint8Array(0);

/**
 * Decodes the records of a chunk.
 *
 * @param keep the wanted ranges of each segment, null for all of it; see `BufferedChunk.keep`
 * @param room for all that is decoded together
 * @throws ChunkCorruptError
 */
export function decodeChunk(
  segments: readonly Segment[],
  body: Uint8Array,
  keep?: readonly (readonly OffsetRange[] | null)[],
  room = new UnpackRoom(),
): DecodedSegment[] {
  const bySegment = decodeBody(body, room);
  if (bySegment.length !== segments.length) {
    throw new ChunkCorruptError(`the body has ${bySegment.length} segments, its metadata ${segments.length}`);
  }
  return segments.map(({ topic, partition, epoch }, index) => {
    const records = bySegment[index] as KafkaRecord[];
    const ranges = keep?.[index] ?? null;
    return { topic, partition, epoch, records: ranges === null ? records : within(records, ranges) };
  });
}

/**
 * Decodes the records of a body without its metadata, by segment.
 *
 * @throws ChunkCorruptError
 */
export function decodeBody(body: Uint8Array, room = new UnpackRoom()): KafkaRecord[][] {
  try {
    const segments = unpackCompressed(body, room) as SegmentColumns[];
    return segments.map((columns) => decodeColumns(columns, room));
  } catch (error) {
    throw new ChunkCorruptError('the body cannot be decompressed and unpacked', { cause: error });
  }
}

function within(records: KafkaRecord[], ranges: readonly OffsetRange[]): KafkaRecord[] {
  return records.filter(({ offset }) => hasOffset(ranges, offset));
}
