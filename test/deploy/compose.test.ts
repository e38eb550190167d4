import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from '@clickhouse/client';
import { expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.js';
import { startStack } from '../../stack/index.js';
import { VERSIONS } from '../../stack/versions.js';
import { run } from './support/chart.js';
import { COMPOSE_ENVIRONMENT, DEPLOY_TOOLS } from './support/tools.js';

const FOLDER = fileURLToPath(new URL('../../deploy/docker', import.meta.url));

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly args: Record<string, string> };
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly read_only?: boolean;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

/** The services of compose.yaml, as Docker Compose itself understands it. */
async function services(environment: Readonly<Record<string, string>> = {}): Promise<Record<string, Service>> {
  const args = ['--file', join(FOLDER, 'compose.yaml'), 'config'];
  const text = await run(DEPLOY_TOOLS.compose, args, { env: { ...COMPOSE_ENVIRONMENT, ...environment } });
  return (parse(text) as { services: Record<string, Service> }).services;
}

it('Compose accepts the file, which brings the whole system in the versions of the local stack', async () => {
  const all = await services();
  expect(Object.fromEntries(Object.entries(all).map(([name, { image }]) => [name, image]))).toMatchObject({
    kafka: `apache/kafka:${VERSIONS.kafka}`,
    temporal: `temporalio/temporal:${VERSIONS.temporalCli}`,
    clickhouse: `clickhouse/clickhouse-server:${VERSIONS.clickhouse}`,
    setup: 'kafka-temporal-bridge:latest',
    ktb: 'kafka-temporal-bridge:latest',
    prometheus: expect.stringMatching(/^prom\/prometheus:v3/) as string,
    grafana: expect.stringMatching(/^grafana\/grafana:/) as string,
  });
  expect(all['ktb']?.read_only).toBe(true);
  expect(all['ktb']?.depends_on?.['setup']?.condition).toBe('service_completed_successfully');
});

it('every image can be another one', async () => {
  const names = ['KTB', 'KAFKA', 'TEMPORAL', 'CLICKHOUSE', 'PROMETHEUS', 'GRAFANA'];
  const environment = Object.fromEntries(names.map((name) => [`${name}_IMAGE`, `mirror.example.com/${name}:1`]));
  const all = await services({ ...environment, NODE_IMAGE: 'mirror.example.com/node:24' });
  for (const { image } of Object.values(all)) expect(image).toMatch(/^mirror\.example\.com\//);
  expect(all['ktb']?.build?.args).toEqual({ NODE_IMAGE: 'mirror.example.com/node:24' });
});

it('mounts only files that are there, and publishes ports on the loopback address only', async () => {
  for (const [name, { volumes = [], ports = [], build }] of Object.entries(await services())) {
    for (const volume of volumes) {
      const [source = ''] = volume.split(':');
      if (source.startsWith('/')) expect(existsSync(source), `${name}: ${source}`).toBe(true);
    }
    for (const port of ports) expect(port, name).toMatch(/^127\.0\.0\.1:/);
    if (build !== undefined) expect(existsSync(join(build.context, build.dockerfile))).toBe(true);
  }
});

it('the daemon accepts its configuration, and ClickHouse the table', async () => {
  const { pipelines } = loadConfig(join(FOLDER, 'ktb.yaml'), {});
  expect(pipelines.map(({ settings }) => settings.destination.table)).toEqual(['orders']);
  const stack = await startStack({ only: ['clickhouse'], flavour: 'native' });
  onTestFinished(() => stack.stop());
  const clickhouse = createClient({ url: stack.clickhouse.url });
  onTestFinished(() => clickhouse.close());
  const query = readFileSync(join(FOLDER, 'clickhouse/orders.sql'), 'utf8').trimEnd().replace(/;$/, '');
  await clickhouse.command({ query });
  const columns = await clickhouse.query({ query: 'DESCRIBE TABLE orders', format: 'JSONEachRow' });
  const names = (await columns.json<{ name: string }>()).map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['_topic', '_partition', '_offset', '_timestamp', '_key', '_epoch']));
});

it('Prometheus accepts its configuration', async () => {
  expect(
    await run(DEPLOY_TOOLS.promtool, ['check', 'config', '--syntax-only', join(FOLDER, 'prometheus/prometheus.yaml')]),
  ).toContain('SUCCESS');
});

it('Grafana finds the dashboard and its data source where they are mounted', async () => {
  const { grafana } = await services();
  const targets = (grafana?.volumes ?? []).map((volume) => volume.split(':')[1]);
  const provider = parse(readFileSync(join(FOLDER, 'grafana/dashboards/provider.yaml'), 'utf8')) as {
    providers: { options: { path: string } }[];
  };
  expect(targets).toContain(`${provider.providers[0]?.options.path}/kafka-temporal-bridge.json`);
  const source = parse(readFileSync(join(FOLDER, 'grafana/datasources/prometheus.yaml'), 'utf8')) as {
    datasources: { type: string; isDefault: boolean }[];
  };
  // The dashboard's variable `datasource` takes the default one of its type.
  expect(source.datasources).toMatchObject([{ type: 'prometheus', isDefault: true }]);
});
