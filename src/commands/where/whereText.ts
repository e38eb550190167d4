import { lockedText } from '../shared/unflushedChunks.js';
import type { RecordTexts } from '../shared/recordTexts.js';
import type { RowsOfRecord } from '../../clickhouse/lookUps.js';
import { NO_TIMESTAMP, placeName, timeText, type RecordPlace } from '../../protocol/record.js';
import { withoutControls } from '../../lib/controlCharacters.js';
import {
  isRowOf,
  mayHaveEarlier,
  stateOf,
  type Acceptance,
  type AcceptedUnder,
  type RecordFacts,
  type RecordState,
  type RowsInTable,
} from './recordFacts.js';

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
