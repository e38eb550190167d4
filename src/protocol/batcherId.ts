import { layoutName, type Layout } from './layout.js';

/**
 * Bytes of a key function in a workflow id, at most. With the longest name of a pipeline and the largest numbers, the
 * workflow id still keeps some 20 bytes below Temporal's limit of 1,000 (`limit.maxIDLength`).
 */
const ENCODED_BYTES_MAX = 900;

/** Whether workflow ids can have a key function: it is not too long for them, and is text. */
export function fitsIntoWorkflowId(keyFunction: string): boolean {
  try {
    return encodeURIComponent(keyFunction).length <= ENCODED_BYTES_MAX;
  } catch {
    // Half a surrogate pair.
    return false;
  }
}

/** Workflow id of a batcher: `ktb:orders:8-key:3`. */
export function batcherWorkflowId(pipeline: string, layout: Layout, index: number): string {
  return `${batcherIdPrefix(pipeline)}${layoutName(layout)}:${index}`;
}

/** The workflow ids of all batchers of a layout, by their index. */
export function batcherWorkflowIds(pipeline: string, layout: Layout): string[] {
  return Array.from({ length: layout.batchers }, (_, index) => batcherWorkflowId(pipeline, layout, index));
}

/** The prefix of the workflow ids of all batchers of a pipeline, whatever their layout. */
export function batcherIdPrefix(pipeline: string): string {
  return `ktb:${pipeline}:`;
}

/** The pipeline of a {@link batcherWorkflowId}. */
export function pipelineOf(workflowId: string): string {
  return workflowId.split(':').slice(1, -2).join(':');
}

/** The last part of a {@link batcherWorkflowId}: the short name in metrics and on the command line. */
export function batcherIndexOf(workflowId: string): number {
  return Number(workflowId.slice(workflowId.lastIndexOf(':') + 1));
}
