import { expect, it } from 'vitest';
import { internalModule } from '../../../src/kafka/kafkajs/internals.js';
import { causeOf, isUserRefusal } from '../../../src/kafka/userRefusal.js';

const { createErrorFromCode, errorCodes } = internalModule('protocol/error') as {
  createErrorFromCode: (code: number) => Error & { type: string };
  errorCodes: readonly { readonly type: string; readonly code: number }[];
};

type ErrorName =
  | 'KafkaJSBrokerNotFound'
  | 'KafkaJSConnectionClosedError'
  | 'KafkaJSConnectionError'
  | 'KafkaJSGroupCoordinatorNotFound'
  | 'KafkaJSLockTimeout'
  | 'KafkaJSNonRetriableError'
  | 'KafkaJSNotImplemented'
  | 'KafkaJSNumberOfRetriesExceeded'
  | 'KafkaJSRequestTimeoutError'
  | 'KafkaJSSASLAuthenticationError';

/** kafkajs's declarations of these are wrong in places. */
const kafkajs = internalModule('errors') as Record<ErrorName, new (...args: unknown[]) => Error>;

/** Kafka's own error codes that mean that a person has to act. */
const REFUSALS = new Set([
  'TOPIC_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  'SASL_AUTHENTICATION_FAILED',
]);

for (const { type, code } of errorCodes) {
  const refused = REFUSALS.has(type);
  it(`${type} is ${refused ? 'a refusal' : 'no refusal'}, as kafkajs wraps it, too`, () => {
    const error = createErrorFromCode(code);
    const wrapped = new kafkajs.KafkaJSNonRetriableError(error, { cause: error });
    const exceeded = new kafkajs.KafkaJSNumberOfRetriesExceeded(error, { retryCount: 1, retryTime: 1 });
    expect([error, wrapped, exceeded].map(isUserRefusal)).toEqual([refused, refused, refused]);
  });
}

const OTHERS: readonly (readonly [Error, boolean])[] = [
  [new kafkajs.KafkaJSSASLAuthenticationError('SASL PLAIN authentication failed'), true],
  [new kafkajs.KafkaJSGroupCoordinatorNotFound('Failed to find group coordinator'), false],
  [new kafkajs.KafkaJSConnectionError('Connection error: read ECONNRESET'), false],
  [new kafkajs.KafkaJSConnectionClosedError('Closed connection', { host: 'a', port: 1 }), false],
  [new kafkajs.KafkaJSRequestTimeoutError('Request timed out'), false],
  [new kafkajs.KafkaJSLockTimeout('Timeout while acquiring lock'), false],
  [new kafkajs.KafkaJSBrokerNotFound('Broker 1 not found'), false],
  [new kafkajs.KafkaJSNotImplemented('ZSTD'), false],
  [new kafkajs.KafkaJSNonRetriableError('Invalid state'), false],
  [new TypeError('Cannot read properties of null'), false],
  [new RangeError('Maximum call stack size exceeded'), false],
];

for (const [error, refused] of OTHERS) {
  it(`${error.name} is ${refused ? 'a refusal' : 'no refusal'}`, () => {
    expect(isUserRefusal(error)).toBe(refused);
  });
}

it('a crash is told by its cause', () => {
  const error = createErrorFromCode(30);
  expect(causeOf(new kafkajs.KafkaJSNonRetriableError(error, { cause: error }))).toBe(
    'Not authorized to access group: Group authorization failed (GROUP_AUTHORIZATION_FAILED)',
  );
  expect(causeOf(new TypeError('x is null'))).toBe('x is null (TypeError)');
});
