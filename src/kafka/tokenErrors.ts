/**
 * The broker or the authorization server refuses this login, and a person has to change something. The name is that of
 * kafkajs's own error, by which it knows not to try again.
 */
export class LoginRefusedError extends Error {
  override readonly name = 'KafkaJSSASLAuthenticationError';
  readonly retriable = false;
}

/** {@link LoginRefusedError} of the authorization server. */
export class TokenRefusedError extends LoginRefusedError {}

/**
 * The authorization server gave no token. It may give one later. By the name kafkajs tries again, as with a broker that
 * is away.
 */
export class TokenUnavailableError extends Error {
  override readonly name = 'KafkaJSConnectionError';
  readonly retriable = true;
}

/** The first error of the authorization server among an error and its causes. */
export function tokenErrorIn(error: unknown): Error | null {
  for (let current = error; current instanceof Error; current = current.cause)
    if (current instanceof TokenRefusedError || current instanceof TokenUnavailableError) return current;
  return null;
}
