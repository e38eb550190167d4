import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter, type DataConverter, type Payload, type ProtoFailure } from '@temporalio/common';
import type { PayloadCipher } from '../codecs/payloadCipher.js';
import { messageOf } from '../lib/messageOf.js';
import { signalPurpose } from '../protocol/encryption.js';
import { codecOf } from './payloadCodec.js';

const FAILURE_CONVERTER = fileURLToPath(new URL('./failureConverter.cjs', import.meta.url));

/** Knows what the payloads of activities are encrypted for, see `activityPurposes.ts`. */
export const ACTIVITY_CONVERTER = fileURLToPath(new URL('./activityConverter.cjs', import.meta.url));

/** The ciphers of clients. A client without one reads and writes payloads as they are. */
const ciphers = new WeakMap<object, PayloadCipher>();

/** A process has one cipher for all that it reads from Temporal, and sends to it. */
export function setCipher(client: Client, cipher: PayloadCipher): Client {
  ciphers.set(client, cipher);
  return client;
}

/** Undefined: the client reads and writes payloads as they are. */
export function cipherOf(client: object): PayloadCipher | undefined {
  return ciphers.get(client);
}

/** Whether there are keys, and none of them is active: what is encrypted can be read, and nothing is encrypted unasked. */
export function canOnlyRead(cipher: PayloadCipher | undefined): cipher is PayloadCipher {
  return cipher !== undefined && !cipher.encrypts && cipher.hasKeys;
}

/** The arguments of a signal to a batcher, encrypted, also if no key is active. */
export function sealedSignal(cipher: PayloadCipher, workflowId: string, name: string, args: Payload[]): Payload[] {
  const id = randomUUID();
  return args.map((payload, index) => cipher.encryptInAnyCase(payload, workflowId, signalPurpose(name, index, id)));
}

/** The data converter for clients and workers. Only workers convert payloads with it, and write failures. */
export function dataConverterOf(cipher: PayloadCipher): DataConverter {
  return {
    payloadCodecs: [codecOf(cipher)],
    payloadConverterPath: ACTIVITY_CONVERTER,
    ...(cipher.encrypts ? { failureConverterPath: FAILURE_CONVERTER } : {}),
  };
}

/**
 * Reads payloads of a workflow that no converter of the SDK has read: those of histories and descriptions.
 *
 * @throws MissingKeyError, when a payload is read
 */
export function payloadReader(client: object, workflowId: string): (payload: Payload) => Payload {
  const cipher = ciphers.get(client);
  return cipher === undefined ? (payload) => payload : (payload) => cipher.decrypt(payload, workflowId);
}

/** The message of a failure. If it is encrypted, and cannot be read here, it says why. */
export function failureMessage(client: object, { message, encodedAttributes }: ProtoFailure): string {
  if (!encodedAttributes) return message ?? '';
  try {
    const payload = ciphers.get(client)?.decrypt(encodedAttributes) ?? encodedAttributes;
    const { message: read } = defaultPayloadConverter.fromPayload<{ readonly message?: unknown }>(payload);
    return typeof read === 'string' ? read : (message ?? '');
  } catch (error) {
    return messageOf(error);
  }
}
