import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { parse, stringify } from 'yaml';
import type { StackTls } from '../../stack/index.js';
import { cachedDirectory } from '../../stack/cache.js';
import { KAFKA_JARS } from '../../stack/native/kafka.js';
import { CLASS_PATH } from '../../stack/native/maven.js';
import { javaCommand } from '../../stack/prerequisites.js';
import { createAuthority, issue, type KeyPair } from '../../stack/native/certificates.js';
import type { ConfigInput } from '../../src/config/schema.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

/** Several processes one after the other, on machines where others work, too. */
const TEST_MS = 240_000;

const stack = useStack({ tls: true });
let directory: string;
/** A client certificate of an authority that the stack has never heard of. */
let stranger: KeyPair;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ktb-tls-'));
  const authority = await createAuthority(directory, 'strangers');
  stranger = await issue(directory, authority, { name: 'stranger', purpose: 'client' });
});
afterAll(() => rm(directory, { recursive: true }));

type Connections = { readonly [Part in 'kafka' | 'temporal' | 'clickhouse']: NonNullable<ConfigInput[Part]> };
type Way = (tls: StackTls) => Connections;

const file = (path: string): string => `\${file:${path}}`;

/** SCRAM, client certificates, a password. */
const passwords: Way = ({ ca, cert, key, username, passwordFile, kafka, temporal, clickhouse }) => ({
  kafka: {
    brokers: [...kafka.saslBrokers],
    ssl: { ca: file(ca) },
    sasl: { mechanism: 'scram-sha-512', username, password: file(passwordFile) },
  },
  temporal: { address: temporal.mutualAddress, tls: { ca: file(ca), cert: file(cert), key: file(key) } },
  clickhouse: { url: clickhouse.url, username, password: file(passwordFile), tls: { ca: file(ca) } },
});

/** Client certificates, an API key, an access token. */
const certificates: Way = ({ ca, cert, key, apiKeyFile, accessTokenFile, kafka, temporal, clickhouse }) => ({
  kafka: { brokers: [...kafka.mutualBrokers], ssl: { ca: file(ca), cert: file(cert), key: file(key) } },
  temporal: { address: temporal.apiKeyAddress, apiKey: file(apiKeyFile), tls: { ca: file(ca) } },
  clickhouse: {
    url: clickhouse.mutualUrl,
    accessToken: file(accessTokenFile),
    tls: { ca: file(ca), cert: file(cert), key: file(key) },
  },
});

function tls(): StackTls {
  const { tls: secured } = stack();
  if (secured === undefined) throw new Error('the stack has no TLS');
  return secured;
}

/** The configuration of a fixture's pipeline over these connections. */
function configOf(of: Fixture, { kafka, temporal, clickhouse }: Connections, log: ConfigInput['log'] = {}): string {
  const plain = parse(of.config()) as ConfigInput;
  return stringify({
    ...plain,
    kafka: { ...kafka, sessionTimeout: '10s' },
    temporal: { ...temporal, taskQueue: of.name },
    clickhouse,
    log: { format: 'json', ...log },
  });
}

/** Everything that must not be seen anywhere: secrets, and the lines of private keys. */
function secrets(): string[] {
  const { key, passwordFile, apiKeyFile, accessTokenFile } = tls();
  const texts = [passwordFile, apiKeyFile, accessTokenFile].map((path) => readFileSync(path, 'utf8').trim());
  const keys = [key, stranger.key].flatMap((path) => readFileSync(path, 'utf8').split('\n'));
  return [...texts, ...keys.filter((line) => line.length > 30), 'wrong-secret'];
}

function expectNoSecret(output: string): void {
  for (const secret of secrets()) expect(output).not.toContain(secret);
}

describe.each<[string, Way]>([
  ['SCRAM to Kafka, mutual TLS to Temporal, HTTPS and a password to ClickHouse', passwords],
  ['mutual TLS to Kafka, an API key to Temporal, mutual HTTPS and an access token to ClickHouse', certificates],
])('%s', (_, way) => {
  it(
    'every record becomes a row and is acknowledged once, and no secret is logged, at the debug level either',
    async () => {
      const fixture = await Fixture.create(stack());
      await fixture.collectAcks();
      const daemon = await Daemon.start(configOf(fixture, way(tls()), { level: 'debug' }));
      await fixture.produce(1_000);
      await expectExactlyOnce(fixture, { acksOnce: true });
      expectNoSecret(daemon.output);
    },
    TEST_MS,
  );

  it(
    'check, setup and status work over it, and print no secret',
    async () => {
      const fixture = await Fixture.create(stack());
      const config = configOf(fixture, way(tls()));
      for (const command of ['check', 'setup', 'status']) {
        const { code, output } = await ktb(config, [command]);
        expect(code, output).toBe(0);
        expectNoSecret(output);
      }
    },
    TEST_MS,
  );
});

describe.each(['plain', 'scram-sha-256'] as const)('SASL %s', (mechanism) => {
  it(
    'lets the right password in, and says who was refused with a wrong one',
    async () => {
      const fixture = await Fixture.create(stack());
      const right = passwords(tls());
      const withPassword = (password: string): string => {
        const sasl = { mechanism, username: tls().username, password };
        return configOf(fixture, { ...right, kafka: { ...right.kafka, sasl } });
      };
      expect((await ktb(withPassword(file(tls().passwordFile)), ['status'])).output).toContain('lag 0 records');
      const { output } = await ktb(withPassword('wrong-secret'), ['status']);
      expect(output).toContain('refuses user ktb');
      expectNoSecret(output);
    },
    TEST_MS,
  );
});

/** Changes the password of the SCRAM user at the brokers, as an administrator does. */
async function changePassword(password: string): Promise<void> {
  const { username } = tls();
  const jars = cachedDirectory(KAFKA_JARS.name, KAFKA_JARS.version);
  const change = ['--alter', '--add-config', `SCRAM-SHA-512=[password=${password}]`];
  const user = ['--entity-type', 'users', '--entity-name', username];
  await promisify(execFile)(
    javaCommand(),
    [
      '-cp',
      CLASS_PATH,
      'kafka.admin.ConfigCommand',
      '--bootstrap-server',
      stack().kafka.brokers.join(),
      ...change,
      ...user,
    ],
    { cwd: jars, timeout: 120_000 },
  );
}

it(
  'a password of Kafka that is rotated under load is used by the next connections, without a restart, and nothing is lost',
  async () => {
    const fixture = await Fixture.create(stack());
    await fixture.collectAcks();
    const passwordFile = join(directory, 'rotated-password');
    const before = readFileSync(tls().passwordFile, 'utf8').trim();
    await writeFile(passwordFile, before);
    const right = passwords(tls());
    const sasl = { mechanism: 'scram-sha-512', username: tls().username, password: file(passwordFile) } as const;
    const daemon = await Daemon.start(configOf(fixture, { ...right, kafka: { ...right.kafka, sasl } }));
    onTestFinished(() => changePassword(before));
    await fixture.produce(1_000);
    await changePassword('rotated-secret');
    await writeFile(passwordFile, 'rotated-secret');
    await fixture.produce(1_000);
    // Every connection is a new one.
    await stack().parts.kafka[0]?.kill();
    await stack().parts.kafka[0]?.start();
    await fixture.produce(1_000);
    await expectExactlyOnce(fixture);
    await daemon.untilReady();
    expect(daemon.output).not.toContain('refuses user');
    expectNoSecret(daemon.output);
    expect(daemon.output).not.toContain('rotated-secret');
  },
  TEST_MS,
);

/** What is wrong at each part, and what `ktb check` says to it. */
interface Wrong {
  readonly connections: Way;
  readonly says: { readonly kafka: RegExp; readonly temporal: RegExp; readonly clickhouse: RegExp };
}

/** Another `tls` for all three; `false` is none. */
const withTls = (way: Way, change: (given: object) => object | false): Way => {
  return (secured) => {
    const { kafka, temporal, clickhouse } = way(secured);
    const ofClickHouse = change(clickhouse.tls ?? {});
    return {
      kafka: { ...kafka, ssl: change(kafka.ssl as object) },
      temporal: { ...temporal, tls: change(temporal.tls as object) },
      clickhouse: { ...clickhouse, tls: ofClickHouse === false ? undefined : ofClickHouse },
    };
  };
};

/** Certificates are wanted at all three. */
const mutual: Way = (secured) => ({ ...certificates(secured), temporal: passwords(secured).temporal });

const WRONG: Readonly<Record<string, Wrong>> = {
  'an authority that is not trusted': {
    connections: withTls(passwords, (given) => ({ ...given, ca: undefined })),
    says: {
      kafka: /is not signed by an authority that is trusted here .*: set kafka\.ssl\.ca/,
      temporal: /is not signed by an authority that is trusted here .*: set temporal\.tls\.ca/,
      clickhouse: /is not signed by an authority that is trusted here .*: set clickhouse\.tls\.ca/,
    },
  },
  'another name': {
    connections: withTls(passwords, (given) => ({ ...given, serverName: 'other.example.com' })),
    says: {
      kafka: /is for another name .*set kafka\.ssl\.serverName/,
      temporal: /is for another name .*set temporal\.tls\.serverName/,
      clickhouse: /is for another name .*set clickhouse\.tls\.serverName/,
    },
  },
  'a wrong password, API key, password': {
    connections: (secured) => {
      const { kafka, clickhouse } = passwords(secured);
      const { temporal } = certificates(secured);
      const sasl = { mechanism: 'scram-sha-512', username: secured.username, password: 'wrong-secret' } as const;
      return {
        kafka: { ...kafka, sasl },
        temporal: { ...temporal, apiKey: 'wrong-secret' },
        clickhouse: { ...clickhouse, password: 'wrong-secret' },
      };
    },
    says: {
      kafka: /refuses user ktb .*check kafka\.sasl/,
      temporal: /refuses the API key .*check temporal\.apiKey/,
      clickhouse: /refuses user ktb .*check clickhouse\.username and clickhouse\.password/,
    },
  },
  'no SASL, no API key, a wrong access token': {
    connections: (secured) => {
      const { kafka } = passwords(secured);
      const { temporal, clickhouse } = certificates(secured);
      return {
        kafka: { ...kafka, sasl: undefined },
        temporal: { ...temporal, apiKey: undefined },
        clickhouse: { ...clickhouse, accessToken: 'wrong-secret' },
      };
    },
    says: {
      kafka: /are brokers, ssl and sasl right\?/,
      temporal: /refuses a client without an API key .*check temporal\.apiKey/,
      clickhouse: /refuses the access token .*check clickhouse\.accessToken/,
    },
  },
  'no client certificate': {
    connections: withTls(mutual, (given) => ({ ...given, cert: undefined, key: undefined })),
    says: {
      kafka: /wants a client certificate: set kafka\.ssl\.cert and kafka\.ssl\.key/,
      temporal: /wants a client certificate: set temporal\.tls\.cert and temporal\.tls\.key/,
      clickhouse: /wants a client certificate: set clickhouse\.tls\.cert and clickhouse\.tls\.key/,
    },
  },
  'a client certificate of another authority': {
    connections: withTls(mutual, (given) => ({ ...given, cert: file(stranger.cert), key: file(stranger.key) })),
    says: {
      kafka: /refuses the client certificate .*kafka\.ssl\.cert/,
      temporal: /refuses the client certificate .*temporal\.tls\.cert/,
      clickhouse: /refuses the client certificate .*clickhouse\.tls\.cert/,
    },
  },
  'no TLS where there is': {
    connections: (secured) => {
      const { kafka, temporal, clickhouse } = withTls(passwords, () => false)(secured);
      return { kafka, temporal, clickhouse: { ...clickhouse, url: clickhouse.url?.replace('https:', 'http:') } };
    },
    says: {
      kafka: /speaks TLS: set kafka\.ssl: true, or its ca/,
      temporal: /speaks TLS: set temporal\.tls: true, or its ca/,
      clickhouse: /speaks TLS: set clickhouse\.url to an https:\/\/ address/,
    },
  },
  'TLS where there is none': {
    connections: (secured) => {
      const { kafka, temporal, clickhouse } = passwords(secured);
      return {
        kafka: { ...kafka, brokers: [...stack().kafka.brokers] },
        temporal: { ...temporal, address: stack().temporal.address },
        clickhouse: { ...clickhouse, url: stack().clickhouse.url.replace('http:', 'https:') },
      };
    },
    says: {
      kafka: /does not answer in TLS .*take kafka\.ssl away/,
      temporal: /does not answer in TLS .*take temporal\.tls away/,
      clickhouse: /does not answer in TLS .*take clickhouse\.tls away/,
    },
  },
};

describe.each(Object.entries(WRONG))('%s', (_, { connections, says }) => {
  it(
    'is told apart, with what to do and without a secret',
    async () => {
      const fixture = await Fixture.create(stack());
      const { code, output } = await ktb(configOf(fixture, connections(tls())), ['check', '--json']);
      expect(code, output).toBe(1);
      const findings = JSON.parse(output) as { level: string; subject: string; message: string }[];
      const said = (part: string): string | undefined =>
        findings.find(({ level, subject }) => level === 'wrong' && subject.startsWith(part))?.message;
      expect(said('Kafka')).toMatch(says.kafka);
      expect(said('Temporal')).toMatch(says.temporal);
      expect(said('ClickHouse')).toMatch(says.clickhouse);
      expectNoSecret(output);
    },
    TEST_MS,
  );
});

it(
  'the daemon that is not let in waits, says once for each part what to do, and logs no secret',
  async () => {
    const fixture = await Fixture.create(stack());
    const wrong = WRONG['a wrong password, API key, password']!;
    const daemon = Daemon.launch(configOf(fixture, wrong.connections(tls()), { level: 'debug' }));
    await eventually(() => {
      for (const words of Object.values<RegExp>(wrong.says)) expect(daemon.output).toMatch(words);
    });
    expect((await daemon.get('/readyz')).status).toBe(503);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.logs().filter(({ level }) => level === 'warn')).toHaveLength(3);
    expectNoSecret(daemon.output);
  },
  TEST_MS,
);

it('certificates that cannot be used are found before anything is connected to', async () => {
  const fixture = await Fixture.create(stack());
  const right = certificates(tls());
  const config = configOf(fixture, {
    kafka: { ...right.kafka, ssl: { ca: tls().ca, cert: file(tls().cert), key: file(stranger.key) } },
    temporal: { ...right.temporal, tls: { cert: file(tls().cert) } },
    clickhouse: { ...right.clickhouse, tls: { cert: file(tls().key), key: file(tls().cert) } },
  });
  const { code, output } = await ktb(config, ['config', 'validate']);
  expect(code).toBe(2);
  for (const problem of [
    'kafka.ssl.ca: must be a certificate in PEM (-----BEGIN CERTIFICATE-----); of a file as "${file:/path/name.pem}"',
    'kafka.ssl.key: is not the key of cert',
    'temporal.tls.cert: has no key beside it: set key, too',
    'clickhouse.tls.cert: must be a certificate in PEM',
    'clickhouse.tls.key: must be a private key in PEM',
  ])
    expect(output).toContain(problem);
  expectNoSecret(output);
});
