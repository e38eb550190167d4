import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createAuthority, issue } from '../../stack/native/certificates.js';
import type { Config } from '../../src/config/config.js';
import { loadConfig } from '../../src/config/load.js';
import { all, CI_VALUES, ciFile, one, render, renderWith, type Manifest, type Values } from './support/chart.js';
import { containerOf, placeBelow, type Contents } from './support/pod.js';

interface Pems {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Certificates for each part, from an authority of its own. */
let pems: Readonly<Record<'kafka' | 'temporal' | 'clickhouse', Pems>>;

beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ktb-certificates-'));
  const text = (path: string): Promise<string> => readFile(path, 'utf8').then((pem) => pem.trimEnd());
  const make = async (part: string): Promise<Pems> => {
    const authority = await createAuthority(directory, `${part}-ca`);
    const { cert, key } = await issue(directory, authority, { name: part, purpose: 'client' });
    return { ca: await text(authority.cert), cert: await text(cert), key: await text(key) };
  };
  pems = { kafka: await make('kafka'), temporal: await make('temporal'), clickhouse: await make('clickhouse') };
  await rm(directory, { recursive: true });
});

/** What the values files under ci/, and the tests here, expect to be in the cluster. */
function existing(): Contents {
  const { kafka, temporal, clickhouse } = pems;
  return {
    'kafka-user': { user: 'kafka user', pass: 'kafka password' },
    'temporal-key': { token: 'temporal key' },
    'clickhouse-user': { user: 'clickhouse user', pass: 'clickhouse password' },
    'ktb-kafka': { username: 'kafka user', password: 'kafka password' },
    'kafka-ca': { 'ca.crt': kafka.ca, 'ca-bundle.pem': kafka.ca },
    'ktb-kafka-tls': { 'tls.crt': kafka.cert, 'tls.key': kafka.key },
    'ktb-temporal-tls': { 'ca.crt': temporal.ca, 'tls.crt': temporal.cert, 'tls.key': temporal.key },
    'ktb-clickhouse': { password: 'clickhouse password' },
    'ktb-clickhouse-tls': { 'tls.crt': clickhouse.cert, 'tls.key': clickhouse.key },
    'clickhouse-token': { 'access-token': 'clickhouse token' },
    'company-ca': { 'ca.crt': clickhouse.ca },
    'ktb-metrics': { token: 'metrics token' },
    ktb: { password: 'kafka password' },
    'ktb-oauth': { 'client-secret': 'oauth secret' },
    'temporal-cloud': { 'api-key': 'temporal key' },
    'clickhouse-ktb': { username: 'clickhouse user', password: 'clickhouse password' },
  };
}

interface Loaded {
  readonly config: Config;
  readonly environment: Readonly<Record<string, string>>;
}

/** The configuration as the daemon itself loads it in a container of this workload. */
async function load(workload: Manifest, manifests: readonly Manifest[]): Promise<Loaded> {
  const directory = await mkdtemp(join(tmpdir(), 'ktb-pod-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const container = containerOf(workload, manifests, existing());
  // A file that an extra volume brings, as full-values.yaml has it.
  const files = new Map([...container.files, ['/var/run/vault/clickhouse', 'clickhouse password']]);
  const { environment } = await placeBelow(directory, { ...container, files });
  return { config: loadConfig(environment['KTB_CONFIG'] ?? '', environment), environment };
}

async function loadFrom(values: Values): Promise<Loaded> {
  const manifests = await render(values);
  return load(one(manifests, 'Deployment'), manifests);
}

describe.each(CI_VALUES)('%s', (name) => {
  it('becomes a configuration that the daemon accepts, in every pod that runs it', async () => {
    const manifests = await render({ files: [ciFile(name)] });
    const workloads = ['Deployment', 'Job', 'Pod'].flatMap((kind) => all(manifests, kind));
    expect(workloads.length).toBeGreaterThan(1);
    for (const workload of workloads) {
      const { config } = await load(workload, manifests);
      expect(config.pipelines.length).toBeGreaterThan(0);
    }
  });
});

it('hands over user, password and API key from Secrets', async () => {
  const { config } = await loadFrom({ files: [ciFile('existing-secrets-values.yaml')] });
  expect(config.kafka.ssl).toBe(true);
  expect(config.kafka.sasl).toEqual({ mechanism: 'plain', username: 'kafka user', password: 'kafka password' });
  expect(config.temporal).toMatchObject({ apiKey: 'temporal key', tls: true });
  expect(config.clickhouse).toMatchObject({ username: 'clickhouse user', password: 'clickhouse password' });
});

it('hands over the same as files, to setup, too, and no secret as a variable, if that is wanted', async () => {
  const setup = {
    enabled: true,
    credentials: { kafka: { sasl: { existingSecret: 'ktb-kafka', usernameKey: 'username', passwordKey: 'password' } } },
  };
  const from = { files: [ciFile('existing-secrets-values.yaml')], values: { credentialFiles: true, setup } };
  const manifests = await render(from);
  const usual = await loadFrom({ files: from.files });
  const loaded = await load(one(manifests, 'Deployment'), manifests);
  expect(loaded.config).toEqual(usual.config);
  const variables = Object.entries(loaded.environment).filter(([name]) => /USER|PASS|KEY|TOKEN/.test(name));
  expect(variables).toEqual([]);
  for (const job of all(manifests, 'Job')) {
    const { kafka, clickhouse } = (await load(job, manifests)).config;
    expect(kafka.sasl).toMatchObject({ password: 'kafka password' });
    expect(clickhouse).toMatchObject({ password: 'clickhouse password' });
  }
});

it('hands over the token of /metrics, to setup, too, which has the same configuration', async () => {
  const manifests = await render({
    files: [ciFile('minimal-values.yaml')],
    values: { credentials: { metrics: { token: { existingSecret: 'ktb-metrics' } } }, setup: { enabled: true } },
  });
  for (const workload of ['Deployment', 'Job'].flatMap((kind) => all(manifests, kind)))
    expect((await load(workload, manifests)).config.http.metricsToken).toBe('metrics token');
});

it('hands over a client secret for tokens', async () => {
  const manifests = await render({ files: [ciFile('tokens-values.yaml')] });
  const [consumer] = all(manifests, 'Deployment');
  const { config } = await load(consumer!, manifests);
  expect(config.kafka.sasl).toEqual({
    mechanism: 'oauthbearer',
    tokenUrl: 'https://login.example.com/realms/data/protocol/openid-connect/token',
    clientId: 'ktb',
    clientSecret: 'oauth secret',
    scope: 'kafka.read kafka.write',
  });
});

it('hands over CAs, client certificates and keys from Secrets and ConfigMaps', async () => {
  const { config } = await loadFrom({ files: [ciFile('tls-values.yaml')] });
  expect(config.kafka.ssl).toEqual(pems.kafka);
  expect(config.temporal.tls).toEqual({ ...pems.temporal, serverName: 'temporal.example.com' });
  expect(config.clickhouse.tls).toEqual({ ca: pems.clickhouse.ca });
});

it('hands over an access token and a client certificate for ClickHouse from Secrets', async () => {
  const { config } = await loadFrom({
    files: [ciFile('existing-secrets-values.yaml')],
    values: {
      credentials: {
        clickhouse: {
          auth: { existingSecret: '' },
          accessToken: { existingSecret: 'clickhouse-token' },
          tls: { ca: { existingConfigMap: 'company-ca' }, client: { existingSecret: 'ktb-clickhouse-tls' } },
        },
      },
    },
  });
  expect(config.clickhouse).toMatchObject({ accessToken: 'clickhouse token', password: '', tls: pems.clickhouse });
});

it('has the daemon give memory back, unless extraEnv says how', async () => {
  const usual = await loadFrom({ files: [ciFile('minimal-values.yaml')] });
  expect(usual.environment).toMatchObject({ MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' });
  const manifests = await renderWith({ extraEnv: [{ name: 'MALLOC_ARENA_MAX', value: '8' }] });
  const { containers } = (
    one(manifests, 'Deployment').spec as { template: { spec: { containers: { env: object[] }[] } } }
  ).template.spec;
  // Twice the same name would be refused by some ways of applying it.
  const named = containers[0]?.env.filter((entry) => (entry as { name: string }).name.startsWith('MALLOC'));
  expect(named).toEqual([
    { name: 'MALLOC_TRIM_THRESHOLD_', value: '131072' },
    { name: 'MALLOC_ARENA_MAX', value: '8' },
  ]);
});

it('takes variables of the names that credentials would have from extraEnv, where no credentials are named', async () => {
  const fromSecret = (name: string, key: string): object => ({
    name,
    valueFrom: { secretKeyRef: { name: 'ktb-kafka', key } },
  });
  const { config } = await loadFrom({
    files: [ciFile('minimal-values.yaml')],
    values: {
      config: {
        kafka: { sasl: { mechanism: 'plain', username: '${KTB_KAFKA_USERNAME}', password: '${KTB_KAFKA_PASSWORD}' } },
      },
      extraEnv: [fromSecret('KTB_KAFKA_USERNAME', 'username'), fromSecret('KTB_KAFKA_PASSWORD', 'password')],
    },
  });
  expect(config.kafka.sasl).toEqual({ mechanism: 'plain', username: 'kafka user', password: 'kafka password' });
});

it('leaves what config says itself as it is', async () => {
  const { config } = await loadFrom({
    files: [ciFile('tls-values.yaml')],
    values: {
      config: {
        kafka: { ssl: { ca: '${OWN_CA}' }, sasl: { username: 'own user' } },
        clickhouse: { password: '${file:/etc/ktb/tls/kafka/tls.key}' },
      },
      extraEnv: [{ name: 'OWN_CA', value: pems.temporal.ca }],
    },
  });
  expect(config.kafka.ssl).toEqual({ ...pems.kafka, ca: pems.temporal.ca });
  expect(config.kafka.sasl).toMatchObject({ username: 'own user' });
  expect(config.clickhouse).toMatchObject({ username: 'ktb', password: pems.kafka.key });
});

it('has no key that is null, by which a second values file takes away what the first says', async () => {
  const { config } = await loadFrom({
    files: [ciFile('existing-secrets-values.yaml')],
    values: {
      config: {
        kafka: { ssl: null, sasl: null },
        clickhouse: { database: null },
        pipelines: { orders: { reply: { topic: 'replies', copyHeaders: null } }, more: null },
        log: null,
      },
      credentials: { kafka: { sasl: { existingSecret: '' } } },
    },
  });
  expect(config.kafka).toMatchObject({ ssl: false, sasl: null });
  expect(config.clickhouse.database).toBe('default');
  expect(config.pipelines.map(({ name }) => name)).toEqual(['orders']);
});

it('takes `true` for TLS as leave to use the certificates of credentials', async () => {
  const { config } = await loadFrom({
    files: [ciFile('tls-values.yaml')],
    values: { config: { kafka: { ssl: true }, temporal: { tls: true } } },
  });
  expect(config.kafka.ssl).toMatchObject({ ca: pems.kafka.ca });
  expect(config.temporal.tls).toMatchObject({ ca: pems.temporal.ca });
});

it('fills in Helm’s own {{ }}, and large numbers stay whole', async () => {
  const { config } = await loadFrom({ files: [ciFile('full-values.yaml')] });
  expect(config.kafka.clientId).toBe('demo');
  expect(config.pipelines[0]?.layout.batchers).toBe(16);
  expect(config.pipelines[0]?.settings.batch.maxRecords).toBe(1_000_000);
  expect(config.clickhouse.password).toBe('clickhouse password');
});

describe('time for a drain', () => {
  const graceOf = (manifests: readonly Manifest[]): number =>
    (one(manifests, 'Deployment').spec as { template: { spec: { terminationGracePeriodSeconds: number } } }).template
      .spec.terminationGracePeriodSeconds;

  it.each(['1s', '25s', '1500ms', '1.5m', '10m'])('a deadline of %s fits before SIGKILL', async (deadline) => {
    const manifests = await renderWith({ config: { shutdown: { deadline } }, preStopSleepSeconds: 7 });
    const { config } = await load(one(manifests, 'Deployment'), manifests);
    // The daemon ends itself 5 s after its deadline when its shutdown hangs.
    const neededSeconds = 7 + config.shutdownDeadlineMs / 1000 + 5;
    expect(graceOf(manifests)).toBeGreaterThan(neededSeconds);
    expect(graceOf(manifests)).toBeLessThan(neededSeconds + 10);
  });

  it('the default deadline is the daemon’s own', async () => {
    const manifests = await renderWith({});
    const { config } = await load(one(manifests, 'Deployment'), manifests);
    expect(graceOf(manifests)).toBe(2 + config.shutdownDeadlineMs / 1000 + 10);
  });
});

it.each([undefined, '0.0.0.0:8080', ':7000', '[::]:7001'])(
  'serves probes where the daemon listens: %s',
  async (listen) => {
    const manifests = await renderWith(listen === undefined ? {} : { config: { http: { listen } } });
    const deployment = one(manifests, 'Deployment');
    const { config } = await load(deployment, manifests);
    const { containers } = (deployment.spec as { template: { spec: { containers: { ports: object[] }[] } } }).template
      .spec;
    expect(containers[0]?.ports).toEqual([{ name: 'http', containerPort: config.http.port, protocol: 'TCP' }]);
  },
);

it('the metrics of the Temporal SDK get a port, which monitors scrape and policies open, where they are asked for', async () => {
  const relabelings = [{ action: 'labeldrop', regex: 'endpoint' }];
  const portsOf = async (http: object) => {
    const config = { http };
    const byPod = await renderWith({ config, podMonitor: { enabled: true }, networkPolicy: { enabled: true } });
    const byService = await renderWith({ config, serviceMonitor: { enabled: true, interval: '15s', relabelings } });
    const deployment = one(byPod, 'Deployment').spec as {
      template: { spec: { containers: { ports: object[] }[] } };
    };
    const policy = one(byPod, 'NetworkPolicy', 'demo-kafka-temporal-bridge').spec as { ingress: { ports: object[] }[] };
    return {
      container: deployment.template.spec.containers[0]?.ports,
      service: (one(byService, 'Service').spec as { ports: object[] }).ports,
      scrapedOfPods: (one(byPod, 'PodMonitor').spec as { podMetricsEndpoints: object[] }).podMetricsEndpoints,
      scrapedOfServices: (one(byService, 'ServiceMonitor').spec as { endpoints: object[] }).endpoints,
      opened: policy.ingress[0]?.ports,
    };
  };
  const endpoint = { path: '/metrics' };
  const ofService = { ...endpoint, interval: '15s', relabelings };
  expect(await portsOf({ temporalListen: '[::]:9465' })).toEqual({
    container: [
      { name: 'http', containerPort: 9464, protocol: 'TCP' },
      { name: 'temporal', containerPort: 9465, protocol: 'TCP' },
    ],
    service: [
      { name: 'http', port: 9464, targetPort: 'http', protocol: 'TCP' },
      { name: 'temporal', port: 9465, targetPort: 'temporal', protocol: 'TCP' },
    ],
    scrapedOfPods: ['http', 'temporal'].map((port) => ({ port, ...endpoint })),
    scrapedOfServices: ['http', 'temporal'].map((port) => ({ port, ...ofService })),
    opened: ['http', 'temporal'].map((port) => ({ port, protocol: 'TCP' })),
  });
  for (const http of [{}, { temporalListen: '${LISTEN}' }])
    for (const ports of Object.values(await portsOf(http))) expect(ports).toHaveLength(1);
});
