import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { temporal } from '@temporalio/proto';
import { expect, it } from 'vitest';
import { isEncrypted, MissingKeyError, PayloadCipher, type WirePayload } from '../../../src/codecs/payloadCipher.js';
import { AUTHENTIC_METADATA, REFUSED_ENCODING } from '../../../src/protocol/encryption.js';

const { Payload } = temporal.api.common.v1;

const keys = new Map([
  ['k1', randomBytes(32)],
  ['k2', randomBytes(32)],
]);
const cipher = new PayloadCipher({ keys, active: 'k2' });
const ofK1 = new PayloadCipher({ keys, active: 'k1' });
const BATCHER = 'ktb:orders:8-key:3';

const text = (bytes: Uint8Array | null | undefined) => Buffer.from(bytes ?? []).toString();
const payload = (data: string | Uint8Array, encoding = 'binary/plain') => ({
  metadata: { encoding: Buffer.from(encoding) },
  data: Buffer.from(data),
});
const encodingOf = ({ metadata }: WirePayload) => text(metadata?.['encoding']);
const namedKey = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    if (error instanceof MissingKeyError) return error.key;
    throw error;
  }
  return null;
};

it('gives back whatever payload it was given, with whatever key, and says that it came encrypted', () => {
  const metadata = fc.dictionary(
    fc.string().filter((name) => name !== AUTHENTIC_METADATA && name !== '__proto__'),
    fc.uint8Array(),
  );
  fc.assert(
    fc.property(metadata, fc.uint8Array({ maxLength: 5_000 }), fc.string(), (names, data, workflowId) => {
      for (const other of [cipher, ofK1]) {
        const sealed = other.encrypt({ metadata: names, data }, workflowId);
        const { metadata: marked, data: plain } = cipher.decrypt(sealed, workflowId);
        const { [AUTHENTIC_METADATA]: mark, ...read } = marked;
        expect(mark).toBeDefined();
        expect(Object.entries(read).map(([name, value]) => [name, Buffer.from(value)])).toEqual(
          Object.entries(names).map(([name, value]) => [name, Buffer.from(value)]),
        );
        expect(Buffer.from(plain)).toEqual(Buffer.from(data));
      }
    }),
  );
});

/** As the SDK hands it over: it was on its way as Protobuf, and servers leave out what is empty. Then it becomes an array. */
function received({ metadata, data }: WirePayload): WirePayload {
  const entries = Object.entries(metadata ?? {});
  const sent = Payload.encode({
    metadata: Object.fromEntries(entries.filter(([, value]) => value.length > 0)),
    ...(data && data.length > 0 ? { data } : {}),
  }).finish();
  const names = entries.filter(([, value]) => value.length === 0).map(([name]) => Buffer.from(name));
  const empty = names.map((name) => Buffer.from([10, name.length + 2, 10, name.length, ...name]));
  return Payload.decode(Buffer.concat([sent, ...empty]));
}

it('encrypts a payload without data, such as `undefined`, as the SDK hands it over', () => {
  const nothing = received({ metadata: { encoding: Buffer.from('binary/null') } });
  const read = cipher.decrypt(received(cipher.encrypt(nothing, BATCHER)), BATCHER);
  expect(encodingOf(read)).toBe('binary/null');
  expect(text(read.data)).toBe('');
});

it('reads what was encrypted for no workflow, such as the failure of a workflow task, as the SDK hands it over', () => {
  const read = cipher.decrypt(received(cipher.encrypt(payload('why it failed'), '')));
  expect(text(read.data)).toBe('why it failed');
});

it('refuses an encrypted payload from which everything was taken, as the SDK hands it over', () => {
  const { metadata } = cipher.encrypt(payload('a'), BATCHER);
  expect(encodingOf(cipher.decrypt(received({ metadata }), BATCHER))).toBe(REFUSED_ENCODING);
});

it('shows nothing of a payload but its size, the key’s name and the workflow, and never the same bytes twice', () => {
  const secret = payload('a marker', 'json/plain');
  const [one, other] = [cipher.encrypt(secret, BATCHER), cipher.encrypt(secret, BATCHER)];
  expect(isEncrypted(one)).toBe(true);
  expect(Object.keys(one.metadata).sort()).toEqual(['encoding', 'ktb-key', 'ktb-purpose', 'ktb-workflow']);
  expect(text((one.metadata as Record<string, Uint8Array>)['ktb-key'])).toMatch(/^k2:[0-9a-f]{8}$/);
  expect(text(one.data)).not.toContain('marker');
  expect(one.data).not.toEqual(other.data);
});

it('encrypts a payload as Temporal’s Protobuf: any library can read it', () => {
  const secret = payload(randomBytes(300));
  const written = Payload.encode(secret).finish();
  // Nonce and tag are 28 bytes.
  expect(cipher.encrypt(secret, BATCHER).data.length).toBe(written.length + 28);
  const nothing: WirePayload = { metadata: {}, data: null };
  expect(cipher.encrypt(nothing, BATCHER).data?.length).toBe(28);
});

it('refuses what was changed, made without the key, or is for another workflow: whatever is changed', () => {
  const sealed = cipher.encrypt(payload('rows'), BATCHER);
  const flipped = (bytes: Uint8Array, at: number) => {
    const copy = Buffer.from(bytes);
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  };
  const forged = [
    ...Array.from(sealed.data, (_byte, at) => ({ ...sealed, data: flipped(sealed.data, at) })),
    { ...sealed, data: sealed.data.subarray(0, 20) },
    { ...sealed, data: Buffer.alloc(0) },
    { ...sealed, data: randomBytes(100) },
    { ...sealed, metadata: { ...sealed.metadata, 'ktb-workflow': Buffer.from('ktb:orders:8-key:4') } },
    ...['signal:pause:0:x', '', 'own\n'].map((purpose) => ({
      ...sealed,
      metadata: { ...sealed.metadata, 'ktb-purpose': Buffer.from(purpose) },
    })),
  ];
  for (const one of forged) expect(encodingOf(cipher.decrypt(one, BATCHER))).toBe(REFUSED_ENCODING);
  // Moved as it is, and moved with the other batcher's name on it.
  const other = 'ktb:orders:8-key:4';
  expect(encodingOf(cipher.decrypt(sealed, other))).toBe(REFUSED_ENCODING);
  const renamed = { ...sealed, metadata: { ...sealed.metadata, 'ktb-workflow': Buffer.from(other) } };
  expect(encodingOf(cipher.decrypt(renamed, other))).toBe(REFUSED_ENCODING);
  expect(encodingOf(cipher.decrypt(sealed, BATCHER))).toBe('binary/plain');
});

it('names the key that it lacks, and tells a wrong key of the right name from a forged payload', () => {
  const sealed = cipher.encrypt(payload('rows'), BATCHER);
  const lacking = new PayloadCipher({ keys: new Map([['k1', randomBytes(32)]]), active: 'k1' });
  expect(namedKey(() => lacking.decrypt(sealed, BATCHER))).toMatch(/^k2:[0-9a-f]{8}$/);
  const seen: string[] = [];
  const wrong = new PayloadCipher({ keys: new Map([['k2', randomBytes(32)]]), active: 'k2' }, ({ message }) => {
    seen.push(message);
  });
  expect(namedKey(() => wrong.decrypt(sealed, BATCHER))).toMatch(/^k2:/);
  expect(seen).toEqual([expect.stringContaining('the key of this id is another one here')]);
  const hostile = {
    ...sealed,
    metadata: { ...sealed.metadata, 'ktb-key': Buffer.from(`\n\u001b${'x'.repeat(1_000)}`) },
  };
  expect(namedKey(() => cipher.decrypt(hostile, BATCHER))).toMatch(/^[\x21-\x7e]{100}$/);
});

it('without an active key it encrypts nothing, but what it is told to encrypt in any case, and reads everything', () => {
  const off = new PayloadCipher({ keys, active: null });
  const plain = payload('rows');
  expect(off.encrypts).toBe(false);
  expect(off.encrypt(plain, BATCHER)).toBe(plain);
  expect(encodingOf(off.decrypt(cipher.encrypt(plain, BATCHER), BATCHER))).toBe('binary/plain');
  expect(isEncrypted(off.encryptInAnyCase(plain, BATCHER, 'own'))).toBe(true);
  const none = new PayloadCipher({ keys: new Map(), active: null });
  expect(none.encryptInAnyCase(plain, BATCHER, 'own')).toBe(plain);
});

it('hands on what is not encrypted as it is, but for a mark that only a reader may set', () => {
  const plain = payload('rows');
  expect(cipher.decrypt(plain, BATCHER)).toBe(plain);
  const marked = { ...plain, metadata: { ...plain.metadata, [AUTHENTIC_METADATA]: Buffer.from('1') } };
  expect(cipher.decrypt(marked, BATCHER)).toEqual(plain);
  // Nor can it be put under the encryption.
  const { metadata } = cipher.decrypt(cipher.encrypt(marked, BATCHER), BATCHER);
  expect(text((metadata as Record<string, Uint8Array>)[AUTHENTIC_METADATA])).toBe('own');
});

it('no line end moves from the purpose to the workflow’s id: they are told apart', () => {
  const sealed = cipher.encrypt(payload('rows'), 'a\nb', 'own');
  const moved = { 'ktb-purpose': Buffer.from('own\na'), 'ktb-workflow': Buffer.from('b') };
  expect(encodingOf(cipher.decrypt({ ...sealed, metadata: { ...sealed.metadata, ...moved } }, 'b'))).toBe(
    REFUSED_ENCODING,
  );
});
