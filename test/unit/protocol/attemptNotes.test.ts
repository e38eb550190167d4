import fc from 'fast-check';
import { expect, it } from 'vitest';
import { REJECTION_CODES, type Rejection } from '../../../src/protocol/ack.js';
import {
  hadOutage,
  notedRejections,
  noteOutage,
  noteRefusal,
  noteRejections,
  readNotes,
  refusedForMs,
  rowSet,
  rowsOf,
  type AttemptNotes,
} from '../../../src/protocol/attemptNotes.js';

const MINUTE_MS = 60_000;

it('counts the time between errors that ClickHouse answered with, and neither outages nor hours without a worker', () => {
  let notes: AttemptNotes = readNotes(undefined, 1);
  for (const minute of [0, 1, 2]) notes = noteRefusal(notes, minute * MINUTE_MS);
  expect(refusedForMs(notes, 2 * MINUTE_MS)).toBe(2 * MINUTE_MS);
  notes = noteOutage(notes, 3 * MINUTE_MS);
  notes = noteRefusal(notes, 100 * MINUTE_MS);
  expect(refusedForMs(notes, 100 * MINUTE_MS)).toBe(2 * MINUTE_MS);
  // Nobody tried for hours.
  notes = noteRefusal(notes, 500 * MINUTE_MS);
  expect(refusedForMs(notes, 500 * MINUTE_MS)).toBe(3 * MINUTE_MS);
  // Another worker's clock is behind.
  expect(refusedForMs(notes, 0)).toBe(3 * MINUTE_MS);
});

it('remembers an outage for ten minutes, through errors that follow', () => {
  const notes = noteRefusal(noteOutage({}, 0), MINUTE_MS);
  expect(hadOutage(notes, 9 * MINUTE_MS)).toBe(true);
  expect(hadOutage(notes, 10 * MINUTE_MS)).toBe(false);
});

it('a set of rows is read as it was noted, or not noted at all', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(2_000), { maxLength: 800 }), (numbers) => {
      const rows = numbers.toSorted((a, b) => a - b);
      const set = rowSet(rows);
      if (set === null) expect(rows.length).toBeGreaterThan(200);
      else expect(rowsOf(JSON.parse(JSON.stringify(set)) as typeof set)).toEqual(rows);
    }),
  );
});

it('verdicts are read as they were noted, without their messages where these are too large, or not noted at all', () => {
  const rejection = fc.record({
    code: fc.constantFrom(...Object.values(REJECTION_CODES)),
    message: fc.oneof(fc.constantFrom('', 'a', 'not inserted'), fc.string({ minLength: 8_000, maxLength: 9_000 })),
  });
  const places = fc.uniqueArray(fc.tuple(fc.nat(400), rejection), { maxLength: 300, selector: ([place]) => place });
  fc.assert(
    fc.property(places, (entries) => {
      const verdicts = new Map<number, Rejection>(entries.toSorted(([a], [b]) => a - b));
      const noted = noteRejections(verdicts);
      if (noted === null) {
        expect(verdicts.size).toBeGreaterThan(200);
        return;
      }
      const text = JSON.stringify(noted);
      // Every character of a message may be written as six.
      expect(text.length).toBeLessThan(150_000);
      const read = [...notedRejections(JSON.parse(text) as typeof noted)].sort(([a], [b]) => a - b);
      const messages = [...new Set([...verdicts.values()].map(({ message }) => message))];
      const whole = messages.join('').length <= 20_000 && messages.every((message) => message.length < 8_000);
      const codes = [...verdicts].map(([place, { code }]) => [place, { code, message: '' }]);
      if (whole) expect(read).toEqual([...verdicts]);
      else expect([[...verdicts], codes]).toContainEqual(read);
    }),
  );
});

it.each([undefined, null, 'of another version', 7])('takes %j for no notes', (details) => {
  expect(readNotes(details, 2)).toEqual({});
});

it('what was sent is known only where the attempt before has noted it: version 0.1.0, which may have come between, notes nothing', () => {
  const open = { whole: 'token', unsettled: [[[0, 9]]] } as const;
  const done = { whole: '', unsettled: [], done: [] };
  const notes: AttemptNotes = { attempt: 3, refusedForMs: 5, inserts: { open, done } };
  expect(readNotes(notes, 4)).toEqual(notes);
  expect(readNotes(notes, 5)).toEqual({ ...notes, inserts: { done } });
  expect(readNotes({ inserts: { open } }, 2)).toEqual({ inserts: {} });
});
