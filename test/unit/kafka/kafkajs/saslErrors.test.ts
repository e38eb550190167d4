import kafkajs from 'kafkajs';
import { beforeAll, expect, it } from 'vitest';
import { repairKafkajs } from '../../../../src/kafka/kafkajs/repairs.js';
import { internalModule } from '../../../../src/kafka/kafkajs/internals.js';

const { KafkaJSConnectionError, KafkaJSProtocolError, KafkaJSSASLAuthenticationError } = kafkajs;

beforeAll(repairKafkajs);

/** Authenticates where the broker has answered the handshake and then this. */
async function authenticate(failure: Error): Promise<unknown> {
  const Authenticator = internalModule('broker/saslAuthenticator') as new (...args: unknown[]) => {
    authenticate(): Promise<void>;
  };
  const send = ({ request }: { request: { apiName: string } }) =>
    request.apiName === 'SaslHandshake' ? Promise.resolve({ enabledMechanisms: ['PLAIN'] }) : Promise.reject(failure);
  const connection = { sasl: { mechanism: 'plain', username: 'u', password: 'p' }, send };
  const logger = { namespace: () => ({ debug: () => undefined, error: () => undefined }) };
  const versions = { 17: { minVersion: 0, maxVersion: 1 }, 36: { minVersion: 0, maxVersion: 1 } };
  return new Authenticator(connection, logger, versions, true).authenticate().catch((error: unknown) => error);
}

it('a connection that breaks while it authenticates is no refusal', async () => {
  const lost = new KafkaJSConnectionError('Connection error: read ECONNRESET');
  expect(await authenticate(lost)).toBe(lost);
});

it('refused credentials stay what they are', async () => {
  const refused = Object.assign(new Error('Invalid username or password'), { type: 'SASL_AUTHENTICATION_FAILED' });
  expect(await authenticate(new KafkaJSProtocolError(refused))).toBeInstanceOf(KafkaJSSASLAuthenticationError);
});
