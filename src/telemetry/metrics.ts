import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

const SECONDS_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const END_TO_END_BUCKETS = [...SECONDS_BUCKETS, 30, 60, 300];

/** The parts that the daemon talks to. */
export type Dependency = 'kafka' | 'temporal' | 'clickhouse';

/** Of Node's own metrics those that `promtool check metrics` refuses: gauges named as counters. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** Every metric of the daemon. Labels are bounded: pipelines, their topics and partitions, fixed words. */
export type Metrics = ReturnType<typeof createMetrics>;

/** @param options.runtime also Node's own metrics (event loop, heap, garbage collection); default true */
export function createMetrics({ runtime = true }: { runtime?: boolean } = {}) {
  const registry = new Registry();
  const registers = [registry];
  if (runtime) {
    collectDefaultMetrics({ register: registry });
    for (const name of MISNAMED) registry.removeSingleMetric(name);
  }

  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Counter({ name, help, labelNames: [...labelNames], registers });
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Gauge({ name, help, labelNames: [...labelNames], registers });
  const histogram = <Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    buckets: number[],
  ) => new Histogram({ name, help, labelNames: [...labelNames], buckets, registers });

  return {
    registry,
    buildInfo: gauge('ktb_build_info', 'Always 1; the version is a label.', ['version', 'node']),
    dependencyUp: gauge('ktb_dependency_up', '1 while the dependency answers, 0 while it does not.', ['dependency']),
    temporalRequests: counter(
      'ktb_temporal_requests_total',
      'Requests of the daemon to Temporal, after their own retries, by code. Those of a worker for its tasks are not among them.',
      ['operation', 'code'],
    ),
    publishErrors: counter(
      'ktb_publish_errors_total',
      'Produce requests with acknowledgements or dead letters that failed; they are repeated.',
      [],
    ),

    consumed: counter('ktb_consumed_records_total', 'Records taken from Kafka.', ['pipeline', 'topic']),
    gaps: counter(
      'ktb_offset_gaps_total',
      'Jumps forward in the offsets of a partition: records the log no longer had.',
      ['pipeline', 'topic'],
    ),
    lag: gauge('ktb_lag_records', 'Records in the log behind the committed offset.', [
      'pipeline',
      'topic',
      'partition',
    ]),
    assigned: gauge('ktb_assigned_partitions', 'Partitions assigned to this consumer.', ['pipeline']),
    paused: gauge('ktb_paused_partitions', 'Assigned partitions that are not fetched, because the way ahead is full.', [
      'pipeline',
    ]),
    rebalances: counter('ktb_rebalances_total', 'Assignments received from the group coordinator.', ['pipeline']),
    commits: counter('ktb_commits_total', 'Offset commits, by outcome: ok, failed.', ['pipeline', 'outcome']),
    waiting: gauge(
      'ktb_consumer_buffered_records',
      'Records in the consumer that wait for their signal to be accepted.',
      ['pipeline'],
    ),

    signals: counter('ktb_signals_total', 'Signals to batchers, by outcome: accepted, retried, refused.', [
      'pipeline',
      'outcome',
    ]),
    signalledRecords: counter('ktb_signalled_records_total', 'Records in accepted signals.', ['pipeline']),
    signalSeconds: histogram(
      'ktb_signal_seconds',
      'Time until Temporal answered a signal.',
      ['pipeline'],
      SECONDS_BUCKETS,
    ),
    stoppedLanes: gauge(
      'ktb_stopped_lanes',
      'Lanes that send nothing, by cause: history (flow control), closed (no heir yet), temporal (no answer), ' +
        'deadLetters (a record too large for a signal cannot be set aside).',
      ['pipeline', 'cause'],
    ),

    heirs: counter(
      'ktb_batcher_heirs_total',
      'Batchers started anew after their run was closed: drained, or unexpectedly (terminated, cancelled, timed out).',
      ['pipeline', 'closed'],
    ),

    buffered: gauge('ktb_buffered_records', 'Records that batchers of this worker hold and have not flushed yet.', [
      'pipeline',
      'batcher',
    ]),
    holding: gauge('ktb_batcher_holding', '1 while a batcher stays in its run after continuing as new in vain.', [
      'pipeline',
      'batcher',
    ]),
    reportedAt: gauge(
      'ktb_batcher_reported_timestamp_seconds',
      'When a batcher last told this worker of its buffer. Of several workers the latest has the truth.',
      ['pipeline', 'batcher'],
    ),
    flushes: counter('ktb_flushes_total', 'Batches flushed, by reason.', ['pipeline', 'reason']),
    flushSeconds: histogram(
      'ktb_flush_seconds',
      'Time of one flush attempt that succeeded.',
      ['pipeline'],
      SECONDS_BUCKETS,
    ),
    flushErrors: counter('ktb_flush_errors_total', 'Flush attempts that failed and are repeated, by error code.', [
      'pipeline',
      'code',
    ]),
    rows: counter('ktb_inserted_rows_total', 'Rows inserted into ClickHouse.', ['pipeline']),
    inserts: counter('ktb_inserts_total', 'Insert statements sent to ClickHouse, by outcome: ok, failed.', [
      'pipeline',
      'outcome',
    ]),
    foundRows: counter('ktb_found_rows_total', 'Rows that a repeated insert found in the table already.', ['pipeline']),
    acks: counter('ktb_acks_total', 'Acknowledgements published, by status: inserted, rejected.', [
      'pipeline',
      'status',
    ]),
    replyFallbacks: counter(
      'ktb_reply_fallbacks_total',
      "Acknowledgements published to the pipeline's own reply topic although their records ask for another place, by cause: " +
        'forbidden_topic, missing_topic, missing_partition.',
      ['pipeline', 'cause'],
    ),
    deadLetters: counter('ktb_dead_letters_total', 'Records published to the dead-letter topic, by code.', [
      'pipeline',
      'code',
    ]),
    endToEndSeconds: histogram(
      'ktb_end_to_end_seconds',
      "From a record's timestamp to its row being queryable and its acknowledgement published.",
      ['pipeline'],
      END_TO_END_BUCKETS,
    ),
  };
}
