import { BATCH_FORMAT } from '../protocol/flush.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { Attempts } from './attempts.js';
import { toFill } from './batch.js';
import { decodeChunks } from './batchRecords.js';
import type { ActivityDependencies } from './dependencies.js';
import type { Flusher } from './flusher.js';
import { timed } from './stages.js';

/** The activity that flushes a batch of a batcher's buffer. */
export function insertBatch({
  attempts,
  flusher,
  histories,
  metrics,
}: Pick<ActivityDependencies, 'histories' | 'metrics'> & {
  readonly attempts: Attempts;
  readonly flusher: Flusher;
}): FlushActivities['insertBatch'] {
  return (spec, bodies) =>
    attempts.admit('insertBatch', spec, async (attempt) => {
      const format: string = spec.format;
      if (format !== BATCH_FORMAT) throw new Error(`a batch of format ${format}; this worker knows ${BATCH_FORMAT}`);
      const complete = !(await histories.anyWasReset(spec.batcher, [...spec.runs, attempt.runId]));
      const repeated = attempt.isRepeated || !complete;
      const records = await timed(metrics, spec.pipeline, 'decode', () => decodeChunks(spec.chunks, bodies));
      const fill = toFill(spec.chunks, records, `${attempt.runId}/${spec.number}`);
      const packed = { chunks: spec.chunks, bodies };
      return flusher.flush({ ...spec, packed, records, repeated, complete, fill }, attempt);
    });
}
