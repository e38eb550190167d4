import { BATCH_FORMAT, type BatchSpec } from '../protocol/flush.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { Attempts } from './attempts.js';
import { toFill } from './batch.js';
import type { ActivityDependencies } from './dependencies.js';
import type { Flusher } from './flusher.js';
import type { Unpacker } from './unpack.js';

/** The activity that flushes a batch of a batcher's buffer. */
export function insertBatch({
  attempts,
  flusher,
  unpacker,
  histories,
}: Pick<ActivityDependencies, 'histories'> & {
  readonly attempts: Attempts;
  readonly flusher: Flusher;
  readonly unpacker: Unpacker;
}): FlushActivities['insertBatch'] {
  return (spec, bodies) =>
    attempts.admit(
      'insertBatch',
      spec,
      async (attempt) => {
        const format: string = spec.format;
        if (format !== BATCH_FORMAT) throw new Error(`a batch of format ${format}; this worker knows ${BATCH_FORMAT}`);
        const onlyThisActivity = !(await histories.anyWasReset(spec.batcher, [...spec.runs, attempt.runId]));
        const repeated = attempt.isRepeated || !onlyThisActivity;
        const { packed, records } = await unpacker.unpack(spec, { chunks: spec.chunks, bodies }, attempt);
        const fill = toFill(packed.chunks, records, `${attempt.runId}/${spec.number}`);
        return flusher.flush({ ...spec, packed, records, repeated, onlyThisActivity, fill }, attempt);
      },
      memoryBytesOf(spec),
    );
}

/** Of a record's object, row and acknowledgement, generously. */
const RECORD_MEMORY_BYTES = 1_024;

/** About how much memory the flush of a batch takes. */
function memoryBytesOf({ chunks }: BatchSpec): number {
  return chunks.reduce((sum, { records, bytes }) => sum + bytes + records * RECORD_MEMORY_BYTES, 0);
}
