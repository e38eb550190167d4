/** Kafka's answers that nobody but a person can change: credentials, and what they may do. */
const TYPES = new Set([
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  'TOPIC_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
]);

/**
 * Whether Kafka refuses this user. Everything else that a request may fail by (brokers away, a topic that is not there, a
 * coordinator that moves, a fault of kafkajs) may pass by itself.
 */
export function isRefusal(error: unknown): boolean {
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
 * The words of the error below all those that kafkajs has wrapped it in, with what Kafka calls it: `KafkaJSNonRetriableError`
 * alone says nothing.
 */
export function causeOf(error: Error): string {
  let cause = error;
  while (cause.cause instanceof Error) cause = cause.cause;
  const { type, name, message } = cause as Error & { type?: string };
  return `${message} (${type ?? name})`;
}
