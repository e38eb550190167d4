import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';
import {
  AUTHENTIC_METADATA,
  ENCRYPTED_ENCODING,
  IN_ANY_CASE_METADATA,
  intentionOf,
  KEY_METADATA,
  markAuthentic,
  PURPOSE_METADATA,
} from '../protocol/encryption.js';

/**
 * The default converter, except for payloads that it cannot read: invalid JSON, or an unknown encoding. There the
 * default converter throws, and one foreign signal would fail the workflow task again and again. Here such an argument
 * becomes its encoding and its bytes. These are no chunk, so the signal counts as foreign. So does a text or a number that
 * came encrypted, because only objects can be noted. ktb sends none.
 */
export const payloadConverter: PayloadConverter = {
  toPayload: (...args) => {
    const payload = defaultPayloadConverter.toPayload(...args);
    const intention = intentionOf(args[0]);
    if (intention === undefined) return payload;
    const metadata = {
      ...payload.metadata,
      [PURPOSE_METADATA]: asciiBytes(intention.purpose),
      ...(intention.inAnyCase ? { [IN_ANY_CASE_METADATA]: asciiBytes('1') } : {}),
    };
    return { ...payload, metadata };
  },
  fromPayload<T>(...args: Parameters<typeof defaultPayloadConverter.fromPayload<T>>): T {
    const [payload] = args;
    const value = readOrBytes<T>(...args);
    const isNoted = typeof value === 'object' || value === undefined;
    return isNoted || payload.metadata?.[AUTHENTIC_METADATA] === undefined ? value : (asBytes(payload) as T);
  },
};

/**
 * Reads a payload, which may be anything. One that cannot be read becomes its encoding and its bytes.
 *
 * @throws Error if it is still encrypted
 */
export function readOrBytes<T>(...args: Parameters<typeof defaultPayloadConverter.fromPayload<T>>): T {
  const [payload] = args;
  mustBeDecrypted(payload);
  try {
    return readPayload<T>(...args);
  } catch {
    return asBytes(payload) as T;
  }
}

/** Reads a payload as the default converter does, and notes whether it came encrypted, see `protocol/encryption.ts`. */
export function readPayload<T>(...args: Parameters<typeof defaultPayloadConverter.fromPayload<T>>): T {
  return noted(defaultPayloadConverter.fromPayload<T>(...args), args[0]);
}

function noted<T>(value: T, { metadata }: Payload): T {
  const purpose = metadata?.[AUTHENTIC_METADATA];
  if (purpose !== undefined) markAuthentic(value, textIn(purpose));
  return value;
}

function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** If a worker without a codec took an encrypted chunk for a foreign signal, it would be lost. */
function mustBeDecrypted({ metadata }: Payload): void {
  if (textIn(metadata?.['encoding']) === ENCRYPTED_ENCODING)
    throw new Error(
      `a payload is encrypted with key ${textIn(metadata?.[KEY_METADATA])}, and this worker decrypts nothing`,
    );
}

function asBytes(payload: Payload): { readonly encoding: string; readonly data: Uint8Array } {
  const { metadata, data } = payload;
  // A copy, because bytes from outside the sandbox are not an instance of its Uint8Array.
  return noted({ encoding: textIn(metadata?.['encoding']), data: new Uint8Array(data ?? []) }, payload);
}

function textIn(bytes: Uint8Array | undefined): string {
  return String.fromCharCode(...(bytes?.slice(0, 100) ?? []));
}
