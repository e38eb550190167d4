import type { Fill } from '../clickhouse/batchRows.js';
import type { BufferedChunk } from '../protocol/chunk.js';
import type { PackedChunks } from '../protocol/chunkBodies.js';
import type { BatchSpec, Parking } from '../protocol/flush.js';
import { sourceName, type SourcedRecord } from '../protocol/record.js';
import { isSkipped } from '../protocol/settings.js';

/** A batch that is being flushed, from this run or a closed one. */
export interface Batch extends Pick<BatchSpec, 'pipeline' | 'id' | 'destination' | 'reason'> {
  /** The chunks that contain all records of the batch, also those that are taken out of `records`. */
  readonly packed: PackedChunks;
  /** A rewind may bring a record more than once, see {@link withoutSkipped}. */
  readonly records: readonly SourcedRecord[];
  /** True if these records may have been inserted before. */
  readonly repeated: boolean;
  /** True if only attempts of this activity can have inserted them. */
  readonly onlyThisActivity: boolean;
  readonly fill: Fill | undefined;
  readonly parking?: Parking;
}

/** Takes out the records that the pipeline skips, and what comes more than once: it has one row, and one answer. */
export function withoutSkipped(batch: Batch): { skipped: readonly SourcedRecord[]; toInsert: Batch } {
  const once = withoutRepetitions(batch);
  const skipped = once.filter(({ record }) => isSkipped(record, batch.destination));
  const records = skipped.length === 0 ? once : once.filter(({ record }) => !isSkipped(record, batch.destination));
  return { skipped, toInsert: { ...batch, records } };
}

/** A rewind may bring a record that the batch has already. */
function withoutRepetitions({ records, fill }: Pick<Batch, 'records' | 'fill'>): readonly SourcedRecord[] {
  if (fill === undefined) return records;
  const seen = new Map(Array.from(fill.sources, (source) => [source, new Set<number>()]));
  return records.filter(({ source, record: { offset } }) => {
    const offsets = seen.get(source);
    return offsets === undefined || offsets.size < offsets.add(offset).size;
  });
}

/**
 * The part of a batch that fills holes of a rewind. Undefined if there is none.
 *
 * @param salt see {@link Fill.salt}
 */
export function toFill(
  chunks: readonly BufferedChunk[],
  records: readonly SourcedRecord[],
  salt: string,
): Fill | undefined {
  const names = filledSources(chunks);
  if (names.size === 0) return undefined;
  const all = new Set(records.map(({ source }) => source));
  return { sources: new Set([...all].filter((source) => names.has(sourceName(source)))), salt };
}

/** Names of the sources for which chunks fill holes. */
function filledSources(chunks: readonly BufferedChunk[]): Set<string> {
  return new Set(chunks.flatMap(({ segments }) => segments.filter(({ fill }) => fill).map(sourceName)));
}
