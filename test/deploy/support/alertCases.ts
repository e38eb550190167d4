/** Series as promtool's tests write them: name with labels, and values a minute apart (`0+10x60`: 0, 10, ... 600). */
type Series = Readonly<Record<string, string>>;

/** Series under which an alert fires at a time, and similar ones under which it does not. */
interface AlertCase {
  /** When it is looked at, as `1h`. */
  readonly at: string;
  readonly firing: Series;
  /** Under each of these it fires for another reason. */
  readonly alsoFiring?: readonly Series[];
  readonly quiet: Series;
  /** Under each of these it does not fire either. */
  readonly alsoQuiet?: readonly Series[];
}

const POD = 'namespace="apps",pod="ktb-0",job="ktb"';
const P = `${POD},pipeline="orders"`;
const LEFT_OUT = `${POD},topic="orders.replies"`;
const B = `${P},batcher="3"`;
const B_OLD = `namespace="apps",pod="ktb-1",job="ktb",pipeline="orders",batcher="3"`;

/** A buffer's series and when its batcher last told of it, on a worker that it has left and on the one that it is on. */
const batcher = (metric: string, before: number, now: number, reported: string, minutes = 60): Series => ({
  [`${metric}{${B_OLD}}`]: `${before}x${minutes}`,
  [`ktb_batcher_reported_timestamp_seconds{${B_OLD}}`]: `0x${minutes}`,
  [`${metric}{${B}}`]: `${now}x${minutes}`,
  [`ktb_batcher_reported_timestamp_seconds{${B}}`]: reported,
});

/** The worker that has told of a batcher is gone, and no other one has heard of the batcher since. */
const gone = (metric: string, value: number, minutes: number): Series => ({
  [`${metric}{${B_OLD}}`]: `${value}x${minutes} stale`,
  [`ktb_batcher_reported_timestamp_seconds{${B_OLD}}`]: `60x${minutes} stale`,
});

/** Another worker tells the same of the batcher, from this minute on. */
const moved = (metric: string, value: number, minutes: number): Series => ({
  ...gone(metric, value, minutes),
  [`${metric}{${B}}`]: `_x${minutes} ${value}x120`,
  [`ktb_batcher_reported_timestamp_seconds{${B}}`]: `_x${minutes} ${60 * minutes}x120`,
});

/** An event that is counted while the process runs, before its first scrape, and long ago. */
const ofEvent = (counter: string, labels: string, alsoQuiet: Series = {}): AlertCase => ({
  at: '20m',
  firing: { [`${counter}{${labels}}`]: '0x15 1x20' },
  alsoFiring: [
    {
      [`${counter}{${labels}}`.replace('ktb-0', 'ktb-1')]: '0x5 stale',
      [`${counter}{${labels}}`]: '_x8 1x50',
      [`process_start_time_seconds{${POD}}`]: '_x8 470x50',
    },
  ],
  quiet: {
    [`${counter}{${labels}}`]: '1x60',
    [`process_start_time_seconds{${POD}}`]: '0x60',
    // Some other application of the same pod's name.
    'process_start_time_seconds{namespace="shop",pod="ktb-0",job="shop"}': '1100x60',
    ...alsoQuiet,
  },
});

/** By alert of files/rules.yaml. */
export const ALERT_CASES: Readonly<Record<string, AlertCase>> = {
  KtbDown: {
    at: '30m',
    firing: { [`ktb_assigned_partitions{${P}}`]: '8x60', [`ktb_flushes_total{${P}}`]: '1x10 stale' },
    alsoFiring: [{ [`ktb_assigned_partitions{${P}}`]: '8x10 stale', [`ktb_flushes_total{${P}}`]: '1x60' }],
    // One of two is enough; a consumer alone has never had a worker beside it.
    quiet: {
      [`ktb_assigned_partitions{${P}}`]: '8x10 stale',
      'ktb_assigned_partitions{namespace="apps",pod="ktb-1",job="ktb",pipeline="orders"}': '8x60',
    },
  },
  KtbDependencyDown: {
    at: '10m',
    firing: { [`ktb_dependency_up{${P},dependency="kafka"}`]: '0x60' },
    quiet: { [`ktb_dependency_up{${P},dependency="kafka"}`]: '1 1 1 0 0 0 0 1 1 1 1' },
  },
  KtbNotRunning: {
    at: '10m',
    firing: { [`ktb_running{${POD}}`]: '0x60', [`ktb_dependency_up{${POD},dependency="kafka"}`]: '1x60' },
    // One waits for Kafka, which has its own alert, and one has begun late.
    quiet: {
      [`ktb_running{${POD}}`]: '0x60',
      [`ktb_dependency_up{${POD},dependency="kafka"}`]: '0x60',
      [`ktb_dependency_up{${POD},dependency="temporal"}`]: '1x60',
      [`ktb_running{${POD}}`.replace('ktb-0', 'ktb-1')]: '0x4 1x60',
    },
  },
  KtbConfigRefused: {
    at: '20m',
    firing: { [`ktb_config_refused{${POD}}`]: '0x5 1x60' },
    // It was mended within minutes.
    quiet: { [`ktb_config_refused{${POD}}`]: '0x5 1x3 0x60' },
  },
  KtbRestartNeeded: {
    at: '90m',
    firing: { [`ktb_config_restart_needed{${POD}}`]: '0x5 1x120' },
    // A rollout replaces the pods.
    quiet: {
      [`ktb_config_restart_needed{${POD}}`]: '0x5 1x30 stale',
      [`ktb_config_restart_needed{${POD}}`.replace('ktb-0', 'ktb-1')]: '_x30 0x120',
    },
  },
  KtbStalled: {
    at: '30m',
    firing: { [`ktb_lag_records{${P}}`]: '5000x60', [`ktb_signalled_records_total{${P}}`]: '100x60' },
    quiet: { [`ktb_lag_records{${P}}`]: '5000x60', [`ktb_signalled_records_total{${P}}`]: '100+1x60' },
  },
  KtbConsumerFailing: {
    at: '30m',
    firing: { [`ktb_consumer_down{${P}}`]: '1x60' },
    alsoFiring: [
      {
        [`ktb_consumer_down{${P}}`]: '0x60',
        [`ktb_consumer_failures_total{${P},cause="failed"}`]: '0+1x60',
      },
    ],
    // A coordinator was away for a minute.
    quiet: {
      [`ktb_consumer_down{${P}}`]: '0x20 1x2 0x40',
      [`ktb_consumer_failures_total{${P},cause="failed"}`]: '0x20 2 4 6x40',
    },
  },
  KtbWorkerFailing: {
    at: '30m',
    firing: { 'ktb_worker_failures_total{namespace="apps",job="ktb",task_queue="q"}': '0+1x60' },
    quiet: { 'ktb_worker_failures_total{namespace="apps",job="ktb",task_queue="q"}': '0x10 2x60' },
  },
  KtbLagGrowing: {
    at: '2h',
    // 200 records a second are read.
    firing: {
      [`ktb_lag_records{${P}}`]: '20000+10x120',
      [`ktb_signalled_records_total{${P}}`]: '0+12000x120',
    },
    alsoFiring: [
      // Nothing is read.
      { [`ktb_lag_records{${P}}`]: '20000+10x120', [`ktb_signalled_records_total{${P}}`]: '5000x120' },
      { [`ktb_lag_records{${P}}`]: '20000+10x120' },
    ],
    // As much more comes as is read: 20,000 to 40,000 records a second, each of them for 1.5 seconds in the consumer.
    quiet: {
      [`ktb_lag_records{${P}}`]: '30000+250x120',
      [`ktb_signalled_records_total{${P}}`]: '0+1200000x120',
    },
    alsoQuiet: [{ [`ktb_lag_records{${P}}`]: '90000-10x120' }],
  },
  KtbDelayHigh: {
    at: '1h',
    firing: {
      [`ktb_end_to_end_seconds_bucket{${P},le="60"}`]: '0+80x60',
      [`ktb_end_to_end_seconds_bucket{${P},le="300"}`]: '0+100x60',
      [`ktb_end_to_end_seconds_bucket{${P},le="+Inf"}`]: '0+100x60',
    },
    quiet: {
      [`ktb_end_to_end_seconds_bucket{${P},le="60"}`]: '0+99x60',
      [`ktb_end_to_end_seconds_bucket{${P},le="300"}`]: '0+100x60',
      [`ktb_end_to_end_seconds_bucket{${P},le="+Inf"}`]: '0+100x60',
    },
  },
  KtbCommitsFailing: {
    at: '1h',
    firing: {
      [`ktb_commits_total{${P},outcome="failed"}`]: '0+1x60',
      [`ktb_commits_total{${P},outcome="ok"}`]: '500x60',
    },
    quiet: {
      [`ktb_commits_total{${P},outcome="failed"}`]: '0+1x60',
      [`ktb_commits_total{${P},outcome="ok"}`]: '500+1x60',
    },
  },
  KtbRebalancing: {
    at: '90m',
    firing: { [`ktb_rebalances_total{${P}}`]: '0+1x120' },
    // A rollout of a few pods.
    quiet: { [`ktb_rebalances_total{${P}}`]: '0x60 1 2 3 4 4x60' },
  },
  KtbOffsetGap: ofEvent('ktb_offset_gaps_total', `${P},topic="orders"`),
  KtbLogTruncated: ofEvent('ktb_log_truncations_total', `${P},topic="orders"`),
  KtbBatchUnreadable: ofEvent('ktb_unreadable_batches_total', `${P},topic="orders"`),
  KtbSignalsRefused: ofEvent('ktb_refused_signals_total', P),
  KtbActivitiesRefused: ofEvent('ktb_refused_activities_total', POD),
  KtbEncryptionKeyMissing: {
    // Temporal waits longer and longer between two attempts.
    at: '40m',
    firing: { [`ktb_missing_keys_total{namespace="apps",job="ktb",key="k2:9f3a1c22"}`]: '0 1 2 3x7 4x11 5x11 6x60' },
    quiet: { [`ktb_missing_keys_total{namespace="apps",job="ktb",key="k2:9f3a1c22"}`]: '7x60' },
  },
  KtbPartitionHeld: {
    // For as long as it waits, over a rebalance, too.
    at: '3h',
    firing: { [`ktb_held_partitions{${P},reason="unreadable"}`]: '0x10 1x165 0x2 0x10' },
    alsoFiring: [{ [`ktb_held_partitions{${P},reason="gap"}`]: '0x10 2x300' }],
    quiet: { [`ktb_held_partitions{${P},reason="unreadable"}`]: '1x100 0x200' },
  },
  KtbPartitionUnserved: {
    // Its sibling goes on, and a rebalance gives it to another member.
    at: '30m',
    firing: {
      [`ktb_unserved_partitions{${P},topic="b"}`]: '0x10 1x8 0x20',
      'ktb_unserved_partitions{namespace="apps",pod="ktb-1",job="ktb",pipeline="orders",topic="b"}': '0x20 1x20',
      [`ktb_unserved_partitions{${P},topic="a"}`]: '0x60',
      [`ktb_lag_records{${P},topic="b",partition="0"}`]: '5000x60',
      [`ktb_signalled_records_total{${P}}`]: '0+1000x60',
    },
    // Brokers restart one after the other.
    quiet: { [`ktb_unserved_partitions{${P},topic="b"}`]: '0x15 1 0 0 0 1 0 0 0 1 0 0 0 1 0 0 0 1 0x60' },
  },
  KtbSignalDeliveryFailing: {
    at: '30m',
    firing: {
      [`ktb_signals_total{${P},outcome="retried"}`]: '0+6x60',
      [`ktb_signals_total{${P},outcome="refused"}`]: '0+6x60',
      [`ktb_signals_total{${P},outcome="signalled"}`]: '0+10x60',
      [`ktb_signals_total{${P},outcome="started"}`]: '1x60',
    },
    quiet: {
      [`ktb_signals_total{${P},outcome="retried"}`]: '0+5x60',
      [`ktb_signals_total{${P},outcome="refused"}`]: '0x60',
      [`ktb_signals_total{${P},outcome="signalled"}`]: '0+10x60',
      [`ktb_signals_total{${P},outcome="started"}`]: '1x60',
    },
  },
  KtbQueryTimeouts: {
    at: '1h',
    firing: {
      [`ktb_temporal_requests_total{${P},operation="query",code="timeout"}`]: '0+1x60',
      [`ktb_temporal_requests_total{${P},operation="query",code="ok"}`]: '7x60',
    },
    quiet: {
      [`ktb_temporal_requests_total{${P},operation="query",code="timeout"}`]: '0+1x60',
      [`ktb_temporal_requests_total{${P},operation="query",code="ok"}`]: '7+1x60',
    },
  },
  KtbTemporalThrottled: {
    at: '30m',
    firing: { [`ktb_temporal_requests_total{${P},operation="query",code="resource_exhausted"}`]: '0+1x60' },
    quiet: { [`ktb_temporal_requests_total{${P},operation="query",code="resource_exhausted"}`]: '0 0 3 3x60' },
  },
  KtbFlushFailing: {
    at: '30m',
    // The success of another batcher silences nothing.
    firing: {
      [`ktb_batcher_flush_attempts_total{${B},outcome="failed"}`]: '0+4x60',
      [`ktb_batcher_flush_attempts_total{${B},outcome="ok"}`]: '7x60',
      [`ktb_batcher_flush_attempts_total{${P},batcher="4",outcome="ok"}`]: '0+10x60',
    },
    // Its attempts go from one worker to another.
    alsoFiring: [
      {
        [`ktb_batcher_flush_attempts_total{${B_OLD},outcome="failed"}`]: '0+4x18 stale',
        [`ktb_batcher_flush_attempts_total{${B_OLD},outcome="ok"}`]: '7x18 stale',
        [`ktb_batcher_flush_attempts_total{${B},outcome="failed"}`]: '_x20 1+4x40',
      },
    ],
    quiet: {
      [`ktb_batcher_flush_attempts_total{${B},outcome="failed"}`]: '0+4x60',
      [`ktb_batcher_flush_attempts_total{${B_OLD},outcome="ok"}`]: '0+1x60',
    },
  },
  KtbOldestUnacknowledged: {
    at: '40m',
    firing: batcher('ktb_oldest_unacknowledged_timestamp_seconds', 0, 600, '600x60'),
    // The worker that has told of it is gone, and no other one has heard of the batcher since.
    alsoFiring: [
      {
        [`ktb_oldest_unacknowledged_timestamp_seconds{${B}}`]: '600x15 stale',
        [`ktb_batcher_reported_timestamp_seconds{${B}}`]: '600x15 stale',
      },
    ],
    quiet: batcher('ktb_oldest_unacknowledged_timestamp_seconds', 600, 0, '700x60'),
  },
  KtbClickHouseErrors: {
    at: '30m',
    firing: {
      [`ktb_inserts_total{${P},outcome="failed"}`]: '0+2x60',
      [`ktb_inserts_total{${P},outcome="ok"}`]: '0+10x60',
    },
    quiet: {
      [`ktb_inserts_total{${P},outcome="failed"}`]: '0+1x60',
      [`ktb_inserts_total{${P},outcome="ok"}`]: '0+10x60',
    },
  },
  KtbAckErrors: {
    at: '30m',
    firing: { [`ktb_publish_errors_total{${P}}`]: '0+1x60' },
    quiet: { [`ktb_publish_errors_total{${P}}`]: '4x60' },
  },
  KtbDeadLetters: ofEvent('ktb_dead_letters_total', `${P},code="not_json"`),
  KtbMessagesLeftOut: ofEvent('ktb_left_out_messages_total', LEFT_OUT),
  KtbViewsLackRows: ofEvent('ktb_rows_missed_by_views_total', P),
  KtbSaturated: {
    at: '40m',
    firing: { [`ktb_paused_partitions{${P}}`]: '3x60' },
    quiet: { [`ktb_paused_partitions{${P}}`]: '3x20 0 3x60' },
  },
  KtbEventLoopBlocked: {
    at: '20m',
    firing: { [`nodejs_eventloop_lag_p99_seconds{${P}}`]: '0.8x60', [`ktb_build_info{${P}}`]: '1x60' },
    quiet: {
      [`nodejs_eventloop_lag_p99_seconds{${P}}`]: '0.1x60',
      [`ktb_build_info{${P}}`]: '1x60',
      // Some other application of Node.js.
      'nodejs_eventloop_lag_p99_seconds{namespace="apps",pod="shop-0",job="shop"}': '0.8x60',
    },
  },
  KtbBatchesSmall: {
    at: '2h',
    firing: {
      [`ktb_inserted_rows_total{${P}}`]: '0+3000x120',
      [`ktb_flushes_total{${P},reason="delay"}`]: '0+300x120',
      [`ktb_flushes_total{${P},reason="bytes"}`]: '0+10x120',
    },
    // As small, but only one a minute: little traffic strains nothing.
    quiet: { [`ktb_inserted_rows_total{${P}}`]: '0+10x120', [`ktb_flushes_total{${P},reason="delay"}`]: '0+1x120' },
    // Full of large records: no setting makes them larger.
    alsoQuiet: [
      {
        [`ktb_inserted_rows_total{${P}}`]: '0+30000x120',
        [`ktb_flushes_total{${P},reason="bytes"}`]: '0+330x120',
        [`ktb_flushes_total{${P},reason="delay"}`]: '0+60x120',
      },
    ],
  },
  KtbBatcherStuck: {
    at: '40m',
    firing: batcher('ktb_buffered_records', 0, 500, '60x60'),
    // One consumer has found it, the other one has just begun to look.
    alsoFiring: [
      {
        [`ktb_stuck_workflow_tasks{${P}}`]: '0x30 1x30',
        'ktb_stuck_workflow_tasks{namespace="apps",pod="ktb-1",job="ktb",pipeline="orders"}': '0x60',
      },
    ],
    quiet: {
      // What the worker says that it has left is not true any more.
      ...batcher('ktb_buffered_records', 500, 0, '60x60'),
      [`ktb_stuck_workflow_tasks{${P}}`]: '0x36 1 1 0x30',
    },
  },
  KtbBatcherHolding: {
    at: '10m',
    firing: batcher('ktb_batcher_holding', 0, 1, '60x60'),
    alsoFiring: [gone('ktb_batcher_holding', 1, 2), moved('ktb_batcher_holding', 1, 7)],
    quiet: batcher('ktb_batcher_holding', 1, 0, '60x60'),
  },
  KtbPausedLong: {
    at: '90m',
    firing: batcher('ktb_batcher_paused', 0, 1, '60x120', 120),
    alsoFiring: [gone('ktb_batcher_paused', 1, 10), moved('ktb_batcher_paused', 1, 40)],
    // Paused where it was before, resumed where it is.
    quiet: batcher('ktb_batcher_paused', 1, 0, '60x120', 120),
  },
  KtbBatcherClosedUnexpectedly: ofEvent('ktb_batcher_heirs_total', `${P},closed="unexpectedly"`, {
    [`ktb_batcher_heirs_total{${P},closed="drained"}`]: '0+1x60',
  }),
  KtbInheritedWaiting: {
    at: '90m',
    firing: batcher('ktb_inherited_batches', 0, 3, '60x120', 120),
    alsoFiring: [gone('ktb_inherited_batches', 3, 10), moved('ktb_inherited_batches', 3, 40)],
    // Left where the batcher was before, flushed where it is.
    quiet: batcher('ktb_inherited_batches', 3, 0, '60x120', 120),
  },
  KtbPartitionsForgotten: ofEvent('ktb_forgotten_partitions_total', P),
  KtbInheritanceLost: ofEvent('ktb_lost_batches_total', P),
  KtbRunEnded: {
    at: '10m',
    firing: { [`ktb_stopped_lanes{${P},cause="closed"}`]: '1x60' },
    quiet: { [`ktb_stopped_lanes{${P},cause="history"}`]: '1x60', [`ktb_stopped_lanes{${P},cause="closed"}`]: '0x60' },
  },
};
