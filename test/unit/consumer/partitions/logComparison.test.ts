import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LogComparison, type LogVerdict } from '../../../../src/consumer/partitions/logComparison.js';
import type { AcceptedMark } from '../../../../src/protocol/batcher.js';
import type { RecordMark } from '../../../../src/protocol/chunk.js';

interface Log {
  readonly logStart: number;
  readonly logEnd: number;
  readonly recordAt: (offset: number) => RecordMark | null;
}

/** A log whose records are of one writing up to an offset, and of another one from there. */
function log(
  logStart: number,
  logEnd: number,
  { changedFrom = Infinity, absent = (_: number): boolean => false } = {},
): Log {
  const recordAt = (offset: number): RecordMark | null => {
    let at = Math.max(offset, logStart);
    while (at < logEnd && absent(at)) at++;
    if (at >= logEnd) return null;
    // The other writing is younger than all that was read.
    return at < changedFrom
      ? { offset: at, timestampMs: at, crc32: at }
      : { offset: at, timestampMs: 10_000 + at, crc32: ~at };
  };
  return { logStart, logEnd, recordAt };
}

const marks = (offsets: readonly number[]): AcceptedMark[] =>
  offsets.map((offset) => ({ epoch: 'e1', offset, timestampMs: offset, crc32: offset, acceptedAtMs: 5_000 }));

function verdict(remembered: readonly AcceptedMark[], of: Log, lastReadMs: number | null = 5_000): LogVerdict {
  const comparison = new LogComparison(remembered, of, lastReadMs);
  for (let looks = 0; comparison.offset !== null; looks++) {
    expect(looks).toBeLessThan(10);
    const found = comparison.compare(of.recordAt(comparison.offset));
    if (found !== null) return found;
  }
  return { type: 'unproven' };
}

const offsets = fc.array(fc.nat(99), { maxLength: 20 });

it('knows the log again by the latest record that is the same, and says whether others stand behind it', () => {
  fc.assert(
    fc.property(offsets, fc.integer({ min: 1, max: 100 }), fc.nat(100), (read, logEnd, changedFrom) => {
      const found = verdict(marks(read), log(0, logEnd, { changedFrom }));
      const looked = read
        .filter((offset) => offset < logEnd)
        .sort((one, other) => other - one)
        .slice(0, 8);
      const same = looked.filter((offset) => offset < changedFrom);
      if (same.length > 0) {
        const upTo = Math.max(...same);
        expect(found).toEqual({ type: 'same', upTo, replaced: looked.some((offset) => offset > upTo) });
      } else if (looked.length > 0 || changedFrom === 0) expect(found).toEqual({ type: 'other' });
      else expect(found).toEqual({ type: 'unproven' });
    }),
  );
});

it('a topic recreated after everything was read is another log, even where no offset that was read is left in it', () => {
  expect(verdict(marks([900, 950]), log(0, 100, { changedFrom: 0 }))).toEqual({ type: 'other' });
});

it('a log truncated below everything that is remembered is not another log', () => {
  expect(verdict(marks([900, 950]), log(0, 100))).toEqual({ type: 'unproven' });
  // Written to again since: its first record is still the old one.
  expect(verdict(marks([900, 950]), log(0, 100, { changedFrom: 50 }))).toEqual({ type: 'unproven' });
});

it('an empty log proves nothing, and neither does one of a partition that no batcher remembers', () => {
  expect(verdict(marks([900]), log(0, 0))).toEqual({ type: 'unproven' });
  expect(verdict([], log(0, 100, { changedFrom: 0 }), null)).toEqual({ type: 'unproven' });
});

it('a record that compaction has removed proves nothing: an earlier one is looked at', () => {
  const compacted = log(0, 100, { absent: (offset) => offset === 90 });
  expect(verdict(marks([90, 80]), compacted)).toEqual({ type: 'same', upTo: 80, replaced: false });
  expect(verdict(marks([90]), compacted, null)).toEqual({ type: 'unproven' });
});

it('says whether a record that was read should be where it looks, or the first of all, which may come later', () => {
  const comparison = new LogComparison(marks([4]), log(0, 10), 5_000);
  expect([comparison.offset, comparison.isAtMark]).toEqual([4, true]);
  expect(comparison.compare(null)).toBeNull();
  expect([comparison.offset, comparison.isAtMark]).toEqual([0, false]);
});
