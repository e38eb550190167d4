/** Which run of which batcher. */
export interface RunIdentity {
  readonly workflowId: string;
  readonly runId: string;
  /** As the run's first event has them: a reset run has those of the run that it was reset from. */
  readonly firstExecutionRunId?: string | undefined;
  readonly continuedFromExecutionRunId?: string | undefined;
}

/**
 * The epoch of requests that a run begins to count. It is not the run's id, which a reset changes. And it is not the id
 * of the first run of the chain alone: a run of an earlier version, which knows no requests, may have continued as new
 * in between, and forgotten how far the count was.
 */
export function requestEpoch({ runId, firstExecutionRunId, continuedFromExecutionRunId }: RunIdentity): string {
  // A history says by an empty text that there is none.
  if (continuedFromExecutionRunId) return `${continuedFromExecutionRunId}+1`;
  return firstExecutionRunId ?? runId;
}
