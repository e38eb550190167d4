import { encodeRejected, REJECTED_BYTES_MAX } from '../codecs/rejectionCodec.js';
import { PublishError } from '../kafka/topicProducer.js';
import { sealEnvelope } from '../protocol/flush.js';
import type { FlushOutcome } from '../protocol/leftover.js';
import { withinPayload } from '../protocol/payloadLimit.js';
import type { SourcedRecord } from '../protocol/record.js';
import type { Answers } from './answers.js';
import type { Attempt } from './attempt.js';
import { withoutSkipped, type Batch } from './batch.js';
import { divideRequests } from './batchRecords.js';
import type { ActivityDependencies } from './dependencies.js';
import { acknowledgedBefore, insertedOf } from './doneTables.js';
import type { BatchMemos } from './memos.js';
import { divideLeftOut, judgeByName, requestOutcome, verdictsOf, type Outcome } from './outcome.js';
import type { Shares } from './shares.js';
import { timed } from './timed.js';
import { TableInserts } from './tableInserts.js';

/**
 * Flushes batches: inserts each one, then acknowledges the records that are in the tables. Rejected records go back to
 * the batcher.
 */
export class Flusher {
  readonly #tableInserts: TableInserts;
  readonly #answers: Answers;
  readonly #metrics: ActivityDependencies['metrics'];
  readonly #memos: BatchMemos;
  readonly #rejectedBytesMax: number;

  constructor(
    dependencies: Pick<
      ActivityDependencies,
      'tables' | 'decoders' | 'evolution' | 'metrics' | 'logger' | 'stateLog' | 'payloadBytesMax'
    > & {
      readonly answers: Answers;
      readonly memos: BatchMemos;
    },
  ) {
    this.#tableInserts = new TableInserts(dependencies);
    this.#answers = dependencies.answers;
    this.#metrics = dependencies.metrics;
    this.#memos = dependencies.memos;
    this.#rejectedBytesMax = withinPayload(REJECTED_BYTES_MAX, dependencies.payloadBytesMax);
  }

  /**
   * @returns an `Envelope` of `FlushOutcome` and the encoded rejected records
   * @throws ApplicationFailure if a table holds the batch
   * @throws PublishError if not all is acknowledged
   */
  async flush(batch: Batch, attempt: Attempt): Promise<Uint8Array> {
    const startedAt = performance.now();
    const { pipeline, reason } = batch;
    this.#answers.mustBeAnswerable(attempt, 'inserted');
    const { skipped: withoutValue, toInsert } = withoutSkipped(batch);
    // Known if the attempt before has inserted, and only could not acknowledge.
    const known = this.#memos.verdictsFor(attempt);
    let divided: Promise<Shares> | undefined;
    const shares = (): Promise<Shares> => (divided ??= this.#tableInserts.divide(toInsert, attempt));
    const outcome =
      known === undefined
        ? await timed(this.#metrics, pipeline, 'insert', async () => {
            const all = await shares();
            return this.#tableInserts.insert(toInsert, all, attempt, () =>
              this.#acknowledgeEarly(toInsert, all, withoutValue, attempt),
            );
          })
        : judgeByName(toInsert.records, known);
    const { inserted, found } = outcome;
    const [leftOut, rejected] = divideLeftOut(outcome.rejected);
    const skipped = leftOut.length === 0 ? withoutValue : [...withoutValue, ...leftOut];
    this.#metrics.foundRows.inc({ pipeline }, found);
    this.#memos.note(attempt.activityKey, {
      insert: { verdicts: verdictsOf(outcome.rejected), attemptId: attempt.id },
    });
    const requests = await this.#answer(toInsert, shares, { inserted, skipped, withoutValue }, attempt);
    this.#metrics.completed.inc({ pipeline, outcome: 'inserted' }, inserted.length);
    this.#metrics.completed.inc({ pipeline, outcome: 'skipped' }, skipped.length);
    this.#metrics.rows.inc({ pipeline }, outcome.rows ?? inserted.length);
    this.#metrics.flushes.inc({ pipeline, reason });
    this.#metrics.flushSeconds.observe({ pipeline }, (performance.now() - startedAt) / 1000);
    return this.#sealed(batch, { ...outcome, rejected, skipped }, requests);
  }

  /** @returns for the batcher, the verdicts on the requests that are not rejected */
  async #answer(
    batch: Batch,
    shares: () => Promise<Shares>,
    { inserted, skipped, withoutValue }: Record<'inserted' | 'skipped' | 'withoutValue', readonly SourcedRecord[]>,
    attempt: Attempt,
  ): Promise<RequestAnswers> {
    const { pipeline, destination } = batch;
    const [skippedRequests, skippedRecords] = divideRequests(skipped);
    const [insertedRequests, insertedRecords] = divideRequests(inserted);
    // Confirmations come first. A reply topic that is away must not keep requesters waiting.
    const unconfirmed = [
      ...(await this.#answers.confirm(batch, 'skipped', skippedRequests, attempt)),
      ...(await this.#answers.confirm(batch, 'inserted', insertedRequests, attempt)),
    ];
    const before = await acknowledgedBefore(shares, attempt);
    const due = before === undefined ? insertedRecords : insertedRecords.filter(({ record }) => !before.has(record));
    await timed(this.#metrics, pipeline, 'acknowledge', async () => {
      const early = before === undefined ? undefined : new Set(withoutValue);
      const skippedDue = early === undefined ? skippedRecords : skippedRecords.filter((item) => !early.has(item));
      await this.#answers.acknowledge(batch, destination, 'skipped', skippedDue, attempt);
      await this.#answers.acknowledge(batch, destination, 'inserted', due, attempt);
    });
    return { inserted: insertedRequests, skipped: skippedRequests, unconfirmed };
  }

  /**
   * Acknowledges records that need not wait for a table that holds the batch. It is noted, because otherwise each
   * attempt would acknowledge them again. Requests are not included: they are confirmed with their batch, so that
   * undelivered confirmations are in its result.
   */
  async #acknowledgeEarly(
    batch: Batch,
    shares: Shares,
    skippedOnes: readonly SourcedRecord[],
    attempt: Attempt,
  ): Promise<void> {
    if (batch.destination.reply === undefined) return;
    const { inserts = {}, acknowledgedTables: before } = attempt.notes;
    const tables = Object.keys(inserts).filter((table) => inserts[table]?.done !== undefined);
    if (before !== undefined && tables.every((table) => before.includes(table))) return;
    const [, skipped] = divideRequests(before === undefined ? skippedOnes : []);
    const due = tables.filter((table) => before?.includes(table) !== true);
    const [, inserted] = divideRequests(insertedOf(shares, due, attempt));
    if (skipped.length + inserted.length === 0) return;
    try {
      await this.#answers.acknowledge(batch, batch.destination, 'skipped', skipped, attempt);
      await this.#answers.acknowledge(batch, batch.destination, 'inserted', inserted, attempt);
      // The rest of the batch gets the same status later.
      this.#answers.forgetPublishedAcks(attempt, 'inserted');
    } catch (error) {
      // It is retried with the batch, which is held in any case.
      if (error instanceof PublishError) return;
      throw error;
    }
    // If this is not noted, they are acknowledged again. The batch is held by another error, which must be reported.
    await attempt.note({ ...attempt.notes, acknowledgedTables: tables }).catch(() => undefined);
  }

  #sealed(
    { id, packed, records }: Batch,
    { inserted, rejected, skipped }: Outcome & { readonly skipped: readonly SourcedRecord[] },
    { unconfirmed, ...requests }: RequestAnswers,
  ): Uint8Array {
    const outcome: FlushOutcome = {
      id,
      inserted: inserted.length,
      rejected: rejected.length,
      skipped: skipped.length,
      ...requestOutcome({ ...requests, rejected }, unconfirmed),
    };
    return sealEnvelope(
      outcome,
      rejected.length === 0
        ? new Uint8Array(0)
        : encodeRejected(rejected, { ...packed, records }, this.#rejectedBytesMax),
    );
  }
}

type RequestAnswers = Pick<Parameters<typeof requestOutcome>[0], 'inserted' | 'skipped'> & {
  readonly unconfirmed: Parameters<typeof requestOutcome>[1];
};
