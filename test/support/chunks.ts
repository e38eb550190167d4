import { encodeChunk, type EncodedChunk } from '../../src/codecs/chunkCodec.js';
import { RecordColumns } from '../../src/codecs/recordColumns.js';
import { CHUNK_FORMAT, type ChunkMeta, type Segment } from '../../src/protocol/chunk.js';
import type { BatcherInput } from '../../src/protocol/batcher.js';
import { BATCHER_FORMAT } from '../../src/protocol/batcher.js';
import type { PackedBatch } from '../../src/codecs/rejectionCodec.js';
import type { KafkaRecord, RecordSource } from '../../src/protocol/record.js';
import type { BatcherSettings, BatchLimits, Mapping } from '../../src/protocol/settings.js';

/** What a pipeline has whose configuration says nothing of it. */
export const DEFAULT_MAPPING: Mapping = { format: 'json', unknownFields: 'ignore', tombstones: 'reject' };

/** Settings of a pipeline, with these limits. */
export function settings(batch: Partial<BatchLimits> = {}): BatcherSettings {
  return {
    pipeline: 'orders',
    continueAsNewAt: { historyBytes: 4 * 1024 * 1024, historyEvents: 4_096 },
    batch: { maxRecords: 1_000, maxBytes: 1_000_000, maxDelayMs: 1_000, ...batch },
    destination: {
      table: 'orders',
      columns: {},
      mapping: DEFAULT_MAPPING,
      reply: { topic: 'orders.replies', copyHeaders: [], allowTopics: [] },
      deadLetterTopic: 'orders.dead-letters',
    },
  };
}

export function input(batch: Partial<BatchLimits> = {}): BatcherInput {
  return { format: BATCHER_FORMAT, settings: settings(batch) };
}

/** A chunk of records that are not in columns yet. */
export function chunkOf(
  ...segments: readonly (RecordSource & {
    readonly from: number;
    readonly to: number;
    readonly records: readonly KafkaRecord[];
  })[]
): EncodedChunk {
  return encodeChunk(segments.map(({ records, ...segment }) => ({ ...segment, columns: [RecordColumns.of(records)] })));
}

/** Metadata of a chunk with a segment a range; each offset of a range is a record of ten bytes. */
export function chunk(...segments: (Partial<Segment> & { from: number; to: number })[]): ChunkMeta {
  const whole = segments.map((segment): Segment => {
    const records = segment.to - segment.from;
    return { topic: 'orders', partition: 0, epoch: 'e1', records, bytes: records * 10, ...segment };
  });
  return {
    format: CHUNK_FORMAT,
    crc32: 0,
    records: whole.reduce((sum, { records }) => sum + records, 0),
    bytes: whole.reduce((sum, { bytes }) => sum + bytes, 0),
    segments: whole,
  };
}

/** For rejected records that are few and small: they never need their batch. */
export const NO_BATCH: PackedBatch = { chunks: [], bodies: new Uint8Array(0), records: [] };
