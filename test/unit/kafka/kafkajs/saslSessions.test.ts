import kafkajs from 'kafkajs';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { bearerLogin } from '../../../../src/kafka/kafkajs/bearerLogin.js';
import { repairKafkajs } from '../../../../src/kafka/kafkajs/repairs.js';
import { internalModule } from '../../../../src/kafka/kafkajs/internals.js';
import { TokenUnavailableError } from '../../../../src/kafka/tokenErrors.js';
import { isLoginRefusal } from '../../../../src/kafka/userRefusal.js';

const { KafkaJSConnectionError, KafkaJSProtocolError, KafkaJSSASLAuthenticationError } = kafkajs;

beforeAll(repairKafkajs);

/** Authenticates where the broker has answered the handshake and then this. */
async function authenticate(failure: Error): Promise<unknown> {
  const send = ({ request }: { request: { apiName: string } }) =>
    request.apiName === 'SaslHandshake' ? Promise.resolve({ enabledMechanisms: ['PLAIN'] }) : Promise.reject(failure);
  const connection = { sasl: { mechanism: 'plain', username: 'u', password: 'p' }, send };
  return authenticateOn(connection).catch((error: unknown) => error);
}

function authenticateOn(connection: object): Promise<void> {
  const Authenticator = internalModule('broker/saslAuthenticator') as new (...args: unknown[]) => {
    authenticate(): Promise<void>;
  };
  const logger = { namespace: () => ({ debug: () => undefined, error: () => undefined }) };
  const versions = { 17: { minVersion: 0, maxVersion: 1 }, 36: { minVersion: 0, maxVersion: 1 } };
  return new Authenticator(connection, logger, versions, true).authenticate();
}

it('a connection that breaks while it authenticates is no refusal', async () => {
  const lost = new KafkaJSConnectionError('Connection error: read ECONNRESET');
  expect(await authenticate(lost)).toBe(lost);
});

it('refused credentials stay what they are', async () => {
  const refused = Object.assign(new Error('Invalid username or password'), { type: 'SASL_AUTHENTICATION_FAILED' });
  expect(await authenticate(new KafkaJSProtocolError(refused))).toBeInstanceOf(KafkaJSSASLAuthenticationError);
});

it.each(['scram-sha-256', 'plain'])(
  '%s has one user and password for a login, and those of now for the next',
  async (mechanism) => {
    let login = 0;
    const sasl = {
      mechanism,
      get username() {
        return `user${++login}`;
      },
      get password() {
        return `password${login}`;
      },
    };
    const read = vi.spyOn(sasl, 'password', 'get');
    const connection = {
      sasl,
      host: 'kafka',
      port: 9092,
      send: ({ request }: { request: { apiName: string } }) =>
        request.apiName === 'SaslHandshake'
          ? Promise.resolve({ enabledMechanisms: [mechanism.toUpperCase()] })
          : Promise.reject(new Error('away')),
    };
    for (const logins of [1, 2]) {
      await authenticateOn(connection).catch(() => undefined);
      expect(login).toBe(logins);
      expect(read).toHaveBeenCalledTimes(logins);
    }
  },
);

describe('a login with a token', () => {
  /** A broker that answers a login with these bytes, and the second message of a refused one with an error. */
  async function login(token: () => Promise<string>, answer: string | Error = '', sessionLifetimeMs = '0') {
    const sent: string[] = [];
    const refused: string[] = [];
    const sasl = bearerLogin({ current: token, refused: (value) => refused.push(value) });
    const connection = { sasl, host: 'kafka', port: 9092, reauthenticationThreshold: 10_000, send };
    function send({ request }: { request: { apiName: string; encode(): Promise<{ buffer: Buffer }> } }): unknown {
      if (request.apiName === 'SaslHandshake') {
        sent.push('handshake');
        return Promise.resolve({ enabledMechanisms: ['OAUTHBEARER'] });
      }
      return request.encode().then(({ buffer }) => {
        sent.push(buffer.toString('utf8', 4));
        if (answer instanceof Error) throw answer;
        if (sent.length > 2) throw new Error('Authentication failed');
        const size = Buffer.alloc(4);
        size.writeInt32BE(answer.length);
        return { authBytes: Buffer.concat([size, Buffer.from(answer)]), sessionLifetimeMs };
      });
    }
    const outcome = await authenticateOn(connection).catch((error: unknown) => error);
    return { outcome, sent, connection, refused };
  }

  it('sends it, and is done when the broker has nothing to say', async () => {
    const { outcome, sent } = await login(() => Promise.resolve('token'));
    expect(outcome).toBeUndefined();
    expect(sent).toEqual(['handshake', 'n,,\u0001auth=Bearer token\u0001\u0001']);
  });

  it('is refused by an answer that has words, and ended as the broker expects it', async () => {
    const { outcome, sent } = await login(() => Promise.resolve('a.b.c'), '{"status":"invalid_token"}');
    expect(outcome).toMatchObject({ name: 'KafkaJSSASLAuthenticationError', message: '{"status":"invalid_token"}' });
    expect(isLoginRefusal(outcome)).toBe(true);
    expect(sent.at(-1)).toBe('\u0001');
  });

  it('tells that its token was refused, in words without it', async () => {
    const { outcome, refused } = await login(() => Promise.resolve('token'), 'no token like token');
    expect(refused).toEqual(['token']);
    expect(outcome).toMatchObject({ message: 'no *** like ***' });
    const byError = await login(() => Promise.resolve('t'), new KafkaJSProtocolError(new Error('Expired')));
    expect(byError.refused).toEqual(['t']);
    expect(isLoginRefusal(byError.outcome)).toBe(true);
  });

  it('keeps its token if only the connection broke', async () => {
    const lost = new KafkaJSConnectionError('read ECONNRESET');
    const { outcome, refused } = await login(() => Promise.resolve('token'), lost);
    expect(outcome).toBe(lost);
    expect(refused).toEqual([]);
  });

  it('without a token nothing is begun', async () => {
    const away = new TokenUnavailableError('away');
    const { outcome, sent } = await login(() => Promise.reject(away));
    expect(outcome).toBe(away);
    expect(sent).toEqual([]);
  });

  it.each([
    ['3600000', 10_000],
    ['29999', 8_999],
    ['5000', 1_500],
  ])('is repeated shortly before the end of a session of %s ms', async (lifetimeMs, beforeMs) => {
    const { connection } = await login(() => Promise.resolve('token'), '', lifetimeMs);
    expect(connection.reauthenticationThreshold).toBe(beforeMs);
  });
});
