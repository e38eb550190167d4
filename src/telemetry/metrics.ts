import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { BatchHistogram } from './batchHistogram.js';

const SECONDS_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const END_TO_END_BUCKETS = [...SECONDS_BUCKETS, 30, 60, 300];
const ROWS_BUCKETS = [1, 10, 100, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000];

/** The stages of a flush, in order. */
export const FLUSH_STAGES = ['decode', 'insert', 'acknowledge', 'reject'] as const;
export type FlushStage = (typeof FLUSH_STAGES)[number];

/** The parts that the daemon talks to. */
export type Dependency = 'kafka' | 'temporal' | 'clickhouse';

/** Metrics of Node that `promtool check metrics` refuses: gauges with names of counters. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** Every metric of the daemon. Labels are bounded: pipelines, their topics and partitions, fixed words. */
export type Metrics = ReturnType<typeof createMetrics>;

/**
 * @param options.runtime whether to include Node's own metrics (event loop, heap, garbage collection). Default: true
 */
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
    buildInfo: gauge('ktb_build_info', 'Always 1. The version is a label.', ['version', 'node']),
    running: gauge(
      'ktb_running',
      '1 since the daemon has begun its work. 0 before: Kafka, Temporal or ClickHouse has not answered yet, or a pipeline belongs to another installation.',
      [],
    ),
    dependencyUp: gauge('ktb_dependency_up', '1 while the dependency answers, 0 while it does not.', ['dependency']),
    configRefused: gauge(
      'ktb_config_refused',
      '1 while the configuration file cannot be used: it is wrong, or a table does not take what it maps. The daemon goes on with the last one.',
      [],
    ),
    configRestartNeeded: gauge(
      'ktb_config_restart_needed',
      '1 while the configuration file has changes that the daemon takes only at its next start. The log names them.',
      [],
    ),
    temporalRequests: counter(
      'ktb_temporal_requests_total',
      'Requests of the daemon to Temporal, after their own retries, by code. Requests of a worker for its tasks are not counted.',
      ['operation', 'code'],
    ),
    missingKeys: counter(
      'ktb_missing_keys_total',
      'Payloads of Temporal that are encrypted with a key that this process does not have, by the key: its name, and a check value. Their batchers wait. Of all keys 20 are told; (others) are the rest.',
      ['key'],
    ),
    refusedSignals: counter(
      'ktb_refused_signals_total',
      'Signals that batchers have refused: unencrypted although that is required, encrypted without the key, or moved from another batcher. Each is a dead letter with the code foreign_signal.',
      ['pipeline'],
    ),
    refusedActivities: counter(
      'ktb_refused_activities_total',
      'Attempts of activities of which the arguments, the result or the notes were refused: not encrypted although that is required, or for another call.',
      [],
    ),
    errors: counter(
      'ktb_errors_total',
      'Steps that failed and are repeated, by stage: start (where to begin reading), decode (what chooses the batchers of records), commit, signal, insert, publish.',
      ['pipeline', 'stage'],
    ),
    unhandledErrors: counter(
      'ktb_unhandled_errors_total',
      'Errors inside the Kafka client that reached no caller. The log has them.',
      [],
    ),
    publishErrors: counter(
      'ktb_publish_errors_total',
      'Produce requests with acknowledgements or dead letters that failed. They are repeated.',
      [],
    ),

    consumed: counter('ktb_consumed_records_total', 'Records taken from Kafka.', ['pipeline', 'topic']),
    gaps: counter(
      'ktb_offset_gaps_total',
      'Jumps forward in the offsets of a partition: the log no longer had these records.',
      ['pipeline', 'topic'],
    ),
    truncations: counter(
      'ktb_log_truncations_total',
      'Logs that end before what was read of them: Kafka lost records. Reading went on where the log was cut, or at its end if that is not known.',
      ['pipeline', 'topic'],
    ),
    unreadableBatches: counter(
      'ktb_unreadable_batches_total',
      'Record batches that cannot be read. A damaged one makes its partition wait. One that is too large (256 MiB decompressed) is passed over.',
      ['pipeline', 'topic'],
    ),
    lag: gauge(
      'ktb_lag_records',
      'Offsets in the log after the committed one, also those that an open transaction keeps from being read.',
      ['pipeline', 'topic', 'partition'],
    ),
    assigned: gauge('ktb_assigned_partitions', 'Partitions assigned to this consumer.', ['pipeline']),
    paused: gauge(
      'ktb_paused_partitions',
      'Assigned partitions that are not fetched, because the buffer or a batcher is full.',
      ['pipeline'],
    ),
    held: gauge(
      'ktb_held_partitions',
      'Assigned partitions that wait for a person to decide, by reason: unreadable (a record batch), gap (records that retention removed), ' +
        'truncated (the log ends before what was read of it), newer (the offset is of a later version of ktb).',
      ['pipeline', 'reason'],
    ),
    unserved: gauge(
      'ktb_unserved_partitions',
      'Assigned partitions that are not read and are tried again: Kafka answers with errors, or where they start is not known yet. A topic that Kafka does not show counts as 1.',
      ['pipeline', 'topic'],
    ),
    rebalances: counter('ktb_rebalances_total', 'Assignments received from the group coordinator.', ['pipeline']),
    consumerDown: gauge(
      'ktb_consumer_down',
      '1 while the consumer is out of its group because it has failed, or cannot begin to join. It tries again by itself.',
      ['pipeline'],
    ),
    consumerFailures: counter(
      'ktb_consumer_failures_total',
      'Failures of the consumer, by cause: refused (credentials or permissions), failed (anything else). It joins its group again after each.',
      ['pipeline', 'cause'],
    ),
    commits: counter('ktb_commits_total', 'Offset commits, by outcome: ok, failed.', ['pipeline', 'outcome']),
    waiting: gauge(
      'ktb_consumer_buffered_records',
      'Records in the consumer that wait for their signal to be accepted.',
      ['pipeline'],
    ),
    waitingBytes: gauge('ktb_consumer_buffered_bytes', 'Memory that these records take, as maxBuffered counts it.', [
      'pipeline',
    ]),
    waitingBytesLimit: gauge(
      'ktb_consumer_buffered_bytes_limit',
      'maxBuffered of the configuration. Above it partitions are paused.',
      ['pipeline'],
    ),
    oldestWaiting: gauge(
      'ktb_oldest_waiting_timestamp_seconds',
      'Own timestamp of the oldest record among those that are first in a lane and wait for their signal to be accepted. 0 without one.',
      ['pipeline'],
    ),
    backpressureSeconds: counter(
      'ktb_backpressure_seconds_total',
      'Time during which at least one partition was paused.',
      ['pipeline'],
    ),

    signals: counter(
      'ktb_signals_total',
      'Signals to batchers, by outcome: signalled (a running batcher accepted it), started (the batcher was started with it), retried, refused.',
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
      'Batchers whose workflow tasks fail each time, or are taken by no worker. A consumer looks every 30 seconds, and counts a batcher after three such looks in a row.',
      ['pipeline'],
    ),
    heirs: counter(
      'ktb_batcher_heirs_total',
      'Batchers started anew after their run was closed: drained, or unexpectedly (terminated, cancelled, timed out).',
      ['pipeline', 'closed'],
    ),

    lostBatches: counter(
      'ktb_lost_batches_total',
      'Batches of closed runs that are lost, because the retention of the namespace has removed the histories of these runs. A run of which nothing is known counts as 1.',
      ['pipeline'],
    ),
    inherited: gauge(
      'ktb_inherited_batches',
      'Batches that a batcher still has to flush from the histories of closed runs. They are lost if that takes longer than the retention of the namespace.',
      ['pipeline', 'batcher'],
    ),

    buffered: gauge('ktb_buffered_records', 'Records that batchers of this worker hold and have not flushed yet.', [
      'pipeline',
      'batcher',
    ]),
    oldestUnacknowledged: gauge(
      'ktb_oldest_unacknowledged_timestamp_seconds',
      'When a batcher accepted the oldest record that is not acknowledged yet, including the batch that is being flushed. 0 without one.',
      ['pipeline', 'batcher'],
    ),
    batcherPaused: gauge('ktb_batcher_paused', '1 while a batcher is paused by command.', ['pipeline', 'batcher']),
    coverageRanges: gauge(
      'ktb_batcher_coverage_ranges',
      'Ranges of offsets that a batcher remembers as accepted, over all partitions and epochs.',
      ['pipeline', 'batcher'],
    ),
    forgottenPartitions: counter(
      'ktb_forgotten_partitions_total',
      'Partitions that a batcher has forgotten, because it has seen more than one run can hand to the next. A record of such a partition that comes again becomes a second row.',
      ['pipeline'],
    ),
    batcherRuns: counter(
      'ktb_batcher_runs_total',
      'Runs of batchers that began on this worker: first, continued (as new), heir (of a closed run).',
      ['pipeline', 'begun'],
    ),
    duplicateChunks: counter(
      'ktb_duplicate_chunks_total',
      'Chunks dropped by batchers because all of their records had been accepted before.',
      ['pipeline'],
    ),
    holding: gauge(
      'ktb_batcher_holding',
      '1 while a batcher stays in its run, because it continued as new ten times in a row although nothing had arrived.',
      ['pipeline', 'batcher'],
    ),
    reportedAt: gauge(
      'ktb_batcher_reported_timestamp_seconds',
      'When a batcher last reported its buffer on this worker. If several workers have this series, the latest is right.',
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
      'Attempts of each batcher at a step of a flush, by outcome: ok, failed (and repeated).',
      ['pipeline', 'batcher', 'outcome'],
    ),
    workerFailures: counter(
      'ktb_worker_failures_total',
      'Failures of a Temporal worker of the daemon, by task queue. It starts again after each.',
      ['task_queue'],
    ),
    flushesRunning: gauge(
      'ktb_flushes_running',
      'Flushes that this worker is doing. A small one counts as an eighth.',
      [],
    ),
    flushesLimit: gauge('ktb_flushes_limit', 'worker.maxConcurrentFlushes of the configuration.', []),
    flushRetries: counter('ktb_flush_retries_total', 'Attempts of a flush after the first one that began.', [
      'pipeline',
    ]),
    bodyReads: counter(
      'ktb_batch_history_reads_total',
      'Histories of batchers that were read to find a large batch, because this worker did not have it in memory.',
      ['pipeline'],
    ),
    completed: counter(
      'ktb_completed_records_total',
      'Records that are finished, by outcome: inserted, rejected, skipped.',
      ['pipeline', 'outcome'],
    ),
    flushErrors: counter(
      'ktb_flush_errors_total',
      'Flush attempts that failed and are repeated, by error code: ClickHouse’s, or a word if it gave none; publish; unexpected (the log explains it).',
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
      'Inserts that were over a limit and were divided, by ClickHouse error or HTTP status.',
      ['pipeline', 'code'],
    ),
    ignoredFields: counter(
      'ktb_ignored_fields_total',
      'Fields of inserted records that were left out because the table has no column for them, by name. Of a pipeline, 100 names are told; (others) are the rest.',
      ['pipeline', 'field'],
    ),
    evolvedFields: counter(
      'ktb_evolved_fields_total',
      'Fields without a column that evolve has decided about: a column was added or proposed, or the field gets none (refused).',
      ['pipeline', 'outcome'],
    ),
    missedByViews: counter(
      'ktb_rows_missed_by_views_total',
      'Rows that are in the table, but that a materialized view lacks, or may lack.',
      ['pipeline'],
    ),
    foundRows: counter('ktb_found_rows_total', 'Rows that a repeated insert found in the table already.', ['pipeline']),
    acks: counter('ktb_acks_total', 'Acknowledgements published, by status: inserted, rejected, skipped.', [
      'pipeline',
      'status',
    ]),
    replyFallbacks: counter(
      'ktb_reply_fallbacks_total',
      "Acknowledgements that went to the pipeline's own reply topic although their records ask for another place, by cause: " +
        'forbidden_topic, missing_topic, missing_partition.',
      ['pipeline', 'cause'],
    ),
    leftOut: counter(
      'ktb_left_out_messages_total',
      'Acknowledgements and dead letters that were left out, because their topic takes others but refused these in every form.',
      ['topic'],
    ),
    confirmations: counter(
      'ktb_confirmations_total',
      'Confirmations to workflows that submitted rows, by outcome: delivered, gone (the requester has ended), failed (tried again).',
      ['pipeline', 'outcome'],
    ),
    deadLetters: counter('ktb_dead_letters_total', 'Records published to the dead-letter topic, by code.', [
      'pipeline',
      'code',
    ]),
    endToEndSeconds: new BatchHistogram({
      name: 'ktb_end_to_end_seconds',
      help: "Time from a record's timestamp until its row can be queried and its acknowledgement is published.",
      labelNames: ['pipeline'],
      buckets: END_TO_END_BUCKETS,
      registers,
    }),
  };
}
