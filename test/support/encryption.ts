import { randomBytes, randomUUID } from 'node:crypto';
import { carriedPurpose, markAuthentic, PURPOSES, signalPurpose } from '../../src/protocol/encryption.js';

/** A new key, as a configuration has it. */
export function newKey(): string {
  return randomBytes(32).toString('base64');
}

/** The same value as it is read if it came encrypted for this purpose. */
export function asEncrypted<T extends object>(purpose: string, value: T): T {
  const copy = value instanceof Uint8Array ? value.slice() : { ...value };
  markAuthentic(copy, purpose);
  return copy as T;
}

/** The arguments of a signal of ours, as they are read if they came encrypted. */
export function asSignal<T extends readonly object[]>(name: string, ...args: T): T {
  const id = randomUUID();
  return args.map((arg, index) => asEncrypted(signalPurpose(name, index, id), arg)) as unknown as T;
}

/** The arguments that a run gets from the one before it. */
export function asCarried<T extends readonly object[]>(runId: string, ...args: T): T {
  return args.map((arg, index) => asEncrypted(carriedPurpose(index, runId), arg)) as unknown as T;
}

/** What a requester sends. */
export function asRequest<T extends object>(request: T): T {
  return asEncrypted(PURPOSES.request, request);
}
