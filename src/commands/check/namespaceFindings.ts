import { PAYLOAD_BYTES_MAX } from '../../protocol/payloadLimit.js';
import { DAY_MS, durationText } from './durationText.js';
import { judges, type Finding } from './finding.js';

export interface NamespaceFacts {
  readonly namespace: string;
  readonly retentionMs: number;
  /** The most bytes that it takes in one payload. */
  readonly payloadBytesMax: number;
  /** The batchers' task queue. */
  readonly taskQueue: string;
  /** Workers that have polled it for workflow tasks within the last minutes. */
  readonly workflowPollers: number;
  /**
   * Task queues of the pipelines' activities, and the workers that have polled them for these. Each installation after
   * the first has a queue of its own.
   */
  readonly activityQueues: readonly { readonly taskQueue: string; readonly pollers: number }[];
  /** Pipelines that no worker has claimed yet: no worker has run with them. */
  readonly unclaimed: readonly string[];
}

const TEMPORAL_RETENTION_MS_MIN = DAY_MS;
const TEMPORAL_RETENTION_MS_ADVISED = 7 * DAY_MS;

/** Judges the namespace and the task queues. */
export function judgeNamespace(facts: NamespaceFacts): Finding[] {
  const namespace = judges(`namespace ${facts.namespace}`);
  const kept = `keeps closed runs for ${durationText(facts.retentionMs)}`;
  const loss = 'what a terminated batcher had accepted is lost unless a worker takes it over within that time';
  const todo = `temporal operator namespace update --namespace ${facts.namespace} --retention 7d`;
  return [
    facts.retentionMs < TEMPORAL_RETENTION_MS_MIN
      ? namespace.wrong(`${kept}: ${loss}`, todo)
      : facts.retentionMs < TEMPORAL_RETENTION_MS_ADVISED
        ? namespace.warning(`${kept}: ${loss}`, todo)
        : namespace.ok(kept),
    ...(facts.payloadBytesMax < PAYLOAD_BYTES_MAX
      ? [
          namespace.warning(
            `takes payloads of ${kib(facts.payloadBytesMax)}, not of ${kib(PAYLOAD_BYTES_MAX)}: signals and batches are smaller in the same measure, and a record larger than that goes to the dead-letter topic`,
            'raise limit.blobSize.error in the dynamic configuration of the server to 2097152',
          ),
        ]
      : []),
    ...judgeQueues(facts),
  ];
}

function judgeQueues({ taskQueue, workflowPollers, activityQueues, unclaimed }: NamespaceFacts): Finding[] {
  const start = 'start `ktb run`, or `ktb run --role worker`';
  // A batcher needs workers of both kinds. Every worker of its queue polls it for workflow tasks.
  const needed = new Map([[taskQueue, workflowPollers]]);
  for (const { taskQueue: name, pollers } of activityQueues)
    needed.set(name, Math.min(pollers, needed.get(name) ?? Infinity));
  const findings = Array.from(needed, ([name, pollers]): Finding => {
    const queue = judges(`task queue ${name}`);
    if (pollers > 0) return queue.ok(`${pollers} ${pollers === 1 ? 'worker' : 'workers'}`);
    return queue.warning('no worker asks for work: batchers hold what they get', start);
  });
  return [
    ...findings,
    ...unclaimed.map((name) =>
      judges(`pipeline ${name}`).warning('no worker of this version has run with it yet', start),
    ),
  ];
}

function kib(bytes: number): string {
  return `${Math.floor(bytes / 1024)} KiB`;
}
