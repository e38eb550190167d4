import { sealEnvelope } from '../protocol/flush.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { InheritedBatch, FlushOutcome } from '../protocol/leftover.js';
import { HistoryGoneError } from '../temporal/runHistories.js';
import { batchId, type Buffered } from '../workflows/batchPlanning.js';
import type { Attempts } from './attempts.js';
import { toFill, type Batch } from './batch.js';
import { decodeChunks } from './batchRecords.js';
import type { ActivityDependencies } from './dependencies.js';
import type { Flusher } from './flusher.js';
import { reportLost } from './lostRuns.js';
import { timed } from './stages.js';

/** The id of a batch whose records are lost. */
const LOST_BATCH_ID = 'lost';

/** The activity that flushes a batch whose records are in the history of a closed run. */
export function insertInherited({
  attempts,
  flusher,
  histories,
  metrics,
  logger,
}: Pick<ActivityDependencies, 'histories' | 'metrics' | 'logger'> & {
  readonly attempts: Attempts;
  readonly flusher: Flusher;
}): FlushActivities['insertInherited'] {
  return (inherited) =>
    attempts.admit('insertInherited', inherited, async (attempt) => {
      const { batcher, runId, chunksDone, chunks, answer } = inherited;
      let leftover: readonly Buffered[];
      try {
        if (answer !== null) return await histories.result(batcher, answer);
        leftover = await histories.leftover(batcher, runId, chunksDone, chunks);
      } catch (error) {
        if (!(error instanceof HistoryGoneError)) throw error;
        // Waiting would not bring it back, and would hold up everything after it.
        reportLost({ metrics, logger }, batcher, error.runId, `a batch of ${chunks} chunks`);
        const nothing: FlushOutcome = { id: LOST_BATCH_ID, inserted: 0, rejected: 0, skipped: 0 };
        return sealEnvelope(nothing, new Uint8Array(0));
      }
      return flusher.flush(await batchOf(inherited, leftover, metrics), attempt);
    });
}

async function batchOf(
  inherited: InheritedBatch,
  leftover: readonly Buffered[],
  metrics: ActivityDependencies['metrics'],
): Promise<Batch> {
  const { pipeline, batcher, runId, chunksDone } = inherited;
  const chunks = leftover.map(({ chunk }) => chunk);
  const bodies = Buffer.concat(leftover.map(({ body }) => body));
  const records = await timed(metrics, pipeline, 'decode', () => decodeChunks(chunks, bodies));
  return {
    ...inherited,
    id: batchId(batcher, leftover),
    reason: 'inherited',
    packed: { chunks, bodies },
    records,
    repeated: true,
    complete: false,
    fill: toFill(chunks, records, `${runId}/left/${chunksDone}`),
  };
}
