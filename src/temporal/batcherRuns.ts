import type { Client } from '@temporalio/client';
import { batcherIdPrefix } from '../protocol/batcherId.js';
import { BATCHER } from '../protocol/batcher.js';
import { layoutName, parseLayoutName, type Layout } from '../protocol/layout.js';
import { quotedText } from './visibilityQuery.js';

/**
 * All layouts of a pipeline whose batchers Temporal still knows. Read from the visibility store, which may be some
 * seconds late.
 */
export async function listLayouts(client: Client, pipeline: string): Promise<Layout[]> {
  const runs = await findBatcherRuns(client, pipeline);
  return [...new Map(runs.map(({ layout }) => [layoutName(layout), layout])).values()];
}

/** A run of a batcher that has not continued as new. */
export interface BatcherRun {
  readonly workflowId: string;
  readonly runId: string;
  /** In Temporal's words: `RUNNING`, `COMPLETED` (it was drained), `TERMINATED`, ... */
  readonly status: string;
  readonly layout: Layout;
}

/** The runs of a pipeline's batchers. Read from the visibility store, which may be some seconds late. */
export async function findBatcherRuns(client: Client, pipeline: string): Promise<BatcherRun[]> {
  const prefix = batcherIdPrefix(pipeline);
  const query = `WorkflowType = ${quotedText(BATCHER.workflowType)} AND WorkflowId STARTS_WITH ${quotedText(prefix)} AND ExecutionStatus != 'ContinuedAsNew'`;
  const runs: BatcherRun[] = [];
  for await (const { workflowId, runId, status } of client.workflow.list({ query })) {
    const layout = parseLayoutName(workflowId.slice(prefix.length, workflowId.lastIndexOf(':')));
    if (layout !== null) runs.push({ workflowId, runId, status: status.name, layout });
  }
  return runs;
}
