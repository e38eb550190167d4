import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import type { ConfigInput } from '../../src/config/schema.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { saslConfig } from '../support/saslConfig.js';
import { TokenServer } from '../support/tokenServer.js';
import { useStack } from '../support/useStack.js';

const TEST_MS = 300_000;

const server = await TokenServer.start();
afterAll(() => server.close());

const OAUTHBEARER = 'org.apache.kafka.common.security.oauthbearer';
const LISTENER = 'listener.name.sasl_ssl';

/** Kafka's own listener for tokens. It ends a session with its token. */
const stack = useStack({
  tls: true,
  kafkaJvmOptions: [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${server.url}/jwks`],
  kafkaConfig: {
    [`${LISTENER}.sasl.enabled.mechanisms`]: 'OAUTHBEARER',
    [`${LISTENER}.oauthbearer.sasl.jaas.config`]: `${OAUTHBEARER}.OAuthBearerLoginModule required;`,
    [`${LISTENER}.oauthbearer.sasl.server.callback.handler.class`]: `${OAUTHBEARER}.OAuthBearerValidatorCallbackHandler`,
    [`${LISTENER}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url`]: `${server.url}/jwks`,
    [`${LISTENER}.oauthbearer.sasl.oauthbearer.expected.audience`]: server.audience,
    [`${LISTENER}.oauthbearer.sasl.oauthbearer.expected.issuer`]: server.url,
    [`${LISTENER}.oauthbearer.connections.max.reauth.ms`]: '3600000',
  },
});

type Sasl = NonNullable<NonNullable<ConfigInput['kafka']>['sasl']>;

function configOf(fixture: Fixture, changes: Partial<Sasl> = {}): string {
  const login = { tokenUrl: server.tokenUrl, clientId: server.client, clientSecret: server.secret };
  return stringify({
    ...saslConfig(fixture, stack().tls, () => ({ mechanism: 'oauthbearer', ...login, ...changes })),
    log: { format: 'json', level: 'debug' },
  });
}

/** Neither the secret nor a token, each of which is a JWT. */
function expectNoSecret(output: string): void {
  for (const secret of [server.secret, 'wrong-secret', 'eyJ']) expect(output).not.toContain(secret);
}

/** Produces for some time. */
async function produceFor(fixture: Fixture, seconds: number): Promise<void> {
  for (const end = performance.now() + seconds * 1_000; performance.now() < end;) {
    await fixture.produce(100);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

it(
  'tokens of 30 s are renewed under load, one for all clients: each record is one row and acknowledged once',
  async () => {
    server.lifeS = 30;
    const fixture = await Fixture.create(stack());
    await fixture.collectAcks();
    const asked = server.asked.length;
    const daemon = await Daemon.start(configOf(fixture));
    await produceFor(fixture, 80);
    await expectExactlyOnce(fixture, { acksOnce: true });
    // One every 15 s, and no more however many connections there are.
    expect(server.asked.length - asked).toBeGreaterThanOrEqual(5);
    expect(server.asked.length - asked).toBeLessThanOrEqual(8);
    expect(await daemon.metric('ktb_consumer_failures_total')).toBe(0);
    expect(daemon.logs().filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
    expectNoSecret(daemon.output);
  },
  TEST_MS,
);

it(
  'a client secret that is rotated under load is used without a restart, and nothing is lost',
  async () => {
    server.lifeS = 30;
    const fixture = await Fixture.create(stack());
    await fixture.collectAcks();
    const directory = await mkdtemp(join(tmpdir(), 'ktb-secret-'));
    const before = server.secret;
    onTestFinished(async () => {
      server.secret = before;
      await rm(directory, { recursive: true });
    });
    const file = join(directory, 'secret');
    await writeFile(file, before);
    const daemon = await Daemon.start(configOf(fixture, { clientSecret: `\${file:${file}}` }));
    await produceFor(fixture, 5);
    server.secret = 'rotated-secret';
    await writeFile(file, server.secret);
    const asked = server.asked.length;
    await produceFor(fixture, 45);
    await expectExactlyOnce(fixture, { acksOnce: true });
    expect(server.asked.length - asked).toBeGreaterThanOrEqual(2);
    expect(server.asked.slice(asked).every(({ secret }) => secret === 'rotated-secret')).toBe(true);
    expect(await daemon.metric('ktb_consumer_failures_total')).toBe(0);
    expectNoSecret(daemon.output);
    expect(daemon.output).not.toContain('rotated-secret');
  },
  TEST_MS,
);

it(
  'the server is away for longer than a token lives: the log says so, and nothing is lost',
  async () => {
    server.lifeS = 30;
    const fixture = await Fixture.create(stack());
    await fixture.collectAcks();
    const daemon = await Daemon.start(configOf(fixture));
    await produceFor(fixture, 5);
    await server.close();
    onTestFinished(() => server.listen());
    await produceFor(fixture, 50);
    await eventually(() => expect(daemon.output).toMatch(/The token for Kafka could not be renewed/));
    await eventually(async () => expect((await daemon.get('/readyz')).status).toBe(503));
    expect((await daemon.get('/readyz')).text).toMatch(/token server .* does not answer \(connect ECONNREFUSED/);
    await server.listen();
    await produceFor(fixture, 5);
    await expectExactlyOnce(fixture);
    await daemon.untilReady();
    expectNoSecret(daemon.output);
  },
  TEST_MS,
);

it(
  'check lets the right client in, and says what is wrong with another, and with a token that the brokers do not take',
  async () => {
    server.lifeS = 3_600;
    const fixture = await Fixture.create(stack());
    const said = async (changes: Partial<Sasl>): Promise<string | undefined> => {
      const { output } = await ktb(configOf(fixture, changes), ['check', '--json']);
      expectNoSecret(output);
      const findings = JSON.parse(output) as { level: string; subject: string; message: string }[];
      return findings.find(({ level, subject }) => level === 'wrong' && subject.startsWith('Kafka'))?.message;
    };
    expect(await said({})).toBeUndefined();
    expect(await said({ clientSecret: 'wrong-secret' })).toMatch(
      /The token server .* refuses client ktb-client \(invalid_client: .*check kafka\.sasl\.clientId, clientSecret/,
    );
    expect(await said({ tokenUrl: `${server.url}/jwks` })).toMatch(/gives no token .*tokenUrl its token endpoint/);
    expect(await said({ audience: 'others' })).toMatch(
      /refuses the token that .* gives to client ktb-client .*audience/,
    );
  },
  TEST_MS,
);

it(
  'the daemon with a wrong secret waits, and says once what to do',
  async () => {
    const fixture = await Fixture.create(stack());
    const daemon = Daemon.launch(configOf(fixture, { clientSecret: 'wrong-secret' }));
    await eventually(() => expect(daemon.output).toMatch(/refuses client ktb-client/));
    expect((await daemon.get('/readyz')).status).toBe(503);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.logs().filter(({ level }) => level === 'warn')).toHaveLength(1);
    expectNoSecret(daemon.output);
  },
  TEST_MS,
);
