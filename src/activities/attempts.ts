import { ApplicationFailure } from '@temporalio/common';
import { PublishError } from '../kafka/topicProducer.js';
import { messageOf } from '../lib/messageOf.js';
import { batcherIndexOf } from '../protocol/batcherId.js';
import type { BatchSpec } from '../protocol/flush.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import { withinPayload } from '../protocol/payloadLimit.js';
import { Admission, CrowdedError, shareOfSlot } from './admission.js';
import { Attempt, AttemptExpiredError } from './attempt.js';
import type { ActivityDependencies } from './dependencies.js';
import type { BatchMemos } from './memos.js';
import { NOTES_BYTES_MAX } from './notesLimit.js';

/** After this time a worker of another installation may have polled, or claimed the pipeline. */
const OTHERS_RETRY = '5 seconds';

/** The publisher does not try a topic that is away for as long. Chance spreads the attempts around it. */
const PUBLISH_RETRY_MS = 5_000;

/** The shortest and the longest pause of a flush that was handed back. */
const CROWDED_RETRY_MIN_MS = 250;
const CROWDED_RETRY_MAX_MS = 5_000;

/** The code of errors that are neither ClickHouse's nor Kafka's. */
const UNEXPECTED = 'unexpected';

/** The batcher and installation for which an attempt works. */
type Owner = Pick<BatchSpec, 'pipeline' | 'batcher' | 'installation'>;

interface AttemptsDependencies extends Pick<
  ActivityDependencies,
  'beat' | 'ofOther' | 'metrics' | 'stateLog' | 'admission' | 'payloadBytesMax'
> {
  readonly memos: BatchMemos;
}

/**
 * What an activity needs to begin. `nothing`: it begins at once. `slot`: it holds much in memory and waits for a slot.
 * `batch`: a slot, and the batch's memo.
 */
const NEEDS = {
  insertBatch: 'batch',
  insertInherited: 'batch',
  rejectRecords: 'batch',
  readInheritance: 'slot',
  publishForeignSignals: 'nothing',
} as const satisfies Partial<Record<keyof FlushActivities, 'nothing' | 'slot' | 'batch'>>;

/**
 * Begins the attempts of activities, and reports their results. An accepted batch is never given up: Temporal repeats every
 * failure but `OtherInstallation`, after which the batcher schedules the activity at its own installation.
 */
export class Attempts {
  readonly #dependencies: AttemptsDependencies;
  readonly #admission: Admission;

  constructor(dependencies: AttemptsDependencies) {
    this.#dependencies = dependencies;
    this.#admission = new Admission(dependencies.admission);
  }

  /**
   * Does an activity's work when it may begin: when it belongs to this installation, and has a slot if it needs one.
   * Heartbeats are sent from the start.
   *
   * @param memoryBytes that the work takes, about. Not given: much, or not known
   */
  async admit<T>(
    activity: keyof typeof NEEDS,
    owner: Owner,
    work: (attempt: Attempt) => Promise<T>,
    memoryBytes = (): number => Infinity,
  ): Promise<T> {
    const { beat, memos, stateLog, payloadBytesMax } = this.#dependencies;
    const { batcher } = owner;
    const needs = NEEDS[activity];
    const notesBytesMax = withinPayload(NOTES_BYTES_MAX, payloadBytesMax);
    const what = `${activity} of ${batcher}`;
    try {
      const result = await Attempt.run(
        beat,
        async (attempt) => {
          memos.begin(attempt);
          await this.#mustBeOurs(owner);
          if (needs === 'nothing') return work(attempt);
          const begin = (): Promise<T> => (needs === 'slot' ? work(attempt) : this.#withBatch(owner, attempt, work));
          return this.#inSlot(owner, attempt, begin, shareOfSlot(memoryBytes()));
        },
        notesBytesMax,
      );
      stateLog.well(what, `Batcher ${batcher} gets its ${activity} done again`);
      return result;
    } catch (error) {
      throw this.#failureOf(error, owner, activity, what);
    }
  }

  /**
   * Makes sure that work belongs to this installation. Only batches of a version that named no installation can belong
   * to another one. Then the failure ends the activity, and the batcher schedules it on the right queue. If nobody has
   * claimed the pipeline, a worker of such a version may still take it.
   */
  async #mustBeOurs({ pipeline, installation }: Owner): Promise<void> {
    const other = await this.#dependencies.ofOther(pipeline, installation);
    if (other === null) return;
    const whose = other === 'unknown' ? 'no installation has claimed it' : `it belongs to installation ${other.name}`;
    this.#dependencies.stateLog.problem(
      `batches of ${pipeline}`,
      `Batches of pipeline ${pipeline} are left to others: ${whose}`,
    );
    throw ApplicationFailure.create({
      type: 'OtherInstallation',
      message: `pipeline ${pipeline} is not of this installation: ${whose}`,
      ...(other === 'unknown' ? { nextRetryDelay: OTHERS_RETRY } : { nonRetryable: true }),
    });
  }

  async #inSlot<T>({ pipeline }: Owner, attempt: Attempt, work: () => Promise<T>, share: number): Promise<T> {
    const { flushesRunning } = this.#dependencies.metrics;
    const counted = async (): Promise<T> => {
      attempt.mustBeAlive();
      flushesRunning.inc(share);
      try {
        return await work();
      } finally {
        flushesRunning.dec(share);
      }
    };
    try {
      const { scheduledAtMs, cancellation } = attempt;
      return await this.#admission.run(pipeline, scheduledAtMs, cancellation, counted, share);
    } catch (error) {
      // It was cancelled while it waited.
      if (error === attempt.cancellation.reason) attempt.mustBeAlive();
      if (!(error instanceof CrowdedError)) throw error;
      const nextRetryDelay = crowdedRetryMs(await noteHandedBack(attempt, error));
      throw ApplicationFailure.create({ message: error.message, type: error.name, nextRetryDelay });
    }
  }

  /** Counts the attempts of a batch. When one has succeeded, what was remembered for the next attempt is dropped. */
  async #withBatch<T>(owner: Owner, attempt: Attempt, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    const { flushRetries, flushAttempts } = this.#dependencies.metrics;
    const { pipeline } = owner;
    const batcher = batcherIndexOf(owner.batcher);
    let outcome = 'failed';
    try {
      if (attempt.isRepeated) flushRetries.inc({ pipeline });
      const result = await work(attempt);
      outcome = 'ok';
      this.#dependencies.memos.forget(attempt.activityKey);
      return result;
    } finally {
      flushAttempts.inc({ pipeline, batcher, outcome });
    }
  }

  /**
   * Reports failures of publishing like those of an insert: they are counted, and Temporal repeats the activity. The
   * publisher logs which topic is away.
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
        nextRetryDelay: aroundMs(PUBLISH_RETRY_MS),
      });
    }
    metrics.flushErrors.inc({ pipeline, code: UNEXPECTED });
    stateLog.problem(what, `Batcher ${batcher} waits, since its ${activity} fails unexpectedly: ${reasonOf(error)}`);
    return error;
  }
}

/**
 * Notes for the next attempt that this one did nothing, which saves it a look-up. Without the note nothing is wrong.
 * A worker that drains says nothing of how full the others are: that is not counted.
 *
 * @returns how many attempts in a row were handed back by full workers. 0 if this worker drains
 */
async function noteHandedBack(attempt: Attempt, { drains }: CrowdedError): Promise<number> {
  const { handedBackInARow: before } = attempt.notes;
  const timesBefore = before?.until === attempt.number - 1 ? before.times : 0;
  const times = drains ? timesBefore : timesBefore + 1;
  const first = attempt.isRepeated ? {} : { handedBack: attempt.number };
  const handedBackInARow = { until: attempt.number, times };
  await attempt.note({ ...attempt.notes, ...first, handedBackInARow }).catch(() => undefined);
  return drains ? 0 : times;
}

/**
 * How soon a flush comes back that was handed back because there are too many of its pipeline: each time twice as late.
 * After a worker that drains it comes back soonest. If only many batchers flush at once, slots are free again within a second. If inserts hang, few attempts are made.
 */
function crowdedRetryMs(times: number): number {
  return aroundMs(Math.min(CROWDED_RETRY_MIN_MS * 2 ** Math.max(0, times - 1), CROWDED_RETRY_MAX_MS));
}

/**
 * A pause of up to a quarter more or less. Chance keeps attempts that failed together from coming back together: most
 * would find no room again, or that one of them is still trying whether a topic is back.
 */
function aroundMs(pauseMs: number): number {
  return pauseMs * (0.75 + Math.random() / 2);
}

/** The message of any error. A JSON parser's message is left out, because it may quote a record. */
function reasonOf(error: unknown): string {
  return error instanceof SyntaxError ? error.name : messageOf(error);
}
