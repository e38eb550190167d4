import type { BatchOfRecord } from './batchesOfRecord.js';
import type { RecordTexts } from './recordTexts.js';
import { lockedText, type LockedRange } from './unflushedChunks.js';
import { isOtherTime, secondsOfRecord, type RowsOfRecord } from '../../clickhouse/lookUps.js';
import { NO_TIMESTAMP, placeName, timeText, type RecordPlace } from '../../protocol/record.js';
import { withoutControls } from '../../lib/controlCharacters.js';
import { UsageError } from '../../lib/usageError.js';

/** `orders/3/12345`. @throws UsageError */
export function parsePlace(text: string): RecordPlace {
  const [, topic, partition, offset] = /^([a-zA-Z0-9._-]{1,249})\/(\d{1,9})\/(\d{1,15})$/.exec(text) ?? [];
  if (topic === undefined)
    throw new UsageError(`${text} is no record: say topic/partition/offset, such as orders/3/12345`);
  return { topic, partition: Number(partition), offset: Number(offset) };
}

/** An acknowledgement and its place. */
export interface FoundAck extends RecordPlace {
  readonly status: string;
  readonly batch: string;
  readonly code?: string;
}

/** A dead letter and its place. */
export interface FoundDeadLetter extends RecordPlace {
  readonly code: string;
  readonly message: string;
  /** The timestamp of the record that it was made of. Null if it does not say, as one of version 0.1.0. */
  readonly recordTimestampMs: number | null;
}

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
function isRowOf({ log, record, acceptances }: FactsOfEpochs, { offset, epoch, seconds }: RowsOfRecord): boolean {
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
type AcceptedUnder = Pick<Acceptance, 'epochs' | 'earlierEpochs'>;

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

/** The known facts about a record as lines for a person. Pure. */
export function whereText(place: RecordPlace, pipeline: string, facts: RecordFacts): string {
  const { log, record, unreadable, acceptances, rows, acks, deadLetters } = facts;
  const lines: [what: string, text: string][] = [
    [
      'log',
      `${log.start} to ${log.end - 1}${openText(log)}, ${log.committed === null ? 'no offset committed' : `committed ${log.committed}`}`,
    ],
  ];
  if (record !== null) {
    const written = record.timestampMs === NO_TIMESTAMP ? '' : `written ${timeText(record.timestampMs)}, `;
    lines.push(['record', `${written}for batcher ${record.batcher}${tableText(record)}`]);
    lines.push(...contentLines(record.content));
  }
  if (unreadable !== null) lines.push(['record', unreadable]);
  if ('error' in acceptances) lines.push(['batcher', `not known: ${acceptances.error}`]);
  else for (const acceptance of acceptances) lines.push(...acceptanceLines(acceptance));
  if ('error' in rows) lines.push(['row', `not known: ${rows.error}`]);
  else for (const row of rows) lines.push(['row', rowText(row, facts)]);
  for (const table of facts.missingTables ?? []) lines.push(['row', `none in table ${table}, which does not exist`]);
  const ofWhich = mayHaveEarlier(facts, place) ? `; ${MAY_BE_OF_EARLIER}` : '';
  for (const ack of acks) lines.push(['ack', `${ack.status}, at ${placeName(ack)}, batch ${ack.batch}${ofWhich}`]);
  for (const letter of deadLetters)
    lines.push(['dead letter', `${letter.code}, at ${placeName(letter)}: ${letter.message}`]);
  const state = stateOf(facts, place);
  const wasInserted = !mayHaveEarlier(facts, place) && acks.some(({ status }) => status === 'inserted');
  if (state === 'missing' && wasInserted) lines.push(['hint', ROW_IS_GONE]);
  const wasRead = wasInserted || (!('error' in acceptances) && acceptances.some(isOfRecord));
  const head = `${placeName(place)} in pipeline ${pipeline}: ${state === 'missing' && !wasRead ? NO_BATCHER_KNOWS : DESCRIPTIONS[state]}`;
  return [head, ...lines.map(([what, text]) => `  ${what.padEnd(11)} ${text}`)].join('\n');
}

function tableText({ table }: NonNullable<RecordFacts['record']>): string {
  if (table === undefined) return '';
  return table === null ? ', for no table' : `, for table ${table}`;
}

function contentLines(content: RecordTexts | undefined): [string, string][] {
  if (content === undefined) return [];
  const { key, value, notDecoded } = content;
  const shown = (text: string | null): string => (text === null ? 'none' : withoutControls(text));
  return [
    ['key', shown(key)],
    ['value', shown(value)],
    ...(notDecoded === undefined ? [] : [['hint', notDecoded] as [string, string]]),
  ];
}

function openText({ end, highWatermark = end }: RecordFacts['log']): string {
  return highWatermark <= end
    ? ''
    : `, then to ${highWatermark - 1} not to be read yet: a transaction is open that began at ${end}`;
}

function rowText(row: RowsInTable, facts: RecordFacts): string {
  const where = row.table === undefined ? '' : ` in table ${row.table}`;
  const text = `${countText(row, facts)}${where} under epoch ${row.epoch}`;
  const { epoch } = facts.log;
  if (!isRowOf(facts, row)) return `${text}, of another record that was at this offset before: it does not count`;
  return epoch === null || row.epoch === epoch ? text : `${text}; the committed epoch is ${epoch}`;
}

function countText({ rows, different }: RowsOfRecord, { record }: RecordFacts): string {
  if (different === undefined) return rows === 1 ? 'one' : String(rows);
  const ofAll = record?.rows === undefined ? String(different) : `${different} of ${record.rows}`;
  return rows === different ? ofAll : `${ofAll}, and ${rows - different} more than once,`;
}

function acceptanceLines(acceptance: Acceptance): [string, string][] {
  const { workflowId, runId, epochs, unflushed, earlierEpochs, locked, batches } = acceptance;
  const earlier =
    earlierEpochs.length === 0
      ? ''
      : `; it holds another record that was at this offset before, under epoch ${earlierEpochs.join(', ')}`;
  const holds = unflushed ? ', which holds it' : '';
  return [
    ['batcher', `${workflowId}${holds}, accepted under epoch ${epochs.join(', ')}${earlier}; run ${runId}`],
    ...batches.map((batch): [string, string] => {
      const { number, id, reason, runId: of, token, outcome } = batch;
      const what = outcome === null ? 'on its way' : `done, token ${token ?? 'unknown'}`;
      return ['batch', `${number} (${reason}), ${id}, ${what}; run ${of}`];
    }),
    ...(locked === null ? [] : [['hint', lockedText(locked)] as [string, string]]),
  ];
}

/** Whether it was this record that was accepted, under any epoch. */
function isOfRecord({ epochs, earlierEpochs }: AcceptedUnder): boolean {
  return epochs.some((epoch) => !earlierEpochs.includes(epoch));
}

const MAY_BE_OF_EARLIER =
  'it may be of what was accepted at this offset under another epoch, so it alone does not count';

/** An acknowledgement is sent only after the row can be queried. So the row existed. */
const ROW_IS_GONE =
  'it was inserted, and its row has gone since: merged with another one of its sorting key (ReplacingMergeTree and the like), expired by a TTL, or deleted';

const NO_BATCHER_KNOWS =
  'MISSING, or not to be read: it is before the committed offset, and no batcher knows it. It was read and lost, or reading began after it (startFrom, or an offset that was reset)';

const DESCRIPTIONS: Readonly<Record<RecordState, string>> = {
  notWritten: 'not written yet: the log ends before it',
  notReadable:
    'written, but not to be read yet, by anybody who reads committed records only: a transaction is open that began at or before it',
  noRecord: 'there is no record at this offset: a mark of a transaction, or compacted away',
  removed: 'the log has removed it, and neither a row nor a dead letter tells of it',
  unreadable: 'cannot be read, by anybody: the daemon passes over it, and it is neither inserted nor answered',
  waiting: 'waits in Kafka or in the lane of a consumer; no batcher has accepted it yet',
  accepted: 'a batcher has accepted it, and holds it',
  flushing: 'in a batch that is on its way',
  inserted: 'inserted',
  rejected: 'rejected',
  skipped:
    'skipped: it has no value, the pipeline leaves it out (where), or its value names no table (otherwise: skip)',
  missing: 'MISSING: it was read, and has neither a row, or not all of its rows, nor a dead letter',
  unknown: 'not known, since a part does not answer',
};
