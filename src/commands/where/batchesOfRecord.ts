import { hasOffset, type BufferedChunk } from '../../protocol/chunk.js';
import { joinChunks, type PackedChunks } from '../../protocol/chunkBodies.js';
import { REJECTION_CODES } from '../../protocol/ack.js';
import { identityName, type RecordPlace } from '../../protocol/record.js';
import { decodeRejected, type RejectedRecord } from '../../codecs/rejectionCodec.js';
import type { InsertOutcome } from '../../protocol/flush.js';
import type { Destination, DestinationTable } from '../../protocol/settings.js';
import { tableOf } from '../../protocol/tables.js';
import { batchId } from '../../workflows/batchPlanning.js';
import { identityToken } from '../../clickhouse/batchRows.js';
import { decodeChunks } from '../../activities/batchRecords.js';
import { divideChunks } from '../../activities/unpack.js';
import { skipTest } from '../shared/skippedRecords.js';
import type { Decoders } from '../../formats/decoders.js';
import { RegistryError } from '../../formats/schemaRegistry.js';
import type { RunHistories } from '../../temporal/runHistories.js';

/** A batch that contains a record, from a run's history. */
export interface BatchOfRecord {
  readonly runId: string;
  /** Counts the batcher's batches from 1. */
  readonly number: number;
  /** The batch id in acknowledgements. */
  readonly id: string;
  readonly reason: string;
  /** Null if a value of the record decides. */
  readonly table: string | null;
  /** Workflow time, milliseconds since 1970. */
  readonly scheduledAtMs: number;
  /** The result of the batch. Null while it is being flushed. */
  readonly outcome: InsertOutcome | null;
  /**
   * The deduplication token of the batch's first insert into the table. Later inserts, of what was not inserted then,
   * have others. Null if it cannot be known: while the batch is being flushed, for a rewind, which asks the table
   * first, if a value of the record decides on the table, and while a schema is missing that tells which records were
   * skipped.
   */
  readonly token: string | null;
}

/** Whether a chunk covers a record's offset. The record itself may still belong to another batcher. */
export function holdsRecord({ segments, keep }: BufferedChunk, { topic, partition, offset }: RecordPlace): boolean {
  return segments.some((segment, index) => {
    if (segment.topic !== topic || segment.partition !== partition) return false;
    const ranges = keep[index] ?? [[segment.from, segment.to] as const];
    return hasOffset(ranges, offset);
  });
}

/**
 * The batches of one run that contain a record, oldest first. It is one batch, unless a rewind brought the record
 * again.
 *
 * @param decoders tell which records of a batch were skipped
 */
export async function batchesOfRecord(
  histories: Pick<RunHistories, 'eventsWithBodies' | 'leftover'>,
  { workflowId, runId }: { readonly workflowId: string; readonly runId: string },
  place: RecordPlace,
  decoders: Decoders | undefined,
): Promise<BatchOfRecord[]> {
  const found: BatchOfRecord[] = [];
  // Only one flush runs at a time. So a completed insert is the one that was scheduled last.
  let current: Scheduled | null = null;
  for await (const event of histories.eventsWithBodies(workflowId, runId)) {
    if (event.type === 'insertScheduled') {
      const { number, id, reason, destination, chunks } = event.spec;
      const scheduled = { number, id, reason, destination, atMs: event.atMs };
      current = chunks.some((chunk) => holdsRecord(chunk, place))
        ? { ...scheduled, packed: { chunks, bodies: event.bytes ?? new Uint8Array(0) } }
        : null;
    } else if (event.type === 'inheritedInsertScheduled') {
      const { number, runId: leftBy, chunksDone, chunks: count, destination } = event.batch;
      const left = await histories.leftover(workflowId, leftBy, chunksDone, count);
      const inherited = { number, id: batchId(workflowId, left), reason: 'inherited', destination };
      current = left.some(({ chunk }) => holdsRecord(chunk, place))
        ? { ...inherited, atMs: event.atMs, packed: joinChunks(left) }
        : null;
    } else if (event.type === 'insertCompleted' && current !== null) {
      const table = tableFor(current.destination, place.topic);
      const rejected = event.outcome.rejected === 0 ? [] : decodeRejected(event.bytes ?? new Uint8Array(0));
      const token = await firstToken(current, table, rejected, decoders).catch(unlessOfRegistry);
      found.push(describe(current, runId, table, event.outcome, token));
      current = null;
    }
  }
  return current === null
    ? found
    : [...found, describe(current, runId, tableFor(current.destination, place.topic), null, null)];
}

interface Scheduled extends Pick<BatchOfRecord, 'number' | 'id' | 'reason'> {
  readonly destination: DestinationTable & Pick<Destination, 'mapping'>;
  readonly packed: PackedChunks;
  readonly atMs: number;
}

function tableFor(destination: DestinationTable, topic: string): string | null {
  return destination.tablesOfValues === undefined ? tableOf(destination, topic) : null;
}

function describe(
  { number, id, reason, atMs }: Scheduled,
  runId: string,
  table: string | null,
  outcome: InsertOutcome | null,
  token: string | null,
): BatchOfRecord {
  const what = outcome && { inserted: outcome.inserted, rejected: outcome.rejected, skipped: outcome.skipped };
  return { runId, number, id, reason, table, scheduledAtMs: atMs, outcome: what, token };
}

/**
 * A record that became no row was in no insert. A record that ClickHouse refused was in the first insert. A chunk that
 * could not be unpacked was in none, since the batch was given up.
 */
async function firstToken(
  { packed, destination }: Scheduled,
  table: string | null,
  rejected: readonly RejectedRecord[],
  decoders: Decoders | undefined,
): Promise<string | null> {
  if (table === null || packed.chunks.some(({ segments }) => segments.some(({ fill }) => fill))) return null;
  const noRow = new Set(
    rejected.filter(({ rejection }) => rejection.code !== REJECTION_CODES.refused).map(identityName),
  );
  const skips = await skipTest(destination, decoders);
  const { readable } = await divideChunks(packed);
  const rows = (await decodeChunks(readable)).filter(
    (item) => tableOf(destination, item.source.topic) === table && !noRow.has(identityName(item)),
  );
  const sent: typeof rows = [];
  for (const row of rows) if (!(await skips(row.source, row.record))) sent.push(row);
  return identityToken(sent);
}

/** Null if the registry does not say what is needed: then the token is not known. */
function unlessOfRegistry(error: unknown): null {
  if (error instanceof RegistryError) return null;
  throw error;
}
