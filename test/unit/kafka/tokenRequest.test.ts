import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import type { TokenSasl } from '../../../src/config/config.js';
import { TokenRefusedError, TokenUnavailableError } from '../../../src/kafka/tokenErrors.js';
import { requestToken, type Token } from '../../../src/kafka/tokenRequest.js';
import { TokenServer } from '../../support/tokenServer.js';

let server: TokenServer;
beforeAll(async () => {
  server = await TokenServer.start();
});
afterEach(() => {
  server.answer = null;
});
afterAll(() => server.close());

function ask(changes: Partial<TokenSasl> = {}, timeoutMs = 5_000): Promise<Token> {
  const { tokenUrl, client: clientId, secret: clientSecret } = server;
  return requestToken({ mechanism: 'oauthbearer', tokenUrl, clientId, clientSecret, ...changes }, timeoutMs);
}

async function failure(asked: Promise<Token>): Promise<Error> {
  const error = await asked.catch((reason: unknown) => reason);
  if (!(error instanceof Error)) throw new Error('a token was given');
  expect(error.message).not.toContain(server.secret);
  return error;
}

it('asks with id and secret in the header, whatever signs they have, and with scope and audience', async () => {
  const { value, lifeMs } = await ask({ scope: 'a b', audience: 'brokers' });
  expect(value.split('.')).toHaveLength(3);
  expect(lifeMs).toBe(3_600_000);
  expect(server.asked.at(-1)).toEqual({
    client: server.client,
    secret: server.secret,
    form: { grant_type: 'client_credentials', scope: 'a b', audience: 'brokers' },
  });
});

it('knows how long a token lives from the token itself, where the answer does not say it', async () => {
  server.answer = { status: 200, body: JSON.stringify({ access_token: server.token(100) }) };
  expect((await ask()).lifeMs).toBe(100_000);
  server.answer = { status: 200, body: JSON.stringify({ access_token: 'opaque' }) };
  expect(await ask()).toEqual({ value: 'opaque', lifeMs: 60_000 });
});

it('a refusal says what to check, in the server’s words but without the secret', async () => {
  const clientSecret = 'wrong-secret';
  const error = await failure(ask({ clientSecret }));
  expect(error).toBeInstanceOf(TokenRefusedError);
  expect(error.message).toMatch(
    /refuses client ktb-client \(invalid_client: wrong secret \*\*\*\): check kafka\.sasl\.clientId/,
  );
});

it('knows it whatever this host takes the time to be', async () => {
  server.answer = { status: 200, body: JSON.stringify({ access_token: server.token(100) }) };
  vi.spyOn(Date, 'now').mockReturnValue(0);
  expect((await ask()).lifeMs).toBe(100_000);
});

const SECRET = "s3cret+/ %ü!'()*~";
const FORM = new URLSearchParams({ '': SECRET }).toString().slice(1);

it.each([
  ['as it is', SECRET],
  ['as in a form', FORM],
  ['percent-encoded', encodeURIComponent(SECRET)],
  ['percent-encoded in lower case', encodeURIComponent(SECRET).toLowerCase()],
  ['percent-encoded in part', SECRET.replace('+', '%2B')],
  ['in the header', Buffer.from(`ktb-client:${FORM}`).toString('base64')],
  ['in the header, not encoded', Buffer.from(`ktb-client:${SECRET}`).toString('base64')],
  ['in the header, without padding', Buffer.from(`ktb-client:${FORM}`).toString('base64').replace(/=+$/, '')],
])('shows no secret that a server repeats %s', async (_, repeated) => {
  for (const error of ['invalid_client', 'slow_down']) {
    const body = JSON.stringify({ error, error_description: `no login by '${repeated}'.` });
    server.answer = { status: 401, body };
    const { message } = await failure(ask({ clientSecret: SECRET }));
    expect(message).toMatch(/no login by '\*\*\*=*'\./);
  }
});

it.each([
  'invalid_client',
  'unauthorized_client',
  'invalid_scope',
  'invalid_request',
  'unsupported_grant_type',
  'access_denied',
])('%s is a refusal, whatever its status', async (error) => {
  for (const status of [400, 401, 403]) {
    server.answer = { status, body: JSON.stringify({ error }) };
    expect(await failure(ask())).toBeInstanceOf(TokenRefusedError);
  }
});

it.each<[string, { status: number; body: string }, RegExp]>([
  ['is the limit of a gateway', { status: 403, body: 'too many requests' }, /gives no token \(status 403\)/],
  ['is of a server that starts', { status: 400, body: '{}' }, /gives no token \(status 400\)/],
  ['asks for patience', { status: 400, body: '{"error":"slow_down"}' }, /gives no token \(status 400, slow_down\)/],
  ['is an error of its own in words of OAuth', { status: 500, body: '{"error":"invalid_request"}' }, /status 500/],
  ['has no token', { status: 200, body: '{}' }, /gives no token \(status 200, but no access_token\)/],
  ['is no JSON', { status: 200, body: '<html>' }, /is kafka\.sasl\.tokenUrl its token endpoint/],
  ['is an error of its own', { status: 503, body: '' }, /gives no token \(status 503\)/],
  ['leads elsewhere', { status: 307, body: '' }, /gives no token|does not answer/],
  ['never ends', { status: 200, body: 'x'.repeat(2_000_000) }, /longer than 1048576 bytes/],
])('an answer that %s may be another one the next time', async (_, answer, says) => {
  server.answer = answer;
  const error = await failure(ask());
  expect(error).toBeInstanceOf(TokenUnavailableError);
  expect(error.message).toMatch(says);
});

it('a server that is away, or does not answer in time, is told so', async () => {
  expect((await failure(ask({ tokenUrl: 'http://127.0.0.1:9/token' }))).message).toMatch(/does not answer \(.+\)/);
  const { message } = await failure(ask({ tokenUrl: 'http://127.0.0.1:9/token?key=hunter2#hunter2' }));
  expect(message).toContain('The token server http://127.0.0.1:9/token does not answer');
  expect(message).not.toContain('hunter2');
  expect((await failure(ask({}, 0))).message).toMatch(/does not answer \(no answer in time\)/);
});
