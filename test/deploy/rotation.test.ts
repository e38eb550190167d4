import { copyFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { parse, stringify } from 'yaml';
import type { ConfigInput } from '../../src/config/schema.js';
import { createAuthority, issue, joinPair, type KeyPair } from '../../stack/native/certificates.js';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { SecretGate } from '../support/secretGate.js';
import { useStack } from '../support/useStack.js';

const TEST_MS = 300_000;
const RECORDS_PER_SECOND = 300;

const stack = useStack({ tls: true });

/** An authority, and what it has signed for a server and for a client. */
interface Issued {
  readonly ca: KeyPair;
  readonly server: KeyPair;
  readonly client: KeyPair;
}

let directory: string;
/** What is used at the beginning, and what replaces all of it. */
let old: Issued;
let renewed: Issued;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ktb-rotation-'));
  const create = async (name: string): Promise<Issued> => {
    const ca = await createAuthority(directory, `${name}-ca`);
    const names = { dns: ['localhost'], ips: ['127.0.0.1'] };
    const server = await issue(directory, ca, { name: `${name}-server`, purpose: names });
    return { ca, server, client: await issue(directory, ca, { name: `${name}-client`, purpose: 'client' }) };
  };
  old = await create('old');
  renewed = await create('renewed');
});
afterAll(() => rm(directory, { recursive: true }));

/** The files that a configuration names. */
function usedFiles(part: string) {
  const [ca, cert, key, secret] = ['ca', 'cert', 'key', 'secret'].map((name) => join(directory, `${part}-${name}`)) as [
    string,
    string,
    string,
    string,
  ];
  return {
    tls: { ca: `\${file:${ca}}`, cert: `\${file:${cert}}`, key: `\${file:${key}}` },
    secret: `\${file:${secret}}`,
    use({ ca: { cert: authority }, client }: Pick<Issued, 'ca' | 'client'>): void {
      copyFileSync(authority, ca);
      copyFileSync(client.cert, cert);
      copyFileSync(client.key, key);
    },
    useSecret: (text: string) => writeFile(secret, `${text}\n`),
  };
}

type Connections = Pick<ConfigInput, 'kafka' | 'temporal' | 'clickhouse'>;

function configOf(fixture: Fixture, connections: Connections): string {
  const plain = parse(fixture.config()) as ConfigInput;
  const merged = Object.fromEntries(
    (['kafka', 'temporal', 'clickhouse'] as const).map((part) => [part, { ...plain[part], ...connections[part] }]),
  );
  return stringify({ ...plain, ...merged, log: { format: 'json', level: 'debug' } });
}

interface Rotation {
  readonly connections: Connections;
  /** Replaces the secrets. From then on the old ones are refused, and all connections end. */
  readonly rotate: () => unknown;
  /** Passes when the new secrets are in use. */
  readonly areUsed: () => unknown;
  /** Whether brokers are restarted. Then the producer may write some records twice, as two records. */
  readonly restartsBrokers?: boolean;
  /** Texts that must not be logged. */
  readonly secrets?: readonly string[];
}

/** Records come all the time, before, while and after the secrets change. */
async function expectNothingLost({
  connections,
  rotate,
  areUsed,
  restartsBrokers = false,
  secrets = [],
}: Rotation): Promise<void> {
  const fixture = await Fixture.create(stack(), restartsBrokers ? { producer: 'repeating' } : {});
  await fixture.collectAcks();
  const daemon = await Daemon.start(configOf(fixture, connections));
  const load = steadyLoad(fixture, RECORDS_PER_SECOND);
  const insertedMoreThan = (records: number) =>
    eventually(() => expect(fixture.acks.length).toBeGreaterThan(records), 120_000);
  await insertedMoreThan(500);
  await rotate();
  await eventually(areUsed, 60_000);
  await insertedMoreThan(fixture.produced);
  await load.stop();
  await expectExactlyOnce(
    fixture,
    restartsBrokers ? { records: await fixture.recordsInTopic(), ids: fixture.produced } : {},
  );
  await daemon.untilReady();
  expect(daemon.running).toBe(true);
  expect(daemon.logs().filter(({ message }) => message === 'Starting')).toHaveLength(1);
  for (const secret of [...secrets, '-----BEGIN']) expect(daemon.output).not.toContain(secret);
  expect(await daemon.stop()).toBe(0);
}

function temporalGate(admission: Parameters<SecretGate['change']>[0]): Promise<SecretGate> {
  return closedAtEnd(SecretGate.inFrontOfTemporal(stack().temporal.address, admission));
}

function clickHouseGate(admission: Parameters<SecretGate['change']>[0]): Promise<SecretGate> {
  return closedAtEnd(SecretGate.inFrontOfClickHouse(stack().clickhouse.url, admission));
}

async function closedAtEnd(opening: Promise<SecretGate>): Promise<SecretGate> {
  const gate = await opening;
  onTestFinished(() => gate.close());
  return gate;
}

it(
  'Temporal’s API key is replaced under load, and nothing is lost',
  async () => {
    const files = usedFiles('api-key');
    files.use(old);
    await files.useSecret('key-one');
    const { server } = old;
    const gate = await temporalGate({ server, authorization: 'Bearer key-one' });
    await expectNothingLost({
      connections: { temporal: { address: gate.address, apiKey: files.secret, tls: { ca: files.tls.ca } } },
      rotate: async () => {
        await files.useSecret('key-two');
        gate.change({ server, authorization: 'Bearer key-two' });
      },
      areUsed: () => expect(gate.count({ authorization: 'Bearer key-two', client: undefined })).toBeGreaterThan(20),
      secrets: ['key-one', 'key-two'],
    });
  },
  TEST_MS,
);

it(
  'Temporal’s certificates are replaced under load, those of clients and that of the server, and nothing is lost',
  async () => {
    const files = usedFiles('temporal');
    files.use(old);
    const gate = await temporalGate({ server: old.server, clientCa: old.ca.cert });
    await expectNothingLost({
      connections: { temporal: { address: gate.address, tls: files.tls } },
      rotate: () => {
        files.use(renewed);
        gate.change({ server: renewed.server, clientCa: renewed.ca.cert });
      },
      areUsed: () => expect(gate.count({ authorization: undefined, client: 'renewed-client' })).toBeGreaterThan(20),
    });
  },
  TEST_MS,
);

it(
  'ClickHouse’s password and certificates are replaced under load, and nothing is lost',
  async () => {
    const files = usedFiles('password');
    files.use(old);
    await files.useSecret('password-one');
    const basic = (password: string): string => `Basic ${Buffer.from(`ktb:${password}`).toString('base64')}`;
    const gate = await clickHouseGate({
      ...{ server: old.server, clientCa: old.ca.cert },
      authorization: basic('password-one'),
    });
    await expectNothingLost({
      connections: {
        clickhouse: { url: `https://${gate.address}`, username: 'ktb', password: files.secret, tls: files.tls },
      },
      rotate: async () => {
        files.use(renewed);
        await files.useSecret('password-two');
        const authorization = basic('password-two');
        gate.change({ server: renewed.server, clientCa: renewed.ca.cert, authorization });
      },
      areUsed: () =>
        expect(gate.count({ authorization: basic('password-two'), client: 'renewed-client' })).toBeGreaterThan(5),
      secrets: ['password-one', 'password-two', basic('password-one'), basic('password-two')],
    });
  },
  TEST_MS,
);

it(
  'ClickHouse’s access token is replaced under load, and nothing is lost',
  async () => {
    const files = usedFiles('access-token');
    files.use(old);
    await files.useSecret('token-one');
    const { server } = old;
    const gate = await clickHouseGate({ server, authorization: 'Bearer token-one' });
    await expectNothingLost({
      connections: {
        clickhouse: { url: `https://${gate.address}`, accessToken: files.secret, tls: { ca: files.tls.ca } },
      },
      rotate: async () => {
        await files.useSecret('token-two');
        gate.change({ server, authorization: 'Bearer token-two' });
      },
      areUsed: () => expect(gate.count({ authorization: 'Bearer token-two', client: undefined })).toBeGreaterThan(5),
      secrets: ['token-one', 'token-two'],
    });
  },
  TEST_MS,
);

it(
  'a certificate whose key does not come is not used, and the log says so',
  async () => {
    const files = usedFiles('half');
    files.use(old);
    const gate = await temporalGate({ server: old.server, clientCa: old.ca.cert });
    const fixture = await Fixture.create(stack());
    await fixture.collectAcks();
    const daemon = await Daemon.start(configOf(fixture, { temporal: { address: gate.address, tls: files.tls } }));
    files.use({ ...old, client: { ...renewed.client, key: old.client.key } });
    await eventually(
      () => expect(daemon.output).toContain('temporal.tls.key have now cannot be used: key is not the key of cert'),
      120_000,
    );
    gate.change({ server: old.server, clientCa: old.ca.cert });
    await fixture.produce(1_000);
    await expectExactlyOnce(fixture);
    await daemon.untilReady();
    expect(gate.count({ authorization: undefined, client: 'renewed-client' })).toBe(0);
  },
  TEST_MS,
);

it(
  'Kafka’s certificates are replaced under load, those of clients and that of the brokers, and nothing is lost',
  async () => {
    const { tls, parts } = stack();
    if (tls === undefined) throw new Error('the stack has no TLS');
    const files = usedFiles('kafka');
    files.use({ ca: { cert: tls.ca, key: '' }, client: { cert: tls.cert, key: tls.key } });
    const restart = async (): Promise<void> => {
      await parts.kafka[0]?.kill();
      await parts.kafka[0]?.start();
    };
    await expectNothingLost({
      connections: { kafka: { brokers: [...tls.kafka.mutualBrokers], ssl: files.tls } },
      // The brokers read their certificates when they start: the old ones are of no use then.
      rotate: async () => {
        files.use(renewed);
        copyFileSync(renewed.ca.cert, tls.ca);
        await joinPair(renewed.server, join(tls.ca, '..', 'server-with-key.pem'));
        await restart();
      },
      areUsed: () => undefined,
      restartsBrokers: true,
    });
  },
  TEST_MS,
);
