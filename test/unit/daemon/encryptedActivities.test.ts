import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';
import { expect, it } from 'vitest';
import { PayloadCipher } from '../../../src/codecs/payloadCipher.js';
import { encryptedActivities } from '../../../src/daemon/encryptedActivities.js';
import type { FlushActivities } from '../../../src/protocol/flushActivities.js';
import { ACTIVITY_CONVERTER } from '../../../src/temporal/encryption.js';

const { payloadConverter } = createRequire(import.meta.url)(ACTIVITY_CONVERTER) as {
  readonly payloadConverter: PayloadConverter;
};
const cipher = new PayloadCipher({ keys: new Map([['k1', randomBytes(32)]]), active: 'k1' });
const SPEC = { id: 'b' };
const BODIES = Uint8Array.of(1, 2);

/** Arguments as the worker of an activity gets them. */
function read<T>(value: T, purpose?: string): T {
  const payload = payloadConverter.toPayload(value, undefined);
  const sent: Payload = purpose === undefined ? payload : cipher.encrypt(payload, 'w', purpose);
  return payloadConverter.fromPayload<T>(cipher.decrypt(sent, 'w'));
}

it('activities take only arguments that ktb has encrypted as such, and count what they refuse', () => {
  const done: unknown[][] = [];
  let refused = 0;
  const insertBatch = (...args: unknown[]) => Promise.resolve(void done.push(args));
  const activities = encryptedActivities({ insertBatch } as unknown as FlushActivities, () => refused++);
  const insert = (...args: unknown[]) => (activities.insertBatch as unknown as typeof insertBatch)(...args);
  for (const args of [
    [read(SPEC), read(BODIES)],
    [read(SPEC, 'own'), read(BODIES)],
    [read(SPEC, 'request'), read(BODIES, 'request')],
    [read(SPEC, 'own'), read(BODIES, 'signal:records:1:x')],
    ['a text', 'another'],
    [7, null],
    [],
  ])
    expect(() => insert(...args)).toThrow('insertBatch was scheduled with arguments that are not encrypted');
  expect(refused).toBe(7);
  void insert(read(SPEC, 'own'), read(BODIES, 'own'));
  void insert('a text', read(SPEC, 'own'));
  expect(done).toEqual([
    [SPEC, BODIES],
    ['a text', SPEC],
  ]);
});

it('an activity that only reads may get nothing but texts, as a batcher schedules it, and reads only for that one', async () => {
  const readInheritance = (...args: string[]) => Promise.resolve(args);
  let refused = 0;
  const batcher = 'ktb:orders:8-key:3';
  const activities = encryptedActivities(
    { readInheritance } as unknown as FlushActivities,
    () => refused++,
    () => batcher,
  );
  expect(await activities.readInheritance(batcher, 'run')).toEqual([batcher, 'run']);
  expect(() => activities.readInheritance('ktb:orders:8-key:4', 'run')).toThrow('readInheritance was scheduled');
  expect(refused).toBe(1);
});

it('the converter reads and writes what the default one does', () => {
  for (const value of [SPEC, BODIES, 'text', null, 7])
    expect(payloadConverter.toPayload(value, undefined as never)).toEqual(defaultPayloadConverter.toPayload(value));
});
