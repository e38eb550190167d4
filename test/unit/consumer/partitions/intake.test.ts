import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  decideIntake,
  decideComparison,
  type Intake,
  type LogState,
} from '../../../../src/consumer/partitions/intake.js';
import type { PartitionTracker } from '../../../../src/consumer/partitions/tracker.js';
import { tracker } from '../../../support/trackers.js';

const logOf = (logStart: number, logEnd: number): LogState => ({ type: 'log', logStart, logEnd });
const ANY_LOG: fc.Arbitrary<LogState | null> = fc.oneof(
  fc.constant(null),
  fc.constantFrom<LogState>({ type: 'noTopic' }, { type: 'noAnswer' }),
  fc.tuple(fc.nat(20), fc.nat(20)).map(([start, length]) => logOf(start, start + length)),
);

/** Read up to here, and handed over. */
function at(next: number, end: number | null = null): PartitionTracker {
  const read = tracker({}, 0, { end });
  read.advanceTo(next);
  return read;
}

it.each<[what: string, fetched: number | null, log: LogState | null, decision: Intake]>([
  ['what is due', 10, null, { type: 'take' }],
  ['something else, before the log was asked', 20, null, { type: 'askLog' }],
  ['nothing, before the log was asked', null, null, { type: 'askLog' }],
  ['something later that the log does not explain', 20, logOf(0, 30), { type: 'seek' }],
  ['something earlier', 5, logOf(0, 30), { type: 'seek' }],
  ['nothing, of a log that has what is due', null, logOf(0, 30), { type: 'seek' }],
  ['nothing, at the end of the log', null, logOf(0, 10), { type: 'seek' }],
  ['what is left after retention', 20, logOf(20, 30), { type: 'gap', missed: 10, logStart: 20 }],
  ['nothing, of a log that retention has emptied', null, logOf(30, 30), { type: 'gap', missed: 20, logStart: 30 }],
  ['something of a log that ends before', 5, logOf(0, 9), { type: 'shortLog' }],
  ['something of a topic that is gone', 20, { type: 'noTopic' }, { type: 'topicGone' }],
  ['something while Kafka does not answer', 20, { type: 'noAnswer' }, { type: 'wait' }],
])('offset 10 is due, and the fetch brings %s', (_, fetched, log, decision) => {
  expect(decideIntake(at(10), fetched, log)).toEqual(decision);
});

it('takes nothing once the plan has ended, whatever is fetched', () => {
  fc.assert(
    fc.property(fc.option(fc.nat(40)), ANY_LOG, (fetched, log) => {
      expect(decideIntake(at(10, 10), fetched, log)).toEqual({ type: 'planEnds' });
    }),
  );
});

it('takes only what begins where it is due, unless the same later offset came twice for the same one', () => {
  fc.assert(
    fc.property(fc.nat(40), fc.nat(40), fc.option(fc.nat(40)), ANY_LOG, (next, fetched, jump, log) => {
      const due = at(next);
      if (jump !== null) due.jumped(jump);
      if (decideIntake(due, fetched, log).type !== 'take') return;
      if (fetched !== next) expect([fetched > next, fetched, log?.type]).toEqual([true, jump, 'log']);
      due.advanceTo(fetched + 1);
      expect(due.jumpedTo).toBeNull();
    }),
  );
});

it('reads each record once, in order, and passes over those only that retention has removed, whatever is fetched besides', () => {
  const step = fc.record({ stale: fc.option(fc.nat(60)), start: fc.nat(60), records: fc.integer({ min: 1, max: 7 }) });
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(59)), fc.array(step, { maxLength: 60 }), (holes, steps) => {
      const log = { logStart: 0, logEnd: 60 };
      const records = Array.from({ length: 60 }, (_, offset) => offset).filter((offset) => !holes.includes(offset));
      const due = at(0);
      const read: number[] = [];
      const removed = new Set<number>();
      /** As the shell does; gives the fetch that it asks for. */
      const intake = (from: number | null, to: number): void => {
        for (let answer: LogState | null = null; ;) {
          const decision = decideIntake(due, from, answer);
          if (decision.type === 'askLog') answer = { type: 'log', ...log };
          else if (decision.type === 'gap') {
            records
              .filter((offset) => offset >= due.next && offset < decision.logStart)
              .forEach((at) => removed.add(at));
            due.advanceTo(decision.logStart);
          } else {
            if (from === null) return;
            if (decision.type === 'seek') due.jumped(from);
            if (decision.type !== 'take') return;
            read.push(...records.filter((offset) => offset >= from && offset < to));
            due.advanceTo(to);
            return;
          }
        }
      };
      /** A fetch begins at the first record at or after its position; what retention has removed is out of range. */
      const fetch = (size: number): void => {
        const first = records.find((offset) => offset >= Math.max(due.next, log.logStart));
        if (first !== undefined) intake(first, Math.min(first + size, 60));
        else if (due.next < log.logStart) intake(null, 60);
      };
      for (const { stale, start, records: size } of steps) {
        log.logStart = Math.max(log.logStart, Math.min(start, due.next + 5));
        if (stale !== null && stale < 60) intake(stale, Math.min(stale + size, 60));
        fetch(size);
      }
      for (let fetches = 0; fetches < 200; fetches++) fetch(7);
      expect(read).toEqual(records.filter((offset) => !removed.has(offset)));
      for (const offset of removed) expect(offset).toBeLessThan(log.logStart);
    }),
  );
});

it('looks at what is fetched instead of a record that is not there, after three fetches from elsewhere', () => {
  expect([0, 1, 2, 3].map((mismatches) => decideComparison(10, 12, mismatches))).toEqual([
    'seek',
    'seek',
    'seek',
    'compare',
  ]);
  expect(decideComparison(10, 10, 0)).toBe('compare');
});
