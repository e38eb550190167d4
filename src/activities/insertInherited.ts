import { joinChunks } from '../protocol/chunkBodies.js';
import { sealEnvelope } from '../protocol/flush.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { InheritedBatch, FlushOutcome } from '../protocol/leftover.js';
import { HistoryGoneError } from '../temporal/runHistories.js';
import { batchId, type Buffered } from '../workflows/batchPlanning.js';
import type { Attempts } from './attempts.js';
import type { Attempt } from './attempt.js';
import { toFill, type Batch } from './batch.js';
import type { ActivityDependencies } from './dependencies.js';
import type { Flusher } from './flusher.js';
import { reportLost } from './reportLost.js';
import type { Unpacker } from './unpack.js';

/** The id of a batch whose records are lost. */
const LOST_BATCH_ID = 'lost';

/** The activity that flushes a batch whose records are in the history of a closed run. */
export function insertInherited({
  attempts,
  flusher,
  unpacker,
  histories,
  metrics,
  logger,
}: Pick<ActivityDependencies, 'histories' | 'metrics' | 'logger'> & {
  readonly attempts: Attempts;
  readonly flusher: Flusher;
  readonly unpacker: Unpacker;
}): FlushActivities['insertInherited'] {
  return (inherited) =>
    attempts.admit('insertInherited', inherited, async (attempt) => {
      const { batcher, runId, chunksDone, chunks, answer } = inherited;
      unpacker.mustBeSealed(inherited);
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
      return flusher.flush(await batchOf(inherited, leftover, unpacker, attempt), attempt);
    });
}

async function batchOf(
  inherited: InheritedBatch,
  leftover: readonly Buffered[],
  unpacker: Unpacker,
  attempt: Attempt,
): Promise<Batch> {
  const { batcher, runId, chunksDone } = inherited;
  const id = batchId(batcher, leftover);
  const { packed, records } = await unpacker.unpack({ ...inherited, id }, joinChunks(leftover), attempt);
  return {
    ...inherited,
    id,
    reason: 'inherited',
    packed,
    records,
    repeated: true,
    onlyThisActivity: false,
    fill: toFill(packed.chunks, records, `${runId}/left/${chunksDone}`),
  };
}
