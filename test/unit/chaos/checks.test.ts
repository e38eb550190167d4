import { expect, it } from 'vitest';
import { check, type Ack, type Observed } from '../../../chaos/checks.js';

const BOUNDS = { recordsMin: 4, memoryBytesMax: 500, faultsMin: 1, slowness: 1 };

/** Three good records, two of one key, and a bad one; everything is as it should be. */
const RIGHT: Observed = {
  produced: { written: [[0, 3]], aborted: [[10, 11]], unknown: [[5, 5]] },
  input: [
    { partition: 0, offset: 0, key: 'a', id: 0, text: 't0', value: 'v0' },
    { partition: 0, offset: 1, key: 'a', id: 1, text: 't1', value: 'v1' },
    { partition: 1, offset: 0, key: 'b', id: 2, text: 't2', value: 'v2' },
    { partition: 1, offset: 1, key: 'b', id: 3, text: '', value: 'v3' },
  ],
  rows: [
    { id: 0, partition: 0, offset: 0, key: 'a', text: 't0', insertedAtUs: 1 },
    { id: 1, partition: 0, offset: 1, key: 'a', text: 't1', insertedAtUs: 2 },
    { id: 2, partition: 1, offset: 0, key: 'b', text: 't2', insertedAtUs: 1 },
  ],
  letters: [{ partition: 1, offset: 1, id: 3, code: 'not_json', value: 'v3' }],
  acks: [
    ack({ replyOffset: 0, partition: 0, offset: 0 }),
    ack({ replyOffset: 1, partition: 0, offset: 1 }),
    ack({ replyOffset: 2, key: 'b', partition: 1, offset: 0 }),
    ack({ replyOffset: 3, key: 'b', partition: 1, offset: 1, status: 'rejected', code: 'not_json' }),
  ],
  view: { rows: 3, lacking: 0, extra: 0 },
  told: { missedByViews: 0 },
  offsets: [
    { atMs: 0, committed: [0, 0], ends: [2, 1] },
    { atMs: 1, committed: [2, 2], ends: [2, 2] },
  ],
  replies: [{ atMs: 0, acks: 4, acknowledged: 4, asked: 2, absent: [] }],
  runs: [
    { workflowId: 'w', runId: 'r1', status: 'CONTINUED_AS_NEW' },
    { workflowId: 'w', runId: 'r2', status: 'TERMINATED' },
    { workflowId: 'w', runId: 'r3', status: 'RUNNING' },
  ],
  offsetsLost: [],
  layoutChanged: false,
  closedRuns: new Set(['r2']),
  drainMs: 1_000,
  backlog: 2,
  peakMemory: { 'daemon-1': 400 },
  wrongEnds: [],
  faults: 1,
};

function ack(changes: Partial<Ack>): Ack {
  const usual = { key: 'a', status: 'inserted', batch: 'x', code: '' };
  return { replyPartition: 0, replyOffset: 0, partition: 0, offset: 0, ...usual, ...changes };
}

function violations(changes: Partial<Observed>): Record<string, readonly string[]> {
  const verdicts = check({ ...RIGHT, ...changes }, BOUNDS).filter((verdict) => verdict.violations.length > 0);
  return Object.fromEntries(verdicts.map((verdict) => [verdict.name, verdict.violations]));
}

/** Without the elements at these indexes. */
function without<T>(list: readonly T[], ...indexes: number[]): T[] {
  return list.filter((_, index) => !indexes.includes(index));
}

/** With changes in the element at an index. */
function changed<T>(list: readonly T[], at: number, changes: Partial<T>): T[] {
  return list.map((each, index) => (index === at ? { ...each, ...changes } : each));
}

const [ROW, ACK] = [RIGHT.rows[0]!, RIGHT.acks[0]!];

it('finds nothing if everything is right', () => {
  expect(violations({})).toEqual({});
});

it('lets nothing pass of which nothing was read, whatever the bounds', () => {
  const nothing: Observed = {
    produced: { written: [], aborted: [], unknown: [] },
    input: [],
    rows: [],
    letters: [],
    acks: [],
    view: { rows: 0, lacking: 0, extra: 0 },
    told: { missedByViews: 0 },
    offsets: [],
    replies: [],
    runs: [],
    offsetsLost: [],
    layoutChanged: false,
    closedRuns: new Set(),
    drainMs: 0,
    backlog: 0,
    peakMemory: { 'daemon-1': 0 },
    wrongEnds: [],
    faults: 0,
  };
  const verdicts = check(nothing, { recordsMin: 0, memoryBytesMax: 500, faultsMin: 0, slowness: 1 });
  expect(verdicts.filter(({ violations }) => violations.length === 0)).toEqual([]);
});

it('wants a fault in the shortest run', () => {
  const verdicts = check({ ...RIGHT, faults: 0 }, { ...BOUNDS, faultsMin: 0 });
  expect(verdicts.find(({ name }) => name === 'there was enough to go wrong')?.violations).toEqual([
    'only 0 of 1 faults were done',
  ]);
});

/** What is planted, which checks have to find it, and what one of them has to say. */
const PLANTED: Readonly<Record<string, { readonly planted: Partial<Observed>; readonly found: readonly string[] }>> = {
  'a record that was confirmed and is not in the log': {
    planted: { produced: { ...RIGHT.produced, written: [[0, 4]] } },
    found: ['what was produced is in the log, once'],
  },
  'an aborted record that is in the log, and a row': {
    planted: { produced: { ...RIGHT.produced, aborted: [[2, 2]] } },
    found: ['what was produced is in the log, once', 'nothing is there that was not produced'],
  },
  'a record without a row': {
    planted: { rows: without(RIGHT.rows, 2) },
    found: ['each record is one row or a dead letter', 'acknowledgements are true'],
  },
  'a record with two rows': {
    planted: { rows: [...RIGHT.rows, ROW] },
    found: ['each record is one row or a dead letter'],
  },
  'a record that is a row and a dead letter': {
    planted: { letters: [...RIGHT.letters, { partition: 0, offset: 0, id: 0, code: 'not_json', value: 'v0' }] },
    found: ['each record is one row or a dead letter'],
  },
  'a bad record with two dead letters that disagree': {
    planted: { letters: [...RIGHT.letters, ...changed(RIGHT.letters, 0, { code: 'not_object' })] },
    found: ['each record is one row or a dead letter', 'acknowledgements are true'],
  },
  'a bad record with two dead letters without a fault': {
    planted: { letters: [...RIGHT.letters, ...RIGHT.letters], faults: 0 },
    found: ['each record is one row or a dead letter', 'there was enough to go wrong'],
  },
  'a row that nobody has produced': {
    planted: { rows: [...RIGHT.rows, { ...ROW, id: 77, offset: 77 }] },
    found: ['nothing is there that was not produced'],
  },
  'a row at the place of another record': {
    planted: { rows: changed(RIGHT.rows, 2, { id: 1 }) },
    found: ['nothing is there that was not produced'],
  },
  'an acknowledgement of no record': {
    planted: { acks: [...RIGHT.acks, { ...ACK, replyOffset: 9, offset: 9, status: 'rejected', code: 'not_json' }] },
    found: ['nothing is there that was not produced', 'acknowledgements are true'],
  },
  'a row with another text': {
    planted: { rows: changed(RIGHT.rows, 0, { text: 'other' }) },
    found: ['rows and dead letters hold what was produced'],
  },
  'a dead letter with another value': {
    planted: { letters: changed(RIGHT.letters, 0, { value: 'other' }) },
    found: ['rows and dead letters hold what was produced'],
  },
  'a record without an acknowledgement': {
    planted: { acks: without(RIGHT.acks, 2) },
    found: ['each record is acknowledged, and always in the same way'],
  },
  'acknowledgements that disagree': {
    planted: { acks: [...RIGHT.acks, { ...ACK, replyOffset: 9, status: 'rejected', code: 'not_json' }] },
    found: ['each record is acknowledged, and always in the same way', 'acknowledgements are true'],
  },
  'a rejection that is in the table': {
    planted: { acks: changed(RIGHT.acks, 0, { status: 'rejected', code: 'not_json' }) },
    found: ['acknowledgements are true'],
  },
  'a rejection whose dead letter says another reason': {
    planted: { letters: changed(RIGHT.letters, 0, { code: 'not_object' }) },
    found: ['acknowledgements are true'],
  },
  'a row that was not there when its acknowledgement came': {
    planted: { replies: [{ ...RIGHT.replies[0]!, absent: [[0, 1]] }] },
    found: ['a row is there when its acknowledgement comes'],
  },
  'rows of a key in another order': {
    planted: { rows: changed(RIGHT.rows, 1, { insertedAtUs: 0 }) },
    found: ['rows and acknowledgements of a key are in order'],
  },
  'acknowledgements of a key in another order': {
    planted: { acks: changed(RIGHT.acks, 0, { replyOffset: 8 }) },
    found: ['rows and acknowledgements of a key are in order'],
  },
  'a commit past the end of the log': {
    planted: { offsets: changed(RIGHT.offsets, 0, { committed: [0, 2] }) },
    found: ['commits go forward, up to the ends of the logs'],
  },
  'a commit that goes backward': {
    planted: { offsets: [...RIGHT.offsets, { atMs: 2, committed: [1, 2], ends: [2, 2] }, RIGHT.offsets[1]!] },
    found: ['commits go forward, up to the ends of the logs'],
  },
  'an offset that is not committed at the end': {
    planted: { offsets: [{ atMs: 0, committed: [2, 1], ends: [2, 2] }] },
    found: ['commits go forward, up to the ends of the logs'],
  },
  'a batcher that ends without a change of the layout': {
    planted: { runs: changed(RIGHT.runs, 2, { status: 'COMPLETED' }) },
    found: ['runs of batchers end by continue-as-new, or by a fault'],
  },
  'a run that failed': {
    planted: { runs: changed(RIGHT.runs, 2, { status: 'FAILED' }) },
    found: ['runs of batchers end by continue-as-new, or by a fault'],
  },
  'a run that somebody else terminated': {
    planted: { closedRuns: new Set() },
    found: ['runs of batchers end by continue-as-new, or by a fault'],
  },
  'a drain that takes too long': {
    planted: { drainMs: 61_000 },
    found: ['all is acknowledged soon after the faults'],
  },
  'a drain without an end': {
    planted: { drainMs: undefined },
    found: ['all is acknowledged soon after the faults'],
  },
  'a daemon that takes too much memory': {
    planted: { peakMemory: { 'daemon-1': 501 } },
    found: ['the memory of each daemon is bounded'],
  },
  'a daemon that crashes': {
    planted: { wrongEnds: ['daemon-1 ended with exit code 1, without being asked to'] },
    found: ['daemons end only when they are told'],
  },
  'no faults': { planted: { faults: 0 }, found: ['there was enough to go wrong'] },
};

for (const [name, { planted, found }] of Object.entries(PLANTED))
  it(`finds ${name}`, () => {
    expect(Object.keys(violations(planted))).toEqual(found);
  });

it('finds that there are too few records, and that none is bad', () => {
  const few = check({ ...RIGHT, letters: [] }, { ...BOUNDS, recordsMin: 5 }).at(-1);
  expect(few?.violations).toEqual(['only 4 of 5 records are in the log', 'no record was bad']);
});

it('lets a dead letter come twice where there were faults', () => {
  expect(violations({ letters: [...RIGHT.letters, ...RIGHT.letters] })).toEqual({});
});

it('lets commits go backward if a fault has taken the offsets away, and batchers end if their layout has', () => {
  const offsets = [...RIGHT.offsets, { atMs: 2, committed: [0, 0], ends: [2, 2] }, RIGHT.offsets[1]!];
  expect(violations({ offsets, offsetsLost: [{ fromMs: 2, toMs: 3 }] })).toEqual({});
  const runs = changed(RIGHT.runs, 2, { status: 'COMPLETED' });
  expect(violations({ runs, layoutChanged: true })).toEqual({});
});

it('asks for no order within a batch that ClickHouse has refused a row of', () => {
  const rows = changed(RIGHT.rows, 1, { insertedAtUs: 0 });
  const refused = ack({ replyOffset: 3, key: 'b', partition: 1, offset: 1, status: 'rejected' });
  const code = 'refused_by_clickhouse';
  const acks = [...without(RIGHT.acks, 3), { ...refused, code }];
  expect(violations({ rows, acks, letters: changed(RIGHT.letters, 0, { code }) })).toEqual({});
});
