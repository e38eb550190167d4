import { pipelineOf } from '../protocol/batcherId.js';
import type { ActivityDependencies } from './dependencies.js';

/** Reports that what a closed run had left is lost in Temporal. It can only be read from Kafka again. */
export function reportLost(
  { metrics, logger }: Pick<ActivityDependencies, 'metrics' | 'logger'>,
  batcher: string,
  closedRun: string,
  what: string,
): void {
  const pipeline = pipelineOf(batcher);
  metrics.lostBatches.inc({ pipeline });
  logger.error(
    { pipeline, batcher, closedRun },
    `Lost: ${what}. The namespace's retention has removed the history of the closed run before it was flushed. ` +
      '`ktb rewind` fills what is missing, as far as Kafka still has it',
  );
}
