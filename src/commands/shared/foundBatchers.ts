import type { Client } from '@temporalio/client';
import type { RunHistories, AcceptedRecords } from '../../temporal/runHistories.js';
import type { PipelineConfig } from '../../config/config.js';
import { listLayouts } from '../../temporal/batcherRuns.js';
import { mapConcurrently } from '../../lib/mapConcurrently.js';
import { batcherWorkflowIds } from '../../protocol/batcherId.js';
import { isSameLayout, type Layout } from '../../protocol/layout.js';
import { isNotFound } from '../../temporal/errors.js';

/** A batcher that was started, with its latest run. */
export interface FoundBatcher {
  readonly workflowId: string;
  readonly runId: string;
  /** In Temporal's words: `RUNNING`, `COMPLETED`, `TERMINATED`, ... */
  readonly status: string;
  readonly accepted: AcceptedRecords;
}

/** Histories read at the same time, at most. Each may have some megabytes. */
const AT_ONCE_MAX = 4;

/** The layout of the configuration, then the earlier ones that Temporal still knows. */
export async function layoutsOf(client: Client, { name, layout }: PipelineConfig): Promise<Layout[]> {
  const before = await listLayouts(client, name);
  return [layout, ...before.filter((other) => !isSameLayout(other, layout))];
}

/** Finds a batcher by its workflow id. Null if it was never started. Rejects if Temporal does not answer. */
export async function findBatcher(
  client: Client,
  histories: RunHistories,
  workflowId: string,
): Promise<FoundBatcher | null> {
  try {
    const { runId, status } = await client.workflow.getHandle(workflowId).describe();
    return { workflowId, runId, status: status.name, accepted: await histories.acceptedBy(workflowId, runId) };
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/** All batchers of a pipeline that were started, those of earlier layouts included. */
export async function findBatchers(
  client: Client,
  histories: RunHistories,
  pipeline: PipelineConfig,
): Promise<FoundBatcher[]> {
  const ids = (await layoutsOf(client, pipeline)).flatMap((layout) => batcherWorkflowIds(pipeline.name, layout));
  const found = await mapConcurrently(ids, (id) => findBatcher(client, histories, id), AT_ONCE_MAX);
  return found.filter((batcher) => batcher !== null);
}
