import type { FlushStage, Metrics } from '../telemetry/metrics.js';

/** Does a stage of a flush, and measures it if it succeeds. */
export async function timed<T>(
  { flushStageSeconds }: Pick<Metrics, 'flushStageSeconds'>,
  pipeline: string,
  stage: FlushStage,
  work: () => Promise<T>,
): Promise<T> {
  const end = flushStageSeconds.startTimer({ pipeline, stage });
  const result = await work();
  end();
  return result;
}
