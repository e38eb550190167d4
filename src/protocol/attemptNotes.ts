import type { Rejection } from './ack.js';

/**
 * What an attempt of a flush tells the attempts after it. It travels as the details of heartbeats. Temporal keeps these
 * with the activity, whatever worker has the next attempt. An absent part is unknown or zero, so notes of every version
 * can be read.
 */
export interface AttemptNotes {
  /** Number of the attempt that wrote them. */
  readonly attempt?: number;
  /** Random name of that attempt. Two attempts have the same number if a person has reset the activity. */
  readonly attemptId?: string;
  /** For how many milliseconds ClickHouse has answered with errors, as far as known. See {@link refusedForMs}. */
  readonly refusedForMs?: number;
  /** When it last answered with an error, in milliseconds since 1970. Absent if something else has happened since. */
  readonly refusedAtMs?: number;
  /** When an outage was last noted, in milliseconds since 1970. See {@link noteOutage}. */
  readonly outageAtMs?: number;
  /**
   * The tables whose inserted records are acknowledged although another table holds the batch. If it is present, so are
   * the skipped records.
   */
  readonly acknowledgedTables?: readonly string[];
  /** How many attempts were handed back before they did anything. They are the first ones. */
  readonly handedBack?: number;
  /** How many attempts in a row, up to and including attempt `until`, were handed back because workers were full. */
  readonly handedBackInARow?: { readonly until: number; readonly times: number };
  /** Notes about each table. */
  readonly inserts?: Readonly<Record<string, InsertNotes>>;
}

/** The notes about one table. A table may be called `constructor` or `__proto__`. */
export function insertNotesOf({ inserts = {} }: Pick<AttemptNotes, 'inserts'>, table: string): InsertNotes | undefined {
  return Object.hasOwn(inserts, table) ? inserts[table] : undefined;
}

/** What was sent to one table, if not all of it is known to be settled. */
export interface InsertNotes {
  /** Token of all records of the batch for this table. The indexes below count these, whatever becomes of them. */
  readonly whole: string;
  /** Sets of records whose rows were sent. The table's views may lack them although the table has them. */
  readonly unsettled: readonly RowSet[];
  /**
   * Records that are in the table, and that its views may lack for good: the set that brought them is not sent again,
   * because other rows of it came with another set, or it was given up and counted.
   */
  readonly stranded?: RowSet;
  /** True if sets were sent that are not listed here. */
  readonly incomplete?: boolean;
  /**
   * Which records of this table are rejected. Present if this table is done while another one holds the batch. Its
   * other records are in the table. Nothing of it is sent or judged again.
   */
  readonly done?: NotedRejections;
  /**
   * Stands for the tables that remembered the tokens of all unsettled sets when they were sent. Absent if one may not
   * have. Then, or if there are other tables in their place, these sets must not be sent again.
   */
  readonly rememberedBy?: string;
}

/** Which records are rejected and why. */
export type NotedRejections = readonly (readonly [code: Rejection['code'], message: string, indexes: RowSet])[];

/** Indexes of records among the records of one table, as ranges, the last one included. */
export type RowSet = readonly (readonly [first: number, last: number])[];

/**
 * What an attempt knows from the attempts before it. If the attempt directly before left no notes, it may have been one
 * of version 0.1.0, which writes none. Then it is not known what was sent.
 *
 * @param details of the last heartbeat, of whatever version. Anything else gives no notes
 * @param attempt number of the attempt that reads them
 */
export function readNotes(details: unknown, attempt: number): AttemptNotes {
  const notes: AttemptNotes = typeof details === 'object' && details !== null ? details : {};
  if (notes.attempt === attempt - 1) return notes;
  // These are of no use if another attempt was in between, or attempts are counted from 1 again.
  const { inserts, handedBack: _, attemptId: __, ...others } = notes;
  if (inserts === undefined) return others;
  return { ...others, inserts: Object.fromEntries(Object.entries(inserts).filter(([, { done }]) => done)) };
}

/** At most this much time between two errors is counted. Perhaps nobody tried in the rest. */
const COUNTED_BETWEEN_MAX_MS = 60_000;

/**
 * If there was an outage within this time, an error must not end in dead letters, however long it lasted before. See
 * {@link noteOutage}.
 */
const OUTAGE_COUNTS_MS = 10 * 60_000;

/**
 * For how many milliseconds ClickHouse has answered this activity with errors. Outages, and times when nobody tried, do
 * not count.
 */
export function refusedForMs({ refusedForMs = 0, refusedAtMs }: AttemptNotes, nowMs: number): number {
  if (refusedAtMs === undefined) return refusedForMs;
  return refusedForMs + Math.min(Math.max(0, nowMs - refusedAtMs), COUNTED_BETWEEN_MAX_MS);
}

/** Whether there was an outage within the last {@link OUTAGE_COUNTS_MS}. See {@link noteOutage}. */
export function hadOutage({ outageAtMs }: AttemptNotes, nowMs: number): boolean {
  return outageAtMs !== undefined && nowMs - outageAtMs < OUTAGE_COUNTS_MS;
}

/** ClickHouse has answered with an error that is no outage. See {@link noteOutage}. */
export function noteRefusal(notes: AttemptNotes, nowMs: number): AttemptNotes {
  return { ...notes, refusedForMs: refusedForMs(notes, nowMs), refusedAtMs: nowMs };
}

/**
 * Notes an outage. That is one of three things: ClickHouse did not answer, the table is wrong (a structural error), or
 * one of ClickHouse's libraries failed, of which the machine may be the reason.
 */
export function noteOutage({ refusedAtMs: _, ...notes }: AttemptNotes, nowMs: number): AttemptNotes {
  return { ...notes, outageAtMs: nowMs };
}

/** Ranges of one set, at most. Notes have to stay small. */
const RANGES_MAX = 200;

/**
 * @param indexes in ascending order
 * @returns null if the set has too many ranges for the notes
 */
export function rowSet(indexes: readonly number[]): RowSet | null {
  const ranges: [number, number][] = [];
  for (const index of indexes) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] + 1 === index) last[1] = index;
    else if (ranges.length === RANGES_MAX) return null;
    else ranges.push([index, index]);
  }
  return ranges;
}

/** The indexes in a set, in ascending order. */
export function rowsOf(set: RowSet): number[] {
  return set.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, index) => first + index));
}

/** Characters of the messages of one table's rejections, together, at most. */
const MESSAGES_LENGTH_MAX = 20_000;

/**
 * Packs verdicts for the attempts to come. If the messages make them too large, the messages are left out and the codes
 * stay.
 *
 * @param verdicts by the indexes of rejected records, in ascending order
 * @returns null if even then there are too many ranges
 */
export function noteRejections(verdicts: ReadonlyMap<number, Rejection>): NotedRejections | null {
  return grouped(verdicts, ({ message }) => message) ?? grouped(verdicts, () => '');
}

function grouped(
  verdicts: ReadonlyMap<number, Rejection>,
  messageOf: (rejection: Rejection) => string,
): NotedRejections | null {
  const groups = new Map<string, { rejection: Rejection; indexes: number[] }>();
  for (const [index, rejection] of verdicts) {
    const message = messageOf(rejection);
    const name = `${rejection.code} ${message}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { rejection: { ...rejection, message }, indexes: [index] });
    else group.indexes.push(index);
  }
  const noted: [Rejection['code'], string, RowSet][] = [];
  let ranges = 0;
  let length = 0;
  for (const { rejection, indexes } of groups.values()) {
    const set = rowSet(indexes);
    ranges += set?.length ?? Infinity;
    length += rejection.message.length;
    if (set === null || ranges > RANGES_MAX || length > MESSAGES_LENGTH_MAX) return null;
    noted.push([rejection.code, rejection.message, set]);
  }
  return noted;
}

/** The same verdicts, but only their codes. */
export function withoutMessages(noted: NotedRejections): NotedRejections {
  const verdicts = new Map([...notedRejections(noted)].sort(([index], [other]) => index - other));
  // Together the codes have no more ranges than before.
  return grouped(verdicts, () => '') ?? noted;
}

/** The opposite of {@link noteRejections}. */
export function notedRejections(noted: NotedRejections): Map<number, Rejection> {
  return new Map(
    noted.flatMap(([code, message, indexes]) => rowsOf(indexes).map((index) => [index, { code, message }] as const)),
  );
}
