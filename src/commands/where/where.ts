import type { Client } from '@temporalio/client';
import type { Kafka } from 'kafkajs';
import { batchesOfRecord, type BatchOfRecord } from './batchesOfRecord.js';
import { RunHistories } from '../../temporal/runHistories.js';
import { createTemporalClient } from '../../temporal/connect.js';
import { quotedText } from '../../temporal/visibilityQuery.js';
import type { Config, PipelineConfig } from '../../config/config.js';
import { loadConfig } from '../../config/load.js';
import { parseCommitMetadata } from '../../consumer/partitions/commitMetadata.js';
import { isInputTopic, patternText } from '../../config/topics.js';
import type { Decoders } from '../../formats/decoders.js';
import type { KafkaAdmin } from '../../kafka/admin.js';
import { keylessIndex, laneIndex } from '../../codecs/laneIndex.js';
import { describeNoAnswer, findGroupOffsets } from '../../kafka/offsets.js';
import { readRanges } from '../../kafka/readRanges.js';
import { batcherWorkflowId } from '../../protocol/batcherId.js';
import { layoutName, type Layout } from '../../protocol/layout.js';
import { hasOffset } from '../../protocol/chunk.js';
import { messageOf } from '../../lib/messageOf.js';
import { placeName, type KafkaRecord, type RecordPlace } from '../../protocol/record.js';
import { reachTemporal } from '../../connections/openParts.js';
import { UsageError } from '../../lib/usageError.js';
import { parsePlace } from '../shared/parsePlace.js';
import { CLOCK_SKEW_MS, readAnswers, type FoundAck, type FoundDeadLetter } from '../shared/readAnswers.js';
import { expectedRows, skipTest } from '../shared/skippedRecords.js';
import { withDecoders, withKafka } from '../shared/connections.js';
import { pointedFinder, type FindPointed } from '../shared/pointedValues.js';
import { recordTexts } from '../shared/recordTexts.js';
import { partitionsText } from '../shared/chosen.js';
import { findBatcher, layoutsOf, type FoundBatcher } from '../shared/foundBatchers.js';
import { rowsInTables, tableNamed } from './tablesOfRecord.js';
import { unflushedAt } from './unflushedAt.js';
import {
  isAcceptedNow,
  areRowsOf,
  mayHaveEarlier,
  stateOf,
  type Acceptance,
  type Known,
  type RecordFacts,
  type RecordState,
} from './recordFacts.js';
import { whereText } from './whereText.js';

/** States of a record that are errors. Exit code 1. */
const FAULTS: ReadonlySet<RecordState> = new Set(['missing', 'unreadable', 'unknown']);

/** Runs of a batcher that are searched for a record's batch, at most. */
const RUNS_MAX = 20;

/**
 * `ktb where`: finds one record, in each pipeline that reads its topic. Exit code 1 if it is missing or cannot be read,
 * or a part that would know does not answer, or a batcher holds it in a chunk that cannot be unpacked.
 */
export async function where(
  text: string,
  { config: file, json, values }: { config: string; json: boolean; values: boolean },
): Promise<void> {
  const place = parsePlace(text);
  const config = loadConfig(file);
  const pipelines = config.pipelines.filter((pipeline) => isInputTopic(pipeline, place.topic));
  if (pipelines.length === 0) {
    const read = config.pipelines.flatMap(({ topics, topicPatterns }) => [
      ...topics,
      ...topicPatterns.map(patternText),
    ]);
    throw new UsageError(`no pipeline of the configuration reads topic ${place.topic}; they read ${read.join(', ')}`);
  }
  const found: { pipeline: string; state: RecordState; facts: RecordFacts }[] = [];
  await withDecoders(config, (decoders) =>
    withKafka(config, async (kafka, admin) => {
      for (const pipeline of pipelines) {
        const facts = await factsOf(place, { config, pipeline, kafka, admin, decoders, values });
        found.push({ pipeline: pipeline.name, state: stateOf(facts, place), facts });
      }
    }),
  );
  if (json) {
    const reports = found.map(({ pipeline, state, facts }) => ({ place: text, pipeline, state, ...facts }));
    console.log(JSON.stringify(reports, null, 2));
  } else for (const { pipeline, facts } of found) console.log(whereText(place, pipeline, facts));
  if (found.some(({ state, facts }) => FAULTS.has(state) || isLocked(facts))) process.exitCode = 1;
}

function isLocked({ acceptances }: RecordFacts): boolean {
  return !('error' in acceptances) && acceptances.some(({ locked }) => locked !== null);
}

interface Search {
  readonly config: Config;
  readonly pipeline: PipelineConfig;
  readonly kafka: Kafka;
  readonly admin: KafkaAdmin;
  readonly decoders: Decoders | undefined;
  /** Whether the record is shown. */
  readonly values: boolean;
}

/**
 * Collects the facts about a record. The order matters: batchers are asked before the table. So a record that is
 * flushed in between is found in the table, and does not count as missing.
 */
async function factsOf(place: RecordPlace, search: Search): Promise<RecordFacts> {
  const { config, pipeline, kafka, admin, decoders, values } = search;
  const { layout, settings } = pipeline;
  const { mapping } = settings.destination;
  const findPointed = pointedFinder(mapping, decoders);
  const skips = await skipTest(settings.destination, decoders);
  const log = await logOf(admin, pipeline, place);
  const isInLog = place.offset >= log.start && place.offset < log.end;
  const { record, unreadable } = isInLog ? await readRecord(kafka, admin, place) : { record: null, unreadable: null };
  return tryingTemporal(config, async (temporal) => {
    const accepted = await known(() =>
      acceptedBy(temporal(), { pipeline, place, record, epoch: log.epoch, findPointed }),
    );
    const inTables = await known(() => rowsInTables(config, pipeline, place));
    const rows = 'error' in inTables ? inTables : inTables.rows;
    // It has no answer yet if a batcher still holds it, or if none has it and it is not committed.
    const isWaiting =
      !('error' in accepted) &&
      (accepted.some(({ unflushed }) => unflushed) ||
        (!isAcceptedNow({ log, acceptances: accepted }) && place.offset >= (log.committed ?? 0)));
    const ofEpochs = { log, record, acceptances: accepted, rows };
    const table = record === null ? undefined : await tableOf(place, record, search);
    const rowsExpected = record === null ? undefined : expectedRows(settings.destination)?.(record);
    const isInserted = !('error' in rows) && areRowsOf(ofEpochs, rows, rowsExpected);
    const answers = await answersTo(place, record, search, {
      isInserted,
      isWaiting,
      acksDecide: isInserted || !mayHaveEarlier(ofEpochs, place),
    });
    const acceptances = await known(async (): Promise<Known<readonly Acceptance[]>> => {
      if ('error' in accepted) return accepted;
      const at = answers.acks[0]?.atMs;
      return Promise.all(
        accepted.map(async (found) => ({
          ...found,
          batches: await batchesIn(temporal(), found, place, { at, decoders }),
        })),
      );
    });
    return {
      log,
      record: record && {
        timestampMs: record.timestampMs,
        skipped: await skips({ ...place, epoch: log.epoch ?? '' }, record),
        batcher: await batcherOf(pipeline.name, { place, record, layout, findPointed }).catch(
          (error: unknown) => `not known: ${messageOf(error)}`,
        ),
        ...(table === undefined ? {} : { table }),
        ...(values ? { content: await recordTexts({ ...place, epoch: '' }, record, mapping, decoders) } : {}),
        ...(rowsExpected === undefined ? {} : { rows: rowsExpected }),
      },
      unreadable,
      acceptances,
      rows,
      ...('error' in inTables || inTables.missingTables.length === 0 ? {} : { missingTables: inTables.missingTables }),
      acks: answers.acks.map(({ atMs: _, ...ack }) => ack),
      deadLetters: answers.deadLetters,
    };
  });
}

/** See {@link tableNamed}. */
function tableOf(
  place: RecordPlace,
  record: KafkaRecord,
  { pipeline, decoders }: Pick<Search, 'pipeline' | 'decoders'>,
): Promise<string | null | undefined> {
  const item = { source: { ...place, epoch: '' }, record };
  return tableNamed(item, pipeline.settings.destination, decoders).catch(
    (error: unknown) => `not known: ${messageOf(error)}`,
  );
}

async function logOf(
  admin: KafkaAdmin,
  { groupId }: PipelineConfig,
  { topic, partition }: RecordPlace,
): Promise<RecordFacts['log']> {
  const { logs, unknown } = await findGroupOffsets(admin, groupId, [topic], { highWatermarks: true });
  const silent = unknown.find((entry) => entry.partition === partition || entry.partition < 0);
  if (silent !== undefined) throw new Error(describeNoAnswer(silent));
  const found = logs.find((entry) => entry.partition === partition);
  if (found === undefined)
    throw new UsageError(`topic ${topic} has no partition ${partition}: it has ${partitionsText(logs)}`);
  const metadata = parseCommitMetadata(found.committedMetadata);
  const { epoch, layout } =
    metadata.type === 'ours'
      ? { epoch: metadata.epoch, layout: layoutName(metadata.layout) }
      : { epoch: null, layout: null };
  const { logStart: start, logEnd: end, highWatermark = end, committedOffset: committed } = found;
  return { start, end, highWatermark, committed, epoch, layout };
}

async function readRecord(
  kafka: Kafka,
  admin: KafkaAdmin,
  { topic, partition, offset }: RecordPlace,
): Promise<{ record: KafkaRecord | null; unreadable: string | null }> {
  let record: KafkaRecord | null = null;
  let unreadable: string | null = null;
  await readRanges(kafka, admin, [{ topic, partition, from: offset, to: offset + 1 }], {
    record: (found) => {
      record = found;
      return true;
    },
    passedOver: ({ reason }) => {
      unreadable = reason;
    },
  });
  return { record, unreadable };
}

/** What is needed to ask Temporal. */
interface Temporal {
  readonly client: Client;
  readonly histories: RunHistories;
}

/** @param work runs even if Temporal cannot be reached. Then the function that it gets throws */
async function tryingTemporal<T>({ temporal }: Config, work: (temporal: () => Temporal) => Promise<T>): Promise<T> {
  const connection = await reachTemporal(temporal).catch((error: unknown) => new Error(messageOf(error)));
  if (connection instanceof Error)
    return work(() => {
      throw connection;
    });
  const client = createTemporalClient(connection, temporal);
  const histories = new RunHistories(client, temporal.namespace);
  try {
    return await work(() => ({ client, histories }));
  } finally {
    await connection.close();
  }
}

/** A record in one pipeline. */
interface Sought {
  readonly pipeline: PipelineConfig;
  readonly place: RecordPlace;
  readonly record: KafkaRecord | null;
  /** The committed epoch. Null if it is not known. */
  readonly epoch: string | null;
  readonly findPointed: FindPointed;
}

/** The workflow id of a record's batcher in a layout. @throws RegistryError */
async function batcherOf(
  pipeline: string,
  {
    place,
    record,
    layout,
    findPointed,
  }: Pick<Sought, 'place' | 'findPointed'> & { readonly record: KafkaRecord; readonly layout: Layout },
): Promise<string> {
  const pointed = await findPointed(place, record, layout);
  return batcherWorkflowId(pipeline, layout, laneIndex(record, keylessIndex(place, layout), layout, pointed));
}

/** The batchers that have accepted a record: of each layout of the pipeline at most one. */
async function acceptedBy(
  { client, histories }: Temporal,
  { pipeline, place, record, epoch, findPointed }: Sought,
): Promise<Omit<Acceptance, 'batches'>[]> {
  // Only the record itself tells which batcher it goes to.
  if (record === null) return [];
  const found: Omit<Acceptance, 'batches'>[] = [];
  for (const layout of await layoutsOf(client, pipeline)) {
    const id = await batcherOf(pipeline.name, { place, record, layout, findPointed });
    const batcher = await findBatcher(client, histories, id);
    const epochs = batcher === null ? [] : epochsOf(batcher, place);
    if (batcher === null || epochs.length === 0) continue;
    const { workflowId, runId } = batcher;
    const accepted = { workflowId, runId, layout: layoutName(layout), epochs };
    found.push({ ...accepted, ...(await unflushedAt(batcher, { place, record, epoch, epochs })) });
  }
  return found;
}

function epochsOf({ accepted }: FoundBatcher, { topic, partition, offset }: RecordPlace): string[] {
  const coverage = accepted.coverage.find((entry) => entry.topic === topic && entry.partition === partition);
  return (coverage?.epochs ?? []).filter(({ ranges }) => hasOffset(ranges, offset)).map(({ epoch }) => epoch);
}

async function batchesIn(
  { client, histories }: Temporal,
  { workflowId, runId }: Pick<Acceptance, 'workflowId' | 'runId'>,
  place: RecordPlace,
  { at: answeredAtMs, decoders }: { readonly at: number | undefined; readonly decoders: Decoders | undefined },
): Promise<BatchOfRecord[]> {
  const batches: BatchOfRecord[] = [];
  const listed = await runsBefore(client, workflowId, answeredAtMs);
  // The visibility store may not know the latest run yet.
  for (const run of new Set(answeredAtMs === undefined ? [runId, ...listed] : [...listed, runId])) {
    if (batches.length > 0) break;
    batches.push(...(await batchesOfRecord(histories, { workflowId, runId: run }, place, decoders)));
  }
  return batches;
}

/**
 * The latest runs, or those that had started when the record was answered. Latest first. Read from the visibility
 * store.
 */
async function runsBefore(client: Client, workflowId: string, atMs: number | undefined): Promise<string[]> {
  const until = atMs === undefined ? '' : ` AND StartTime <= '${new Date(atMs + CLOCK_SKEW_MS).toISOString()}'`;
  const runs: string[] = [];
  for await (const { runId } of client.workflow.list({ query: `WorkflowId = ${quotedText(workflowId)}${until}` })) {
    if (runs.push(runId) >= RUNS_MAX) break;
  }
  return runs;
}

/** The record's acknowledgement and dead letter. The topics are read from the record's own time on first. */
async function answersTo(
  place: RecordPlace,
  record: KafkaRecord | null,
  { pipeline, kafka, admin }: Search,
  {
    isInserted,
    isWaiting,
    acksDecide,
  }: { readonly isInserted: boolean; readonly isWaiting: boolean; readonly acksDecide: boolean },
): Promise<{ acks: (FoundAck & { atMs: number })[]; deadLetters: FoundDeadLetter[] }> {
  const { reply } = pipeline.settings.destination;
  const acks: (FoundAck & { atMs: number })[] = [];
  const deadLetters: FoundDeadLetter[] = [];
  if (reply === undefined && isInserted) return { acks, deadLetters };
  const askedMs = record === null || record.timestampMs < 0 ? undefined : record.timestampMs;
  const isIt = (of: RecordPlace): boolean => placeName(of) === placeName(place);
  const isEnough = (): boolean =>
    (acksDecide && acks.some(({ status }) => status !== 'rejected')) ||
    (deadLetters.length > 0 && (reply === undefined || acks.length > 0));
  await readAnswers(kafka, admin, pipeline, askedMs, {
    ack: (source, ack) => {
      if (isIt(source)) acks.push(ack);
      return isEnough();
    },
    deadLetter: (source, letter) => {
      // A letter with another timestamp is of an earlier record, from before the topic was recreated.
      const { recordTimestampMs: ofMs } = letter;
      if (isIt(source) && (record === null || ofMs === null || ofMs === record.timestampMs)) deadLetters.push(letter);
      return isEnough();
    },
    isEnough: () => isWaiting || isEnough(),
  });
  return { acks, deadLetters };
}

/** The answer of a part, or its error. */
async function known<T>(ask: () => Promise<Known<T>>): Promise<Known<T>> {
  try {
    return await ask();
  } catch (error) {
    return { error: messageOf(error) };
  }
}
