import { WorkflowNotFoundError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import Table from 'cli-table3';
import type { Admin } from 'kafkajs';
import { createTemporalClient } from '../clients.js';
import type { Config, PipelineConfig } from '../config/config.js';
import { loadConfig } from '../config/load.js';
import { createKafka } from '../kafka/clients.js';
import type { BatcherStatus } from '../records/batcher.js';
import { BATCHER, batcherWorkflowId } from '../records/batcherId.js';
import { reachKafka, reachTemporal } from '../reach.js';
import { createLogger } from '../telemetry/logging.js';
import { answered } from './parts.js';

/** Long enough to find out what is wrong with TLS. */
const CONNECT_TIMEOUT_MS = 12_000;

/** A query needs a worker; where none answers, there is still time to say what the server itself knows. */
const QUERY_TIMEOUT_MS = 2_000;

interface PipelineReport {
  readonly pipeline: string;
  readonly lag: PartitionLag[] | { readonly error: string };
  readonly batchers: BatcherReport[] | { readonly error: string };
}

interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  readonly committed: number | null;
  readonly end: number;
  readonly lag: number;
}

type BatcherReport = { readonly index: number; readonly workflowId: string } & (
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

/** `ktb status`: batchers and lag of each pipeline, as far as the parts answer. */
export async function status({ config: file, json }: { config: string; json: boolean }): Promise<void> {
  const config = loadConfig(file);
  const admin = createKafka(config.kafka, createLogger({ ...config.log, level: 'error' })).admin();
  const [temporal, kafka] = await Promise.all([
    answered(reachTemporal(config.temporal), CONNECT_TIMEOUT_MS),
    answered(reachKafka(admin, config.kafka), CONNECT_TIMEOUT_MS),
  ]);
  const client = temporal.ok ? createTemporalClient(temporal.value, config.temporal) : null;
  const reports = await Promise.all(
    config.pipelines.map(async (pipeline): Promise<PipelineReport> => {
      const [lag, batchers] = await Promise.all([
        kafka.ok ? answered(lagOf(admin, pipeline)) : kafka,
        client === null ? temporal : answered(batchersOf(client, pipeline)),
      ]);
      return {
        pipeline: pipeline.name,
        lag: lag.ok ? lag.value : { error: lag.error },
        batchers: batchers.ok ? (batchers.value as BatcherReport[]) : { error: batchers.error },
      };
    }),
  );
  await Promise.allSettled([admin.disconnect(), temporal.ok ? temporal.value.close() : undefined]);
  if (json) console.log(JSON.stringify(reports, null, 2));
  else for (const report of reports) print(report, config);
  if (reports.some(({ lag, batchers }) => 'error' in lag || 'error' in batchers)) process.exitCode = 1;
}

async function lagOf(admin: Admin, { groupId, topics }: PipelineConfig): Promise<PartitionLag[]> {
  const committed = await admin.fetchOffsets({ groupId, topics: [...topics] });
  const lags = await Promise.all(
    topics.map(async (topic) => {
      const log = await admin.fetchTopicOffsets(topic);
      const commits = committed.find((entry) => entry.topic === topic)?.partitions ?? [];
      return log
        .map(({ partition, low, high }): PartitionLag => {
          const offset = Number(commits.find((entry) => entry.partition === partition)?.offset ?? -1);
          const from = offset < 0 ? Number(low) : offset;
          return {
            topic,
            partition,
            committed: offset < 0 ? null : offset,
            end: Number(high),
            lag: Math.max(0, Number(high) - from),
          };
        })
        .sort((a, b) => a.partition - b.partition);
    }),
  );
  return lags.flat();
}

function batchersOf(client: Client, { name, layout }: PipelineConfig): Promise<BatcherReport[]> {
  return Promise.all(
    Array.from({ length: layout.batchers }, (_, index) =>
      batcherOf(client, index, batcherWorkflowId(name, layout, index)),
    ),
  );
}

async function batcherOf(client: Client, index: number, workflowId: string): Promise<BatcherReport> {
  const handle = client.workflow.getHandle(workflowId);
  let description: WorkflowExecutionDescription;
  try {
    description = await handle.describe();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return { index, workflowId, state: 'not started' };
    throw error;
  }
  const { status: execution, historyLength, historySize = 0, raw } = description;
  const failure = raw.pendingActivities?.find(({ lastFailure }) => lastFailure)?.lastFailure?.message ?? null;
  const named = { index, workflowId, historyLength, historyBytes: historySize };
  if (execution.name !== 'RUNNING')
    return { ...named, state: execution.name.toLowerCase(), error: 'its run has ended' };
  const answer = await answered(handle.query<BatcherStatus>(BATCHER.queries.status), QUERY_TIMEOUT_MS);
  if (!answer.ok) return { ...named, state: 'silent', error: `no worker answers: ${answer.error}` };
  return { index, workflowId, state: 'running', status: answer.value, pendingError: failure };
}

function print({ pipeline, lag, batchers }: PipelineReport, config: Config): void {
  console.log(`\npipeline ${pipeline}`);
  if ('error' in lag) console.log(`  Kafka at ${config.kafka.brokers.join(', ')}: ${lag.error}`);
  else {
    const total = lag.reduce((sum, { lag: behind }) => sum + behind, 0);
    console.log(`  lag ${total.toLocaleString('en')} records over ${lag.length} partitions`);
  }
  if ('error' in batchers) {
    console.log(`  Temporal at ${config.temporal.address}: ${batchers.error}`);
    return;
  }
  const table = new Table({
    head: [
      'batcher',
      'state',
      'buffered',
      'oldest',
      'records',
      'batches',
      'rejected',
      'last flush',
      'history',
      'last error',
    ],
    style: { head: [], border: [] },
  });
  for (const report of batchers) table.push(tableRow(report));
  console.log(table.toString());
}

function tableRow(report: BatcherReport): (string | number)[] {
  if (!('status' in report) || report.status === undefined) {
    const error = 'error' in report ? report.error : '';
    const history = 'historyBytes' in report ? `${Math.round(report.historyBytes / 1024)} KiB` : '';
    return [report.index, report.state, '', '', '', '', '', '', history, error];
  }
  const { status: of, pendingError } = report;
  const state = of.paused
    ? 'paused'
    : of.draining
      ? 'draining'
      : of.holding
        ? 'holding'
        : of.flushing === null
          ? 'accepting'
          : 'flushing';
  const now = Date.now();
  return [
    report.index,
    state,
    of.bufferedRecords.toLocaleString('en'),
    of.oldestAcceptedAtMs === null ? '' : seconds(now - of.oldestAcceptedAtMs),
    of.counters.records.toLocaleString('en'),
    of.counters.batches.toLocaleString('en'),
    of.counters.rejected.toLocaleString('en'),
    of.lastFlush === null ? '' : `${of.lastFlush.reason}, ${seconds(now - of.lastFlush.finishedAtMs)} ago`,
    `${Math.round(of.historyBytes / 1024)} KiB`,
    pendingError ?? of.lastError ?? '',
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
