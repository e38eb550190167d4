/**
 * How records are divided among batchers: how many there are, and by what a record's batcher is chosen. Offsets are
 * committed together with their layout, because what one batcher has accepted says nothing about another layout's.
 */
export interface Layout {
  readonly batchers: number;
  readonly keyFunction: KeyFunction;
}

/** `key`: murmur2 of the record's key, as Kafka's own partitioner; records without a key go by their partition. */
export type KeyFunction = 'key';

/** The layout as it stands in workflow ids and commit metadata: `8-key`. */
export function layoutName({ batchers, keyFunction }: Layout): string {
  return `${batchers}-${keyFunction}`;
}

/** Workflow id of a batcher: `ktb:orders:8-key:3`. Everything that tells batchers apart can be read in it. */
export function batcherWorkflowId(pipeline: string, layout: Layout, index: number): string {
  return `ktb:${pipeline}:${layoutName(layout)}:${index}`;
}

/** The last part of {@link batcherWorkflowId}: the short name used in metrics and on the command line. */
export function batcherIndexOf(workflowId: string): number {
  return Number(workflowId.slice(workflowId.lastIndexOf(':') + 1));
}

/** Name of the workflow type, of its signals and of its queries, as clients and the Temporal UI see them. */
export const BATCHER = {
  workflowType: 'batcher',
  signals: { records: 'records', pause: 'pause', resume: 'resume', flush: 'flush', drain: 'drain' },
  queries: { status: 'status', coverage: 'coverage', settings: 'settings' },
} as const;
