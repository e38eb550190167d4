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

/**
 * A task rarely takes longer. Its timeout would be too much: where signals replace a task that fails, none gets so old.
 */
const TASK_MS_MAX = 5_000;
/** A single late task proves nothing: a worker or a server may just have restarted. */
const LATE_TIMES = 3;

/**
 * Finds batchers whose workflow tasks do not get done, because they fail each time or no worker takes them. A busy
 * batcher is not one of them. A task is late if it is repeated or has been due for more than 5 s. A batcher is stuck if
 * it was late three times in a row. That it is another task each time proves nothing: signals make a new one of a task that
 * fails. So a consumer whose clock is more than 5 s ahead of the server's may take a busy batcher for stuck.
 */
export class StuckTasks {
  readonly #lateTimes = new Map<string, number>();

  /**
   * @param task null if none is due
   * @returns whether the batcher is stuck
   */
  observe(batcher: string, task: DueTask | null, nowMs: number): boolean {
    const times = isLate(task, nowMs) ? (this.#lateTimes.get(batcher) ?? 0) + 1 : 0;
    this.#lateTimes.set(batcher, times);
    return this.isStuck(batcher);
  }

  /** Whether a batcher was stuck when it was last observed. */
  isStuck(batcher: string): boolean {
    return (this.#lateTimes.get(batcher) ?? 0) >= LATE_TIMES;
  }
}

function isLate(task: DueTask | null, nowMs: number): boolean {
  return task !== null && (task.attempt > 1 || nowMs - task.scheduledAtMs > TASK_MS_MAX);
}
