import fc from 'fast-check';
import { expect, it } from 'vitest';
import { tracker as newTracker } from '../../../support/trackers.js';

const source = { topic: 'orders', partition: 0, epoch: 'e1' };

it('commits nothing before anything is accepted, and everything once all is', () => {
  const tracker = newTracker(source, 10);
  expect(tracker.committable()).toBe(10);
  tracker.handOver(0, [10]);
  tracker.handOver(1, [11]);
  tracker.advanceTo(12);
  expect(tracker.committable()).toBe(10);
  tracker.accept(1, 11);
  expect(tracker.committable()).toBe(10);
  tracker.accept(0, 10);
  expect(tracker.committable()).toBe(12);
});

it('passes over offsets that are no records, such as those of control records', () => {
  const tracker = newTracker(source, 0);
  tracker.handOver(0, [3]);
  tracker.advanceTo(9);
  tracker.accept(0, 3);
  expect(tracker.committable()).toBe(9);
});

it('never commits past an offset that was handed over and not accepted, whatever the order of acceptances', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ lane: fc.nat(3), gap: fc.integer({ min: 1, max: 5 }) }) },
    { weight: 2, arbitrary: fc.record({ accept: fc.nat(3), records: fc.integer({ min: 1, max: 4 }) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const tracker = newTracker(source, 0);
      const pending = new Map<number, number[]>();
      let last = 0;
      for (const current of steps) {
        if ('lane' in current) {
          const offset = tracker.next + current.gap - 1;
          tracker.handOver(current.lane, [offset]);
          tracker.advanceTo(offset + 1);
          pending.set(current.lane, [...(pending.get(current.lane) ?? []), offset]);
        } else {
          const queue = pending.get(current.accept) ?? [];
          const through = queue.splice(0, current.records).at(-1);
          if (through !== undefined) tracker.accept(current.accept, through);
        }
        const unaccepted = [...pending.values()].flat();
        expect(tracker.committable()).toBe(Math.min(tracker.next, ...unaccepted));
        expect(tracker.committable()).toBeGreaterThanOrEqual(last);
        last = tracker.committable();
        for (const [lane, queue] of pending) expect(tracker.lastPending(lane)).toBe(queue.at(-1));
      }
    }),
  );
});
