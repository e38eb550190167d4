import fc from 'fast-check';
import { expect, test } from 'vitest';
import { commitParts } from '../../../src/kafka/commitParts.js';

test('the parts of a commit are the commit, in order, and none is empty or over the limit', () => {
  const commit = fc.record({
    topic: fc.string({ maxLength: 249 }),
    metadata: fc.string({ maxLength: 8_000, unit: 'binary' }),
  });
  fc.assert(
    fc.property(fc.array(commit, { maxLength: 150 }), (commits) => {
      const parts = commitParts(commits);
      expect(parts.flat()).toEqual(commits);
      for (const part of parts) {
        expect(part.length).toBeGreaterThan(0);
        const bytes = part.reduce((sum, { topic, metadata }) => sum + Buffer.byteLength(topic + metadata), 0);
        expect(bytes).toBeLessThanOrEqual(200_000);
      }
    }),
    { numRuns: 20 },
  );
});

test('a commit of a few hundred partitions is one part', () => {
  expect(commitParts(Array.from({ length: 400 }, () => ({ topic: 'orders', metadata: 'm'.repeat(80) })))).toHaveLength(
    1,
  );
});
