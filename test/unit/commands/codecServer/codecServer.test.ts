import { once } from 'node:events';
import { request } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Payload } from '@temporalio/common';
import { expect, it, onTestFinished } from 'vitest';
import { startCodecServer, type CodecServerOptions } from '../../../../src/commands/codecServer/codecServer.js';
import { encryptionCodec } from '../../../../src/temporal/payloadCodec.js';
import { UsageError } from '../../../../src/lib/usageError.js';
import { newKey } from '../../../support/encryption.js';
import { TokenServer } from '../../../support/tokenServer.js';
import { record } from '../../../support/records.js';
import { chunkOf } from '../../../support/chunks.js';

const UI = 'http://localhost:8233';

async function serve(options: Partial<CodecServerOptions> = {}) {
  const port = await portOf(options);
  return (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init);
}

async function portOf(options: Partial<CodecServerOptions>): Promise<number> {
  const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const { server, port } = await startCodecServer({ listen: '127.0.0.1:0', origin: [UI], logger, ...options });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return port;
}

const { body } = chunkOf({
  topic: 'orders',
  partition: 0,
  epoch: 'e',
  from: -1,
  to: 0,
  records: [record(0, { value: Buffer.from('"text"') })],
});
const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64');
const payloads = [{ metadata: { encoding: base64('binary/plain') }, data: base64(body) }];
const post = (headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify({ payloads }),
});

it('decodes, under whatever path stands before, and leaves what is to be encoded as it is', async () => {
  const ask = await serve();
  for (const path of ['/decode', '/default/decode']) {
    const answer = await ask(path, post());
    expect(answer.status).toBe(200);
    const { payloads: decoded } = (await answer.json()) as { payloads: { data: string }[] };
    expect(Buffer.from(decoded[0]?.data ?? '', 'base64').toString()).toContain('"value":"text"');
  }
  expect(await (await ask('/encode', post())).json()).toEqual({ payloads });
});

it('answers only those who bring the token', async () => {
  const ask = await serve({ token: 'secret' });
  expect((await ask('/decode', post())).status).toBe(401);
  expect((await ask('/decode', post({ authorization: 'Bearer secre' }))).status).toBe(401);
  expect((await ask('/decode', post({ authorization: 'Bearer secret' }))).status).toBe(200);
  // The scheme may be in any case.
  expect((await ask('/decode', post({ authorization: 'bearer secret' }))).status).toBe(200);
});

it('takes the token from a file, which must have one, and from nowhere else beside it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ktb-codec-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const tokenFile = join(directory, 'token');
  await expect(serve({ tokenFile })).rejects.toThrow(new UsageError(`--token-file: ${tokenFile} does not exist`));
  await writeFile(tokenFile, '\n');
  await expect(serve({ tokenFile })).rejects.toThrow(/^--token \(KTB_CODEC_TOKEN\), or its file, is empty/);
  await writeFile(tokenFile, 'secret\n');
  await expect(serve({ tokenFile, token: 'other' })).rejects.toThrow(/are both set/);
  const ask = await serve({ tokenFile });
  expect((await ask('/decode', post({ authorization: 'Bearer other' }))).status).toBe(401);
  expect((await ask('/decode', post({ authorization: 'Bearer secret' }))).status).toBe(200);
});

it('lets only pages of the UI ask, and answers their preflight without the token', async () => {
  const ask = await serve({ token: 'secret' });
  const preflight = await ask('/decode', { method: 'OPTIONS', headers: { origin: UI } });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('access-control-allow-origin')).toBe(UI);
  expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization');
  expect(preflight.headers.get('access-control-allow-headers')).toContain('x-namespace');
  const other = await ask('/decode', { method: 'OPTIONS', headers: { origin: 'https://evil.example' } });
  expect([other.status, other.headers.get('access-control-allow-origin')]).toEqual([403, null]);
  const refused = await ask('/decode', post({ origin: UI }));
  expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, UI]);
});

it('refuses pages of other origins, whatever they bring, and without a token other names of this machine, which a stranger may have given it', async () => {
  const open = await serve();
  expect((await open('/decode', post({ origin: UI }))).status).toBe(200);
  for (const origin of ['http://evil.example', 'null', `${UI}.evil.example`])
    expect((await open('/decode', post({ origin }))).status, origin).toBe(403);
  const withToken = await serve({ token: 'secret' });
  const headers = { authorization: 'Bearer secret', origin: 'http://evil.example' };
  expect((await withToken('/decode', post(headers))).status).toBe(403);
  const statusOf = async (host: string, options: Partial<CodecServerOptions> = {}) => {
    const asked = request({
      ...{ port: await portOf(options), host: '127.0.0.1', path: '/decode', method: 'POST' },
      headers: { host, ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }) },
    });
    asked.end(JSON.stringify({ payloads }));
    const [{ statusCode }] = (await once(asked, 'response')) as [{ statusCode: number }];
    return statusCode;
  };
  for (const host of ['localhost', 'LocalHost:8081', '127.0.0.1:8081', '[::1]:8081', '[::1]'])
    expect(await statusOf(host), host).toBe(200);
  for (const host of ['evil.example:8081', 'localhost.evil.example', '127.0.0.1.evil.example'])
    expect(await statusOf(host), host).toBe(403);
  expect(await statusOf('codec.example.com', { token: 'secret' })).toBe(200);
});

it('says what is wrong with a request', async () => {
  const ask = await serve();
  for (const path of ['/', '//', '//[', '/?/decode']) expect((await ask(path, post())).status, path).toBe(404);
  expect((await ask('/decode')).status).toBe(405);
  for (const wrong of [
    'not json',
    '[]',
    '{"payloads":1}',
    '{"payloads":[1]}',
    '{"payloads":[{"metadata":{"a":1}}]}',
    'null',
  ])
    expect((await ask('/decode', { method: 'POST', body: wrong })).status, wrong).toBe(400);
  const large = await ask('/decode', { method: 'POST', body: 'x'.repeat(33 * 1024 * 1024) }).catch(() => null);
  expect(large === null || large.status === 413).toBe(true);
});

it('is not open to others without a token, and an empty one is none', async () => {
  for (const token of ['', ' \n'])
    for (const listen of ['0.0.0.0:0', '127.0.0.1:0'])
      await expect(serve({ listen, token }), listen).rejects.toThrow(UsageError);
  for (const listen of ['0.0.0.0:0', ':0', '10.0.0.1:80'])
    await expect(startCodecServer({ listen, origin: [] })).rejects.toThrow(UsageError);
  await expect(startCodecServer({ listen: 'nonsense', origin: [] })).rejects.toThrow('no address and port');
  const tooHigh = startCodecServer({ listen: '127.0.0.1:99999', origin: [] });
  await expect(tooHigh).rejects.toThrow(new UsageError('--listen 127.0.0.1:99999 has a port over 65535'));
  await expect(tooHigh).rejects.toThrow(UsageError);
});

it('decrypts with the keys of its configuration, and logs who asked and how much, but nothing of it', async () => {
  const keys = { k1: newKey() };
  const [sealed] = await encryptionCodec({ keys, active: 'k1' }).encode(
    [{ metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{"secret":"marker"}') }],
    { type: 'workflow', namespace: 'default', workflowId: 'ktb:orders:8-key:3' },
  );
  const [foreign] = await encryptionCodec({ keys: { k2: newKey() }, active: 'k2' }).encode([
    { data: Buffer.from('x') },
  ]);
  const onWire = ({ metadata, data }: Payload) => ({
    metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, base64(value)])),
    data: base64(data ?? ''),
  });
  const forged = { ...sealed!, data: Buffer.from(sealed!.data ?? []).fill(0, 20) };
  const sent = [sealed!, foreign!, forged].map(onWire);
  const directory = mkdtempSync(join(tmpdir(), 'ktb-codec-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const config = join(directory, 'ktb.yaml');
  writeFileSync(
    config,
    // Nothing else of it has to be right, or here.
    JSON.stringify({ temporal: { encryption: { keys } }, kafka: { sasl: { password: '${NOT_HERE}' } }, pipelines: 1 }),
  );
  const lines: string[] = [];
  const log = (...line: unknown[]): void => void lines.push(JSON.stringify(line));
  const ask = await serve({
    config,
    token: 'hunter2',
    userHeader: 'X-User',
    logger: { info: log, warn: log, error: log },
  });
  const body = JSON.stringify({ payloads: sent });
  const headers = { authorization: 'Bearer hunter2', 'x-user': 'ada@example.com', 'x-namespace': 'default' };
  const answer = await ask('/decode', { method: 'POST', headers, body });
  const { payloads: decoded } = (await answer.json()) as { payloads: { data: string }[] };
  expect(Buffer.from(decoded[0]?.data ?? '', 'base64').toString()).toBe('{"secret":"marker"}');
  expect(decoded.slice(1)).toEqual(sent.slice(1));
  await ask('/decode', { method: 'POST', headers: { ...headers, authorization: 'Bearer other' }, body });
  expect(lines).toEqual([
    expect.stringMatching(
      /"by":"ada@example.com","via":"proxy","from":".+","namespace":"default","payloads":3,"decrypted":1/,
    ),
    expect.stringContaining('Refused'),
  ]);
  expect(lines.join()).not.toMatch(/marker|hunter2/);
  await expect(serve({ userHeader: 'X-User' })).rejects.toThrow(UsageError);
});

it('takes access tokens of an issuer’s users beside the token, and logs who each of them is', async () => {
  const issuer = await TokenServer.start();
  onTestFinished(() => issuer.close());
  const lines: string[] = [];
  const log = (level: string) => (line: unknown, text?: string) =>
    void lines.push(`${level} ${text ?? ''} ${JSON.stringify(line)}`);
  const ask = await serve({
    token: 'hunter2',
    userHeader: 'X-User',
    oidcIssuer: issuer.url,
    oidcAudience: issuer.audience,
    oidcAllow: ['groups=payload-readers', '/realm_access/roles=admin'],
    oidcUserClaim: 'email',
    logger: { info: log('info'), warn: log('warn'), error: log('error') },
  });
  const tokens: string[] = [];
  const asUser = async (claims: Record<string, unknown>): Promise<number> => {
    const exp = Math.floor(Date.now() / 1_000) + 60;
    const token = issuer.sign({
      iss: issuer.url,
      aud: issuer.audience,
      sub: 'u-1',
      email: 'ada@example.com',
      exp,
      ...claims,
    });
    tokens.push(token, token.split('.')[2] ?? '');
    // Such a header is of a proxy that has the other token.
    return (await ask('/decode', post({ authorization: `Bearer ${token}`, 'x-user': 'mallory' }))).status;
  };
  expect(await asUser({ groups: ['readers', 'payload-readers'] })).toBe(200);
  expect(await asUser({ realm_access: { roles: ['admin'] } })).toBe(200);
  expect(await asUser({ groups: ['readers'] })).toBe(403);
  expect(await asUser({ groups: ['payload-readers'], email: 7 })).toBe(401);
  expect(await asUser({ groups: ['payload-readers'], aud: 'others' })).toBe(401);
  expect((await ask('/decode', post({ authorization: 'Bearer hunter2', 'x-user': 'grace' }))).status).toBe(200);
  expect((await ask('/decode', post())).status).toBe(401);
  expect((await ask('/decode', { method: 'OPTIONS', headers: { origin: UI } })).status).toBe(204);
  expect(lines).toEqual([
    expect.stringMatching(/^info Decoded {"by":"ada@example.com","via":"issuer","sub":"u-1",/),
    expect.stringMatching(/^info Decoded {"by":"ada@example.com","via":"issuer","sub":"u-1",/),
    expect.stringMatching(/^warn Refused {"by":"ada@example.com","via":"issuer","sub":"u-1",.*--oidc-allow/),
    expect.stringMatching(/^warn Refused {"from":.*it has no claim email/),
    expect.stringMatching(/^warn Refused {"from":.*aud/),
    expect.stringMatching(/^info Decoded {"by":"grace","via":"proxy",/),
    expect.stringMatching(/^warn Refused {"from":.*a bearer token is missing/),
  ]);
  for (const secret of ['hunter2', 'mallory', ...tokens]) expect(lines.join()).not.toContain(secret);
});

it('answers 503, and says why in the log, while the issuer is away', async () => {
  const issuer = await TokenServer.start();
  const token = issuer.token();
  await issuer.close();
  const errors: string[] = [];
  const logger = {
    info: () => undefined,
    warn: () => undefined,
    error: (line: unknown, text?: string) => void errors.push(`${text} ${JSON.stringify(line)}`),
  };
  const ask = await serve({ oidcIssuer: issuer.url, oidcAudience: issuer.audience, logger });
  const answer = await ask('/decode', post({ authorization: `Bearer ${token}` }));
  expect(answer.status).toBe(503);
  expect(await answer.json()).toEqual({
    message: 'no token can be checked now: the log of the codec server says why',
  });
  expect(errors).toEqual([
    expect.stringMatching(/^The issuer gives no keys.*ECONNREFUSED/),
    expect.stringMatching(/^Refused.*ECONNREFUSED/),
  ]);
});

it('refuses options of an issuer that do not fit together', async () => {
  const oidcIssuer = 'https://login.example.com';
  const wrong: Partial<CodecServerOptions>[] = [
    { oidcIssuer },
    { oidcIssuer, oidcAudience: '' },
    { oidcAudience: 'temporal' },
    { oidcAllow: ['groups=readers'] },
    { oidcIssuer, oidcAudience: 'temporal', oidcAllow: ['readers'] },
    { oidcIssuer, oidcAudience: 'temporal', userHeader: 'X-User' },
  ];
  for (const options of wrong) await expect(serve(options), JSON.stringify(options)).rejects.toThrow(UsageError);
});
