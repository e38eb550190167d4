import type { BufferedChunk } from '../../protocol/chunk.js';
import { REJECTION_CODES } from '../../protocol/ack.js';
import { identityName, type RecordPlace } from '../../protocol/record.js';
import { decodeRejected, type RejectedRecord } from '../../codecs/rejectionCodec.js';
import type { InsertOutcome } from '../../protocol/flush.js';
import type { Destination } from '../../protocol/settings.js';
import { tableOf } from '../../protocol/tables.js';
import { batchId } from '../../workflows/batchPlanning.js';
import { identityToken } from '../../clickhouse/batchInsert.js';
import { decodeChunks, isSkipped } from '../../activities/batchRecords.js';
import type { RunHistories } from '../../temporal/runHistories.js';

/** A batch that has a record, as a run's history tells of it. */
export interface BatchOfRecord {
  readonly runId: string;
  /** Counts the batcher's batches from 1. */
  readonly number: number;
  /** The batch id in acknowledgements. */
  readonly id: string;
  readonly reason: string;
  readonly table: string;
  /** Workflow time, milliseconds since 1970. */
  readonly scheduledAtMs: number;
  /** What became of the batch; null while it is on its way. */
  readonly outcome: InsertOutcome | null;
  /**
   * The deduplication token of the batch's first insert into the table; later ones, of what had not been inserted, have others. Null where it
   * cannot be known: while the batch is on its way, and where a rewind looks what is there before it inserts.
   */
  readonly token: string | null;
}

/** Whether a chunk brings a record, if the record is one of its batcher's at all. */
export function holdsRecord({ segments, keep }: BufferedChunk, { topic, partition, offset }: RecordPlace): boolean {
  return segments.some((segment, index) => {
    if (segment.topic !== topic || segment.partition !== partition) return false;
    const ranges = keep[index] ?? [[segment.from, segment.to] as const];
    return ranges.some(([from, to]) => offset > from && offset <= to);
  });
}

/** The batches of one run that have a record, oldest first: one, unless a rewind brought it again. */
export async function batchesOfRecord(
  histories: Pick<RunHistories, 'events' | 'leftover'>,
  { workflowId, runId }: { readonly workflowId: string; readonly runId: string },
  place: RecordPlace,
): Promise<BatchOfRecord[]> {
  const found: BatchOfRecord[] = [];
  // One flush is in flight at a time: what completes is what was scheduled last.
  let current: Scheduled | null = null;
  for await (const event of histories.events(workflowId, runId)) {
    if (event.type === 'insertScheduled') {
      const { number, id, reason, destination, chunks } = event.spec;
      const scheduled = { number, id, reason, destination, chunks, atMs: event.atMs };
      current = chunks.some((chunk) => holdsRecord(chunk, place))
        ? { ...scheduled, bodies: event.bytes ?? new Uint8Array(0) }
        : null;
    } else if (event.type === 'inheritedInsertScheduled') {
      const { number, runId: leftBy, chunksDone, chunks: count, destination } = event.batch;
      const left = await histories.leftover(workflowId, leftBy, chunksDone, count);
      const chunks = left.map(({ chunk }) => chunk);
      const inherited = { number, id: batchId(workflowId, left), reason: 'inherited', destination, chunks };
      current = chunks.some((chunk) => holdsRecord(chunk, place))
        ? { ...inherited, atMs: event.atMs, bodies: Buffer.concat(left.map(({ body }) => body)) }
        : null;
    } else if (event.type === 'insertCompleted' && current !== null) {
      const table = tableOf(current.destination, place.topic);
      const rejected = event.outcome.rejected === 0 ? [] : decodeRejected(event.bytes ?? new Uint8Array(0));
      found.push(describe(current, runId, table, event.outcome, await firstToken(current, table, rejected)));
      current = null;
    }
  }
  return current === null
    ? found
    : [...found, describe(current, runId, tableOf(current.destination, place.topic), null, null)];
}

interface Scheduled extends Pick<BatchOfRecord, 'number' | 'id' | 'reason'> {
  readonly destination: Pick<Destination, 'table' | 'mapping'>;
  readonly chunks: readonly BufferedChunk[];
  readonly bodies: Uint8Array;
  readonly atMs: number;
}

function describe(
  { number, id, reason, atMs }: Scheduled,
  runId: string,
  table: string,
  outcome: InsertOutcome | null,
  token: string | null,
): BatchOfRecord {
  const what = outcome && { inserted: outcome.inserted, rejected: outcome.rejected, skipped: outcome.skipped };
  return { runId, number, id, reason, table, scheduledAtMs: atMs, outcome: what, token };
}

/** A record that became no row is in no insert; one that ClickHouse refused was in the first. */
async function firstToken(
  { chunks, bodies, destination }: Scheduled,
  table: string,
  rejected: readonly RejectedRecord[],
): Promise<string | null> {
  if (chunks.some(({ segments }) => segments.some(({ fill }) => fill))) return null;
  const noRow = new Set(
    rejected.filter(({ rejection }) => rejection.code !== REJECTION_CODES.refused).map(identityName),
  );
  const rows = (await decodeChunks(chunks, bodies)).filter(
    (item) =>
      tableOf(destination, item.source.topic) === table &&
      !isSkipped(item.record, destination) &&
      !noRow.has(identityName(item)),
  );
  return identityToken(rows);
}
