import { describe, expect, it } from 'vitest';
import { decrypted, decryptedForReplay, keyNameOf } from '../../../chaos/decryption.js';
import { Keys } from '../../../chaos/keys.js';
import { Random } from '../../../chaos/random.js';
import { PayloadCipher } from '../../../src/codecs/payloadCipher.js';

const KEYS = new Map([
  ['k1', Buffer.alloc(32, 1)],
  ['k2', Buffer.alloc(32, 2)],
]);
const PLAIN = { metadata: { encoding: Buffer.from('binary/plain') }, data: Buffer.from('a chunk') };
const encrypted = () => new PayloadCipher({ keys: KEYS, active: 'k2' }).encrypt(PLAIN, 'ktb:chaos:4t-key:0', 'own');
const dataOf = (payload: { data?: Uint8Array | null }) => Buffer.from(payload.data ?? []).toString();

it('reads what the product encrypts', () => {
  const payload = encrypted();
  expect(keyNameOf(payload)).toBe('k2');
  const found = decrypted(payload, KEYS);
  expect(dataOf(found)).toBe('a chunk');
  expect(Buffer.from(found.metadata?.['encoding'] ?? []).toString()).toBe('binary/plain');
  const forReplay = decryptedForReplay(payload, KEYS);
  expect(dataOf(forReplay)).toBe('a chunk');
  expect(Buffer.from(forReplay.metadata?.['ktb-authentic'] ?? []).toString()).toBe('own');
});

it('leaves what is not encrypted as it is', () => {
  expect(keyNameOf(PLAIN)).toBeUndefined();
  expect(decrypted(PLAIN, KEYS)).toBe(PLAIN);
  expect(decryptedForReplay(PLAIN, KEYS)).toBe(PLAIN);
});

it('finds another key, a key that is not here, and whatever was changed', () => {
  const payload = encrypted();
  const withText = (name: string, text: string) => ({
    ...payload,
    metadata: { ...payload.metadata, [name]: Buffer.from(text) },
  });
  expect(() => decrypted(payload, new Map([['k1', Buffer.alloc(32, 1)]]))).toThrow('a key k2');
  expect(() => decrypted(payload, new Map([['k2', Buffer.alloc(32, 3)]]))).toThrow('check value');
  expect(() => decrypted(withText('ktb-workflow', 'another'), KEYS)).toThrow();
  expect(() => decrypted(withText('ktb-purpose', 'input'), KEYS)).toThrow();
  const data = Buffer.from(payload.data);
  data[14] = (data[14] ?? 0) ^ 1;
  expect(() => decrypted({ ...payload, data }, KEYS)).toThrow();
});

describe('the keys of a run', () => {
  const all = Array.from({ length: 20 }, (_, seed) => new Keys(new Random(seed)));

  it('are there from the begin in some runs, in which nothing else is taken', () => {
    const begins = all.map(({ configuration }) => configuration);
    expect(begins).toContain(undefined);
    expect(begins.find((each) => each !== undefined)).toMatchObject({ active: 'k1', required: true });
  });

  it('can be read before they encrypt, and stay', () => {
    for (const keys of all) {
      const before = keys.active;
      keys.add();
      expect(keys.active).toBe(before);
      keys.activate();
      expect(keys.active).not.toBe(before);
      expect([...keys.all.keys()]).toEqual(before === undefined ? ['k1'] : ['k1', 'k2']);
      expect(new Set([...keys.all.values()].map((bytes) => bytes.toString('hex'))).size).toBe(keys.all.size);
    }
  });
});
