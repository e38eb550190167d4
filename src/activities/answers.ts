import type { AckStatus } from '../protocol/ack.js';
import type { BatchSpec } from '../protocol/flush.js';
import { NO_TIMESTAMP } from '../protocol/record.js';
import type { Unconfirmed } from '../protocol/request.js';
import type { Destination } from '../protocol/settings.js';
import { AckPublisher } from './ackPublisher.js';
import type { DecidedRecord } from './acks.js';
import type { Attempt } from './attempt.js';
import { Confirmer } from './confirmer.js';
import type { ActivityDependencies } from './dependencies.js';
import type { BatchMemos } from './memos.js';

/** Answers for records: acknowledgements on topics, and confirmations to requesters. */
export class Answers {
  readonly #acks: AckPublisher;
  readonly #confirmer: Confirmer;
  readonly #metrics: ActivityDependencies['metrics'];

  constructor(
    dependencies: Pick<ActivityDependencies, 'publisher' | 'partitions' | 'metrics' | 'deliverConfirmation'> & {
      readonly memos: BatchMemos;
    },
  ) {
    const { metrics, memos, deliverConfirmation: deliver } = dependencies;
    this.#acks = new AckPublisher(dependencies);
    this.#confirmer = new Confirmer({ deliver, metrics, memos });
    this.#metrics = metrics;
  }

  /** See {@link AckPublisher.mustBeAnswerable}. */
  mustBeAnswerable({ activityKey }: Attempt, status: AckStatus): void {
    this.#acks.mustBeAnswerable(activityKey, status);
  }

  /** @throws PublishError if not all are published */
  async acknowledge(
    { pipeline, id }: Pick<BatchSpec, 'pipeline' | 'id'>,
    { reply }: Pick<Destination, 'reply'>,
    status: AckStatus,
    records: readonly DecidedRecord[],
    attempt: Attempt,
  ): Promise<void> {
    if (reply !== undefined && records.length > 0) {
      const mustBeAlive = (): void => attempt.mustBeAlive();
      const { activityKey } = attempt;
      const fallbacks = await this.#acks.publish(reply, { id, activityKey, status, records, mustBeAlive });
      if (fallbacks === null) return;
      for (const [cause, count] of fallbacks) this.#metrics.replyFallbacks.inc({ pipeline, cause }, count);
      this.#metrics.acks.inc({ pipeline, status }, records.length);
    }
    this.#observeEndToEnd(pipeline, records);
  }

  /** Answers requesters, once, even if the attempt is repeated for other reasons. */
  async confirm(
    { pipeline, id }: Pick<BatchSpec, 'pipeline' | 'id'>,
    status: AckStatus,
    requests: readonly DecidedRecord[],
    attempt: Attempt,
  ): Promise<readonly Unconfirmed[]> {
    if (requests.length === 0) return [];
    attempt.mustBeAlive();
    const { activityKey } = attempt;
    const unconfirmed = await this.#confirmer.confirm(pipeline, { id, activityKey, status, requests });
    this.#observeEndToEnd(pipeline, requests);
    return unconfirmed;
  }

  /** See {@link Confirmer.deliver}. */
  deliver(pipeline: string, unconfirmed: readonly Unconfirmed[]): Promise<readonly Unconfirmed[]> {
    return this.#confirmer.deliver(pipeline, unconfirmed);
  }

  /** See {@link AckPublisher.forgetPublished}. */
  forgetPublishedAcks({ activityKey }: Attempt, status: AckStatus): void {
    this.#acks.forgetPublished(activityKey, status);
  }

  #observeEndToEnd(pipeline: string, records: readonly DecidedRecord[]): void {
    const nowMs = Date.now();
    const seconds = new Float64Array(records.length);
    let count = 0;
    for (const { record } of records)
      if (record.timestampMs !== NO_TIMESTAMP) seconds[count++] = Math.max(0, nowMs - record.timestampMs) / 1000;
    this.#metrics.endToEndSeconds.observeAll({ pipeline }, seconds.subarray(0, count));
  }
}
