import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';
import { expect, it } from 'vitest';
import { boundNotes, givenNotes } from '../../../src/activities/boundNotes.js';
import { PayloadCipher } from '../../../src/codecs/payloadCipher.js';
import { boundActivities } from '../../../src/activities/boundActivities.js';
import {
  argumentPurpose,
  notesPurpose,
  PURPOSE_METADATA,
  REFUSED_ENCODING,
  resultPurpose,
} from '../../../src/protocol/encryption.js';
import type { FlushActivities } from '../../../src/protocol/flushActivities.js';
import { ACTIVITY_CONVERTER } from '../../../src/temporal/encryption.js';

const { payloadConverter } = createRequire(import.meta.url)(ACTIVITY_CONVERTER) as {
  readonly payloadConverter: PayloadConverter;
};
const cipher = new PayloadCipher({ keys: new Map([['k1', randomBytes(32)]]), active: 'k1' });
const BATCHER = 'ktb:orders:8-key:3';
const SPEC = { id: 'b' };
const BODIES = Uint8Array.of(1, 2);
/** Encrypted for another workflow. */
const OF_ANOTHER = { of: 'another workflow' };

/** A value as the worker of an activity gets it. */
function read<T>(value: T, purpose?: string): T {
  const payload = payloadConverter.toPayload(value, undefined);
  const sent: Payload =
    purpose === undefined ? payload : cipher.encrypt(payload, value === OF_ANOTHER ? 'other' : BATCHER, purpose);
  return payloadConverter.fromPayload<T>(cipher.decrypt(sent, BATCHER));
}

const ofInsert = (call: string, index: number) => argumentPurpose('insertBatch', index, call);
const purposeSent = (value: unknown): string | undefined => {
  const { [PURPOSE_METADATA]: purpose } = payloadConverter.toPayload(value, undefined).metadata ?? {};
  return purpose && Buffer.from(purpose).toString();
};

type Call = (...args: unknown[]) => Promise<unknown>;

/** Activities that note their arguments, and the notes that the attempt was given. */
function bound(required: boolean, { notes, result }: { notes?: unknown; result?: unknown } = {}) {
  const done: unknown[][] = [];
  const refused: string[] = [];
  const info = { workflowExecution: { workflowId: BATCHER, runId: 'r' }, heartbeatDetails: notes };
  const context = { info } as never;
  const activity = (...args: unknown[]) => Promise.resolve([done.push(args), result][1]);
  const names = ['insertBatch', 'rejectRecords', 'readInheritance'] as const;
  const activities = boundActivities(
    Object.fromEntries(names.map((name) => [name, activity])) as unknown as FlushActivities,
    { required, refused: (what) => refused.push(what), current: () => context },
  ) as unknown as Record<(typeof names)[number], Call>;
  return { ...activities, done, refused, context };
}

it('activities take only arguments that ktb has encrypted for one call of them, and count what they refuse', async () => {
  const { insertBatch, rejectRecords, done, refused } = bound(true);
  const right = [read(SPEC, ofInsert('x', 0)), read(BODIES, ofInsert('x', 1))] as const;
  const wrong = [
    [read(SPEC), read(BODIES)],
    [right[0], read(BODIES)],
    [read(SPEC, 'own'), read(BODIES, 'own')],
    [read(SPEC, 'request'), read(BODIES, 'request')],
    [read(SPEC, resultPurpose('x')), right[1]],
    [right[0], read(BODIES, ofInsert('y', 1))],
    [right[1], right[0]],
    ['a text', 'another'],
    [7, null],
    [],
  ];
  for (const args of wrong)
    await expect(insertBatch(...args)).rejects.toThrow(
      'insertBatch was scheduled with arguments that are not encrypted',
    );
  await expect(rejectRecords(...right)).rejects.toThrow('rejectRecords was scheduled');
  expect(refused).toHaveLength(wrong.length + 1);
  await insertBatch(...right);
  await insertBatch('a text', right[1]);
  expect(done).toEqual([
    [SPEC, BODIES],
    ['a text', BODIES],
  ]);
});

it('what was encrypted for another workflow is no argument, also where encryption is not required', async () => {
  const { insertBatch, refused } = bound(false);
  await expect(insertBatch(read(OF_ANOTHER, ofInsert('x', 0)), BODIES)).rejects.toThrow('insertBatch was scheduled');
  expect(refused).toHaveLength(1);
  await insertBatch(SPEC, BODIES);
});

it('reads what a run has left only for the workflow that asks', async () => {
  const { readInheritance, done } = bound(true);
  const asked = read({ runId: 'run' }, argumentPurpose('readInheritance', 2, 'x'));
  await readInheritance(BATCHER, 'run', asked);
  await expect(readInheritance('ktb:orders:8-key:4', 'run', asked)).rejects.toThrow('readInheritance was scheduled');
  await expect(readInheritance(BATCHER, 'run')).rejects.toThrow('readInheritance was scheduled');
  expect(done).toEqual([[BATCHER, 'run', { runId: 'run' }]]);
});

it('a result is encrypted for the call, also if it is nothing, and as before if the arguments were not', async () => {
  const args = [read(SPEC, ofInsert('x', 0)), read(BODIES, ofInsert('x', 1))];
  for (const result of [BODIES.slice(), { a: 1 }, [], undefined])
    expect(purposeSent(await bound(false, { result }).insertBatch(...args))).toBe(resultPurpose('x'));
  expect(await bound(false).insertBatch(SPEC, BODIES)).toBeUndefined();
  const plain = await bound(false, { result: { a: 1 } }).insertBatch(SPEC, BODIES);
  expect(purposeSent(plain)).toBeUndefined();
});

const NOTES = { attempt: 1, handedBack: 1 };

it.each([
  ['of the same call', read(NOTES, notesPurpose('x')), true, true],
  ['of another call', read(NOTES, notesPurpose('y')), false, false],
  ['that are a result', read(NOTES, resultPurpose('x')), false, false],
  ['of another workflow', read(OF_ANOTHER, notesPurpose('x')), false, false],
  ['of somebody without the key', read(NOTES), true, false],
  ['of nobody', undefined, true, true],
])('notes %s are believed, or not', async (_of, notes, ifNotRequired, ifRequired) => {
  const args = [read(SPEC, ofInsert('x', 0)), read(BODIES, ofInsert('x', 1))];
  for (const required of [false, true]) {
    const { insertBatch, context, refused } = bound(required, { notes });
    await insertBatch(...args);
    const believed = required ? ifRequired : ifNotRequired;
    expect(givenNotes(context)).toEqual({ details: believed ? notes : undefined, wereRefused: !believed });
    expect(refused).toHaveLength(believed ? 0 : 1);
    expect(purposeSent(boundNotes(context, { ...NOTES }))).toBe(notesPurpose('x'));
  }
});

it('the converter reads and writes what the default one does, and reads what it must not read as refused', () => {
  for (const value of [SPEC, BODIES, 'text', null, 7])
    expect(payloadConverter.toPayload(value, undefined as never)).toEqual(defaultPayloadConverter.toPayload(value));
  expect(read(OF_ANOTHER, 'own')).toEqual({ encoding: REFUSED_ENCODING });
});
