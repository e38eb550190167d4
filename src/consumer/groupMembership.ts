import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Kafka } from 'kafkajs';
import type { PipelineConfig, StartFrom } from '../config/config.js';
import { NAME_OF_ALL_OBJECTS } from '../config/topics.js';
import type { GroupMember } from '../kafka/groupMember.js';
import { describeNoAnswer } from '../kafka/offsets.js';
import { causeOf, isUserRefusal } from '../kafka/userRefusal.js';
import { listed } from '../lib/listed.js';
import { messageOf } from '../lib/messageOf.js';
import { partitionName } from '../protocol/record.js';
import type { Logger, StateLog } from '../telemetry/logging.js';
import type { Metrics } from '../telemetry/metrics.js';
import { FirstEnds } from './partitions/firstEnds.js';
import { commitLatest } from './partitions/latestStart.js';
import type { PartitionStartsOptions } from './partitions/partitionStarts.js';
import { TopicWatch } from './topicWatch.js';

/** A new topic is read within a minute: after this interval and a rebalance of all members. */
const TOPICS_INTERVAL_MS = 15_000;
const RETRY_MS = 1_000;

export interface GroupMembershipOptions {
  readonly pipeline: PipelineConfig;
  readonly kafka: Kafka;
  readonly member: Pick<GroupMember, 'join' | 'leave' | 'topics'>;
  readonly starts: Omit<PartitionStartsOptions, 'startFrom'>;
  /** Commits what was accepted and gives the assignment up, before the consumer joins for other topics. */
  readonly release: () => Promise<void>;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly stateLog: StateLog;
}

/**
 * Keeps a pipeline's consumer in its group, for the topics that match, and says why it is not there.
 *
 *     outside ──start──► waiting for topics ──a topic matches──► joined ──other topics match──► released, joined again
 *                                                                 ▲  │ failed
 *                                                                 │  ▼
 *                                                            joins again later
 *     any ──stop──► stopped
 *
 * A failure concerns this pipeline only. If Kafka does not say which topics there are, it is asked again every second.
 * {@link GroupMember} joins again with a new kafkajs consumer. Only {@link stop} ends it.
 */
export class GroupMembership {
  readonly #options: GroupMembershipOptions;
  readonly #topics: TopicWatch;
  /** The ends that `startFrom: latest` stands for. */
  readonly #firstEnds = new FirstEnds();
  /**
   * Topics for which nothing could be committed when `startFrom: latest` was carried out, and the time of that, in
   * milliseconds since 1970.
   */
  readonly #silentSinceMs = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #following: Promise<void> | null = null;
  #isWaitingForTopics = false;
  #startProblem: string | null = null;
  #failure: string | null = null;
  #isUnsteady = false;
  #stopped = false;

  constructor(options: GroupMembershipOptions) {
    this.#options = options;
    this.#topics = new TopicWatch(options.starts.admin, options.pipeline);
  }

  /** Why it is not in its group. Null if it is, or has not failed. */
  get failure(): string | null {
    return this.#failure;
  }

  /** Why it has not begun to join its group. Null if nothing is wrong. */
  get startProblem(): string | null {
    return this.#startProblem;
  }

  /** No topic matches. */
  get isWaitingForTopics(): boolean {
    return this.#isWaitingForTopics;
  }

  /** It has failed, and was not in its group for a minute since. */
  get isUnsteady(): boolean {
    return this.#isUnsteady;
  }

  /** Where a partition of a topic starts that was never read, and for which nothing is committed. */
  startOf(topic: string): StartFrom {
    const { startFrom } = this.#options.pipeline;
    if (startFrom !== 'latest') return startFrom;
    // For all other partitions `latest` is committed by now.
    const sinceMs = this.#silentSinceMs.get(topic);
    return sinceMs === undefined ? 'earliest' : { timestampMs: sinceMs };
  }

  /** Joins the group; resolves after the first try, and tries again where it fails. Never rejects. */
  async start(): Promise<void> {
    await this.#readFirst();
    if (this.#isStopped() || !this.#topics.changes) return;
    this.#timer = setInterval(() => {
      // One check at a time. If Kafka is slow, it may take longer than the interval.
      this.#following ??= this.#follow().finally(() => (this.#following = null));
    }, TOPICS_INTERVAL_MS);
  }

  /** It does not join any more. To leave the group is the caller's part. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  /** Waits for a change of topics that is on its way. */
  async settled(): Promise<void> {
    await this.#following;
  }

  /** The member has left its group, or could not join it, and joins again after this time. */
  failed(error: Error, delayMs: number): void {
    const { metrics, logger, stateLog, pipeline } = this.#options;
    const { name } = pipeline;
    const cause = isUserRefusal(error) ? 'refused' : 'failed';
    this.#isUnsteady = true;
    metrics.consumerFailures.inc({ pipeline: name, cause });
    metrics.consumerDown.set({ pipeline: name }, 1);
    this.#failure =
      cause === 'refused'
        ? `Kafka refuses the consumer of pipeline ${name}: ${causeOf(error)}. Check its credentials, and its rights to read the topics and the group`
        : `the consumer of pipeline ${name} has failed and joins again: ${causeOf(error)}`;
    stateLog.problem(`consumer of ${name}`, this.#failure);
    logger.debug({ pipeline: name, delayMs, stack: error.stack }, 'The consumer joins its group again later');
  }

  /** @param unread topics of partitions that it was given although it does not read them */
  joined(unread: readonly string[]): void {
    const { metrics, pipeline, stateLog } = this.#options;
    const { name } = pipeline;
    this.#failure = null;
    metrics.consumerDown.set({ pipeline: name }, 0);
    const what = `partitions given to ${name}`;
    if (unread.length === 0) {
      stateLog.well(what, `Pipeline ${name} is given only partitions of topics that it reads`);
      return;
    }
    stateLog.problem(
      what,
      `The leader of the group of pipeline ${name} has given this member partitions of topics that it does not read, so nobody reads them now: ` +
        `${listed([...unread].sort())}. End the leader, which is of an earlier version or another program, or give all members the same topics`,
    );
  }

  /**
   * Reported only after a minute. Otherwise a consumer that joins and fails again and again would be reported well and
   * ill in turns.
   */
  steady(): void {
    const { name } = this.#options.pipeline;
    this.#isUnsteady = false;
    this.#options.stateLog.well(`consumer of ${name}`, `The consumer of pipeline ${name} is well again`);
  }

  /** Repeats until it is known what to read, or it is stopped; never rejects. */
  async #readFirst(): Promise<void> {
    const { pipeline } = this.#options;
    while (!this.#stopped) {
      try {
        await this.#read(await this.#checkTopics());
        return;
      } catch (error) {
        this.#cannotBegin(`topics of ${pipeline.name}`, `cannot find out which topics match: ${messageOf(error)}`);
        await sleep(RETRY_MS);
      }
    }
  }

  /**
   * Takes up new matching topics and drops those that are gone. Never rejects. After a failure the next check repeats
   * it.
   */
  async #follow(): Promise<void> {
    const { pipeline, member, release, stateLog } = this.#options;
    try {
      const topics = await this.#checkTopics();
      if (this.#stopped || isDeepStrictEqual(topics, member.topics)) return;
      await release();
      await member.leave();
      if (!this.#isStopped()) await this.#read(topics);
    } catch (error) {
      const message = `Pipeline ${pipeline.name} cannot take up the topics that match: ${messageOf(error)}`;
      stateLog.problem(`topics of ${pipeline.name}`, message);
    }
  }

  async #checkTopics(): Promise<readonly string[]> {
    const { pipeline, stateLog } = this.#options;
    const topics = await this.#topics.check();
    const what = `names of the topics of ${pipeline.name}`;
    const passedOver = listed(this.#topics.passedOver);
    if (passedOver === '') stateLog.well(what, `Pipeline ${pipeline.name} passes no topic over`);
    else stateLog.problem(what, `Pipeline ${pipeline.name} passes over ${passedOver}: ${NAME_OF_ALL_OBJECTS}`);
    return topics;
  }

  async #read(topics: readonly string[]): Promise<void> {
    const { metrics, logger, stateLog, member } = this.#options;
    const { name: pipeline, startFrom } = this.#options.pipeline;
    const what = `topics of ${pipeline}`;
    this.#isWaitingForTopics = topics.length === 0;
    if (this.#isWaitingForTopics) {
      this.#startProblem = null;
      metrics.consumerDown.set({ pipeline }, 0);
      stateLog.problem(what, `Pipeline ${pipeline} reads nothing: no topic matches. One that comes to match is read`);
      return;
    }
    for (const topic of topics)
      for (const counter of [metrics.consumed, metrics.gaps, metrics.truncations, metrics.unreadableBatches])
        counter.inc({ pipeline, topic }, 0);
    if (startFrom === 'latest') await this.#commitLatest(topics);
    if (this.#isStopped()) return;
    this.#startProblem = null;
    await member.join(topics);
    stateLog.well(what, `Pipeline ${pipeline} reads the topics that match`);
    if (this.#topics.changes) logger.info({ pipeline, topics }, 'Topics are read');
  }

  /** Repeats until it succeeds or it is stopped. */
  async #commitLatest(topics: readonly string[]): Promise<void> {
    const { kafka, starts, stateLog, logger } = this.#options;
    const pipeline = this.#options.pipeline.name;
    const what = `latest offsets of ${pipeline}`;
    const wereThere = topics.filter((topic) => this.#topics.wasThere(topic));
    while (!this.#stopped) {
      try {
        const { atEnds, atBeginnings, waiting, silent, sinceMs } = await commitLatest(
          wereThere,
          { ...starts, kafka },
          this.#firstEnds,
        );
        for (const topic of silent) if (!this.#silentSinceMs.has(topic)) this.#silentSinceMs.set(topic, sinceMs);
        const since = new Date(sinceMs).toISOString();
        if (atEnds > 0)
          logger.info(
            { pipeline, partitions: atEnds },
            `Partitions that were never read begin where their logs ended at ${since}`,
          );
        if (waiting.length > 0)
          logger.warn(
            { pipeline, partitions: waiting.length },
            `What was never read begins with what was written since ${since}, once it can be read: ${listed(waiting.map(describeNoAnswer))}`,
          );
        if (atBeginnings.length > 0)
          logger.warn(
            { pipeline, partitions: atBeginnings.length },
            `The group has lost its offsets. Partitions that no batcher knows are read from their beginnings, so that nothing is lost. To skip what is old, stop the consumers and set the group's offsets there: ${listed(atBeginnings.map(partitionName))}`,
          );
      } catch (error) {
        this.#cannotBegin(what, `cannot commit where it begins: ${messageOf(error)}`);
        await sleep(RETRY_MS);
        continue;
      }
      stateLog.well(what, `Where pipeline ${pipeline} begins is committed`);
      return;
    }
  }

  /** It is out of its group, and tries again by itself. No failure of the consumer tells of it: there is none yet. */
  #cannotBegin(what: string, problem: string): void {
    const { metrics, stateLog } = this.#options;
    const pipeline = this.#options.pipeline.name;
    this.#startProblem = `it ${problem}`;
    metrics.errors.inc({ pipeline, stage: 'start' });
    metrics.consumerDown.set({ pipeline }, 1);
    stateLog.problem(what, `Pipeline ${pipeline} ${problem}`);
  }

  /** Asked again after a wait; the compiler still sees the answer before. */
  #isStopped(): boolean {
    return this.#stopped;
  }
}
