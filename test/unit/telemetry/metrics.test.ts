import { expect, it } from 'vitest';
import { ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { metricFacts } from '../../../scripts/metrics.js';
import { parseConfig } from '../../../src/config/load.js';
import { zeroMetrics } from '../../../src/daemon/zeroMetrics.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { countRequests, requestCode, requestCounter } from '../../../src/temporal/requestMetrics.js';

const { pipelines } = parseConfig('pipelines: { orders: { topics: [a, b], table: orders } }', 'ktb.yaml', {});

async function seriesOf(role: 'consumer' | 'worker' | 'both'): Promise<string> {
  const metrics = createMetrics({ runtime: false });
  zeroMetrics(metrics, pipelines, role);
  return metrics.registry.metrics();
}

it('what can be known beforehand begins with zero', async () => {
  const text = await seriesOf('both');
  for (const series of [
    'ktb_consumed_records_total{pipeline="orders",topic="b"} 0',
    'ktb_commits_total{pipeline="orders",outcome="failed"} 0',
    'ktb_signals_total{pipeline="orders",outcome="refused"} 0',
    'ktb_batcher_heirs_total{pipeline="orders",closed="unexpectedly"} 0',
    'ktb_flushes_total{pipeline="orders",reason="inherited"} 0',
    'ktb_dead_letters_total{pipeline="orders",code="not_json"} 0',
    'ktb_end_to_end_seconds_count{pipeline="orders"} 0',
    'ktb_temporal_requests_total{operation="query",code="timeout"} 0',
    'ktb_publish_errors_total 0',
    'ktb_errors_total{pipeline="orders",stage="signal"} 0',
    'ktb_errors_total{pipeline="orders",stage="insert"} 0',
    'ktb_completed_records_total{pipeline="orders",outcome="skipped"} 0',
    'ktb_batcher_runs_total{pipeline="orders",begun="continued"} 0',
    'ktb_consumer_buffered_bytes_limit{pipeline="orders"} 50331648',
  ])
    expect(text).toContain(series);
  // Only these have labels that come with what they tell of, or, as a worker's queue, with what is started.
  const later = [
    'ktb_build_info',
    'ktb_dependency_up',
    'ktb_lag_records',
    'ktb_missing_keys_total',
    'ktb_flush_errors_total',
    'ktb_ignored_fields_total',
    'ktb_too_large_inserts_total',
    'ktb_worker_failures_total',
  ];
  const limits = ['ktb_consumer_buffered_bytes_limit'];
  const known = metricFacts().filter(
    ({ name, labelNames }) => ![...later, ...limits].includes(name) && !labelNames.includes('batcher'),
  );
  for (const { name } of known) expect(text, name).toMatch(new RegExp(`^${name}(_count)?(\\{.*\\})? 0$`, 'm'));
});

it('whatever topic refuses a message, its count begins with zero', async () => {
  const reply = '{ topic: replies, allowTopics: [replies.eu] }';
  const config = `pipelines: { orders: { topics: [a], table: orders, reply: ${reply} } }`;
  const of = async (role: 'consumer' | 'worker') => {
    const metrics = createMetrics({ runtime: false });
    zeroMetrics(metrics, parseConfig(config, 'ktb.yaml', {}).pipelines, role);
    return (await metrics.leftOut.get()).values.map(({ labels }) => labels.topic);
  };
  expect(await of('worker')).toEqual(['a.dead-letters', 'replies', 'replies.eu']);
  // It sets aside what no signal can carry.
  expect(await of('consumer')).toEqual(['a.dead-letters']);
});

it('a process has only the series of its role', async () => {
  expect(await seriesOf('consumer')).not.toContain('ktb_flushes_total{');
  expect(await seriesOf('worker')).not.toContain('ktb_consumed_records_total{');
});

const grpc = (code: number) =>
  new ServiceError('failed', { cause: Object.assign(new Error('x'), { code, details: '', metadata: {} }) });

it('every error of a request has a code', () => {
  expect([1, 4, 8, 14, 13].map((code) => requestCode(grpc(code)))).toEqual([
    'timeout',
    'timeout',
    'resource_exhausted',
    'unavailable',
    'other',
  ]);
  expect(requestCode(new WorkflowNotFoundError('x', 'y', undefined))).toBe('not_found');
  expect(requestCode(undefined)).toBe('other');
});

it('requests are counted by what became of them, and go on as they were', async () => {
  const metrics = createMetrics({ runtime: false });
  const { query } = countRequests(requestCounter(metrics));
  expect(await query?.({} as never, () => Promise.resolve('answer'))).toBe('answer');
  await expect(query?.({} as never, () => Promise.reject(grpc(8)))).rejects.toThrow('failed');
  const { values } = await metrics.temporalRequests.get();
  expect(values.map(({ labels: { code }, value }) => [code, value])).toEqual([
    ['ok', 1],
    ['resource_exhausted', 1],
  ]);
});
