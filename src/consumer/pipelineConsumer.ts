import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Batch, ConsumerStartBatchProcessEvent, EachBatchPayload, Kafka } from 'kafkajs';
import type { KafkaConfig, PipelineConfig, StartFrom } from '../config/config.js';
import type { KafkaAdmin, NoAnswer } from '../kafka/admin.js';
import { isOfType } from '../kafka/errorType.js';
import { toOffset } from '../kafka/fromKafka.js';
import { failureOf, recordsOf, startOf } from '../kafka/kafkajs/fetchedBatch.js';
import type { UnreadableBatchError } from '../kafka/kafkajs/recordSet.js';
import { describeNoAnswer, findLogOffsets } from '../kafka/offsets.js';
import { causeOf, isRefusal } from '../kafka/refusal.js';
import { messageOf } from '../lib/messageOf.js';
import type { Layout } from '../protocol/batcherId.js';
import { markOf } from '../codecs/chunkCodec.js';
import type { RecordMark } from '../protocol/chunk.js';
import { partitionName, type RecordSource, type TopicPartition } from '../protocol/record.js';
import {
  Assignment,
  HELD_REASONS,
  type Comparison,
  type HeldReason,
  type PartitionCommit,
} from './partitions/assignment.js';
import { backpressureLimits, partitionsToPause, Stopwatch } from './lanes/backpressure.js';
import { Commits, type Commit } from './partitions/commits.js';
import { GroupMember } from '../kafka/groupMember.js';
import { decideIntake, decideLook, nextAfterEmpty, type Intake, type LogState } from './partitions/intake.js';
import { Lag } from './partitions/lag.js';
import { commitLatest } from './partitions/latestStart.js';
import type { Pack } from './lanes/lane.js';
import {
  findPartitionStarts,
  settleDoubts,
  type PartitionStart,
  type PartitionStartsOptions,
} from './partitions/partitionStarts.js';
import { PipelineLanes, type PipelineLanesOptions } from './lanes/pipelineLanes.js';
import { newEpoch, ReadingPlans } from './partitions/readingPlans.js';
import type { SameEpoch, ShortLog } from './partitions/startPosition.js';
import { Steering } from './partitions/steering.js';
import { TopicWatch } from './topicWatch.js';
import { PartitionTracker, type ReadingPlan } from './partitions/tracker.js';

export interface PipelineConsumerOptions extends PipelineLanesOptions {
  readonly kafkaConfig: KafkaConfig;
  readonly kafka: Kafka;
  readonly admin: KafkaAdmin;
  /** All layouts that the pipeline has had, as far as Temporal knows. */
  readonly layouts: () => Promise<readonly Layout[]>;
}

const COMMIT_INTERVAL_MS = 500;
/** What passes by itself has to show without an event: how long partitions have been paused. */
const GAUGES_INTERVAL_MS = 1_000;
const LAG_INTERVAL_MS = 10_000;
const SWEEP_INTERVAL_MS = 30_000;
/** A new topic is read within a minute: after this, and a rebalance of all members that follow. */
const TOPICS_INTERVAL_MS = 15_000;
const OPEN_RETRY_MS = 1_000;
/** A log that ends before the position in it is given this long to come back: a new leader may not know its end yet. */
const SHORT_LOG_WAIT_MS = 10_000;
const DRAIN_POLL_MS = 20;
/** The last commit may take as long beyond the deadline of a drain; a coordinator that does not answer takes 30 s to be given up. */
const LAST_COMMIT_MS = 1_000;
/** Leaving the group may take as long beyond the deadline: until then nobody else gets the partitions. */
const LEAVE_MS = 2_000;
/** Kafka's error where the user may not read a topic. */
const REFUSED = 'TOPIC_AUTHORIZATION_FAILED';
/** Kafka's error where there is no such topic, or no such partition of it. */
const MISSING = 'UNKNOWN_TOPIC_OR_PARTITION';
/** A leader that answers with errors for less than this has moved, or has just started: it is no problem yet. */
const LEADER_PATIENCE_MS = 15_000;
/** Fetches of a record batch that cannot be read, after which its partition is not read any more under this assignment. */
const UNREADABLE_FETCHES_MAX = 3;

/** Problems that are told in one line; the others are counted. */
const PROBLEMS_SHOWN = 5;

/**
 * One pipeline's Kafka consumer: takes batches from kafkajs, hands their records to the lanes, commits what the batchers
 * have accepted.
 *
 *     stopped ──start──► joining ◄──rebalance── assigned ──drain──► stopped
 *                           └───GROUP_JOIN──────────┘
 *
 * Fencing. kafkajs tells of a new assignment only once it has it, and its functions act on whatever assignment is then
 * current. So every step checks that the assignment it began under is still this one, between the check and the effect
 * nothing is awaited, and from the moment this member begins to join again there is no current assignment at all.
 */
export class PipelineConsumer {
  readonly #options: PipelineConsumerOptions;
  readonly #pipeline: PipelineConfig;
  readonly #member: GroupMember;
  readonly #topics: TopicWatch;
  readonly #steering: Steering;
  readonly #lag: Lag;
  readonly #lanes: PipelineLanes;
  readonly #plans: ReadingPlans;
  readonly #commits: Commits;
  /** Batches that came from elsewhere while a comparison waited for its record. */
  readonly #mismatches = new WeakMap<Comparison, number>();
  /** Fetches of a partition, by its name, that brought what cannot be read, one after the other. */
  readonly #unreadableFetches = new Map<string, number>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #pausedTime = new Stopwatch();
  /** When a log was first seen to end before the position in it, by `performance.now()`. */
  readonly #shortSinceMs = new Map<string, number>();
  /** Topics that Kafka said nothing of when only the latest was wanted, and since when, in milliseconds since 1970. */
  readonly #silentSinceMs = new Map<string, number>();
  /** Up to which offset the gaps of a partition, by its name, were told, and of which epoch. */
  readonly #toldGaps = new Map<string, { readonly epoch: string; readonly to: number }>();
  /** What the log of a partition, by its name, has lost, as it was told; until something is read of it again. */
  readonly #toldLosses = new Map<string, string>();
  #assignment: Assignment | null = null;
  /** The assignment whose partitions are being opened. */
  #opening: Assignment | null = null;
  /** Assigned partitions that cannot be asked for, and why. */
  #unreachable: readonly NoAnswer[] = [];
  /**
   * Partitions, by their names, that brokers do not give: by which error, and since when by `performance.now()`. Null where they have not
   * been asked since the partition was paused: the error may be over.
   */
  readonly #notGiven = new Map<string, { readonly error: string; readonly sinceMs: number | null }>();
  #commit: Commit | null = null;
  #committing = false;
  #following: Promise<void> | null = null;
  #isWaitingForTopics = false;
  /** Why it has not begun to join its group; null where nothing is wrong. */
  #startProblem: string | null = null;
  /** Why it is not in its group; null while it is, or has not failed. */
  #failure: string | null = null;
  /** It has failed, and has not been in its group for a minute since. */
  #isUnsteady = false;
  #draining = false;
  /** Empty until Kafka has told it. */
  #clusterId = '';

  constructor(options: PipelineConsumerOptions) {
    this.#options = options;
    const { pipeline, kafka, kafkaConfig } = options;
    this.#pipeline = pipeline;
    this.#commits = new Commits(
      (assignment) => this.#isCurrent(assignment),
      (outcome) => {
        options.metrics.commits.inc({ pipeline: pipeline.name, outcome });
        if (outcome === 'failed') this.#countError('commit');
      },
    );
    const { groupId } = pipeline;
    this.#member = new GroupMember(
      kafka,
      { groupId, sessionTimeoutMs: kafkaConfig.sessionTimeoutMs },
      {
        joining: () => this.#unassign(),
        joined: (memberAssignment) => this.#assigned(memberAssignment),
        outOfRange: (partition) => this.#outOfRange(partition),
        partitionError: (partition, error) => this.#partitionError(partition, error),
        batch: (payload) => this.#takeBatch(payload),
        emptyBatch: (payload) => this.#skipEmptyBatch(payload),
        failed: (error, delayMs) => this.#failed(error, delayMs),
        steady: () => this.#steady(),
        leftBadly: (error) => {
          const fields = { pipeline: pipeline.name, error: messageOf(error) };
          options.logger.warn(fields, 'The consumer has not left its group in order: others get its partitions later');
        },
      },
    );
    this.#topics = new TopicWatch(options.admin, pipeline);
    this.#steering = new Steering(this.#member, options.logger, (where) => this.#notAsked(where));
    this.#lag = new Lag(pipeline.name, options.admin, options.metrics.lag);
    this.#lanes = new PipelineLanes(options, {
      accepted: (pack) => this.#accepted(pack),
      changed: () => this.#updateGauges(),
    });
    this.#plans = new ReadingPlans({
      pipeline,
      batchersOf: (layout) => this.#lanes.of(layout).batchers,
      steering: this.#steering,
      goesOn: (assignment) => this.#isCurrent(assignment) && !this.#draining,
      isCurrent: (assignment) => this.#isCurrent(assignment),
      commit: (assignment, commits) => this.#commitNow(assignment, commits),
      replaced: () => this.#applyBackpressure(),
      logger: options.logger,
      stateLog: options.stateLog,
    });
  }

  /** Of the pipeline. */
  get name(): string {
    return this.#pipeline.name;
  }

  /** What is not read, and why, a line; null while every partition that this member has is read, or no topic is there. */
  get problem(): string | null {
    if (this.#failure !== null) return this.#failure;
    const problem = this.#readingProblem();
    return problem === null ? null : `the consumer of pipeline ${this.#pipeline.name}: ${problem}`;
  }

  #readingProblem(): string | null {
    if (this.#draining) return 'it drains';
    if (this.#isWaitingForTopics) return null;
    const assignment = this.#assignment;
    if (assignment === null) return this.#startProblem ?? 'it has no assignment yet';
    const problems = [...new Set([...assignment.problems, ...this.#withheld()])];
    if (problems.length > 0) return `it does not read ${listed(problems)}`;
    return assignment.readable ? null : 'where its partitions start is not known yet';
  }

  /** What Kafka does not give of what this member is to read, and why. */
  #withheld(): string[] {
    const nowMs = performance.now();
    const unreachable = this.#unreachable.map((where) =>
      where.partition < 0 ? where.problem : `${partitionName(where)}: ${where.problem}`,
    );
    const notGiven = [...this.#notGiven].flatMap(([name, { error, sinceMs }]) => {
      if (sinceMs === null) return [];
      if (error === REFUSED) return [`${name}: Kafka refuses it to this user (${error}): check the right to read it`];
      return nowMs - sinceMs < LEADER_PATIENCE_MS ? [] : [`${name}: its leader answers ${error}`];
    });
    return [...unreachable, ...notGiven];
  }

  /** Joins the group and begins to consume; resolves after the first try, and tries again where it fails. Never rejects. */
  async start(): Promise<void> {
    await this.#readFirst();
    if (this.#isDraining()) return;
    if (this.#topics.changes) this.#timers.push(setInterval(() => this.#follow(), TOPICS_INTERVAL_MS));
    this.#timers.push(setInterval(() => void this.#commitAccepted(), COMMIT_INTERVAL_MS));
    this.#timers.push(setInterval(() => this.#updateGauges(), GAUGES_INTERVAL_MS));
    this.#timers.push(setInterval(() => void this.#measureLag(), LAG_INTERVAL_MS));
    this.#timers.push(setInterval(() => void this.#sweep(), SWEEP_INTERVAL_MS));
  }

  /**
   * Takes nothing more in, waits until everything handed over is accepted or the deadline is reached, commits, leaves the
   * group. What was not accepted by then is read again by the next owner.
   *
   * @param deadlineMs by `performance.now()`; it is over two seconds later at most
   */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    this.#steering.pause(this.#assignment?.partitions ?? [], 'draining');
    while (performance.now() < deadlineMs && this.#lanes.records > 0) await sleep(DRAIN_POLL_MS);
    for (const timer of this.#timers) clearInterval(timer);
    const stopped = this.#lanes.stop();
    const endMs = Math.max(deadlineMs, performance.now());
    await Promise.race([this.#commitLast(deadlineMs), until(endMs + LAST_COMMIT_MS)]);
    this.#unassign();
    await Promise.race([Promise.all([this.#member.leave(), stopped]), until(endMs + LEAVE_MS)]);
  }

  /** Never rejects, but takes as long as Kafka does. */
  async #commitLast(deadlineMs: number): Promise<void> {
    await this.#commits.settled();
    await Promise.race([this.#following, until(deadlineMs)]);
    await this.#commitAccepted();
  }

  // ── Topics ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** One look at a time: where Kafka is slow it may take longer than the time between two. */
  #follow(): void {
    this.#following ??= this.#followTopics().finally(() => (this.#following = null));
  }

  /** Reads what has come to match, and no longer what is gone. Never rejects: the next look makes up for it. */
  async #followTopics(): Promise<void> {
    try {
      const topics = await this.#topics.look();
      if (this.#draining || isDeepStrictEqual(topics, this.#member.topics)) return;
      await this.#commitAccepted();
      this.#unassign();
      await this.#member.leave();
      if (!this.#isDraining()) await this.#read(topics);
    } catch (error) {
      const { pipeline, stateLog } = this.#options;
      const message = `Pipeline ${pipeline.name} cannot take up the topics that match: ${messageOf(error)}`;
      stateLog.problem(`topics of ${pipeline.name}`, message);
    }
  }

  /** Repeats until it is known what to read, or this member drains; never rejects. */
  async #readFirst(): Promise<void> {
    const { pipeline, stateLog } = this.#options;
    while (!this.#draining) {
      try {
        await this.#read(await this.#topics.look());
        return;
      } catch (error) {
        this.#startProblem = `it cannot find out which topics match: ${messageOf(error)}`;
        this.#countError('start');
        const message = `Pipeline ${pipeline.name} cannot find out which topics match: ${messageOf(error)}`;
        stateLog.problem(`topics of ${pipeline.name}`, message);
        await sleep(OPEN_RETRY_MS);
      }
    }
  }

  async #read(topics: readonly string[]): Promise<void> {
    const { metrics, logger, stateLog } = this.#options;
    const pipeline = this.#pipeline.name;
    const what = `topics of ${pipeline}`;
    this.#isWaitingForTopics = topics.length === 0;
    if (this.#isWaitingForTopics) {
      stateLog.problem(what, `Pipeline ${pipeline} reads nothing: no topic matches. One that comes to match is read`);
      return;
    }
    for (const topic of topics)
      for (const counter of [metrics.consumed, metrics.gaps, metrics.truncations, metrics.unreadableBatches])
        counter.inc({ pipeline, topic }, 0);
    if (this.#pipeline.startFrom === 'latest') await this.#commitLatest(topics);
    if (this.#isDraining()) return;
    this.#startProblem = null;
    await this.#member.join(topics);
    stateLog.well(what, `Pipeline ${pipeline} reads the topics that match`);
    if (this.#topics.changes) logger.info({ pipeline, topics }, 'Topics are read');
  }

  /** Repeats until it succeeds or this member drains. */
  async #commitLatest(topics: readonly string[]): Promise<void> {
    const { kafka, stateLog, logger } = this.#options;
    const pipeline = this.#pipeline.name;
    const what = `latest offsets of ${pipeline}`;
    const wereThere = topics.filter((topic) => this.#topics.wasThere(topic));
    while (!this.#draining) {
      try {
        const { atEnds, waiting, silent, sinceMs } = await commitLatest(wereThere, { ...this.#startOptions(), kafka });
        for (const topic of silent) if (!this.#silentSinceMs.has(topic)) this.#silentSinceMs.set(topic, sinceMs);
        if (atEnds > 0)
          logger.info({ pipeline, partitions: atEnds }, 'Partitions that were never read begin at their ends');
        if (waiting.length > 0)
          logger.warn(
            { pipeline, partitions: waiting.length },
            `Partitions that were never read begin with what is written from now on, once they can be read: ${listed(waiting.map(describeNoAnswer))}`,
          );
      } catch (error) {
        this.#startProblem = `it cannot commit where it begins: ${messageOf(error)}`;
        this.#countError('start');
        stateLog.problem(what, `Pipeline ${pipeline} cannot commit where it begins: ${messageOf(error)}`);
        await sleep(OPEN_RETRY_MS);
        continue;
      }
      stateLog.well(what, `Where pipeline ${pipeline} begins is committed`);
      return;
    }
  }

  // ── Membership ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Whatever the reason, it concerns this pipeline only: a new kafkajs consumer joins later. */
  #failed(error: Error, delayMs: number): void {
    const { metrics, logger, stateLog } = this.#options;
    const pipeline = this.#pipeline.name;
    const cause = isRefusal(error) ? 'refused' : 'failed';
    this.#unassign();
    this.#isUnsteady = true;
    metrics.consumerFailures.inc({ pipeline, cause });
    metrics.consumerDown.set({ pipeline }, 1);
    this.#failure =
      cause === 'refused'
        ? `Kafka refuses the consumer of pipeline ${pipeline}: ${causeOf(error)}. Check its credentials, and its rights to read the topics and the group`
        : `the consumer of pipeline ${pipeline} has failed and joins again: ${causeOf(error)}`;
    stateLog.problem(`consumer of ${pipeline}`, this.#failure);
    logger.debug({ pipeline, delayMs, stack: error.stack }, 'The consumer joins its group again later');
  }

  /** Said only now: a consumer that joins and fails at once would be well and ill in the log in turns, for ever. */
  #steady(): void {
    const { name } = this.#pipeline;
    this.#isUnsteady = false;
    this.#options.stateLog.well(`consumer of ${name}`, `The consumer of pipeline ${name} is well again`);
  }

  // ── Assignments ──────────────────────────────────────────────────────────────────────────────────────────────────

  #unassign(): void {
    this.#assignment = null;
    this.#commit = null;
    this.#lanes.clear();
    this.#lag.forget();
    this.#unreachable = [];
    this.#notGiven.clear();
    this.#unreadableFetches.clear();
    this.#shortSinceMs.clear();
    this.#updateGauges();
    this.#updateHeld();
  }

  #assigned(memberAssignment: Record<string, number[]>): void {
    const assignment = new Assignment(memberAssignment);
    const { metrics, logger } = this.#options;
    metrics.rebalances.inc({ pipeline: this.#pipeline.name });
    this.#failure = null;
    metrics.consumerDown.set({ pipeline: this.#pipeline.name }, 0);
    // Until it is known where to start nothing is fetched: kafkajs would start at the committed offset, and where the log no
    // longer has it, commit "earliest" in its place, without our metadata.
    this.#steering.begin(assignment.partitions, 'start');
    if (this.#draining) this.#steering.pause(assignment.partitions, 'draining');
    this.#assignment = assignment;
    void this.#open(assignment);
    this.#updateGauges();
    const assigned = { pipeline: this.#pipeline.name, partitions: assignment.partitions.length };
    logger[this.#isUnsteady ? 'debug' : 'info'](assigned, 'Partitions assigned');
  }

  /**
   * Finds out where partitions start, each by itself: what is known is read, the rest is named and tried again. Ends when all are
   * known or the assignment is over; never rejects.
   */
  async #open(assignment: Assignment): Promise<void> {
    if (this.#opening === assignment) return;
    this.#opening = assignment;
    const { pipeline, stateLog } = this.#options;
    const what = `offsets of ${pipeline.name}`;
    while (this.#isCurrent(assignment) && !this.#draining && !assignment.isAllKnown()) {
      let failure: string | null = null;
      try {
        await this.#openMore(assignment);
      } catch (error) {
        failure = messageOf(error);
      }
      if (!this.#isCurrent(assignment)) break;
      if (assignment.isAllKnown()) {
        stateLog.well(what, `Where pipeline ${pipeline.name} starts is known`);
        break;
      }
      if (failure !== null || assignment.problems.length > 0) {
        this.#countError('start');
        const problem = failure ?? listed(assignment.problems);
        stateLog.problem(what, `Pipeline ${pipeline.name} cannot find out where to start: ${problem}`);
      }
      await sleep(OPEN_RETRY_MS);
    }
    if (this.#opening === assignment) this.#opening = null;
  }

  /** One round of {@link #open}. Kafka is asked first: what it settles does not wait for batchers, which need a worker. */
  async #openMore(assignment: Assignment): Promise<void> {
    const options = this.#startOptions();
    // What was handed over of a log that has become shorter has to be accepted first: it may never be read again.
    const waiting = assignment.unknown.filter((where) => !isPending(assignment.tracker(where.topic, where.partition)));
    const positionOf = ({ topic, partition }: TopicPartition): number =>
      assignment.tracker(topic, partition)?.next ?? 0;
    // A topic that is gone meanwhile may be another one when it is there again: its facts are asked for once more.
    const asked = new Map(waiting.map((where) => [partitionName(where), assignment.timesGone(where)]));
    const isStill = (where: TopicPartition): boolean => asked.get(partitionName(where)) === assignment.timesGone(where);
    const { clusterId, starts, doubts, unknown } = await findPartitionStarts(waiting, options, positionOf);
    const members = await this.#countMembers();
    if (!this.#isCurrent(assignment)) return;
    if (clusterId !== null) this.#clusterId = clusterId;
    this.#lanes.setMembers(members);
    this.#openAll(
      assignment,
      starts.filter((start) => isStill(start) && (!('short' in start) || this.#isDue(assignment, start, start.short))),
    );
    for (const where of unknown) assignment.waits(where, where.problem);
    const due = doubts.filter(
      ({ facts, position }) =>
        isStill(facts) && (position.type !== 'shortLog' || this.#isDue(assignment, facts, { ...facts, ...position })),
    );
    if (due.length === 0) return;
    try {
      const settled = await settleDoubts(due, options);
      if (!this.#isCurrent(assignment)) return;
      this.#openAll(assignment, settled.starts.filter(isStill));
      for (const where of settled.unknown) assignment.waits(where, where.problem);
    } catch (error) {
      const problem = `the batchers do not say what they have of it (${messageOf(error)}): is a worker running?`;
      for (const { facts } of due) assignment.waits(facts, problem);
    }
  }

  /** False for a log that is too short, until it has been so for a while. */
  #isDue(assignment: Assignment, where: TopicPartition, { logEnd, position }: ShortLog): boolean {
    const name = partitionName(where);
    const nowMs = performance.now();
    const sinceMs = this.#shortSinceMs.get(name) ?? nowMs;
    this.#shortSinceMs.set(name, sinceMs);
    assignment.waits(where, `its log ends at ${logEnd}, before the position ${position} in it`);
    return nowMs - sinceMs >= SHORT_LOG_WAIT_MS;
  }

  #openAll(assignment: Assignment, starts: readonly PartitionStart[]): void {
    for (const start of starts) {
      this.#shortSinceMs.delete(partitionName(start));
      this.#openPartition(assignment, start);
    }
    this.#finishPlans(assignment);
    this.#reportNewEpochs(starts);
  }

  #startOptions(): PartitionStartsOptions {
    const { admin, pipeline, layouts } = this.#options;
    const startFrom = (topic: string): StartFrom => {
      if (pipeline.startFrom !== 'latest') return pipeline.startFrom;
      // Wherever else `latest` holds, it is committed by now.
      const sinceMs = this.#silentSinceMs.get(topic);
      return sinceMs === undefined ? 'earliest' : { timestampMs: sinceMs };
    };
    return { admin, pipeline, startFrom, layouts, batchersOf: (layout) => this.#lanes.of(layout).batchers };
  }

  /** Members of the group: each may send to every batcher. */
  async #countMembers(): Promise<number> {
    const { groups } = await this.#options.admin.describeGroups([this.#pipeline.groupId]);
    return Math.max(1, groups[0]?.members.length ?? 1);
  }

  #openPartition(assignment: Assignment, start: PartitionStart): void {
    const { topic, partition } = start;
    if ('missed' in start && !this.#mayPassGap(assignment, start, start.missed)) return;
    if ('lost' in start && start.lost !== null && !this.#mayPassLoss(assignment, start, start.lost)) return;
    switch (start.type) {
      case 'continue': {
        const tracker = new PartitionTracker(start, start.offset, this.#plans.reading);
        // Under this very epoch the group has committed already; only a gap moves on from there.
        this.#plans.open(assignment, tracker, start.offset - start.missed);
        break;
      }
      case 'fill': {
        const plan: ReadingPlan = { layout: start.layout, state: { type: 'filling', end: start.end }, end: start.end };
        this.#plans.open(assignment, new PartitionTracker(start, start.offset, plan), start.offset - start.missed);
        break;
      }
      case 'newEpoch': {
        const source = { topic, partition, epoch: newEpoch() };
        this.#plans.open(assignment, new PartitionTracker(source, start.offset, this.#plans.reading));
        break;
      }
      case 'sameEpoch':
        this.#openSameEpoch(assignment, start, start);
        break;
      case 'compare':
        assignment.compare(start, start);
        this.#fetch(start, start.comparison.offset ?? 0);
        break;
      case 'handOver':
        this.#handOverLayout(assignment, start, start.offset, start.layout);
        break;
      case 'newer':
        this.#block(
          assignment,
          { topic, partition },
          'newer',
          'its offset was committed by a later version of ktb. Run that version, or reset the offset to ingest again from there',
        );
    }
  }

  #openSameEpoch(assignment: Assignment, where: TopicPartition, { epoch, offset, from }: SameEpoch): void {
    const { topic, partition } = where;
    const source = { topic, partition, epoch };
    if (from === null) {
      this.#plans.open(assignment, new PartitionTracker(source, offset, this.#plans.reading));
    } else {
      this.#handOverLayout(assignment, source, offset, from);
    }
  }

  #handOverLayout(assignment: Assignment, source: RecordSource, from: number, layout: Layout): void {
    void this.#plans.handOver(assignment, source, from, layout);
    // That it has begun is committed, which kafkajs allows only together with a batch.
    this.#fetch(source, from);
  }

  #fetch(partition: TopicPartition, offset: number): void {
    this.#steering.seek(partition, offset);
    this.#steering.resume([partition], 'start');
  }

  #reportNewEpochs(starts: readonly PartitionStart[]): void {
    const partitions: Record<string, number> = {};
    for (const start of starts) {
      if (start.type === 'newEpoch') partitions[start.reason] = (partitions[start.reason] ?? 0) + 1;
    }
    if (Object.keys(partitions).length === 0) return;
    this.#options.logger.info({ pipeline: this.#pipeline.name, partitions }, 'New epochs begin');
  }

  #isCurrent(assignment: Assignment): boolean {
    return assignment === this.#assignment;
  }

  // ── Batches ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Hands a batch over to the lanes as a whole, without waiting for room: a full buffer pauses partitions instead. So
   * the handler never stands in the way of a heartbeat or a rebalance.
   */
  async #takeBatch(payload: EachBatchPayload): Promise<void> {
    const assignment = this.#assignment;
    if (assignment === null || this.#draining) return;
    const { batch } = payload;
    const commit: Commit = (offsets) => payload.commitOffsetsIfNecessary(offsets);
    this.#commit = commit;
    // Fetched before it was paused; where it goes on is yet to be found out.
    if (assignment.isUnknown(batch)) return;
    const failure = failureOf(batch);
    if (failure !== null && !failure.isAsWritten) {
      this.#unreadable(assignment, batch, failure);
      return;
    }
    this.#compare(assignment, batch);
    await this.#commitEpochs(assignment, commit);
    const tracker = await this.#alignedTracker(assignment, batch);
    if (tracker === null || !this.#isCurrent(assignment) || this.#isDraining()) return;
    // Opened while another partition's epoch was being committed: its own comes with the next batch.
    if (assignment.committedOffset(tracker) === undefined) return;

    this.#unreadableFetches.delete(partitionName(tracker));
    if (this.#toldLosses.size > 0) this.#toldLosses.delete(partitionName(tracker));
    if (failure !== null && !this.#mayPassBatch(assignment, batch, failure)) return;
    this.#handOver(tracker, batch);
    if (!tracker.handedOver) payload.resolveOffset(batch.messages.at(-1)?.offset ?? batch.lastOffset());
    this.#finishPlans(assignment);
  }

  /** What cannot be read is fetched again some times: it may have been damaged on its way. In the log it stays as it is. */
  #unreadable(assignment: Assignment, { topic, partition }: Batch, failure: UnreadableBatchError): void {
    if (!this.#isCurrent(assignment)) return;
    const name = partitionName({ topic, partition });
    const fetched = (this.#unreadableFetches.get(name) ?? 0) + 1;
    this.#unreadableFetches.set(name, fetched);
    if (fetched < UNREADABLE_FETCHES_MAX) return;
    this.#unreadableFetches.delete(name);
    this.#options.metrics.unreadableBatches.inc({ pipeline: this.#pipeline.name, topic });
    this.#block(assignment, { topic, partition }, 'unreadable', failure.message);
  }

  /** What a producer made too large to be read, whoever reads it, is counted and told. False where a person has to decide. */
  #mayPassBatch(assignment: Assignment, batch: Batch, { message }: UnreadableBatchError): boolean {
    const { topic, partition } = batch;
    const { metrics, logger, pipeline } = this.#options;
    metrics.unreadableBatches.inc({ pipeline: pipeline.name, topic });
    logger.error(
      { pipeline: pipeline.name, topic, partition, from: startOf(batch), to: toOffset(batch.lastOffset()) },
      `A record batch is not read, and its records are neither inserted nor answered: ${message}`,
    );
    if (pipeline.onGap === 'continue') return true;
    const problem = `${message}. Set \`onGap: continue\` to go on behind it`;
    this.#block(assignment, { topic, partition }, 'unreadable', problem);
    return false;
  }

  /** Whether a log is the one that batchers remember, its records tell. */
  #compare(assignment: Assignment, batch: Batch): void {
    const compared = assignment.comparison(batch);
    if (!this.#isCurrent(assignment) || compared === undefined) return;
    const wanted = compared.comparison.offset ?? 0;
    // kafkajs may still hand out what it fetched before it was told to seek.
    const mismatches = this.#mismatches.get(compared) ?? 0;
    if (decideLook(wanted, startOf(batch), mismatches) === 'seek') {
      this.#mismatches.set(compared, mismatches + 1);
      this.#steering.seek(batch, wanted);
      return;
    }
    const [first] = recordsOf(batch);
    this.#look(assignment, compared, batch, first === undefined ? null : markOf(first));
  }

  /** @param found the first record at or after the offset that is looked at; null where there is none at it */
  #look(
    assignment: Assignment,
    compared: Comparison,
    { topic, partition }: TopicPartition,
    found: RecordMark | null,
  ): void {
    const { comparison, decide } = compared;
    const { offset } = comparison;
    const verdict = comparison.look(found);
    if (verdict === null) {
      this.#mismatches.delete(compared);
      this.#steering.seek({ topic, partition }, comparison.offset ?? 0);
      return;
    }
    const start: PartitionStart = { topic, partition, ...decide(verdict) };
    assignment.compared(start);
    this.#options.logger.info(
      {
        pipeline: this.#pipeline.name,
        topic,
        partition,
        offset: offset ?? 0,
        verdict: verdict.type,
        start: start.type,
      },
      COMPARED[verdict.type],
    );
    this.#openAll(assignment, [start]);
  }

  /**
   * A new epoch is committed before anything is sent under it, so that its identities survive a crash. Those of topics that the user may
   * no longer read, or that are gone, wait, and the others' do not wait for them.
   */
  async #commitEpochs(assignment: Assignment, commit: Commit): Promise<void> {
    const due = (): PartitionCommit[] => this.#permitted(assignment.uncommittedEpochs());
    if (due().length === 0) return;
    try {
      await this.#commits.inTurn(assignment, this.#clusterId, commit, due);
    } catch (error) {
      // Once the topic was asked for it is known which one; what came until then is fetched again.
      if (![REFUSED, MISSING].some((type) => isOfType(error, type))) throw error;
    }
  }

  /**
   * The tracker that this batch continues; null where the batch has to be left alone. What kafkajs fetched is compared
   * with what is due: it moves its position by itself where an offset is out of range, and with several brokers it may
   * still hand out what it fetched before a rebalance. Which of the two, the log tells.
   */
  async #alignedTracker(assignment: Assignment, batch: Batch): Promise<PartitionTracker | null> {
    if (!this.#isCurrent(assignment)) return null;
    const { topic, partition } = batch;
    const tracker = assignment.tracker(topic, partition);
    // Found out anew, perhaps by one more record: until then the tracker before, if there is one, says nothing of the log.
    if (assignment.isBlocked(batch) || assignment.isUnknown(batch) || assignment.comparison(batch) !== undefined)
      return null;
    if (tracker === undefined) {
      this.#steering.pause([batch], 'start');
      return null;
    }
    const fetched = startOf(batch);
    const intake = await this.#decide(assignment, tracker, fetched);
    switch (intake) {
      case 'take':
        tracker.advanceTo(fetched);
        return tracker;
      case 'seek':
        tracker.jumped(fetched);
        this.#steering.seek(tracker, tracker.next);
        return null;
      default:
        return null;
    }
  }

  #finishPlans(assignment: Assignment): void {
    this.#plans.finish(assignment);
    this.#applyBackpressure();
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
    tracker: PartitionTracker,
    fetched: number | null,
  ): Promise<'take' | 'seek' | 'wait' | 'drop'> {
    const { topic, partition, epoch } = tracker;
    let log: LogState | null = null;
    for (;;) {
      const intake: Intake = decideIntake(tracker, fetched, log);
      switch (intake.type) {
        case 'take':
        case 'seek':
        case 'wait':
          return intake.type;
        case 'planEnds':
          this.#finishPlans(assignment);
          return 'drop';
        case 'askLog':
          log = await this.#askLog(tracker);
          if (!this.#isCurrent(assignment) || assignment.tracker(topic, partition) !== tracker) return 'drop';
          break;
        case 'topicGone':
          this.#topicGone(assignment, [tracker]);
          return 'drop';
        case 'shortLog':
          this.#reopen(assignment, tracker);
          return 'drop';
        case 'gap': {
          const { logStart, missed } = intake;
          if (!this.#mayPassGap(assignment, { topic, partition, epoch, offset: logStart }, missed)) return 'drop';
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

  /** Where a partition goes on is to be found out anew. Its tracker is kept meanwhile: what it has handed over is committed. */
  #reopen(assignment: Assignment, where: TopicPartition): void {
    this.#steering.pause([where], 'start');
    assignment.waits(where, '');
    void this.#open(assignment);
  }

  #partitionError(where: TopicPartition, error: string | null): void {
    const name = partitionName(where);
    if (error === null) {
      this.#notGiven.delete(name);
      return;
    }
    // A broker may have been asked before the partition was paused.
    const isAsked = this.#steering.isFetched(where);
    const sinceMs = isAsked ? (this.#notGiven.get(name)?.sinceMs ?? performance.now()) : null;
    this.#notGiven.set(name, { error, sinceMs });
    if (error === MISSING && this.#assignment !== null) this.#topicGone(this.#assignment, [where]);
  }

  /**
   * A topic that comes to be there again has another log, which may be longer by then: it must not be gone on with at the old position, nor
   * that be committed. Where it is to be read is found out anew, from what Kafka and the batchers say, once it is there.
   */
  #topicGone(assignment: Assignment, gone: readonly TopicPartition[]): void {
    if (gone.length === 0) return;
    this.#steering.pause(gone, 'start');
    for (const where of gone) {
      assignment.forget(where);
      this.#shortSinceMs.delete(partitionName(where));
      this.#unreadableFetches.delete(partitionName(where));
    }
    // What held one up was in the log that is gone, as was what it had no room for.
    this.#steering.resume(gone, 'blocked', 'buffer');
    this.#updateHeld();
    void this.#open(assignment);
  }

  /** Paused: brokers are not asked for it. */
  #notAsked(where: TopicPartition): void {
    if (this.#notGiven.size === 0) return;
    const name = partitionName(where);
    const known = this.#notGiven.get(name);
    if (known !== undefined) this.#notGiven.set(name, { ...known, sinceMs: null });
  }

  /** The log does not have what was asked for: retention removed it, or the log has become shorter, or is another one. */
  #outOfRange(where: TopicPartition): void {
    this.#steering.pause([where], 'start');
    const assignment = this.#assignment;
    if (assignment === null || assignment.isUnknown(where)) return;
    const tracker = assignment.tracker(where.topic, where.partition);
    if (assignment.comparison(where) !== undefined) {
      assignment.compared(where);
      this.#reopen(assignment, where);
    } else if (tracker === undefined) void this.#fetchAnything(assignment, where);
    else void this.#realign(assignment, tracker);
  }

  /** What a hand-over commits needs a batch, whichever. Never rejects: the next one out of range tries again. */
  async #fetchAnything(assignment: Assignment, where: TopicPartition): Promise<void> {
    const timesGone = assignment.timesGone(where);
    const found = await findLogOffsets(this.#options.admin, [where.topic]).catch(() => null);
    const log = found?.logs.find(({ partition }) => partition === where.partition);
    // Where it starts is asked anew if its topic is gone meanwhile: until then nothing of it is fetched.
    if (this.#isCurrent(assignment) && assignment.timesGone(where) === timesGone)
      this.#fetch(where, log?.logStart ?? 0);
  }

  /** Repeats until the log has answered or the tracker is no longer the one; never rejects. */
  async #realign(assignment: Assignment, tracker: PartitionTracker): Promise<void> {
    const { topic, partition } = tracker;
    while (this.#isCurrent(assignment) && assignment.tracker(topic, partition) === tracker && !this.#draining) {
      const intake = await this.#decide(assignment, tracker, null).catch(() => 'wait' as const);
      if (!this.#isCurrent(assignment) || assignment.isUnknown(tracker)) return;
      if (intake !== 'wait') {
        if (intake === 'seek') this.#steering.seek(tracker, tracker.next);
        this.#steering.resume([tracker], 'start');
        return;
      }
      await sleep(OPEN_RETRY_MS);
    }
  }

  #handOver(tracker: PartitionTracker, batch: Batch): void {
    const { layout, end } = tracker.plan;
    const records = recordsOf(batch).filter(({ offset }) => end === null || offset < end);
    this.#lanes.of(layout).handOver(tracker, records);
    tracker.advanceTo(Math.min(toOffset(batch.lastOffset()) + 1, end ?? Infinity));
    this.#options.metrics.consumed.inc({ pipeline: this.#pipeline.name, topic: tracker.topic }, records.length);
  }

  /**
   * kafkajs passes over a batch of control records or aborted ones by itself; it is no gap. Only what joins counts: a
   * batch from elsewhere would move the position past records that were never handed over.
   */
  #skipEmptyBatch({ topic, partition, firstOffset, lastOffset }: ConsumerStartBatchProcessEvent['payload']): void {
    const assignment = this.#assignment;
    const where = { topic, partition };
    if (assignment === null || assignment.isUnknown(where)) return;
    // Null where all of the batch was compacted away, whatever kafkajs's types say.
    const begin = firstOffset as string | null;
    const first = toOffset(begin ?? lastOffset);
    const last = toOffset(lastOffset);
    const compared = assignment.comparison(where);
    if (compared !== undefined) {
      const { offset, isAtMark } = compared.comparison;
      // The first record of all may come later: it alone tells how old the log is.
      if (isAtMark && offset !== null && first <= offset && offset <= last)
        this.#look(assignment, compared, where, null);
      return;
    }
    const tracker = assignment.tracker(topic, partition);
    const next = tracker === undefined ? null : nextAfterEmpty(tracker, tracker.plan.end, { first, last });
    if (tracker === undefined || next === null) return;
    tracker.advanceTo(next);
    this.#plans.finish(assignment);
  }

  /**
   * What retention took before it was read is counted and told, once: it may be found again at each rebalance until something can be
   * committed, which takes a batch. False where a person has to decide.
   *
   * @param missed offsets before this position that the log no longer has
   */
  #mayPassGap(
    assignment: Assignment,
    { topic, partition, epoch, offset }: RecordSource & { readonly offset: number },
    missed: number,
  ): boolean {
    if (missed === 0) return true;
    const { metrics, logger, pipeline } = this.#options;
    const name = partitionName({ topic, partition });
    const told = this.#toldGaps.get(name);
    const from = Math.max(offset - missed, told?.epoch === epoch ? told.to : 0);
    if (from < offset) {
      this.#toldGaps.set(name, { epoch, to: offset });
      metrics.gaps.inc({ pipeline: pipeline.name, topic });
      logger.warn(
        { pipeline: pipeline.name, topic, partition, from, to: offset - 1 },
        'Offsets are missing from the log: the topic’s retention removed them before they were read',
      );
    }
    if (pipeline.onGap === 'continue') return true;
    this.#block(
      assignment,
      { topic, partition },
      'gap',
      'offsets are missing from its log. Set `onGap: continue` to go on behind them',
    );
    return false;
  }

  /**
   * What the log has lost after it was read is counted and told, once, as gaps are. False where a person has to decide.
   *
   * @param lost offsets that were read, or are read as another log's, and are not read again; ends included
   */
  #mayPassLoss(
    assignment: Assignment,
    { topic, partition, offset }: TopicPartition & { readonly offset: number },
    lost: { readonly from: number; readonly to: number },
  ): boolean {
    const { metrics, logger, pipeline } = this.#options;
    const name = partitionName({ topic, partition });
    const told = `${lost.from} to ${lost.to}`;
    if (this.#toldLosses.get(name) !== told) {
      this.#toldLosses.set(name, told);
      metrics.truncations.inc({ pipeline: pipeline.name, topic });
      logger.warn(
        { pipeline: pipeline.name, topic, partition, from: lost.from, to: lost.to, offset },
        'The log of a partition ends before what was read of it: records were lost in Kafka. Reading goes on at its end, under a new epoch',
      );
    }
    if (pipeline.onGap === 'continue') return true;
    this.#block(
      assignment,
      { topic, partition },
      'truncated',
      `its log ends at ${lost.from}, before what was read of it. Set \`onGap: continue\` to go on at its end, or reset the offset`,
    );
    return false;
  }

  /** Not read under this assignment: a person has to decide. */
  #block(assignment: Assignment, where: TopicPartition, reason: HeldReason, problem: string): void {
    assignment.block(where, reason, problem);
    this.#steering.pause([where], 'blocked');
    this.#updateHeld();
    const { name } = this.#pipeline;
    this.#options.stateLog.problem(
      `partition ${partitionName(where)} of ${name}`,
      `Pipeline ${name} does not read ${partitionName(where)}: ${problem}`,
    );
  }

  #isDraining(): boolean {
    return this.#draining;
  }

  // ── Back-pressure ────────────────────────────────────────────────────────────────────────────────────────────────

  #applyBackpressure(): void {
    const assignment = this.#assignment;
    if (assignment === null || this.#draining) return;
    const limits = backpressureLimits(this.#pipeline.bufferedBytesMax);
    const steering = this.#steering;
    const isPaused = (tracker: PartitionTracker): boolean => steering.isPaused(tracker, 'buffer');
    const wanted = partitionsToPause(
      assignment.trackers(),
      ({ plan }) => this.#lanes.of(plan.layout).all,
      this.#lanes.memoryBytes,
      limits,
      isPaused,
    );
    steering.pause(
      [...wanted].filter((tracker) => !isPaused(tracker)),
      'buffer',
    );
    if (steering.count('buffer') > wanted.size)
      steering.resume(
        [...assignment.trackers()].filter((tracker) => !wanted.has(tracker)),
        'buffer',
      );
    this.#updateGauges();
  }

  #accepted({ segments }: Pack): void {
    if (this.#assignment !== null && segments.some(({ tracker }) => tracker.plan.end !== null))
      this.#plans.finish(this.#assignment);
    if (this.#steering.count('buffer') > 0) this.#applyBackpressure();
    else this.#updateGauges();
  }

  async #sweep(): Promise<void> {
    const assignment = this.#assignment;
    if (assignment === null || this.#draining) return;
    await this.#lanes.sweep(() => this.#isCurrent(assignment));
  }

  #updateGauges(): void {
    const { metrics } = this.#options;
    const pipeline = this.#pipeline.name;
    metrics.assigned.set({ pipeline }, this.#assignment?.partitions.length ?? 0);
    const paused = this.#assignment === null ? 0 : this.#steering.count('buffer');
    metrics.paused.set({ pipeline }, paused);
    metrics.backpressureSeconds.inc({ pipeline }, this.#pausedTime.update(paused > 0, performance.now()));
    this.#lanes.updateGauges();
  }

  #updateHeld(): void {
    const pipeline = this.#pipeline.name;
    for (const reason of HELD_REASONS)
      this.#options.metrics.held.set({ pipeline, reason }, this.#assignment?.heldFor(reason) ?? 0);
  }

  #countError(stage: 'start' | 'commit'): void {
    this.#options.metrics.errors.inc({ pipeline: this.#pipeline.name, stage });
  }

  // ── Commits ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Commits what has been accepted since the last time. A commit that fails is made anew next time, never repeated. */
  async #commitAccepted(): Promise<void> {
    const assignment = this.#assignment;
    const commit = this.#commit;
    if (assignment === null || commit === null || this.#committing) return;
    this.#committing = true;
    try {
      await this.#commits.inTurn(assignment, this.#clusterId, commit, () =>
        this.#permitted([...assignment.uncommittedEpochs(), ...assignment.advanced()]),
      );
    } catch (error) {
      // Ownership lost, or a broker away: heartbeats find out which, and the next commit starts from what is then true.
      this.#options.logger.debug({ pipeline: this.#pipeline.name, error: messageOf(error) }, 'A commit failed');
    } finally {
      this.#committing = false;
    }
  }

  /**
   * Without those of topics that the user may no longer read. Where Kafka refuses one it takes the others, but kafkajs says only that
   * the commit failed: nobody would know what is committed.
   */
  #permitted(commits: readonly PartitionCommit[]): PartitionCommit[] {
    return commits.filter((where) => this.#notGiven.get(partitionName(where))?.error !== REFUSED);
  }

  /** False before the first batch, which brings the function to commit by, and while the user may not read the topic. */
  async #commitNow(assignment: Assignment, commits: () => readonly PartitionCommit[]): Promise<boolean> {
    const commit = this.#commit;
    if (commit === null) return false;
    const refused = (where: PartitionCommit): boolean => {
      const known = this.#notGiven.get(partitionName(where));
      // One that is paused since may be permitted again: no fetch would find out, so the commit does.
      return known?.error === REFUSED && known.sinceMs !== null;
    };
    if (commits().some(refused)) return false;
    await this.#commits.inTurn(assignment, this.#clusterId, commit, commits);
    return true;
  }

  async #measureLag(): Promise<void> {
    const assignment = this.#assignment;
    if (assignment === null) return;
    const { pipeline, stateLog } = this.#options;
    const what = `reading of ${pipeline.name}`;
    try {
      const unreachable = await this.#lag.measure(assignment, this.#member.topics, () => this.#isCurrent(assignment));
      if (!this.#isCurrent(assignment)) return;
      this.#unreachable = unreachable;
      const missing = new Set(unreachable.flatMap(({ topic, isMissing }) => (isMissing === true ? [topic] : [])));
      // Those of a paused partition no fetch tells.
      this.#topicGone(
        assignment,
        assignment.partitions.filter(({ topic }) => missing.has(topic)),
      );
      const problems = this.#withheld();
      if (problems.length === 0) stateLog.well(what, `Pipeline ${pipeline.name} reads all of its partitions again`);
      else stateLog.problem(what, `Pipeline ${pipeline.name} cannot read ${listed(problems)}`);
    } catch (error) {
      const fields = { pipeline: this.#pipeline.name, error: messageOf(error) };
      this.#options.logger.debug(fields, 'The lag could not be measured');
    }
  }
}

const COMPARED = {
  same: 'A log was compared with the records that batchers remember: it is the one that was read before',
  other: 'A log was compared with the records that batchers remember: it is not the one that was read before',
  unproven: 'A log was compared with the records that batchers remember: none of them tells whether it is the same',
} as const;

/** @param atMs by `performance.now()` */
function until(atMs: number): Promise<void> {
  return sleep(Math.max(0, atMs - performance.now()), undefined, { ref: false });
}

/** True while something that was handed over is not accepted yet. */
function isPending(tracker: PartitionTracker | undefined): boolean {
  return tracker !== undefined && tracker.committable() < tracker.next;
}

function listed(problems: readonly string[]): string {
  const more = problems.length - PROBLEMS_SHOWN;
  return `${problems.slice(0, PROBLEMS_SHOWN).join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}
