import type { AckStatus } from '../protocol/ack.js';
import {
  UNCONFIRMED_MAX,
  type DeliverConfirmation,
  type DeliveryOutcome,
  type Unconfirmed,
} from '../protocol/request.js';
import { confirmationOf } from '../codecs/requestCodec.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { DecidedRecord } from './acks.js';
import { digest, type BatchMemos } from './memos.js';

/** Signals that are sent at the same time. */
const CONCURRENCY = 32;

/** Requests of one batch that are done, all with the same status. */
export interface DecidedRequests {
  /** The id of the batch. */
  readonly id: string;
  /** See `Attempt.activityKey`. */
  readonly activityKey: string;
  readonly status: AckStatus;
  readonly requests: readonly DecidedRecord[];
}

export interface ConfirmerOptions {
  readonly deliver: DeliverConfirmation;
  readonly metrics: Pick<Metrics, 'confirmations'>;
  readonly memos: BatchMemos;
}

/** Tells requesters the results of their requests. A requester that cannot be reached does not hold up others. */
export class Confirmer {
  readonly #options: ConfirmerOptions;

  constructor(options: ConfirmerOptions) {
    this.#options = options;
  }

  /**
   * Tells each requester once, even if the attempt is repeated for other reasons. Never rejects.
   *
   * @returns the confirmations that have to be retried, {@link UNCONFIRMED_MAX} at most
   */
  async confirm(
    pipeline: string,
    { id, activityKey, status, requests }: DecidedRequests,
  ): Promise<readonly Unconfirmed[]> {
    const { memos } = this.#options;
    const before = memos.of(activityKey).confirmed?.[status];
    const told = digest(requests);
    if (before?.requests === told) return before.unconfirmed;
    const unconfirmed = await this.deliver(
      pipeline,
      requests.map(({ source, record, rejection }) => confirmationOf(source, record, { status, batch: id, rejection })),
    );
    memos.note(activityKey, {
      confirmed: { ...memos.of(activityKey).confirmed, [status]: { requests: told, unconfirmed } },
    });
    return unconfirmed;
  }

  /** Never rejects. @returns the confirmations that have to be retried, {@link UNCONFIRMED_MAX} at most */
  async deliver(pipeline: string, unconfirmed: readonly Unconfirmed[]): Promise<readonly Unconfirmed[]> {
    const { deliver, metrics } = this.#options;
    const failed: Unconfirmed[] = [];
    const left = unconfirmed.values();
    const deliverOnes = async (): Promise<void> => {
      for (const item of left) {
        const delivery: Promise<DeliveryOutcome> = deliver(item.requester, item.confirmation);
        const outcome = await delivery.catch(() => 'failed' as const);
        metrics.confirmations.inc({ pipeline, outcome });
        if (outcome === 'failed') failed.push({ ...item, attempts: item.attempts + 1 });
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, unconfirmed.length) }, deliverOnes));
    return failed.slice(-UNCONFIRMED_MAX);
  }
}
