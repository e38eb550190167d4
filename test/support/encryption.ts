import { randomBytes } from 'node:crypto';
import { markAuthentic } from '../../src/protocol/encryption.js';

/** A new key, as a configuration has it. */
export function newKey(): string {
  return randomBytes(32).toString('base64');
}

/** The same values as they are read if they came encrypted. */
export function asEncrypted<T extends readonly object[]>(...values: T): T {
  const copies = values.map((value) => (value instanceof Uint8Array ? value.slice() : { ...value }));
  for (const copy of copies) markAuthentic(copy);
  return copies as unknown as T;
}
