import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Ledger, type LedgerOptions } from '../../../../src/commands/reconcile/ledger.js';

const TIMESTAMP_MS = 1_700_000_000_500;
const SECONDS = 1_700_000_000;

/** A ledger over offsets 10 to 19, with a record at each of these. */
function ledger(records: readonly number[], options: Partial<LedgerOptions> = {}): Ledger {
  const made = new Ledger({ from: 10, to: 20, expectsAcks: true, epoch: 'now', epochFrom: 0, ...options });
  for (const offset of records) made.record(offset, { skipped: false, timestampMs: TIMESTAMP_MS });
  return made;
}

const rows = (offset: number, count = 1) => ({ offset, epoch: 'now', rows: count, seconds: SECONDS });
/** Rows of an epoch before. */
const before = (offset: number, seconds: number | null = SECONDS) => ({ ...rows(offset), epoch: 'before', seconds });
const record = (offset: number) => ({ offset, timestampMs: TIMESTAMP_MS });

it('a record is a row, a dead letter, skipped or held; what is none of these is missing, and named', () => {
  const of = ledger([10, 11, 12, 14, 15, 19]);
  of.record(16, { skipped: true, timestampMs: TIMESTAMP_MS });
  of.rows(rows(10));
  of.deadLetter(11, TIMESTAMP_MS);
  of.held(record(12));
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

it('of records that may hold many rows it tells those of which some are missing', () => {
  const of = ledger([], { manyRows: true });
  for (const [offset, count] of [
    [10, 3],
    [11, 3],
    [12, 3],
    [13, 1],
    [14, 2],
    [15, 2],
    [16, 2],
  ] as const)
    of.record(offset, { skipped: false, timestampMs: TIMESTAMP_MS, rows: count });
  of.rows({ ...rows(10, 3), different: 3 });
  of.rows({ ...rows(11, 2), different: 2 });
  of.rows({ ...before(12), different: 1 });
  of.rows({ ...rows(12, 2), different: 2 });
  of.rows({ ...rows(13, 2), different: 1 });
  of.rows({ ...rows(15, 1), different: 1 });
  of.deadLetter(15, TIMESTAMP_MS);
  of.rows({ ...rows(16, 1), different: 1 });
  of.held(record(16));
  expect(of.summary()).toMatchObject({
    inserted: 3,
    rejected: 1,
    held: 1,
    missing: [{ from: 14, to: 14, records: 1 }],
    incomplete: [{ from: 11, to: 11, records: 1 }],
    doubled: [{ from: 13, to: 13, records: 1 }],
  });
  expect(ledger([10]).summary()).not.toHaveProperty('incomplete');
});

it('offsets without a record do not divide a gap, records that are there do', () => {
  const of = ledger([10, 13, 17, 18]);
  of.rows(rows(17));
  expect(of.summary().missing).toEqual([
    { from: 10, to: 13, records: 2 },
    { from: 18, to: 18, records: 1 },
  ]);
});

it('what is done with needs an acknowledgement, what is held or missing does not yet', () => {
  const of = ledger([10, 11, 12, 13]);
  of.rows(rows(10));
  of.ack(10);
  of.rows(rows(11));
  of.held(record(12));
  expect(of.summary()).toMatchObject({ acknowledged: 1, unanswered: [{ from: 11, to: 11, records: 1 }] });
  const silent = ledger([10], { expectsAcks: false });
  silent.rows(rows(10));
  expect(silent.summary().unanswered).toEqual([]);
});

it('rows of a batch that is still on its way are not unanswered', () => {
  const of = ledger([10]);
  of.rows(rows(10));
  of.held(record(10));
  expect(of.summary()).toMatchObject({ inserted: 1, held: 0, missing: [], unanswered: [] });
});

it('two rows under one epoch are a double, one under each of two epochs are none', () => {
  const of = ledger([10, 11]);
  of.rows(rows(10, 2));
  of.rows(rows(11));
  of.rows(before(11));
  expect(of.summary().doubled).toEqual([{ from: 10, to: 10, records: 1 }]);
});

it('what lies outside of the range changes nothing', () => {
  const of = ledger([10]);
  of.rows(rows(10));
  of.ack(10);
  const unchanged = of.summary();
  for (const offset of [9, 20, 0]) {
    of.record(offset, { skipped: false, timestampMs: TIMESTAMP_MS });
    of.rows(rows(offset, 2));
  }
  expect(of.summary()).toEqual(unchanged);
});

it('every record is counted once, and the gaps have exactly the missing ones', () => {
  const fate = fc.constantFrom('row', 'deadLetter', 'held', 'skipped', 'missing', 'none');
  fc.assert(
    fc.property(fc.array(fate, { maxLength: 50 }), (fates) => {
      const of = ledger([], { from: 0, to: fates.length });
      for (const [offset, what] of fates.entries()) {
        if (what === 'none') continue;
        of.record(offset, { skipped: what === 'skipped', timestampMs: TIMESTAMP_MS });
        if (what === 'row') of.rows(rows(offset));
        if (what === 'deadLetter') of.deadLetter(offset, TIMESTAMP_MS);
        if (what === 'held') of.held(record(offset));
      }
      const { records, inserted, rejected, skipped, held, missing } = of.summary();
      const lost = missing.reduce((sum, gap) => sum + gap.records, 0);
      expect(lost).toBe(fates.filter((what) => what === 'missing').length);
      expect(inserted + rejected + skipped + held + lost).toBe(records);
      for (const { from, to } of missing) expect(fates[from] === 'missing' && fates[to] === 'missing').toBe(true);
    }),
  );
});

it('what is left of an earlier record at the same offset counts for nothing', () => {
  const of = ledger([10, 11, 12, 13]);
  of.rows({ ...before(10, SECONDS - 1), rows: 2 });
  of.deadLetter(11, TIMESTAMP_MS - 60_000);
  of.held({ offset: 12, timestampMs: TIMESTAMP_MS - 60_000 });
  of.rows(before(13, 0));
  expect(of.summary()).toMatchObject({
    inserted: 0,
    rejected: 0,
    held: 0,
    doubled: [],
    missing: [{ from: 10, to: 13, records: 4 }],
  });
});

it('records from before 1970 are told apart by their seconds, too', () => {
  const of = ledger([]);
  const at = (offset: number) => ({ offset, timestampMs: -2_208_988_800_000 });
  for (const offset of [10, 11, 12, 13]) of.record(offset, { ...at(offset), skipped: false });
  of.deadLetter(10, at(10).timestampMs);
  of.rows(before(11, -2_208_988_800));
  of.held(at(12));
  of.deadLetter(13, -2);
  of.rows(before(13, 0));
  of.held({ offset: 13, timestampMs: -1 });
  expect(of.summary()).toMatchObject({
    inserted: 1,
    rejected: 1,
    held: 1,
    missing: [{ from: 13, to: 13, records: 1 }],
  });
});

it('a row of an earlier epoch counts if it has the timestamp, and is named if the record was accepted again', () => {
  const of = ledger([10, 11, 12, 13], { epochFrom: 11 });
  of.rows(before(10));
  of.rows(before(11));
  of.rows(before(12));
  of.rows(rows(12));
  of.rows(rows(13));
  expect(of.summary()).toMatchObject({
    inserted: 4,
    missing: [],
    otherEpochs: [{ from: 11, to: 11, records: 1 }],
  });
});

it('without timestamps in the table, a row of an earlier epoch counts before the first offset of the committed one', () => {
  const of = ledger([10, 11], { epochFrom: 11 });
  of.rows(before(10, null));
  of.rows(before(11, null));
  expect(of.summary()).toMatchObject({ inserted: 1, missing: [{ from: 11, to: 11, records: 1 }] });
  const unknown = ledger([10], { epoch: null, epochFrom: Infinity });
  unknown.rows(before(10, null));
  expect(unknown.summary()).toMatchObject({ inserted: 1, missing: [], otherEpochs: [] });
});

it('a dead letter that does not tell the timestamp counts; a record without one has the time 0', () => {
  const of = ledger([10]);
  of.record(11, { skipped: false, timestampMs: -1 });
  of.deadLetter(10, null);
  of.rows(before(11, 0));
  expect(of.summary()).toMatchObject({ rejected: 1, inserted: 1, missing: [] });
});

it('in a chunk that cannot be unpacked, an epoch tells what is held', () => {
  const of = ledger([10, 11, 12], { epochFrom: 11 });
  of.heldUnder('now', 12);
  of.heldUnder('before', 10);
  of.heldUnder('before', 11);
  expect(of.summary()).toMatchObject({ held: 2, missing: [{ from: 11, to: 11, records: 1 }] });
  const unknown = ledger([10], { epoch: null, epochFrom: Infinity });
  unknown.heldUnder('before', 10);
  expect(unknown.summary()).toMatchObject({ held: 1, missing: [] });
});

it('a row of the committed epoch with another timestamp is of another record that was at the offset: it does not count', () => {
  const of = ledger([10, 11, 12]);
  of.rows(rows(10));
  of.rows({ ...rows(11), seconds: SECONDS - 7 });
  // Without timestamps the epoch alone tells.
  of.rows({ ...rows(12), seconds: null });
  expect(of.summary()).toMatchObject({ inserted: 2, missing: [{ from: 11, to: 11, records: 1 }] });
});

it('a row of the committed epoch counts if it was inserted before the table had timestamps, or the record has none', () => {
  const of = ledger([10, 11]);
  of.record(12, { skipped: false, timestampMs: -1 });
  of.rows({ ...rows(10), seconds: 0 });
  of.rows(rows(12));
  expect(of.summary()).toMatchObject({ inserted: 2, missing: [{ from: 11, to: 11, records: 1 }] });
});
