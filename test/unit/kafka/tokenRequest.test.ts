import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
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
  expect((await ask()).lifeMs).toBeGreaterThan(95_000);
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

it.each<[string, { status: number; body: string }, RegExp]>([
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
  expect((await failure(ask({}, 0))).message).toMatch(/does not answer \(no answer in time\)/);
});
