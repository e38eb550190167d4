/** A run of a batcher. */
export interface RunIdentity {
  readonly workflowId: string;
  readonly runId: string;
  /** From the run's first event. A reset run has those of the original run. */
  readonly firstExecutionRunId?: string | undefined;
  readonly continuedFromExecutionRunId?: string | undefined;
}

/**
 * A text that no other run of the batcher has. It is not the run's id, because a reset changes that, and a reset run
 * has to decide in its replay what the original run decided. And it is not only the id of the first run of the chain,
 * which all runs of the chain share. It stands in histories as the epoch of requests, so it never changes.
 */
export function lastingRunId({ runId, firstExecutionRunId, continuedFromExecutionRunId }: RunIdentity): string {
  // In a history an empty text means that there is none.
  if (continuedFromExecutionRunId) return `${continuedFromExecutionRunId}+1`;
  return firstExecutionRunId ?? runId;
}
