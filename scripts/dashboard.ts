/** Query and legend; `$p` stands for the selector of the namespace, release and pipelines chosen, `$n` for the same without pipelines. */
type Query = readonly [expr: string, legend: string];

interface Panel {
  readonly title: string;
  /** As Grafana names units: `s`, `short`, `rows/s`, ... */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** A single number instead of a graph. */
  readonly stat?: true;
}

const perSecond = (metric: string, labels: string, more = ''): string =>
  `sum by (${labels}) (rate(${metric}{$p${more}}[$__rate_interval]))`;
const quantile = (share: number, metric: string): string =>
  `histogram_quantile(${share}, sum by (pipeline, le) (rate(${metric}_bucket{$p}[$__rate_interval])))`;
const quantiles = (metric: string): Query[] =>
  [0.5, 0.95, 0.99].map((share) => [quantile(share, metric), `{{pipeline}} p${share * 100}`]);
/** Of several workers that a batcher has been on, the one that it has told last. */
const latest = (metric: string): string =>
  `${metric}{$p} and on (namespace, app_kubernetes_io_instance, pod, pipeline, batcher) (ktb_batcher_reported_timestamp_seconds{$p} == on (namespace, app_kubernetes_io_instance, pipeline, batcher) group_left () max by (namespace, app_kubernetes_io_instance, pipeline, batcher) (ktb_batcher_reported_timestamp_seconds{$p}))`;

const SECTIONS: readonly (readonly [title: string, panels: readonly Panel[]])[] = [
  [
    'Overview',
    [
      { title: 'Lag', unit: 'short', stat: true, queries: [['sum(ktb_lag_records{$p})', 'records']] },
      {
        title: 'Rows',
        unit: 'rows/s',
        stat: true,
        queries: [['sum(rate(ktb_inserted_rows_total{$p}[$__rate_interval]))', 'rows']],
      },
      {
        title: 'End to end, p95',
        unit: 's',
        stat: true,
        queries: [[quantile(0.95, 'ktb_end_to_end_seconds'), '{{pipeline}}']],
      },
      {
        title: 'Dead letters, last hour',
        unit: 'short',
        stat: true,
        queries: [['sum(increase(ktb_dead_letters_total{$p}[1h]))', 'dead letters']],
      },
      {
        title: 'Parts that do not answer',
        unit: 'short',
        stat: true,
        queries: [['sum(1 - ktb_dependency_up{$n})', 'parts']],
      },
      {
        title: 'Processes',
        unit: 'short',
        stat: true,
        queries: [
          ['sum(ktb_build_info{$n})', 'processes'],
          ['sum(ktb_running{$n})', 'running'],
        ],
      },
      {
        title: 'Configurations not in use',
        unit: 'short',
        stat: true,
        queries: [
          ['sum(ktb_config_refused{$n})', 'refused'],
          ['sum(ktb_config_restart_needed{$n})', 'need a restart'],
        ],
      },
    ],
  ],
  [
    'Consume',
    [
      {
        title: 'Records in and out',
        unit: 'rows/s',
        queries: [
          [perSecond('ktb_consumed_records_total', 'pipeline'), '{{pipeline}} consumed'],
          [perSecond('ktb_signalled_records_total', 'pipeline'), '{{pipeline}} accepted by Temporal'],
          [perSecond('ktb_inserted_rows_total', 'pipeline'), '{{pipeline}} inserted'],
        ],
      },
      {
        title: 'Lag by partition',
        unit: 'short',
        queries: [
          ['sum by (pipeline, topic, partition) (ktb_lag_records{$p})', '{{pipeline}} {{topic}}/{{partition}}'],
        ],
      },
      {
        title: 'Assigned partitions',
        unit: 'short',
        queries: [['ktb_assigned_partitions{$p}', '{{pipeline}} {{pod}}']],
      },
      {
        title: 'Rebalances and gaps',
        unit: 'short',
        queries: [
          ['sum by (pipeline) (increase(ktb_rebalances_total{$p}[$__rate_interval]))', '{{pipeline}} rebalances'],
          ['sum by (pipeline) (increase(ktb_offset_gaps_total{$p}[$__rate_interval]))', '{{pipeline}} gaps'],
          [
            'sum by (pipeline, topic) (increase(ktb_log_truncations_total{$p}[$__rate_interval]))',
            '{{pipeline}} {{topic}} truncated',
          ],
          [
            'sum by (pipeline, topic) (increase(ktb_unreadable_batches_total{$p}[$__rate_interval]))',
            '{{pipeline}} {{topic}} unreadable',
          ],
          ['sum by (pipeline, reason) (ktb_held_partitions{$p})', '{{pipeline}} held: {{reason}}'],
          ['sum by (pipeline, topic) (ktb_unserved_partitions{$p})', '{{pipeline}} {{topic}} not served'],
        ],
      },
      {
        title: 'Consumers and workers that fail',
        unit: 'short',
        queries: [
          ['max by (pipeline) (ktb_consumer_down{$p})', '{{pipeline}} down'],
          [
            'sum by (pipeline, cause) (increase(ktb_consumer_failures_total{$p}[$__rate_interval]))',
            '{{pipeline}} {{cause}}',
          ],
          [
            'sum by (task_queue) (increase(ktb_worker_failures_total{$n}[$__rate_interval]))',
            'worker of {{task_queue}}',
          ],
          ['sum by (pod) (increase(ktb_unhandled_errors_total{$n}[$__rate_interval]))', '{{pod}} unhandled'],
        ],
      },
      {
        title: 'Commits',
        unit: 'ops',
        queries: [[perSecond('ktb_commits_total', 'pipeline, outcome'), '{{pipeline}} {{outcome}}']],
      },
      {
        title: 'Records done with',
        unit: 'rows/s',
        queries: [[perSecond('ktb_completed_records_total', 'pipeline, outcome'), '{{pipeline}} {{outcome}}']],
      },
      {
        title: 'Age of the oldest record',
        unit: 's',
        queries: [
          ['time() - (min by (pipeline) (ktb_oldest_waiting_timestamp_seconds{$p} > 0))', '{{pipeline}} not accepted'],
          [
            `time() - (min by (pipeline) ((${latest('ktb_oldest_unacknowledged_timestamp_seconds')}) > 0))`,
            '{{pipeline}} accepted, not acknowledged',
          ],
        ],
      },
      {
        title: 'Fields without a column',
        unit: 'ops',
        queries: [
          [perSecond('ktb_ignored_fields_total', 'pipeline, field'), '{{pipeline}} {{field}}'],
          [perSecond('ktb_evolved_fields_total', 'pipeline, outcome'), '{{pipeline}} {{outcome}}'],
        ],
      },
    ],
  ],
  [
    'Stages',
    [
      { title: 'Signal', unit: 's', queries: quantiles('ktb_signal_seconds') },
      { title: 'Flush: insert and acknowledge', unit: 's', queries: quantiles('ktb_flush_seconds') },
      { title: 'End to end', unit: 's', queries: quantiles('ktb_end_to_end_seconds') },
      {
        title: 'Stages of a flush, p95',
        unit: 's',
        queries: [
          [
            'histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(ktb_flush_stage_seconds_bucket{$p}[$__rate_interval])))',
            '{{pipeline}} {{stage}}',
          ],
        ],
      },
      {
        title: 'Errors by stage',
        unit: 'ops',
        queries: [[perSecond('ktb_errors_total', 'pipeline, stage'), '{{pipeline}} {{stage}}']],
      },
    ],
  ],
  [
    'Temporal',
    [
      {
        title: 'Signals',
        unit: 'ops',
        queries: [[perSecond('ktb_signals_total', 'pipeline, outcome'), '{{pipeline}} {{outcome}}']],
      },
      {
        title: 'Records a signal',
        unit: 'short',
        queries: [
          [
            `${perSecond('ktb_signalled_records_total', 'pipeline')} / ${perSecond('ktb_signals_total', 'pipeline', ',outcome=~"signalled|started"')}`,
            '{{pipeline}}',
          ],
        ],
      },
      {
        title: 'Requests that failed',
        unit: 'ops',
        queries: [
          [
            'sum by (operation, code) (rate(ktb_temporal_requests_total{$n,code!="ok"}[$__rate_interval])) > 0',
            '{{operation}} {{code}}',
          ],
        ],
      },
      {
        title: 'Records in batchers',
        unit: 'short',
        queries: [[`sum by (pipeline, batcher) (${latest('ktb_buffered_records')})`, '{{pipeline}} {{batcher}}']],
      },
      {
        title: 'Runs of batchers begun',
        unit: 'ops',
        queries: [[perSecond('ktb_batcher_runs_total', 'pipeline, begun'), '{{pipeline}} {{begun}}']],
      },
      {
        title: 'What batchers remember',
        unit: 'short',
        queries: [
          [`sum by (pipeline) (${latest('ktb_batcher_coverage_ranges')})`, '{{pipeline}} ranges of offsets'],
          [
            'sum by (pipeline) (increase(ktb_duplicate_chunks_total{$p}[$__rate_interval]))',
            '{{pipeline}} duplicate chunks dropped',
          ],
          [
            'sum by (pipeline) (increase(ktb_forgotten_partitions_total{$p}[$__rate_interval]))',
            '{{pipeline}} partitions forgotten',
          ],
        ],
      },
      {
        title: 'Confirmations to requesters',
        unit: 'ops',
        queries: [[perSecond('ktb_confirmations_total', 'pipeline, outcome'), '{{pipeline}} {{outcome}}']],
      },
      {
        title: 'Batchers in trouble',
        unit: 'short',
        queries: [
          [`sum by (pipeline) (${latest('ktb_batcher_holding')})`, '{{pipeline}} holding'],
          [`sum by (pipeline) (${latest('ktb_batcher_paused')})`, '{{pipeline}} paused'],
          ['max by (pipeline) (ktb_stuck_workflow_tasks{$p})', '{{pipeline}} workflow task fails'],
          [
            'sum by (pipeline) (increase(ktb_batcher_heirs_total{$p,closed="unexpectedly"}[$__rate_interval]))',
            '{{pipeline}} closed from outside',
          ],
        ],
      },
    ],
  ],
  [
    'ClickHouse',
    [
      {
        title: 'Inserts',
        unit: 'ops',
        queries: [[perSecond('ktb_inserts_total', 'pipeline, outcome'), '{{pipeline}} {{outcome}}']],
      },
      {
        title: 'Rows a flush',
        unit: 'short',
        queries: [
          [
            `${perSecond('ktb_inserted_rows_total', 'pipeline')} / ${perSecond('ktb_flushes_total', 'pipeline')}`,
            '{{pipeline}}',
          ],
        ],
      },
      {
        title: 'Rows an insert',
        unit: 'short',
        queries: quantiles('ktb_insert_rows'),
      },
      {
        title: 'Flushes at work',
        unit: 'short',
        queries: [
          ['sum by (pod) (ktb_flushes_running{$n})', '{{pod}}'],
          ['sum by (pod) (ktb_flushes_limit{$n})', '{{pod}} at most'],
        ],
      },
      {
        title: 'Flush attempts repeated',
        unit: 'ops',
        queries: [[perSecond('ktb_flush_retries_total', 'pipeline'), '{{pipeline}}']],
      },
      {
        title: 'Flushes by reason',
        unit: 'ops',
        queries: [[perSecond('ktb_flushes_total', 'pipeline, reason'), '{{pipeline}} {{reason}}']],
      },
      {
        title: 'Flush errors by code',
        unit: 'ops',
        queries: [[perSecond('ktb_flush_errors_total', 'pipeline, code'), '{{pipeline}} {{code}}']],
      },
      {
        title: 'Rows found by repeated inserts',
        unit: 'rows/s',
        queries: [[perSecond('ktb_found_rows_total', 'pipeline'), '{{pipeline}}']],
      },
      {
        title: 'Flush attempts that failed, by batcher',
        unit: 'ops',
        queries: [
          [
            perSecond('ktb_batcher_flush_attempts_total', 'pipeline, batcher', ',outcome="failed"'),
            '{{pipeline}} {{batcher}}',
          ],
        ],
      },
      {
        title: 'Inserts too large for one, and rows that views lack',
        unit: 'ops',
        queries: [
          [perSecond('ktb_too_large_inserts_total', 'pipeline, code'), '{{pipeline}} {{code}}'],
          [perSecond('ktb_rows_missed_by_views_total', 'pipeline'), '{{pipeline}} rows'],
        ],
      },
      {
        title: 'Batches that closed runs have left, and lost ones',
        unit: 'short',
        queries: [
          ['sum by (pipeline, batcher) (ktb_inherited_batches{$p})', '{{pipeline}} {{batcher}}'],
          ['sum by (pipeline) (increase(ktb_lost_batches_total{$p}[$__rate_interval]))', '{{pipeline}} lost'],
        ],
      },
      {
        title: 'Batches that were read from a history',
        unit: 'ops',
        queries: [[perSecond('ktb_batch_history_reads_total', 'pipeline'), '{{pipeline}}']],
      },
      {
        title: 'Refused for want of encryption or of a key',
        unit: 'ops',
        queries: [
          [perSecond('ktb_refused_signals_total', 'pipeline'), 'signals of {{pipeline}}'],
          ['sum (rate(ktb_refused_activities_total{$n}[$__rate_interval]))', 'activities'],
          ['sum by (key) (rate(ktb_missing_keys_total{$n}[$__rate_interval]))', 'key {{key}} is missing'],
        ],
      },
    ],
  ],
  [
    'Acknowledgements and dead letters',
    [
      {
        title: 'Acknowledgements',
        unit: 'ops',
        queries: [[perSecond('ktb_acks_total', 'pipeline, status'), '{{pipeline}} {{status}}']],
      },
      {
        title: 'Dead letters by code',
        unit: 'ops',
        queries: [[perSecond('ktb_dead_letters_total', 'pipeline, code'), '{{pipeline}} {{code}}']],
      },
      {
        title: 'Acknowledgements sent elsewhere than asked for',
        unit: 'ops',
        queries: [[perSecond('ktb_reply_fallbacks_total', 'pipeline, cause'), '{{pipeline}} {{cause}}']],
      },
      {
        title: 'Produce requests that failed',
        unit: 'ops',
        queries: [['sum by (pod) (rate(ktb_publish_errors_total{$n}[$__rate_interval]))', '{{pod}}']],
      },
      {
        title: 'Messages that their topic refused in every form',
        unit: 'ops',
        queries: [['sum by (topic) (rate(ktb_left_out_messages_total{$n}[$__rate_interval]))', '{{topic}}']],
      },
    ],
  ],
  [
    'Back-pressure',
    [
      {
        title: 'Paused partitions',
        unit: 'short',
        queries: [['sum by (pipeline) (ktb_paused_partitions{$p})', '{{pipeline}}']],
      },
      {
        title: 'Records waiting in consumers',
        unit: 'short',
        queries: [['ktb_consumer_buffered_records{$p}', '{{pipeline}} {{pod}}']],
      },
      {
        title: 'Consumer buffer against its limit',
        unit: 'percentunit',
        queries: [['ktb_consumer_buffered_bytes{$p} / ktb_consumer_buffered_bytes_limit{$p}', '{{pipeline}} {{pod}}']],
      },
      {
        title: 'Time paused',
        unit: 'percentunit',
        queries: [[`max by (pipeline) (rate(ktb_backpressure_seconds_total{$p}[$__rate_interval]))`, '{{pipeline}}']],
      },
      {
        title: 'Stopped lanes by cause',
        unit: 'short',
        queries: [['sum by (pipeline, cause) (ktb_stopped_lanes{$p})', '{{pipeline}} {{cause}}']],
      },
    ],
  ],
  [
    'Runtime',
    [
      {
        title: 'CPU',
        unit: 'percentunit',
        queries: [
          [
            'sum by (pod) (rate(process_cpu_seconds_total{$n}[$__rate_interval]) and on (namespace, job, instance, pod) ktb_build_info{$n})',
            '{{pod}}',
          ],
        ],
      },
      {
        title: 'Resident memory',
        unit: 'bytes',
        queries: [
          ['process_resident_memory_bytes{$n} and on (namespace, job, instance, pod) ktb_build_info{$n}', '{{pod}}'],
        ],
      },
      {
        title: 'Heap in use',
        unit: 'bytes',
        queries: [
          ['nodejs_heap_size_used_bytes{$n} and on (namespace, job, instance, pod) ktb_build_info{$n}', '{{pod}}'],
        ],
      },
      {
        title: 'Event loop, p99',
        unit: 's',
        queries: [
          ['nodejs_eventloop_lag_p99_seconds{$n} and on (namespace, job, instance, pod) ktb_build_info{$n}', '{{pod}}'],
        ],
      },
    ],
  ],
];

const RELEASE = 'namespace=~"$namespace",app_kubernetes_io_instance=~"$release"';
const SELECTORS = { p: `${RELEASE},pipeline=~"$pipeline"`, n: RELEASE };

const WIDTH = 24;
const HEIGHT = { stat: 4, graph: 8 };
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

/** Grafana's dashboard of the daemon. */
export function dashboard(): object {
  const panels: object[] = [];
  let y = 0;
  for (const [title, section] of SECTIONS) {
    panels.push({ type: 'row', title, collapsed: false, panels: [], gridPos: { x: 0, y: y++, w: WIDTH, h: 1 } });
    const stats = section.every(({ stat }) => stat);
    const perRow = stats ? section.length : 3;
    const w = WIDTH / perRow;
    const h = stats ? HEIGHT.stat : HEIGHT.graph;
    section.forEach((panel, index) =>
      panels.push(toPanel(panel, { x: (index % perRow) * w, y: y + Math.floor(index / perRow) * h, w, h })),
    );
    y += Math.ceil(section.length / perRow) * h;
  }
  return {
    title: 'Kafka-Temporal Bridge',
    uid: 'kafka-temporal-bridge',
    tags: ['kafka-temporal-bridge'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: { list: [{ name: 'datasource', type: 'datasource', query: 'prometheus' }, ...VARIABLES] },
    panels: panels.map((panel, index) => ({ id: index + 1, ...panel })),
  };
}

/** Outside Kubernetes there is neither a namespace nor a release: all of them is also none. */
const VARIABLES = [
  ['namespace', 'label_values(ktb_build_info, namespace)'],
  ['release', 'label_values(ktb_build_info{namespace=~"$namespace"}, app_kubernetes_io_instance)'],
  ['pipeline', `label_values(ktb_inserted_rows_total{${RELEASE}}, pipeline)`],
].map(([name, query]) => ({
  name,
  type: 'query',
  datasource: DATASOURCE,
  query,
  refresh: 2,
  includeAll: true,
  multi: true,
  allValue: '.*',
  current: { text: 'All', value: '$__all' },
}));

function toPanel({ title, unit, queries, stat }: Panel, gridPos: object): object {
  return {
    type: stat ? 'stat' : 'timeseries',
    title,
    gridPos,
    datasource: DATASOURCE,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(65 + index),
      expr: expr.replaceAll(/\{\$([pn])/g, (_, which: keyof typeof SELECTORS) => `{${SELECTORS[which]}`),
      legendFormat,
    })),
  };
}
