import type { Fill, SourcedRecord } from '../clickhouse/batchRows.js';
import type { PackedBatch } from '../codecs/rejectionCodec.js';
import type { BufferedChunk } from '../protocol/chunk.js';
import type { BatchSpec, Parking } from '../protocol/flush.js';
import { sourceName } from '../protocol/record.js';
import { isRequestSource } from '../protocol/request.js';
import { onlyTable, tableOf, tableOfRequests } from '../protocol/tables.js';
import { isSkipped } from './batchRecords.js';

/** A batch on its way, wherever its records come from. */
export interface Batch extends Pick<BatchSpec, 'pipeline' | 'id' | 'destination' | 'reason'> {
  /** What the records came in: of all of them, also where some are taken out. */
  readonly packed: Pick<PackedBatch, 'chunks' | 'bodies'>;
  readonly records: readonly SourcedRecord[];
  /** True where an insert of these records may have happened before. */
  readonly repeated: boolean;
  /** True where only this activity's own attempts can have made it. */
  readonly complete: boolean;
  readonly fill: Fill | undefined;
  readonly parking?: Parking;
}

/** The records of a batch by their tables, each in their order; by null those that have none. */
export function byTable({
  destination,
  records,
}: Pick<Batch, 'destination' | 'records'>): Map<string | null, readonly SourcedRecord[]> {
  const only = onlyTable(destination);
  if (only !== null) return new Map([[only, records]]);
  const lists = new Map<string | null, SourcedRecord[]>();
  const listOfTopic = new Map<string, SourcedRecord[]>();
  for (const item of records) {
    const { topic } = item.source;
    let list = listOfTopic.get(topic);
    if (list === undefined) {
      const table = isRequestSource(item.source) ? tableOfRequests(destination) : tableOf(destination, topic);
      lists.set(table, (list = lists.get(table) ?? []));
      listOfTopic.set(topic, list);
    }
    list.push(item);
  }
  return lists;
}

/** Takes out what the pipeline does not want as rows. */
export function withoutSkipped(batch: Batch): { skipped: readonly SourcedRecord[]; toInsert: Batch } {
  const skipped = batch.records.filter(({ record }) => isSkipped(record, batch.destination));
  if (skipped.length === 0) return { skipped, toInsert: batch };
  const records = batch.records.filter(({ record }) => !isSkipped(record, batch.destination));
  return { skipped, toInsert: { ...batch, records } };
}

/**
 * What of a batch fills holes of a rewind; undefined where nothing does.
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

/** Names the sources that chunks fill. */
function filledSources(chunks: readonly BufferedChunk[]): Set<string> {
  return new Set(chunks.flatMap(({ segments }) => segments.filter(({ fill }) => fill).map(sourceName)));
}
