import type { MetricType } from 'prom-client';
import { createMetrics } from '../src/telemetry/metrics.js';

/** What a metric of the daemon is called and is about; prom-client keeps type and labels to itself. */
export interface MetricFacts {
  readonly name: string;
  readonly help: string;
  readonly type: `${MetricType}`;
  readonly labelNames: readonly string[];
}

/** The daemon's own metrics, without those of Node. */
export function metricFacts(): MetricFacts[] {
  const { registry: _, ...metrics } = createMetrics({ runtime: false });
  return Object.values(metrics) as unknown as MetricFacts[];
}

/** Names of the series that Prometheus has of the daemon, those of Node included. */
export function seriesNames(): Set<string> {
  const metrics = createMetrics().registry.getMetricsAsArray() as unknown as MetricFacts[];
  return new Set(
    metrics.flatMap(({ name, type }) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );
}

/** The table of all metrics in Markdown. */
export function metricsReference(): string {
  const rows = metricFacts().map(
    ({ name, type, labelNames, help }) =>
      `| \`${name}\` | ${type} | ${unitOf(name)} | ${labelNames.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
  );
  return ['| name | type | unit | labels | |', '|---|---|---|---|---|', ...rows, ''].join('\n');
}

/** Units stand last in names; the rest are plain numbers of what the name says. */
function unitOf(name: string): string {
  const last =
    name
      .replace(/_total$/, '')
      .split('_')
      .at(-1) ?? '';
  if (name.endsWith('_timestamp_seconds')) return 'seconds since 1970';
  if (name.endsWith('_bytes_limit')) return 'bytes';
  return ['seconds', 'bytes', 'records', 'rows', 'partitions', 'lanes', 'ranges', 'chunks'].includes(last) ? last : '';
}
