import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

const SECONDS_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const END_TO_END_BUCKETS = [...SECONDS_BUCKETS, 30, 60, 300];
const ROWS_BUCKETS = [1, 10, 100, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000];

/** What a flush does, one after the other. */
export const FLUSH_STAGES = ['decode', 'insert', 'acknowledge', 'reject'] as const;
export type FlushStage = (typeof FLUSH_STAGES)[number];

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
    errors: counter(
      'ktb_errors_total',
      'Steps that failed and are repeated, by stage: start (where to begin reading), commit, signal, insert, publish.',
      ['pipeline', 'stage'],
    ),
    unhandledErrors: counter(
      'ktb_unhandled_errors_total',
      'Errors inside the Kafka client that no caller was told of. The log has them.',
      [],
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
    truncations: counter(
      'ktb_log_truncations_total',
      'Logs found to end before what was read of them: Kafka lost records. Reading went on at the end.',
      ['pipeline', 'topic'],
    ),
    unreadableBatches: counter(
      'ktb_unreadable_batches_total',
      'Record batches that cannot be read: damaged ones, before which their partition waits, and ones that decompress to more than 256 MiB, which are passed over.',
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
    held: gauge(
      'ktb_held_partitions',
      'Assigned partitions that wait for a person to decide, by reason: unreadable (a record batch), gap (records that retention removed), ' +
        'truncated (the log ends before what was read of it), newer (the offset is of a later version of ktb).',
      ['pipeline', 'reason'],
    ),
    rebalances: counter('ktb_rebalances_total', 'Assignments received from the group coordinator.', ['pipeline']),
    consumerDown: gauge(
      'ktb_consumer_down',
      '1 while the consumer is out of its group because it has failed; it joins again by itself.',
      ['pipeline'],
    ),
    consumerFailures: counter(
      'ktb_consumer_failures_total',
      'Failures of the consumer, each of which makes it join its group again, by cause: refused (credentials or permissions), failed (anything else).',
      ['pipeline', 'cause'],
    ),
    commits: counter('ktb_commits_total', 'Offset commits, by outcome: ok, failed.', ['pipeline', 'outcome']),
    waiting: gauge(
      'ktb_consumer_buffered_records',
      'Records in the consumer that wait for their signal to be accepted.',
      ['pipeline'],
    ),
    waitingBytes: gauge(
      'ktb_consumer_buffered_bytes',
      'What these records count in maxBuffered: the memory that they take.',
      ['pipeline'],
    ),
    waitingBytesLimit: gauge(
      'ktb_consumer_buffered_bytes_limit',
      'maxBuffered of the configuration; beyond it partitions are paused.',
      ['pipeline'],
    ),
    oldestWaiting: gauge(
      'ktb_oldest_waiting_timestamp_seconds',
      "The records' own timestamp of the oldest that waits first in a lane for its signal to be accepted; 0 without one.",
      ['pipeline'],
    ),
    backpressureSeconds: counter(
      'ktb_backpressure_seconds_total',
      'Time during which at least one partition was paused.',
      ['pipeline'],
    ),

    signals: counter(
      'ktb_signals_total',
      'Signals to batchers, by outcome: signalled (accepted by a run that was there), started (accepted, and its first run begun), retried, refused.',
      ['pipeline', 'outcome'],
    ),
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

    stuckTasks: gauge(
      'ktb_stuck_workflow_tasks',
      'Batchers whose workflow tasks do not get done: they fail each time, or no worker takes them. A consumer looks every 30 seconds, and counts those found so three times in a row.',
      ['pipeline'],
    ),
    heirs: counter(
      'ktb_batcher_heirs_total',
      'Batchers started anew after their run was closed: drained, or unexpectedly (terminated, cancelled, timed out).',
      ['pipeline', 'closed'],
    ),

    lostBatches: counter(
      'ktb_lost_batches_total',
      'Batches that closed runs had left, and that are lost since the retention of the namespace has removed the histories of these runs. 1 for a whole run of which nothing is known.',
      ['pipeline'],
    ),
    inherited: gauge(
      'ktb_inherited_batches',
      'Batches that a batcher still has to flush out of the histories of closed runs. They are lost if that takes longer than the retention of the namespace.',
      ['pipeline', 'batcher'],
    ),

    buffered: gauge('ktb_buffered_records', 'Records that batchers of this worker hold and have not flushed yet.', [
      'pipeline',
      'batcher',
    ]),
    oldestUnacknowledged: gauge(
      'ktb_oldest_unacknowledged_timestamp_seconds',
      'When a batcher accepted the oldest record that is not acknowledged yet, the batch on its way included; 0 without one.',
      ['pipeline', 'batcher'],
    ),
    batcherPaused: gauge('ktb_batcher_paused', '1 while a batcher is paused by command.', ['pipeline', 'batcher']),
    coverageRanges: gauge(
      'ktb_batcher_coverage_ranges',
      'Ranges of offsets that a batcher remembers as accepted, over all partitions and epochs.',
      ['pipeline', 'batcher'],
    ),
    batcherRuns: counter(
      'ktb_batcher_runs_total',
      'Runs of batchers begun on this worker: first, continued (as new), heir (of a closed run).',
      ['pipeline', 'begun'],
    ),
    duplicateChunks: counter(
      'ktb_duplicate_chunks_total',
      'Chunks dropped by batchers because all of their records had been accepted before.',
      ['pipeline'],
    ),
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
    flushStageSeconds: histogram(
      'ktb_flush_stage_seconds',
      'Time of the stages of a flush: decode, insert, acknowledge, reject (dead letters and negative acknowledgements).',
      ['pipeline', 'stage'],
      SECONDS_BUCKETS,
    ),
    flushAttempts: counter(
      'ktb_batcher_flush_attempts_total',
      'Attempts of each batcher at a step of a flush, on whatever worker, by outcome: ok, failed (and repeated).',
      ['pipeline', 'batcher', 'outcome'],
    ),
    workerFailures: counter(
      'ktb_worker_failures_total',
      'Failures of a Temporal worker of the daemon, each of which makes it begin anew, by task queue.',
      ['task_queue'],
    ),
    flushesRunning: gauge('ktb_flushes_running', 'Flushes that this worker is at work on.', []),
    flushesLimit: gauge('ktb_flushes_limit', 'worker.maxConcurrentFlushes of the configuration.', []),
    flushRetries: counter('ktb_flush_retries_total', 'Attempts of a flush after the first that has begun.', [
      'pipeline',
    ]),
    completed: counter(
      'ktb_completed_records_total',
      'Records that are done with, by outcome: inserted, rejected, skipped.',
      ['pipeline', 'outcome'],
    ),
    flushErrors: counter(
      'ktb_flush_errors_total',
      'Flush attempts that failed and are repeated, by error code: ClickHouse’s, or a word where it gave none; publish; unexpected, which the log explains.',
      ['pipeline', 'code'],
    ),
    rows: counter('ktb_inserted_rows_total', 'Rows inserted into ClickHouse.', ['pipeline']),
    inserts: counter('ktb_inserts_total', 'Insert statements sent to ClickHouse, by outcome: ok, failed.', [
      'pipeline',
      'outcome',
    ]),
    insertRows: histogram(
      'ktb_insert_rows',
      'Rows in an insert statement that ClickHouse took.',
      ['pipeline'],
      ROWS_BUCKETS,
    ),
    tooLargeInserts: counter(
      'ktb_too_large_inserts_total',
      'Inserts that were over a limit and have been divided, by ClickHouse error or HTTP status.',
      ['pipeline', 'code'],
    ),
    missedByViews: counter(
      'ktb_rows_missed_by_views_total',
      'Rows that are in the table and that a materialized view of it lacks, or may lack.',
      ['pipeline'],
    ),
    foundRows: counter('ktb_found_rows_total', 'Rows that a repeated insert found in the table already.', ['pipeline']),
    acks: counter('ktb_acks_total', 'Acknowledgements published, by status: inserted, rejected, skipped.', [
      'pipeline',
      'status',
    ]),
    replyFallbacks: counter(
      'ktb_reply_fallbacks_total',
      "Acknowledgements published to the pipeline's own reply topic although their records ask for another place, by cause: " +
        'forbidden_topic, missing_topic, missing_partition.',
      ['pipeline', 'cause'],
    ),
    leftOut: counter(
      'ktb_left_out_messages_total',
      'Acknowledgements and dead letters that their topic, which takes others, refused in every form, and that were left out.',
      ['topic'],
    ),
    confirmations: counter(
      'ktb_confirmations_total',
      'Confirmations to workflows that asked for rows, by outcome: delivered, gone (the requester has ended), failed (tried again).',
      ['pipeline', 'outcome'],
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
