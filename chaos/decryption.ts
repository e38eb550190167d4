import { createDecipheriv, createHmac } from 'node:crypto';
import proto from '@temporalio/proto';

type Payload = proto.temporal.api.common.v1.IPayload;
const { Payload: PayloadMessage } = proto.temporal.api.common.v1;

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CHECK_DIGITS = 8;

/** Keys of 32 bytes, by their names. */
export type KeysByName = ReadonlyMap<string, Buffer>;

/** The key that a payload names, without its check value. Undefined if it is not encrypted. */
export function keyNameOf(payload: Payload): string | undefined {
  if (textOf(payload, 'encoding') !== 'binary/ktb-encrypted') return undefined;
  return /^(.*):[0-9a-f]{8}$/.exec(textOf(payload, 'ktb-key'))?.[1] ?? '';
}

/**
 * The payload that an encrypted one holds, by docs/encryption.md. One that is not encrypted stays as it is.
 *
 * @throws Error if it is not what that page says: another key, or something was changed
 */
export function decrypted(payload: Payload, keys: KeysByName): Payload {
  const name = keyNameOf(payload);
  if (name === undefined) return payload;
  const key = keys.get(name);
  if (key === undefined) throw new Error(`A payload is encrypted with a key ${name}`);
  const check = createHmac('sha256', key).update('ktb-key-check').digest('hex').slice(0, CHECK_DIGITS);
  const said = ['ktb-key', 'ktb-purpose', 'ktb-workflow'].map((each) => textOf(payload, each));
  if (said[0] !== `${name}:${check}`) throw new Error(`A payload names key ${said[0]}, whose check value is ${check}`);
  const data = Buffer.from(payload.data ?? []);
  const decipher = createDecipheriv('aes-256-gcm', key, data.subarray(0, NONCE_BYTES));
  decipher.setAAD(Buffer.from(['ktb-encrypted/1', ...said].join('\n')));
  decipher.setAuthTag(data.subarray(-TAG_BYTES));
  const plain = Buffer.concat([decipher.update(data.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  return PayloadMessage.decode(plain);
}

/** For replays: the workflows want to be told by whoever decrypts that a payload was encrypted, and for what. */
export function decryptedForReplay(payload: Payload, keys: KeysByName): Payload {
  if (keyNameOf(payload) === undefined) return payload;
  const { metadata, data } = decrypted(payload, keys);
  const purpose = Buffer.from(textOf(payload, 'ktb-purpose'));
  return { metadata: { ...metadata, 'ktb-authentic': purpose }, data: data ?? null };
}

function textOf({ metadata }: Payload, name: string): string {
  return Buffer.from(metadata?.[name] ?? []).toString();
}
