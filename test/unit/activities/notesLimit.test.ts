import fc from 'fast-check';
import { expect, it } from 'vitest';
import { notesWithin } from '../../../src/activities/notesLimit.js';
import { REJECTION_CODES } from '../../../src/protocol/ack.js';
import { noteRejections, type AttemptNotes, type InsertNotes } from '../../../src/protocol/attemptNotes.js';

const bytesOf = (notes: AttemptNotes) => Buffer.byteLength(JSON.stringify(notes));

const doneOf = (message: string): InsertNotes => ({
  whole: '',
  unsettled: [],
  done: [['unknown_field', message, [[0, 0]]]],
});

const tablesOf = (count: number, note: InsertNotes) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`table_${index}`, note]));

it('notes that fit stay as they are', () => {
  const notes = { attempt: 2, refusedForMs: 5, acknowledgedTables: ['table_0'], inserts: tablesOf(3, doneOf('x')) };
  expect(notesWithin(notes, 1_000)).toBe(notes);
});

it('messages are left out before tables, and those of the last table first', () => {
  const { inserts = {} } = notesWithin({ inserts: tablesOf(10, doneOf('漢'.repeat(300))) }, 6_000);
  const messages = Object.values(inserts).map(({ done }) => done?.[0]?.[1].length);
  expect(messages).toEqual([300, 300, 300, 300, 300, 0, 0, 0, 0, 0]);
});

it('sets that views may lack stay as long as they fit, and where they do not, it is known that some were sent', () => {
  const sent = { whole: 'token', unsettled: [[[0, 9]]] } as const;
  const notes = { inserts: { ...tablesOf(10, doneOf('x')), sent, other: { ...sent, rememberedBy: 'x' } } };
  const other = { ...sent, rememberedBy: 'x' };
  expect(notesWithin(notes, 400).inserts).toEqual({ ...tablesOf(2, doneOf('')), sent, other });
  const incomplete = { whole: 'token', unsettled: [], incomplete: true };
  expect(notesWithin(notes, 150).inserts).toEqual({ sent: incomplete });
});

it('notes keep to the limit whatever they hold, and what was kept once is kept when the same is noted again', () => {
  const verdict = fc.record({
    code: fc.constantFrom(REJECTION_CODES.notJson, REJECTION_CODES.unknownField),
    message: fc.string({ unit: fc.constantFrom('a', '漢', '\u0001', '"'), maxLength: 200 }),
  });
  const verdicts = fc.array(fc.option(verdict, { nil: undefined }), { maxLength: 12 });
  const note: fc.Arbitrary<InsertNotes> = fc.oneof(
    verdicts.map((ofPlaces) => {
      const rejections = ofPlaces.flatMap((one, place) => (one === undefined ? [] : [[place, one] as const]));
      return { whole: '', unsettled: [], done: noteRejections(new Map(rejections)) ?? [] };
    }),
    fc.record({
      whole: fc.string(),
      unsettled: fc.array(fc.array(fc.tuple(fc.nat(9_999), fc.nat(9_999)), { maxLength: 5 }), { maxLength: 3 }),
    }),
  );
  const tableName = fc.string({ unit: fc.constantFrom('a', '漢', '"'), maxLength: 20 }).map((name) => `t${name}`);
  const some = fc.dictionary(tableName, note, { maxKeys: 15 });

  fc.assert(
    fc.property(some, some, fc.integer({ min: 150, max: 5_000 }), (first, more, bytesMax) => {
      const inserts = { ...first, ...more };
      const notes = notesWithin({ attempt: 2, refusedAtMs: 1_760_000_000_000, inserts }, bytesMax);
      expect(bytesOf(notes)).toBeLessThanOrEqual(bytesMax);
      const done = Object.entries(notes.inserts ?? {}).flatMap(([table, { done }]) => (done ? [table] : []));
      // The records of these tables are acknowledged now. All of that is noted, and stays when the others come again.
      const acknowledged = notesWithin({ ...notes, acknowledgedTables: done }, bytesMax);
      expect(acknowledged).toEqual({ ...notes, acknowledgedTables: done });
      const left = acknowledged.inserts ?? {};
      const isLeft = (table: string) => Object.hasOwn(left, table);
      const others = Object.entries(inserts).filter(([table, { done }]) => done && !isLeft(table));
      const again = notesWithin({ ...acknowledged, inserts: { ...left, ...Object.fromEntries(others) } }, bytesMax);
      expect(bytesOf(again)).toBeLessThanOrEqual(bytesMax);
      expect(again.acknowledgedTables).toEqual(done);
    }),
    { numRuns: 50 },
  );
});
