import { expect, it } from 'vitest';
import { ForeignSignals } from '../../../src/workflows/foreignSignals.js';

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
