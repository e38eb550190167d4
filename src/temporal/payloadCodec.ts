/*
 * Temporal's codec for payloads that are encrypted as ktb does it. Also exported to users, as
 * `kafka-temporal-bridge/encryption`.
 */
import type { PayloadCodec } from '@temporalio/common';
import { PayloadCipher } from '../codecs/payloadCipher.js';
import { parseKey } from '../lib/encryptionKey.js';

/** The keys of a codec. */
export interface EncryptionKeys {
  /** Keys by their ids: 32 bytes each, in base64 or as hexadecimal digits. */
  readonly keys: Readonly<Record<string, string>>;
  /** The id of the key that encrypts. Without one nothing is encrypted, and what is encrypted can be read. */
  readonly active?: string;
}

/**
 * A codec for workers and clients of workflows that submit rows to ktb: `dataConverter: { payloadCodecs: [codec] }`.
 *
 * @throws Error if a key is no key of 32 bytes, or the active one is not among them
 */
export function encryptionCodec({ keys, active }: EncryptionKeys): PayloadCodec {
  const parsed = new Map<string, Uint8Array>();
  for (const [id, text] of Object.entries(keys)) {
    const key = parseKey(text);
    if (key === null) throw new Error(`key ${id} must be 32 bytes, in base64 or as 64 hexadecimal digits`);
    parsed.set(id, key);
  }
  if (active !== undefined && !parsed.has(active)) throw new Error(`the active key ${active} is not among the keys`);
  return codecOf(new PayloadCipher({ keys: parsed, active: active ?? null }));
}

/** The codec of a cipher. What is read has to be for the workflow that reads it, if the SDK tells which one that is. */
export function codecOf(cipher: PayloadCipher): PayloadCodec {
  return {
    encode: (payloads, context) =>
      Promise.resolve(
        cipher.encrypts ? payloads.map((payload) => cipher.encrypt(payload, context?.workflowId ?? '')) : payloads,
      ),
    // eslint-disable-next-line @typescript-eslint/require-await -- an error has to become a rejection
    decode: async (payloads, context) => payloads.map((payload) => cipher.decrypt(payload, context?.workflowId)),
  };
}
