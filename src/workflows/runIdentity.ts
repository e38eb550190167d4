/** A run of a batcher. */
export interface RunIdentity {
  readonly workflowId: string;
  readonly runId: string;
  /** From the run's first event. A reset run has those of the original run. */
  readonly firstExecutionRunId?: string | undefined;
  readonly continuedFromExecutionRunId?: string | undefined;
}

/**
 * The epoch of the requests that a run counts. It is not the run's id, because a reset changes that. And it is not only
 * the id of the first run of the chain: a run of an earlier version without requests may have continued as new in
 * between, and forgotten the count.
 */
export function requestEpoch({ runId, firstExecutionRunId, continuedFromExecutionRunId }: RunIdentity): string {
  // In a history an empty text means that there is none.
  if (continuedFromExecutionRunId) return `${continuedFromExecutionRunId}+1`;
  return firstExecutionRunId ?? runId;
}
