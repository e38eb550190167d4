import { randomBytes } from 'node:crypto';
import { stringify } from 'yaml';
import { expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load.js';
import { ConfigError } from '../../../src/config/problems.js';
import { newKey } from '../../support/encryption.js';

const text = (encryption: unknown) =>
  stringify({ temporal: { encryption }, pipelines: { orders: { topics: ['orders'], table: 'orders' } } });
const parse = (encryption: unknown) => parseConfig(text(encryption), 'ktb.yaml', {});

function problem(encryption: unknown): string {
  try {
    parse(encryption);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return '';
}

it('reads keys in base64, with or without padding, and as hexadecimal digits', () => {
  const key = randomBytes(32);
  const keys = {
    padded: key.toString('base64'),
    bare: key.toString('base64').replace('=', ''),
    url: key.toString('base64url'),
    hex: key.toString('hex'),
  };
  const { encryption } = parse({ keys, active: 'hex' }).temporal;
  expect([...encryption.keys.values()].map((bytes) => Buffer.from(bytes))).toEqual([key, key, key, key]);
  expect(encryption).toMatchObject({ active: 'hex', required: false });
});

it('tells batchers that they need encryption only if it is set: without it their settings stay as they are', () => {
  const settingsOf = (encryption?: unknown) => parse(encryption).pipelines[0]?.settings;
  const keys = { k1: newKey() };
  expect(settingsOf()).toEqual(settingsOf({ keys, active: 'k1' }));
  expect(settingsOf()).not.toHaveProperty('encryption');
  expect(settingsOf({ keys, active: 'k1', required: true })).toMatchObject({ encryption: 'required' });
  expect(parse(undefined).temporal.encryption).toEqual({ keys: new Map(), active: null, required: false });
});

it('refuses what is no key, and never shows it', () => {
  for (const key of ['hunter2', randomBytes(16).toString('base64'), randomBytes(33).toString('hex'), `${newKey()}x`]) {
    const message = problem({ keys: { k1: key }, active: 'k1' });
    expect(message).toContain('temporal.encryption.keys.k1: must be a key of 32 bytes');
    expect(message).not.toContain(key);
  }
  const secret = randomBytes(8).readUInt32BE();
  expect(problem({ keys: { k1: secret } })).toContain('temporal.encryption.keys.k1: must be a text');
  expect(problem({ keys: { k1: secret } })).not.toContain(String(secret));
});

it('refuses an active key that is not there, required without one, no keys at all, and odd names', () => {
  const keys = { k1: newKey() };
  expect(problem({ keys, active: 'k2' })).toContain('temporal.encryption.active: names no key of keys; there are: k1');
  expect(problem({ keys, required: true })).toContain('temporal.encryption.required: needs active');
  expect(problem({ keys: {} })).toContain('must have at least one key');
  expect(problem({ keys: { 'a:b': newKey() } })).toContain('a key is named with a-z');
  expect(problem({ active: 'k1' })).toContain('temporal.encryption.keys: is missing');
});
