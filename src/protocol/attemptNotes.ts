import type { Rejection } from './ack.js';

/**
 * What an attempt leaves to the attempts after it. It travels as the details of heartbeats, which Temporal keeps with the
 * activity, whatever worker has the next attempt. Absent parts are unknown or zero, so that notes of every version can be
 * read.
 */
export interface AttemptNotes {
  /** Number of the attempt that has left them. */
  readonly attempt?: number;
  /** How long ClickHouse has answered with errors, as far as known. See {@link refusedForMs}. */
  readonly refusedForMs?: number;
  /** When it last did, in milliseconds since 1970; absent where something else has happened since. */
  readonly refusedAtMs?: number;
  /** When ClickHouse was last away, or the table not as it has to be, in milliseconds since 1970. */
  readonly outageAtMs?: number;
  /**
   * What was acknowledged while another table held the batch: the records that want no row, and those in these tables, as far as
   * {@link InsertNotes.done} does not name them.
   */
  readonly acknowledgedTables?: readonly string[];
  /** So many attempts, the first ones, were handed back before they had begun. */
  readonly handedBack?: number;
  /** By table. */
  readonly inserts?: Readonly<Record<string, InsertNotes>>;
}

/** What was sent to one table of which not all is known. */
export interface InsertNotes {
  /** Deduplication token of all rows: the numbers below are about the rows that make this one. */
  readonly whole: string;
  /** Sets of rows that were sent, other than the whole, and that the table's views may lack although the table has them. */
  readonly unsettled: readonly RowSet[];
  /** True where sets were sent that are not named here. */
  readonly incomplete?: boolean;
  /**
   * Present where another table holds the batch and this one is done: which of its records are rejected. The others are in it.
   * Nothing of it is sent or judged again.
   */
  readonly done?: NotedRejections;
  /** True where no token was remembered when rows were sent: they must not be sent again. */
  readonly forgotten?: boolean;
}

/** Why records are rejected, and which: their places among the records of one table. */
export type NotedRejections = readonly (readonly [code: Rejection['code'], message: string, places: RowSet])[];

/** Numbers of rows, as ranges: first and last. */
export type RowSet = readonly (readonly [first: number, last: number])[];

/**
 * What an attempt knows from those before it. Where the last one left no notes it may have been one of version 0.1.0, which notes
 * nothing: what was sent is not known then.
 *
 * @param details of the last heartbeat, of whatever version; anything else gives no notes
 * @param attempt number of the attempt that reads them
 */
export function readNotes(details: unknown, attempt: number): AttemptNotes {
  const notes: AttemptNotes = typeof details === 'object' && details !== null ? details : {};
  if (notes.attempt === attempt - 1) return notes;
  // How many were handed back says nothing once another attempt was in between, or attempts are counted anew.
  const { inserts, handedBack: _, ...others } = notes;
  if (inserts === undefined) return others;
  return { ...others, inserts: Object.fromEntries(Object.entries(inserts).filter(([, { done }]) => done)) };
}

/** Between two errors more time than this is not counted: nobody may have tried meanwhile. */
const COUNTED_BETWEEN_MAX_MS = 60_000;

/**
 * Where the table was not as it has to be, or ClickHouse was away, within so long, an error must not end in dead letters,
 * however long it had lasted before.
 */
const OUTAGE_COUNTS_MS = 10 * 60_000;

/** How long ClickHouse has answered this activity with errors; times when it was away, or nobody asked, do not count. */
export function refusedForMs({ refusedForMs = 0, refusedAtMs }: AttemptNotes, nowMs: number): number {
  if (refusedAtMs === undefined) return refusedForMs;
  return refusedForMs + Math.min(Math.max(0, nowMs - refusedAtMs), COUNTED_BETWEEN_MAX_MS);
}

/** Whether ClickHouse was away, or the table not as it has to be, a short while ago. */
export function hadOutage({ outageAtMs }: AttemptNotes, nowMs: number): boolean {
  return outageAtMs !== undefined && nowMs - outageAtMs < OUTAGE_COUNTS_MS;
}

/** ClickHouse has answered with an error that is not about the table. */
export function noteRefusal(notes: AttemptNotes, nowMs: number): AttemptNotes {
  return { ...notes, refusedForMs: refusedForMs(notes, nowMs), refusedAtMs: nowMs };
}

/** ClickHouse was away, or the table is not as it has to be. */
export function noteOutage({ refusedAtMs: _, ...notes }: AttemptNotes, nowMs: number): AttemptNotes {
  return { ...notes, outageAtMs: nowMs };
}

/** As many ranges as are noted of one set: notes have to stay small. */
const RANGES_MAX = 200;

/** @param rows in ascending order. @returns null where the set has too many ranges to be noted */
export function rowSet(rows: readonly number[]): RowSet | null {
  const ranges: [number, number][] = [];
  for (const row of rows) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] + 1 === row) last[1] = row;
    else if (ranges.length === RANGES_MAX) return null;
    else ranges.push([row, row]);
  }
  return ranges;
}

/** The numbers in a set, in ascending order. */
export function rowsOf(set: RowSet): number[] {
  return set.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, index) => first + index));
}

/** As many characters as the messages of one table's rejections may have, together, in notes. */
const MESSAGES_LENGTH_MAX = 20_000;

/**
 * Verdicts for the attempts to come. Where their messages make them too large these are left out, and the codes stay.
 *
 * @param verdicts by the places of rejected records, in ascending order
 * @returns null where there are too many ranges to be noted even so
 */
export function noteRejections(verdicts: ReadonlyMap<number, Rejection>): NotedRejections | null {
  return grouped(verdicts, ({ message }) => message) ?? grouped(verdicts, () => '');
}

function grouped(
  verdicts: ReadonlyMap<number, Rejection>,
  messageOf: (rejection: Rejection) => string,
): NotedRejections | null {
  const groups = new Map<string, { rejection: Rejection; places: number[] }>();
  for (const [place, rejection] of verdicts) {
    const message = messageOf(rejection);
    const name = `${rejection.code} ${message}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { rejection: { ...rejection, message }, places: [place] });
    else group.places.push(place);
  }
  const noted: [Rejection['code'], string, RowSet][] = [];
  let ranges = 0;
  let length = 0;
  for (const { rejection, places } of groups.values()) {
    const set = rowSet(places);
    ranges += set?.length ?? Infinity;
    length += rejection.message.length;
    if (set === null || ranges > RANGES_MAX || length > MESSAGES_LENGTH_MAX) return null;
    noted.push([rejection.code, rejection.message, set]);
  }
  return noted;
}

/** The opposite of {@link noteRejections}. */
export function notedRejections(noted: NotedRejections): Map<number, Rejection> {
  return new Map(
    noted.flatMap(([code, message, places]) => rowsOf(places).map((place) => [place, { code, message }] as const)),
  );
}
