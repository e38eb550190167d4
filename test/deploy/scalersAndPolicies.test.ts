import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseConfig } from '../../src/config/load.js';
import { ownTaskQueue } from '../../src/protocol/installation.js';
import { requestsTaskQueue } from '../../src/protocol/request.js';
import { metricFacts, seriesNames } from '../../scripts/metrics.js';
import { all, CHART, ciFile, MINIMAL, one, render, renderWith, type Manifest } from './support/chart.js';
import type { ScalerParameters } from './support/schemas.js';
import { DEPLOY_TOOLS } from './support/tools.js';

interface Trigger {
  readonly type: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly authenticationRef?: { readonly name: string };
}

const triggersOf = (manifests: readonly Manifest[], name?: string): readonly Trigger[] =>
  (one(manifests, 'ScaledObject', name).spec as { triggers: Trigger[] }).triggers;

describe('KEDA', () => {
  const files = [ciFile('keda-values.yaml')];

  it('scales consumers by the lag of each group on each topic, as the daemon itself names them', async () => {
    const manifests = await render({ files });
    const text = one(manifests, 'ConfigMap').data?.['ktb.yaml'] ?? '';
    const { kafka, pipelines } = parse(text) as { kafka: { brokers: string[] }; pipelines: object };
    const config = parseConfig(stringify({ kafka: { brokers: kafka.brokers }, pipelines }), 'ktb.yaml', {});
    const expected = config.pipelines.flatMap(({ groupId, topics }) => topics.map((topic) => `${groupId} ${topic}`));
    const triggers = triggersOf(manifests, 'demo-kafka-temporal-bridge-consumer');
    expect(expected).toHaveLength(3);
    expect(triggers.map(({ metadata }) => `${metadata['consumerGroup']} ${metadata['topic']}`)).toEqual(expected);
    for (const { type, metadata } of triggers) {
      expect(type).toBe('kafka');
      expect(metadata).toMatchObject({
        bootstrapServers: config.kafka.brokers.join(','),
        // Not 2e+06, which KEDA does not read.
        lagThreshold: '2000000',
        activationLagThreshold: '24',
        limitToPartitionsWithLag: 'true',
        sasl: 'scram_sha512',
        tls: 'enable',
      });
    }
    expect(triggers.map(({ metadata }) => metadata['offsetResetPolicy'])).toEqual(['latest', 'earliest', 'earliest']);
  });

  it('scales consumers by the lag of the whole group where its topics are a regular expression', async () => {
    const topics = ['named', '/orders\\..+/'];
    const values = { config: { pipelines: { matching: { topics, table: '{topic}' } } }, keda: { enabled: true } };
    const manifests = await renderWith(values);
    const text = one(manifests, 'ConfigMap').data?.['ktb.yaml'] ?? '';
    const [pipeline] = parseConfig(text, 'ktb.yaml', {}).pipelines.filter(({ name }) => name === 'matching');
    expect(pipeline).toMatchObject({ topics: ['named'], topicPatterns: [/^(?:orders\..+)$/] });
    const own = triggersOf(manifests).filter(({ metadata }) => metadata['consumerGroup'] === 'ktb-matching');
    expect(own).toHaveLength(1);
    expect(own[0]?.metadata).not.toHaveProperty('topic');
    // KEDA refuses to limit itself to partitions of a topic that it is not told.
    expect(own[0]?.metadata).toMatchObject({ limitToPartitionsWithLag: 'false' });
  });

  it('alerts of an unacknowledged record after the time that the values say', async () => {
    const prometheusRule = { enabled: true, oldestUnacknowledgedSeconds: 7_200 };
    const { spec } = one(await renderWith({ prometheusRule }), 'PrometheusRule') as unknown as {
      spec: { groups: { rules: { alert: string; expr: string }[] }[] };
    };
    const rules = spec.groups.flatMap((group) => group.rules);
    expect(rules.find(({ alert }) => alert === 'KtbOldestUnacknowledged')?.expr).toMatch(/ > 7200$/);
    // A batcher tells nothing while it waits for its batch.
    expect(rules.find(({ alert }) => alert === 'KtbBatcherStuck')?.expr).toContain('time() - 7200');
  });

  it('scales workers by the task queues that the daemon itself uses', async () => {
    const config = { installation: 'shop', temporal: { taskQueue: 'mine' } };
    const manifests = await render({ files, values: { config } });
    const queues = [
      { taskQueue: 'mine', queueTypes: 'workflow,activity' },
      { taskQueue: requestsTaskQueue('mine'), queueTypes: 'activity' },
      { taskQueue: ownTaskQueue('mine', 'shop'), queueTypes: 'activity' },
    ];
    expect(triggersOf(manifests, 'demo-kafka-temporal-bridge-worker')).toEqual(
      queues.map((queue) => ({
        type: 'temporal',
        authenticationRef: { name: 'demo-kafka-temporal-bridge-temporal' },
        metadata: {
          endpoint: 'temporal:7233',
          namespace: 'ingestion',
          ...queue,
          targetQueueSize: '10',
          activationTargetQueueSize: '0',
          enableTLS: 'true',
        },
      })),
    );
  });

  it('takes brokers, partitions, namespace and task queue as the daemon itself does', async () => {
    const written = ['SASL_SSL://kafka-0:9093', 'kafka-1:9094, plaintext://kafka-2:9095'];
    const config = { kafka: { brokers: written } };
    const manifests = await renderWith({ config, keda: { enabled: true }, setup: { partitions: 24 } });
    const text = one(manifests, 'ConfigMap').data?.['ktb.yaml'] ?? '';
    const { kafka, temporal } = parseConfig(text, 'ktb.yaml', {});
    expect(kafka.brokers).toEqual(['kafka-0:9093', 'kafka-1:9094', 'kafka-2:9095']);
    const [byKafka, byTemporal] = triggersOf(manifests);
    expect(byKafka?.metadata).toMatchObject({
      bootstrapServers: kafka.brokers.join(','),
      activationLagThreshold: '24',
    });
    expect(byTemporal?.metadata).toMatchObject({ namespace: temporal.namespace, taskQueue: temporal.taskQueue });
    const [policy] = all(await renderWith({ config, networkPolicy: { enabled: true } }), 'NetworkPolicy');
    expect(JSON.stringify(policy)).toContain('"ports":[{"port":9093,"protocol":"TCP"},{"port":9094,');
  });

  it('scales combined pods by both, without credentials where there are none', async () => {
    const manifests = await renderWith({ keda: { enabled: true } });
    const triggers = triggersOf(manifests);
    expect(triggers.map(({ type }) => type)).toEqual(['kafka', 'temporal', 'temporal']);
    expect(triggers[0]?.metadata).toMatchObject({ sasl: 'none', tls: 'disable', activationLagThreshold: '8' });
    // KEDA would use TLS if it were not told otherwise.
    expect(triggers[1]?.metadata).toMatchObject({ enableTLS: 'false' });
    for (const { authenticationRef } of triggers) expect(authenticationRef).toBeUndefined();
    expect(all(manifests, 'TriggerAuthentication')).toEqual([]);
  });

  it.each([
    'keda-values.yaml',
    'tokens-values.yaml',
    'tls-values.yaml',
    'existing-secrets-values.yaml',
    'minimal-values.yaml',
  ])('tells its scalers only what they know: %s', async (name) => {
    const scalers = JSON.parse(readFileSync(join(DEPLOY_TOOLS.schemas, 'keda-scalers.json'), 'utf8')) as Record<
      string,
      ScalerParameters
    >;
    const manifests = await render({ files: [ciFile(name)], values: { keda: { enabled: true } } });
    const authentications = new Map(
      all(manifests, 'TriggerAuthentication').map(({ metadata, spec }) => [
        metadata.name,
        Object.values(spec as Record<string, { parameter: string }[]>).flatMap((entries) =>
          entries.map(({ parameter }) => parameter),
        ),
      ]),
    );
    for (const { type, metadata, authenticationRef } of all(manifests, 'ScaledObject').flatMap((object) =>
      triggersOf([object]),
    )) {
      expect(scalers[type]?.metadata).toEqual(expect.arrayContaining(Object.keys(metadata)));
      const parameters = authenticationRef === undefined ? [] : authentications.get(authenticationRef.name);
      expect(scalers[type]?.authentication).toEqual(expect.arrayContaining(parameters ?? ['no such authentication']));
      if (metadata['sasl'] !== undefined && metadata['sasl'] !== 'none')
        expect(parameters).toEqual(expect.arrayContaining(['username', 'password']));
    }
  });

  it('takes credentials from the same Secrets and ConfigMaps as the daemon', async () => {
    const manifests = await render({ files: [ciFile('tls-values.yaml')], values: { keda: { enabled: true } } });
    const { secretTargetRef } = one(manifests, 'TriggerAuthentication', 'demo-kafka-temporal-bridge-kafka').spec as {
      secretTargetRef: object[];
    };
    expect(secretTargetRef).toEqual([
      { parameter: 'username', name: 'ktb-kafka', key: 'username' },
      { parameter: 'password', name: 'ktb-kafka', key: 'password' },
      { parameter: 'ca', name: 'kafka-ca', key: 'ca.crt' },
      { parameter: 'cert', name: 'ktb-kafka-tls', key: 'tls.crt' },
      { parameter: 'key', name: 'ktb-kafka-tls', key: 'tls.key' },
    ]);
    const literal = one(await render({ files }), 'TriggerAuthentication', 'demo-kafka-temporal-bridge-kafka');
    expect(literal.spec).toEqual({
      configMapTargetRef: [{ parameter: 'ca', name: 'kafka-ca', key: 'ca-bundle.pem' }],
      env: [{ parameter: 'username', name: 'KTB_KAFKA_USERNAME', containerName: 'ktb' }],
      secretTargetRef: [{ parameter: 'password', name: 'ktb', key: 'password' }],
    });
  });

  it('gets tokens for Kafka from the same server as the daemon', async () => {
    const manifests = await render({ files: [ciFile('tokens-values.yaml')] });
    const name = 'demo-kafka-temporal-bridge-kafka';
    const consumer = 'demo-kafka-temporal-bridge-consumer';
    expect(triggersOf(manifests, consumer)).toMatchObject([{ metadata: { sasl: 'oauthbearer', tls: 'enable' } }]);
    expect(one(manifests, 'TriggerAuthentication', name).spec).toEqual({
      env: [
        { parameter: 'username', name: 'KTB_KAFKA_USERNAME', containerName: 'ktb' },
        { parameter: 'oauthTokenEndpointUri', name: 'KTB_KAFKA_TOKEN_URL', containerName: 'ktb' },
        { parameter: 'scopes', name: 'KTB_KAFKA_SCOPES', containerName: 'ktb' },
      ],
      secretTargetRef: [{ parameter: 'password', name: 'ktb-oauth', key: 'client-secret' }],
    });
    const { template } = one(manifests, 'Deployment', consumer).spec as {
      template: { spec: { containers: { env: object[] }[] } };
    };
    expect(template.spec.containers[0]?.env).toEqual(
      expect.arrayContaining([
        { name: 'KTB_KAFKA_USERNAME', value: 'ktb' },
        {
          name: 'KTB_KAFKA_TOKEN_URL',
          value: 'https://login.example.com/realms/data/protocol/openid-connect/token',
        },
        { name: 'KTB_KAFKA_SCOPES', value: 'kafka.read,kafka.write' },
      ]),
    );
  });

  it.each<[string, object, object]>([
    ['the role of the pods', {}, { provider: 'aws', identityOwner: 'workload' }],
    [
      'the role that the daemon assumes',
      { roleArn: 'arn:aws:iam::123456789012:role/other' },
      { provider: 'aws', roleArn: 'arn:aws:iam::123456789012:role/other' },
    ],
  ])('logs in at Amazon MSK with %s', async (_, sasl, podIdentity) => {
    const manifests = await render({ files: [ciFile('msk-values.yaml')], values: { config: { kafka: { sasl } } } });
    const name = 'demo-kafka-temporal-bridge-kafka';
    expect(triggersOf(manifests, 'demo-kafka-temporal-bridge-consumer')).toMatchObject([
      {
        metadata: {
          sasl: 'oauthbearer',
          saslTokenProvider: 'aws_msk_iam',
          awsRegion: 'eu-central-1',
          tls: 'enable',
        },
        authenticationRef: { name },
      },
    ]);
    expect(one(manifests, 'TriggerAuthentication', name).spec).toEqual({ podIdentity });
  });

  it('uses an authentication of one’s own instead', async () => {
    const reference = { name: 'mine', kind: 'ClusterTriggerAuthentication' };
    const manifests = await render({
      files,
      values: { keda: { kafka: { authenticationRef: reference }, temporal: { authenticationRef: reference } } },
    });
    expect(all(manifests, 'TriggerAuthentication')).toEqual([]);
    for (const object of all(manifests, 'ScaledObject'))
      for (const { authenticationRef } of triggersOf([object])) expect(authenticationRef).toEqual(reference);
  });

  it('uses TLS where only an API key, of an authentication of one’s own, says so', async () => {
    const manifests = await renderWith({
      config: { temporal: { apiKey: '${KEY}' } },
      keda: { enabled: true, temporal: { authenticationRef: { name: 'mine' } } },
    });
    for (const { metadata } of triggersOf(manifests).filter(({ type }) => type === 'temporal'))
      expect(metadata).toMatchObject({ enableTLS: 'true' });
  });

  it('scales down slowly: each step is a rebalance', async () => {
    for (const values of [{ keda: { enabled: true } }, { autoscaling: { enabled: true } }]) {
      const manifests = await renderWith(values);
      const text = JSON.stringify([...all(manifests, 'ScaledObject'), ...all(manifests, 'HorizontalPodAutoscaler')]);
      expect(text).toContain('"stabilizationWindowSeconds":600');
    }
  });
});

describe('NetworkPolicy', () => {
  interface Rule {
    readonly ports?: { readonly port: number; readonly protocol: string }[];
    readonly to?: object[];
  }
  const portsOf = (policy: Manifest): (number[] | undefined)[] =>
    (policy.spec as { egress: Rule[] }).egress.map(({ ports }) => ports?.map(({ port }) => port));

  it('lets pods connect to the ports of the configuration only; consumers not to ClickHouse', async () => {
    const manifests = await render({
      files: [ciFile('split-values.yaml')],
      values: { networkPolicy: { enabled: true } },
    });
    const policy = (component: string) => one(manifests, 'NetworkPolicy', `demo-kafka-temporal-bridge-${component}`);
    expect(portsOf(policy('consumer'))).toEqual([[53, 53], [9092], [7233]]);
    expect(portsOf(policy('worker'))).toEqual([[53, 53], [9092], [7233], [8123]]);
    expect(portsOf(policy('jobs'))).toEqual([[53, 53], [9092], [7233], [8123]]);
  });

  it('lets consumers ask ClickHouse for columns where they take a changed mapping by themselves', async () => {
    const split = { deploymentMode: 'split', networkPolicy: { enabled: true }, liveReload: true };
    const consumer = one(await renderWith(split), 'NetworkPolicy', 'demo-kafka-temporal-bridge-consumer');
    expect(portsOf(consumer)).toEqual([[53, 53], [9092], [7233], [8123]]);
  });

  it('lets consumers do so with a configuration that is not known, which they always take by themselves', async () => {
    const peers = [{ ipBlock: { cidr: '10.0.0.0/8' } }];
    const manifests = await render({
      values: {
        existingConfigMap: 'mine',
        deploymentMode: 'split',
        networkPolicy: { enabled: true, egress: { kafkaTo: peers, temporalTo: peers, clickhouseTo: peers } },
      },
    });
    const rules = (component: string) =>
      portsOf(one(manifests, 'NetworkPolicy', `demo-kafka-temporal-bridge-${component}`));
    expect(rules('consumer')).toEqual(rules('worker'));
  });

  it('lets pods ask for tokens and schemas', async () => {
    const manifests = await renderWith({
      config: {
        kafka: {
          ssl: true,
          sasl: { mechanism: 'oauthbearer', tokenUrl: 'https://login:8443/token', clientId: 'a', clientSecret: '${A}' },
        },
        schemaRegistry: { url: 'https://registry/@apis' },
      },
      deploymentMode: 'split',
      networkPolicy: { enabled: true },
      check: { enabled: true },
    });
    const policy = (name: string) => one(manifests, 'NetworkPolicy', `demo-kafka-temporal-bridge-${name}`);
    expect(portsOf(policy('consumer'))).toEqual([[53, 53], [9092], [8443], [7233], [443]]);
    expect(portsOf(policy('worker'))).toEqual([[53, 53], [9092], [8443], [7233], [8123], [443]]);
    expect(portsOf(policy('jobs'))).toEqual([[53, 53], [9092], [8443], [7233], [8123], [443]]);
  });

  it('lets pods that log in with a role of AWS get its credentials', async () => {
    const manifests = await render({
      files: [ciFile('msk-values.yaml')],
      values: { networkPolicy: { enabled: true } },
    });
    const policy = one(manifests, 'NetworkPolicy', 'demo-kafka-temporal-bridge-consumer');
    expect(portsOf(policy)).toEqual([[53, 53], [9098], [443], [80], [7233]]);
    // Where EKS Pod Identity hands them out.
    expect(JSON.stringify(policy)).toContain('"cidr":"169.254.170.23/32"');
  });

  it('knows the port of https, and one beside a reference', async () => {
    const https = await render({ files: [ciFile('full-values.yaml')] });
    expect(portsOf(one(https, 'NetworkPolicy', 'orders-bridge'))).toEqual([
      [53, 53],
      [9092, 9094],
      [7233],
      [443],
      [8200],
    ]);
    const references = await renderWith({
      config: {
        temporal: { address: '${file:/run/host}:7233' },
        clickhouse: { url: 'http://${HOST}:8123/${PATH}' },
        schemaRegistry: { url: 'https://registry/${PATH}' },
      },
      networkPolicy: { enabled: true },
    });
    expect(portsOf(one(references, 'NetworkPolicy', 'demo-kafka-temporal-bridge'))).toEqual([
      [53, 53],
      [9092],
      [7233],
      [8123],
      [443],
    ]);
  });

  it('opens every port of an address that it does not know to the peers that are named, and to nobody else', async () => {
    const peers = [{ ipBlock: { cidr: '10.0.0.0/8' } }];
    const egress = { kafkaTo: peers, temporalTo: peers, clickhouseTo: peers };
    const references = {
      config: { kafka: { brokers: ['${BROKER}'] }, temporal: { address: '${A}' }, clickhouse: { url: '${URL}' } },
      networkPolicy: { enabled: true, egress },
    };
    const other = await render({ values: { existingConfigMap: 'mine', networkPolicy: { enabled: true, egress } } });
    for (const manifests of [await renderWith(references), other]) {
      const policy = one(manifests, 'NetworkPolicy', 'demo-kafka-temporal-bridge') as unknown as {
        spec: { egress: Rule[] };
      };
      const [, ...rules] = policy.spec.egress;
      expect(rules).toEqual([{ to: peers }, { to: peers }, { to: peers }]);
    }
  });

  it('knows the ports of several servers of ClickHouse', async () => {
    const manifests = await renderWith({
      config: { clickhouse: { url: null, urls: ['https://a:8443', 'https://b', 'https://c:8443'] } },
      networkPolicy: { enabled: true },
    });
    expect(portsOf(one(manifests, 'NetworkPolicy', 'demo-kafka-temporal-bridge'))).toEqual([
      [53, 53],
      [9092],
      [7233],
      [8443, 443],
    ]);
  });

  it('lets only the peers named read the metrics', async () => {
    const manifests = await render({ files: [ciFile('full-values.yaml')] });
    expect((one(manifests, 'NetworkPolicy', 'orders-bridge').spec as { ingress: object[] }).ingress).toEqual([
      {
        ports: ['http', 'temporal'].map((port) => ({ port, protocol: 'TCP' })),
        from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
      },
    ]);
  });
});

describe('PodDisruptionBudget', () => {
  it('lets one pod go at a time, so that a node with a single one can be drained', async () => {
    expect(one(await render(MINIMAL), 'PodDisruptionBudget').spec).toMatchObject({ maxUnavailable: 1 });
  });

  it('takes a number and a percentage', async () => {
    const spec = async (podDisruptionBudget: object): Promise<unknown> =>
      one(await renderWith({ podDisruptionBudget }), 'PodDisruptionBudget').spec;
    expect(await spec({ maxUnavailable: 2 })).toMatchObject({ maxUnavailable: 2 });
    const half = await renderWith({ replicaCount: 2, podDisruptionBudget: { minAvailable: '50%' } });
    expect(one(half, 'PodDisruptionBudget').spec).toMatchObject({ minAvailable: '50%' });
    expect(await spec({ minAvailable: 0 })).not.toHaveProperty('maxUnavailable');
  });
});

describe('PrometheusRule', () => {
  interface Rule {
    readonly alert: string;
    readonly expr: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  }
  const rulesOf = (manifest: Manifest): Rule[] =>
    (manifest.spec as { groups: { rules: Rule[] }[] }).groups.flatMap(({ rules }) => rules);

  it('asks only for metrics and labels that the daemon has', () => {
    const text = readFileSync(join(CHART, 'files/rules.yaml'), 'utf8');
    const { groups } = parse(text) as { groups: { rules: Rule[] }[] };
    const rules = groups.flatMap((group) => group.rules);
    expect(rules.length).toBeGreaterThan(5);
    const known = seriesNames();
    // What Prometheus itself, and the chart's monitors, add to every series of a pod.
    const added = ['namespace', 'pod', 'job', 'instance', 'app_kubernetes_io_instance'];
    const labels = new Set([...added, 'le', ...metricFacts().flatMap((facts) => facts.labelNames)]);
    for (const { alert, expr, annotations } of rules) {
      const names = expr.match(/(ktb|nodejs|process)_\w+/g) ?? [];
      expect(names.length, alert).toBeGreaterThan(0);
      for (const name of names) expect(known, alert).toContain(name);
      const used = [
        ...[...expr.matchAll(/(?:by|on) \(([^)]*)\)/g)].flatMap(([, list]) => (list ?? '').split(/,\s*/)),
        ...[...expr.matchAll(/(\w+)(?:=|!=|=~)"/g)].map(([, label]) => label ?? ''),
        ...[...JSON.stringify(annotations).matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label ?? ''),
      ];
      // label_replace(..., "role", "worker", "", "") has a label of the rule's own.
      const own = [...expr.matchAll(/"(\w+)", "\w+", "", ""\)/g)].map(([, label]) => label ?? '');
      for (const label of used) expect([...labels, ...own], alert).toContain(label);
    }
  });

  it('leaves Prometheus’s own {{ }} alone, and adds runbooks, labels and groups', async () => {
    const manifests = await render({ files: [ciFile('full-values.yaml')] });
    const rules = rulesOf(one(manifests, 'PrometheusRule'));
    const down = rules.find(({ alert }) => alert === 'KtbDependencyDown');
    expect(down?.annotations['summary']).toBe('{{ $labels.dependency }} does not answer {{ $labels.pod }}');
    expect(down?.annotations['runbook_url']).toBe('https://wiki.example.com/ktb#ktbdependencydown');
    expect(down?.labels).toEqual({ severity: 'critical', team: 'data' });
    expect(rules.map(({ alert }) => alert)).not.toContain('KtbDeadLetters');
    expect(rules.at(-1)).toEqual({ record: 'ktb:lag', expr: 'sum(ktb_lag_records)' });
  });

  it('has no runbook where none is said', async () => {
    const rules = rulesOf(one(await renderWith({ prometheusRule: { enabled: true } }), 'PrometheusRule'));
    expect(rules.map(({ alert }) => alert)).toContain('KtbDeadLetters');
    for (const { annotations } of rules) expect(annotations).not.toHaveProperty('runbook_url');
  });
});

it.each(['ServiceMonitor', 'PodMonitor'])(
  '%s: one’s own parts of it go before the chart’s, and the label of the release stays',
  async (kind) => {
    const [section, endpoints, labels] =
      kind === 'PodMonitor'
        ? ['podMonitor', 'podMetricsEndpoints', 'podTargetLabels']
        : ['serviceMonitor', 'endpoints', 'targetLabels'];
    const manifests = await renderWith({
      [section]: {
        enabled: true,
        interval: '15s',
        extraSpec: { jobLabel: 'team', [labels]: ['team'] },
        extraEndpoint: { interval: '30s', path: '/other' },
      },
    });
    expect(one(manifests, kind).spec).toMatchObject({
      jobLabel: 'team',
      [labels]: ['app.kubernetes.io/instance', 'team'],
      [endpoints]: [{ port: 'http', interval: '30s', path: '/other' }],
    });
  },
);

it.each(['ServiceMonitor', 'PodMonitor'])(
  '%s: hands over the token to /metrics, and not to Temporal’s',
  async (kind) => {
    const [section, endpoints] =
      kind === 'PodMonitor' ? ['podMonitor', 'podMetricsEndpoints'] : ['serviceMonitor', 'endpoints'];
    const manifests = await renderWith({
      config: { http: { temporalListen: '0.0.0.0:9465' } },
      credentials: { metrics: { token: { existingSecret: 'ktb-metrics' } } },
      [section]: { enabled: true },
    });
    const authorization = { type: 'Bearer', credentials: { name: 'ktb-metrics', key: 'token' } };
    const spec = one(manifests, kind).spec as Record<string, object[]>;
    expect(spec[endpoints]).toEqual([
      { port: 'http', path: '/metrics', authorization },
      { port: 'temporal', path: '/metrics' },
    ]);
  },
);

it('monitors carry the labels by which a Prometheus selects them', async () => {
  const additionalLabels = { release: 'prometheus' };
  const manifests = await renderWith({
    serviceMonitor: { enabled: true, additionalLabels, interval: '15s', namespace: 'monitoring' },
    prometheusRule: { enabled: true, additionalLabels },
  });
  const monitor = one(manifests, 'ServiceMonitor');
  expect(monitor.metadata).toMatchObject({ namespace: 'monitoring', labels: additionalLabels });
  expect(monitor.spec).toMatchObject({
    namespaceSelector: { matchNames: ['apps'] },
    endpoints: [{ port: 'http', path: '/metrics', interval: '15s' }],
  });
  expect(one(manifests, 'PrometheusRule').metadata.labels).toMatchObject(additionalLabels);
});
