import { ApplicationFailure } from '@temporalio/common';
import { PublishError, type Publisher } from '../kafka/publisher.js';
import type { TopicPartitions } from '../kafka/topicPartitions.js';
import { publishDeadLetters, publishForeignSignals } from '../kafka/deadLetters.js';
import { REJECTION_CODES, type AckStatus, type Rejection } from '../protocol/ack.js';
import type { BufferedChunk } from '../protocol/chunk.js';
import type { InheritedOutcome } from '../protocol/leftover.js';
import { FOREIGN_SIGNAL } from '../protocol/deadLetter.js';
import { BATCH_FORMAT, sealEnvelope, type BatchSpec, type Parking } from '../protocol/flush.js';
import { type FlushActivities } from '../protocol/flushActivities.js';
import { batcherIndexOf, pipelineOf } from '../protocol/batcherId.js';
import { withinPayload } from '../protocol/payloadLimit.js';
import { identityName, sourceName, type KafkaRecord } from '../protocol/record.js';
import { isRequestSource, type RequestVerdict, type Unconfirmed, UNCONFIRMED_MAX } from '../protocol/request.js';
import {
  decodeRejected,
  encodeRejected,
  type PackedBatch,
  REJECTED_BYTES_MAX,
  type RejectedRecord,
} from '../codecs/rejectionCodec.js';
import type { Destination } from '../protocol/settings.js';
import { onlyTable, tableOf, tableOfRequests } from '../protocol/tables.js';
import { messageOf } from '../lib/messageOf.js';
import type { Logger, StateLog } from '../telemetry/logging.js';
import type { FlushStage, Metrics } from '../telemetry/metrics.js';
import type { Answered } from './acks.js';
import { Admission, CrowdedError, type AdmissionLimits } from './admission.js';
import { Answers, ATTEMPTS_REMEMBERED } from './answers.js';
import { Attempt, AttemptExpiredError, type Beat } from './attempt.js';
import {
  hadOutage,
  noteOutage,
  noteRefusal,
  notedRejections,
  noteRejections,
  refusedForMs,
  type NotedRejections,
} from '../protocol/attemptNotes.js';
import { decodeChunks, isSkipped } from './batchRecords.js';
import { Confirmer, divideRequests, type DeliverConfirmation } from './confirmer.js';
import {
  giveUpRecords,
  insertRecords,
  type BatchInsertOptions,
  type BatchInsertResult,
  type Fill,
  type MissedByViews,
  type SourcedRecord,
} from '../clickhouse/batchInsert.js';
import { InsertError } from '../clickhouse/insertErrors.js';
import { Remembered } from './remembered.js';
import { batchId, type Buffered } from '../workflows/batchPlanning.js';
import { HistoryGoneError, type RunHistories } from '../temporal/runHistories.js';

export interface ActivityDependencies {
  readonly tables: BatchInsertOptions['tables'];
  readonly histories: RunHistories;
  readonly publisher: Publisher;
  readonly partitions: Pick<TopicPartitions, 'count'>;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly stateLog: StateLog;
  readonly beat: Beat;
  readonly deliverConfirmation: DeliverConfirmation;
  /** Bytes that Temporal takes in one payload. Default: its own. */
  readonly payloadBytesMax?: number;
  readonly ofOther: OfOther;
  readonly admission: AdmissionLimits;
}

/**
 * Whether work for a pipeline belongs to another installation, and to which; `unknown` where no one has claimed the pipeline.
 *
 * @param named the installation that the work names, if it names one
 */
export type OfOther = (
  pipeline: string,
  named: string | undefined,
) => Promise<{ readonly name: string } | 'unknown' | null>;

/** A structural error lasts until a person acts: repeating at this pace is soon enough. */
const STRUCTURAL_RETRY = '15 seconds';

/** Until a worker of another installation may have asked for work, or claimed the pipeline. */
const OTHERS_RETRY = '5 seconds';

/** A topic that takes no messages is left alone for as long by the publisher. */
const PUBLISH_RETRY = '5 seconds';

/** In place of an error's code, where the error is none of ClickHouse's or Kafka's. */
const UNEXPECTED = 'unexpected';

/** In place of a batch's id, where its records are lost. */
const LOST_BATCH_ID = 'lost';

/** Where a worker is full of one pipeline's flushes, the next of it comes back after so long. */
const CROWDED_RETRY = '5 seconds';

/** After this long an error that should pass by itself may be a row's fault. */
const OVERDUE_AFTER_MS = 15 * 60 * 1000;
/** And after so many attempts. */
const OVERDUE_ATTEMPTS_MIN = 10;

/**
 * The activities of the batchers, around the clients they work with. Every failure is thrown as one that Temporal
 * repeats: a batch that has been accepted is never given up.
 */
export function createActivities(dependencies: ActivityDependencies): FlushActivities {
  const { tables, histories, publisher, partitions, metrics, logger, stateLog, beat } = dependencies;
  const answers = new Answers({ publisher, partitions });
  const rejectedBytesMax = withinPayload(REJECTED_BYTES_MAX, dependencies.payloadBytesMax);
  const confirmer = new Confirmer({ deliver: dependencies.deliverConfirmation, metrics });
  const unanswered = new Remembered<Verdicts>(ATTEMPTS_REMEMBERED);
  const deadLettersOf = new Remembered<true>(ATTEMPTS_REMEMBERED);
  const admission = new Admission(dependencies.admission);

  /**
   * One attempt of an activity. What inserts and publishing fail with has been told there; any other failure would be
   * repeated without anybody's hearing of it.
   */
  async function attempting<T>(
    activity: keyof FlushActivities,
    { pipeline, batcher, installation }: Pick<BatchSpec, 'pipeline' | 'batcher' | 'installation'>,
    work: (attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    const what = `${activity} of ${batcher}`;
    try {
      const result = await Attempt.run(beat, async (attempt) => {
        await mustBeOurs(pipeline, installation);
        return work(attempt);
      });
      stateLog.well(what, `Batcher ${batcher} gets its ${activity} done again`);
      return result;
    } catch (error) {
      if (!(error instanceof ApplicationFailure || error instanceof AttemptExpiredError)) {
        metrics.flushErrors.inc({ pipeline, code: UNEXPECTED });
        stateLog.problem(
          what,
          `Batcher ${batcher} waits, since its ${activity} fails unexpectedly: ${reasonOf(error)}`,
        );
      }
      throw error;
    }
  }

  /**
   * The work of another installation is left to that one, untouched. Only batches that were scheduled by a version that named no
   * installation come here: the failure ends the activity, and the batcher schedules it where it belongs. Where nobody has claimed the
   * pipeline, a worker of such a version may still take it.
   */
  async function mustBeOurs(pipeline: string, installation: string | undefined): Promise<void> {
    const other = await dependencies.ofOther(pipeline, installation);
    if (other === null) return;
    const whose = other === 'unknown' ? 'no installation has claimed it' : `it belongs to installation ${other.name}`;
    stateLog.problem(
      `batches of ${pipeline}`,
      `Batches of pipeline ${pipeline} are left to others: ${whose}, and it is not in this configuration`,
    );
    throw ApplicationFailure.create({
      type: 'OtherInstallation',
      message: `pipeline ${pipeline} is not of this installation: ${whose}`,
      ...(other === 'unknown' ? { nextRetryDelay: OTHERS_RETRY } : { nonRetryable: true }),
    });
  }

  /** One attempt of an activity that holds much in memory: it waits for a slot, beating its heart. */
  function admitted<T>(
    activity: keyof FlushActivities,
    spec: Pick<BatchSpec, 'pipeline' | 'batcher' | 'installation'>,
    work: (attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    return attempting(activity, spec, async (attempt) => {
      try {
        return await admission.run(spec.pipeline, attempt.scheduledAtMs, attempt.cancellation, async () => {
          attempt.mustBeAlive();
          metrics.flushesRunning.inc();
          try {
            return await work(attempt);
          } finally {
            metrics.flushesRunning.dec();
          }
        });
      } catch (error) {
        // Called off while it waited.
        if (error === attempt.cancellation.reason) attempt.mustBeAlive();
        if (!(error instanceof CrowdedError)) throw error;
        // Where Temporal does not take it, the next attempt asks the table for rows that nobody has sent, and that is all.
        if (!attempt.isRepeated)
          await attempt.note({ ...attempt.notes, handedBack: attempt.number }).catch(() => undefined);
        throw ApplicationFailure.create({ message: error.message, type: error.name, nextRetryDelay: CROWDED_RETRY });
      }
    });
  }

  /** One attempt of an activity that flushes. */
  function flushing<T>(
    activity: keyof FlushActivities,
    spec: Pick<BatchSpec, 'pipeline' | 'batcher' | 'installation'>,
    work: (attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    const { pipeline } = spec;
    const batcher = batcherIndexOf(spec.batcher);
    return admitted(activity, spec, async (attempt) => {
      let outcome = 'failed';
      try {
        if (attempt.isRepeated) metrics.flushRetries.inc({ pipeline });
        const result = await work(attempt);
        outcome = 'ok';
        return result;
      } finally {
        metrics.flushAttempts.inc({ pipeline, batcher, outcome });
      }
    });
  }

  /** Measures a stage that succeeds. */
  async function timed<T>(pipeline: string, stage: FlushStage, work: () => Promise<T>): Promise<T> {
    const end = metrics.flushStageSeconds.startTimer({ pipeline, stage });
    const result = await work();
    end();
    return result;
  }

  async function publishAcks(
    { pipeline, id }: Pick<BatchSpec, 'pipeline' | 'id'>,
    { reply }: Pick<Destination, 'reply'>,
    status: AckStatus,
    answered: readonly Answered[],
    attempt: Attempt,
  ): Promise<void> {
    if (reply !== undefined && answered.length > 0) {
      const mustBeAlive = (): void => {
        attempt.mustBeAlive();
      };
      const { activity } = attempt;
      const fallbacks = await answers.publish(reply, { id, activity, status, answered, mustBeAlive });
      if (fallbacks === null) return;
      for (const [cause, count] of fallbacks) metrics.replyFallbacks.inc({ pipeline, cause }, count);
      metrics.acks.inc({ pipeline, status }, answered.length);
    }
    observeEndToEnd(pipeline, answered);
  }

  /**
   * Acknowledges what need not wait for a table that holds the batch. The attempts to come must know of it, or each would do it again.
   * Requests are confirmed with their batch: those whose requester is away are then in its result.
   */
  async function acknowledgeEarly(
    batch: Batch,
    skippedOnes: readonly SourcedRecord[],
    attempt: Attempt,
  ): Promise<void> {
    if (batch.destination.reply === undefined) return;
    const { inserts = {}, acknowledgedTables: before } = attempt.notes;
    const tables = Object.keys(inserts).filter((table) => inserts[table]?.done !== undefined);
    if (before !== undefined && tables.every((table) => before.includes(table))) return;
    const [, skipped] = divideRequests(before === undefined ? skippedOnes : []);
    const due = tables.filter((table) => before?.includes(table) !== true);
    const [, inserted] = divideRequests(insertedOf(batch, due, attempt));
    if (skipped.length + inserted.length === 0) return;
    try {
      await publishAcks(batch, batch.destination, 'skipped', skipped, attempt);
      await publishAcks(batch, batch.destination, 'inserted', inserted, attempt);
      // Those that are still to come are others.
      answers.forget(attempt.activity, ['inserted']);
    } catch (error) {
      // It is tried again with the batch, which is held in any case.
      if (error instanceof PublishError) return;
      throw error;
    }
    // Not noted, they are acknowledged again. The batch is held by an error of its own, which must be told.
    await attempt.note({ ...attempt.notes, acknowledgedTables: tables }).catch(() => undefined);
  }

  function observeEndToEnd(pipeline: string, answered: readonly Answered[]): void {
    const nowMs = Date.now();
    for (const { record } of answered) {
      if (record.timestampMs >= 0)
        metrics.endToEndSeconds.observe({ pipeline }, Math.max(0, nowMs - record.timestampMs) / 1000);
    }
  }

  /** Answers requesters, once, however often the attempt is repeated for the sake of others. */
  async function confirm(
    { pipeline, id }: Pick<BatchSpec, 'pipeline' | 'id'>,
    status: AckStatus,
    requests: readonly Answered[],
    attempt: Attempt,
  ): Promise<readonly Unconfirmed[]> {
    if (requests.length === 0) return [];
    attempt.mustBeAlive();
    const unconfirmed = await confirmer.confirm(pipeline, { id, activity: attempt.activity, status, requests });
    observeEndToEnd(pipeline, requests);
    return unconfirmed;
  }

  /** Publishing fails like an insert does: counted, and repeated by Temporal. The publisher says which topic is away. */
  async function publishing<T>(pipeline: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof PublishError)) throw error;
      metrics.flushErrors.inc({ pipeline, code: 'publish' });
      metrics.errors.inc({ pipeline, stage: 'publish' });
      throw ApplicationFailure.create({
        message: error.message,
        type: 'PublishError',
        nextRetryDelay: PUBLISH_RETRY,
      });
    }
  }

  /** Whether ClickHouse has answered an insert with errors for so long, and was not away, or its table wrong, lately. */
  function isOverdue({ notes, number }: Attempt, afterMs: number): boolean {
    const nowMs = Date.now();
    return number >= OVERDUE_ATTEMPTS_MIN && refusedForMs(notes, nowMs) >= afterMs && !hadOutage(notes, nowMs);
  }

  /** Whether an insert that fails is to be given up, and not only this attempt at it. */
  function isLastTry({ destination: { retryForMs = Infinity } }: Batch, attempt: Attempt): boolean {
    return isOverdue(attempt, retryForMs);
  }

  /** What the next attempt has to know of a failed insert, on whatever worker. Without it the time starts anew there. */
  async function noteFailure({ kind, answered, mayBeOfMachine }: InsertError, attempt: Attempt): Promise<void> {
    const note = kind === 'structural' || !answered || mayBeOfMachine ? noteOutage : noteRefusal;
    await attempt.note(note(attempt.notes, Date.now())).catch(() => undefined);
  }

  async function insertOrGiveUp(
    table: string,
    records: readonly SourcedRecord[],
    batch: Batch,
    attempt: Attempt,
  ): Promise<Outcome> {
    const { pipeline, destination, repeated, fill, parking } = batch;
    const lastTry = isLastTry(batch, attempt);
    const divided = { now: false };
    const options: BatchInsertOptions = {
      tables,
      table,
      columns: destination.columns,
      ...(destination.mapping === undefined ? {} : { mapping: destination.mapping }),
      batch: batch.id,
      repeated,
      ...(fill === undefined ? {} : { fill }),
      overdue: lastTry || isOverdue(attempt, OVERDUE_AFTER_MS),
      journal: {
        complete: batch.complete,
        get notes() {
          return attempt.notes.inserts?.[table];
        },
        ageMs: () => attempt.ageMs,
        save: (notes) => attempt.note({ ...attempt.notes, inserts: { ...attempt.notes.inserts, [table]: notes } }),
      },
      ...(destination.views === undefined ? {} : { views: destination.views }),
      mustBeAlive: () => {
        attempt.mustBeAlive();
      },
      onInsert: (outcome, rows) => {
        metrics.inserts.inc({ pipeline, outcome });
        if (outcome === 'ok') metrics.insertRows.observe({ pipeline }, rows);
      },
      onTooLarge: ({ code, message }, rows) => {
        divided.now = true;
        metrics.tooLargeInserts.inc({ pipeline, code });
        stateLog.problem(
          sizesOf(pipeline, table),
          `Pipeline ${pipeline} inserts into ${table} by parts, since ${rows} rows are too much for one insert: ${message}`,
        );
      },
    };
    const giveUp = async (rejection: Rejection): Promise<Outcome> => {
      const outcome = await giveUpRecords(records, options, rejection);
      const counts = { inserted: outcome.inserted.length, rejected: outcome.rejected.length };
      logger.warn({ pipeline, batch: batch.id, ...counts, code: rejection.code }, 'A batch is given up');
      return outcome;
    };
    if (parking !== undefined) return giveUp(parkedBecause(parking));
    try {
      const outcome = await insertRecords(records, options);
      stateLog.well(insertsOf(pipeline, table), `Pipeline ${pipeline} inserts into ${table} again`);
      if (!divided.now && tables.insertBytesMax(table) === Infinity)
        stateLog.well(sizesOf(pipeline, table), `Pipeline ${pipeline} inserts whole batches into ${table} again`);
      reportViews(pipeline, table, outcome.missedByViews);
      return outcome;
    } catch (error) {
      if (!(error instanceof InsertError)) throw error;
      await noteFailure(error, attempt);
      if (error.kind !== 'structural' && error.answered && lastTry) return giveUp(exhaustedBy(error));
      throw error;
    }
  }

  function reportViews(pipeline: string, table: string, missed: MissedByViews | null): void {
    const state = `views of ${table} for ${pipeline}`;
    if (missed === null) {
      stateLog.well(state, `Materialized views of ${table} take what pipeline ${pipeline} inserts again`);
      return;
    }
    metrics.missedByViews.inc({ pipeline }, missed.rows);
    logger.warn({ pipeline, table, rows: missed.rows }, 'Rows are in the table that materialized views of it may lack');
    stateLog.problem(
      state,
      `Pipeline ${pipeline} inserts rows into ${table} that materialized views of it lack, or may lack: ${missed.why}`,
    );
  }

  /**
   * One insert a table, one after the other. One that fails holds the batch, but not the rows of the others: the repetition
   * finds these.
   *
   * @param onHeld is called where one of them holds the batch, once it is noted which others are done
   */
  async function insert(batch: Batch, attempt: Attempt, onHeld: () => Promise<void>): Promise<Outcome> {
    const outcomes: Outcome[] = [];
    const done: [table: string, records: readonly SourcedRecord[], outcome: Outcome][] = [];
    let failure: ApplicationFailure | undefined;
    for (const [table, records] of byTable(batch)) {
      try {
        if (table === null) {
          outcomes.push(withoutTable(records));
          continue;
        }
        const outcome = doneBefore(table, records, attempt) ?? (await insertInto(table, records, batch, attempt));
        outcomes.push(outcome);
        done.push([table, records, outcome]);
      } catch (error) {
        if (!(error instanceof ApplicationFailure)) throw error;
        failure ??= error;
      }
    }
    if (failure !== undefined) {
      const before = attempt.notes.inserts ?? {};
      const inserts = { ...before };
      for (const [table, records, outcome] of done) {
        const noted = before[table]?.done ?? toBeNoted(records, outcome.rejected);
        if (noted !== null) inserts[table] = { whole: '', unsettled: [], done: noted };
      }
      const isNoted = attempt.note({ ...attempt.notes, inserts }).then(
        () => true,
        () => false,
      );
      // Not noted, the tables are asked, and their records judged, again.
      if (await isNoted) await onHeld();
      throw failure;
    }
    const [first] = outcomes;
    if (first !== undefined && outcomes.length === 1) return first;
    const found = outcomes.reduce((sum, outcome) => sum + outcome.found, 0);
    return { ...judgeByName(batch.records, verdictsOf(outcomes.flatMap(({ rejected }) => rejected))), found };
  }

  async function insertInto(
    table: string,
    records: readonly SourcedRecord[],
    batch: Batch,
    attempt: Attempt,
  ): Promise<Outcome> {
    const { pipeline } = batch;
    try {
      return await insertOrGiveUp(table, records, batch, attempt);
    } catch (error) {
      if (!(error instanceof InsertError)) throw error;
      metrics.flushErrors.inc({ pipeline, code: error.code });
      metrics.errors.inc({ pipeline, stage: 'insert' });
      stateLog.problem(
        insertsOf(pipeline, table),
        `Pipeline ${pipeline} cannot insert into ${table}, and holds its batches: ${error.message}`,
      );
      const structural = error.kind === 'structural';
      throw ApplicationFailure.create({
        message: error.message,
        type: structural ? 'StructuralInsertError' : 'TransientInsertError',
        ...(structural ? { nextRetryDelay: STRUCTURAL_RETRY } : {}),
      });
    }
  }

  /** What a closed run had left is no longer in Temporal: it can only come from Kafka again. */
  function reportLost(batcher: string, closedRun: string, what: string): void {
    const pipeline = pipelineOf(batcher);
    metrics.lostBatches.inc({ pipeline });
    logger.error(
      { pipeline, batcher, closedRun },
      `Lost: ${what}. The namespace's retention has removed the history of the closed run before it was flushed. ` +
        '`ktb rewind` fills what is missing, as far as Kafka still has it',
    );
  }

  function insertAndAcknowledge(batch: Batch, attempt: Attempt): Promise<Uint8Array> {
    return publishing(batch.pipeline, () => insertThenAcknowledge(batch, attempt));
  }

  async function insertThenAcknowledge(batch: Batch, attempt: Attempt): Promise<Uint8Array> {
    const startedAt = performance.now();
    const { pipeline, id, destination, reason } = batch;
    answers.mustBeAnswerable(attempt.activity, 'inserted');
    const { skipped, toInsert } = withoutSkipped(batch);
    const verdicts = batch.repeated ? unanswered.get(attempt.activity) : undefined;
    const { inserted, rejected, found } =
      verdicts === undefined
        ? await timed(pipeline, 'insert', () =>
            insert(toInsert, attempt, () => acknowledgeEarly(toInsert, skipped, attempt)),
          )
        : judgeByName(toInsert.records, verdicts);
    metrics.foundRows.inc({ pipeline }, found);
    unanswered.set(attempt.activity, verdictsOf(rejected));
    const [skippedRequests, skippedRecords] = divideRequests(skipped);
    const [insertedRequests, insertedRecords] = divideRequests(inserted);
    // First: a reply topic that is away must not keep requesters waiting.
    const unconfirmed = [
      ...(await confirm(batch, 'skipped', skippedRequests, attempt)),
      ...(await confirm(batch, 'inserted', insertedRequests, attempt)),
    ];
    const before = acknowledgedBefore(toInsert, attempt);
    const due = before === undefined ? insertedRecords : insertedRecords.filter(({ record }) => !before.has(record));
    await timed(pipeline, 'acknowledge', async () => {
      await publishAcks(batch, destination, 'skipped', before === undefined ? skippedRecords : [], attempt);
      await publishAcks(batch, destination, 'inserted', due, attempt);
    });
    unanswered.delete(attempt.activity);
    answers.forget(attempt.activity, ['skipped', 'inserted']);
    confirmer.forget(attempt.activity, ['skipped', 'inserted']);
    metrics.completed.inc({ pipeline, outcome: 'inserted' }, inserted.length);
    metrics.completed.inc({ pipeline, outcome: 'skipped' }, skipped.length);
    metrics.rows.inc({ pipeline }, inserted.length);
    metrics.flushes.inc({ pipeline, reason });
    metrics.flushSeconds.observe({ pipeline }, (performance.now() - startedAt) / 1000);
    const outcome: InheritedOutcome = {
      id,
      inserted: inserted.length,
      rejected: rejected.length,
      skipped: skipped.length,
      ...requestOutcome({ inserted: insertedRequests, skipped: skippedRequests, rejected }, unconfirmed),
    };
    return sealEnvelope(
      outcome,
      rejected.length === 0
        ? new Uint8Array(0)
        : encodeRejected(rejected, { ...batch.packed, records: batch.records }, rejectedBytesMax),
    );
  }

  return {
    insertBatch: (spec, bodies) =>
      flushing('insertBatch', spec, async (attempt) => {
        const format: string = spec.format;
        if (format !== BATCH_FORMAT) throw new Error(`a batch of format ${format}; this worker knows ${BATCH_FORMAT}`);
        const complete = !(await histories.anyWasReset(spec.batcher, [...spec.runs, attempt.runId]));
        const repeated = attempt.isRepeated || !complete;
        const records = await timed(spec.pipeline, 'decode', () => decodeChunks(spec.chunks, bodies));
        const fill = toFill(spec.chunks, records, `${attempt.runId}/${spec.number}`);
        const packed = { chunks: spec.chunks, bodies };
        return insertAndAcknowledge({ ...spec, packed, records, repeated, complete, fill }, attempt);
      }),

    readInheritance: (batcher, runId) =>
      admitted('readInheritance', { pipeline: pipelineOf(batcher), batcher }, async (attempt) => {
        const inheritance = await histories.inheritanceOf(batcher, attempt.runId, runId);
        if (inheritance.lost !== undefined) reportLost(batcher, runId, 'all that it had accepted');
        return inheritance;
      }),

    insertInherited: (inherited) =>
      flushing('insertInherited', inherited, async (attempt) => {
        const { pipeline, batcher, runId, chunksDone, chunks, answer } = inherited;
        let leftover: readonly Buffered[];
        try {
          if (answer !== null) return await histories.result(batcher, answer);
          leftover = await histories.leftover(batcher, runId, chunksDone, chunks);
        } catch (error) {
          if (!(error instanceof HistoryGoneError)) throw error;
          // To wait would not bring it back, and would hold up all that comes after it.
          reportLost(batcher, error.runId, `a batch of ${chunks} chunks`);
          const nothing: InheritedOutcome = { id: LOST_BATCH_ID, inserted: 0, rejected: 0, skipped: 0 };
          return sealEnvelope(nothing, new Uint8Array(0));
        }
        const inheritedChunks = leftover.map(({ chunk }) => chunk);
        const bodies = Buffer.concat(leftover.map(({ body }) => body));
        const records = await timed(pipeline, 'decode', () => decodeChunks(inheritedChunks, bodies));
        const id = batchId(batcher, leftover);
        const fill = toFill(inheritedChunks, records, `${runId}/left/${chunksDone}`);
        const packed = { chunks: inheritedChunks, bodies };
        return insertAndAcknowledge(
          { ...inherited, id, reason: 'inherited', packed, records, repeated: true, complete: false, fill },
          attempt,
        );
      }),

    rejectRecords: (spec, bytes) =>
      flushing('rejectRecords', spec, async (attempt) => {
        const { pipeline, destination } = spec;
        const rejected = decodeRejected(bytes);
        // A request's answer goes to whoever has it and can make another one: it needs no dead letter.
        const [rejectedRequests, rejectedRecords] = divideRequests(rejected);
        // A stub's original went to the dead-letter topic before the stub was sent.
        const letters = rejectedRecords.filter(({ record }) => record.tooLargeBytes === undefined);
        const unconfirmed = await confirm(spec, 'rejected', rejectedRequests, attempt);
        const reject = async (): Promise<void> => {
          if (letters.length > 0 && deadLettersOf.get(attempt.activity) === undefined) {
            attempt.mustBeAlive();
            await publishDeadLetters(publisher, destination.deadLetterTopic, pipeline, letters);
            for (const { rejection } of letters) metrics.deadLetters.inc({ pipeline, code: rejection.code });
            // Should the acknowledgements fail, a repetition need not publish them again.
            deadLettersOf.set(attempt.activity, true);
          }
          answers.mustBeAnswerable(attempt.activity, 'rejected');
          await publishAcks(spec, destination, 'rejected', rejectedRecords, attempt);
          deadLettersOf.delete(attempt.activity);
        };
        await publishing(pipeline, () => timed(pipeline, 'reject', reject));
        answers.forget(attempt.activity, ['rejected']);
        confirmer.forget(attempt.activity, ['rejected']);
        metrics.completed.inc({ pipeline, outcome: 'rejected' }, rejected.length);
        return unconfirmed.length === 0 ? undefined : unconfirmed;
      }),

    publishForeignSignals: (batch) =>
      attempting('publishForeignSignals', batch, async (attempt) => {
        const { pipeline, deadLetterTopic, signals } = batch;
        await publishing(pipeline, async () => {
          attempt.mustBeAlive();
          await publishForeignSignals(publisher, batch);
          metrics.deadLetters.inc({ pipeline, code: FOREIGN_SIGNAL }, signals.length);
          stateLog.problem(
            `foreign signals of ${pipeline}`,
            `Batchers of pipeline ${pipeline} get signals that no part of ktb sends; they are on ${deadLetterTopic}, with the code ${FOREIGN_SIGNAL}`,
          );
        });
      }),

    confirmRequests: (pipeline, unconfirmed) => confirmer.deliver(pipeline, unconfirmed),
  };
}

/** What the batcher has to know of the requests in a batch. */
function requestOutcome(
  requests: {
    readonly inserted: readonly SourcedRecord[];
    readonly skipped: readonly SourcedRecord[];
    readonly rejected: readonly RejectedRecord[];
  },
  unconfirmed: readonly Unconfirmed[],
): Pick<InheritedOutcome, 'requests' | 'unconfirmed'> {
  const verdicts: RequestVerdict[] = [];
  for (const { record } of requests.inserted) verdicts.push([record.offset, 'inserted']);
  for (const { record } of requests.skipped) verdicts.push([record.offset, 'skipped']);
  for (const { source, record, rejection } of requests.rejected) {
    if (isRequestSource(source)) verdicts.push([record.offset, rejection.code]);
  }
  return {
    ...(verdicts.length === 0 ? {} : { requests: verdicts }),
    ...(unconfirmed.length === 0 ? {} : { unconfirmed: unconfirmed.slice(-UNCONFIRMED_MAX) }),
  };
}

/** What an error of any kind says, without what the parser of JSON quotes, which may be a record's. */
function reasonOf(error: unknown): string {
  return error instanceof SyntaxError ? error.name : messageOf(error);
}

/** Names the state in which a pipeline's inserts into a table are. */
function insertsOf(pipeline: string, table: string): string {
  return `inserts of ${pipeline} into ${table}`;
}

/** Names the state of how large a pipeline's inserts into a table may be. */
function sizesOf(pipeline: string, table: string): string {
  return `size of inserts of ${pipeline} into ${table}`;
}

function parkedBecause({ reason }: Parking): Rejection {
  return {
    code: REJECTION_CODES.parked,
    message: `an operator gave its batch up${reason === '' ? '' : `: ${reason}`}`,
  };
}

function withoutTable(records: readonly SourcedRecord[]): Outcome {
  const message = "its pipeline sends each topic to a table of its own, and a workflow's row has no topic";
  const rejection = { code: REJECTION_CODES.noTable, message };
  return { inserted: [], rejected: records.map((item) => ({ ...item, rejection })), found: 0 };
}

function exhaustedBy({ message }: InsertError): Rejection {
  return { code: REJECTION_CODES.retriesExhausted, message: `not inserted within insert.retryFor: ${message}` };
}

/** What became of a batch's records. */
type Outcome = Pick<BatchInsertResult, 'rejected' | 'found'> & { readonly inserted: readonly SourcedRecord[] };

/** A batch on its way, wherever its records come from. */
interface Batch extends Pick<BatchSpec, 'pipeline' | 'id' | 'destination' | 'reason'> {
  /** What the records came in: of all of them, also where some are taken out. */
  readonly packed: Pick<PackedBatch, 'chunks' | 'bodies'>;
  readonly records: readonly SourcedRecord[];
  /** True where an insert of these records may have happened before. */
  readonly repeated: boolean;
  /** True where only this activity's own attempts can have made it. */
  readonly complete: boolean;
  readonly fill: Fill | undefined;
  readonly parking?: Parking;
}

/** The records of a batch by their tables, each in their order; by null those that have none. */
function byTable({ destination, records }: Batch): Map<string | null, readonly SourcedRecord[]> {
  const only = onlyTable(destination);
  if (only !== null) return new Map([[only, records]]);
  const lists = new Map<string | null, SourcedRecord[]>();
  const listOfTopic = new Map<string, SourcedRecord[]>();
  for (const item of records) {
    const { topic } = item.source;
    let list = listOfTopic.get(topic);
    if (list === undefined) {
      const table = isRequestSource(item.source) ? tableOfRequests(destination) : tableOf(destination, topic);
      lists.set(table, (list = lists.get(table) ?? []));
      listOfTopic.set(topic, list);
    }
    list.push(item);
  }
  return lists;
}

/** Names the sources that chunks fill. */
function filledSources(chunks: readonly BufferedChunk[]): Set<string> {
  return new Set(chunks.flatMap(({ segments }) => segments.filter(({ fill }) => fill).map(sourceName)));
}

function toFill(chunks: readonly BufferedChunk[], records: readonly SourcedRecord[], salt: string): Fill | undefined {
  const names = filledSources(chunks);
  if (names.size === 0) return undefined;
  const all = new Set(records.map(({ source }) => source));
  return { sources: new Set([...all].filter((source) => names.has(sourceName(source)))), salt };
}

/** Which of a table's records are rejected, and why; null where that cannot be noted. */
function toBeNoted(records: readonly SourcedRecord[], rejected: readonly RejectedRecord[]): NotedRejections | null {
  const verdicts = verdictsOf(rejected);
  const byPlace = new Map<number, Rejection>();
  for (const [place, item] of verdicts.size === 0 ? [] : records.entries()) {
    const rejection = verdicts.get(identityName(item));
    if (rejection !== undefined) byPlace.set(place, rejection);
  }
  return noteRejections(byPlace);
}

/**
 * What an attempt before has made of a table's records, where another table held the batch. It stands: what is in the table is left
 * alone; and a record that is refused alone would not be told from an ill table any more, as nothing else is sent to it.
 */
function doneBefore(
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
function insertedOf(
  batch: Batch,
  tables: readonly string[],
  attempt: Pick<Attempt, 'notes'>,
): readonly SourcedRecord[] {
  const records = byTable(batch);
  return tables.flatMap((table) => doneBefore(table, records.get(table) ?? [], attempt)?.inserted ?? []);
}

/** Records in tables that attempts have acknowledged although the batch was held; undefined where nothing was. */
function acknowledgedBefore(batch: Batch, attempt: Attempt): ReadonlySet<KafkaRecord> | undefined {
  const { acknowledgedTables } = attempt.notes;
  if (acknowledgedTables === undefined) return undefined;
  return new Set(insertedOf(batch, acknowledgedTables, attempt).map(({ record }) => record));
}

/** Takes out what the pipeline does not want as rows. */
function withoutSkipped(batch: Batch): { skipped: readonly SourcedRecord[]; toInsert: Batch } {
  const skipped = batch.records.filter(({ record }) => isSkipped(record, batch.destination));
  if (skipped.length === 0) return { skipped, toInsert: batch };
  const records = batch.records.filter(({ record }) => !isSkipped(record, batch.destination));
  return { skipped, toInsert: { ...batch, records } };
}

/** Of a batch whose insert is done: which records were rejected, by name, and why. All others are in the table. */
type Verdicts = ReadonlyMap<string, Rejection>;

function verdictsOf(rejected: readonly RejectedRecord[]): Verdicts {
  return new Map(rejected.map((item) => [identityName(item), item.rejection]));
}

/** What an insert had come to, without doing it again. */
function judge(
  records: readonly SourcedRecord[],
  rejectionOf: (item: SourcedRecord, place: number) => Rejection | undefined,
): Outcome {
  const inserted: SourcedRecord[] = [];
  const rejected: RejectedRecord[] = [];
  for (const [place, item] of records.entries()) {
    const rejection = rejectionOf(item, place);
    if (rejection === undefined) inserted.push(item);
    else rejected.push({ ...item, rejection });
  }
  return { inserted, rejected, found: 0 };
}

/** {@link judge} by the records' names. */
function judgeByName(records: readonly SourcedRecord[], verdicts: Verdicts): Outcome {
  // Names are texts: not made where none is needed.
  return judge(records, verdicts.size === 0 ? () => undefined : (item) => verdicts.get(identityName(item)));
}
