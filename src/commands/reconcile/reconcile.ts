import type { Kafka } from 'kafkajs';
import Table from 'cli-table3';
import { inParts } from '../../clickhouse/inParts.js';
import { LOOKUP_COLUMNS, missingColumns, ROW_COLUMN } from '../../clickhouse/identityColumns.js';
import type { TableColumns } from '../../clickhouse/tableColumns.js';
import type { RowsOfRecord } from '../../clickhouse/lookUps.js';
import { RunHistories } from '../../temporal/runHistories.js';
import type { Config, PipelineConfig } from '../../config/config.js';
import { parseCommitMetadata } from '../../consumer/partitions/commitMetadata.js';
import { loadConfig } from '../../config/load.js';
import type { KafkaAdmin } from '../../kafka/admin.js';
import { findInputTopics } from '../../kafka/inputTopics.js';
import { findGroupOffsets, type FoundLogs, type GroupOffsets } from '../../kafka/offsets.js';
import { readRanges, type PassedOver } from '../../kafka/readRanges.js';
import { partitionName, type TopicPartition } from '../../protocol/record.js';
import { hasManyRows } from '../../protocol/settings.js';
import { tablesOf, tablesOfTopic } from '../../protocol/tables.js';
import type { Decoders } from '../../formats/decoders.js';
import { columnsOfOne } from '../shared/columnsOfOne.js';
import { passedOverText } from '../shared/passedOver.js';
import { expectedRows, skipTest } from '../shared/skippedRecords.js';
import { readAnswers } from '../shared/readAnswers.js';
import { withKafka, withTables, withTemporal, withDecoders } from '../shared/connections.js';
import { pointedFinder, type FindPointed } from '../shared/pointedValues.js';
import { Ledger, type Gap, type LedgerOptions, type LedgerSummary } from './ledger.js';
import { ofAllTables } from './rowsOfTables.js';
import { pipelineNamed } from '../shared/chosen.js';
import { parsePosition } from '../shared/logPosition.js';
import { chooseRanges, firstAccepted, oneOfEachPartition, startText, type ComparedRange } from './ranges.js';
import { findBatchers, type FoundBatcher } from '../shared/foundBatchers.js';
import { offsetsText } from '../shared/offsetsText.js';
import { isGivenTo, lockedText, visitUnflushed, type LockedRange } from '../shared/unflushedChunks.js';

export interface ReconcileOptions {
  readonly config: string;
  readonly from?: string;
  readonly to?: string;
  readonly partition: readonly string[];
  readonly json: boolean;
}

/** Offsets whose rows are asked for at once. */
const ROWS_AT_ONCE = 100_000;
/** Gaps of each kind and partition that are printed. `--json` has all. */
const GAPS_SHOWN = 10;

interface Report extends ComparedRange, LedgerSummary {
  /** The committed epoch. Null if it is not known. */
  readonly epoch: string | null;
  /**
   * Offsets that nobody can read, in ascending order. The daemon skips them, so they are neither inserted nor answered.
   */
  readonly unreadable: readonly Pick<PassedOver, 'from' | 'to' | 'reason'>[];
  /**
   * Ranges in chunks that batchers hold and nobody can unpack. Their records count as held. They stay so until a person
   * gives the batch up.
   */
  readonly locked: readonly Omit<LockedRange, 'topic' | 'partition'>[];
}

/**
 * `ktb reconcile`: compares the committed records with rows, dead letters and acknowledgements, one by one, and names
 * what is missing. Exit code 1 if something is missing, doubled, not acknowledged, unreadable or in a chunk that cannot be
 * unpacked, or if it is not known where to begin or where to end.
 */
export async function reconcile(name: string, options: ReconcileOptions): Promise<void> {
  const config = loadConfig(options.config);
  const pipeline = pipelineNamed(config, name);
  const bounds = {
    from: options.from === undefined ? null : parsePosition('--from', options.from),
    to: options.to === undefined ? null : parsePosition('--to', options.to),
  };
  await withKafka(config, async (kafka, admin) => {
    // The order matters. The commit is read first, then the batchers, then the table. So a committed record is either
    // still in a batcher when the batchers are read, or its row is there when the table is read.
    const topics = await findInputTopics(admin, pipeline);
    const committed = await findGroupOffsets(admin, pipeline.groupId, topics);
    const batchers = await readBatchers(config, pipeline);
    const chosen = await chooseRanges(admin, committed, batchers, bounds, options.partition);
    const ledgers = new Ledgers(chosen, epochsOf(committed, batchers), pipeline);
    await withDecoders(config, async (decoders) => {
      await readLog(ledgers, { kafka, admin, decoders }, pipeline);
      const findPointed = pointedFinder(pipeline.settings.destination.mapping, decoders);
      await markHeld(ledgers, kafka, admin, batchers, findPointed);
    });
    const missingTables = await markRows(ledgers, config, pipeline);
    await markAnswers(ledgers, kafka, admin, pipeline);
    const reports = ledgers.entries.map(({ range, epoch, ledger, unreadable, locked }): Report => {
      return { ...range, epoch, ...ledger.summary(), unreadable, locked };
    });
    if (options.json) console.log(JSON.stringify(reports, null, 2));
    else print(reports, missingTables);
    const isWhole = reports.every(
      ({ start, missing, incomplete = [], doubled, unanswered, unreadable, locked }) =>
        start !== 'unknown' &&
        start !== 'noOffset' &&
        [missing, incomplete, doubled, unanswered, unreadable, locked].every((found) => found.length === 0),
    );
    if (!isWhole) process.exitCode = 1;
  });
}

function readBatchers(config: Config, pipeline: PipelineConfig): Promise<FoundBatcher[]> {
  return withTemporal(config, (client) =>
    findBatchers(client, new RunHistories(client, config.temporal.namespace), pipeline),
  );
}

/** The epoch that is committed for a partition, and the first offset that was accepted under it. */
type CommittedEpoch = Pick<LedgerOptions, 'epoch' | 'epochFrom'>;

/** It is not known if someone else has committed the offset. */
const NO_EPOCH: CommittedEpoch = { epoch: null, epochFrom: Infinity };

/** The committed epoch of each partition that has one, by its name. */
function epochsOf(
  { logs }: FoundLogs<GroupOffsets>,
  batchers: readonly FoundBatcher[],
): ReadonlyMap<string, CommittedEpoch> {
  return new Map(
    logs.flatMap((log) => {
      const metadata = parseCommitMetadata(log.committedMetadata);
      if (metadata.type !== 'ours') return [];
      const { epoch } = metadata;
      return [[partitionName(log), { epoch, epochFrom: firstAccepted(log, batchers, epoch) }] as const];
    }),
  );
}

interface LedgerEntry {
  readonly range: ComparedRange;
  readonly epoch: string | null;
  readonly ledger: Ledger;
  readonly unreadable: Pick<PassedOver, 'from' | 'to' | 'reason'>[];
  readonly locked: Omit<LockedRange, 'topic' | 'partition'>[];
}

/** The ledgers of some partitions. */
class Ledgers {
  readonly entries: readonly LedgerEntry[];
  readonly #byName: ReadonlyMap<string, LedgerEntry>;
  /** Time of the oldest record, milliseconds since 1970. Undefined if a record has no time. */
  oldestMs: number | undefined = Infinity;

  constructor(
    ranges: readonly ComparedRange[],
    epochs: ReadonlyMap<string, CommittedEpoch>,
    { settings: { destination } }: PipelineConfig,
  ) {
    const expectsAcks = destination.reply !== undefined;
    const manyRows = hasManyRows(destination.mapping.format);
    this.entries = ranges.map((range) => {
      const committed = epochs.get(partitionName(range)) ?? NO_EPOCH;
      const ledger = new Ledger({ ...range, ...committed, expectsAcks, manyRows });
      return { range, epoch: committed.epoch, ledger, unreadable: [], locked: [] };
    });
    this.#byName = new Map(this.entries.map((entry) => [partitionName(entry.range), entry]));
  }

  of(partition: TopicPartition): Ledger | undefined {
    return this.entryOf(partition)?.ledger;
  }

  entryOf(partition: TopicPartition): LedgerEntry | undefined {
    return this.#byName.get(partitionName(partition));
  }

  passedOver({ topic, partition, from, to, reason }: PassedOver): void {
    this.entryOf({ topic, partition })?.unreadable.push({ from, to, reason });
  }

  wrote(timestampMs: number): void {
    if (timestampMs < 0) this.oldestMs = undefined;
    else if (this.oldestMs !== undefined) this.oldestMs = Math.min(this.oldestMs, timestampMs);
  }
}

async function readLog(
  ledgers: Ledgers,
  { kafka, admin, decoders }: { kafka: Kafka; admin: KafkaAdmin; decoders: Decoders | undefined },
  { settings: { destination } }: PipelineConfig,
): Promise<void> {
  const ranges = ledgers.entries.map(({ range }) => range);
  const skips = await skipTest(destination, decoders);
  const rowsIn = expectedRows(destination);
  await readRanges(kafka, admin, ranges, {
    record: async (record, range) => {
      const { offset, timestampMs } = record;
      const skipped = await skips({ ...range, epoch: '' }, record);
      ledgers.of(range)?.record(offset, { skipped, timestampMs, rows: rowsIn?.(record) });
      ledgers.wrote(timestampMs);
      return false;
    },
    passedOver: (unreadable) => ledgers.passedOver(unreadable),
  });
}

async function markHeld(
  ledgers: Ledgers,
  kafka: Kafka,
  admin: KafkaAdmin,
  batchers: readonly FoundBatcher[],
  findPointed: FindPointed,
): Promise<void> {
  const locked: LockedRange[] = [];
  for (const { workflowId, accepted } of batchers) {
    await visitUnflushed(workflowId, accepted.unflushed, {
      record: (source, record) => ledgers.of(source)?.held(record),
      locked: (range) => locked.push(range),
    });
  }
  const compared = locked.flatMap((range) => {
    const entry = ledgers.entryOf(range);
    if (entry === undefined) return [];
    const from = Math.max(range.from, entry.range.from);
    const to = Math.min(range.to, entry.range.to);
    return from < to ? [{ ...range, from, to, entry }] : [];
  });
  for (const { entry, from, to, epoch, batcher, reason } of compared)
    entry.locked.push({ from, to, epoch, batcher, reason });
  // Which records of a range are the batcher's, only the log can tell.
  for (const ranges of oneOfEachPartition(compared)) {
    const byName = new Map(ranges.map((range) => [partitionName(range), range]));
    await readRanges(kafka, admin, ranges, {
      record: async (record, { topic, partition }) => {
        const range = byName.get(partitionName({ topic, partition }));
        if (range !== undefined && (await isGivenTo(range.batcher, range, record, findPointed)))
          range.entry.ledger.heldUnder(range.epoch, record.offset);
        return false;
      },
      passedOver: () => undefined,
    });
  }
}

/** @returns tables of values that do not exist */
async function markRows(ledgers: Ledgers, config: Config, { settings }: PipelineConfig): Promise<readonly string[]> {
  const { destination } = settings;
  const manyRows = hasManyRows(destination.mapping.format);
  return withTables(config, async (tables) => {
    const topics = new Set(ledgers.entries.map(({ range }) => range.topic));
    const columns = new Map<string, TableColumns>();
    const missingTables: string[] = [];
    for (const table of tablesOf(destination, [...topics]).keys()) {
      const found = await columnsOfOne(tables, table, destination);
      if (found === null) {
        missingTables.push(table);
        continue;
      }
      columns.set(table, found);
      const lacking = missingColumns(found, manyRows ? [...LOOKUP_COLUMNS, ROW_COLUMN] : LOOKUP_COLUMNS);
      if (lacking.length > 0)
        throw new Error(
          `table ${table} lacks ${lacking.join(', ')}, by which rows are told from each other: \`ktb setup\` says how to add them`,
        );
    }
    for (const { range, ledger } of ledgers.entries) {
      const names = tablesOfTopic(destination, range.topic);
      const ask = async (part: readonly number[]): Promise<RowsOfRecord[]> => {
        const asked = { from: part[0] ?? range.from, to: part.at(-1) ?? range.from };
        const found: RowsOfRecord[][] = [];
        for (const table of names) {
          const ofTable = columns.get(table);
          if (ofTable !== undefined) found.push(await tables.rowsByOffset(table, ofTable, range, asked, manyRows));
        }
        return ofAllTables(found);
      };
      for (let at = range.from; at < range.to; at += ROWS_AT_ONCE) {
        const offsets = Array.from({ length: Math.min(ROWS_AT_ONCE, range.to - at) }, (_, index) => at + index);
        for await (const found of inParts(offsets, ask)) for (const rows of found) ledger.rows(rows);
      }
    }
    return missingTables;
  });
}

async function markAnswers(ledgers: Ledgers, kafka: Kafka, admin: KafkaAdmin, pipeline: PipelineConfig): Promise<void> {
  const { oldestMs } = ledgers;
  if (oldestMs === Infinity) return;
  await readAnswers(kafka, admin, pipeline, oldestMs, {
    ack: (source) => {
      ledgers.of(source)?.ack(source.offset);
      return false;
    },
    deadLetter: (source, { recordTimestampMs }) => {
      ledgers.of(source)?.deadLetter(source.offset, recordTimestampMs);
      return false;
    },
    isEnough: () =>
      ledgers.entries.every(({ ledger }) => {
        const { missing, incomplete = [], unanswered } = ledger.summary();
        return missing.length === 0 && incomplete.length === 0 && unanswered.length === 0;
      }),
  });
}

const OTHER_EPOCHS =
  'accepted under the committed epoch, with rows of other epochs only: so `ktb rewind` leaves what the table has; but if the offsets were reset to ingest them again, their new rows are missing';

function print(reports: readonly Report[], missingTables: readonly string[]): void {
  const table = new Table({
    head: [
      'partition',
      'offsets',
      'records',
      'rows',
      'dead letters',
      'skipped',
      'in batchers',
      'acknowledged',
      'missing',
    ],
    style: { head: [], border: [] },
  });
  for (const report of reports) {
    const { from, to, records, inserted, rejected, skipped, held, acknowledged, missing } = report;
    const numbers = [records, inserted, rejected, skipped, held, acknowledged, recordsIn(missing)];
    const offsets = to > from ? `${from} to ${to - 1}` : 'none';
    table.push([partitionName(report), offsets, ...numbers.map((number) => number.toLocaleString('en'))]);
  }
  console.log(table.toString());
  for (const missing of missingTables) console.log(`table ${missing} does not exist: records for it are held`);
  printStarts(reports);
  for (const report of reports) {
    printGaps(partitionName(report), report.missing, 'missing: neither a row nor a dead letter');
    printGaps(partitionName(report), report.incomplete ?? [], 'with some of their rows only, and no dead letter');
    printGaps(partitionName(report), report.doubled, 'more than one row each');
    printGaps(partitionName(report), report.otherEpochs, OTHER_EPOCHS);
    printGaps(partitionName(report), report.unanswered, 'not acknowledged');
    printUnreadable(report);
    const { topic, partition, locked } = report;
    for (const range of locked) console.log(lockedText({ topic, partition, ...range }));
  }
}

function printStarts(reports: readonly Report[]): void {
  for (const isUnknown of [true, false]) {
    const texts = reports.filter(({ start }) => (start === 'unknown') === isUnknown).flatMap(startText);
    for (const text of texts.slice(0, GAPS_SHOWN)) console.log(text);
    if (texts.length > GAPS_SHOWN) console.log(`the same of ${texts.length - GAPS_SHOWN} more partitions`);
  }
}

function printGaps(where: string, gaps: readonly Gap[], what: string): void {
  for (const { from, to, records } of gaps.slice(0, GAPS_SHOWN)) {
    console.log(`${where}: ${offsetsText(from, to)} (${records} ${records === 1 ? 'record' : 'records'}) ${what}`);
  }
  const more = gaps.slice(GAPS_SHOWN);
  if (more.length > 0) console.log(`${where}: ${more.length} more ranges, ${recordsIn(more)} records, ${what}`);
}

function printUnreadable({ topic, partition, unreadable }: Report): void {
  for (const part of unreadable.slice(0, GAPS_SHOWN)) console.log(passedOverText({ topic, partition, ...part }));
  const more = unreadable.length - GAPS_SHOWN;
  if (more > 0) console.log(`${partitionName({ topic, partition })}: ${more} more ranges that cannot be read`);
}

function recordsIn(gaps: readonly Gap[]): number {
  return gaps.reduce((sum, { records }) => sum + records, 0);
}
