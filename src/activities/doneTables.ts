import type { SourcedRecord } from '../clickhouse/batchRows.js';
import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import type { Rejection } from '../protocol/ack.js';
import { notedRejections, noteRejections, type InsertNotes } from '../protocol/attemptNotes.js';
import { identityName, type KafkaRecord } from '../protocol/record.js';
import type { Attempt } from './attempt.js';
import { byTable, type Batch } from './batch.js';
import { judge, verdictsOf, type Outcome } from './outcome.js';

/*
 * Where one table holds a batch, the others are done with it. Attempts note that, and what they have acknowledged of it, for the
 * attempts to come, on whatever worker.
 */

/** What an attempt notes of a table that is done with a batch; null where there is too much to be noted. */
export function noteDone(records: readonly SourcedRecord[], { rejected }: Outcome): InsertNotes | null {
  const done = noteRejections(byPlace(records, rejected));
  return done === null ? null : { whole: '', unsettled: [], done };
}

/** Which of a table's records are rejected, and why, by their places. */
function byPlace(records: readonly SourcedRecord[], rejected: readonly RejectedRecord[]): Map<number, Rejection> {
  const verdicts = verdictsOf(rejected);
  const rejections = new Map<number, Rejection>();
  for (const [place, item] of verdicts.size === 0 ? [] : records.entries()) {
    const rejection = verdicts.get(identityName(item));
    if (rejection !== undefined) rejections.set(place, rejection);
  }
  return rejections;
}

/**
 * What an attempt before has made of a table's records, where another table held the batch. It stands: what is in the table is left
 * alone; and a record that is refused alone would not be told from an ill table any more, as nothing else is sent to it.
 */
export function doneBefore(
  table: string,
  records: readonly SourcedRecord[],
  { notes: { inserts } }: Pick<Attempt, 'notes'>,
): Outcome | undefined {
  const done = inserts?.[table]?.done;
  if (done === undefined) return undefined;
  const verdicts = notedRejections(done);
  return judge(records, (_, place) => verdicts.get(place));
}

/** Records of a batch that are in these tables, which attempts have noted to be done. */
export function insertedOf(
  batch: Batch,
  tables: readonly string[],
  attempt: Pick<Attempt, 'notes'>,
): readonly SourcedRecord[] {
  const records = byTable(batch);
  return tables.flatMap((table) => doneBefore(table, records.get(table) ?? [], attempt)?.inserted ?? []);
}

/** Records in tables that attempts have acknowledged although the batch was held; undefined where nothing was. */
export function acknowledgedBefore(
  batch: Batch,
  attempt: Pick<Attempt, 'notes'>,
): ReadonlySet<KafkaRecord> | undefined {
  const { acknowledgedTables } = attempt.notes;
  if (acknowledgedTables === undefined) return undefined;
  return new Set(insertedOf(batch, acknowledgedTables, attempt).map(({ record }) => record));
}
