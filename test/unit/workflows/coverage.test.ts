import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PARTITIONS_MAX } from '../../../src/commands/check/topicFindings.js';
import { Coverage } from '../../../src/workflows/coverage.js';
import type { OffsetRange } from '../../../src/protocol/chunk.js';

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

/** As a batcher over this many partitions has it, one after the other; the first ten have a record again at the end. */
function wide(partitions: number, { topic = 'a.topic.of.thirty.characters.x', from = 1_000_000_000, holes = 0 } = {}) {
  const coverage = new Coverage();
  const accept = (partition: number, first: number, afterMs: number) => {
    const nowMs = 1_760_000_000_000 + afterMs;
    const mark = { offset: first + 10, timestampMs: nowMs, crc32: -1_234_567_890 };
    for (const epoch of ['0123456789ab.0123ab', 'ba9876543210.0123ab'])
      for (let hole = 0; hole <= holes; hole++) {
        const to = first + hole * 100 + 10;
        coverage.accept([{ topic, partition, epoch, from: to - 10, to, records: 10, bytes: 100, mark }], nowMs);
      }
  };
  for (let partition = 0; partition < partitions; partition++) accept(partition, from, 1 + partition);
  for (let partition = 0; partition < 10; partition++) accept(partition, 2_000_000_000, 1 + partitions + partition);
  return coverage;
}

it('hands over no more than a run can be given: the partitions longest without a record are left out', () => {
  const coverage = wide(20_000);
  coverage.close({ topic: 'closed', partition: 0, epoch: 'e1' }, 10);
  const state = coverage.toState(Coverage.STATE_BYTES_MAX);
  expect(JSON.stringify(state).length).toBeLessThanOrEqual(Coverage.STATE_BYTES_MAX + 2);
  const kept = state.map(({ partition }) => partition);
  const others = 20_000 - (kept.length - 10);
  expect(kept).toEqual([
    ...Array.from({ length: 10 }, (_, partition) => partition),
    ...Array.from({ length: kept.length - 10 }, (_, index) => others + index),
  ]);
  expect(new Coverage(state).toState()).toEqual(state);
});

it('leaves out the partitions longest without a record, also of what was added from others, in whatever order', () => {
  const accepted = (partitions: readonly number[], offset: number, atMs: number): Coverage => {
    const coverage = new Coverage();
    for (const partition of partitions) {
      const mark = { offset, timestampMs: 0, crc32: 0 };
      const segment = { topic: 'orders', partition, epoch: 'e1', from: -1, to: offset, records: 1, bytes: 1, mark };
      coverage.accept([segment], atMs + partition);
    }
    return coverage;
  };
  const earlier = accepted([1, 2, 3, 4], 10, 100);
  const later = accepted([4, 2, 5], 20, 200);
  for (const [one, other] of [
    [earlier, later],
    [later, earlier],
  ] as const) {
    const both = new Coverage(one.toState());
    both.addAll(other.toState());
    for (const newest of [
      [2, 3, 4, 5],
      [2, 4, 5],
      [4, 5],
    ]) {
      const kept = both.toState().filter(({ partition }) => newest.includes(partition));
      expect(both.toState(JSON.stringify(kept).length)).toEqual(kept);
    }
  }
});

it('leaves out what came first of what has no time, or the same', () => {
  const coverage = new Coverage();
  for (const partition of [3, 1, 2]) coverage.close({ topic: 'closed', partition, epoch: 'e1' }, 10);
  const bytes = JSON.stringify(coverage.toState()).length - 2;
  expect(coverage.toState(bytes).map(({ partition }) => partition)).toEqual([1, 2]);
});

it.each([
  ['topic names of thirty characters', {}],
  ['topic names of sixty', { topic: 'a.topic.of.sixty.characters.'.padEnd(60, 'x') }],
  ['a hole in each epoch', { holes: 1 }],
  ['offsets of thirteen digits', { from: 1_000_000_000_000 }],
])('hands all of it over of as many partitions as a pipeline may have, with two epochs each and %s', (_, options) => {
  expect(wide(PARTITIONS_MAX, options).toState(Coverage.STATE_BYTES_MAX)).toHaveLength(PARTITIONS_MAX);
});

it('stays bounded with many holes: the lowest are taken as covered', () => {
  const coverage = new Coverage();
  for (let from = 0; from < 1_000; from += 2) coverage.add(source, [from, from + 1]);
  expect(coverage.size).toBe(Coverage.RANGES_MAX);
  expect(coverage.uncovered(source, [996, 999])).toEqual([[997, 998]]);
});
