import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bisect } from '../../../src/activities/bisect.js';

it('finds exactly the bad items and inserts all others once, in O(k log n) tries', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 300 }),
      fc.array(fc.nat(299), { maxLength: 8 }),
      async (length, badIndexes) => {
        const items = Array.from({ length }, (_, index) => index);
        const bad = new Set(badIndexes.filter((index) => index < length));
        const inserted: number[] = [];
        let tries = 0;
        const refused = await bisect(items, (part) => {
          tries++;
          const culprit = part.find((item) => bad.has(item));
          if (culprit === undefined) inserted.push(...part);
          return Promise.resolve(culprit ?? null);
        });
        expect(refused.map(({ item }) => item)).toEqual([...bad].toSorted((a, b) => a - b));
        expect(inserted).toEqual(items.filter((item) => !bad.has(item)));
        expect(tries).toBeLessThanOrEqual(1 + 2 * bad.size * Math.ceil(Math.log2(length + 2)));
      },
    ),
  );
});

it('rejects nothing where items are refused only in company', async () => {
  const refused = await bisect([1, 2, 3, 4], (part) => Promise.resolve(part.length > 1 ? 'together' : null));
  expect(refused).toEqual([]);
});
