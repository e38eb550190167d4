import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { BatchHistogram } from '../../../src/telemetry/batchHistogram.js';

const LABELS = { name: 'seconds', help: 'Seconds.', labelNames: ['pipeline', 'status'], buckets: [0.5, 1, 10] };

function both() {
  const registries = [new Registry(), new Registry()] as const;
  const batches = new BatchHistogram({ ...LABELS, registers: [registries[0]] });
  const plain = new Histogram({ ...LABELS, registers: [registries[1]] });
  return { batches, plain, texts: () => Promise.all(registries.map((registry) => registry.metrics())) };
}

it('counts the values of batches as prom-client counts each of them', async () => {
  // Sums of eighths are exact, in whatever order they are added.
  const value = fc.integer({ min: 0, max: 100 }).map((eighths) => eighths / 8);
  const labels = fc.record({ pipeline: fc.constantFrom('a', 'b'), status: fc.constantFrom('x', 'y') });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(labels, fc.array(value), fc.boolean())), async (steps) => {
      const { batches, plain, texts } = both();
      for (const [own, values, together] of steps) {
        if (together) batches.observeAll(own, Float64Array.from(values));
        else for (const each of values) batches.observe(own, each);
        for (const each of values) plain.observe(own, each);
      }
      const [text, expected] = await texts();
      expect(text).toBe(expected);
    }),
  );
});

it('counts on after it was reset, and beside series that begin with zero', async () => {
  const { batches, plain, texts } = both();
  const own = { pipeline: 'a', status: 'x' };
  batches.observeAll(own, Float64Array.of(1));
  batches.reset();
  for (const histogram of [batches, plain]) histogram.zero(own);
  batches.observeAll(own, Float64Array.of(0.5, 11));
  for (const value of [0.5, 11]) plain.observe(own, value);
  const [text, expected] = await texts();
  expect(text).toBe(expected);
});
