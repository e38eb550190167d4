import { pipelineOf } from '../protocol/batcherId.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import { FORGOTTEN } from '../protocol/inheritance.js';
import type { Attempts } from './attempts.js';
import type { ActivityDependencies } from './dependencies.js';
import { reportLost } from './reportLost.js';

/** The activity that reads what a closed run of a batcher has left, for its heir. */
export function readInheritance({
  attempts,
  histories,
  metrics,
  logger,
}: Pick<ActivityDependencies, 'histories' | 'metrics' | 'logger'> & {
  readonly attempts: Attempts;
}): FlushActivities['readInheritance'] {
  return (batcher, named, { runId } = { runId: named }) =>
    attempts.admit('readInheritance', { pipeline: pipelineOf(batcher), batcher }, async (attempt) => {
      const inheritance = await histories.inheritanceOf(batcher, attempt.runId, runId);
      if (inheritance.lost !== undefined) reportLost({ metrics, logger }, batcher, runId, 'all that it had accepted');
      if (inheritance.forgotten !== undefined) {
        metrics.forgottenPartitions.inc({ pipeline: pipelineOf(batcher) }, inheritance.forgotten);
        logger.warn({ pipeline: pipelineOf(batcher), batcher, partitions: inheritance.forgotten }, FORGOTTEN);
      }
      return inheritance;
    });
}
