import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PAYLOAD_BYTES_MAX } from '../../../src/protocol/payloadLimit.js';
import { ForeignSignals, signalsWithin } from '../../../src/workflows/foreignSignals.js';
import { encodedLimit } from '../../../src/workflows/limits.js';

const { NAME_MAX, VALUE_MAX, VALUES_MAX, WAITING_MAX } = ForeignSignals;

it('keeps a flood within bounds, whatever its names and values', () => {
  const signals = new ForeignSignals();
  for (let at = 0; at < 2 * WAITING_MAX; at++) signals.add('n'.repeat(10_000), ['v'.repeat(at * 10)], at);
  expect(signals.waiting).toHaveLength(WAITING_MAX);
  expect(signals.waiting.every(({ name }) => name.length === NAME_MAX)).toBe(true);
  expect(signals.waiting.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)).toBeLessThanOrEqual(VALUES_MAX);
  expect(signals.waiting.at(-1)).toMatchObject({ value: null, size: (WAITING_MAX - 1) * 10 + 4 });
  signals.published(WAITING_MAX);
  signals.add('room again', ['v'], 0);
  expect(signals.waiting).toMatchObject([{ value: '["v"]' }]);
});

it('a value that is too large, or that cannot be written as JSON, is left out', () => {
  let nested: unknown = 0;
  for (let depth = 0; depth < 100_000; depth++) nested = [nested];
  const signals = new ForeignSignals();
  signals.add('large', ['v'.repeat(VALUE_MAX)], 0);
  signals.add('deep', [nested], 0);
  signals.add('bytes', [new Uint8Array(VALUE_MAX + 1)], 0);
  expect(signals.waiting).toMatchObject([
    { value: null, size: VALUE_MAX + 4 },
    { value: null, size: 0 },
    { value: `[{"bytes":${VALUE_MAX + 1}}]` },
  ]);
});

/** Bytes as a payload of Temporal has them. */
const bytes = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
/** Texts of one kind of character: one, two or three bytes, four bytes, an escape of six, an escape of an escape. */
const texts = fc.constantFrom('v', 'é', '订', '😀', '\u0001', '"', '\\', '\ud800');

it('whatever waits fits into the input of one activity, also where Temporal takes smaller payloads, and none is missing', () => {
  const signal = fc.record({ name: fc.tuple(texts, fc.nat(300)), value: fc.tuple(texts, fc.nat(100_000)) });
  const waiting = fc.tuple(fc.array(signal, { minLength: 1, maxLength: 5 }), fc.constantFrom(1, WAITING_MAX));
  fc.assert(
    fc.property(waiting, fc.integer({ min: 100_000, max: PAYLOAD_BYTES_MAX }), ([given, countMin], payloadBytesMax) => {
      const signals = new ForeignSignals();
      for (let at = 0; at < Math.max(countMin, given.length); at++) {
        const { name, value } = given[at % given.length]!;
        signals.add(name[0].repeat(name[1]), [value[0].repeat(at < given.length ? value[1] : 9)], 1.7e12 + at);
      }
      const bytesMax = encodedLimit('foreignSignalsBytes', { payloadBytesMax });
      const sent = signalsWithin(signals.waiting, bytesMax);
      expect(bytes(sent)).toBeLessThanOrEqual(bytesMax + 2);
      expect(sent.map(({ atMs }) => atMs)).toEqual(signals.waiting.map(({ atMs }) => atMs));
      expect(sent.every(({ name }, index) => signals.waiting[index]!.name.startsWith(name))).toBe(true);
      if (payloadBytesMax === PAYLOAD_BYTES_MAX) expect(sent).toEqual(signals.waiting);
    }),
    { numRuns: 30, examples: [[[[{ name: ['\u0001', 200], value: ['订', 40_000] }], WAITING_MAX], PAYLOAD_BYTES_MAX]] },
  );
});

it('values are kept while their bytes have room, not their characters', () => {
  const signals = new ForeignSignals();
  signals.add('larger', ['订'.repeat(VALUE_MAX / 3)], 0);
  for (let at = 0; at < 3; at++) signals.add('fits', ['订'.repeat(VALUE_MAX / 3 - 2)], 0);
  expect(signals.waiting.map(({ value }) => value !== null)).toEqual([false, true, true, false]);
  expect(signals.waiting[0]!.size).toBe(Buffer.byteLength(JSON.stringify(['订'.repeat(VALUE_MAX / 3)])));
});
