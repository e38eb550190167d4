/*
 * What the code in Temporal's sandbox knows of encrypted payloads. They are encrypted and decrypted outside of it, see
 * `codecs/payloadCipher.ts`.
 */

/** The encoding of an encrypted payload, in its metadata. */
export const ENCRYPTED_ENCODING = 'binary/ktb-encrypted';

/**
 * The encoding that a payload gets when it is read, if it was not encrypted with the key that it names, or for another
 * workflow. It never travels.
 */
export const REFUSED_ENCODING = 'binary/ktb-refused';

/**
 * Metadata that a payload gets when it is read, if it was encrypted with one of our keys, for the workflow that reads it.
 * It never travels.
 */
export const AUTHENTIC_METADATA = 'ktb-authentic';

/** Metadata of an encrypted payload: the key's id and its check value, and the workflow that it is for. */
export const KEY_METADATA = 'ktb-key';
export const WORKFLOW_METADATA = 'ktb-workflow';

const authentic = new WeakSet<object>();

/** Notes that a value came encrypted. Only objects can be noted. */
export function markAuthentic(value: unknown): void {
  if (typeof value === 'object' && value !== null) authentic.add(value);
}

/** Whether all of these values came encrypted, for the workflow that reads them. */
export function areAuthentic(values: readonly unknown[]): boolean {
  return (
    values.length > 0 && values.every((value) => typeof value === 'object' && value !== null && authentic.has(value))
  );
}
