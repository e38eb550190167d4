import { createHmac, createPublicKey, createSign, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { Issuer, IssuerUnavailableError, UserTokenRefusedError } from '../../../../src/commands/codecServer/issuer.js';
import { UsageError } from '../../../../src/lib/usageError.js';
import { TokenServer } from '../../../support/tokenServer.js';

async function startServer(): Promise<TokenServer> {
  const server = await TokenServer.start();
  onTestFinished(() => server.close());
  return server;
}

afterEach(() => void vi.restoreAllMocks());

const issuerOf = ({ url: issuer, audience }: TokenServer, changes: { jwks?: string; cooldownMs?: number } = {}) =>
  new Issuer({ issuer, audience, ...changes });

const nowS = () => Math.floor(Date.now() / 1_000);

it('takes a token of the issuer for the audience, and fetches the keys once', async () => {
  const server = await startServer();
  const issuer = issuerOf(server);
  expect(await issuer.claimsOf(server.token())).toMatchObject({ sub: server.client });
  await issuer.claimsOf(server.token());
  const several = server.sign({ iss: server.url, aud: ['others', server.audience], exp: nowS() + 60 });
  await issuer.claimsOf(several);
  expect(server.read).toEqual(['/.well-known/openid-configuration', '/jwks']);
});

it('refuses what is of another issuer, for others, of another time, or without an end', async () => {
  const server = await startServer();
  const issuer = issuerOf(server);
  const right = { iss: server.url, aud: server.audience, sub: 'ada', exp: nowS() + 60 };
  await issuer.claimsOf(server.sign(right));
  const { exp: _, ...endless } = right;
  const { aud: __, ...forNobody } = right;
  const wrong = {
    'another issuer': { ...right, iss: 'https://login.example.com' },
    'the issuer with a slash': { ...right, iss: `${server.url}/` },
    'another audience': { ...right, aud: 'clickhouse' },
    'a part of the audience': { ...right, aud: server.audience.slice(1) },
    'no audience': forNobody,
    'an end that has passed': { ...right, exp: nowS() - 31 },
    'a beginning that is to come': { ...right, nbf: nowS() + 60 },
    'an end that is a text': { ...right, exp: '9999999999' },
    'no end': endless,
  };
  for (const [what, claims] of Object.entries(wrong))
    await expect(issuer.claimsOf(server.sign(claims)), what).rejects.toThrow(UserTokenRefusedError);
});

it('refuses signatures that are none, of another key, or of a secret that everybody knows', async () => {
  const server = await startServer();
  const issuer = issuerOf(server);
  const claims = { iss: server.url, aud: server.audience, sub: 'ada', exp: nowS() + 60 };
  const pem = createPublicKey({ key: server.publicKey, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  const other = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey;
  const good = server.sign(claims);
  const [head = '', , signature = ''] = good.split('.');
  const stranger = Buffer.from(JSON.stringify({ ...claims, sub: 'eve' })).toString('base64url');
  const wrong = {
    none: server.sign(claims, { alg: 'none' }, () => Buffer.alloc(0)),
    'none with a signature': server.sign(claims, { alg: 'none' }),
    'HS256 by the public key': server.sign(claims, { alg: 'HS256' }, (text) =>
      createHmac('sha256', pem).update(text).digest(),
    ),
    'another key of the same name': server.sign(claims, {}, (text) =>
      createSign('RSA-SHA256').update(text).sign(other),
    ),
    'a key that the token brings': server.sign(
      claims,
      { jwk: createPublicKey(other).export({ format: 'jwk' }), kid: undefined },
      (text) => createSign('RSA-SHA256').update(text).sign(other),
    ),
    'an extension that nobody knows': server.sign(claims, { crit: ['exp2'], exp2: 1 }),
    'other claims': `${head}.${stranger}.${signature}`,
    'a part less': `${head}.${stranger}`,
    'no JWT': 'ya29.opaque',
  };
  await issuer.claimsOf(good);
  for (const [what, token] of Object.entries(wrong))
    await expect(issuer.claimsOf(token), what).rejects.toThrow(UserTokenRefusedError);
  expect(server.read).toHaveLength(2);
});

it('fetches the keys again for an unknown one, but not for each token that names one', async () => {
  const server = await startServer();
  const [patient, hasty] = [issuerOf(server), issuerOf(server, { cooldownMs: 0 })];
  const old = server.token();
  for (const issuer of [patient, hasty]) await issuer.claimsOf(old);
  server.rotate('two');
  const fetches = server.read.length;
  for (let times = 0; times < 10; times++)
    await expect(patient.claimsOf(server.token())).rejects.toThrow(UserTokenRefusedError);
  expect(server.read).toHaveLength(fetches);
  expect(await hasty.claimsOf(server.token())).toMatchObject({ sub: server.client });
  // The old key is gone, so it counts no longer.
  await expect(hasty.claimsOf(old)).rejects.toThrow(UserTokenRefusedError);
});

it('believes a key that was withdrawn no longer, also if the clock of the machine was set back', async () => {
  const server = await startServer();
  const issuer = issuerOf(server);
  const old = server.token();
  await issuer.claimsOf(old);
  server.rotate('two');
  await issuer.claimsOf(old);
  vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
  vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 600_000);
  await expect(issuer.claimsOf(old)).rejects.toThrow(UserTokenRefusedError);
});

it('asks an issuer that gives no keys less and less often, and never for each request', async () => {
  for (const body of ['no json', '{"keys":1}']) {
    let asked = 0;
    const server = createServer((_request, response) => {
      asked++;
      response.end(body);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const issuer = new Issuer({ issuer: url, audience: 'kafka', jwks: `${url}/jwks` });
    let nowMs = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
    const askedAt: number[] = [];
    for (let second = 0; second < 100; second++) {
      nowMs = second * 1_000;
      const before = asked;
      const refused = await Promise.allSettled(Array.from({ length: 3 }, () => issuer.fetchKeys()));
      expect(refused.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
      if (asked > before) askedAt.push(second);
    }
    clock.mockRestore();
    expect(askedAt).toEqual([0, 1, 3, 7, 15, 31, 61, 91]);
    expect(asked).toBe(askedAt.length);
  }
});

it('lets nobody through while the issuer is away, asks it at most once a second, and goes on when it is back', async () => {
  const server = await startServer();
  const issuer = issuerOf(server);
  const token = server.token();
  await server.close();
  for (let times = 0; times < 3; times++) {
    const refused = issuer.claimsOf(token);
    await expect(refused).rejects.toThrow(IssuerUnavailableError);
    await expect(refused).rejects.toThrow(/openid-configuration gives no JSON \(.*ECONNREFUSED/);
  }
  await server.listen();
  await expect(issuer.claimsOf(token)).rejects.toThrow(IssuerUnavailableError);
  expect(server.read).toHaveLength(0);
  await expect.poll(() => issuer.claimsOf(token).then(({ sub }) => sub, String), { timeout: 5_000 }).toBe('ktb-client');
  // What it knows by now is enough for a while.
  await server.close();
  await issuer.claimsOf(token);
});

it('believes no discovery document of another issuer, nor keys from anywhere', async () => {
  const server = await startServer();
  const cases = {
    'is of another issuer': { issuer: `${server.url}/` },
    'does not say where the keys are': { jwks_uri: undefined },
    'is no https:// address': { jwks_uri: 'http://keys.example.com/jwks' },
    'status 404': { jwks_uri: `${server.url}/nothing` },
  };
  for (const [message, discovery] of Object.entries(cases)) {
    server.discovery = discovery;
    const refused = issuerOf(server).claimsOf(server.token());
    await expect(refused, message).rejects.toThrow(IssuerUnavailableError);
    await expect(refused).rejects.toThrow(message);
  }
  server.discovery = { issuer: 'https://other.example.com' };
  await issuerOf(server, { jwks: `${server.url}/jwks` }).claimsOf(server.token());
});

it('holds out whatever stands where the keys should be', async () => {
  const answers: readonly ((path: string) => [status: number, body: string, headers?: Record<string, string>])[] = [
    () => [200, 'no json'],
    () => [200, 'null'],
    () => [200, '[]'],
    () => [200, '{"keys":1}'],
    () => [200, '{"keys":[1]}'],
    () => [200, '{"keys":[{"kty":"RSA","kid":"one","n":"","e":"AQAB"}]}'],
    () => [200, '{"keys":[{"kty":"RSA","kid":"one","n":"AQAB","e":"AQAB"}]}'],
    () => [200, `{"keys":[],"more":"${'x'.repeat(2 * 1024 * 1024)}"}`],
    () => [302, '', { location: '/other' }],
    () => [500, ''],
  ];
  const token = (await startServer()).token();
  for (const [index, answer] of answers.entries()) {
    const server = createServer((request, response) => {
      const [status, body, headers = {}] = answer(request.url ?? '');
      response.writeHead(status, headers).end(body);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const refused = new Issuer({ issuer, audience: 'kafka', jwks: `${issuer}/jwks` }).claimsOf(token);
    await expect(refused, String(index)).rejects.toThrow(IssuerUnavailableError);
    server.close();
    server.closeAllConnections();
  }
});

it('asks only over https, except on this machine, and with no password in the address', () => {
  const wrong = [
    'http://login.example.com',
    'login.example.com',
    'file:///etc/passwd',
    'https://u:p@login.example.com',
  ];
  for (const issuer of [...wrong, 'http://127.0.0.1.example.com'])
    expect(() => new Issuer({ issuer, audience: 'a' }), issuer).toThrow(UsageError);
  for (const jwks of wrong)
    expect(() => new Issuer({ issuer: 'https://login.example.com', audience: 'a', jwks }), jwks).toThrow(UsageError);
  expect(() => new Issuer({ issuer: 'https://login.example.com', audience: '' })).toThrow(UsageError);
});
