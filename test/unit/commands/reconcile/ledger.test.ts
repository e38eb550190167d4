import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Ledger } from '../../../../src/commands/reconcile/ledger.js';

/** A ledger over offsets 10 to 19, with a record at each of these. */
function ledger(records: readonly number[], expectsAcks = true): Ledger {
  const made = new Ledger({ from: 10, to: 20, expectsAcks });
  for (const offset of records) made.record(offset, { skipped: false });
  return made;
}

it('a record is a row, a dead letter, skipped or held; what is none of these is missing, and named', () => {
  const of = ledger([10, 11, 12, 14, 15, 19]);
  of.record(16, { skipped: true });
  of.rows(10, 1, true);
  of.deadLetter(11);
  of.held(12);
  expect(of.summary()).toMatchObject({
    records: 7,
    inserted: 1,
    rejected: 1,
    skipped: 1,
    held: 1,
    missing: [
      { from: 14, to: 15, records: 2 },
      { from: 19, to: 19, records: 1 },
    ],
  });
});

it('offsets without a record do not divide a gap, records that are there do', () => {
  const of = ledger([10, 13, 17, 18]);
  of.rows(17, 1, true);
  expect(of.summary().missing).toEqual([
    { from: 10, to: 13, records: 2 },
    { from: 18, to: 18, records: 1 },
  ]);
});

it('what is done with needs an acknowledgement, what is held or missing does not yet', () => {
  const of = ledger([10, 11, 12, 13]);
  of.rows(10, 1, true);
  of.ack(10);
  of.rows(11, 1, true);
  of.held(12);
  expect(of.summary()).toMatchObject({ acknowledged: 1, unanswered: [{ from: 11, to: 11, records: 1 }] });
  const silent = ledger([10], false);
  silent.rows(10, 1, true);
  expect(silent.summary().unanswered).toEqual([]);
});

it('rows of a batch that is still on its way are not unanswered', () => {
  const of = ledger([10]);
  of.rows(10, 1, true);
  of.held(10);
  expect(of.summary()).toMatchObject({ inserted: 1, held: 0, missing: [], unanswered: [] });
});

it('two rows under one epoch are a double, one under each of two epochs are none', () => {
  const of = ledger([10, 11]);
  of.rows(10, 2, true);
  of.rows(11, 1, true);
  of.rows(11, 1, true);
  expect(of.summary().doubled).toEqual([{ from: 10, to: 10, records: 1 }]);
});

it('what lies outside of the range changes nothing', () => {
  const of = ledger([10]);
  of.rows(10, 1, true);
  of.ack(10);
  const before = of.summary();
  for (const offset of [9, 20, 0]) {
    of.record(offset, { skipped: false });
    of.rows(offset, 2, true);
  }
  expect(of.summary()).toEqual(before);
});

it('every record is counted once, and the gaps have exactly the missing ones', () => {
  const fate = fc.constantFrom('row', 'deadLetter', 'held', 'skipped', 'missing', 'none');
  fc.assert(
    fc.property(fc.array(fate, { maxLength: 50 }), (fates) => {
      const of = new Ledger({ from: 0, to: fates.length, expectsAcks: true });
      for (const [offset, what] of fates.entries()) {
        if (what === 'none') continue;
        of.record(offset, { skipped: what === 'skipped' });
        if (what === 'row') of.rows(offset, 1, true);
        if (what === 'deadLetter') of.deadLetter(offset);
        if (what === 'held') of.held(offset);
      }
      const { records, inserted, rejected, skipped, held, missing } = of.summary();
      const lost = missing.reduce((sum, gap) => sum + gap.records, 0);
      expect(lost).toBe(fates.filter((what) => what === 'missing').length);
      expect(inserted + rejected + skipped + held + lost).toBe(records);
      for (const { from, to } of missing) expect(fates[from] === 'missing' && fates[to] === 'missing').toBe(true);
    }),
  );
});

it('a row of another epoch is told from one of the committed epoch, beside which it does not count', () => {
  const of = ledger([10, 11, 12]);
  of.rows(10, 1, false);
  of.rows(11, 1, false);
  of.rows(11, 1, true);
  expect(of.summary()).toMatchObject({ inserted: 2, otherEpochs: [{ from: 10, to: 10, records: 1 }] });
});
