/*
 * Encrypts payloads for Temporal: AES-256-GCM, with the id of the workflow and the payload's purpose as additional data.
 * Written out in `docs/encryption.md`, for requesters in other languages.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import protobuf from 'protobufjs/minimal.js';
import {
  AUTHENTIC_METADATA,
  ENCRYPTED_ENCODING,
  KEY_METADATA,
  PURPOSE_METADATA,
  PURPOSES,
  REFUSED_ENCODING,
  WORKFLOW_METADATA,
} from '../protocol/encryption.js';

/** As much of Temporal's payload as is read and written here. */
export interface WirePayload {
  readonly metadata?: Record<string, Uint8Array> | null;
  readonly data?: Uint8Array | null;
}

export interface CipherKeys {
  /** Keys of 32 bytes, by their ids. */
  readonly keys: ReadonlyMap<string, Uint8Array>;
  /** The id of the key that encrypts. Null: nothing is encrypted, and what is encrypted can be read. */
  readonly active: string | null;
}

/** A payload is encrypted with a key that this process does not have. A retry helps once it has the key. */
export class MissingKeyError extends Error {
  override readonly name = 'MissingKeyError';
  /** Id and check value, as `k2:9f3a1c22`. It may come from anybody, but has at most 100 characters, all printable. */
  readonly key: string;

  constructor(key: string, isOther: boolean) {
    super(
      isOther
        ? `a payload is encrypted with key ${key}, and the key of this id is another one here: give temporal.encryption.keys the right one`
        : `a payload is encrypted with key ${key}, which is not here: add it to temporal.encryption.keys`,
    );
    this.key = key;
  }
}

const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const VERSION = 'ktb-encrypted/1';

interface Key {
  readonly bytes: Uint8Array;
  /** Id and check value, as they are written into payloads. */
  readonly name: string;
}

/**
 * Encrypts and decrypts payloads. Each says with which key it is encrypted, and for which workflow. A check value beside
 * the key's id tells a wrong key from a payload that somebody has made or changed: the first one holds the work, and the
 * second one is refused.
 */
export class PayloadCipher {
  readonly #keys: ReadonlyMap<string, Key>;
  readonly #active: Key | null;
  readonly #onMissingKey: (error: MissingKeyError) => void;

  /** @param onMissingKey called before each {@link MissingKeyError} */
  constructor({ keys, active }: CipherKeys, onMissingKey: (error: MissingKeyError) => void = () => undefined) {
    this.#keys = new Map([...keys].map(([id, bytes]) => [id, { bytes, name: keyName(id, bytes) }]));
    this.#active = active === null ? null : (this.#keys.get(active) ?? null);
    this.#onMissingKey = onMissingKey;
  }

  /** Whether {@link encrypt} encrypts. */
  get encrypts(): boolean {
    return this.#active !== null;
  }

  get hasKeys(): boolean {
    return this.#keys.size > 0;
  }

  /**
   * @param workflowId the workflow that the payload is for, or of. Only it can read the payload
   * @param purpose see `PURPOSES`
   */
  encrypt<Payload extends WirePayload>(payload: Payload, workflowId: string, purpose: string = PURPOSES.own): Payload {
    return this.#active === null ? payload : encryptWith(this.#active, payload, workflowId, purpose);
  }

  /**
   * Encrypts although no key is active, if there is one. For signals to a batcher that takes no others.
   */
  encryptInAnyCase<Payload extends WirePayload>(payload: Payload, workflowId: string, purpose: string): Payload {
    const [first] = this.#keys.values();
    const key = this.#active ?? first;
    return key === undefined ? payload : encryptWith(key, payload, workflowId, purpose);
  }

  /**
   * Decrypts a payload. One that is not encrypted stays as it is, and one that was not encrypted with the key that it names,
   * or for another workflow, gets the encoding `REFUSED_ENCODING`.
   *
   * @param workflowId the workflow that reads it. Undefined: whatever workflow it is for
   * @throws MissingKeyError
   */
  decrypt<Payload extends WirePayload>(payload: Payload, workflowId?: string): Payload {
    const { metadata, data } = payload;
    if (!isEncrypted(payload)) return metadata?.[AUTHENTIC_METADATA] === undefined ? payload : withoutMark(payload);
    const name = printable(textIn(metadata?.[KEY_METADATA]));
    const key = this.#keys.get(name.slice(0, Math.max(0, name.lastIndexOf(':'))));
    if (key?.name !== name) {
      const error = new MissingKeyError(name, key !== undefined);
      this.#onMissingKey(error);
      throw error;
    }
    const boundTo = textIn(metadata?.[WORKFLOW_METADATA]);
    const purpose = textIn(metadata?.[PURPOSE_METADATA]);
    const isOther = (workflowId !== undefined && workflowId !== boundTo) || purpose === '' || purpose.includes('\n');
    const plain = isOther ? null : opened(key, bytesIn(data), boundTo, purpose);
    if (plain === null) return { ...payload, metadata: { encoding: Buffer.from(REFUSED_ENCODING) } };
    return { ...payload, ...plain, metadata: { ...plain.metadata, [AUTHENTIC_METADATA]: Buffer.from(purpose) } };
  }
}

/** Whether a payload says that it is encrypted by us. */
export function isEncrypted({ metadata }: WirePayload): boolean {
  return textIn(metadata?.['encoding']) === ENCRYPTED_ENCODING;
}

function encryptWith<Payload extends WirePayload>(
  key: Key,
  payload: Payload,
  workflowId: string,
  purpose: string,
): Payload {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(ALGORITHM, key.bytes, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(additionalData(key.name, purpose, workflowId));
  const { head, data } = serialized(payload);
  const parts = [nonce, cipher.update(head), cipher.update(data), cipher.final()];
  return {
    ...payload,
    metadata: {
      encoding: Buffer.from(ENCRYPTED_ENCODING),
      [KEY_METADATA]: Buffer.from(key.name),
      [PURPOSE_METADATA]: Buffer.from(purpose),
      [WORKFLOW_METADATA]: Buffer.from(workflowId),
    },
    data: Buffer.concat([...parts, cipher.getAuthTag()]),
  };
}

/** Null if it was not encrypted with this key, or for another workflow or purpose, or was changed. */
function opened(key: Key, data: Uint8Array, workflowId: string, purpose: string): Required<WirePayload> | null {
  if (data.length < NONCE_BYTES + TAG_BYTES) return null;
  const end = data.length - TAG_BYTES;
  const decipher = createDecipheriv(ALGORITHM, key.bytes, data.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(additionalData(key.name, purpose, workflowId));
  decipher.setAuthTag(data.subarray(end));
  const plain = decipher.update(data.subarray(NONCE_BYTES, end));
  try {
    decipher.final();
  } catch {
    // The only error is that the tag is another one.
    return null;
  }
  return deserialized(plain);
}

/** The workflow's id comes last: it alone may have line ends. */
function additionalData(keyName: string, purpose: string, workflowId: string): Buffer {
  return Buffer.from(`${VERSION}\n${keyName}\n${purpose}\n${workflowId}`);
}

/** The id of a key, and the beginning of a hash of it. The hash tells nothing about the key. */
function keyName(id: string, bytes: Uint8Array): string {
  return `${id}:${createHmac('sha256', bytes).update('ktb-key-check').digest('hex').slice(0, KEY_CHECK_HEX_DIGITS)}`;
}

const KEY_CHECK_HEX_DIGITS = 8;

/** A payload as Protobuf, `temporal.api.common.v1.Payload`: first all but the bytes of the data, then these. */
function serialized({ metadata, data }: WirePayload): { readonly head: Uint8Array; readonly data: Uint8Array } {
  const writer = protobuf.Writer.create();
  for (const [name, value] of Object.entries(metadata ?? {}))
    if (name !== AUTHENTIC_METADATA) writer.uint32(10).fork().uint32(10).string(name).uint32(18).bytes(value).ldelim();
  const bytes = bytesIn(data);
  if (bytes.length > 0) writer.uint32(18).uint32(bytes.length);
  return { head: writer.finish(), data: bytes };
}

function deserialized(plain: Buffer): Required<WirePayload> {
  const reader = protobuf.Reader.create(plain);
  const metadata: Record<string, Uint8Array> = {};
  let data: Uint8Array = NOTHING;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 10) {
      const [name, value] = entryIn(reader);
      metadata[name] = value;
    } else if (tag === 18) data = reader.bytes();
    else reader.skipType(tag & 7);
  }
  return { metadata, data };
}

function entryIn(reader: protobuf.Reader): [name: string, value: Uint8Array] {
  const end = reader.uint32() + reader.pos;
  let name = '';
  let value: Uint8Array = NOTHING;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === 10) name = reader.string();
    else if (tag === 18) value = reader.bytes();
    else reader.skipType(tag & 7);
  }
  return [name, value];
}

/** Only a reader may say that a payload was encrypted. */
function withoutMark<Payload extends WirePayload>(payload: Payload): Payload {
  const entries = Object.entries(payload.metadata ?? {}).filter(([name]) => name !== AUTHENTIC_METADATA);
  return { ...payload, metadata: Object.fromEntries(entries) };
}

const NAME_CHARACTERS_MAX = 100;

/** Anybody can write anything there, and it comes into logs. */
function printable(text: string): string {
  return text.slice(0, NAME_CHARACTERS_MAX).replace(/[^\x21-\x7e]/g, '?');
}

function textIn(value: Uint8Array | undefined): string {
  const bytes = bytesIn(value);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}

/** Where a payload lacks bytes on the wire, the SDK hands over an empty array in their place, whatever its types say. */
function bytesIn(value: Uint8Array | null | undefined): Uint8Array {
  return value && value.length > 0 ? value : NOTHING;
}

const NOTHING = new Uint8Array(0);
