import { setTimeout as sleep } from 'node:timers/promises';
import type { NoAnswer } from '../../kafka/admin.js';
import { listed } from '../../lib/listed.js';
import { messageOf } from '../../lib/messageOf.js';
import type { Layout } from '../../protocol/layout.js';
import { partitionName, type RecordSource, type TopicPartition } from '../../protocol/record.js';
import type { Logger, StateLog } from '../../telemetry/logging.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { AssignedPartition } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import type { GroupCommits } from './groupCommits.js';
import type { HeldPartitions } from './heldPartitions.js';
import type { MissingRecords } from './missingRecords.js';
import {
  askBatchers,
  findPartitionStarts,
  settleDoubts,
  type Doubt,
  type Memory,
  type PartitionStart,
  type PartitionStartsOptions,
  type Remembered,
} from './partitionStarts.js';
import { newEpoch } from './epoch.js';
import type { ReadEpochs } from './readEpochs.js';
import type { ReadingPlans } from './readingPlans.js';
import type { NewEpochReason, SameEpoch, ShortLog } from './startPosition.js';
import type { Fetching } from './fetching.js';
import { PartitionTracker, type ReadingPlan } from './tracker.js';

const ASK_RETRY_MS = 1_000;
/** How long a log may end before the position in it. A new leader may not know the log's end yet. */
const SHORT_LOG_WAIT_MS = 10_000;
/** How long a topic must have another id. A broker may not know yet that it was created again. */
const OTHER_TOPIC_WAIT_MS = 3_000;
const ACCEPTED_MAX_AGE_MS = 60_000;

/** What batchers have accepted, and when they were asked for it, by `performance.now()`. */
interface Accepted {
  /** Rejects if they do not answer. */
  readonly answer: Promise<Remembered>;
  readonly askedAtMs: number;
}

export interface OpeningOptions {
  readonly starts: PartitionStartsOptions;
  readonly plans: Pick<ReadingPlans, 'open' | 'begin' | 'leaveLayout' | 'reading'>;
  readonly fetching: Pick<Fetching, 'seek' | 'pause' | 'resume'>;
  readonly missing: Pick<MissingRecords, 'mayPassGap' | 'mayPassLoss'>;
  readonly held: Pick<HeldPartitions, 'hold' | 'count'>;
  readonly commits: Pick<GroupCommits, 'clusterId'>;
  readonly readEpochs: Pick<ReadEpochs, 'of' | 'startsAt' | 'continueAt' | 'accepted'>;
  /** Called with the number of members of the group after each rebalance, and when it has changed. Each may send to every batcher. */
  readonly setMembers: (members: number) => void;
  /** Called when partitions are open. Their plans may be finished already, and there may be less room. */
  readonly moved: (assignment: Assignment) => void;
  readonly metrics: Pick<Metrics, 'errors'>;
  readonly logger: Pick<Logger, 'info'>;
  readonly stateLog: StateLog;
}

/**
 * Opens partitions: finds out where each of them starts, and begins to read it there. What is not known is asked for
 * again every second. If the log ends before the position in it, or its topic is gone, its start is asked for again.
 *
 *     assigned, log too short, topic gone ──► asked ──► open, comparing, leaving, or held: see {@link AssignedPartition}
 *                                             ▲ │
 *                                             └─┘ not known yet, the log is too short, or the topic was gone meanwhile
 *
 * Kafka is asked first. A start that Kafka settles does not wait for batchers, which need a worker.
 */
export class PartitionOpening {
  readonly #options: OpeningOptions;
  readonly #pipeline: string;
  /**
   * By partition name, the topic that was read and is gone, and the epoch of that. A commit under that epoch means
   * nothing in the log of another topic.
   */
  readonly #former = new Map<string, { readonly topicId: string; readonly epoch: string }>();
  /** The assignment whose starts are asked for. */
  #asking: Assignment | null = null;
  /** What batchers had accepted, asked for once under an assignment. */
  readonly #accepted = new WeakMap<Assignment, Accepted>();
  /** The last number of members that was told, and under which assignment. */
  #told: { readonly assignment: Assignment; readonly members: number } | null = null;

  constructor(options: OpeningOptions) {
    this.#options = options;
    this.#pipeline = options.starts.pipeline.name;
  }

  /**
   * Finds out where partitions start, each independently. Known ones are read, the others are reported and tried again.
   * Ends when all are known or the assignment has ended. Never rejects.
   */
  async findStarts(assignment: Assignment): Promise<void> {
    if (this.#asking === assignment) return;
    this.#asking = assignment;
    const { metrics, stateLog } = this.#options;
    const what = `offsets of ${this.#pipeline}`;
    while (assignment.goesOn() && !assignment.isAllKnown()) {
      let failure: string | null = null;
      try {
        await this.#askOnce(assignment);
      } catch (error) {
        failure = messageOf(error);
      }
      if (assignment.isOver()) break;
      if (assignment.isAllKnown()) {
        stateLog.well(what, `Where pipeline ${this.#pipeline} starts is known`);
        break;
      }
      if (failure !== null || assignment.problems.length > 0) {
        metrics.errors.inc({ pipeline: this.#pipeline, stage: 'start' });
        const problem = failure ?? listed(assignment.problems);
        stateLog.problem(what, `Pipeline ${this.#pipeline} cannot find out where to start: ${problem}`);
      }
      await sleep(ASK_RETRY_MS);
    }
    if (this.#asking === assignment) this.#asking = null;
  }

  /**
   * Finds out a partition's position again. Its tracker is kept meanwhile, because what it has handed over is still
   * committed.
   */
  findStartAgain(assignment: Assignment, partition: AssignedPartition): void {
    this.#options.fetching.pause([partition], 'start');
    partition.waits('');
    void this.findStarts(assignment);
  }

  /**
   * A topic is gone. If a topic of that name appears again, it has another log, which may be longer by then. So reading
   * must not continue at the old position, and that position must not be committed. When the topic exists again, Kafka
   * and the batchers are asked where to read it.
   */
  topicGone(assignment: Assignment, gone: readonly AssignedPartition[]): void {
    if (gone.length === 0) return;
    const { fetching, held } = this.#options;
    fetching.pause(gone, 'start');
    // Both reasons were about the log that is gone.
    fetching.resume(gone, 'held', 'buffer');
    for (const partition of gone) {
      const { name, topicId, epoch } = partition;
      if (topicId !== null && epoch !== null) this.#former.set(name, { topicId, epoch });
      assignment.topicGone(partition);
    }
    held.count(assignment);
    void this.findStarts(assignment);
  }

  /** Begins to read partitions where it is known now. */
  readFrom(assignment: Assignment, starts: readonly PartitionStart[]): void {
    for (const start of starts) {
      const partition = assignment.get(start);
      if (partition === undefined) continue;
      partition.shortSinceMs = null;
      partition.otherSinceMs = null;
      partition.cut = null;
      this.#readFrom(assignment, partition, start);
    }
    this.#options.moved(assignment);
    this.#reportNewEpochs(starts);
  }

  /** Lets a partition be fetched from an offset on. */
  fetch(partition: AssignedPartition, offset: number): void {
    const { fetching } = this.#options;
    fetching.seek(partition, offset);
    fetching.resume([partition], 'start');
  }

  /**
   * What batchers have accepted of the assigned partitions. They are asked for all at once: what this member sends, it knows. If they
   * do not answer, the next call asks again, and also a minute later: a member that was cut off may have sent something since.
   */
  accepted(assignment: Assignment): Accepted {
    const nowMs = performance.now();
    const known = this.#accepted.get(assignment);
    if (known !== undefined && nowMs - known.askedAtMs < ACCEPTED_MAX_AGE_MS) return known;
    const answer = askBatchers(this.#options.starts).then((all) => shortened(all, assignment));
    const accepted = { answer, askedAtMs: nowMs };
    this.#accepted.set(assignment, accepted);
    answer.catch(() => {
      if (this.#accepted.get(assignment) === accepted) this.#accepted.delete(assignment);
    });
    return accepted;
  }

  /** One round of {@link findStarts}. */
  async #askOnce(assignment: Assignment): Promise<void> {
    const { starts: options, commits } = this.#options;
    // If a log has become shorter, what was handed over has to be accepted first. It may never be read again.
    const asked = new Set(assignment.unknown.filter(({ tracker }) => !isPending(tracker)));
    // Not if its topic is gone meanwhile: it may be another one when it is there again, and is asked for once more.
    const stillAsked: StillAsked = (where) => {
      const partition = assignment.get(where);
      return partition !== undefined && asked.has(partition) ? partition : null;
    };
    const memoryOf = (where: TopicPartition): Memory => this.#memoryOf(assignment, where);
    const { clusterId, starts, doubts, unknown, topicIds } = await findPartitionStarts([...asked], options, memoryOf);
    const members = await this.#countMembers();
    if (assignment.isOver()) return;
    if (clusterId !== null) commits.clusterId = clusterId;
    this.#tellMembers(assignment, members);
    const known = [...asked].filter((partition) => stillAsked(partition) === partition);
    // What a tracker has of the topic before must not be committed any more.
    this.topicGone(assignment, noteTopicIds(known, topicIds));
    this.readFrom(assignment, noteStarts(starts, stillAsked));
    noteUnknown(unknown, stillAsked);
    const due = noteDoubts(doubts, stillAsked);
    if (due.length > 0) await this.#settleDoubts(assignment, due, stillAsked);
  }

  #memoryOf(assignment: Assignment, where: TopicPartition): Memory {
    const partition = assignment.get(where);
    return {
      position: partition?.tracker?.next ?? 0,
      cut: partition?.cut ?? null,
      readOf: (epoch) => this.#options.readEpochs.of({ ...where, epoch }),
      formerEpochOf: (topicId) => {
        const former = this.#former.get(partitionName(where));
        return former === undefined || topicId === undefined || former.topicId === topicId ? null : former.epoch;
      },
    };
  }

  /** Asks the batchers about what Kafka alone does not settle. */
  async #settleDoubts(assignment: Assignment, doubts: readonly Doubt[], stillAsked: StillAsked): Promise<void> {
    const { starts: options } = this.#options;
    try {
      const { starts, unknown } = await settleDoubts(doubts, await askBatchers(options), options);
      if (assignment.isOver()) return;
      this.readFrom(assignment, noteStarts(starts, stillAsked));
      noteUnknown(unknown, stillAsked);
    } catch (error) {
      const problem = `the batchers do not say what they have of it (${messageOf(error)}): is a worker running?`;
      for (const { facts } of doubts) stillAsked(facts)?.waits(problem);
    }
  }

  /** Lanes send smaller signals after each call, so not in each round while a start is not known. */
  #tellMembers(assignment: Assignment, members: number): void {
    if (this.#told?.assignment === assignment && this.#told.members === members) return;
    this.#told = { assignment, members };
    this.#options.setMembers(members);
  }

  async #countMembers(): Promise<number> {
    const { admin, pipeline } = this.#options.starts;
    const { groups } = await admin.describeGroups([pipeline.groupId]);
    return Math.max(1, groups[0]?.members.length ?? 1);
  }

  #readFrom(assignment: Assignment, partition: AssignedPartition, start: PartitionStart): void {
    const { missing, plans, held, readEpochs } = this.#options;
    if ('epoch' in start) {
      readEpochs.startsAt(start, start.offset, 'committed' in start ? start.committed : null);
      partition.isAcceptedKnown = false;
    }
    if ('missed' in start && !missing.mayPassGap(assignment, partition, start, start.missed)) return;
    if ('lost' in start && start.lost && !missing.mayPassLoss(assignment, partition, start.offset, start.lost)) return;
    switch (start.type) {
      case 'continue': {
        const tracker = new PartitionTracker(start, start.offset, plans.reading);
        // The group has committed under this epoch already. Only a gap moves the start on from there.
        plans.open(partition, tracker, start.offset - start.missed);
        break;
      }
      case 'fill': {
        const plan: ReadingPlan = { layout: start.layout, state: { type: 'filling', end: start.end }, end: start.end };
        plans.open(partition, new PartitionTracker(start, start.offset, plan), start.offset - start.missed);
        break;
      }
      case 'newEpoch': {
        const { topic, partition: index } = start;
        const source = { topic, partition: index, epoch: newEpoch(partition.topicId) };
        // Nobody has sent anything under it.
        partition.isAcceptedKnown = true;
        if ('before' in start) readEpochs.continueAt(start.offset, { before: start.before, source });
        const tracker = new PartitionTracker(source, start.offset, plans.reading);
        if (isOfSameLog(start.reason)) void plans.begin(assignment, partition, tracker);
        else plans.open(partition, tracker);
        break;
      }
      case 'sameEpoch':
        readEpochs.accepted(start, start.accepted);
        this.#continueEpoch(assignment, partition, start);
        break;
      case 'compare':
        partition.compare(start);
        this.fetch(partition, start.comparison.offset ?? 0);
        break;
      case 'leaveLayout':
        this.#leaveLayout(assignment, partition, start, start.offset, start.layout);
        break;
      case 'newer': {
        const problem =
          'its offset was committed by a later version of ktb. Run that version, or reset the offset to ingest again from there';
        held.hold(assignment, partition, 'newer', problem);
      }
    }
  }

  #continueEpoch(assignment: Assignment, partition: AssignedPartition, { epoch, offset, from }: SameEpoch): void {
    const { plans } = this.#options;
    const source = { topic: partition.topic, partition: partition.partition, epoch };
    if (from === null) plans.open(partition, new PartitionTracker(source, offset, plans.reading));
    else this.#leaveLayout(assignment, partition, source, offset, from);
  }

  #leaveLayout(
    assignment: Assignment,
    partition: AssignedPartition,
    source: RecordSource,
    from: number,
    layout: Layout,
  ): void {
    void this.#options.plans.leaveLayout(assignment, partition, source, from, layout);
    // The beginning has to be committed, and kafkajs can commit only together with a batch.
    this.fetch(partition, from);
  }

  #reportNewEpochs(starts: readonly PartitionStart[]): void {
    const partitions: Record<string, number> = {};
    for (const start of starts) {
      if (start.type === 'newEpoch') partitions[start.reason] = (partitions[start.reason] ?? 0) + 1;
    }
    if (Object.keys(partitions).length === 0) return;
    this.#options.logger.info({ pipeline: this.#pipeline, partitions }, 'New epochs begin');
  }
}

/** Without what is not asked for: all of it is kept for a while. */
function shortened(remembered: Remembered, assignment: Assignment): Remembered {
  return new Map(
    assignment.partitions.map(({ name }) => [
      name,
      (remembered.get(name) ?? []).map((of) => ({
        ...of,
        coverage: {
          ...of.coverage,
          epochs: of.coverage.epochs.map((each) => ({ ...each, ranges: each.ranges.slice(-1) })),
        },
      })),
    ]),
  );
}

/** Whether batchers may have records of the same log, read under an earlier epoch. */
function isOfSameLog(reason: NewEpochReason): boolean {
  return reason === 'the log was truncated' || reason === 'committed by someone else';
}

/** True while something that was handed over is not accepted yet. */
function isPending(tracker: PartitionTracker | null): boolean {
  return tracker !== null && tracker.committable() < tracker.next;
}

/** The partition, if it is still asked for. Otherwise null. */
type StillAsked = (where: TopicPartition) => AssignedPartition | null;

/** Notes the ids of topics. Returns the partitions whose topic is another one than before. */
function noteTopicIds(
  partitions: readonly AssignedPartition[],
  topicIds: ReadonlyMap<string, string>,
): AssignedPartition[] {
  const other: AssignedPartition[] = [];
  for (const partition of partitions) {
    const topicId = topicIds.get(partition.name);
    if (topicId === undefined) continue;
    if (partition.isTopicRecreated(topicId)) other.push(partition);
    else partition.topicId = topicId;
  }
  return other;
}

/** Notes what is found out of starts. Returns those from which may be read now. */
function noteStarts(starts: readonly PartitionStart[], stillAsked: StillAsked): PartitionStart[] {
  const due: PartitionStart[] = [];
  for (const start of starts) {
    const partition = stillAsked(start);
    if (partition === null) continue;
    if ('isOtherTopic' in start) {
      if (noteOtherTopic(partition)) due.push(start);
    } else if (!('short' in start) || noteShortLog(partition, start.short)) due.push(start);
  }
  return due;
}

/** Notes which logs are too short. Returns the doubts that the batchers have to settle now. */
function noteDoubts(doubts: readonly Doubt[], stillAsked: StillAsked): Doubt[] {
  const due: Doubt[] = [];
  for (const doubt of doubts) {
    const partition = stillAsked(doubt.facts);
    if (partition === null) continue;
    const short = shortLogOf(doubt);
    if (short === null || noteShortLog(partition, short)) due.push(doubt);
  }
  return due;
}

/** Null if its log is not known to be too short. */
function shortLogOf({ facts, position }: Doubt): ShortLog | null {
  switch (position.type) {
    case 'shortLog':
      return { logEnd: facts.logEnd, position: position.position };
    case 'askBatchers':
      return position.short ?? null;
    default:
      return null;
  }
}

function noteUnknown(unknown: readonly NoAnswer[], stillAsked: StillAsked): void {
  for (const { problem, ...where } of unknown) stillAsked(where)?.waits(problem);
}

/** @returns whether the log has been too short for a while, so that the partition may start at what there is */
function noteShortLog(partition: AssignedPartition, { logEnd, position }: ShortLog): boolean {
  const nowMs = performance.now();
  partition.shortSinceMs ??= nowMs;
  partition.waits(`its log ends at ${logEnd}, before the position ${position} in it`);
  return nowMs - partition.shortSinceMs >= SHORT_LOG_WAIT_MS;
}

/** @returns whether Kafka has said for a while that the topic is another one */
function noteOtherTopic(partition: AssignedPartition): boolean {
  const nowMs = performance.now();
  partition.otherSinceMs ??= nowMs;
  partition.waits('its topic was deleted and created again');
  return nowMs - partition.otherSinceMs >= OTHER_TOPIC_WAIT_MS;
}
