import { REQUESTS } from './request.js';

/**
 * How records are divided among batchers: how many there are, and by what a record's batcher is chosen. Offsets are
 * committed together with their layout, because what one batcher has accepted says nothing about another layout's.
 */
export interface Layout {
  readonly batchers: number;
  readonly keyFunction: KeyFunction;
  /**
   * What decides where records have nothing else to go by. Absent: their partition's number alone, as ever in version 0.1.0, where
   * those of many topics with one partition each all have the same batcher. `topic`: their topic and partition.
   */
  readonly keyless?: 'topic';
}

/**
 * By what a record's batcher is chosen.
 *
 * - `key`: its key; `header:NAME`: the last value of this header. Both by murmur2, as Kafka's own partitioner; records
 *   that have none go by their partition, see {@link Layout.keyless}.
 * - `partition`: the partition it comes from.
 * - `/customer/id`: the text, number or truth value that this JSON pointer leads to in its value, by murmur2, too; records
 *   that have none go by their key.
 */
export type KeyFunction = 'key' | 'partition' | `header:${string}` | `/${string}`;

/**
 * The layout as it stands in workflow ids and commit metadata: `8-key`, `8-header%3Atenant`; `8t-key` where the topic counts. Version
 * 0.1.0 takes that one for a later version's, and leaves what is committed under it alone.
 */
export function layoutName({ batchers, keyFunction, keyless }: Layout): string {
  return `${batchers}${keyless === undefined ? '' : 't'}-${encodeURIComponent(keyFunction)}`;
}

/** The opposite of {@link layoutName}; null where it is none. */
export function parseLayoutName(name: string): Layout | null {
  const [, batchers, topic, encoded] = /^([1-9]\d{0,5})(t?)-([\w.!~*'()%-]+)$/.exec(name) ?? [];
  if (batchers === undefined || encoded === undefined) return null;
  try {
    const keyFunction = decodeURIComponent(encoded);
    if (!isKeyFunction(keyFunction)) return null;
    return { batchers: Number(batchers), keyFunction, ...(topic === 't' ? { keyless: 'topic' } : {}) };
  } catch {
    // No escape sequences of ours.
    return null;
  }
}

export function isKeyFunction(text: string): text is KeyFunction {
  return text === 'key' || text === 'partition' || /^(header:.|\/)/s.test(text);
}

/** Workflow id of a batcher: `ktb:orders:8-key:3`. Everything that tells batchers apart can be read in it. */
export function batcherWorkflowId(pipeline: string, layout: Layout, index: number): string {
  return `${batcherIdPrefix(pipeline)}${layoutName(layout)}:${index}`;
}

/** What the workflow ids of all batchers of a pipeline begin with, whatever their layout. */
export function batcherIdPrefix(pipeline: string): string {
  return `ktb:${pipeline}:`;
}

/** The pipeline of a {@link batcherWorkflowId}. */
export function pipelineOf(workflowId: string): string {
  return workflowId.split(':').slice(1, -2).join(':');
}

/** The last part of {@link batcherWorkflowId}: the short name used in metrics and on the command line. */
export function batcherIndexOf(workflowId: string): number {
  return Number(workflowId.slice(workflowId.lastIndexOf(':') + 1));
}

/** Name of the workflow type, of its signals and of its queries, as clients and the Temporal UI see them. */
export const BATCHER = {
  workflowType: 'batcher',
  signals: {
    records: 'records',
    submit: REQUESTS.submit,
    pause: 'pause',
    resume: 'resume',
    flush: 'flush',
    drain: 'drain',
    park: 'park',
    close: 'close',
  },
  queries: { status: 'status', coverage: 'coverage', settings: 'settings', epoch: 'epoch' },
} as const;
