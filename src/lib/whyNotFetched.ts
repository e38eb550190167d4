import { messageOf } from './messageOf.js';

/** Why `fetch` has no answer. What it rejects with says so only in its cause. */
export function whyNotFetched(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'no answer in time';
  const { cause } = error as { cause?: Error & { code?: string } };
  if (!(cause instanceof Error)) return messageOf(error);
  // The cause may stand for an attempt for each address, and have no message.
  return messageOf(cause) || (cause.code ?? '');
}

/** An address for messages: what it asks for may be a secret. */
export function addressShown(url: string): string {
  return url.replace(/[?#].*$/s, '');
}
