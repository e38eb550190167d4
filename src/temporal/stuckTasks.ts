/** A batcher's workflow task that waits for a worker, or is with one. */
export interface DueTask {
  /**
   * From 1. Not to be relied upon where signals come in: each makes a new task of one that is repeated, which counts from 1
   * again (`workflow_task_state_machine.go` in temporalio/temporal).
   */
  readonly attempt: number;
  /** Milliseconds since 1970, by the server's clock. */
  readonly scheduledAtMs: number;
}

/** No workflow task takes longer: the SDK's deadlock detector ends it. */
const TASK_MS_MAX = 5_000;
/** A single look tells nothing: a worker may just have ended, or a server. */
const LATE_LOOKS = 3;

/**
 * Tells batchers whose workflow tasks do not get done, because they fail each time or no worker takes them, from those that
 * are busy. A task is late when it is repeated, or has been due for long; a batcher is stuck after some late looks in a row.
 */
export class StuckTasks {
  readonly #lateLooks = new Map<string, number>();

  /**
   * @param task null where none is due
   * @returns whether the batcher is stuck
   */
  look(batcher: string, task: DueTask | null, nowMs: number): boolean {
    const looks = isLate(task, nowMs) ? (this.#lateLooks.get(batcher) ?? 0) + 1 : 0;
    this.#lateLooks.set(batcher, looks);
    return looks >= LATE_LOOKS;
  }
}

function isLate(task: DueTask | null, nowMs: number): boolean {
  return task !== null && (task.attempt > 1 || nowMs - task.scheduledAtMs > TASK_MS_MAX);
}
