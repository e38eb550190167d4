import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import { createTemporalClient } from '../../temporal/connect.js';
import { failureMessage } from '../../temporal/encryption.js';
import type { Config, PipelineConfig } from '../../config/config.js';
import { createAdmin, type KafkaAdmin } from '../../kafka/admin.js';
import { findInputTopics } from '../../kafka/inputTopics.js';
import { describeNoAnswer, findGroupOffsets, type GroupOffsets } from '../../kafka/offsets.js';
import { type BatcherStatus, BATCHER } from '../../protocol/batcher.js';
import { batcherWorkflowIds } from '../../protocol/batcherId.js';
import { isSameLayout, layoutName, type Layout } from '../../protocol/layout.js';
import { parseCommitMetadata } from '../../consumer/partitions/commitMetadata.js';
import { reachKafka, reachTemporal } from '../../connections/openParts.js';
import { kafkaOf } from '../shared/connections.js';
import { answerOf, type Answer } from '../shared/answer.js';
import { unflushedRecords } from '../shared/unflushedRecords.js';
import { isNotFound } from '../../temporal/errors.js';
import { isOpen } from '../../temporal/openRuns.js';
import { groupMembers, type GroupMemberInfo } from '../../kafka/groupMembers.js';

/** Long enough to find the reason of a TLS problem. */
const CONNECT_TIMEOUT_MS = 12_000;

/**
 * Time for a query, which needs a worker. If none answers, there is still time to report what the server itself knows.
 */
const QUERY_TIMEOUT_MS = 2_000;

/** A part that did not answer. */
export interface Silent {
  readonly error: string;
}

/** The state of one pipeline, as far as the parts answer. */
export interface PipelineReport {
  readonly pipeline: string;
  readonly lag: readonly PartitionLag[] | Silent;
  /** Partitions that could not be asked, with the reason. */
  readonly unknown: readonly string[];
  readonly members: readonly GroupMemberInfo[] | Silent;
  readonly batchers: readonly ReportedBatcher[] | Silent;
  /** Layouts that the group's commits name, and that are not the present one. Empty if there is none, or Kafka is silent. */
  readonly earlierLayouts: readonly EarlierLayout[];
}

/** A layout that partitions have not left yet: they wait until its batchers have flushed, or for their next record. */
export interface EarlierLayout {
  readonly layout: string;
  readonly partitions: number;
  /** Those that still hold something, or do not answer. */
  readonly batchers: readonly ReportedBatcher[] | Silent;
}

/** Whether a part did not answer a question. */
export function isIncomplete({ lag, unknown, members, batchers }: PipelineReport): boolean {
  return unknown.length > 0 || [lag, members, batchers].some((answer) => 'error' in answer);
}

export interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  readonly committed: number | null;
  readonly end: number;
  readonly lag: number;
  /** Where what may be read ends. Lower than the end if a transaction is open there. */
  readonly readableEnd: number;
}

export type ReportedBatcher = { readonly index: number; readonly workflowId: string } & (
  | { readonly state: 'running'; readonly status: BatcherStatus; readonly pendingError: string | null }
  | { readonly state: 'not started' }
  | {
      readonly state: string;
      readonly historyLength: number;
      readonly historyBytes: number;
      readonly status?: undefined;
      readonly error: string;
    }
);

/**
 * Asks Kafka and Temporal for the state of the pipelines. It opens each connection once. A part that is down is tried
 * again with each call.
 */
export class StatusReader {
  readonly #config: Config;
  readonly #admin: KafkaAdmin;
  #kafka: Answer<void> = { ok: false, error: 'not asked yet' };
  #temporal: Answer<NativeConnection> = { ok: false, error: 'not asked yet' };

  constructor(config: Config) {
    this.#config = config;
    this.#admin = createAdmin(kafkaOf(config));
  }

  /** Reports all pipelines, in the order of the configuration. Never rejects. Each batcher is queried once. */
  async read(): Promise<PipelineReport[]> {
    [this.#kafka, this.#temporal] = await Promise.all([
      this.#kafka.ok ? this.#kafka : answerOf(reachKafka(this.#admin, this.#config.kafka), CONNECT_TIMEOUT_MS),
      this.#temporal.ok ? this.#temporal : answerOf(reachTemporal(this.#config.temporal), CONNECT_TIMEOUT_MS),
    ]);
    const [kafka, temporal] = [this.#kafka, this.#temporal];
    const client = temporal.ok ? createTemporalClient(temporal.value, this.#config.temporal) : null;
    return Promise.all(
      this.#config.pipelines.map(async (pipeline): Promise<PipelineReport> => {
        const batchersIn = (layout: Layout): Promise<Answer<readonly ReportedBatcher[]>> =>
          client === null
            ? Promise.resolve(silent(temporal))
            : answerOf(batchersOf(client, { name: pipeline.name, layout }));
        const [lag, members, batchers] = await Promise.all([
          kafka.ok ? answerOf(lagOf(this.#admin, pipeline)) : kafka,
          kafka.ok ? answerOf(groupMembers(this.#admin, pipeline.groupId)) : kafka,
          batchersIn(pipeline.layout),
        ]);
        const earlierLayouts = await Promise.all(
          (lag.ok ? lag.value.earlier : []).map(async ({ layout, partitions }): Promise<EarlierLayout> => {
            const answer = await batchersIn(layout);
            const holding = answer.ok ? answer.value.filter(mayHold) : { error: answer.error };
            return { layout: layoutName(layout), partitions, batchers: holding };
          }),
        );
        return {
          pipeline: pipeline.name,
          lag: lag.ok ? lag.value.lag : { error: lag.error },
          unknown: lag.ok ? lag.value.unknown : [],
          members: members.ok ? members.value : { error: members.error },
          batchers: batchers.ok ? batchers.value : { error: batchers.error },
          earlierLayouts,
        };
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#admin.disconnect(), this.#temporal.ok ? this.#temporal.value.close() : undefined]);
  }
}

function silent(answer: Answer<unknown>): { readonly ok: false; readonly error: string } {
  return { ok: false, error: answer.ok ? '' : answer.error };
}

/** False for a batcher that has nothing left to flush. */
function mayHold(report: ReportedBatcher): boolean {
  if (report.state === 'not started' || report.state === 'completed') return false;
  const status = 'status' in report ? report.status : undefined;
  return status?.inheritedBatches !== 0 || unflushedRecords(status) > 0;
}

/** The layouts of commits that are not the present one, with the number of their partitions. Pure. */
export function earlierLayouts(
  commits: readonly Pick<GroupOffsets, 'committedMetadata'>[],
  present: Layout,
): { readonly layout: Layout; readonly partitions: number }[] {
  const found = new Map<string, { readonly layout: Layout; readonly partitions: number }>();
  for (const { committedMetadata } of commits) {
    const metadata = parseCommitMetadata(committedMetadata);
    if (metadata.type !== 'ours' || isSameLayout(metadata.layout, present)) continue;
    const name = layoutName(metadata.layout);
    found.set(name, { layout: metadata.layout, partitions: (found.get(name)?.partitions ?? 0) + 1 });
  }
  return [...found.values()];
}

async function lagOf(
  admin: KafkaAdmin,
  pipeline: PipelineConfig,
): Promise<{ lag: PartitionLag[]; unknown: string[]; earlier: ReturnType<typeof earlierLayouts> }> {
  const topics = await findInputTopics(admin, pipeline);
  const { logs, unknown } = await findGroupOffsets(admin, pipeline.groupId, topics, { highWatermarks: true });
  const lag = logs.map(({ topic, partition, logStart, logEnd, highWatermark = logEnd, committedOffset }) => ({
    topic,
    partition,
    committed: committedOffset,
    end: highWatermark,
    lag: Math.max(0, highWatermark - (committedOffset ?? logStart)),
    readableEnd: Math.min(logEnd, highWatermark),
  }));
  return { lag, unknown: unknown.map(describeNoAnswer), earlier: earlierLayouts(logs, pipeline.layout) };
}

function batchersOf(
  client: Client,
  { name, layout }: Pick<PipelineConfig, 'name' | 'layout'>,
): Promise<ReportedBatcher[]> {
  return Promise.all(batcherWorkflowIds(name, layout).map((workflowId, index) => batcherOf(client, index, workflowId)));
}

async function batcherOf(client: Client, index: number, workflowId: string): Promise<ReportedBatcher> {
  const handle = client.workflow.getHandle(workflowId);
  let description: WorkflowExecutionDescription;
  try {
    description = await handle.describe();
  } catch (error) {
    if (isNotFound(error)) return { index, workflowId, state: 'not started' };
    throw error;
  }
  const { status: execution, historyLength, historySize = 0, raw } = description;
  const failure = raw.pendingActivities?.find(({ lastFailure }) => lastFailure)?.lastFailure;
  const named = { index, workflowId, historyLength, historyBytes: historySize };
  if (!isOpen(execution.name)) return { ...named, state: execution.name.toLowerCase(), error: 'its run has ended' };
  const answer = await answerOf(handle.query<BatcherStatus>(BATCHER.queries.status), QUERY_TIMEOUT_MS);
  if (!answer.ok) return { ...named, state: 'silent', error: `no worker answers: ${answer.error}` };
  return {
    index,
    workflowId,
    state: 'running',
    status: answer.value,
    pendingError: failure ? failureMessage(client, failure) : null,
  };
}
