import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Coverage } from '../../../src/workflows/coverage.js';
import type { OffsetRange } from '../../../src/records/chunk.js';

const source = { topic: 'orders', partition: 0, epoch: 'e1' };
const range = fc
  .tuple(fc.integer({ min: -1, max: 60 }), fc.integer({ min: 0, max: 12 }))
  .map(([from, length]): OffsetRange => [from, from + length]);
const offsetsIn = (ranges: readonly OffsetRange[]) =>
  ranges.flatMap(([from, to]) => Array.from({ length: to - from }, (_, index) => from + 1 + index));

it('knows exactly the offsets that were added, whatever the order and overlap of the ranges, as long as they are few', () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 20 }), range, (added, asked) => {
      const coverage = new Coverage();
      for (const one of added) {
        coverage.add(source, one);
        fc.pre(coverage.size < Coverage.RANGES_MAX);
      }
      const known = new Set(offsetsIn(added));
      expect(offsetsIn(coverage.uncovered(source, asked))).toEqual(
        offsetsIn([asked]).filter((offset) => !known.has(offset)),
      );
      expect(new Coverage(JSON.parse(JSON.stringify(coverage.toState())) as never).toState()).toEqual(
        coverage.toState(),
      );
    }),
  );
});

it('is one range where each chunk continues the one before', () => {
  const coverage = new Coverage();
  for (let from = -1; from < 1_000; from += 10) coverage.add(source, [from, from + 10]);
  expect(coverage.size).toBe(1);
});

it('keeps partitions and epochs apart', () => {
  const coverage = new Coverage();
  coverage.add(source, [0, 10]);
  expect(coverage.uncovered({ ...source, epoch: 'e2' }, [0, 10])).toEqual([[0, 10]]);
  expect(coverage.uncovered({ ...source, partition: 1 }, [0, 10])).toEqual([[0, 10]]);
  expect(coverage.uncovered({ ...source, topic: 'other' }, [0, 10])).toEqual([[0, 10]]);
});

it('forgets the epoch that was used least recently beyond sixteen', () => {
  const coverage = new Coverage();
  for (let epoch = 0; epoch < 16; epoch++) coverage.add({ ...source, epoch: `e${epoch}` }, [0, 10]);
  coverage.add({ ...source, epoch: 'e0' }, [10, 20]);
  coverage.add({ ...source, epoch: 'e16' }, [0, 10]);
  expect(coverage.uncovered({ ...source, epoch: 'e0' }, [0, 20])).toEqual([]);
  expect(coverage.uncovered({ ...source, epoch: 'e1' }, [0, 10])).toEqual([[0, 10]]);
});

it('stays bounded with many holes: the lowest are taken as covered', () => {
  const coverage = new Coverage();
  for (let from = 0; from < 1_000; from += 2) coverage.add(source, [from, from + 1]);
  expect(coverage.size).toBe(Coverage.RANGES_MAX);
  expect(coverage.uncovered(source, [996, 999])).toEqual([[997, 998]]);
});
