import { NOT_AUTHORIZED } from './errorType.js';

/** Errors of Kafka that only a person can remove: wrong credentials or missing rights. */
const TYPES = new Set([
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  NOT_AUTHORIZED,
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
]);

/**
 * Whether Kafka refuses this user. Every other failure may pass by itself: brokers that are away, a missing topic, a
 * coordinator that moves, an error of kafkajs.
 */
export function isUserRefusal(error: unknown): boolean {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (isLoginRefusal(current)) return true;
    if (TYPES.has((current as Error & { type?: string }).type ?? '')) return true;
  }
  return false;
}

/** Whether kafkajs gave up because Kafka refuses the user's name, password or mechanism. */
export function isLoginRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === 'KafkaJSSASLAuthenticationError';
}

/**
 * The message and type of the error inside all those in which kafkajs has wrapped it. `KafkaJSNonRetriableError` alone
 * says nothing.
 */
export function causeOf(error: Error): string {
  let cause = error;
  while (cause.cause instanceof Error) cause = cause.cause;
  const { type, name, message } = cause as Error & { type?: string };
  return `${message} (${type ?? name})`;
}
