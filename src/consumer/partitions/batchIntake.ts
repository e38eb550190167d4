import { setTimeout as sleep } from 'node:timers/promises';
import type { Batch, EachBatchPayload } from 'kafkajs';
import type { PointedValue } from '../../codecs/laneIndex.js';
import { markOf } from '../../codecs/chunkCodec.js';
import type { KafkaAdmin } from '../../kafka/admin.js';
import { toOffset } from '../../kafka/fromKafka.js';
import { askTopicOf, failureOf, leaderEpochsOf, recordsOf, startOf } from '../../kafka/kafkajs/fetchedBatch.js';
import { findLogOffsets } from '../../kafka/offsets.js';
import { within } from '../../lib/within.js';
import type { RecordMark } from '../../protocol/chunk.js';
import type { KafkaRecord, TopicPartition } from '../../protocol/record.js';
import type { Logger } from '../../telemetry/logging.js';
import type { AssignedPartition, Question } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import type { GroupCommits } from './groupCommits.js';
import { decideIntake, decideComparison, type LogState } from './intake.js';
import type { LogVerdict } from './logComparison.js';
import type { MissingRecords } from './missingRecords.js';
import type { PartitionOpening } from './opening.js';
import type { PartitionStart } from './partitionStarts.js';
import { cutOf, isOfOtherLog, mayBeCut, type ReadEpochs } from './readEpochs.js';
import { pauseForMs, type Fetching } from './fetching.js';
import type { PointedRecords } from './pointedRecords.js';
import { hasReadThisTopic } from './epoch.js';
import { acceptedUnder } from './startPosition.js';
import type { PartitionTracker } from './tracker.js';

const ASK_AGAIN_MS = 1_000;
/**
 * A leader that hangs takes the 30 s of the client's time-out, and batchers without a worker 10 s. While a batch is handled, its
 * member may send no heartbeat, and the other partitions of the fetch wait.
 */
const ANSWER_WITHIN_MS = 3_000;

export interface BatchIntakeOptions {
  readonly pipeline: string;
  readonly admin: Pick<KafkaAdmin, 'fetchLogs' | 'fetchEpochEnd'>;
  readonly fetching: Pick<Fetching, 'seek' | 'pause' | 'resume'>;
  readonly opening: Pick<PartitionOpening, 'readFrom' | 'findStartAgain' | 'topicGone' | 'fetch' | 'accepted'>;
  readonly missing: Pick<MissingRecords, 'mayPassGap' | 'mayPassBatch' | 'unreadable' | 'readsOn'>;
  readonly commits: Pick<GroupCommits, 'use' | 'commitEpochs'>;
  readonly readEpochs: Pick<ReadEpochs, 'of' | 'note' | 'accepted'>;
  /** Queues records in their lanes. `pointed`: by index, what the layout's pointer leads to; there may be more than records. */
  readonly handOver: (
    tracker: PartitionTracker,
    records: readonly KafkaRecord[],
    pointed?: readonly PointedValue[],
  ) => void;
  /** Finds what chooses the batchers of records whose values or keys have to be decoded. */
  readonly pointed: Pick<PointedRecords, 'areNeededFor' | 'of'>;
  /** Called when records were handed over or a plan has ended. There may be less room. */
  readonly moved: (assignment: Assignment) => void;
  readonly logger: Pick<Logger, 'info'>;
}

/**
 * Takes in the batches that kafkajs has fetched: hands over what is due, and does what {@link decideIntake} says with
 * the rest. It waits for commits of new epochs and for answers of Kafka, never for room in the lanes. After each wait
 * it checks that the partition is still this member's, with the same tracker. Otherwise the batch is dropped and
 * fetched again.
 */
export class BatchIntake {
  readonly #options: BatchIntakeOptions;
  readonly #answerWithinMs: number;

  constructor(options: BatchIntakeOptions, answerWithinMs = ANSWER_WITHIN_MS) {
    this.#options = options;
    this.#answerWithinMs = answerWithinMs;
  }

  /** Rejects with the error of a commit, or of a question about the log's offsets. Then kafkajs fetches again. */
  async take(assignment: Assignment, payload: EachBatchPayload): Promise<void> {
    if (!assignment.goesOn()) return;
    const { commits, missing, handOver, moved } = this.#options;
    const { batch } = payload;
    const partition = assignment.get(batch);
    const failure = failureOf(batch);
    const isEmpty = failure === null && recordsOf(batch).length === 0;
    if (!isEmpty) commits.use((offsets) => payload.commitOffsetsIfNecessary(offsets));
    // It was fetched before the partition was paused: its position is not known, or a person has to decide.
    if (partition === undefined || partition.isUnknown || partition.heldFor !== null) return;
    if (isEmpty) {
      await this.#passOver(assignment, partition, payload);
      return;
    }
    if (partition.state.type !== 'leaving' && failure !== null && !failure.isAsWritten) {
      missing.unreadable(assignment, partition, failure.message);
      return;
    }
    // This may open the partition. Then this batch may be the one that is due.
    this.#compareBatch(assignment, partition, batch);
    if (partition.state.type === 'open' && !(await this.#isSameTopic(assignment, partition, batch))) return;
    await commits.commitEpochs(assignment);
    const tracker = await this.#alignedTracker(assignment, partition, startOf(batch));
    if (tracker === null || !assignment.goesOn()) return;
    // It was opened while another partition's epoch was being committed. Its own epoch is committed with the next
    // batch.
    if (partition.committed === null) return;
    const records = recordsOf(batch);
    let pointed: readonly PointedValue[] | undefined;
    if (this.#options.pointed.areNeededFor(tracker.plan.layout)) {
      const found = await this.#options.pointed.of(assignment, partition, tracker, records);
      // Meanwhile the partition may have been lost, or opened anew, or its log may have changed.
      if (found === null || (await this.#alignedTracker(assignment, partition, startOf(batch))) !== tracker) return;
      if (!assignment.goesOn()) return;
      pointed = found;
    }
    const end = await this.#endFor(assignment, partition, tracker, batch);
    if (end === null || !assignment.goesOn()) return;
    const rest = pointed === undefined ? undefined : records[pointed.length];
    if (rest !== undefined) {
      this.#takeFirst(assignment, tracker, batch, { pointed: pointed ?? [], end: Math.min(rest.offset, end) });
      return;
    }
    missing.readsOn(partition);
    const next = toOffset(batch.lastOffset()) + 1;
    if (failure !== null) {
      // It was fetched while the partition was leaving its layout, and was opened since.
      if (!failure.isAsWritten) {
        missing.unreadable(assignment, partition, failure.message);
        return;
      }
      const lost = { from: startOf(batch), to: next - 1 };
      if (!missing.mayPassBatch(assignment, partition, lost, failure.message)) return;
    }
    handOver(tracker, end === Infinity ? records : records.filter(({ offset }) => offset < end), pointed);
    this.#advance(tracker, batch, Math.min(next, end));
    // What comes after the end is not resolved, so it is fetched again.
    if (!tracker.handedOver && next <= end) payload.resolveOffset(batch.messages.at(-1)?.offset ?? batch.lastOffset());
    moved(assignment);
  }

  /** Takes the first records of a batch, whose others have to be fetched again. */
  #takeFirst(
    assignment: Assignment,
    tracker: PartitionTracker,
    batch: Batch,
    { pointed, end }: { readonly pointed: readonly PointedValue[]; readonly end: number },
  ): void {
    const { handOver, moved, fetching } = this.#options;
    const taken = recordsOf(batch).filter(({ offset }) => offset < end);
    handOver(tracker, taken, pointed);
    this.#advance(tracker, batch, end);
    fetching.seek(tracker, tracker.next);
    moved(assignment);
  }

  /** Everything in a batch before this offset is handed over, or passed over. */
  #advance(tracker: PartitionTracker, batch: Batch, to: number): void {
    tracker.advanceTo(to);
    const epochs = leaderEpochsOf(batch);
    if (epochs !== undefined) this.#options.readEpochs.note(tracker, epochs, to);
  }

  /**
   * A batch of control or aborted records, or one that compaction has emptied. That is no gap. The position moves on only
   * if the batch begins at it. A batch from another offset would move it past records that were never handed over.
   */
  async #passOver(assignment: Assignment, partition: AssignedPartition, payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const [first, last] = [startOf(batch), toOffset(batch.lastOffset())];
    const { state, tracker } = partition;
    if (state.type === 'comparing') {
      const { offset, isAtMark } = state.compared.comparison;
      // The log's first record may come later, and only that one tells how old the log is.
      if (isAtMark && offset !== null && first <= offset && offset <= last) {
        this.#compareRecord(assignment, partition, null);
        return;
      }
    } else if (tracker?.next === first) {
      const end = await this.#endFor(assignment, partition, tracker, batch);
      if (end === null || !assignment.goesOn()) return;
      this.#advance(tracker, batch, Math.min(last + 1, end));
      // What comes after the end is not resolved, so it is fetched again.
      if (last < end) payload.resolveOffset(batch.lastOffset());
      this.#options.moved(assignment);
      return;
    }
    payload.resolveOffset(batch.lastOffset());
  }

  /**
   * The log does not have the requested offset: retention removed it, or the log has become shorter, or it is another
   * log.
   */
  outOfRange(assignment: Assignment, where: TopicPartition): void {
    const partition = assignment.get(where);
    if (partition === undefined) return;
    const { fetching, opening } = this.#options;
    fetching.pause([partition], 'start');
    const { state, tracker } = partition;
    if (partition.isUnknown) return;
    if (state.type === 'comparing') opening.findStartAgain(assignment, partition);
    else if (tracker !== null) void this.#realign(assignment, partition, tracker);
    else if (state.type === 'leaving') void this.#fetchAnything(assignment, partition);
  }

  /** Compares a batch with the records that batchers remember, to find out whether it is the same log. */
  #compareBatch(assignment: Assignment, partition: AssignedPartition, batch: Batch): void {
    const { state } = partition;
    if (state.type !== 'comparing') return;
    const wanted = state.compared.comparison.offset ?? 0;
    // kafkajs may still hand out what it fetched before the seek.
    if (decideComparison(wanted, startOf(batch), state.mismatches) === 'seek') {
      state.mismatches++;
      this.#options.fetching.seek(partition, wanted);
      return;
    }
    const [first] = recordsOf(batch);
    this.#compareRecord(assignment, partition, first === undefined ? null : markOf(first));
  }

  /** @param found the first record at or after the wanted offset. Null if there is none at it */
  #compareRecord(assignment: Assignment, partition: AssignedPartition, found: RecordMark | null): void {
    const { state } = partition;
    if (state.type !== 'comparing') return;
    const { pipeline, logger, fetching, opening } = this.#options;
    const { topic, partition: index } = partition;
    const { comparison, decide } = state.compared;
    const offset = comparison.offset ?? 0;
    const verdict = comparison.compare(found);
    if (verdict === null) {
      state.mismatches = 0;
      fetching.seek(partition, comparison.offset ?? 0);
      return;
    }
    const start: PartitionStart = { topic, partition: index, ...decide(verdict) };
    const fields = { pipeline, topic, partition: index, offset, verdict: verdict.type, start: start.type };
    logger.info(fields, COMPARED[verdict.type]);
    opening.readFrom(assignment, [start]);
  }

  /**
   * Whether a partition that was not fetched for a while still has the topic that was read. The broker that gave the
   * batch is asked after that: then the batch is of that topic, too. Without an answer in time the batch is dropped, and
   * fetched again. The next answer is waited for longer, see `topicAnswers.ts`.
   */
  async #isSameTopic(assignment: Assignment, partition: AssignedPartition, batch: Batch): Promise<boolean> {
    if (!partition.mayBeOtherLog) return true;
    const { askedAtMs, answer } = askTopicOf(batch);
    const found = await answer;
    if (!assignment.has(partition)) return false;
    if (found.type === 'noAnswer') {
      partition.unanswered('topic', askedAtMs);
      return false;
    }
    const topicId = found.type === 'topic' ? found.topicId : undefined;
    if (found.type === 'noTopic' || partition.isTopicRecreated(topicId)) {
      this.#topicGone(assignment, partition, topicId);
      return false;
    }
    partition.topicSeen(askedAtMs);
    return true;
  }

  /**
   * The topic of a partition is gone. If there is another one of its name, the other partitions of the old topic are told
   * as well: without a pause they would be read on, and the records of the new log be sent under the old epoch.
   *
   * @param topicId the id of the topic that has its name now. Absent if it is not known
   */
  #topicGone(assignment: Assignment, gone: AssignedPartition, topicId: string | undefined): void {
    const isGone = (other: AssignedPartition): boolean =>
      other === gone || (other.topic === gone.topic && other.isTopicRecreated(topicId));
    this.#options.opening.topicGone(assignment, assignment.partitions.filter(isGone));
  }

  /**
   * Up to where a batch may be taken: usually to the end of the plan, or `Infinity`. If another leader has written some of it
   * than what was read last, the log may have lost some of that in an unclean election, and has other records there. What
   * batchers have accepted counts as read, even if the group has not committed it. So the batchers are asked once, and the leader
   * where the log parts from what was read. If they do not answer in time, or it is no leader any more, the partition is paused
   * for a while, and the batch fetched again.
   *
   * @returns null if nothing is due under this tracker any more: reading goes on where the log was cut, under a new epoch
   */
  async #endFor(
    assignment: Assignment,
    partition: AssignedPartition,
    tracker: PartitionTracker,
    batch: Batch,
  ): Promise<number | null> {
    const end = tracker.plan.end ?? Infinity;
    const { admin, opening, readEpochs } = this.#options;
    const epochs = leaderEpochsOf(batch);
    const { next } = tracker;
    const isDue = (): boolean => assignment.has(partition) && partition.tracker === tracker && tracker.next === next;
    const leader = readEpochs.of(tracker)?.leaderEpoch;
    if (epochs?.some(({ leaderEpoch }) => leaderEpoch !== leader) === true) {
      if (!(await this.#learnAccepted(assignment, partition, tracker)) || !isDue()) return null;
    }
    const read = readEpochs.of(tracker);
    if (
      read === null ||
      epochs === undefined ||
      !mayBeCut(read, epochs, { from: next, next: toOffset(batch.lastOffset()) + 1 })
    ) {
      partition.answered('cut');
      return end;
    }
    const askedAtMs = performance.now();
    const cut = await within(cutOf(admin, partition, read), this.#answerWithinMs).catch(() => 'noAnswer' as const);
    if (cut === 'noAnswer' || cut === 'unknown' || (cut === 'whole' && isOfOtherLog(read, epochs, next))) {
      this.#askLater(assignment, partition, 'cut', askedAtMs);
      return null;
    }
    partition.answered('cut');
    if (!isDue()) return null;
    if (typeof cut === 'string') return end;
    // What comes before it is still due under the old epoch.
    if (next < cut.at) return Math.min(end, cut.at);
    partition.cut = cut;
    opening.findStartAgain(assignment, partition);
    return null;
  }

  /** @returns false if the batchers have not answered in time. Then the batch is fetched again */
  async #learnAccepted(
    assignment: Assignment,
    partition: AssignedPartition,
    tracker: PartitionTracker,
  ): Promise<boolean> {
    const { opening, readEpochs } = this.#options;
    // It may be the log of another topic. Then no leader is asked either.
    if (partition.isAcceptedKnown || !hasReadThisTopic(tracker.epoch, partition.topicId ?? undefined)) return true;
    // All wait for one answer. If it does not come, not every partition may keep the others from being fetched.
    const { answer, askedAtMs } = opening.accepted(assignment);
    const withinMs = Math.max(0, askedAtMs + this.#answerWithinMs - performance.now());
    const remembered = await within(answer, withinMs).catch(() => null);
    if (remembered === null) {
      this.#askLater(assignment, partition, 'accepted', askedAtMs);
      return false;
    }
    partition.answered('accepted');
    partition.isAcceptedKnown = true;
    const coverages = (remembered.get(partition.name) ?? []).map(({ coverage }) => coverage);
    readEpochs.accepted(tracker, acceptedUnder(tracker.epoch, coverages).records);
    return true;
  }

  #askLater(assignment: Assignment, partition: AssignedPartition, question: Question, askedAtMs: number): void {
    if (!assignment.has(partition)) return;
    partition.unanswered(question, askedAtMs);
    pauseForMs(this.#options.fetching, assignment, partition, 'leader', ASK_AGAIN_MS);
  }

  /** The tracker that a batch continues. Null if the batch is dropped. */
  async #alignedTracker(
    assignment: Assignment,
    partition: AssignedPartition,
    fetched: number,
  ): Promise<PartitionTracker | null> {
    if (!assignment.has(partition) || partition.heldFor !== null) return null;
    const { state, tracker } = partition;
    const { fetching } = this.#options;
    // The batch lets the layout change commit that it has begun. No more batches are needed until it is open.
    if (state.type === 'leaving') fetching.pause([partition], 'start');
    // Its position is being found out again, perhaps from one more record. Until then an earlier tracker says nothing
    // about the log.
    if (state.type !== 'open' || tracker === null) return null;
    switch (await this.#decide(assignment, partition, tracker, fetched)) {
      case 'take':
        tracker.advanceTo(fetched);
        return tracker;
      case 'seek':
        tracker.jumped(fetched);
        fetching.seek(partition, tracker.next);
        return null;
      default:
        return null;
    }
  }

  /**
   * Decides what to do with a fetched batch. The log is asked if that is needed. What retention removed is skipped. If
   * the log ends before what is due, or is gone, the position is found out again. Rejects if Kafka does not answer.
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
    const { opening, missing, moved } = this.#options;
    let log: LogState | null = null;
    for (;;) {
      const intake = decideIntake(tracker, fetched, log);
      switch (intake.type) {
        case 'take':
        case 'seek':
        case 'wait':
          return intake.type;
        case 'planEnds':
          moved(assignment);
          return 'drop';
        case 'askLog':
          log = await this.#askLog(partition);
          if (!assignment.has(partition) || partition.tracker !== tracker) return 'drop';
          break;
        case 'topicGone':
          this.#topicGone(assignment, partition, log?.type === 'noTopic' ? log.topicId : undefined);
          return 'drop';
        case 'shortLog':
          opening.findStartAgain(assignment, partition);
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

  async #askLog(assigned: AssignedPartition): Promise<LogState> {
    const { topic, partition } = assigned;
    const { logs, unknown } = await findLogOffsets(this.#options.admin, [topic]);
    const log = logs.find((entry) => entry.partition === partition);
    if (assigned.isTopicRecreated(log?.topicId)) return { type: 'noTopic', topicId: log?.topicId };
    if (log !== undefined) return { type: 'log', logStart: log.logStart, logEnd: log.logEnd };
    return { type: unknown.some(({ isMissing }) => isMissing === true) ? 'noTopic' : 'noAnswer' };
  }

  /**
   * Fetches any batch of a partition, because a layout change can commit only together with a batch. Never rejects. The
   * next "out of range" tries again.
   */
  async #fetchAnything(assignment: Assignment, partition: AssignedPartition): Promise<void> {
    const log = await this.#askLog(partition).catch(() => null);
    // If its topic is gone meanwhile, its start is asked for again. Nothing of it is fetched until then.
    if (assignment.has(partition) && partition.state.type === 'leaving')
      this.#options.opening.fetch(partition, log?.type === 'log' ? log.logStart : 0);
  }

  /** Repeats until the log has answered or the tracker has been replaced. Never rejects. */
  async #realign(assignment: Assignment, partition: AssignedPartition, tracker: PartitionTracker): Promise<void> {
    const { fetching } = this.#options;
    while (assignment.goesOn() && assignment.has(partition) && partition.tracker === tracker) {
      const intake = await this.#decide(assignment, partition, tracker, null).catch(() => 'wait' as const);
      if (!assignment.has(partition) || partition.isUnknown) return;
      if (intake !== 'wait') {
        if (intake === 'seek') fetching.seek(partition, tracker.next);
        fetching.resume([partition], 'start');
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
