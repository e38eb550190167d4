import { expect, it } from 'vitest';
import { check, type Bounds, type Observed } from '../../../chaos/checks.js';
import { Ledger, type Ack, type InputRecord, type Letter, type Row } from '../../../chaos/ledger.js';

const BOUNDS: Bounds = {
  recordsMin: 4,
  memoryBytesMax: 500,
  handlesMax: 50,
  faultsMin: 1,
  slowness: 1,
  repeatsPerFault: 3,
  repeatedShareMax: 1,
  quietRepeatedShareMax: 1,
  isSoak: false,
};

const NOTHING_DELIBERATE = { again: [], filled: [], removed: [], tablesMadeAnew: 0 };

/** What was read of each record, as lists: a ledger is made of it. */
interface Read extends Omit<Observed, 'ledger'> {
  readonly input: readonly InputRecord[];
  readonly rows: readonly Row[];
  readonly letters: readonly Letter[];
  readonly acks: readonly Ack[];
  readonly accepted: readonly (readonly [partition: number, offset: number, atMs: number, epoch?: string])[];
}

/** Three good records, two of one key, and a bad one; everything is as it should be. */
const RIGHT: Read = {
  produced: { written: [[0, 3]], aborted: [[10, 11]], unknown: [[5, 5]] },
  input: [
    { partition: 0, offset: 0, key: 'a', id: 0, row: 100, letter: 200, expects: '' },
    { partition: 0, offset: 1, key: 'a', id: 1, row: 101, letter: 201, expects: '' },
    { partition: 1, offset: 0, key: 'b', id: 2, row: 102, letter: 202, expects: '' },
    { partition: 1, offset: 1, key: 'b', id: 3, row: 103, letter: 203, expects: 'not_json' },
  ],
  rows: [
    { id: 0, partition: 0, offset: 0, digest: 100, insertedAtUs: 1, table: 0, isLate: false, epoch: 'e' },
    { id: 1, partition: 0, offset: 1, digest: 101, insertedAtUs: 2, table: 0, isLate: false, epoch: 'e' },
    { id: 2, partition: 1, offset: 0, digest: 102, insertedAtUs: 1, table: 0, isLate: false, epoch: 'e' },
  ],
  letters: [{ partition: 1, offset: 1, id: 3, code: 'not_json', digest: 203 }],
  acks: [
    ack({ replyOffset: 0, partition: 0, offset: 0 }),
    ack({ replyOffset: 1, partition: 0, offset: 1 }),
    ack({ replyOffset: 2, partition: 1, offset: 0 }),
    ack({ replyOffset: 3, partition: 1, offset: 1, status: 'rejected', code: 'not_json' }),
  ],
  view: { rows: 3, lacking: 0, extra: 0 },
  remade: {
    logs: [{ written: [[90, 90]], unknown: [], whileRead: false }],
    rows: [{ id: 90, epoch: 'e', table: 't' }],
  },
  told: { gaps: [], cuts: [], missedByViews: 0 },
  deliberate: NOTHING_DELIBERATE,
  lost: { tails: [], ids: new Set() },
  offsets: [
    { atMs: 0, committed: [0, 0], ends: [2, 1] },
    { atMs: 1, committed: [2, 2], ends: [2, 2] },
  ],
  accepted: [
    [0, 0, 10],
    [0, 1, 20],
    [1, 0, 10],
    [1, 1, 20],
  ],
  commits: [
    { atMs: 15, partition: 0, offset: 1 },
    { atMs: 20, partition: 1, offset: 2 },
    { atMs: 30, partition: 0, offset: 2 },
  ],
  replies: [{ atMs: 0, acks: 4, acknowledged: 4, asked: 2, askedRejected: 1, unseen: 0, wrong: [] }],
  runs: [
    { workflowId: 'w', runId: 'r1', status: 'CONTINUED_AS_NEW' },
    { workflowId: 'w', runId: 'r2', status: 'TERMINATED' },
    { workflowId: 'w', runId: 'r3', status: 'RUNNING' },
  ],
  replayed: [{ workflowId: 'w', runId: 'r3' }],
  underWay: [],
  standings: [
    { rows: 3, letters: 1, acks: 4 },
    { rows: 3, letters: 1, acks: 4 },
  ],
  offsetsLost: [],
  layoutChanged: false,
  closedRuns: new Set(['r2']),
  drainMs: 1_000,
  backlog: 2,
  quietTimes: [{ fromMs: 0, tookMs: 900, stoodMs: 500, due: 2, restarted: [] }],
  samples: [{ atMs: 0, name: 'daemon-1', bytes: 400, handles: 40 }],
  wrongEnds: [],
  faults: [{ kind: 'burst', hits: 1 }],
  waitingAtFaults: [9],
};

function ack(changes: Partial<Ack>): Ack {
  const usual = { status: 'inserted', batch: 'x', epoch: 'e', code: '', atMs: 5 };
  const place = { replyPartition: 0, replyOffset: 0, partition: 0, offset: 0, ...changes };
  return { ...usual, id: 2 * place.partition + place.offset, ...place };
}

function observed(changes: Partial<Read>): Observed {
  const { input, rows, letters, acks, accepted, ...more } = { ...RIGHT, ...changes };
  const ledger = new Ledger();
  for (const record of input) ledger.addRecord(record);
  for (const row of rows) ledger.addRow(row);
  for (const letter of letters) ledger.addLetter(letter);
  for (const each of acks) ledger.addAck(each);
  for (const [partition, offset, atMs, epoch = 'e'] of accepted) ledger.addAccepted(partition, offset, atMs, epoch);
  return { ...more, ledger };
}

function violations(changes: Partial<Read>, bounds: Partial<Bounds> = {}): Record<string, readonly string[]> {
  const verdicts = check(observed(changes), { ...BOUNDS, ...bounds }).filter(({ wrong }) => wrong > 0);
  return Object.fromEntries(verdicts.map((verdict) => [verdict.name, verdict.violations]));
}

/** Without the elements at these indexes. */
function without<T>(list: readonly T[], ...indexes: number[]): T[] {
  return list.filter((_, index) => !indexes.includes(index));
}

/** With changes in the element at an index. */
function changed<T>(list: readonly T[], at: number, changes: Partial<T>): T[] {
  return list.map((each, index) =>
    index !== at ? each : Array.isArray(changes) ? (changes as T) : { ...each, ...changes },
  );
}

const [ROW, ACK, LETTER] = [RIGHT.rows[0]!, RIGHT.acks[0]!, RIGHT.letters[0]!];
const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);

it('finds nothing if everything is right', () => {
  expect(violations({})).toEqual({});
});

it('lets nothing pass of which nothing was read, whatever the bounds, but for what only faults bring that were not done', () => {
  const nothing: Partial<Read> = {
    produced: { written: [], aborted: [], unknown: [] },
    input: [],
    rows: [],
    letters: [],
    acks: [],
    view: { rows: 0, lacking: 0, extra: 0 },
    remade: { logs: [], rows: [] },
    told: { gaps: [], cuts: [], missedByViews: 0 },
    deliberate: NOTHING_DELIBERATE,
    lost: { tails: [], ids: new Set() },
    offsets: [],
    accepted: [],
    commits: [],
    replies: [],
    runs: [],
    replayed: [],
    standings: times(2, { rows: 0, letters: 0, acks: 0 }) as unknown as Observed['standings'],
    closedRuns: new Set(),
    drainMs: 0,
    backlog: 0,
    quietTimes: [],
    samples: [],
    faults: [],
    waitingAtFaults: [],
  };
  const passed = (more: Partial<Read>, isSoak: boolean): string[] =>
    check(observed({ ...nothing, ...more }), { ...BOUNDS, recordsMin: 0, faultsMin: 0, isSoak })
      .filter(({ wrong }) => wrong === 0)
      .map(({ name }) => name);
  const kinds = ['records expired', 'unclean election', 'topic made again', 'table made anew'] as const;
  const ofFaults = [
    'what was removed before it was read is told, and nothing else',
    'what Kafka has lost after it was accepted is answered once',
    'logs that were cut are told, and no others',
    'a topic that is made again is read from its start',
    'what is in two tables was on its way',
  ];
  for (const isSoak of [true, false]) {
    expect(passed({}, isSoak)).toEqual(ofFaults);
    expect(passed({ faults: kinds.map((kind) => ({ kind, hits: 0 })) }, isSoak)).toEqual(ofFaults);
    expect(passed({ faults: kinds.map((kind) => ({ kind, hits: 1 })) }, isSoak)).toEqual([]);
  }
});

it('has looked at what was removed, cut or made anew, and at no record more', () => {
  const checked = (changes: Partial<Read>, name: string) =>
    check(observed(changes), BOUNDS).find((verdict) => verdict.name === name)?.checked;
  const gaps = 'what was removed before it was read is told, and nothing else';
  expect(checked({}, gaps)).toBe(0);
  const removed = [{ partition: 0, unreadFrom: 1, to: 2, file: '' }];
  const told = { ...RIGHT.told, gaps: [{ partition: 1, from: 0, to: 1 }] };
  expect(checked({ deliberate: { ...NOTHING_DELIBERATE, removed }, told }, gaps)).toBe(2);
  expect(checked({}, 'what is in two tables was on its way')).toBe(0);
  const deliberate = { ...NOTHING_DELIBERATE, tablesMadeAnew: 2 };
  expect(checked({ deliberate }, 'what is in two tables was on its way')).toBe(2);
  expect(checked({}, 'logs that were cut are told, and no others')).toBe(0);
  expect(checked({}, 'what Kafka has lost after it was accepted is answered once')).toBe(0);
  expect(checked({}, 'a topic that is made again is read from its start')).toBe(0);
});

/** What is planted, and which checks have to find it. */
const PLANTED: Readonly<
  Record<
    string,
    { readonly planted: Partial<Read>; readonly bounds?: Partial<Bounds>; readonly found: readonly string[] }
  >
> = {
  'a record that was confirmed and is not in the log': {
    planted: { produced: { ...RIGHT.produced, written: [[0, 4]] } },
    found: ['what was produced is in the log, once'],
  },
  'a record that is in the log twice': {
    planted: {
      input: changed(RIGHT.input, 1, { id: 0 }),
      rows: changed(RIGHT.rows, 1, { id: 0 }),
      acks: changed(RIGHT.acks, 1, { id: 0 }),
    },
    found: ['what was produced is in the log, once'],
  },
  'an aborted record that is in the log': {
    planted: { produced: { ...RIGHT.produced, aborted: [[2, 2]] } },
    found: ['what was produced is in the log, once'],
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
    planted: { letters: [...RIGHT.letters, { partition: 0, offset: 0, id: 0, code: 'not_json', digest: 200 }] },
    found: ['each record is one row or a dead letter', 'only bad records are rejected, each for its own reason'],
  },
  'a bad record with two dead letters that disagree': {
    planted: { letters: [LETTER, { ...LETTER, code: 'not_object' }] },
    found: ['each record is one row or a dead letter'],
  },
  'a good record that is rejected': {
    planted: { input: changed(RIGHT.input, 3, { expects: '' }) },
    found: ['only bad records are rejected, each for its own reason'],
  },
  'a bad record that is a row': {
    planted: { input: changed(RIGHT.input, 0, { expects: 'not_json' }) },
    found: ['only bad records are rejected, each for its own reason'],
  },
  'a bad record that is rejected for another reason': {
    planted: {
      letters: changed(RIGHT.letters, 0, { code: 'parked' }),
      acks: changed(RIGHT.acks, 3, { code: 'parked' }),
    },
    found: ['only bad records are rejected, each for its own reason'],
  },
  'a row that nobody has produced': {
    planted: { rows: [...RIGHT.rows, { ...ROW, id: 77, offset: 77 }] },
    found: ['nothing is there that was not produced'],
  },
  'a row of a partition that is not there': {
    planted: { rows: [...RIGHT.rows, { ...ROW, partition: 9 }] },
    found: ['nothing is there that was not produced'],
  },
  'a row at the place of another record': {
    planted: { rows: changed(RIGHT.rows, 2, { id: 1 }) },
    found: ['nothing is there that was not produced'],
  },
  'a dead letter at the place of another record': {
    planted: { letters: changed(RIGHT.letters, 0, { id: 1 }) },
    found: ['nothing is there that was not produced'],
  },
  'an acknowledgement that carries the header of another record': {
    planted: { acks: changed(RIGHT.acks, 1, { id: 2 }) },
    found: ['nothing is there that was not produced'],
  },
  'an acknowledgement of no record': {
    planted: { acks: [...RIGHT.acks, { ...ACK, replyOffset: 9, offset: 9 }] },
    found: ['nothing is there that was not produced'],
  },
  'a row with another value': {
    planted: { rows: changed(RIGHT.rows, 0, { digest: 7 }) },
    found: ['rows and dead letters hold what was produced'],
  },
  'a dead letter with another value': {
    planted: { letters: changed(RIGHT.letters, 0, { digest: 7 }) },
    found: ['rows and dead letters hold what was produced'],
  },
  'a record without an acknowledgement': {
    planted: { acks: without(RIGHT.acks, 2) },
    found: ['each record is acknowledged, and always in the same way'],
  },
  'acknowledgements that disagree': {
    planted: { acks: [...RIGHT.acks, { ...ACK, replyOffset: 9, status: 'rejected', code: 'not_json' }] },
    found: ['each record is acknowledged, and always in the same way'],
  },
  'a record that is acknowledged as inserted and was rejected': {
    planted: { acks: changed(RIGHT.acks, 3, { status: 'inserted', code: '' }) },
    found: ['acknowledgements are true'],
  },
  'a record that is acknowledged as rejected and is a row': {
    planted: { acks: changed(RIGHT.acks, 0, { status: 'rejected', code: 'not_json' }) },
    found: ['acknowledgements are true'],
  },
  'a rejection for another reason than the dead letter has': {
    planted: { acks: changed(RIGHT.acks, 3, { code: 'not_object' }) },
    found: ['acknowledgements are true'],
  },
  'an acknowledgement that says something else': {
    planted: { acks: changed(RIGHT.acks, 0, { status: 'skipped' }) },
    found: ['acknowledgements are true'],
  },
  'more second acknowledgements than faults can have brought': {
    planted: { acks: [...RIGHT.acks, ...times(4, ACK)] },
    found: ['answers are seldom repeated'],
  },
  'more second dead letters than faults can have brought': {
    planted: { letters: times(5, LETTER) },
    found: ['answers are seldom repeated'],
  },
  'a second acknowledgement without a fault': {
    planted: { acks: [...RIGHT.acks, ACK], waitingAtFaults: [] },
    found: ['answers are seldom repeated'],
  },
  'more second acknowledgements than records were under way': {
    planted: { acks: [...RIGHT.acks, ACK, ACK], waitingAtFaults: [1, 0] },
    found: ['answers are seldom repeated'],
  },
  'second acknowledgements of too many of all records': {
    planted: { acks: [...RIGHT.acks, ACK, ACK] },
    bounds: { repeatedShareMax: 0.25 },
    found: ['answers are seldom repeated'],
  },
  'a record that is acknowledged again and again': {
    planted: { acks: [...RIGHT.acks, ...times(8, ACK)], waitingAtFaults: [100] },
    bounds: { repeatsPerFault: 100, repeatedShareMax: 100 },
    found: ['answers are seldom repeated'],
  },
  'a dead letter that comes again and again': {
    planted: { letters: times(9, LETTER), waitingAtFaults: [100] },
    bounds: { repeatsPerFault: 100, repeatedShareMax: 100 },
    found: ['answers are seldom repeated'],
  },
  'a row that was inserted after its acknowledgement': {
    planted: { rows: changed(RIGHT.rows, 2, { insertedAtUs: 6_000 }) },
    found: ['rows are inserted before they are acknowledged'],
  },
  'a row that was not there when it was acknowledged': {
    planted: { replies: changed(RIGHT.replies, 0, { wrong: [[0, 1, 'was not there']] }) },
    found: ['acknowledgements are true when they come'],
  },
  'a row that its view did not have when it was acknowledged, of which nobody has told': {
    planted: { replies: changed(RIGHT.replies, 0, { unseen: 1 }) },
    found: ['acknowledgements are true when they come'],
  },
  'that no rejection was looked at when it came': {
    planted: { replies: changed(RIGHT.replies, 0, { askedRejected: 0 }) },
    found: ['acknowledgements are true when they come'],
  },
  'rows of a key in another order': {
    planted: { rows: changed(RIGHT.rows, 1, { insertedAtUs: 0 }) },
    found: ['rows and acknowledgements of a key are in order'],
  },
  'a record of a topic that was made again without a row': {
    planted: {
      remade: {
        logs: [...RIGHT.remade.logs, { written: [[91, 91]], unknown: [], whileRead: false }],
        rows: RIGHT.remade.rows,
      },
    },
    found: ['a topic that is made again is read from its start'],
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
  'a commit of a record that Temporal got later': {
    planted: { accepted: changed(RIGHT.accepted, 1, [0, 1, 31]) },
    found: ['what is committed was accepted before'],
  },
  'an early commit that a later one is behind of': {
    planted: { commits: [{ atMs: 12, partition: 0, offset: 2 }, ...RIGHT.commits] },
    found: ['what is committed was accepted before'],
  },
  'a commit of a record that Temporal never had': {
    planted: { accepted: without(RIGHT.accepted, 2) },
    found: ['what is committed was accepted before'],
  },
  'that no commit was looked at': {
    planted: { commits: [] },
    found: ['what is committed was accepted before'],
  },
  'a batcher that ends without a change of the layout': {
    planted: { runs: changed(RIGHT.runs, 2, { status: 'COMPLETED' }) },
    found: ['runs of batchers end by continue-as-new, or by a fault'],
  },
  'a run that failed': {
    planted: { runs: changed(RIGHT.runs, 2, { status: 'FAILED' }) },
    found: ['runs of batchers end by continue-as-new, or by a fault'],
  },
  'a run that failed although a fault has only tried to close it': {
    planted: { runs: changed(RIGHT.runs, 1, { status: 'FAILED' }) },
    found: ['runs of batchers end by continue-as-new, or by a fault'],
  },
  'a run that somebody else terminated': {
    planted: { closedRuns: new Set() },
    found: ['runs of batchers end by continue-as-new, or by a fault'],
  },
  'a history that does not replay': {
    planted: { replayed: [{ workflowId: 'w', runId: 'r3', error: 'nondeterminism' }] },
    found: ['histories replay'],
  },
  'that no history was replayed': {
    planted: { replayed: [] },
    found: ['histories replay'],
  },
  'an activity that is due when everything is read': {
    planted: { underWay: ['w, run r3: insertBatch is due, attempt 3'] },
    found: ['nothing is under way at the end'],
  },
  'a row that comes while everything is read': {
    planted: { standings: [RIGHT.standings[0], { ...RIGHT.standings[1], rows: 4 }] },
    found: ['nothing is under way at the end'],
  },
  'an acknowledgement that comes while everything is read': {
    planted: { standings: [RIGHT.standings[0], { ...RIGHT.standings[1], acks: 5 }] },
    found: ['nothing is under way at the end'],
  },
  'records that wait for too long while no fault is at work': {
    planted: { quietTimes: [{ fromMs: 0, tookMs: 61_000, stoodMs: 500, due: 2, restarted: [] }, ...RIGHT.quietTimes] },
    found: ['between faults all that is due is acknowledged'],
  },
  'records that wait for ever while no fault is at work': {
    planted: {
      quietTimes: [{ fromMs: 0, tookMs: undefined, stoodMs: 500, due: 2, restarted: [] }, ...RIGHT.quietTimes],
    },
    found: ['between faults all that is due is acknowledged'],
  },
  'a partition that stands still for longer than anything takes while no fault is at work': {
    planted: { quietTimes: [{ fromMs: 0, tookMs: 95_000, stoodMs: 91_000, due: 400_000, restarted: [] }] },
    found: ['between faults all that is due is acknowledged'],
  },
  'records that wait until a daemon is started again': {
    planted: { quietTimes: [{ fromMs: 0, tookMs: 900, stoodMs: 500, due: 2, restarted: ['daemon-1'] }] },
    found: ['between faults all that is due is acknowledged'],
  },
  'a drain that takes too long': {
    planted: { drainMs: 61_000 },
    found: ['all is acknowledged soon after the faults'],
  },
  'a drain without an end': {
    planted: { drainMs: undefined },
    found: ['all is acknowledged soon after the faults'],
  },
  'a daemon that takes too much memory for a moment': {
    planted: { samples: [{ atMs: 0, name: 'daemon-1', bytes: 501 }, ...RIGHT.samples] },
    found: ['the memory of each daemon is bounded'],
  },
  'a daemon that opens too many files for a moment': {
    planted: { samples: [{ atMs: 0, name: 'daemon-1', bytes: 400, handles: 51 }, ...RIGHT.samples] },
    found: ['the open files of each daemon are bounded'],
  },
  'that nobody has looked whether memory grows': {
    planted: {},
    bounds: { isSoak: true },
    found: ['memory, open files, cache and histories do not grow'],
  },
  'a daemon that crashes': {
    planted: { wrongEnds: ['daemon-1 ended with exit code 1, without being asked to'] },
    found: ['daemons end only when they are told'],
  },
  'too few faults that have hit something': {
    planted: { faults: [{ kind: 'burst', hits: 0 }] },
    found: ['there was enough to go wrong'],
  },
  'a kind of fault that never hits anything': {
    planted: {
      faults: [
        { kind: 'burst', hits: 1 },
        ...Array.from({ length: 8 }, () => ({ kind: 'link reset', hits: 0 }) as const),
      ],
    },
    found: ['there was enough to go wrong'],
  },
};

for (const [name, { planted, bounds, found }] of Object.entries(PLANTED))
  it(`finds ${name}`, () => {
    expect(Object.keys(violations(planted, bounds))).toEqual(found);
  });

it('finds that there are too few records, and that none is bad', () => {
  const few = check(observed({ letters: [] }), { ...BOUNDS, recordsMin: 5 }).at(-1);
  expect(few?.violations).toEqual(['only 4 of 5 records are in the log', 'no record was bad']);
});

it('counts answers that come again after faults, and lets them pass if they say the same', () => {
  const again = { acks: [...RIGHT.acks, ACK, ACK], letters: [LETTER, LETTER] };
  expect(violations(again)).toEqual({});
  const verdict = check(observed(again), BOUNDS).find(({ name }) => name === 'answers are seldom repeated');
  expect(verdict?.note).toBe(
    '2 acknowledgements and 1 dead letters came again, of 3 that may; between faults 1 of 4 records',
  );
});

it('counts what is acknowledged twice between faults by itself', () => {
  const found = (changes: Partial<Read>): unknown => {
    const acks = [...RIGHT.acks, ACK, RIGHT.acks[1]!];
    const bounds = { repeatsPerFault: 1, quietRepeatedShareMax: 0 };
    return violations({ acks, waitingAtFaults: [9, 9], ...changes }, bounds)['answers are seldom repeated'];
  };
  expect(found({})).toEqual(['2 of 4 records were acknowledged twice between faults, more than 1']);
  // They begin before it, or come again after it.
  expect(found({ quietTimes: changed(RIGHT.quietTimes, 0, { fromMs: 6 }) })).toBeUndefined();
  const later = [...RIGHT.acks, { ...ACK, atMs: 901 }, { ...RIGHT.acks[1]!, atMs: 901 }];
  expect(found({ acks: later })).toBeUndefined();
  expect(found({ deliberate: { ...NOTHING_DELIBERATE, filled: [{ partition: 0, from: 0, to: 2 }] } })).toBeUndefined();
});

it('the earliest signal of a record counts, and what was removed before it was read needs none', () => {
  expect(violations({ accepted: [...RIGHT.accepted, [0, 0, 99], [7, 7, 7]] })).toEqual({});
  const deliberate = { ...NOTHING_DELIBERATE, removed: [{ partition: 1, unreadFrom: 0, to: 1, file: '' }] };
  const told = { gaps: [{ partition: 1, from: 0, to: 1 }], cuts: [], missedByViews: 0 };
  expect(violations({ accepted: without(RIGHT.accepted, 2), deliberate, told })).toEqual({});
});

it('misses no record of the log that an unclean election has cut off, and lets commits be past its end then', () => {
  const produced = { ...RIGHT.produced, written: [[0, 4]] as const };
  const tail = { partition: 0, from: 2, to: 4, ledger: new Ledger() };
  const lost = { tails: [tail], ids: new Set([4]) };
  const offsets = [...RIGHT.offsets, { atMs: 2, committed: [4, 2], ends: [2, 2] }, { ...RIGHT.offsets[1]!, atMs: 3 }];
  const told = { ...RIGHT.told, cuts: [{ partition: 0, from: 2, to: 4 }] };
  const found = violations({ produced, lost, offsets, told, offsetsLost: [{ partition: 0, fromMs: 2, toMs: 3 }] });
  expect(found).toEqual({ 'what Kafka has lost after it was accepted is answered once': ['nothing was looked at'] });
  expect(Object.keys(violations({ produced, offsets, offsetsLost: [{ partition: 0, fromMs: 2, toMs: 3 }] }))).toEqual([
    'what was produced is in the log, once',
    'commits go forward, up to the ends of the logs',
  ]);
});

it('does not judge by an earlier commit what came later at an offset that an election had cut off', () => {
  const accepted = without(RIGHT.accepted, 1);
  const lost = { tails: [{ partition: 0, from: 1, to: 2, ledger: new Ledger() }], ids: new Set<number>() };
  const name = 'what is committed was accepted before';
  expect(Object.keys(violations({ accepted }))).toEqual([name]);
  expect(Object.keys(violations({ accepted, lost }))).not.toContain(name);
});

it('lets commits go backward if a fault has taken the offsets away, and batchers end if their layout has', () => {
  const offsets = [...RIGHT.offsets, { atMs: 2, committed: [0, 0], ends: [2, 2] }, RIGHT.offsets[1]!];
  expect(violations({ offsets, offsetsLost: [{ partition: undefined, fromMs: 2, toMs: 3 }] })).toEqual({});
  const runs = changed(RIGHT.runs, 2, { status: 'COMPLETED' });
  expect(violations({ runs, layoutChanged: true })).toEqual({});
});

it('excuses a step back only in the partition of the fault, and only between samples around its time', () => {
  const offsets = [
    { atMs: 0, committed: [0, 0], ends: [2, 2] },
    { atMs: 10, committed: [2, 2], ends: [2, 2] },
    { atMs: 20, committed: [0, 2], ends: [2, 2] },
    { atMs: 30, committed: [2, 2], ends: [2, 2] },
  ];
  const found = (partition: number | undefined, fromMs: number, toMs: number): readonly string[] =>
    Object.keys(violations({ offsets, offsetsLost: [{ partition, fromMs, toMs }] }));
  for (const partition of [0, undefined])
    for (const [from, to] of [
      [12, 18],
      [5, 10],
      [20, 25],
      [0, 30],
    ] as const)
      expect(found(partition, from, to)).toEqual([]);
  const name = 'commits go forward, up to the ends of the logs';
  for (const [partition, from, to] of [
    [1, 12, 18],
    [0, 0, 9],
    [undefined, 21, 30],
  ] as const)
    expect(found(partition, from, to)).toEqual([name]);
});

it('asks for no order within a batch that ClickHouse has refused a row of', () => {
  const code = 'refused_by_clickhouse';
  const input = changed(RIGHT.input, 3, { expects: code });
  const rows = changed(RIGHT.rows, 1, { insertedAtUs: 0 });
  const refused = changed(RIGHT.acks, 3, { code });
  const letters = changed(RIGHT.letters, 0, { code });
  expect(violations({ input, rows, letters, acks: refused })).toEqual({});
  const another = changed(refused, 3, { batch: 'y' });
  expect(Object.keys(violations({ input, rows, letters, acks: another }))).toEqual([
    'rows and acknowledgements of a key are in order',
  ]);
});

it('counts all that is wrong, and has texts of the first ones', () => {
  const rows = Array.from({ length: 300 }, (_, index) => ({ ...ROW, offset: 1_000 + index }));
  const verdict = check(observed({ rows: [...RIGHT.rows, ...rows] }), BOUNDS).find(({ wrong }) => wrong > 0);
  expect(verdict?.wrong).toBe(300);
  expect(verdict?.violations).toHaveLength(200);
});

const AGAIN = { partition: 0, from: 0, sureTo: 1, to: 2 };

const ONE_ROW = 'each record is one row or a dead letter';
const ONE_ANSWER = 'each record is acknowledged, and always in the same way';
/** The row and the acknowledgement of another reading. */
const reread = (row: Row): Row => ({ ...row, epoch: 'f' });
const answerOf = (answer: Ack, changes: Partial<Ack> = {}): Ack => ({
  ...answer,
  epoch: 'f',
  batch: 'y',
  replyOffset: answer.replyOffset + 10,
  ...changes,
});

it('a record that was read again as a new one has one more row and acknowledgement, of another epoch, and no other has', () => {
  const again = { deliberate: { ...NOTHING_DELIBERATE, again: [AGAIN] }, acks: [...RIGHT.acks, answerOf(ACK)] };
  const rows = [...RIGHT.rows, reread(ROW)];
  expect(violations({ ...again, rows })).toEqual({});
  // What came after the last commit may have been read before.
  const second = RIGHT.rows[1]!;
  const acks = [...again.acks, answerOf(RIGHT.acks[1]!)];
  expect(violations({ ...again, rows: [...rows, reread(second)], acks })).toEqual({});
  expect(violations({ ...again, rows: RIGHT.rows })).toEqual({
    [ONE_ROW]: ['record 0/0 (id 0) is 1 rows and 0 dead letters'],
  });
  expect(violations({ ...again, rows: [...rows, reread(RIGHT.rows[2]!)] })).toEqual({
    [ONE_ROW]: ['record 1/0 (id 2) is 2 rows of 2 epochs and 0 dead letters'],
    [ONE_ANSWER]: ['record 1/0 (id 2) has rows of 1 epochs that were not acknowledged'],
  });
  expect(violations({ ...again, rows, acks: RIGHT.acks })).toEqual({
    [ONE_ANSWER]: ['record 0/0 (id 0) has 1 of 2 acknowledgements'],
  });
});

it('finds two rows of one epoch in one table, also of a record that was read again', () => {
  const again = { deliberate: { ...NOTHING_DELIBERATE, again: [AGAIN] }, acks: [...RIGHT.acks, answerOf(ACK)] };
  expect(violations({ ...again, rows: [...RIGHT.rows, ROW] })).toEqual({
    [ONE_ROW]: ['record 0/0 (id 0) is 2 rows of 1 epochs and 0 dead letters'],
  });
  // Two of one reading, where one of each may be.
  const rows = [...RIGHT.rows, RIGHT.rows[1]!, reread(ROW)];
  expect(violations({ ...again, rows })).toEqual({
    [ONE_ROW]: ['record 0/1 (id 1) is 2 rows of 1 epochs and 0 dead letters'],
  });
  expect(violations({ ...again, rows: [...RIGHT.rows, reread(ROW), reread(ROW)] })).toEqual({
    [ONE_ROW]: ['record 0/0 (id 0) is 3 rows of 2 epochs and 0 dead letters'],
  });
});

it('finds a reading without an acknowledgement, whatever the number of those of another one', () => {
  const deliberate = { ...NOTHING_DELIBERATE, again: [AGAIN] };
  const rows = [...RIGHT.rows, reread(ROW)];
  expect(violations({ deliberate, rows, acks: [...RIGHT.acks, ACK] })).toEqual({
    [ONE_ANSWER]: ['record 0/0 (id 0) has 1 of 2 acknowledgements'],
  });
  // Where it is not sure that it was read before, the rows tell.
  const perhaps = { ...NOTHING_DELIBERATE, again: [{ ...AGAIN, sureTo: 0 }] };
  expect(violations({ deliberate: perhaps, rows, acks: [...RIGHT.acks, ACK] })).toEqual({
    [ONE_ANSWER]: ['record 0/0 (id 0) has rows of 1 epochs that were not acknowledged'],
  });
  // That of a batch which only an heir knows may be of any.
  expect(violations({ deliberate, rows, acks: [...RIGHT.acks, answerOf(ACK, { epoch: null })] })).toEqual({});
});

it('finds a reading that Temporal had and that has become nothing, also of a record that was read again', () => {
  const deliberate = { ...NOTHING_DELIBERATE, again: [{ ...AGAIN, sureTo: 0 }] };
  const accepted = [...RIGHT.accepted, [0, 0, 12, 'f'] as const];
  expect(violations({ deliberate, accepted })).toEqual({
    [ONE_ROW]: ['record 0/0 (id 0) is 1 rows and 0 dead letters'],
    [ONE_ANSWER]: ['record 0/0 (id 0) has 1 of 2 acknowledgements'],
  });
  const rows = [...RIGHT.rows, reread(ROW)];
  expect(violations({ deliberate, accepted, rows, acks: [...RIGHT.acks, answerOf(ACK)] })).toEqual({});
  // Its only row is of an epoch under which Temporal never had it.
  const other = { rows: changed(RIGHT.rows, 0, { epoch: 'g' }), acks: changed(RIGHT.acks, 0, { epoch: 'g' }) };
  expect(violations(other)).toEqual({ [ONE_ROW]: ['record 0/0 (id 0) is 1 rows and 0 dead letters'] });
});

it('judges the order of each reading by itself', () => {
  const name = 'rows and acknowledgements of a key are in order';
  const deliberate = { ...NOTHING_DELIBERATE, again: [{ ...AGAIN, sureTo: 2 }] };
  const [first, second] = [reread(ROW), reread(RIGHT.rows[1]!)];
  const answers = [answerOf(ACK), answerOf(RIGHT.acks[1]!)] as const;
  const found = (firstAtUs: number, secondAtUs: number, acks: readonly Ack[]): unknown =>
    violations({
      deliberate,
      rows: [...RIGHT.rows, { ...first, insertedAtUs: firstAtUs }, { ...second, insertedAtUs: secondAtUs }],
      acks: [...RIGHT.acks, ...acks],
    });
  expect(found(8, 9, answers)).toEqual({});
  expect(found(9, 8, answers)).toEqual({ [name]: ['0/1 of a was inserted before 0/0'] });
  const swapped = [
    { ...answers[0], replyOffset: 11 },
    { ...answers[1], replyOffset: 10 },
  ];
  expect(found(8, 9, swapped)).toEqual({ [name]: ['0/1 of a was acknowledged before 0/0'] });
});

it('the earliest acknowledgement of a record and its earliest row are compared', () => {
  const found = (rows: readonly Row[], acks: readonly Ack[]): string[] => Object.keys(violations({ rows, acks }));
  const late = changed(RIGHT.rows, 0, { insertedAtUs: 3_000 });
  const name = 'rows are inserted before they are acknowledged';
  expect(found(late, [...RIGHT.acks, { ...ACK, replyPartition: 1, atMs: 2 }])).toContain(name);
  expect(found(late, [...RIGHT.acks, { ...ACK, replyPartition: 1, atMs: 3 }])).not.toContain(name);
});

it('what is read again is acknowledged again', () => {
  const acks = [...RIGHT.acks, ...times(4, ACK)];
  expect(Object.keys(violations({ acks }))).toEqual(['answers are seldom repeated']);
  expect(
    violations({ acks, deliberate: { ...NOTHING_DELIBERATE, filled: [{ partition: 0, from: 0, to: 2 }] } }),
  ).toEqual({});
});

it('what was removed before it was read has no row and no answer, and is told', () => {
  const accepted = without(RIGHT.accepted, 2);
  const missing = { rows: without(RIGHT.rows, 2), acks: without(RIGHT.acks, 2), accepted };
  const removed = [{ partition: 1, unreadFrom: 0, to: 1, file: '' }];
  const gaps = [{ partition: 1, from: 0, to: 1 }];
  const deliberate = { ...NOTHING_DELIBERATE, removed };
  expect(violations({ ...missing, deliberate, told: { gaps, cuts: [], missedByViews: 0 } })).toEqual({});
  const name = 'what was removed before it was read is told, and nothing else';
  expect(violations({ ...missing, deliberate })).toEqual({ [name]: ['1/0 (id 2) was removed, and nobody told it'] });
  expect(violations({ told: { gaps, cuts: [], missedByViews: 0 } })).toEqual({
    [name]: ['1/0 (id 2) was told as removed, and was not'],
  });
  expect(Object.keys(violations({ ...missing, told: { gaps, cuts: [], missedByViews: 0 } }))).toContain(
    'each record is one row or a dead letter',
  );
  // An acknowledgement says that it was read.
  const acked = { rows: missing.rows, accepted, deliberate, told: { gaps, cuts: [], missedByViews: 0 } };
  expect(Object.keys(violations(acked))).toContain('each record is one row or a dead letter');
});

it('a bad record that was removed before it was read needs no dead letter', () => {
  const removed = [{ partition: 1, unreadFrom: 1, to: 2, file: '' }];
  const told = { gaps: [{ partition: 1, from: 1, to: 2 }], cuts: [], missedByViews: 0 };
  const missing: Partial<Read> = {
    letters: [],
    acks: without(RIGHT.acks, 3),
    deliberate: { ...NOTHING_DELIBERATE, removed },
    told,
  };
  // There was no other bad one.
  const enough = { 'there was enough to go wrong': ['no record was bad'] };
  expect(violations({ ...missing, accepted: without(RIGHT.accepted, 3) })).toEqual(enough);
  // But Temporal had it.
  expect(violations(missing)).toEqual({
    [ONE_ROW]: ['record 1/1 (id 3) is 0 rows and 0 dead letters'],
    'only bad records are rejected, each for its own reason': ['record 1/1 (id 3) is not_json, and was not rejected'],
    [ONE_ANSWER]: ['record 1/1 (id 3) has 0 of 1 acknowledgements'],
    ...enough,
  });
});

it('finds a record that Temporal had, although it was removed before its offset was committed', () => {
  const removed = [{ partition: 1, unreadFrom: 0, to: 1, file: '' }];
  const told = { ...RIGHT.told, gaps: [{ partition: 1, from: 0, to: 1 }] };
  const deliberate = { ...NOTHING_DELIBERATE, removed };
  const missing = { rows: without(RIGHT.rows, 2), acks: without(RIGHT.acks, 2), deliberate, told };
  expect(violations(missing)).toEqual({
    [ONE_ROW]: ['record 1/0 (id 2) is 0 rows and 0 dead letters'],
    [ONE_ANSWER]: ['record 1/0 (id 2) has 0 of 1 acknowledgements'],
  });
  expect(violations({ ...missing, rows: RIGHT.rows, acks: RIGHT.acks })).toEqual({});
  // What was read before, and removed before it could be read again, has what it had.
  const again = [{ partition: 1, from: 0, sureTo: 1, to: 1 }];
  expect(violations({ deliberate: { ...deliberate, again }, told })).toEqual({});
});

it('a row may be in an old table and in the new one if it was on its way then, or was read again', () => {
  const name = 'each record is one row or a dead letter';
  const twice = (row: Partial<Row>): Row[] => [
    { ...ROW, ...row },
    ...RIGHT.rows.map((each) => ({ ...each, table: 1 })),
  ];
  const once = { ...NOTHING_DELIBERATE, tablesMadeAnew: 1 };
  expect(violations({ rows: twice({ isLate: true }), deliberate: once })).toEqual({});
  expect(violations({ rows: twice({ isLate: true }), deliberate: once }, { repeatsPerFault: 0 })).toEqual({
    'what is in two tables was on its way': ['1 records are in two tables, more than 0'],
  });
  expect(Object.keys(violations({ rows: twice({}), deliberate: once }))).toEqual([name]);
  expect(Object.keys(violations({ rows: twice({ isLate: true, table: 1 }), deliberate: once }))).toEqual([name]);
  const deliberate = { ...NOTHING_DELIBERATE, filled: [{ partition: 0, from: 0, to: 1 }] };
  expect(violations({ rows: twice({}), deliberate })).toEqual({});
});
