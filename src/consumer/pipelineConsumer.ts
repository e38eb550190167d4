import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import type { KafkaConfig, PipelineConfig } from '../config/config.js';
import type { Decoders } from '../formats/decoders.js';
import type { KafkaAdmin, NoAnswer } from '../kafka/admin.js';
import { GroupMember, type MemberHandlers } from '../kafka/groupMember.js';
import { UNKNOWN_TOPIC } from '../kafka/errorType.js';
import { listed } from '../lib/listed.js';
import { messageOf } from '../lib/messageOf.js';
import type { Layout } from '../protocol/layout.js';
import { partitionName, type TopicPartition } from '../protocol/record.js';
import type { BatcherClient } from '../temporal/batcherClient.js';
import type { Pack } from './lanes/lane.js';
import { DecodedPointers } from './lanes/decodedPointers.js';
import { PartitionPauses } from './lanes/partitionPauses.js';
import { PipelineLanes, type PipelineLanesOptions } from './lanes/pipelineLanes.js';
import { GroupMembership } from './groupMembership.js';
import { Assignment } from './partitions/assignment.js';
import { BatchIntake } from './partitions/batchIntake.js';
import { GroupCommits } from './partitions/groupCommits.js';
import { HeldPartitions } from './partitions/heldPartitions.js';
import { UnservedPartitions } from './partitions/unservedPartitions.js';
import { Lag } from './partitions/lag.js';
import { MissingRecords } from './partitions/missingRecords.js';
import { PartitionOpening } from './partitions/opening.js';
import { PointedRecords } from './partitions/pointedRecords.js';
import { ReadEpochs } from './partitions/readEpochs.js';
import { ReadingPlans } from './partitions/readingPlans.js';
import { Fetching } from './partitions/fetching.js';

export interface PipelineConsumerOptions extends PipelineLanesOptions {
  readonly kafkaConfig: KafkaConfig;
  readonly kafka: Kafka;
  readonly admin: KafkaAdmin;
  /** Of the schema registry. Absent: there is none. */
  readonly decoders?: Decoders | undefined;
}

const COMMIT_INTERVAL_MS = 500;
/** Gauges are also updated without an event, for example how long partitions have been paused. */
const GAUGES_INTERVAL_MS = 1_000;
const LAG_INTERVAL_MS = 10_000;
const SWEEP_INTERVAL_MS = 30_000;
const DRAIN_POLL_MS = 20;
/** Time for the last commit after the deadline of a drain. A coordinator that does not answer would take 30 s. */
const LAST_COMMIT_MS = 1_000;
/** Time to leave the group after the deadline. Nobody else gets the partitions before. */
const LEAVE_MS = 2_000;

/**
 * One pipeline's Kafka consumer. It takes batches from kafkajs, hands their records to the lanes, and commits what the
 * batchers have accepted. See `docs/internals/consumer.md`.
 *
 *     stopped ──start──► joining ◄──rebalance── assigned ──drain──► stopped
 *                           └───GROUP_JOIN──────────┘
 *
 * Fencing. The race: kafkajs reports a new assignment only once it has it, and its functions act on the present
 * assignment. A step that began under an old assignment could commit or seek for a partition that this member has lost.
 * So each step checks that its assignment is still current, and nothing is awaited between the check and the effect.
 * From the moment when this member begins to join again, no assignment is current.
 */
export class PipelineConsumer {
  readonly #options: PipelineConsumerOptions;
  readonly #pipeline: PipelineConfig;
  readonly #member: GroupMember;
  readonly #membership: GroupMembership;
  readonly #fetching: Fetching;
  readonly #lanes: PipelineLanes;
  readonly #pauses: PartitionPauses;
  readonly #plans: ReadingPlans;
  readonly #held: HeldPartitions;
  readonly #unserved: UnservedPartitions;
  readonly #commits: GroupCommits;
  readonly #opening: PartitionOpening;
  readonly #intake: BatchIntake;
  readonly #lag: Lag;
  readonly #timers: NodeJS.Timeout[] = [];
  #assignment: Assignment | null = null;
  /** Assigned partitions that cannot be asked for, with the reason. */
  #unreachable: readonly NoAnswer[] = [];
  #draining = false;

  constructor(options: PipelineConsumerOptions) {
    this.#options = options;
    const { pipeline, kafka, kafkaConfig, admin, layouts, metrics, logger, stateLog } = options;
    const { name } = pipeline;
    this.#pipeline = pipeline;
    const { sessionTimeoutMs, rackId } = kafkaConfig;
    const group = { groupId: pipeline.groupId, sessionTimeoutMs, rackId: rackId ?? undefined };
    this.#member = new GroupMember(kafka, group, this.#memberHandlers());
    const readEpochs = new ReadEpochs();
    this.#lanes = new PipelineLanes(options, {
      accepted: (pack) => this.#accepted(pack),
      changed: () => this.#updateGauges(),
      leaderEpochBefore: (source, offset) => readEpochs.leaderEpochBefore(source, offset),
    });
    const batchersOf = (layout: Layout): readonly BatcherClient[] => this.#lanes.of(layout).batchers;
    const starts = { admin, pipeline, layouts, batchersOf };
    this.#commits = new GroupCommits({ pipeline: name, readEpochs, metrics, logger });
    this.#membership = new GroupMembership({
      ...{ pipeline, kafka, starts, metrics, logger, stateLog },
      member: this.#member,
      release: async () => {
        await this.#commits.commitAccepted(this.#assignment);
        this.#unassign();
      },
    });
    this.#fetching = new Fetching(this.#member, logger);
    this.#pauses = new PartitionPauses(pipeline, this.#lanes, this.#fetching, metrics);
    this.#held = new HeldPartitions(name, this.#fetching, metrics.held, stateLog);
    this.#unserved = new UnservedPartitions(name, metrics.unserved);
    this.#lag = new Lag(name, admin, metrics.lag);
    this.#plans = new ReadingPlans({
      ...{ pipeline, layouts, batchersOf, logger, stateLog, readEpochs, fetching: this.#fetching },
      accepted: (assignment) => this.#opening.accepted(assignment),
      commit: (assignment, commits) => this.#commits.commitNow(assignment, commits),
      replaced: () => this.#applyBackpressure(),
    });
    const missing = new MissingRecords({ pipeline, metrics, logger, held: this.#held });
    const parts = { fetching: this.#fetching, plans: this.#plans, commits: this.#commits, missing, readEpochs, logger };
    const moved = (assignment: Assignment): void => {
      this.#plans.finish(assignment);
      this.#applyBackpressure();
    };
    this.#opening = new PartitionOpening({
      ...{ ...parts, held: this.#held, metrics, stateLog },
      starts: { ...starts, startFrom: (topic) => this.#membership.startOf(topic) },
      setMembers: (members) => this.#lanes.setMembers(members),
      moved,
    });
    this.#intake = new BatchIntake({
      ...{ ...parts, pipeline: name, admin, moved },
      opening: this.#opening,
      pointed: this.#pointedRecords(),
      handOver: (tracker, records, pointed) => {
        this.#lanes.of(tracker.plan.layout).handOver(tracker, records, pointed);
        metrics.consumed.inc({ pipeline: name, topic: tracker.topic }, records.length);
      },
    });
  }

  #pointedRecords(): PointedRecords {
    const { pipeline, decoders, metrics, stateLog } = this.#options;
    const pointers = new DecodedPointers(pipeline.settings.destination.mapping, decoders);
    return new PointedRecords({ pipeline: pipeline.name, pointers, fetching: this.#fetching, metrics, stateLog });
  }

  /** Handles the events of the group member. Without an assignment, events about partitions are ignored. */
  #memberHandlers(): MemberHandlers {
    const current = (act: (assignment: Assignment) => void): void => {
      if (this.#assignment !== null) act(this.#assignment);
    };
    return {
      joining: () => this.#unassign(),
      joined: (memberAssignment, unread) => {
        this.#membership.joined(unread);
        this.#assigned(new Assignment(memberAssignment));
      },
      outOfRange: (partition) => current((assignment) => this.#intake.outOfRange(assignment, partition)),
      partitionError: (partition, error) => current((assignment) => this.#brokerAnswers(assignment, partition, error)),
      batch: async (payload) => {
        if (this.#assignment !== null) await this.#intake.take(this.#assignment, payload);
      },
      failed: (error, delayMs) => {
        this.#unassign();
        this.#membership.failed(error, delayMs);
      },
      steady: () => this.#membership.steady(),
      leftBadly: (error) => {
        const fields = { pipeline: this.#pipeline.name, error: messageOf(error) };
        const message = 'The consumer has not left its group in order: others get its partitions later';
        this.#options.logger.warn(fields, message);
      },
    };
  }

  /** The pipeline's name. */
  get name(): string {
    return this.#pipeline.name;
  }

  /**
   * Says in one line what is not read and why. Null if every partition of this member is read, or there is no topic.
   */
  get problem(): string | null {
    const { failure } = this.#membership;
    if (failure !== null) return failure;
    const problem = this.#readingProblem();
    return problem === null ? null : `the consumer of pipeline ${this.#pipeline.name}: ${problem}`;
  }

  #readingProblem(): string | null {
    if (this.#draining) return 'it drains';
    if (this.#membership.isWaitingForTopics) return null;
    const assignment = this.#assignment;
    if (assignment === null) return this.#membership.startProblem ?? 'it has no assignment yet';
    const problems = [...new Set([...assignment.problems, ...this.#withheld(assignment)])];
    if (problems.length > 0) return `it does not read ${listed(problems)}`;
    return assignment.readable ? null : 'where its partitions start is not known yet';
  }

  /** Messages about what Kafka does not serve to this member. */
  #withheld(assignment: Assignment): string[] {
    const nowMs = performance.now();
    const unreachable = this.#unreachable.map((where) =>
      where.partition < 0 ? where.problem : `${partitionName(where)}: ${where.problem}`,
    );
    const withheld = assignment.partitions.flatMap((partition) => {
      const problem = partition.withheld(nowMs);
      return problem === null ? [] : [`${partition.name}: ${problem}`];
    });
    return [...unreachable, ...withheld];
  }

  /**
   * Joins the group and begins to consume. Resolves after the first attempt, and retries after a failure. Never
   * rejects.
   */
  async start(): Promise<void> {
    await this.#membership.start();
    if (this.#isDraining()) return;
    this.#timers.push(setInterval(() => void this.#commits.commitAccepted(this.#assignment), COMMIT_INTERVAL_MS));
    const updateAll = (): void => {
      this.#updateGauges();
      this.#countUnserved();
    };
    this.#timers.push(setInterval(updateAll, GAUGES_INTERVAL_MS));
    this.#timers.push(setInterval(() => void this.#measureLag(), LAG_INTERVAL_MS));
    this.#timers.push(setInterval(() => void this.#sweep(), SWEEP_INTERVAL_MS));
  }

  /**
   * Takes no more records, waits until everything handed over is accepted or the deadline is reached, commits, and
   * leaves the group. The next owner reads again what was not accepted.
   *
   * @param deadlineMs by `performance.now()`. It ends at most two seconds later
   */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    this.#membership.stop();
    this.#assignment?.drain();
    this.#fetching.pause(this.#assignment?.partitions ?? [], 'draining');
    this.#lanes.hurry(true);
    while (performance.now() < deadlineMs && this.#lanes.records > 0) await sleep(DRAIN_POLL_MS);
    for (const timer of this.#timers) clearInterval(timer);
    const ended = this.#lanes.end();
    const endMs = Math.max(deadlineMs, performance.now());
    await Promise.race([this.#commitLast(deadlineMs), until(endMs + LAST_COMMIT_MS)]);
    this.#unassign();
    await Promise.race([Promise.all([this.#member.leave(), ended]), until(endMs + LEAVE_MS)]);
  }

  /** Never rejects, but may wait as long as Kafka does. */
  async #commitLast(deadlineMs: number): Promise<void> {
    await this.#commits.settled();
    await Promise.race([this.#membership.settled(), until(deadlineMs)]);
    await this.#commits.commitAccepted(this.#assignment);
  }

  #isDraining(): boolean {
    return this.#draining;
  }

  // ── Assignments ──────────────────────────────────────────────────────────────────────────────────────────────────

  #unassign(): void {
    this.#assignment?.end();
    this.#assignment = null;
    this.#commits.forget();
    this.#lanes.clear();
    this.#lag.forget();
    this.#unreachable = [];
    this.#updateGauges();
    this.#held.count(null);
    this.#countUnserved();
  }

  #assigned(assignment: Assignment): void {
    const { metrics, logger } = this.#options;
    const { name: pipeline } = this.#pipeline;
    metrics.rebalances.inc({ pipeline });
    const { partitions } = assignment;
    // Nothing is fetched until the starts are known. kafkajs would start at the committed offset, and if the log does
    // not have that any more, it would commit "earliest" over it, without our metadata.
    this.#fetching.begin(partitions, 'start');
    if (this.#draining) {
      assignment.drain();
      this.#fetching.pause(partitions, 'draining');
    }
    this.#assignment?.end();
    this.#assignment = assignment;
    void this.#opening.findStarts(assignment);
    this.#updateGauges();
    const level = this.#membership.isUnsteady ? 'debug' : 'info';
    logger[level]({ pipeline, partitions: assignment.size }, 'Partitions assigned');
  }

  #brokerAnswers(assignment: Assignment, where: TopicPartition, error: string | null): void {
    const partition = assignment.get(where);
    if (partition === undefined) return;
    partition.brokerAnswers(error, performance.now());
    if (error === UNKNOWN_TOPIC) this.#opening.topicGone(assignment, [partition]);
  }

  // ── Lanes ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #applyBackpressure(): void {
    if (this.#assignment?.goesOn() !== true) return;
    const areAllPaused = this.#pauses.apply(this.#assignment);
    this.#lanes.hurry(areAllPaused || this.#draining);
    this.#updateGauges();
  }

  #accepted({ segments }: Pack): void {
    if (this.#assignment !== null && segments.some(({ tracker }) => tracker.plan.end !== null))
      this.#plans.finish(this.#assignment);
    if (this.#fetching.count('buffer') > 0) this.#applyBackpressure();
    else this.#updateGauges();
  }

  async #sweep(): Promise<void> {
    const assignment = this.#assignment;
    if (assignment?.goesOn() === true) await this.#lanes.sweep(() => !assignment.isOver());
  }

  #updateGauges(): void {
    this.#options.metrics.assigned.set({ pipeline: this.#pipeline.name }, this.#assignment?.size ?? 0);
    this.#pauses.updateGauges(this.#assignment !== null);
    this.#lanes.updateGauges();
  }

  #countUnserved(): void {
    this.#unserved.count(this.#assignment, this.#unreachable, performance.now());
  }

  /** Also finds topics that are gone: no fetch tells of a partition that is paused. Never rejects. */
  async #measureLag(): Promise<void> {
    const assignment = this.#assignment;
    if (assignment === null) return;
    const { pipeline, stateLog, logger } = this.#options;
    const what = `reading of ${pipeline.name}`;
    try {
      const unreachable = await this.#lag.measure(assignment, this.#member.topics);
      if (assignment.isOver()) return;
      this.#unreachable = unreachable;
      const missing = new Set(unreachable.flatMap(({ topic, isMissing }) => (isMissing === true ? [topic] : [])));
      this.#opening.topicGone(
        assignment,
        assignment.partitions.filter(({ topic }) => missing.has(topic)),
      );
      this.#tellTransactions();
      const problems = this.#withheld(assignment);
      if (problems.length > 0) stateLog.problem(what, `Pipeline ${pipeline.name} cannot read ${listed(problems)}`);
      // Kafka serves them, but where one of them starts may still be unknown. That has a line of its own.
      else if (assignment.readable) stateLog.well(what, `Pipeline ${pipeline.name} reads all of its partitions again`);
    } catch (error) {
      logger.debug({ pipeline: pipeline.name, error: messageOf(error) }, 'The lag could not be measured');
    }
  }

  /** That a partition waits for the end of a transaction is right, but it may be one that nobody ends. */
  #tellTransactions(): void {
    const { pipeline, stateLog } = this.#options;
    const what = `transactions of ${pipeline.name}`;
    const waiting = this.#lag.waitingForTransactions(performance.now());
    if (waiting.length === 0) stateLog.well(what, `Pipeline ${pipeline.name} waits for no transaction any more`);
    else stateLog.problem(what, `Pipeline ${pipeline.name} waits for the end of transactions: ${listed(waiting)}`);
  }
}

/** @param atMs by `performance.now()` */
function until(atMs: number): Promise<void> {
  return sleep(Math.max(0, atMs - performance.now()), undefined, { ref: false });
}
