import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import type { Rejection } from '../protocol/ack.js';
import {
  insertNotesOf,
  notedRejections,
  noteRejections,
  type InsertNotes,
  type NotedRejections,
} from '../protocol/attemptNotes.js';
import { identityName, type KafkaRecord, type SourcedRecord } from '../protocol/record.js';
import type { Attempt } from './attempt.js';
import { judge, verdictsOf, type Outcome } from './outcome.js';
import type { Share, Shares } from './shares.js';

/*
 * If one table holds a batch, the other tables are done with it. Attempts note that, and what they have acknowledged of it,
 * for the later attempts, on whatever worker.
 */

/** Notes which tables are done with a batch that another table holds. @returns whether Temporal has the note */
export function noteDoneTables(done: readonly DoneTable[], attempt: Pick<Attempt, 'notes' | 'note'>): Promise<boolean> {
  const inserts = new Map(Object.entries(attempt.notes.inserts ?? {}));
  for (const [{ note, records }, { rejected }] of done) {
    const noted = inserts.get(note)?.done ?? noteRejections(byIndex(records, rejected));
    // Too many rejections have no room in the notes.
    if (noted !== null) inserts.set(note, doneNote(noted));
  }
  return attempt.note({ ...attempt.notes, inserts: Object.fromEntries(inserts) }).then(
    () => true,
    () => false,
  );
}

/** A table with its records of a batch, and what became of them. */
type DoneTable = readonly [share: Share, outcome: Outcome];

/** No token is equal to this `whole`. So the notes say nothing about sets that were sent, only that the table is done. */
function doneNote(done: NotedRejections): InsertNotes {
  return { whole: '', unsettled: [], done };
}

/** The rejections of a table's records, by their indexes. */
function byIndex(records: readonly SourcedRecord[], rejected: readonly RejectedRecord[]): Map<number, Rejection> {
  const verdicts = verdictsOf(rejected);
  const rejections = new Map<number, Rejection>();
  for (const [index, item] of verdicts.size === 0 ? [] : records.entries()) {
    const rejection = verdicts.get(identityName(item));
    if (rejection !== undefined) rejections.set(index, rejection);
  }
  return rejections;
}

/**
 * The result of a table in an earlier attempt, in which another table held the batch. It is not changed: what is in the
 * table stays. And rejected records are not tried again. Nothing else is sent to the table now, so a refused record
 * could not be told from a broken table.
 */
export function doneBefore({ note, records }: Share, { notes }: Pick<Attempt, 'notes'>): Outcome | undefined {
  const done = insertNotesOf(notes, note)?.done;
  if (done === undefined) return undefined;
  const verdicts = notedRejections(done);
  return judge(records, (_, index) => verdicts.get(index));
}

/** The inserted records of those shares that attempts have noted as done under these names. */
export function insertedOf(
  { ofTables }: Pick<Shares, 'ofTables'>,
  noted: readonly string[],
  attempt: Pick<Attempt, 'notes'>,
): readonly SourcedRecord[] {
  const names = new Set(noted);
  return ofTables.flatMap((share) => (names.has(share.note) ? (doneBefore(share, attempt)?.inserted ?? []) : []));
}

/** The records that attempts have acknowledged although the batch was held. Undefined if there are none. */
export async function acknowledgedBefore(
  shares: () => Promise<Pick<Shares, 'ofTables'>>,
  attempt: Pick<Attempt, 'notes'>,
): Promise<ReadonlySet<KafkaRecord> | undefined> {
  const { acknowledgedTables } = attempt.notes;
  if (acknowledgedTables === undefined) return undefined;
  return new Set(insertedOf(await shares(), acknowledgedTables, attempt).map(({ record }) => record));
}
