import fc from 'fast-check';
import { expect, it } from 'vitest';
import { findRefused } from '../../../src/clickhouse/findRefused.js';

/** Tries that refuse what holds a bad item, with a hint at the first one, a wrong hint, or none. */
function table(bad: ReadonlySet<number>, hint: (culprit: number, length: number) => number | undefined) {
  const inserted: number[] = [];
  let tries = 0;
  const tryAll = (part: readonly number[]) => {
    tries++;
    const culprit = part.findIndex((item) => bad.has(item));
    if (culprit < 0) inserted.push(...part);
    return Promise.resolve(culprit < 0 ? null : { suspect: hint(culprit, part.length) });
  };
  return { inserted, tryAll, tries: () => tries };
}

const ascending = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b);

it('finds exactly the bad items and inserts all others once, whatever the hints are worth', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 300 }),
      fc.array(fc.nat(299), { maxLength: 60 }),
      fc.array(fc.option(fc.integer({ min: -2, max: 300 }), { nil: undefined }), { minLength: 1, maxLength: 9 }),
      async (length, badIndexes, hints) => {
        const items = Array.from({ length }, (_, index) => index);
        const bad = new Set(badIndexes.filter((index) => index < length));
        let asked = 0;
        const { inserted, tryAll } = table(bad, () => hints[asked++ % hints.length]);
        const refused = await findRefused(items, tryAll);
        expect(ascending(refused.map(({ item }) => item))).toEqual(ascending([...bad]));
        expect(ascending(inserted)).toEqual(items.filter((item) => !bad.has(item)));
      },
    ),
  );
});

it.each([
  ['with right hints about two for each culprit', (culprit: number) => culprit, (k: number) => 3 * k + 8],
  ['without hints O(k log n)', () => undefined, (k: number, n: number) => 1 + 2 * k * Math.ceil(Math.log2(n + 2))],
])('the tries are bounded: %s', async (_, hint, triesMax) => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 2_000 }),
      fc.array(fc.nat(1_999), { maxLength: 100 }),
      async (length, badIndexes) => {
        const items = Array.from({ length }, (_, index) => index);
        const bad = new Set(badIndexes.filter((index) => index < length));
        const { inserted, tryAll, tries } = table(bad, hint);
        await findRefused(items, tryAll);
        expect(inserted).toEqual(items.filter((item) => !bad.has(item)));
        expect(tries()).toBeLessThanOrEqual(Math.max(1, triesMax(bad.size, length)));
      },
    ),
  );
});

it('more items in a row may be refused than a call can have arguments', async () => {
  const items = Array.from({ length: 200_000 }, (_, index) => index);
  const refused = await findRefused(items, () => Promise.resolve({ suspect: 0 }));
  expect(refused).toHaveLength(items.length);
}, 60_000);

it('refuses nothing where items are refused only in company', async () => {
  for (const suspect of [undefined, 0, 1]) {
    const tryAll = (part: readonly number[]) => Promise.resolve(part.length > 1 ? { suspect } : null);
    expect(await findRefused([1, 2, 3, 4, 5], tryAll)).toEqual([]);
  }
});

it('throws only when nothing is being tried any more', async () => {
  let running = 0;
  const tryAll = async ([item, second]: readonly number[]) => {
    running++;
    await new Promise((resolve) => setTimeout(resolve, item === 5 ? 0 : 20));
    running--;
    if (item === 5 && second === undefined) throw new Error('gone');
    return { suspect: 0 };
  };
  await expect(findRefused([1, 2, 3, 4, 5, 6, 7, 8, 9], tryAll)).rejects.toThrow('gone');
  expect(running).toBe(0);
});
