/** A batcher's workflow task that waits for a worker, or that a worker has. */
export interface DueTask {
  /**
   * Counts from 1. Not reliable while signals arrive: each signal replaces a repeated task by a new one, which counts
   * from 1 again (`workflow_task_state_machine.go` in temporalio/temporal).
   */
  readonly attempt: number;
  /** Milliseconds since 1970, by the server's clock. */
  readonly scheduledAtMs: number;
}

/** No workflow task takes longer, because the SDK's deadlock detector ends it. */
const TASK_MS_MAX = 5_000;
/** A single late task proves nothing: a worker or a server may just have restarted. */
const LATE_TIMES = 3;

/**
 * Finds batchers whose workflow tasks do not get done, because they fail each time or no worker takes them. A busy
 * batcher is not one of them. A task is late if it is repeated or has been due for more than 5 s. A batcher is stuck if
 * it was late three times in a row.
 *
 * The clocks of this process and of the server may differ by seconds, so that every task seems late. But a busy batcher
 * has another task each time. So it counts from one again if its task is another one and neither is repeated.
 */
export class StuckTasks {
  readonly #late = new Map<string, { readonly times: number; readonly task: DueTask }>();

  /**
   * @param task null if none is due
   * @returns whether the batcher is stuck
   */
  observe(batcher: string, task: DueTask | null, nowMs: number): boolean {
    if (task === null || !isLate(task, nowMs)) {
      this.#late.delete(batcher);
      return false;
    }
    const before = this.#late.get(batcher);
    const times = before === undefined || isNextTask(before.task, task) ? 1 : before.times + 1;
    this.#late.set(batcher, { times, task });
    return times >= LATE_TIMES;
  }
}

function isLate(task: DueTask, nowMs: number): boolean {
  return task.attempt > 1 || nowMs - task.scheduledAtMs > TASK_MS_MAX;
}

/** Whether the earlier task got done. A repeated one may also have been replaced. */
function isNextTask(earlier: DueTask, later: DueTask): boolean {
  return earlier.attempt === 1 && later.attempt === 1 && earlier.scheduledAtMs !== later.scheduledAtMs;
}
