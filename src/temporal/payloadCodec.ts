/*
 * Temporal's codec for payloads that are encrypted as ktb does it. Also exported to users, as
 * `kafka-temporal-bridge/encryption`.
 */
import type { Payload, PayloadCodec } from '@temporalio/common';
import { isEncrypted, PayloadCipher } from '../codecs/payloadCipher.js';
import { KEY_ID, NO_KEY_ID, parseKey } from '../lib/encryptionKey.js';
import { IN_ANY_CASE_METADATA, isAnswer, PURPOSE_METADATA, PURPOSES } from '../protocol/encryption.js';

/** The keys of a codec. */
export interface EncryptionKeys {
  /**
   * Keys by their ids: 32 bytes each, in base64 or as hexadecimal digits. An id has at most 32 of a-z, A-Z, 0-9, dash and underscore,
   * and begins with a letter or digit.
   */
  readonly keys: Readonly<Record<string, string>>;
  /** The id of the key that encrypts. Without one nothing is encrypted, and what is encrypted can be read. */
  readonly active?: string;
}

/**
 * A codec for workers and clients of workflows that submit rows to ktb: `dataConverter: { payloadCodecs: [codec] }`.
 *
 * @throws Error if a key is no key of 32 bytes, its id is none, or the active one is not among them
 */
export function encryptionCodec({ keys, active }: EncryptionKeys): PayloadCodec {
  const parsed = new Map<string, Uint8Array>();
  for (const [id, text] of Object.entries(keys)) {
    if (!KEY_ID.test(id)) throw new Error(`${JSON.stringify(id)} is no id of a key: ${NO_KEY_ID}`);
    const key = parseKey(text);
    if (key === null) throw new Error(`key ${id} must be 32 bytes, in base64 or as 64 hexadecimal digits`);
    parsed.set(id, key);
  }
  if (active !== undefined && !parsed.has(active)) throw new Error(`the active key ${active} is not among the keys`);
  const cipher = new PayloadCipher({ keys: parsed, active: active ?? null });
  return codec(cipher, (payload, workflowId) => cipher.encrypt(payload, workflowId, PURPOSES.request));
}

/**
 * The codec of ktb's own clients and workers. The code of a workflow may have named a payload's purpose.
 *
 * When encryption is switched off, a batcher that has not heard of it takes only results that are encrypted. So what an
 * activity says to a call that came encrypted is encrypted in any case.
 */
export function codecOf(cipher: PayloadCipher): PayloadCodec {
  return codec(cipher, (payload, workflowId) => {
    const { [PURPOSE_METADATA]: named, [IN_ANY_CASE_METADATA]: inAnyCase, ...metadata } = payload.metadata ?? {};
    if (named === undefined) return cipher.encrypt(payload, workflowId);
    const purpose = Buffer.from(named).toString();
    const plain = { ...payload, metadata };
    return inAnyCase !== undefined || isAnswer(purpose)
      ? cipher.encryptInAnyCase(plain, workflowId, purpose)
      : cipher.encrypt(plain, workflowId, purpose);
  });
}

/**
 * What is read has to be for the workflow that reads it, if the SDK tells which one that is. What the caller has encrypted
 * itself, as a raw value, stays as it is.
 */
function codec(cipher: PayloadCipher, encrypt: (payload: Payload, workflowId: string) => Payload): PayloadCodec {
  return {
    encode: (payloads, context) => {
      const workflowId = context?.workflowId ?? '';
      return Promise.resolve(
        payloads.map((payload) => (isEncrypted(payload) ? payload : encrypt(payload, workflowId))),
      );
    },
    // eslint-disable-next-line @typescript-eslint/require-await -- an error has to become a rejection
    decode: async (payloads, context) => payloads.map((payload) => cipher.decrypt(payload, context?.workflowId)),
  };
}
