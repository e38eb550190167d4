import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs, {
  type Admin,
  type Batch,
  type Consumer,
  type ConsumerStartBatchProcessEvent,
  type EachBatchPayload,
  type Kafka,
  type Offsets,
  type PartitionAssigner,
} from 'kafkajs';
import type { KafkaConfig, PipelineConfig, StartFrom } from '../config/config.js';
import { layoutName } from '../records/batcherId.js';
import type { KafkaRecord } from '../records/record.js';
import type { Logger, StateLog } from '../telemetry/logging.js';
import type { Metrics } from '../telemetry/metrics.js';
import { Assignment, type PartitionCommit } from './assignment.js';
import { backpressureLimits, partitionsToPause } from './backpressure.js';
import type { BatcherClient, ClosedRunInfo } from './batcherClient.js';
import { formatCommitMetadata } from './commitMetadata.js';
import { FETCH_OPTIONS } from './fetchOptions.js';
import { flowControlLimits } from './flowControl.js';
import { fromKafkaMessage, toOffset } from './fromKafka.js';
import { Lane, type Pack } from './lane.js';
import { laneIndex } from './laneIndex.js';
import { LaneSender, type LaneObserver, type StopCause } from './laneSender.js';
import { startPosition } from './startPosition.js';
import { PartitionTracker } from './tracker.js';

/** Publishes a record that is too large for any signal to the dead-letter topic, and gives the stub that replaces it. */
export type SetAside = (source: PartitionTracker, record: KafkaRecord) => Promise<KafkaRecord>;

export interface PipelineConsumerOptions {
  readonly pipeline: PipelineConfig;
  readonly kafkaConfig: KafkaConfig;
  readonly kafka: Kafka;
  readonly admin: Admin;
  /** The batcher of an index, from 0. */
  readonly batcher: (index: number) => BatcherClient;
  readonly setAside: SetAside;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly stateLog: StateLog;
  /** The consumer is dead and will not come back by itself. */
  readonly onFatal: (error: Error) => void;
}

const COMMIT_INTERVAL_MS = 500;
const LAG_INTERVAL_MS = 10_000;
const SWEEP_INTERVAL_MS = 30_000;
const OPEN_RETRY_MS = 1_000;
const HEARTBEAT_WHILE_OPENING_MS = 1_000;
const DRAIN_POLL_MS = 20;

type Commit = (offsets: Offsets) => Promise<void>;

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
  readonly #consumer: Consumer;
  readonly #lanes: readonly Lane[];
  readonly #senders: readonly LaneSender[];
  readonly #paused = new Set<PartitionTracker>();
  readonly #blocked = new Set<string>();
  readonly #stopCauses = new Map<number, StopCause>();
  /** The last jump of a partition's fetch position that the log did not explain. */
  readonly #jumps = new WeakMap<PartitionTracker, string>();
  readonly #timers: NodeJS.Timeout[] = [];
  #senderRuns: Promise<void>[] = [];
  #assignmentCount = 0;
  #assignment: Assignment | null = null;
  #opened: Promise<void> = Promise.resolve();
  #commit: Commit | null = null;
  /** Commits run one after the other: this is the last one. */
  #lastCommit: Promise<unknown> = Promise.resolve();
  #committing = false;
  #draining = false;
  #clusterId = '';
  #lagSeries: { pipeline: string; topic: string; partition: number }[] = [];

  constructor(options: PipelineConsumerOptions) {
    this.#options = options;
    const { pipeline, kafka, kafkaConfig } = options;
    this.#pipeline = pipeline;
    const limits = flowControlLimits(pipeline.flow);
    this.#lanes = Array.from({ length: pipeline.layout.batchers }, (_, index) => new Lane(index, pipeline.signal));
    this.#senders = this.#lanes.map(
      (lane) =>
        new LaneSender({
          lane,
          batcher: options.batcher(lane.index),
          limits,
          settings: pipeline.settings,
          observer: this.#observe(lane),
        }),
    );
    this.#consumer = kafka.consumer({
      groupId: pipeline.groupId,
      sessionTimeout: kafkaConfig.sessionTimeoutMs,
      heartbeatInterval: Math.min(3_000, kafkaConfig.sessionTimeoutMs / 3),
      metadataMaxAge: 60_000,
      ...FETCH_OPTIONS,
      allowAutoTopicCreation: false,
      partitionAssigners: [this.#fencingAssigner()],
      retry: { initialRetryTime: 100, maxRetryTime: 5_000, retries: 8 },
    });
  }

  /** True while this member has an assignment and every partition of it is being read. */
  get ready(): boolean {
    return this.#assignment !== null && this.#blocked.size === 0 && !this.#draining;
  }

  /** Joins the group and begins to consume. Rejects where Kafka refuses, for instance for a topic that does not exist. */
  async start(): Promise<void> {
    const { GROUP_JOIN, CRASH, START_BATCH_PROCESS } = this.#consumer.events;
    this.#consumer.on(GROUP_JOIN, ({ payload }) => this.#assigned(payload.memberAssignment));
    this.#consumer.on(CRASH, ({ payload: { error, restart } }) => {
      this.#unassign();
      if (!restart) this.#options.onFatal(error);
    });
    this.#consumer.on(START_BATCH_PROCESS, ({ payload }) => {
      if (payload.batchSize === 0) this.#skipEmptyBatch(payload);
    });
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...this.#pipeline.topics], fromBeginning: true });
    this.#senderRuns = this.#senders.map((sender) => sender.run());
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: 16,
      eachBatch: (payload) => this.#takeBatch(payload),
    });
    this.#timers.push(setInterval(() => void this.#commitAccepted(), COMMIT_INTERVAL_MS));
    this.#timers.push(setInterval(() => void this.#measureLag(), LAG_INTERVAL_MS));
    this.#timers.push(setInterval(() => void this.#sweep(), SWEEP_INTERVAL_MS));
  }

  /**
   * Takes nothing more in, waits until everything handed over is accepted or the deadline is reached, commits, leaves the
   * group. What was not accepted by then is read again by the next owner.
   */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    if (this.#assignment !== null && this.#assignment.partitions.length > 0)
      this.#consumer.pause(topicPartitions(this.#assignment.partitions));
    while (Date.now() < deadlineMs && this.#lanes.some((lane) => lane.records > 0)) await sleep(DRAIN_POLL_MS);
    for (const sender of this.#senders) sender.stop();
    for (const timer of this.#timers) clearInterval(timer);
    await this.#lastCommit;
    await this.#commitAccepted();
    this.#unassign();
    await this.#consumer.disconnect();
    await Promise.all(this.#senderRuns);
  }

  // ── Assignments ──────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * kafkajs has no callback for a revocation, but asks its assigner for the protocol's metadata each time it begins to
   * join; from then on the old assignment counts no more.
   */
  #fencingAssigner(): PartitionAssigner {
    return (config) => {
      const assigner = kafkajs.PartitionAssigners.roundRobin(config);
      return {
        ...assigner,
        protocol: (subscription) => {
          this.#unassign();
          return assigner.protocol(subscription);
        },
      };
    };
  }

  #unassign(): void {
    this.#assignment = null;
    this.#commit = null;
    for (const lane of this.#lanes) lane.clear();
    this.#blocked.clear();
    this.#updateGauges();
  }

  #assigned(memberAssignment: Record<string, number[]>): void {
    const assignment = new Assignment(++this.#assignmentCount, memberAssignment);
    const { metrics, logger } = this.#options;
    metrics.rebalances.inc({ pipeline: this.#pipeline.name });
    for (const labels of this.#lagSeries) metrics.lag.remove(labels);
    this.#lagSeries = [];
    // kafkajs keeps a pause over a rebalance, also of a partition that was lost and came back.
    if (assignment.partitions.length > 0) this.#consumer.resume(topicPartitions(assignment.partitions));
    this.#paused.clear();
    this.#assignment = assignment;
    this.#opened = this.#open(assignment);
    this.#updateGauges();
    logger.info({ pipeline: this.#pipeline.name, partitions: assignment.partitions.length }, 'Partitions assigned');
  }

  /** Finds out where each partition starts. Repeats until it succeeds or the assignment is over; never rejects. */
  async #open(assignment: Assignment): Promise<void> {
    const { name } = this.#pipeline;
    while (this.#isCurrent(assignment)) {
      try {
        const trackers = await this.#findStartPositions(assignment);
        if (!this.#isCurrent(assignment)) return;
        for (const { tracker, committed } of trackers) assignment.open(tracker, committed);
        assignment.opened = true;
        this.#options.stateLog.well(`offsets of ${name}`, `The committed offsets of pipeline ${name} could be read`);
        return;
      } catch (error) {
        const message = `The committed offsets of pipeline ${name} cannot be read: ${messageOf(error)}`;
        this.#options.stateLog.problem(`offsets of ${name}`, message);
        await sleep(OPEN_RETRY_MS);
      }
    }
  }

  async #findStartPositions(
    assignment: Assignment,
  ): Promise<{ readonly tracker: PartitionTracker; readonly committed: number | null }[]> {
    const { admin, logger, stateLog } = this.#options;
    const { groupId, layout, startFrom, name } = this.#pipeline;
    const topics = [...new Set(assignment.partitions.map(({ topic }) => topic))];
    const [{ clusterId }, committed, logs] = await Promise.all([
      admin.describeCluster(),
      topics.length === 0 ? [] : admin.fetchOffsets({ groupId, topics }),
      Promise.all(topics.map(async (topic) => ({ topic, partitions: await admin.fetchTopicOffsets(topic) }))),
    ]);
    this.#clusterId = clusterId;
    const opened: { tracker: PartitionTracker; committed: number | null }[] = [];
    const newEpochs: Record<string, number> = {};
    for (const { topic, partition } of assignment.partitions) {
      const commit = find(committed, topic, partition);
      const log = find(logs, topic, partition);
      if (log === undefined) throw new Error(`Kafka does not know partition ${partition} of topic ${topic}`);
      const committedOffset = commit === undefined || toOffset(commit.offset) < 0 ? null : toOffset(commit.offset);
      const position = startPosition(
        {
          committedOffset,
          committedMetadata: commit?.metadata ?? null,
          logStart: toOffset(log.low),
          logEnd: toOffset(log.high),
        },
        { layout: layoutName(layout), clusterId, startFrom },
      );
      const where = { pipeline: name, topic, partition };
      switch (position.type) {
        case 'continue':
          if (position.missed > 0) this.#countGap(topic, partition, committedOffset ?? 0, position.offset);
          opened.push({
            tracker: new PartitionTracker({ topic, partition, epoch: position.epoch }, position.offset),
            committed: committedOffset,
          });
          break;
        case 'newEpoch': {
          const offset =
            typeof position.offset === 'number'
              ? position.offset
              : await this.#resolveStart(position.offset, topic, partition, log);
          const epoch = newEpoch();
          opened.push({ tracker: new PartitionTracker({ topic, partition, epoch }, offset), committed: null });
          logger.debug({ ...where, offset, epoch, reason: position.reason }, 'A new epoch begins');
          newEpochs[position.reason] = (newEpochs[position.reason] ?? 0) + 1;
          break;
        }
        case 'layoutChanged': {
          this.#blocked.add(`${topic}/${partition}`);
          const problem =
            `Pipeline ${name} does not read ${topic}/${partition}: its offsets were committed with batchers: ` +
            `${position.committedLayout.split('-')[0] ?? ''}, the configuration says ${layout.batchers}. Set batchers back`;
          stateLog.problem(`layout of ${topic}/${partition}`, problem);
        }
      }
    }
    if (Object.keys(newEpochs).length > 0) logger.info({ pipeline: name, partitions: newEpochs }, 'New epochs begin');
    return opened;
  }

  async #resolveStart(
    startFrom: StartFrom,
    topic: string,
    partition: number,
    log: { readonly low: string; readonly high: string },
  ): Promise<number> {
    if (startFrom === 'earliest') return toOffset(log.low);
    if (startFrom === 'latest') return toOffset(log.high);
    const offsets = await this.#options.admin.fetchTopicOffsetsByTimestamp(topic, startFrom.timestampMs);
    return toOffset(offsets.find((entry) => entry.partition === partition)?.offset ?? log.high);
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
    while (!assignment.opened) {
      if (!this.#isCurrent(assignment)) return;
      await Promise.race([this.#opened, sleep(HEARTBEAT_WHILE_OPENING_MS)]);
      await payload.heartbeat();
    }
    await this.#commitEpochs(assignment, commit);
    const tracker = await this.#alignedTracker(assignment, batch, commit);
    if (tracker === null || !this.#isCurrent(assignment) || this.#isDraining()) return;

    this.#handOver(tracker, batch);
    payload.resolveOffset((batch.messages.at(-1) as Batch['messages'][number]).offset);
    this.#applyBackpressure();
  }

  /** A new epoch is committed before anything is sent under it, so that its identities survive a crash. */
  async #commitEpochs(assignment: Assignment, commit: Commit): Promise<void> {
    if (assignment.uncommittedEpochs().length === 0) return;
    await this.#commitInTurn(assignment, () => assignment.uncommittedEpochs(), commit);
  }

  /**
   * The tracker that this batch continues; null where the batch has to be left alone. What kafkajs fetched is compared
   * with what is due: it moves its position by itself where an offset is out of range, and with several brokers it may
   * still hand out what it fetched before a rebalance. Which of the two, the log tells.
   */
  async #alignedTracker(assignment: Assignment, batch: Batch, commit: Commit): Promise<PartitionTracker | null> {
    if (!this.#isCurrent(assignment)) return null;
    const { topic, partition } = batch;
    let tracker = assignment.tracker(topic, partition);
    if (tracker === undefined) {
      this.#consumer.pause([{ topic, partitions: [partition] }]);
      return null;
    }
    const fetched = toOffset((batch as Batch & { readonly fetchedOffset: string }).fetchedOffset);
    if (fetched === tracker.next) return tracker;

    const log = await this.#options.admin.fetchTopicOffsets(topic);
    const range = log.find((entry) => entry.partition === partition);
    if (!this.#isCurrent(assignment) || range === undefined) return null;
    const logStart = toOffset(range.low);
    if (toOffset(range.high) < tracker.next) {
      tracker = this.#beginAnew(assignment, tracker, logStart);
      await this.#commitEpochs(assignment, commit);
      if (!this.#isCurrent(assignment)) return null;
    } else if (logStart > tracker.next) {
      this.#countGap(topic, partition, tracker.next, logStart);
      tracker.advanceTo(logStart);
    }
    // Told to go on at `next`, kafkajs came to the same later offset again: what lies between are batches without a
    // record (compacted, aborted, control), which it passes over without a word.
    const jump = `${tracker.next} to ${fetched}`;
    if (fetched > tracker.next && this.#jumps.get(tracker) === jump) tracker.advanceTo(fetched);
    if (fetched === tracker.next) return tracker;
    this.#jumps.set(tracker, jump);
    this.#seek(tracker);
    return null;
  }

  /** The log ends before the position: it is another log. */
  #beginAnew(assignment: Assignment, { topic, partition, next }: PartitionTracker, logStart: number): PartitionTracker {
    const tracker = new PartitionTracker({ topic, partition, epoch: newEpoch() }, logStart);
    assignment.open(tracker, null);
    this.#options.logger.warn(
      { pipeline: this.#pipeline.name, topic, partition, expected: next, logStart, epoch: tracker.epoch },
      'The log of a partition ends before the position in it: its topic was recreated. A new epoch begins',
    );
    return tracker;
  }

  /** Makes kafkajs go on where the tracker is. */
  #seek({ topic, partition, next }: PartitionTracker): void {
    this.#consumer.seek({ topic, partition, offset: String(next) });
  }

  #handOver(tracker: PartitionTracker, batch: Batch): void {
    const { name, layout } = this.#pipeline;
    const nowMs = Date.now();
    const touched = new Set<number>();
    for (const message of batch.messages) {
      const record = fromKafkaMessage(message);
      const index = laneIndex(record.key, tracker.partition, layout.batchers);
      (this.#lanes[index] as Lane).add(tracker, record, nowMs);
      touched.add(index);
    }
    tracker.advanceTo(toOffset(batch.lastOffset()) + 1);
    for (const index of touched) (this.#senders[index] as LaneSender).wake();
    this.#options.metrics.consumed.inc({ pipeline: name, topic: tracker.topic }, batch.messages.length);
  }

  /**
   * kafkajs passes over a batch of control records or aborted ones by itself; it is no gap. Only what joins counts: a
   * batch from elsewhere would move the position past records that were never handed over.
   */
  #skipEmptyBatch({ topic, partition, firstOffset, lastOffset }: ConsumerStartBatchProcessEvent['payload']): void {
    const tracker = this.#assignment?.tracker(topic, partition);
    // Null where all of the batch was compacted away, whatever kafkajs's types say.
    const first = firstOffset as string | null;
    if (tracker?.next === toOffset(first ?? lastOffset)) tracker.advanceTo(toOffset(lastOffset) + 1);
  }

  #countGap(topic: string, partition: number, from: number, to: number): void {
    const { metrics, logger } = this.#options;
    metrics.gaps.inc({ pipeline: this.#pipeline.name, topic });
    logger.warn(
      { pipeline: this.#pipeline.name, topic, partition, from, to: to - 1 },
      'Offsets are missing from the log: the topic’s retention removed them before they were read',
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
    const wanted = partitionsToPause(assignment.trackers(), this.#lanes, limits, (tracker) =>
      this.#paused.has(tracker),
    );
    const pause = [...wanted].filter((tracker) => !this.#paused.has(tracker));
    const resume = [...this.#paused].filter((tracker) => !wanted.has(tracker));
    if (pause.length > 0) this.#consumer.pause(topicPartitions(pause));
    if (resume.length > 0) this.#consumer.resume(topicPartitions(resume));
    for (const tracker of pause) this.#paused.add(tracker);
    for (const tracker of resume) this.#paused.delete(tracker);
    this.#updateGauges();
  }

  #observe(lane: Lane): LaneObserver {
    const { metrics, stateLog, setAside, pipeline, batcher } = this.#options;
    const labels = { pipeline: pipeline.name };
    const what = `batcher ${pipeline.name}/${lane.index}`;
    return {
      accepted: (pack, seconds) => {
        metrics.signals.inc({ ...labels, outcome: 'accepted' });
        metrics.signalledRecords.inc(labels, pack.records);
        metrics.signalSeconds.observe(labels, seconds);
        if (this.#paused.size > 0) this.#applyBackpressure();
        else this.#updateGauges();
      },
      notAccepted: (outcome) => metrics.signals.inc({ ...labels, outcome }),
      stopped: (cause, message) => {
        this.#stopCauses.set(lane.index, cause);
        this.#updateGauges();
        stateLog.problem(what, `Nothing is sent to ${batcher(lane.index).workflowId}: ${message}`);
      },
      resumed: () => {
        this.#stopCauses.delete(lane.index);
        this.#updateGauges();
        stateLog.well(what, `${batcher(lane.index).workflowId} takes signals again`);
      },
      heirStarted: (closed) => this.#reportHeir(lane.index, closed),
      setAside: async (pack: Pack) => {
        const [segment] = pack.segments;
        const record = segment?.records[0];
        if (segment === undefined || record === undefined) return;
        lane.replaceHead(pack, await setAside(segment.tracker, record));
      },
    };
  }

  #reportHeir(index: number, { runId, status }: ClosedRunInfo): void {
    const { metrics, logger, batcher } = this.#options;
    const pipeline = this.#pipeline.name;
    const drained = status === 'COMPLETED';
    metrics.heirs.inc({ pipeline, closed: drained ? 'drained' : 'unexpectedly' });
    const fields = { pipeline, batcher: batcher(index).workflowId, closedRun: runId, status };
    if (drained) logger.info(fields, 'A drained batcher was started again');
    else logger.warn(fields, 'The run of a batcher was closed from outside. A new run takes over what it had accepted');
  }

  /** Finds closed runs that no traffic touches: what they had accepted must not wait for the next record. */
  async #sweep(): Promise<void> {
    const assignment = this.#assignment;
    if (assignment === null || this.#draining) return;
    const { batcher, logger } = this.#options;
    for (const { index } of this.#lanes) {
      if (!this.#isCurrent(assignment)) return;
      try {
        const closed = await batcher(index).startHeir({ drained: false });
        if (closed !== null) this.#reportHeir(index, closed);
      } catch (error) {
        logger.debug({ pipeline: this.#pipeline.name, error: messageOf(error) }, 'A batcher could not be looked at');
        return;
      }
    }
  }

  #updateGauges(): void {
    const { metrics } = this.#options;
    const pipeline = this.#pipeline.name;
    metrics.assigned.set({ pipeline }, this.#assignment?.partitions.length ?? 0);
    metrics.paused.set({ pipeline }, this.#paused.size);
    metrics.waiting.set(
      { pipeline },
      this.#lanes.reduce((sum, lane) => sum + lane.records, 0),
    );
    for (const cause of ['history', 'closed', 'temporal'] as const) {
      const stopped = [...this.#stopCauses.values()].filter((other) => other === cause).length;
      metrics.stoppedLanes.set({ pipeline, cause }, stopped);
    }
  }

  // ── Commits ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Commits what has been accepted since the last time. A commit that fails is made anew next time, never repeated. */
  async #commitAccepted(): Promise<void> {
    const assignment = this.#assignment;
    const commit = this.#commit;
    if (assignment === null || commit === null || this.#committing) return;
    this.#committing = true;
    try {
      await this.#commitInTurn(assignment, () => assignment.advanced(), commit);
    } catch (error) {
      // Ownership lost, or a broker away: heartbeats find out which, and the next commit starts from what is then true.
      this.#options.logger.debug({ pipeline: this.#pipeline.name, error: messageOf(error) }, 'A commit failed');
    } finally {
      this.#committing = false;
    }
  }

  /** One commit at a time; what to commit is asked only when its turn has come. */
  #commitInTurn(assignment: Assignment, commits: () => readonly PartitionCommit[], commit: Commit): Promise<void> {
    const turn = this.#lastCommit.then(() => this.#commitOffsets(assignment, commits(), commit));
    this.#lastCommit = turn.catch(() => undefined);
    return turn;
  }

  async #commitOffsets(assignment: Assignment, commits: readonly PartitionCommit[], commit: Commit): Promise<void> {
    if (commits.length === 0 || !this.#isCurrent(assignment)) return;
    const { metrics } = this.#options;
    const { name, layout } = this.#pipeline;
    const byTopic = new Map<string, { partition: number; offset: string; metadata: string }[]>();
    for (const { topic, partition, offset, epoch } of commits) {
      const metadata = formatCommitMetadata({ epoch, layout: layoutName(layout), clusterId: this.#clusterId });
      byTopic.set(topic, [...(byTopic.get(topic) ?? []), { partition, offset: String(offset), metadata }]);
    }
    try {
      // Of kafkajs's ways to commit the only one that does not try again under whatever generation is then current.
      await commit({ topics: [...byTopic].map(([topic, partitions]) => ({ topic, partitions })) });
    } catch (error) {
      metrics.commits.inc({ pipeline: name, outcome: 'failed' });
      throw error;
    }
    metrics.commits.inc({ pipeline: name, outcome: 'ok' });
    assignment.committed(commits);
  }

  // ── Lag ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #measureLag(): Promise<void> {
    const assignment = this.#assignment;
    if (assignment === null) return;
    const { admin, metrics, logger } = this.#options;
    try {
      for (const topic of this.#pipeline.topics) {
        const log = await admin.fetchTopicOffsets(topic);
        if (!this.#isCurrent(assignment)) return;
        for (const { partition, high } of log) {
          const tracker = assignment.tracker(topic, partition);
          if (tracker === undefined) continue;
          const labels = { pipeline: this.#pipeline.name, topic, partition };
          const committed = assignment.committedOffset(tracker) ?? tracker.startOffset;
          metrics.lag.set(labels, Math.max(0, toOffset(high) - committed));
          this.#lagSeries.push(labels);
        }
      }
    } catch (error) {
      logger.debug({ pipeline: this.#pipeline.name, error: messageOf(error) }, 'The lag could not be measured');
    }
  }
}

/** A random id: 48 bits, for one reading of one partition's log. */
function newEpoch(): string {
  return randomBytes(6).toString('hex');
}

function topicPartitions(
  partitions: Iterable<{ readonly topic: string; readonly partition: number }>,
): { topic: string; partitions: number[] }[] {
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of partitions) byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition]);
  return [...byTopic].map(([topic, list]) => ({ topic, partitions: list }));
}

function find<T extends { readonly partition: number }>(
  topics: readonly { readonly topic: string; readonly partitions: readonly T[] }[],
  topic: string,
  partition: number,
): T | undefined {
  return topics.find((entry) => entry.topic === topic)?.partitions.find((entry) => entry.partition === partition);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
