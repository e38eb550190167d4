import type { BatchOfRecord } from './batchesOfRecord.js';
import type { FoundAck, FoundDeadLetter } from '../shared/readAnswers.js';
import type { RecordTexts } from '../shared/recordTexts.js';
import type { LockedRange } from '../shared/unflushedChunks.js';
import { isOtherTime, secondsOfRecord, type RowsOfRecord } from '../../clickhouse/lookUps.js';
import type { RecordPlace } from '../../protocol/record.js';

/** A batcher that has accepted a record. */
export interface Acceptance {
  readonly workflowId: string;
  readonly runId: string;
  /** The name of its layout. */
  readonly layout: string;
  /** The epochs under which it was accepted. */
  readonly epochs: readonly string[];
  /** True if it is not flushed yet: buffered, in a batch, or left by a closed run. */
  readonly unflushed: boolean;
  /** The epochs under which it holds another record at this offset, from before the topic was recreated. */
  readonly earlierEpochs: readonly string[];
  /** The range of the record in a chunk that it holds and nobody can unpack. Null if there is none. */
  readonly locked: LockedRange | null;
  /** Batches with the record in the runs that were searched. */
  readonly batches: readonly BatchOfRecord[];
}

/** The rows of a record in one table. */
export interface RowsInTable extends RowsOfRecord {
  /** Absent if the pipeline has one table for all records of the topic. */
  readonly table?: string;
}

/** An answer, or the error of a part that did not answer. */
export type Known<T> = T | { readonly error: string };

/** All that is known of one record in one pipeline. */
export interface RecordFacts {
  readonly log: {
    readonly start: number;
    /** Where what may be read ends: at the log's end, or where the first open transaction begins. */
    readonly end: number;
    /** The end of the log. Missing if its leader did not tell it. */
    readonly highWatermark?: number;
    /** The next offset of the group. Null if there is none. */
    readonly committed: number | null;
    /** The committed epoch. Null if someone else has committed the offset, or nobody has. */
    readonly epoch: string | null;
    /** The name of the committed layout. Null like the epoch. */
    readonly layout: string | null;
  };
  /** Null if the log has no record at this offset. */
  readonly record: {
    readonly timestampMs: number;
    /** It has no value, and the pipeline skips such records. */
    readonly skipped: boolean;
    /** Workflow id of the record's batcher by the present configuration. */
    readonly batcher: string;
    /** The table that its value names by the present configuration, null if it names none. Missing if no value decides. */
    readonly table?: string | null;
    /** Its key and value. Missing if they were not asked for. */
    readonly content?: RecordTexts;
    /** How many rows it holds. Missing if each record is one row. */
    readonly rows?: number;
  } | null;
  /** Why nobody can read the record at this offset, so that it was skipped. Null if it can be read. */
  readonly unreadable: string | null;
  readonly acceptances: Known<readonly Acceptance[]>;
  readonly rows: Known<readonly RowsInTable[]>;
  /** Tables that it may be in, and that do not exist. Missing if there are none. */
  readonly missingTables?: readonly string[];
  readonly acks: readonly FoundAck[];
  readonly deadLetters: readonly FoundDeadLetter[];
}

/**
 * - `notWritten`: the log ends before the offset
 * - `notReadable`: it is within or after a transaction that is still open
 * - `noRecord`: a transaction's mark, or removed by compaction
 * - `removed`: it is before the log's start, and nothing else is known
 * - `unreadable`: nobody can read its record batch. The daemon has skipped it, or will
 * - `waiting`: no batcher has accepted it
 * - `accepted`: a batcher has it
 * - `flushing`: it is in a batch that is being flushed
 * - `inserted`, `rejected`, `skipped`: it is done
 * - `missing`: it has neither a row (or not all that it holds) nor a dead letter, although it was accepted, or is before the committed offset. In
 *   the second case it may not have been to be read, see {@link NO_BATCHER_KNOWS}
 * - `unknown`: a part that would know does not answer
 */
export type RecordState =
  | 'notWritten'
  | 'notReadable'
  | 'noRecord'
  | 'removed'
  | 'unreadable'
  | 'waiting'
  | 'accepted'
  | 'flushing'
  | 'inserted'
  | 'rejected'
  | 'skipped'
  | 'missing'
  | 'unknown';

/**
 * Whether a row at a record's offset is of this record, and not of an earlier one that was there before the topic was
 * recreated. If the table has timestamps, they tell. Under the committed epoch only two real ones that differ speak
 * against a row: an epoch that goes on in another log, which it should not, would otherwise hide what was not read of
 * that. Pure.
 */
export function isRowOf(
  { log, record, acceptances }: FactsOfEpochs,
  { offset, epoch, seconds }: RowsOfRecord,
): boolean {
  if (epoch === log.epoch) return record === null || !isOtherTime(seconds, secondsOfRecord(record.timestampMs));
  if (record !== null && seconds !== null) return seconds === secondsOfRecord(record.timestampMs);
  if (record === null) return offset < log.end;
  return log.epoch === null || 'error' in acceptances || !isAcceptedNow({ log, acceptances });
}

/**
 * Whether rows make a record inserted: one is of it, or as many as it holds. Those of several epochs count together: a
 * rewind fills in the rows that a record lacks. Pure.
 *
 * @param expected how many rows it holds. Undefined if each record is one row, or that is not known
 */
export function areRowsOf(facts: FactsOfEpochs, rows: readonly RowsOfRecord[], expected: number | undefined): boolean {
  const own = rows.filter((row) => isRowOf(facts, row));
  const found = own.reduce((sum, { different = 1 }) => sum + different, 0);
  return found >= Math.max(1, expected ?? 1);
}

/** What is needed to tell a record from an earlier one at the same offset. */
interface FactsOfEpochs {
  readonly log: Pick<RecordFacts['log'], 'end' | 'epoch'>;
  readonly record: Pick<NonNullable<RecordFacts['record']>, 'timestampMs'> | null;
  readonly acceptances: Known<readonly AcceptedUnder[]>;
}

/** The epochs of an acceptance. */
export type AcceptedUnder = Pick<Acceptance, 'epochs' | 'earlierEpochs'>;

/**
 * Whether a batcher has accepted the record under the committed epoch, or under any if that is not known. Under an
 * earlier one it was another record, or the offsets were reset since and it is read again. Pure.
 */
export function isAcceptedNow({
  log,
  acceptances,
}: {
  readonly log: Pick<RecordFacts['log'], 'epoch'>;
  readonly acceptances: readonly AcceptedUnder[];
}): boolean {
  return acceptances.some(({ epochs, earlierEpochs }) =>
    epochs.some((epoch) => !earlierEpochs.includes(epoch) && (log.epoch === null || epoch === log.epoch)),
  );
}

/**
 * Whether another record may have been at the offset before: there is something of it, or the offset was accepted under
 * another epoch, and not because its partition has gone over to another layout since. Then an acknowledgement may be of
 * that record, since it names neither epoch nor timestamp. Pure.
 */
export function mayHaveEarlier(
  facts: Pick<RecordFacts, 'log' | 'rows'> & {
    readonly record: FactsOfEpochs['record'];
    readonly acceptances: Known<readonly (AcceptedUnder & Pick<Acceptance, 'layout'>)[]>;
  },
  { offset }: Pick<RecordPlace, 'offset'>,
): boolean {
  const { log, acceptances, rows } = facts;
  if (!('error' in rows) && rows.some((row) => !isRowOf(facts, row))) return true;
  if ('error' in acceptances) return false;
  if (acceptances.some(({ earlierEpochs }) => earlierEpochs.length > 0)) return true;
  const epochs = new Set(acceptances.flatMap((acceptance) => acceptance.epochs));
  const [only] = epochs;
  if (epochs.size !== 1 || log.epoch === null || only === log.epoch) return epochs.size > 1;
  // One epoch alone has accepted it. A partition gets a new one with each layout, and what was read before stays.
  return offset >= (log.committed ?? 0) || acceptances.some(({ layout }) => layout === log.layout);
}

/** The state of a record, from the known facts. Pure. */
export function stateOf(facts: RecordFacts, { offset }: Pick<RecordPlace, 'offset'>): RecordState {
  const { log, record, unreadable, acceptances, rows, acks, deadLetters } = facts;
  if (!('error' in rows) && areRowsOf(facts, rows, record?.rows)) return 'inserted';
  if (deadLetters.length > 0) return 'rejected';
  if (!mayHaveEarlier(facts, { offset })) {
    if (acks.some(({ status }) => status === 'rejected')) return 'rejected';
    if (acks.some(({ status }) => status === 'skipped')) return 'skipped';
  }
  if (offset >= (log.highWatermark ?? log.end)) return 'notWritten';
  if (offset >= log.end) return 'notReadable';
  if ('error' in acceptances || 'error' in rows) return 'unknown';
  const holder = acceptances.find(({ unflushed }) => unflushed);
  if (holder !== undefined) return holder.batches.some(({ outcome }) => outcome === null) ? 'flushing' : 'accepted';
  if (offset < log.start) return 'removed';
  if (unreadable !== null) return 'unreadable';
  if (record === null) return 'noRecord';
  // Rows that do not count are of an earlier record. If no epoch tells, the acceptance is of that one, too.
  const isOfEarlier = log.epoch === null && rows.length > 0;
  if ((isOfEarlier || !isAcceptedNow({ log, acceptances })) && offset >= (log.committed ?? 0)) return 'waiting';
  return record.skipped ? 'skipped' : 'missing';
}
