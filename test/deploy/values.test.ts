import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CHART, one, render, renderWith, type Manifest } from './support/chart.js';

describe('the schema refuses, and says where and what', () => {
  const cases: [string, object, string][] = [
    ['an unknown key', { replicas: 2 }, "at '': additional properties 'replicas' not allowed"],
    ['a text for a number', { replicaCount: 'two' }, "at '/replicaCount': got string, want integer"],
    ['an unknown mode', { deploymentMode: 'both' }, "at '/deploymentMode': value must be one of 'combined', 'split'"],
    [
      'an unknown key of the configuration',
      { config: { kafka: { broker: ['a:1'] } } },
      "at '/config/kafka': additional properties 'broker' not allowed",
    ],
    [
      'a duration without a unit',
      { config: { pipelines: { orders: { batch: { maxDelay: '1' } } } } },
      "at '/config/pipelines/orders/batch/maxDelay': '1' does not match pattern",
    ],
    [
      'a pipeline without topics',
      { config: { pipelines: { b: { table: 't' } } } },
      "at '/config/pipelines/b': missing property 'topics'",
    ],
    [
      'an unknown mechanism',
      { config: { kafka: { sasl: { mechanism: 'scram' } } } },
      "at '/config/kafka/sasl/mechanism': 'scram' does not match pattern '^(plain|scram-sha-256|scram-sha-512|oauthbearer|aws-msk-iam)$",
    ],
    [
      'no pod at least, by CPU',
      { autoscaling: { enabled: true, minReplicas: 0 } },
      "at '/autoscaling/minReplicas': minimum: got 0, want 1",
    ],
    ['an emptied section', { serviceAccount: null }, "missing property 'serviceAccount'"],
    ...[
      { setup: { activeDeadlineSeconds: null } },
      { check: { backoffLimit: null } },
      { service: { port: null } },
      { image: { repository: null } },
      { credentials: { kafka: { sasl: { passwordKey: null } } } },
      { revisionHistoryLimit: null },
    ].map((values): [string, object, string] => {
      const path = JSON.stringify(values).match(/\w+(?=")/g) ?? [];
      const where = path.slice(0, -1).map((key) => `/${key}`);
      return [`null for ${path.join('.')}`, values, `at '${where.join('')}': missing property '${path.at(-1)}'`];
    }),
    [
      'a number in the environment, which Kubernetes refuses',
      { extraEnv: [{ name: 'A', value: 5 }] },
      "at '/extraEnv/0/value': got number, want null or string",
    ],
    [
      'an unknown key of setup’s credentials',
      { setup: { credentials: { clickhouse: { auth: { secret: 'a' } } } } },
      "at '/setup/credentials/clickhouse/auth': additional properties 'secret' not allowed",
    ],
    ['a broken digest', { image: { digest: 'latest' } }, "at '/image/digest': 'latest' does not match pattern"],
    [
      'a role’s key that is not a role’s',
      { deploymentMode: 'split', worker: { service: {} } },
      "at '/worker': additional properties 'service' not allowed",
    ],
    [
      'a role’s value of the wrong type',
      { consumer: { replicaCount: -1 } },
      "at '/consumer/replicaCount': minimum: got -1, want 0",
    ],
    [
      'an unknown key of credentials',
      { credentials: { kafka: { sasl: { secret: 'a' } } } },
      "at '/credentials/kafka/sasl': additional properties 'secret' not allowed",
    ],
  ];
  it.each(cases)('%s', async (_, values, message) => {
    await expect(renderWith(values)).rejects.toThrow(message);
  });
});

const on = { enabled: true };

describe('the templates refuse, and say what to do', () => {
  const cases: [string, object, string][] = [
    [
      'a password in the configuration',
      { config: { clickhouse: { password: 'hunter2' } } },
      'config.clickhouse.password is a secret, and config becomes a ConfigMap: put it into a Secret and name that in credentials.clickhouse.auth.existingSecret',
    ],
    [
      'an escaped reference, which is none',
      { config: { clickhouse: { password: '$${PASSWORD}' } } },
      'config.clickhouse.password is a secret',
    ],
    [
      'an API key in the configuration',
      { config: { temporal: { apiKey: 'hunter2' } } },
      'config.temporal.apiKey is a secret',
    ],
    [
      'an encryption key in the configuration',
      { config: { temporal: { encryption: { keys: { k1: 'hunter2' } } } } },
      'config.temporal.encryption.keys.k1 is a secret',
    ],
    [
      'a private key in the configuration',
      { config: { kafka: { ssl: { key: 'hunter2' } } } },
      'config.kafka.ssl.key is a secret',
    ],
    [
      'an access token in the configuration',
      { config: { clickhouse: { accessToken: 'hunter2' } } },
      'config.clickhouse.accessToken is a secret',
    ],
    [
      'a private key for ClickHouse in the configuration',
      { config: { clickhouse: { tls: { key: 'hunter2' } } } },
      'config.clickhouse.tls.key is a secret',
    ],
    [
      'certificates for an address without TLS',
      { credentials: { clickhouse: { tls: { ca: { existingSecret: 'a' } } } } },
      'config.clickhouse.url has an http:// address, but credentials.clickhouse.tls names certificates',
    ],
    [
      'certificates for addresses of which one has no TLS',
      {
        config: { clickhouse: { url: null, urls: ['https://a:8443', 'http://b:8123'] } },
        credentials: { clickhouse: { tls: { ca: { existingSecret: 'a' } } } },
      },
      'config.clickhouse.urls has an http:// address, but credentials.clickhouse.tls names certificates',
    ],
    [
      'a password in one of several addresses of ClickHouse',
      { config: { clickhouse: { url: null, urls: ['https://a:8443', 'https://ktb:hunter2@b:8443'] } } },
      'config.clickhouse.urls has a user or a password in it',
    ],
    [
      'an access token beside a password',
      { credentials: { clickhouse: { accessToken: { existingSecret: 'a' }, auth: { existingSecret: 'b' } } } },
      'credentials.clickhouse.accessToken stands for user and password',
    ],
    [
      'a password in the address of ClickHouse',
      { config: { clickhouse: { url: 'https://ktb:hunter2@clickhouse:8443' } } },
      'config.clickhouse.url has a user or a password in it',
    ],
    ...['https://clickhouse:8443?user=ktb&password=hunter2', 'https://${HOST}/?password=hunter2'].map(
      (url): [string, object, string] => [
        `a password among the parameters of the address of ClickHouse: ${url.split('?')[0]}`,
        { config: { clickhouse: { url } } },
        'config.clickhouse.url has parameters (?…), which the daemon refuses',
      ],
    ),
    ...['https://user:S3/hunter2@clickhouse:8443', 'HTTPS://user:hunter2@clickhouse:8443'].map(
      (url, index): [string, object, string] => [
        `a password in the address of ClickHouse, in whatever form: ${index}`,
        { config: { clickhouse: { url } } },
        'config.clickhouse.url has a user or a password in it',
      ],
    ),
    ...['USERNAME', 'PASSWORD'].map((what): [string, object, string] => [
      `a reference of the chart's own beside credentials: ${what}`,
      {
        config: { kafka: { sasl: { mechanism: 'plain', [what.toLowerCase()]: `\${KTB_KAFKA_${what}}` } } },
        credentials: { kafka: { sasl: { existingSecret: 'k' } } },
      },
      `config refers to \${KTB_KAFKA_${what}}`,
    ]),
    [
      'a column whose name YAML takes for a boolean',
      { config: { pipelines: { orders: { columns: { true: '/y' } } } } },
      'config.pipelines.orders.columns has a column true or false',
    ],
    ['names that no Service may have', { fullnameOverride: 'A_b' }, 'names would begin with A_b'],
    [
      'an address of Temporal without a port, where ports are opened one by one',
      { config: { temporal: { address: 'temporal' } }, networkPolicy: on },
      'config.temporal.address has no port that the chart knows',
    ],
    [
      'a broker that is a reference, where ports are opened one by one',
      { config: { kafka: { brokers: ['kafka:9092', '${BROKER}'] } }, networkPolicy: on },
      'config.kafka.brokers has no port that the chart knows',
    ],
    [
      'an address of Temporal in the environment, where ports are opened one by one',
      {
        config: { temporal: { address: null } },
        extraEnv: [{ name: 'TEMPORAL_ADDRESS', value: 'temporal:7233' }],
        networkPolicy: on,
      },
      'config.temporal.address has no port that the chart knows',
    ],
    [
      'an address of ClickHouse that is a reference, where ports are opened one by one',
      { config: { clickhouse: { url: 'http://${HOST}' } }, networkPolicy: on },
      'config.clickhouse.url has no port that the chart knows',
    ],
    [
      'an address of the schema registry that is a reference, where ports are opened one by one',
      { config: { schemaRegistry: { url: '${REGISTRY}' } }, networkPolicy: on },
      'config.schemaRegistry.url has no port that the chart knows',
    ],
    [
      'an address of the token server that is a reference, where ports are opened one by one',
      { config: { kafka: { sasl: { mechanism: 'oauthbearer', tokenUrl: '${LOGIN}' } } }, networkPolicy: on },
      'config.kafka.sasl.tokenUrl has no port that the chart knows',
    ],
    [
      'credentials for SASL without a mechanism',
      { credentials: { kafka: { sasl: { existingSecret: 'a' } } } },
      'config.kafka.sasl.mechanism is missing',
    ],
    [
      'certificates where TLS is off',
      { config: { temporal: { tls: false } }, credentials: { temporal: { tls: { ca: { existingSecret: 'a' } } } } },
      'config.temporal.tls is false, but credentials.temporal.tls names certificates',
    ],
    [
      'two sources of one CA',
      { credentials: { kafka: { tls: { ca: { existingSecret: 'a', existingConfigMap: 'b' } } } } },
      'credentials.kafka.tls.ca has both existingSecret and existingConfigMap',
    ],
    [
      'a port that is not known',
      { config: { http: { listen: '0.0.0.0:${PORT}' } } },
      'probes need a port that is written out',
    ],
    [
      'a port of the daemon’s choice',
      { config: { http: { listen: '0.0.0.0:0' } } },
      'probes need a port that is written out',
    ],
    [
      'an address that probes do not reach',
      { config: { http: { listen: '127.0.0.1:9464' } } },
      'leave the address out',
    ],
    [
      'too little time for a drain',
      { terminationGracePeriodSeconds: 30 },
      'terminationGracePeriodSeconds is 30, too short for a drain: preStopSleepSeconds, config.shutdown.deadline and 10 s are 37',
    ],
    [
      'too little time for a drain of one role',
      { deploymentMode: 'split', worker: { terminationGracePeriodSeconds: 30 } },
      'worker: terminationGracePeriodSeconds is 30',
    ],
    [
      'a deadline that nobody knows here',
      { config: { shutdown: { deadline: '${DEADLINE}' } } },
      'terminationGracePeriodSeconds is missing',
    ],
    [
      'two autoscalers',
      { autoscaling: { enabled: true }, keda: { enabled: true } },
      'autoscaling and keda are both enabled',
    ],
    [
      'an autoscaler without a metric',
      { autoscaling: { enabled: true, targetCPUUtilizationPercentage: null } },
      'autoscaling is enabled without a metric',
    ],
    [
      'fewer pods at most than at least',
      { autoscaling: { enabled: true, minReplicas: 9 } },
      'autoscaling.minReplicas is 9, more than the 8 of maxReplicas',
    ],
    [
      'fewer pods at most than at least, by KEDA, of one role',
      { deploymentMode: 'split', keda: on, worker: { keda: { minReplicaCount: 9 } } },
      'worker: keda.minReplicaCount is 9, more than the 8 of maxReplicaCount',
    ],
    ...[
      { minAvailable: 1 },
      { minAvailable: '100%' },
      { minAvailable: '1%' },
      { maxUnavailable: 0 },
      { maxUnavailable: '0%' },
    ].map((podDisruptionBudget): [string, object, string] => [
      `a budget that lets no node be drained: ${JSON.stringify(podDisruptionBudget)}`,
      { podDisruptionBudget },
      'podDisruptionBudget lets no pod go, of 1 at least',
    ]),
    [
      'a budget that lets no node be drained once it is rounded up',
      { replicaCount: 3, podDisruptionBudget: { minAvailable: '90%' } },
      'podDisruptionBudget lets no pod go, of 3 at least',
    ],
    ...['keda.pollingInterval', 'keda.kafka.lagThreshold', 'autoscaling.maxReplicas'].map(
      (path): [string, object, string] => {
        const [section = '', ...keys] = path.split('.');
        const value = keys.reduceRight<unknown>((below, key) => ({ [key]: below }), null) as object;
        return [`null for ${path}`, { [section]: { enabled: true, ...value } }, `${path} is null: give a number`];
      },
    ),
    [
      'a time to alert after that is shorter than a batch may wait',
      { config: { pipelines: { orders: { batch: { maxDelay: '15m' } } } }, prometheusRule: on },
      'prometheusRule.oldestUnacknowledgedSeconds is 900, but records of pipeline orders may wait for its batch.maxDelay of 15m',
    ],
    [
      'KEDA with a configuration that is not known here',
      {
        config: { kafka: null, temporal: null, clickhouse: null, pipelines: null },
        existingConfigMap: 'mine',
        keda: on,
      },
      'keda makes its triggers of config, which is not known with existingConfigMap: use config, or do without keda',
    ],
    [
      'less time for a rollout than for setup',
      { progressDeadlineSeconds: 600, setup: on },
      'progressDeadlineSeconds is 600, not longer than the 900 of setup.activeDeadlineSeconds',
    ],
    [
      'what Kubernetes refuses beside Recreate',
      { updateStrategy: { type: 'Recreate', rollingUpdate: { maxSurge: 1 } } },
      'updateStrategy has rollingUpdate beside the type Recreate',
    ],
    ['values of a role without roles', { worker: { replicaCount: 2 } }, 'deploymentMode is combined'],
    [
      'a name twice in the environment',
      { extraEnv: ['1', '2'].map((value) => ({ name: 'A', value })) },
      'A is twice in the environment, by extraEnv:',
    ],
    [
      'a name of the chart’s own in the environment',
      { extraEnv: [{ name: 'KTB_CONFIG', value: '/a' }] },
      'KTB_CONFIG is twice in the environment, by extraEnv and by the chart',
    ],
    [
      'a variable of credentials in the environment, too',
      {
        config: { kafka: { sasl: { mechanism: 'plain' } } },
        credentials: { kafka: { sasl: { existingSecret: 'a' } } },
        extraEnv: [{ name: 'KTB_KAFKA_PASSWORD', value: 'b' }],
      },
      'KTB_KAFKA_PASSWORD is twice in the environment, by extraEnv and by the chart',
    ],
    [
      'a volume with a name of the chart’s',
      { extraVolumes: [{ name: 'config', emptyDir: {} }] },
      'give it another name',
    ],
    [
      'a volume with the name of that of the credentials',
      {
        credentialFiles: true,
        credentials: { clickhouse: { auth: { existingSecret: 'a' } } },
        extraVolumes: [{ name: 'credentials', emptyDir: {} }],
      },
      'extraVolumes has one that is called credentials',
    ],
    ['two configurations', { existingConfigMap: 'mine' }, 'config and existingConfigMap are both set'],
    [
      'credentials of setup to which nothing refers',
      { setup: { enabled: true, credentials: { clickhouse: { auth: { existingSecret: 'a' } } } } },
      'setup.credentials has clickhouse.auth, which names nothing in credentials',
    ],
    [
      'a user of setup’s own of ClickHouse, whose name the configuration has fixed',
      {
        config: { clickhouse: { username: 'ktb' } },
        credentials: { clickhouse: { auth: { existingSecret: 'a' } } },
        setup: { credentials: { clickhouse: { auth: { existingSecret: 'b' } } } },
      },
      'config.clickhouse.username is set, and setup would have it, too, beside what setup.credentials.clickhouse.auth gives it',
    ],
    [
      'a user of setup’s own of ClickHouse, whose password the configuration takes from a file',
      {
        config: { clickhouse: { password: '${file:/secrets/password}' } },
        credentials: { clickhouse: { auth: { existingSecret: 'a' } } },
        setup: { credentials: { clickhouse: { auth: { existingSecret: 'b' } } } },
      },
      'config.clickhouse.password is set, and setup would have it, too',
    ],
    [
      'a user of setup’s own of Kafka, whose name the configuration has fixed',
      {
        config: { kafka: { sasl: { mechanism: 'plain', username: 'ktb' } } },
        credentials: { kafka: { sasl: { existingSecret: 'a' } } },
        setup: { credentials: { kafka: { sasl: { existingSecret: 'b' } } } },
      },
      'config.kafka.sasl.username is set',
    ],
    ...[{ usernameKey: 'admin' }, { passwordKey: 'admin-password' }].map((own): [string, object, string] => [
      `setup’s own ${Object.keys(own).join()} of the same Secret, where the configuration has fixed the user`,
      {
        config: { kafka: { sasl: { mechanism: 'plain', username: 'ktb' } } },
        credentials: { kafka: { sasl: { existingSecret: 'a' } } },
        setup: { credentials: { kafka: { sasl: own } } },
      },
      'config.kafka.sasl.username is set, and setup would have it, too, beside what setup.credentials.kafka.sasl gives it',
    ]),
    [
      'setup’s own key of the same Secret of ClickHouse, where the configuration has fixed the user',
      {
        config: { clickhouse: { username: 'ktb' } },
        credentials: { clickhouse: { auth: { existingSecret: 'a' } } },
        setup: { credentials: { clickhouse: { auth: { passwordKey: 'admin-password' } } } },
      },
      'config.clickhouse.username is set, and setup would have it, too, beside what setup.credentials.clickhouse.auth gives it',
    ],
    [
      'two sources of one CA of setup',
      {
        credentials: { kafka: { tls: { ca: { existingSecret: 'a' } } } },
        setup: { credentials: { kafka: { tls: { ca: { existingSecret: 'b', existingConfigMap: 'c' } } } } },
      },
      'setup.credentials.kafka.tls.ca has both existingSecret and existingConfigMap',
    ],
    [
      'as many idle pods as at least',
      { keda: { enabled: true, idleReplicaCount: 1 } },
      'keda.idleReplicaCount is 1, which KEDA wants below the 1 of minReplicaCount',
    ],
    [
      'a budget that says two things',
      { podDisruptionBudget: { minAvailable: 0, maxUnavailable: 1 } },
      'podDisruptionBudget has both minAvailable and maxUnavailable',
    ],
    [
      'an activation below the partitions',
      { keda: { enabled: true, kafka: { partitions: 12, activationLagThreshold: 11 } } },
      'keda.kafka.activationLagThreshold is 11, less than the 12 of keda.kafka.partitions',
    ],
    [
      'an activation below the partitions that setup makes',
      { setup: { partitions: 12 }, keda: { enabled: true, kafka: { activationLagThreshold: 11 } } },
      'keda.kafka.activationLagThreshold is 11, less than the 12 of',
    ],
    [
      'what KEDA excludes',
      { keda: { enabled: true, kafka: { limitToPartitionsWithLag: true, allowIdleConsumers: true } } },
      'keda.kafka has both limitToPartitionsWithLag and allowIdleConsumers',
    ],
    [
      'a ScaledObject without a trigger',
      { deploymentMode: 'split', keda: { enabled: true, temporal: { enabled: false } } },
      'worker: keda is enabled without a trigger',
    ],
    [
      'credentials that KEDA cannot use',
      {
        config: { kafka: { sasl: { mechanism: 'plain', username: 'a', password: '${PASSWORD}' } } },
        extraEnv: [{ name: 'PASSWORD', value: 'b' }],
        keda: { enabled: true },
      },
      'KEDA cannot use the references of config.kafka.sasl',
    ],
    [
      'an audience, which KEDA cannot ask for',
      {
        config: {
          kafka: { sasl: { mechanism: 'oauthbearer', tokenUrl: 'https://a/b', clientId: 'a', audience: 'b' } },
        },
        credentials: { kafka: { sasl: { existingSecret: 'a' } } },
        keda: { enabled: true },
      },
      'KEDA cannot ask for config.kafka.sasl.audience',
    ],
    [
      'a Secret for a login with a role of AWS',
      {
        config: { kafka: { ssl: true, sasl: { mechanism: 'aws-msk-iam', region: 'eu-central-1' } } },
        credentials: { kafka: { sasl: { existingSecret: 'a' } } },
      },
      'credentials.kafka.sasl names a Secret, but config.kafka.sasl.mechanism is aws-msk-iam',
    ],
    [
      'a client secret in the configuration',
      { config: { kafka: { sasl: { mechanism: 'oauthbearer', clientSecret: 'open' } } } },
      'config.kafka.sasl.clientSecret is a secret, and config becomes a ConfigMap',
    ],
    [
      'a password of the schema registry in the configuration',
      { config: { schemaRegistry: { url: 'http://registry', username: 'ktb', password: 'open' } } },
      'config.schemaRegistry.password is a secret, and config becomes a ConfigMap: put it into a Secret and name that in extraEnv',
    ],
    [
      'a token of the schema registry in the configuration',
      { config: { schemaRegistry: { url: 'http://registry', token: 'open' } } },
      'config.schemaRegistry.token is a secret, and config becomes a ConfigMap',
    ],
    [
      'a private key for the schema registry in the configuration',
      { config: { schemaRegistry: { url: 'https://registry', tls: { key: 'open' } } } },
      'config.schemaRegistry.tls.key is a secret, and config becomes a ConfigMap',
    ],
    [
      'a password in the address of the schema registry',
      { config: { schemaRegistry: { url: 'https://ktb:open@registry' } } },
      'config.schemaRegistry.url has a user or a password in it, and config becomes a ConfigMap',
    ],
    [
      'a password in the address of the token server',
      { config: { kafka: { sasl: { mechanism: 'oauthbearer', tokenUrl: 'https://ktb:open@login/token' } } } },
      'config.kafka.sasl.tokenUrl has a user or a password in it, and config becomes a ConfigMap',
    ],
    [
      'references in the address of the token server',
      { config: { kafka: { sasl: { mechanism: 'oauthbearer', tokenUrl: 'https://${USER}@${HOST}/token' } } } },
      'config.kafka.sasl.tokenUrl has a user or a password in it, and config becomes a ConfigMap',
    ],
    [
      'parameters in the address of the token server',
      { config: { kafka: { sasl: { mechanism: 'oauthbearer', tokenUrl: 'https://login/token?key=open' } } } },
      'config.kafka.sasl.tokenUrl has parameters (?…)',
    ],
    [
      'parameters in the address of the schema registry',
      { config: { schemaRegistry: { url: 'https://registry/?token=open' } } },
      'config.schemaRegistry.url has parameters (?…)',
    ],
    [
      'a topic that KEDA does not know',
      { config: { pipelines: { orders: { topics: ['${TOPIC}'] } } }, keda: { enabled: true } },
      'KEDA does not resolve references such as ${NAME}: write brokers, topics',
    ],
    [
      'a namespace that KEDA does not know',
      { config: { temporal: { namespace: '${NAMESPACE}' } }, keda: { enabled: true } },
      'write config.installation, and address, namespace and taskQueue of config.temporal out',
    ],
    [
      'an installation that KEDA does not know, whose task queue it would look at',
      { config: { installation: '${INSTALLATION}' }, keda: { enabled: true, kafka: { enabled: false } } },
      'KEDA does not resolve references such as ${NAME}: write config.installation, and address',
    ],
    [
      'an alert to leave out that there is not',
      { prometheusRule: { enabled: true, disabled: ['KtbDown', 'KtbUp'] } },
      'prometheusRule.disabled has KtbUp, which is none of the alerts',
    ],
    [
      'TLS to Temporal that KEDA cannot use',
      { config: { temporal: { tls: true } }, keda: on },
      'KEDA connects to Temporal by TLS only with a client certificate or an API key',
    ],
    [
      'an API key that KEDA does not read',
      { config: { temporal: { apiKey: '${KEY}' } }, keda: on },
      'KEDA connects to Temporal by TLS only with a client certificate or an API key',
    ],
    [
      'a CA that KEDA does not use',
      {
        credentials: { temporal: { apiKey: { existingSecret: 'a' }, tls: { ca: { existingSecret: 'b' } } } },
        keda: on,
      },
      'KEDA does not read a CA beside an API key for Temporal',
    ],
    [
      'a CA that only the daemon reads',
      { config: { kafka: { ssl: { ca: '${file:/ca.pem}' } } }, keda: on },
      'KEDA does not read config.kafka.ssl.ca: name it in credentials.kafka.tls.ca',
    ],
    [
      'a certificate that only the daemon reads',
      { config: { temporal: { tls: { cert: '${file:/a}', key: '${file:/b}' } } }, keda: on },
      'KEDA does not read config.temporal.tls.cert and key: name them in credentials.temporal.tls.client',
    ],
    [
      'a name in certificates that KEDA cannot be told',
      { config: { kafka: { ssl: { serverName: 'kafka' } } }, keda: on },
      'KEDA has no such setting as config.kafka.ssl.serverName',
    ],
    [
      'a namespace in the environment, which KEDA does not read',
      { extraEnv: [{ name: 'TEMPORAL_NAMESPACE', value: 'a' }], keda: on },
      'KEDA does not read TEMPORAL_NAMESPACE: write config.temporal.namespace',
    ],
    [
      'an API key in the environment, of one role, which KEDA does not read',
      { deploymentMode: 'split', worker: { extraEnv: [{ name: 'TEMPORAL_API_KEY', value: 'a' }] }, keda: on },
      'worker: KEDA does not read TEMPORAL_API_KEY',
    ],
    ...[{ startFrom: 'latest' }, { topics: ['/orders\\..+/'] }].map((orders): [string, object, string] => [
      `consumers that KEDA would never start: ${JSON.stringify(orders)}`,
      { config: { pipelines: { orders } }, keda: { enabled: true, minReplicaCount: 0 } },
      'KEDA sees no lag that would start the first consumer of pipeline orders',
    ]),
    [
      'consumers that KEDA would never start again',
      { config: { pipelines: { orders: { startFrom: 'latest' } } }, keda: { enabled: true, idleReplicaCount: 0 } },
      'keda.idleReplicaCount is 0, but KEDA sees no lag',
    ],
    [
      'scraping twice',
      { serviceMonitor: { enabled: true }, podMonitor: { enabled: true } },
      'serviceMonitor and podMonitor are both enabled',
    ],
    [
      'two ports of a Service with one number',
      { config: { http: { listen: '0.0.0.0:8080', temporalListen: '0.0.0.0:9464' } } },
      'service.port is 9464',
    ],
    [
      'a ServiceMonitor without a Service',
      { serviceMonitor: { enabled: true }, service: { enabled: false } },
      'serviceMonitor needs service.enabled: true',
    ],
  ];
  it.each(cases)('%s', async (_, values, message) => {
    const refused = await renderWith(values).catch(String);
    expect(refused).toContain(message);
    expect(refused).not.toContain('hunter2');
  });

  it.each([
    ['', {}],
    [', whatever else is on', { keda: on, networkPolicy: on, podMonitor: on, setup: on, check: on }],
  ])('everything that is wrong at once%s', async (_, values) => {
    await expect(render({ values })).rejects.toThrow(
      /The values have [45] problems:\n {2}- config\.pipelines is empty.*\n {2}- config\.kafka\.brokers is missing.*\n {2}- config\.temporal\.address is missing.*\n {2}- config\.clickhouse\.url is missing/,
    );
  });
});

it('does not ask for an address of Temporal that its environment variable gives', async () => {
  const values = {
    config: {
      kafka: { brokers: ['kafka:9092'] },
      clickhouse: { url: 'http://clickhouse:8123' },
      pipelines: { orders: { topics: ['orders'], table: 'orders' } },
    },
  };
  await expect(render({ values })).rejects.toThrow('config.temporal.address is missing');
  const extraEnv = [{ name: 'TEMPORAL_ADDRESS', value: 'temporal:7233' }];
  expect(await render({ values: { ...values, extraEnv } })).not.toEqual([]);
});

it('asks nothing of a configuration in a ConfigMap of one’s own', async () => {
  const credentials = { kafka: { sasl: { existingSecret: 'a' } } };
  const rendered = await render({ values: { existingConfigMap: 'mine', credentials } });
  expect(JSON.stringify(one(rendered, 'Deployment'))).toContain('"KTB_KAFKA_PASSWORD"');
});

it('takes null and empty texts in setup’s credentials for what is not named', async () => {
  const credentials = {
    kafka: { sasl: { existingSecret: 'a' }, tls: { ca: { existingSecret: 'b' } } },
    clickhouse: { auth: { existingSecret: 'c' } },
  };
  const config = { kafka: { sasl: { mechanism: 'plain', username: 'ktb' } } };
  const withSetup = (own: object): Promise<Manifest[]> =>
    renderWith({ config, credentials, setup: { enabled: true, credentials: own } });
  const usual = await withSetup({});
  for (const own of [
    { kafka: null },
    { kafka: { sasl: null, tls: null }, temporal: null, clickhouse: null },
    { kafka: { sasl: { existingSecret: '' }, tls: { ca: null, client: null } } },
    { kafka: { sasl: { existingSecret: null, usernameKey: null, passwordKey: null } } },
    { kafka: { tls: { ca: { existingSecret: '', existingConfigMap: '' } } }, clickhouse: { auth: {} } },
  ])
    expect(await withSetup(own)).toEqual(usual);
});

it('takes null for what is empty by default', async () => {
  type Tree = Record<string, unknown>;
  const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null;
  const isEmpty = (value: unknown): boolean => value === '' || (isTree(value) && Object.keys(value).length === 0);
  const excluded = new Set(['autoscaling', 'serviceMonitor']);
  /** All values, with everything on that goes together. */
  const everything = (values: Tree, forEmpty: (value: unknown) => unknown): Tree =>
    Object.fromEntries(
      Object.entries(values).map(([key, value]) => {
        if (isEmpty(value)) return [key, forEmpty(value)];
        if (!isTree(value) || Array.isArray(value)) return [key, value];
        const enabled = 'enabled' in value ? { enabled: !excluded.has(key) } : {};
        return [key, { ...everything(value, forEmpty), ...enabled }];
      }),
    );
  const defaults = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Tree;
  delete defaults['config'];
  const rendered = await renderWith(everything(defaults, () => null));
  expect(rendered).toEqual(await renderWith(everything(defaults, (value) => value)));
  expect(new Set(rendered.map(({ kind }) => kind)).size).toBeGreaterThan(9);
});
