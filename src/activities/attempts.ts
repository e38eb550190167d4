import { ApplicationFailure } from '@temporalio/common';
import { PublishError } from '../kafka/publisher.js';
import { messageOf } from '../lib/messageOf.js';
import { batcherIndexOf } from '../protocol/batcherId.js';
import type { BatchSpec } from '../protocol/flush.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import { Admission, CrowdedError } from './admission.js';
import { Attempt, AttemptExpiredError } from './attempt.js';
import type { ActivityDependencies } from './dependencies.js';
import type { BatchMemos } from './memos.js';

/** Until a worker of another installation may have asked for work, or claimed the pipeline. */
const OTHERS_RETRY = '5 seconds';

/** A topic that takes no messages is left alone for as long by the publisher. */
const PUBLISH_RETRY = '5 seconds';

/** Where a worker is full of one pipeline's flushes, the next of it comes back after so long. */
const CROWDED_RETRY = '5 seconds';

/** In place of an error's code, where the error is none of ClickHouse's or Kafka's. */
const UNEXPECTED = 'unexpected';

/** Whose work an attempt does. */
type Owner = Pick<BatchSpec, 'pipeline' | 'batcher' | 'installation'>;

interface AttemptsDependencies extends Pick<
  ActivityDependencies,
  'beat' | 'ofOther' | 'metrics' | 'stateLog' | 'admission'
> {
  readonly memos: BatchMemos;
}

/** `light`: at once. `heavy`: it holds much in memory, and waits for a slot. `flush`: likewise, and it has a batch. */
const KINDS = {
  insertBatch: 'flush',
  insertInherited: 'flush',
  rejectRecords: 'flush',
  readInheritance: 'heavy',
  publishForeignSignals: 'light',
} as const satisfies Partial<Record<keyof FlushActivities, 'light' | 'heavy' | 'flush'>>;

/**
 * The attempts of activities: begins each, and tells what became of it. Every failure is thrown as one that Temporal repeats: a
 * batch that has been accepted is never given up.
 */
export class Attempts {
  readonly #dependencies: AttemptsDependencies;
  readonly #admission: Admission;

  constructor(dependencies: AttemptsDependencies) {
    this.#dependencies = dependencies;
    this.#admission = new Admission(dependencies.admission);
  }

  /** Does an activity's work once it may begin: it is of this installation, and has a slot if it needs one. It beats its heart from the first. */
  async admit<T>(activity: keyof typeof KINDS, owner: Owner, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    const { beat, stateLog } = this.#dependencies;
    const { batcher } = owner;
    const kind = KINDS[activity];
    const what = `${activity} of ${batcher}`;
    try {
      const result = await Attempt.run(beat, async (attempt) => {
        await this.#mustBeOurs(owner);
        if (kind === 'light') return work(attempt);
        return this.#inSlot(owner, attempt, () =>
          kind === 'heavy' ? work(attempt) : this.#withBatch(owner, attempt, work),
        );
      });
      stateLog.well(what, `Batcher ${batcher} gets its ${activity} done again`);
      return result;
    } catch (error) {
      throw this.#failureOf(error, owner, activity, what);
    }
  }

  /**
   * The work of another installation is left to that one, untouched. Only batches that were scheduled by a version that named no
   * installation come here: the failure ends the activity, and the batcher schedules it where it belongs. Where nobody has claimed the
   * pipeline, a worker of such a version may still take it.
   */
  async #mustBeOurs({ pipeline, installation }: Owner): Promise<void> {
    const other = await this.#dependencies.ofOther(pipeline, installation);
    if (other === null) return;
    const whose = other === 'unknown' ? 'no installation has claimed it' : `it belongs to installation ${other.name}`;
    this.#dependencies.stateLog.problem(
      `batches of ${pipeline}`,
      `Batches of pipeline ${pipeline} are left to others: ${whose}, and it is not in this configuration`,
    );
    throw ApplicationFailure.create({
      type: 'OtherInstallation',
      message: `pipeline ${pipeline} is not of this installation: ${whose}`,
      ...(other === 'unknown' ? { nextRetryDelay: OTHERS_RETRY } : { nonRetryable: true }),
    });
  }

  async #inSlot<T>({ pipeline }: Owner, attempt: Attempt, work: () => Promise<T>): Promise<T> {
    const { flushesRunning } = this.#dependencies.metrics;
    try {
      return await this.#admission.run(pipeline, attempt.scheduledAtMs, attempt.cancellation, async () => {
        attempt.mustBeAlive();
        flushesRunning.inc();
        try {
          return await work();
        } finally {
          flushesRunning.dec();
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
  }

  /** A batch's attempts are counted. Once one has done all, what was remembered for the next one is forgotten. */
  async #withBatch<T>(owner: Owner, attempt: Attempt, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    const { flushRetries, flushAttempts } = this.#dependencies.metrics;
    const { pipeline } = owner;
    const batcher = batcherIndexOf(owner.batcher);
    let outcome = 'failed';
    try {
      if (attempt.isRepeated) flushRetries.inc({ pipeline });
      const result = await work(attempt);
      outcome = 'ok';
      this.#dependencies.memos.forget(attempt.activity);
      return result;
    } finally {
      flushAttempts.inc({ pipeline, batcher, outcome });
    }
  }

  /**
   * What Temporal gets to see. Publishing fails like an insert does: counted, and repeated; the publisher says which topic is away. What an
   * insert fails with has been told there. Anything else would be repeated without anybody's hearing of it.
   */
  #failureOf(error: unknown, { pipeline, batcher }: Owner, activity: string, what: string): unknown {
    const { metrics, stateLog } = this.#dependencies;
    if (error instanceof ApplicationFailure || error instanceof AttemptExpiredError) return error;
    if (error instanceof PublishError) {
      metrics.flushErrors.inc({ pipeline, code: 'publish' });
      metrics.errors.inc({ pipeline, stage: 'publish' });
      return ApplicationFailure.create({
        message: error.message,
        type: 'PublishError',
        nextRetryDelay: PUBLISH_RETRY,
      });
    }
    metrics.flushErrors.inc({ pipeline, code: UNEXPECTED });
    stateLog.problem(what, `Batcher ${batcher} waits, since its ${activity} fails unexpectedly: ${reasonOf(error)}`);
    return error;
  }
}

/** What an error of any kind says, without what the parser of JSON quotes, which may be a record's. */
function reasonOf(error: unknown): string {
  return error instanceof SyntaxError ? error.name : messageOf(error);
}
