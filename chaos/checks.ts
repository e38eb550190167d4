import type { BatcherRun } from './batchers.js';
import {
  areRowsRight,
  countInTwoTables,
  gapsTold,
  readingsDue,
  reread,
  rereadsOf,
  unanswered,
  type Deliberate,
} from './due.js';
import { flatness, type ProcessSample } from './flatness.js';
import type { DoneFault } from './journal.js';
import type { Ledger, RecordState } from './ledger.js';
import type { QuietTime } from './quiet.js';
import { cutsTold, lostIsAnswered, wasLost, type Lost } from './lost.js';
import { orderByKey } from './order.js';
import type { FaultKind } from './plan.js';
import { remadeIsRead, type RemadeTopic } from './remade.js';
import type { ViewRows } from './table.js';
import type { Told } from './told.js';
import { viewComplete } from './viewCheck.js';
import { Violations } from './violations.js';

export interface OffsetSample {
  readonly atMs: number;
  /** By partition. */
  readonly committed: readonly number[];
  readonly ends: readonly number[];
}

/** A commit of the group, as Kafka has it. */
export interface Commit {
  readonly atMs: number;
  readonly partition: number;
  /** All records before it are committed. */
  readonly offset: number;
}

/** A time at which what is committed may go back. */
export interface OffsetsLost {
  /** Undefined: of all. */
  readonly partition: number | undefined;
  readonly fromMs: number;
  readonly toMs: number;
}

/** What the follower of the acknowledgements has noted. */
export interface ReplySample {
  readonly atMs: number;
  readonly acks: number;
  /** Different records. */
  readonly acknowledged: number;
  /** Records whose row was asked for when they were acknowledged as inserted, so far. */
  readonly asked: number;
  /** The same of records that were rejected, of which no row may be there, but the dead letter. */
  readonly askedRejected: number;
  /** Those of `asked` that the materialized view did not have. */
  readonly unseen: number;
  /** Place of each of which something else was there, and what is wrong. */
  readonly wrong: readonly (readonly [number, number, string])[];
}

/** Ranges of ids, both ends included. */
export type IdRanges = readonly (readonly [number, number])[];

/** What the producers know of what they have sent. */
export interface Produced {
  readonly written: IdRanges;
  readonly aborted: IdRanges;
  /** Without an answer: written or not. */
  readonly unknown: IdRanges;
}

/** How much there is at a moment. */
export interface Standing {
  readonly rows: number;
  /** Sum of the ends of the logs. */
  readonly letters: number;
  readonly acks: number;
}

/** A history that was replayed with the workflows of the build. */
export interface Replayed {
  readonly workflowId: string;
  readonly runId: string;
  readonly error?: string;
}

/** All that was read when a run was over. */
export interface Observed {
  readonly produced: Produced;
  readonly ledger: Ledger;
  /** How the materialized view differs from the table. */
  readonly view: ViewRows;
  readonly remade: RemadeTopic;
  readonly told: Told;
  readonly deliberate: Deliberate;
  readonly lost: Lost;
  readonly offsets: readonly OffsetSample[];
  /** In the order of their times. */
  readonly commits: readonly Commit[];
  readonly replies: readonly ReplySample[];
  readonly runs: readonly BatcherRun[];
  readonly replayed: readonly Replayed[];
  /** Activities that Temporal still had to do when the daemons were gone, a text each. */
  readonly underWay: readonly string[];
  /** Before everything was read, and after it: the daemons were gone. */
  readonly standings: readonly [Standing, Standing];
  /** When faults have taken the offsets of the group away, or have set them back. */
  readonly offsetsLost: readonly OffsetsLost[];
  /** Whether batchers may have ended with their layout. */
  readonly layoutChanged: boolean;
  /** Ids of runs that faults have closed. */
  readonly closedRuns: ReadonlySet<string>;
  /** From the end of the faults until all was acknowledged; undefined if that was not waited for any longer. */
  readonly drainMs: number | undefined;
  /** Records that were not acknowledged when the faults ended. */
  readonly backlog: number;
  /** Times without faults in the middle of the run. */
  readonly quietTimes: readonly QuietTime[];
  /** Of the daemons, and of the histories of batchers, all along. */
  readonly samples: readonly ProcessSample[];
  readonly wrongEnds: readonly string[];
  /** The faults that were done. */
  readonly faults: readonly Pick<DoneFault, 'kind' | 'hits'>[];
  /**
   * For each fault, also for those that hit nothing by our count: the most records that waited for their acknowledgement around
   * it. Only these can be in a batch that is tried again.
   */
  readonly waitingAtFaults: readonly number[];
}

/** What a check has to say. */
export interface Verdict {
  readonly name: string;
  /** How much was looked at. */
  readonly checked: number;
  /** Kinds of faults that bring what is looked at. If none of them has hit anything, there may be nothing. Absent: there always is. */
  readonly onlyAfter?: readonly FaultKind[];
  /** How much of it is wrong. */
  readonly wrong: number;
  /** What is wrong, one text each, of the first ones. */
  readonly violations: readonly string[];
  /** What is right, and still worth to know. */
  readonly note?: string;
}

/** What a run has to reach, beside being right. */
export interface Bounds {
  readonly recordsMin: number;
  readonly memoryBytesMax: number;
  readonly handlesMax: number;
  readonly faultsMin: number;
  /** Factor for the time of the drain: 1 on a machine that does nothing else. */
  readonly slowness: number;
  /** Records of the batches that can be under way at once. */
  readonly repeatsPerFault: number;
  /** Of all records: so many may be acknowledged once more, whatever was under way. */
  readonly repeatedShareMax: number;
  /**
   * Of the records whose first acknowledgement comes between faults: so many, beside the batches that can be under way, may be
   * acknowledged once more meanwhile.
   */
  readonly quietRepeatedShareMax: number;
  /** Memory, handles, cache and histories may not grow. */
  readonly isSoak: boolean;
}

/** After the faults, beside the time for the backlog. */
const DRAIN_MS = 60_000;
/**
 * A batcher whose history is full takes nothing until all that it has is inserted, one batch after the other. With what large
 * bursts and short histories leave, that took 99 s on a busy machine.
 */
const STAND_MS_MAX = 90_000;
const DRAIN_RECORDS_PER_SECOND = 10_000;

/** How long everything may take to be acknowledged after the faults, on a machine that does so much less than it should. */
export function drainMsMax(backlog: number, slowness: number): number {
  return slowness * (DRAIN_MS + (backlog / DRAIN_RECORDS_PER_SECOND) * 1_000);
}

/** Every check, in the order in which they are shown. One that has looked at nothing has not passed, if there was something. */
export function check(observed: Observed, bounds: Bounds): Verdict[] {
  const done = new Set(observed.faults.flatMap(({ kind, hits }) => (hits > 0 ? [kind] : [])));
  const mayBeNothing = ({ onlyAfter }: Verdict): boolean =>
    onlyAfter !== undefined && !onlyAfter.some((kind) => done.has(kind));
  return allOf(observed, bounds).map((verdict) =>
    verdict.checked > 0 || mayBeNothing(verdict)
      ? verdict
      : { ...verdict, wrong: verdict.wrong + 1, violations: ['nothing was looked at', ...verdict.violations] },
  );
}

function allOf(observed: Observed, bounds: Bounds): Verdict[] {
  return [
    producedIsThere(observed),
    rowOrLetter(observed),
    rejectedForItself(observed),
    nothingElse(observed),
    valuesMatch(observed),
    answered(observed),
    answersTrue(observed),
    seldomRepeated(observed, bounds),
    insertedBeforeAnswered(observed),
    thereWhenAnswered(observed),
    viewComplete(observed),
    gapsTold(observed),
    lostIsAnswered(observed),
    cutsTold(observed),
    remadeIsRead(observed.remade),
    fewInTwoTables(observed, bounds),
    orderByKey(observed),
    commitsForward(observed),
    acceptedWhenCommitted(observed),
    runsClosedByFaults(observed),
    historiesReplay(observed),
    nothingComesLate(observed),
    ...(bounds.isSoak ? [] : [settledInQuiet(observed, bounds)]),
    drained(observed, bounds),
    memoryBounded(observed, bounds),
    handlesBounded(observed, bounds),
    ...(bounds.isSoak ? [flat(observed)] : []),
    daemonsStayUp(observed),
    enoughTraffic(observed, bounds),
  ];
}

function verdictOf(name: string, checked: number, violations: Violations, note?: string): Verdict {
  const { count: wrong, texts } = violations;
  return { name, checked, wrong, violations: texts, ...(note === undefined ? {} : { note }) };
}

/** A check of each record by itself. The text is made only of those that are wrong. */
function ofEach(name: string, ledger: Ledger, textOf: (record: RecordState) => string | undefined): Verdict {
  const violations = new Violations();
  ledger.forEach((record) => {
    const text = textOf(record);
    if (text !== undefined) violations.add(() => text);
  });
  return verdictOf(name, ledger.counts.records, violations);
}

/** What the broker has confirmed is in the log once, but for what an unclean election has cut off, and what was aborted is not: else nothing else here means anything. */
function producedIsThere({ produced, ledger, lost }: Observed): Verdict {
  const ids = sortedIds(ledger);
  const violations = new Violations();
  let checked = 0;
  for (const [first, last] of produced.written) {
    let at = lowerBound(ids, first);
    for (let id = first; id <= last; id++) {
      checked++;
      const from = at;
      while (ids[at] === id) at++;
      const times = at - from;
      if (times !== 1 && !(times === 0 && lost.ids.has(id)))
        violations.add(() => `id ${id} was confirmed and is in the log ${times} times`);
    }
  }
  for (const [first, last] of produced.aborted)
    for (let at = lowerBound(ids, first); (ids[at] ?? Infinity) <= last; at++)
      violations.add(() => `id ${ids[at]} was aborted and is in the log`);
  return verdictOf('what was produced is in the log, once', checked, violations);
}

function sortedIds(ledger: Ledger): Float64Array {
  const ids = new Float64Array(ledger.counts.records);
  let count = 0;
  ledger.forEach(({ id }) => {
    ids[count++] = id;
  });
  return ids.subarray(0, count).sort();
}

/** Index of the first that is not smaller. */
function lowerBound(sorted: Float64Array, value: number): number {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((sorted[middle] as number) < value) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Every record is one row or a dead letter, and never both. Dead letters come at least once, and have to say the same. */
function rowOrLetter({ ledger, deliberate }: Observed): Verdict {
  return ofEach('each record is one row or a dead letter', ledger, (record) => {
    const { rows, letters } = record;
    if (letters === 0 && areRowsRight(deliberate, record)) return undefined;
    if (rows === 0 && letters > 0 && !record.has('lettersDisagree')) return undefined;
    const disagree = record.has('lettersDisagree') ? ', which disagree' : '';
    const epochs = rows > 1 ? ` of ${record.rowEpochs.length} epochs` : '';
    return `record ${record.name} is ${rows} rows${epochs} and ${letters} dead letters${disagree}`;
  });
}

/** Only what was on its way when a table was made anew is in both tables. */
function fewInTwoTables({ ledger, deliberate }: Observed, { repeatsPerFault }: Bounds): Verdict {
  const violations = new Violations();
  const [count, max] = [countInTwoTables(ledger, deliberate), deliberate.tablesMadeAnew * repeatsPerFault];
  if (count > max) violations.add(() => `${count} records are in two tables, more than ${max}`);
  const note = `${count} were on their way`;
  const name = 'what is in two tables was on its way';
  return { ...verdictOf(name, deliberate.tablesMadeAnew, violations, note), onlyAfter: ['table made anew'] };
}

/** The producer knows which records are bad, and in which way. */
function rejectedForItself({ ledger, deliberate }: Observed): Verdict {
  return ofEach('only bad records are rejected, each for its own reason', ledger, (record) => {
    const code = record.letters === 0 ? '' : record.letterCode;
    if (code === record.expects || (code === '' && readingsDue(deliberate, record) === 0)) return undefined;
    return `record ${record.name} is ${record.expects || 'good'}, and was ${code === '' ? 'not rejected' : `rejected as ${code}`}`;
  });
}

/** No row, dead letter or acknowledgement without a record: what was aborted is nowhere. */
function nothingElse({ ledger }: Observed): Verdict {
  const violations = new Violations();
  violations.addAll(ledger.strange);
  ledger.forEach((record) => {
    if (record.has('rowOfOtherId')) violations.add(() => `the row of ${record.name} has another id`);
    if (record.has('letterOfOtherId')) violations.add(() => `the dead letter of ${record.name} has another id`);
    if (record.has('ackOfOtherId')) violations.add(() => `an acknowledgement of ${record.name} has another id`);
  });
  const { rows, letters, acks } = ledger.counts;
  return verdictOf('nothing is there that was not produced', rows + letters + acks, violations);
}

/** A row has all values of its record, a dead letter is its record, byte for byte. */
function valuesMatch({ ledger }: Observed): Verdict {
  const violations = new Violations();
  ledger.forEach((record) => {
    if (record.has('rowDiffers')) violations.add(() => `the row of ${record.name} differs from its record`);
    if (record.has('letterDiffers')) violations.add(() => `the dead letter of ${record.name} differs from its record`);
  });
  return verdictOf(
    'rows and dead letters hold what was produced',
    ledger.counts.rows + ledger.counts.letters,
    violations,
  );
}

/**
 * Every record is acknowledged, once more for each time that it was read again as a new one, and all acknowledgements of a
 * record say the same.
 */
function answered({ ledger, deliberate }: Observed): Verdict {
  return ofEach('each record is acknowledged, and always in the same way', ledger, (record) => {
    const lacking = unanswered(deliberate, record);
    if (lacking !== undefined) return `record ${record.name} ${lacking}`;
    return record.has('acksDisagree')
      ? `record ${record.name} was acknowledged as ${record.said}, and then otherwise`
      : undefined;
  });
}

/** A record that is acknowledged as inserted has its row, one that is rejected has none and is a dead letter. */
function answersTrue({ ledger }: Observed): Verdict {
  return ofEach('acknowledgements are true', ledger, (record) => {
    const { acks, said, rows, place } = record;
    if (acks === 0) return undefined;
    if (said === 'inserted') return rows > 0 ? undefined : `${place} is acknowledged and not in the table`;
    if (!said.startsWith('rejected')) return `${place} has an acknowledgement '${said}'`;
    if (rows > 0) return `${place} is rejected and in the table`;
    const code = record.letters === 0 ? 'nothing' : record.letterCode;
    return said === `rejected ${code}` ? undefined : `${place} is ${said}, its dead letter says ${code}`;
  });
}

/** A record gets a dead letter and an acknowledgement for each try of its batch. Faults end few tries of one batch. */
const COPIES_MAX = 8;

/** Dead letters and acknowledgements come again only after faults, and only those of batches that were under way. */
function seldomRepeated(
  { ledger, waitingAtFaults, deliberate, quietTimes }: Observed,
  { repeatsPerFault, repeatedShareMax, quietRepeatedShareMax }: Bounds,
): Verdict {
  const violations = new Violations();
  const quiet = repeatsInQuiet(ledger, deliberate, quietTimes);
  const quietMax = repeatsPerFault + Math.ceil(quiet.records * quietRepeatedShareMax);
  if (quiet.repeated > quietMax)
    violations.add(
      () =>
        `${quiet.repeated} of ${quiet.records} records were acknowledged twice between faults, more than ${quietMax}`,
    );
  const { secondAcks, secondLetters, acks, letters } = ledger.counts;
  const underWay = waitingAtFaults.reduce((sum, waiting) => sum + Math.min(waiting, repeatsPerFault), 0);
  const repeatsMax = Math.min(underWay, Math.ceil(ledger.counts.records * repeatedShareMax)) + reread(deliberate);
  for (const [what, count] of [
    ['acknowledgements', secondAcks],
    ['dead letters', secondLetters],
  ] as const)
    if (count > repeatsMax) violations.add(() => `${count} ${what} came again, more than ${repeatsMax}`);
  ledger.forEach((record) => {
    const copiesMax = COPIES_MAX * (1 + rereadsOf(deliberate, record));
    if (record.acks > copiesMax) violations.add(() => `record ${record.name} has ${record.acks} acknowledgements`);
    if (record.letters > copiesMax) violations.add(() => `record ${record.name} has ${record.letters} dead letters`);
  });
  const note =
    `${secondAcks} acknowledgements and ${secondLetters} dead letters came again, of ${repeatsMax} that may; ` +
    `between faults ${quiet.repeated} of ${quiet.records} records`;
  return verdictOf('answers are seldom repeated', acks + letters, violations, note);
}

/**
 * How many records have their first acknowledgement in a time without faults, and how many of them another one, too. What a
 * fault has left comes again there, but seldom after a first one that came there.
 */
function repeatsInQuiet(
  ledger: Ledger,
  deliberate: Deliberate,
  quietTimes: readonly QuietTime[],
): { readonly records: number; readonly repeated: number } {
  let [records, repeated] = [0, 0];
  ledger.forEach((record) => {
    const { acks, firstAckAtMs, lastAckAtMs } = record;
    const quiet = quietTimes.find(
      ({ fromMs, tookMs = 0 }) => firstAckAtMs >= fromMs && firstAckAtMs <= fromMs + tookMs,
    );
    if (acks === 0 || quiet === undefined || rereadsOf(deliberate, record) > 0) return;
    records++;
    if (acks > 1 && lastAckAtMs <= quiet.fromMs + (quiet.tookMs ?? 0)) repeated++;
  });
  return { records, repeated };
}

/** ClickHouse took a row before its record was acknowledged as inserted. Both times are those of servers on one machine. */
function insertedBeforeAnswered({ ledger }: Observed): Verdict {
  const violations = new Violations();
  let checked = 0;
  ledger.forEach((record) => {
    const { rows, said, insertedAtUs, firstAckAtMs, name } = record;
    // What is wrong with others is found by other checks.
    if (rows === 0 || said !== 'inserted') return;
    checked++;
    // Brokers know no parts of a millisecond.
    const lateMs = Math.floor(insertedAtUs / 1_000) - firstAckAtMs;
    if (lateMs > 0) violations.add(() => `${name} was acknowledged ${lateMs} ms before its row was inserted`);
  });
  return verdictOf('rows are inserted before they are acknowledged', checked, violations);
}

/**
 * A row could be queried when its acknowledgement came, in the view, too, but for what the daemons have told; and no row but a
 * dead letter when its rejection came.
 */
function thereWhenAnswered({ replies, told, lost }: Observed): Verdict {
  const violations = new Violations();
  for (const { wrong } of replies)
    for (const [partition, offset, text] of wrong)
      // Which of two records was asked for is not known there.
      if (!wasLost(lost, partition, offset)) violations.add(() => `${partition}/${offset} ${text}`);
  const { asked = 0, askedRejected = 0, unseen = 0 } = replies.at(-1) ?? {};
  if (unseen > told.missedByViews)
    violations.add(() => `the view had not ${unseen} rows, and the daemons told of ${told.missedByViews}`);
  const note = `${asked} inserted, ${askedRejected} rejected`;
  // Both kinds have to be there.
  const checked = asked > 0 && askedRejected > 0 ? asked + askedRejected : 0;
  return verdictOf('acknowledgements are true when they come', checked, violations, note);
}

/**
 * The group never commits past the end of a log, nor backward unless its offsets were taken away, and at the end it has
 * committed everything.
 */
function commitsForward({ offsets, offsetsLost, lost }: Observed): Verdict {
  const violations = new Violations();
  for (const [index, { atMs, committed, ends }] of offsets.entries()) {
    // A step was at some time since the sample before.
    const sinceMs = offsets[index - 1]?.atMs ?? atMs;
    for (const [partition, offset] of committed.entries()) {
      const isExcused = offsetsLost.some(
        ({ partition: of = partition, fromMs, toMs }) => of === partition && atMs >= fromMs && sinceMs <= toMs,
      );
      const before = offsets[index - 1]?.committed[partition] ?? 0;
      const at = `partition ${partition} at ${new Date(atMs).toISOString()}`;
      const end = ends[partition] ?? 0;
      if (offset > end && !(isExcused && wasLost(lost, partition, offset - 1)))
        violations.add(() => `${at}: committed ${offset}, the log ends at ${end}`);
      if (offset < before && !isExcused) violations.add(() => `${at}: committed ${before}, then ${offset}`);
    }
  }
  const last = offsets.at(-1);
  for (const [partition, end] of (last?.ends ?? []).entries()) {
    const committed = last?.committed[partition];
    if (committed !== end) violations.add(() => `partition ${partition} at the end: committed ${committed} of ${end}`);
  }
  return verdictOf('commits go forward, up to the ends of the logs', offsets.length, violations);
}

/** What was committed Temporal had: the time of each commit is in Kafka, and that of each signal in the histories. */
function acceptedWhenCommitted({ ledger, commits, deliberate, lost }: Observed): Verdict {
  const highs = new Map<number, Commit[]>();
  for (const commit of commits) {
    const own = highs.get(commit.partition) ?? [];
    // Offsets are committed for the first time by those that go further than all before.
    if (commit.offset > (own.at(-1)?.offset ?? 0)) own.push(commit);
    highs.set(commit.partition, own);
  }
  const violations = new Violations();
  let [checked, lastPartition, at] = [0, -1, 0];
  ledger.forEach((record, partition, offset) => {
    if (partition !== lastPartition) at = 0;
    lastPartition = partition;
    const own = highs.get(partition) ?? [];
    while ((own[at]?.offset ?? Infinity) <= offset) at++;
    const commit = own[at];
    // Which of two records, or of a record and a marker, was committed there is not known.
    if (commit === undefined || wasLost(lost, partition, offset)) return;
    checked++;
    const { acceptedAtMs, name } = record;
    const committedAt = new Date(commit.atMs).toISOString();
    if (acceptedAtMs === 0) {
      if (readingsDue(deliberate, record) > 0)
        violations.add(() => `${name} was committed at ${committedAt}, and is in no history`);
    } else if (acceptedAtMs > commit.atMs)
      violations.add(
        () => `${name} was committed at ${committedAt}, ${acceptedAtMs - commit.atMs} ms before Temporal had it`,
      );
  });
  return verdictOf('what is committed was accepted before', checked, violations, `${commits.length} commits`);
}

/** How Temporal calls the ends that a termination, a reset or a cancellation brings. */
const ENDS_BY_FAULTS = ['TERMINATED', 'CANCELLED'];

/** No run of a batcher ended otherwise than by continuing as new, by the end of its layout, or by a fault. */
function runsClosedByFaults({ runs, closedRuns, layoutChanged }: Observed): Verdict {
  const ownEnds = ['RUNNING', 'CONTINUED_AS_NEW', ...(layoutChanged ? ['COMPLETED'] : [])];
  const violations = new Violations();
  for (const { workflowId, runId, status } of runs)
    if (!ownEnds.includes(status) && !(closedRuns.has(runId) && ENDS_BY_FAULTS.includes(status)))
      violations.add(() => `${workflowId}, run ${runId}: ${status}`);
  return verdictOf('runs of batchers end by continue-as-new, or by a fault', runs.length, violations);
}

/** The build's workflows decide in each history again what was decided in it. */
function historiesReplay({ replayed }: Observed): Verdict {
  const violations = new Violations();
  for (const { workflowId, runId, error } of replayed)
    if (error !== undefined) violations.add(() => `${workflowId}, run ${runId}: ${error}`);
  return verdictOf('histories replay', replayed.length, violations);
}

/** All was read when nothing could come any more: no activity is due, and nothing came while it was read. */
function nothingComesLate({ underWay, standings: [before, after], runs }: Observed): Verdict {
  const violations = new Violations();
  for (const activity of underWay) violations.add(() => activity);
  for (const what of ['rows', 'letters', 'acks'] as const)
    if (before[what] !== after[what]) violations.add(() => `${before[what]} ${what}, then ${after[what]}`);
  return verdictOf('nothing is under way at the end', runs.length + before.rows, violations);
}

/** Everything is acknowledged soon after the faults. */
function drained({ drainMs, backlog, ledger }: Observed, { slowness }: Bounds): Verdict {
  const maxMs = drainMsMax(backlog, slowness);
  const violations = new Violations();
  const took = drainMs === undefined ? 'never' : `after ${seconds(drainMs)}`;
  if (drainMs === undefined || drainMs > maxMs) violations.add(() => `${took}, not within ${seconds(maxMs)}`);
  return verdictOf('all is acknowledged soon after the faults', ledger.counts.records, violations, took);
}

/**
 * Nothing stands still until its process ends for one fault or another: between faults all that is due is acknowledged by the
 * daemons that run then.
 */
function settledInQuiet({ quietTimes }: Observed, { slowness }: Bounds): Verdict {
  const violations = new Violations();
  let [longestMs, stoodLongestMs] = [0, 0];
  for (const { fromMs, tookMs, stoodMs, due, restarted } of quietTimes) {
    const at = `at ${new Date(fromMs).toISOString()}`;
    const maxMs = drainMsMax(due, slowness);
    longestMs = Math.max(longestMs, tookMs ?? maxMs);
    const took = tookMs === undefined ? 'not acknowledged at all' : `acknowledged after ${seconds(tookMs)}`;
    if (tookMs === undefined || tookMs > maxMs)
      violations.add(() => `${at}: ${due} records were ${took}, not within ${seconds(maxMs)}`);
    stoodLongestMs = Math.max(stoodLongestMs, stoodMs);
    if (stoodMs > slowness * STAND_MS_MAX)
      violations.add(
        () => `${at}: a partition stood for ${seconds(stoodMs)}, longer than ${seconds(slowness * STAND_MS_MAX)}`,
      );
    for (const name of restarted) violations.add(() => `${at}: ${name} was started again while no fault was at work`);
  }
  const note = `after ${seconds(longestMs)} at most, and a partition stood for ${seconds(stoodLongestMs)} at most`;
  return verdictOf('between faults all that is due is acknowledged', quietTimes.length, violations, note);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function memoryBounded({ samples }: Observed, { memoryBytesMax }: Bounds): Verdict {
  const mebibytes = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MiB`;
  return bounded('the memory of each daemon is bounded', samples, 'bytes', memoryBytesMax, mebibytes);
}

function handlesBounded({ samples }: Observed, { handlesMax }: Bounds): Verdict {
  return bounded(
    'the open files of each daemon are bounded',
    samples,
    'handles',
    handlesMax,
    (count) => `${count} files`,
  );
}

function bounded(
  name: string,
  samples: readonly ProcessSample[],
  of: 'bytes' | 'handles',
  most: number,
  text: (value: number) => string,
): Verdict {
  const peaks = new Map<string, number>();
  let checked = 0;
  for (const sample of samples) {
    const value = sample[of];
    if (value === undefined) continue;
    checked++;
    peaks.set(sample.name, Math.max(peaks.get(sample.name) ?? 0, value));
  }
  const violations = new Violations();
  for (const [daemon, peak] of peaks)
    if (peak > most) violations.add(() => `${daemon} had ${text(peak)}, more than ${text(most)}`);
  const note = `at most ${text(Math.max(0, ...peaks.values()))}`;
  return verdictOf(name, checked, violations, note);
}

/** In a long run without faults nothing grows. */
function flat({ samples }: Observed): Verdict {
  const { checked, growing } = flatness(samples);
  const violations = new Violations();
  for (const text of growing) violations.add(() => text);
  return verdictOf('memory, open files, cache and histories do not grow', checked, violations);
}

function daemonsStayUp({ wrongEnds, samples }: Observed): Verdict {
  const violations = new Violations();
  for (const text of wrongEnds) violations.add(() => text);
  const daemons = new Set(samples.flatMap(({ name, bytes }) => (bytes === undefined ? [] : [name])));
  return verdictOf('daemons end only when they are told', daemons.size, violations);
}

/** Who misses four times of ten, as a reset link does, misses so often in a row once in a thousand runs. */
const MISSES_IN_ALL_MAX = 7;

/** A run without records or faults proves nothing, and a kind of fault that never hits does not. */
function enoughTraffic({ ledger, faults }: Observed, { recordsMin, faultsMin }: Bounds): Verdict {
  const { records, letters } = ledger.counts;
  const violations = new Violations();
  if (records < recordsMin) violations.add(() => `only ${records} of ${recordsMin} records are in the log`);
  if (letters === 0) violations.add(() => 'no record was bad');
  const hit = faults.filter(({ hits }) => hits > 0);
  if (hit.length < faultsMin) violations.add(() => `only ${hit.length} of ${faultsMin} faults have hit something`);
  for (const kind of new Set(faults.map((fault) => fault.kind))) {
    const ofKind = faults.filter((fault) => fault.kind === kind);
    if (ofKind.length > MISSES_IN_ALL_MAX && ofKind.every(({ hits }) => hits === 0))
      violations.add(() => `${kind}: done ${ofKind.length} times, and never hit anything`);
  }
  const note = `${faults.length - hit.length} faults hit nothing`;
  return verdictOf('there was enough to go wrong', records, violations, note);
}
