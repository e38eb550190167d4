import { setTimeout as sleep } from 'node:timers/promises';
import type { Batch, ConsumerStartBatchProcessEvent, EachBatchPayload } from 'kafkajs';
import { markOf } from '../../codecs/chunkCodec.js';
import type { KafkaAdmin } from '../../kafka/admin.js';
import { toOffset } from '../../kafka/fromKafka.js';
import { failureOf, recordsOf, startOf } from '../../kafka/kafkajs/fetchedBatch.js';
import { findLogOffsets } from '../../kafka/offsets.js';
import type { RecordMark } from '../../protocol/chunk.js';
import type { KafkaRecord, TopicPartition } from '../../protocol/record.js';
import type { Logger } from '../../telemetry/logging.js';
import type { AssignedPartition } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import type { GroupCommits } from './groupCommits.js';
import { decideIntake, decideLook, nextAfterEmpty, type LogState } from './intake.js';
import type { LogVerdict } from './logComparison.js';
import type { MissingRecords } from './missingRecords.js';
import type { PartitionOpening } from './opening.js';
import type { PartitionStart } from './partitionStarts.js';
import type { ReadingPlans } from './readingPlans.js';
import type { Steering } from './steering.js';
import type { PartitionTracker } from './tracker.js';

const ASK_AGAIN_MS = 1_000;

export interface BatchIntakeOptions {
  readonly pipeline: string;
  readonly admin: Pick<KafkaAdmin, 'fetchLogs'>;
  readonly steering: Pick<Steering, 'seek' | 'pause' | 'resume'>;
  readonly opening: Pick<PartitionOpening, 'openAll' | 'reopen' | 'topicGone' | 'fetch'>;
  readonly missing: Pick<MissingRecords, 'mayPassGap' | 'mayPassBatch' | 'unreadable' | 'readsOn'>;
  readonly commits: Pick<GroupCommits, 'use' | 'commitEpochs'>;
  readonly plans: Pick<ReadingPlans, 'finish'>;
  /** Queues records in their lanes. */
  readonly handOver: (tracker: PartitionTracker, records: readonly KafkaRecord[]) => void;
  /** Records were handed over, or a plan has ended: there may be less room. */
  readonly advanced: (assignment: Assignment) => void;
  readonly logger: Pick<Logger, 'info'>;
}

/**
 * Takes in what kafkajs has fetched: hands over what is due, and does what {@link decideIntake} says with the rest. It waits for commits of
 * new epochs and for answers of Kafka, never for room. After each wait it looks whether the partition is still this member's, and is
 * still read by the same tracker: otherwise the batch is dropped, and fetched again.
 */
export class BatchIntake {
  readonly #options: BatchIntakeOptions;

  constructor(options: BatchIntakeOptions) {
    this.#options = options;
  }

  /** Rejects with the error of Kafka that a commit, or a question, ends in: kafkajs fetches again then. */
  async take(assignment: Assignment, payload: EachBatchPayload): Promise<void> {
    if (!assignment.goesOn()) return;
    const { commits, missing, handOver, advanced } = this.#options;
    const { batch } = payload;
    commits.use((offsets) => payload.commitOffsetsIfNecessary(offsets));
    const partition = assignment.get(batch);
    // Fetched before it was paused: where it goes on is yet to be found out, or a person has to decide.
    if (partition === undefined || partition.isUnknown || partition.heldFor !== null) return;
    const failure = failureOf(batch);
    if (partition.state.type !== 'leaving' && failure !== null && !failure.isAsWritten) {
      missing.unreadable(assignment, partition, failure.message);
      return;
    }
    this.#compare(assignment, partition, batch);
    await commits.commitEpochs(assignment);
    const tracker = await this.#alignedTracker(assignment, partition, startOf(batch));
    if (tracker === null || !assignment.goesOn()) return;
    // Opened while another partition's epoch was being committed: its own comes with the next batch.
    if (partition.committed === null) return;
    missing.readsOn(partition);
    const { end } = tracker.plan;
    const next = toOffset(batch.lastOffset()) + 1;
    if (failure !== null) {
      const lost = { from: startOf(batch), to: next - 1 };
      if (!missing.mayPassBatch(assignment, partition, lost, failure.message)) return;
    }
    const records = recordsOf(batch);
    handOver(tracker, end === null ? records : records.filter(({ offset }) => offset < end));
    tracker.advanceTo(Math.min(next, end ?? Infinity));
    if (!tracker.handedOver) payload.resolveOffset(batch.messages.at(-1)?.offset ?? batch.lastOffset());
    advanced(assignment);
  }

  /**
   * kafkajs passes over a batch of control records or aborted ones by itself; it is no gap. Only what joins counts: a
   * batch from elsewhere would move the position past records that were never handed over.
   */
  passOver(assignment: Assignment, payload: ConsumerStartBatchProcessEvent['payload']): void {
    const partition = assignment.get(payload);
    if (partition === undefined || partition.isUnknown || partition.heldFor !== null) return;
    // Null where all of the batch was compacted away, whatever kafkajs's types say.
    const begin = payload.firstOffset as string | null;
    const last = toOffset(payload.lastOffset);
    const first = begin === null ? last : toOffset(begin);
    const { state, tracker } = partition;
    if (state.type === 'comparing') {
      const { offset, isAtMark } = state.compared.comparison;
      // The first record of all may come later: it alone tells how old the log is.
      if (isAtMark && offset !== null && first <= offset && offset <= last) this.#look(assignment, partition, null);
      return;
    }
    const next = tracker === null ? null : nextAfterEmpty(tracker, tracker.plan.end, { first, last });
    if (tracker === null || next === null) return;
    tracker.advanceTo(next);
    this.#options.plans.finish(assignment);
  }

  /** The log does not have what was asked for: retention removed it, or the log has become shorter, or is another one. */
  outOfRange(assignment: Assignment, where: TopicPartition): void {
    const partition = assignment.get(where);
    if (partition === undefined) return;
    const { steering, opening } = this.#options;
    steering.pause([partition], 'start');
    const { state, tracker } = partition;
    if (partition.isUnknown) return;
    if (state.type === 'comparing') opening.reopen(assignment, partition);
    else if (tracker !== null) void this.#realign(assignment, partition, tracker);
    else if (state.type === 'leaving') void this.#fetchAnything(assignment, partition);
  }

  /** Whether a log is the one that batchers remember, its records tell. */
  #compare(assignment: Assignment, partition: AssignedPartition, batch: Batch): void {
    const { state } = partition;
    if (state.type !== 'comparing') return;
    const wanted = state.compared.comparison.offset ?? 0;
    // kafkajs may still hand out what it fetched before it was told to seek.
    if (decideLook(wanted, startOf(batch), state.mismatches) === 'seek') {
      state.mismatches++;
      this.#options.steering.seek(partition, wanted);
      return;
    }
    const [first] = recordsOf(batch);
    this.#look(assignment, partition, first === undefined ? null : markOf(first));
  }

  /** @param found the first record at or after the offset that is looked at; null where there is none at it */
  #look(assignment: Assignment, partition: AssignedPartition, found: RecordMark | null): void {
    const { state } = partition;
    if (state.type !== 'comparing') return;
    const { pipeline, logger, steering, opening } = this.#options;
    const { topic, partition: index } = partition;
    const { comparison, decide } = state.compared;
    const offset = comparison.offset ?? 0;
    const verdict = comparison.look(found);
    if (verdict === null) {
      state.mismatches = 0;
      steering.seek(partition, comparison.offset ?? 0);
      return;
    }
    const start: PartitionStart = { topic, partition: index, ...decide(verdict) };
    const fields = { pipeline, topic, partition: index, offset, verdict: verdict.type, start: start.type };
    logger.info(fields, COMPARED[verdict.type]);
    opening.openAll(assignment, [start]);
  }

  /** The tracker that a batch continues; null where the batch has to be left alone. */
  async #alignedTracker(
    assignment: Assignment,
    partition: AssignedPartition,
    fetched: number,
  ): Promise<PartitionTracker | null> {
    if (!assignment.has(partition) || partition.heldFor !== null) return null;
    const { state, tracker } = partition;
    const { steering } = this.#options;
    // A batch lets it commit that a hand-over has begun; nothing more is needed until it is open.
    if (state.type === 'leaving') steering.pause([partition], 'start');
    // Found out anew, perhaps by one more record: until then the tracker before, if there is one, says nothing of the log.
    if (state.type !== 'open' || tracker === null) return null;
    switch (await this.#decide(assignment, partition, tracker, fetched)) {
      case 'take':
        tracker.advanceTo(fetched);
        return tracker;
      case 'seek':
        tracker.jumped(fetched);
        steering.seek(partition, tracker.next);
        return null;
      default:
        return null;
    }
  }

  /**
   * What becomes of what was fetched. The log is asked if it takes that; what retention removed is passed over; a log that ends before what
   * is due, or is gone, is judged anew. Rejects if Kafka does not answer.
   *
   * @param fetched see {@link decideIntake}
   * @returns `drop`: nothing is due under this tracker any more
   */
  async #decide(
    assignment: Assignment,
    partition: AssignedPartition,
    tracker: PartitionTracker,
    fetched: number | null,
  ): Promise<'take' | 'seek' | 'wait' | 'drop'> {
    const { opening, missing, advanced } = this.#options;
    let log: LogState | null = null;
    for (;;) {
      const intake = decideIntake(tracker, fetched, log);
      switch (intake.type) {
        case 'take':
        case 'seek':
        case 'wait':
          return intake.type;
        case 'planEnds':
          advanced(assignment);
          return 'drop';
        case 'askLog':
          log = await this.#askLog(partition);
          if (!assignment.has(partition) || partition.tracker !== tracker) return 'drop';
          break;
        case 'topicGone':
          opening.topicGone(assignment, [partition]);
          return 'drop';
        case 'shortLog':
          opening.reopen(assignment, partition);
          return 'drop';
        case 'gap': {
          const { logStart, missed } = intake;
          const at = { epoch: tracker.epoch, offset: logStart };
          if (!missing.mayPassGap(assignment, partition, at, missed)) return 'drop';
          tracker.advanceTo(logStart);
        }
      }
    }
  }

  async #askLog({ topic, partition }: TopicPartition): Promise<LogState> {
    const { logs, unknown } = await findLogOffsets(this.#options.admin, [topic]);
    const log = logs.find((entry) => entry.partition === partition);
    if (log !== undefined) return { type: 'log', logStart: log.logStart, logEnd: log.logEnd };
    return { type: unknown.some(({ isMissing }) => isMissing === true) ? 'noTopic' : 'noAnswer' };
  }

  /** What a hand-over commits needs a batch, whichever. Never rejects: the next one out of range tries again. */
  async #fetchAnything(assignment: Assignment, partition: AssignedPartition): Promise<void> {
    const log = await this.#askLog(partition).catch(() => null);
    // Where it starts is asked anew if its topic is gone meanwhile: until then nothing of it is fetched.
    if (assignment.has(partition) && partition.state.type === 'leaving')
      this.#options.opening.fetch(partition, log?.type === 'log' ? log.logStart : 0);
  }

  /** Repeats until the log has answered or the tracker is no longer the one; never rejects. */
  async #realign(assignment: Assignment, partition: AssignedPartition, tracker: PartitionTracker): Promise<void> {
    const { steering } = this.#options;
    while (assignment.goesOn() && assignment.has(partition) && partition.tracker === tracker) {
      const intake = await this.#decide(assignment, partition, tracker, null).catch(() => 'wait' as const);
      if (!assignment.has(partition) || partition.isUnknown) return;
      if (intake !== 'wait') {
        if (intake === 'seek') steering.seek(partition, tracker.next);
        steering.resume([partition], 'start');
        return;
      }
      await sleep(ASK_AGAIN_MS);
    }
  }
}

const COMPARED: Readonly<Record<LogVerdict['type'], string>> = {
  same: 'A log was compared with the records that batchers remember: it is the one that was read before',
  other: 'A log was compared with the records that batchers remember: it is not the one that was read before',
  unproven: 'A log was compared with the records that batchers remember: none of them tells whether it is the same',
};
