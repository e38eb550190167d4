import { Worker } from '@temporalio/worker';
import { passOverUnreadableNotes } from '../temporal/readableNotes.js';

/**
 * Temporal's worker without its watchdog over workflow code. Node starts and ends a thread for each call into a workflow
 * that has a time limit, four or more for each task: half of the time of the thread of workflows (measured at 100
 * records/s). The limit is against code that never ends, and also ends code that is only slow, on a busy machine. The
 * batcher's code ends by itself.
 *
 * The SDK has no option for it: a limit that is absent in its options gets a default.
 *
 * It also begins attempts of activities whose notes nobody can read, see {@link passOverUnreadableNotes}.
 */
export class UnwatchedWorker extends Worker {
  protected static override createWorkflowCreator(
    ...[bundle, options, logger]: Parameters<(typeof Worker)['createWorkflowCreator']>
  ): ReturnType<(typeof Worker)['createWorkflowCreator']> {
    const unlimited = { ...options, isolateExecutionTimeoutMs: undefined as unknown as number };
    return super.createWorkflowCreator(bundle, unlimited, logger);
  }

  protected override pollLoop$<T>(poll: () => Promise<T>) {
    return super.pollLoop$(async () => {
      const polled = await poll();
      await passOverUnreadableNotes(polled, this.options.loadedDataConverter, this.options.namespace);
      return polled;
    });
  }
}
