/** A run of a batcher. */
export interface RunIdentity {
  readonly workflowId: string;
  readonly runId: string;
  /** From the run's first event. A reset run has those of the original run. */
  readonly firstExecutionRunId?: string | undefined;
  readonly continuedFromExecutionRunId?: string | undefined;
}

/**
 * The epoch of the requests that a run counts, if the run before it has handed no count on. It is not the run's id,
 * because a reset changes that. And it is not only the id of the first run of the chain, so that two counts never share
 * an epoch.
 */
export function requestEpoch({ runId, firstExecutionRunId, continuedFromExecutionRunId }: RunIdentity): string {
  // In a history an empty text means that there is none.
  if (continuedFromExecutionRunId) return `${continuedFromExecutionRunId}+1`;
  return firstExecutionRunId ?? runId;
}
