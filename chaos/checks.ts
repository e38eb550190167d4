import type { BatcherRun } from './batchers.js';
import { viewComplete } from './viewCheck.js';
import type { ViewRows } from './table.js';
import type { Told } from './told.js';

/** A record of the input topic, as librdkafka reads it: what is committed. */
export interface InputRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  /** The producer's, -1 if there is none. */
  readonly id: number;
  /** Digest of the field `text`, empty if there is none. */
  readonly text: string;
  /** Digest of the whole value. */
  readonly value: string;
}

/** A row of the table. */
export interface Row {
  readonly id: number;
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly text: string;
  /** Microseconds since 1970 at which ClickHouse took it. */
  readonly insertedAtUs: number;
}

/** A message of the dead-letter topic: where its record was, and what it holds. */
export interface Letter {
  readonly partition: number;
  readonly offset: number;
  readonly id: number;
  readonly code: string;
  readonly value: string;
}

/** An acknowledgement, in the order of its partition of the reply topic. */
export interface Ack {
  readonly replyPartition: number;
  readonly replyOffset: number;
  readonly key: string | null;
  readonly partition: number;
  readonly offset: number;
  readonly status: string;
  readonly batch: string;
  readonly code: string;
}

export interface OffsetSample {
  readonly atMs: number;
  /** By partition. */
  readonly committed: readonly number[];
  readonly ends: readonly number[];
}

/** What the follower of the acknowledgements has noted. */
export interface ReplySample {
  readonly atMs: number;
  readonly acks: number;
  /** Different records. */
  readonly acknowledged: number;
  /** Rows that were asked for when their acknowledgement came, so far. */
  readonly asked: number;
  /** Places of those that were not there. */
  readonly absent: readonly (readonly [number, number])[];
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

/** All that was read when a run was over. */
export interface Observed {
  readonly produced: Produced;
  readonly input: readonly InputRecord[];
  readonly rows: readonly Row[];
  readonly letters: readonly Letter[];
  readonly acks: readonly Ack[];
  /** How the materialized view differs from the table. */
  readonly view: ViewRows;
  readonly told: Told;
  readonly offsets: readonly OffsetSample[];
  readonly replies: readonly ReplySample[];
  readonly runs: readonly BatcherRun[];
  /** Times during which faults took the group's offsets away. */
  readonly offsetsLost: readonly { readonly fromMs: number; readonly toMs: number }[];
  /** Whether a fault has changed the number of batchers: those of the other layout end then, when they are empty. */
  readonly layoutChanged: boolean;
  /** Ids of the runs that faults have closed. */
  readonly closedRuns: ReadonlySet<string>;
  /** From the end of the faults until all was acknowledged; undefined if that was not waited for any longer. */
  readonly drainMs: number | undefined;
  /** Records that were not acknowledged when the faults ended. */
  readonly backlog: number;
  /** Bytes that each daemon had at most; 0 if it has not run. */
  readonly peakMemory: Readonly<Record<string, number>>;
  readonly wrongEnds: readonly string[];
  /** Faults that were done. */
  readonly faults: number;
}

/** What a check has to say. */
export interface Verdict {
  readonly name: string;
  /** How much was looked at. */
  readonly checked: number;
  /** What is wrong, one text each. */
  readonly violations: readonly string[];
}

/** What a run has to reach, beside being right. */
export interface Bounds {
  readonly recordsMin: number;
  readonly memoryBytesMax: number;
  readonly faultsMin: number;
  /** Factor for the time of the drain: 1 on a machine that does nothing else. */
  readonly slowness: number;
}

/** After the faults, beside the time for the backlog. */
const DRAIN_MS = 60_000;
const DRAIN_RECORDS_PER_SECOND = 10_000;

/** How long everything may take to be acknowledged after the faults, on a machine that does so much less than it should. */
export function drainMsMax(backlog: number, slowness: number): number {
  return slowness * (DRAIN_MS + (backlog / DRAIN_RECORDS_PER_SECOND) * 1_000);
}

/** Every check, in the order in which they are shown. One that has looked at nothing has not passed. */
export function check(observed: Observed, bounds: Bounds): Verdict[] {
  return allOf(observed, bounds).map((verdict) =>
    verdict.checked > 0 ? verdict : { ...verdict, violations: ['nothing was looked at', ...verdict.violations] },
  );
}

function allOf(observed: Observed, bounds: Bounds): Verdict[] {
  return [
    producedIsThere(observed),
    rowOrLetter(observed),
    nothingElse(observed),
    valuesMatch(observed),
    answered(observed),
    answersTrue(observed),
    rowsThereWhenAnswered(observed),
    viewComplete(observed),
    orderByKey(observed),
    commitsForward(observed),
    runsClosedByFaults(observed),
    drained(observed, bounds),
    memoryBounded(observed, bounds),
    daemonsStayUp(observed),
    enoughTraffic(observed, bounds),
  ];
}

/** What the broker has confirmed is in the log once, and what was aborted is not: else nothing else here means anything. */
function producedIsThere({ produced, input }: Observed): Verdict {
  const times = counted(input.map(({ id }) => id));
  const written = idsOf(produced.written);
  return {
    name: 'what was produced is in the log, once',
    checked: written.length,
    violations: [
      ...written
        .filter((id) => times.get(id) !== 1)
        .map((id) => `id ${id} was confirmed and is in the log ${times.get(id) ?? 0} times`),
      ...idsOf(produced.aborted)
        .filter((id) => times.has(id))
        .map((id) => `id ${id} was aborted and is in the log`),
    ],
  };
}

/**
 * Every record is one row or a dead letter, and never both. Dead letters come at least once: of those of one record all have
 * to say the same, and without a fault there is one.
 */
function rowOrLetter({ input, rows, letters, faults }: Observed): Verdict {
  const rowsAt = counted(rows.map(placeOf));
  const lettersAt = new Map<string, string[]>();
  for (const letter of letters)
    lettersAt.set(placeOf(letter), [...(lettersAt.get(placeOf(letter)) ?? []), `${letter.code} ${letter.value}`]);
  const violations = input.flatMap((record) => {
    const [inTable, said] = [rowsAt.get(placeOf(record)) ?? 0, lettersAt.get(placeOf(record)) ?? []];
    if (inTable === 1 && said.length === 0) return [];
    if (inTable === 0 && (faults > 0 ? new Set(said).size : said.length) === 1) return [];
    return [`record ${describe(record)} is ${inTable} rows and ${said.length} dead letters`];
  });
  return { name: 'each record is one row or a dead letter', checked: input.length, violations };
}

/** No row, dead letter or acknowledgement without a record: what was aborted is nowhere. */
function nothingElse({ input, rows, letters, acks, produced }: Observed): Verdict {
  const ids = new Map(input.map((record) => [placeOf(record), record.id]));
  const aborted = new Set(idsOf(produced.aborted));
  const strange = (what: string, found: { partition: number; offset: number; id?: number }): string[] => {
    if (!ids.has(placeOf(found))) return [`a ${what} of ${placeOf(found)}, where no record is`];
    if (found.id !== undefined && found.id !== ids.get(placeOf(found)))
      return [`a ${what} of ${placeOf(found)} has id ${found.id}, its record ${ids.get(placeOf(found))}`];
    return found.id !== undefined && aborted.has(found.id) ? [`a ${what} of id ${found.id}, which was aborted`] : [];
  };
  return {
    name: 'nothing is there that was not produced',
    checked: rows.length + letters.length + acks.length,
    violations: [
      ...rows.flatMap((row) => strange('row', row)),
      ...letters.flatMap((letter) => strange('dead letter', letter)),
      ...acks.flatMap((ack) => strange('acknowledgement', ack)),
    ],
  };
}

/** A row has the text and the key of its record, a dead letter its value, byte for byte. */
function valuesMatch({ input, rows, letters }: Observed): Verdict {
  const records = byPlace(input);
  return {
    name: 'rows and dead letters hold what was produced',
    checked: rows.length + letters.length,
    violations: [
      ...rows
        .filter((row) => {
          const record = records.get(placeOf(row));
          return record !== undefined && (record.text !== row.text || record.key !== row.key);
        })
        .map((row) => `the row of ${placeOf(row)} differs from its record`),
      ...letters
        .filter((letter) => {
          const record = records.get(placeOf(letter));
          return record !== undefined && record.value !== letter.value;
        })
        .map((letter) => `the dead letter of ${placeOf(letter)} differs from its record`),
    ],
  };
}

/** Every record is acknowledged, and all acknowledgements of a record say the same. */
function answered({ input, acks }: Observed): Verdict {
  const saidOf = new Map<string, Set<string>>();
  for (const ack of acks) {
    const said = saidOf.get(placeOf(ack)) ?? new Set();
    saidOf.set(placeOf(ack), said.add(`${ack.status} ${ack.code}`.trim()));
  }
  return {
    name: 'each record is acknowledged, and always in the same way',
    checked: input.length,
    violations: input.flatMap((record) => {
      const said = saidOf.get(placeOf(record));
      if (said === undefined) return [`record ${describe(record)} has no acknowledgement`];
      return said.size > 1 ? [`record ${describe(record)} was acknowledged as ${[...said].join(' and ')}`] : [];
    }),
  };
}

/** A record that is acknowledged as inserted has its row, one that is rejected has none and is a dead letter. */
function answersTrue({ rows, letters, acks }: Observed): Verdict {
  const rowsAt = new Set(rows.map(placeOf));
  const codes = new Map(letters.map((letter) => [placeOf(letter), letter.code]));
  return {
    name: 'acknowledgements are true',
    checked: acks.length,
    violations: acks.flatMap((ack) => {
      const place = placeOf(ack);
      if (ack.status === 'inserted') return rowsAt.has(place) ? [] : [`${place} is acknowledged and not in the table`];
      if (ack.status !== 'rejected') return [`${place} has an acknowledgement '${ack.status}'`];
      if (rowsAt.has(place)) return [`${place} is rejected and in the table`];
      const code = codes.get(place);
      return code === ack.code
        ? []
        : [`${place} is rejected as ${ack.code}, its dead letter says ${code ?? 'nothing'}`];
    }),
  };
}

/** A row could be queried when its acknowledgement came. */
function rowsThereWhenAnswered({ replies }: Observed): Verdict {
  return {
    name: 'a row is there when its acknowledgement comes',
    checked: replies.at(-1)?.asked ?? 0,
    violations: replies.flatMap(({ absent }) =>
      absent.map(([partition, offset]) => `${partition}/${offset} was acknowledged before its row could be queried`),
    ),
  };
}

/** ClickHouse refuses rows of a batch only after some of its rows went in, so that order ends there: docs/guarantees.md. */
const REFUSED = 'refused_by_clickhouse';

/** Records of one key were inserted and first acknowledged in their order. */
function orderByKey({ rows, acks, input }: Observed): Verdict {
  const keyOf = new Map(input.map((record) => [placeOf(record), record.key]));
  const first = new Map<string, Ack>();
  for (const ack of [...acks].sort((one, other) => one.replyOffset - other.replyOffset))
    if (!first.has(placeOf(ack))) first.set(placeOf(ack), ack);
  const unordered = new Set(acks.filter(({ code }) => code === REFUSED).map(({ batch }) => batch));
  const violations: string[] = [];
  let checked = 0;
  for (const [key, own] of groupedByKey(rows, keyOf)) {
    let before: Row | undefined;
    for (const row of own.sort((one, other) => one.offset - other.offset)) {
      const ack = first.get(placeOf(row));
      const ackBefore = before === undefined ? undefined : first.get(placeOf(before));
      if (before && ack && ackBefore) {
        const isFree = ack.batch === ackBefore.batch && unordered.has(ack.batch);
        checked++;
        if (!isFree && row.insertedAtUs < before.insertedAtUs)
          violations.push(`${placeOf(row)} of ${key} was inserted before ${placeOf(before)}`);
        if (!isFree && ack.replyPartition === ackBefore.replyPartition && ack.replyOffset < ackBefore.replyOffset)
          violations.push(`${placeOf(row)} of ${key} was acknowledged before ${placeOf(before)}`);
      }
      before = row;
    }
  }
  return { name: 'rows and acknowledgements of a key are in order', checked, violations };
}

/** After the offsets were lost, until the group has committed again. */
const COMMITTED_AGAIN_MS = 60_000;

/**
 * The group never commits past the end of a log, nor backward unless its offsets were taken away, and at the end it has
 * committed everything.
 */
function commitsForward({ offsets, offsetsLost }: Observed): Verdict {
  const isExcused = (atMs: number): boolean =>
    offsetsLost.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs + COMMITTED_AGAIN_MS);
  const violations = offsets.flatMap(({ atMs, committed, ends }, index) =>
    committed.flatMap((offset, partition) => {
      const before = offsets[index - 1]?.committed[partition] ?? 0;
      const at = `partition ${partition} at ${new Date(atMs).toISOString()}`;
      return [
        ...(offset > (ends[partition] ?? 0) ? [`${at}: committed ${offset}, the log ends at ${ends[partition]}`] : []),
        ...(offset < before && !isExcused(atMs) ? [`${at}: committed ${before}, then ${offset}`] : []),
      ];
    }),
  );
  const last = offsets.at(-1);
  const uncommitted = (last?.ends ?? []).flatMap((end, partition) =>
    last?.committed[partition] === end
      ? []
      : [`partition ${partition} at the end: committed ${last?.committed[partition]} of ${end}`],
  );
  return {
    name: 'commits go forward, up to the ends of the logs',
    checked: offsets.length,
    violations: [...violations, ...uncommitted],
  };
}

/** No run of a batcher ended otherwise than by continuing as new, by the end of its layout, or by a fault. */
function runsClosedByFaults({ runs, closedRuns, layoutChanged }: Observed): Verdict {
  const ownEnds = ['RUNNING', 'CONTINUED_AS_NEW', ...(layoutChanged ? ['COMPLETED'] : [])];
  return {
    name: 'runs of batchers end by continue-as-new, or by a fault',
    checked: runs.length,
    violations: runs
      .filter(({ runId, status }) => !ownEnds.includes(status) && !closedRuns.has(runId))
      .map(({ workflowId, runId, status }) => `${workflowId}, run ${runId}: ${status}`),
  };
}

/** Everything is acknowledged soon after the faults. */
function drained({ drainMs, backlog, input }: Observed, { slowness }: Bounds): Verdict {
  const maxMs = drainMsMax(backlog, slowness);
  const isLate = drainMs === undefined || drainMs > maxMs;
  const took = drainMs === undefined ? 'never' : `after ${(drainMs / 1_000).toFixed(1)} s`;
  return {
    name: 'all is acknowledged soon after the faults',
    checked: input.length,
    violations: isLate ? [`${took}, not within ${(maxMs / 1_000).toFixed(1)} s`] : [],
  };
}

function memoryBounded({ peakMemory }: Observed, { memoryBytesMax }: Bounds): Verdict {
  const mebibytes = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MiB`;
  return {
    name: 'the memory of each daemon is bounded',
    // A further consumer may not have run.
    checked: Object.values(peakMemory).filter((bytes) => bytes > 0).length,
    violations: Object.entries(peakMemory)
      .filter(([, bytes]) => bytes > memoryBytesMax)
      .map(([name, bytes]) => `${name} had ${mebibytes(bytes)}, more than ${mebibytes(memoryBytesMax)}`),
  };
}

function daemonsStayUp({ wrongEnds, peakMemory }: Observed): Verdict {
  const checked = Object.values(peakMemory).filter((bytes) => bytes > 0).length;
  return { name: 'daemons end only when they are told', checked, violations: wrongEnds };
}

/** A run without records or faults proves nothing. */
function enoughTraffic({ input, letters, faults }: Observed, { recordsMin, faultsMin }: Bounds): Verdict {
  const wanted = Math.max(1, faultsMin);
  return {
    name: 'there was enough to go wrong',
    checked: input.length,
    violations: [
      ...(input.length < recordsMin ? [`only ${input.length} of ${recordsMin} records are in the log`] : []),
      ...(letters.length === 0 ? ['no record was bad'] : []),
      ...(faults < wanted ? [`only ${faults} of ${wanted} faults were done`] : []),
    ],
  };
}

function placeOf({ partition, offset }: { readonly partition: number; readonly offset: number }): string {
  return `${partition}/${offset}`;
}

function describe(record: InputRecord): string {
  return `${placeOf(record)} (id ${record.id})`;
}

function byPlace(input: readonly InputRecord[]): Map<string, InputRecord> {
  return new Map(input.map((record) => [placeOf(record), record]));
}

function idsOf(ranges: IdRanges): number[] {
  return ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, index) => first + index));
}

function counted<T>(values: readonly T[]): Map<T, number> {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** A key has an order in each partition. */
function groupedByKey(rows: readonly Row[], keyOf: ReadonlyMap<string, string | null>): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = keyOf.get(placeOf(row));
    if (key === undefined || key === null) continue;
    const name = `${key} in partition ${row.partition}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [row]);
    else group.push(row);
  }
  return groups;
}
