import type { Consumer, ConsumerStartBatchProcessEvent, EachBatchPayload, Kafka } from 'kafkajs';
import type { TopicPartition } from '../protocol/record.js';
import { fencingAssigner } from './fencingAssigner.js';
import { isRefusal } from './refusal.js';
import { FETCH_OPTIONS } from './fetchOptions.js';
import { rejoinDelayMs, STEADY_MS } from './rejoining.js';

/** What happens to a member of a consumer group. */
export interface MembershipHandlers {
  /** It begins to join: from now on it has no partition. */
  readonly joining: () => void;
  /** It has these partitions, by topic. */
  readonly joined: (memberAssignment: Record<string, number[]>) => void;
  /** The log of a partition does not have the offset that was asked for. To pause it before returning. */
  readonly outOfRange: (partition: TopicPartition) => void;
  /** A broker does not give a partition, by the error that Kafka names; null once it gives it again. */
  readonly partitionError: (partition: TopicPartition, error: string | null) => void;
  readonly batch: (payload: EachBatchPayload) => Promise<void>;
  /** A batch in which there is nothing to hand over, which kafkajs keeps for itself. */
  readonly emptyBatch: (payload: ConsumerStartBatchProcessEvent['payload']) => void;
  /** It has left the group, or could not join it, and joins again after this time. */
  readonly failed: (error: Error, delayMs: number) => void;
  /** It has been in the group for a minute without a failure. */
  readonly steady: () => void;
  /** The group was not told that it leaves, or its connections are not closed: its partitions go to others after its session. */
  readonly leftBadly: (error: Error) => void;
}

/** What joining a group began and leaving it ends. */
interface Membership {
  readonly topics: readonly string[];
  /** Null while it waits before it joins again. */
  consumer: Consumer | null;
  rejoin: NodeJS.Timeout | undefined;
  /** In a row: since it was last in the group for a minute. */
  failures: number;
  /** Runs since the current consumer has joined. */
  steady: NodeJS.Timeout | undefined;
  /** When the consumer began, joined, or sent a heartbeat, by `performance.now()`. */
  heardMs: number;
  watch: NodeJS.Timeout | undefined;
  /** Ends the wait for the first try. */
  tried: () => void;
}

/**
 * Long enough for all members to notice a rebalance by their heartbeats. kafkajs waits 5 s longer for the answer to a member
 * that joins; with Kafka's 60 s a connection that swallows answers would cost more than a minute.
 */
const REBALANCE_TIMEOUT_MS = 45_000;

/**
 * A consumer sends a heartbeat every few seconds, whatever it reads, and joins within a minute or two. One that has done neither for so
 * long has ended without a word: kafkajs tells of a crash only once it has stopped and closed everything, which may fail, or not end.
 */
const SILENT_MS = 180_000;
const WATCH_INTERVAL_MS = 10_000;
/** kafkajs waits for what is being handled, and 30 s for an answer of the coordinator. */
const LEAVE_MAX_MS = 60_000;

/**
 * A member of a consumer group, by one kafkajs consumer after the other: the topics of one that runs cannot be changed, a
 * regular expression it resolves only once (kafkajs#1685), and one that has failed may be beyond repair.
 *
 *     outside ──join──► member ──leave──► outside
 *                        ▲  │ failed         ▲
 *                        │  ▼                │
 *                       waiting ──leave──────┘
 *
 * Whatever a consumer fails by, a new one is made in its place: kafkajs itself takes most errors for final, such as a
 * coordinator that is away for a minute. So it is with one that is not heard of any more. A consumer that was left is deaf and mute: nothing that it does reaches the handlers
 * any more, and it does not come back.
 */
export class GroupMember {
  readonly #kafka: Kafka;
  readonly #groupId: string;
  readonly #sessionTimeoutMs: number;
  readonly #handlers: MembershipHandlers;
  readonly #random: () => number;
  #membership: Membership | null = null;

  /** @param random from 0 to 1, for the time before it joins again */
  constructor(
    kafka: Kafka,
    group: { groupId: string; sessionTimeoutMs: number },
    handlers: MembershipHandlers,
    random: () => number = Math.random,
  ) {
    this.#kafka = kafka;
    this.#groupId = group.groupId;
    this.#sessionTimeoutMs = group.sessionTimeoutMs;
    this.#handlers = handlers;
    this.#random = random;
  }

  /** What it has joined for, or is trying to; empty while it is outside. */
  get topics(): readonly string[] {
    return this.#membership?.topics ?? [];
  }

  /**
   * Joins the group for these topics, or stays outside for none. Resolves after the first try, which ends after some three minutes at
   * the latest; where that fails, or the member fails later, it joins again until it is told to leave.
   */
  async join(topics: readonly string[]): Promise<void> {
    if (this.#membership !== null) throw new Error(`group ${this.#groupId} has to be left first`);
    if (topics.length === 0) return;
    const membership: Membership = {
      topics,
      consumer: null,
      rejoin: undefined,
      failures: 0,
      steady: undefined,
      heardMs: 0,
      watch: undefined,
      tried: () => undefined,
    };
    membership.watch = setInterval(() => this.#watch(membership), WATCH_INTERVAL_MS).unref();
    this.#membership = membership;
    // A try that never ends is given up after a while, or left: who waits for it goes on then, too.
    await new Promise<void>((resolve) => {
      membership.tried = resolve;
      void this.#enter(membership).finally(resolve);
    });
  }

  /** Never rejects, and ends within a minute: what fails on the way is told, and this member is outside all the same. */
  async leave(): Promise<void> {
    const membership = this.#membership;
    this.#membership = null;
    if (membership === null) return;
    clearTimeout(membership.rejoin);
    clearTimeout(membership.steady);
    clearInterval(membership.watch);
    const { consumer } = membership;
    membership.consumer = null;
    membership.tried();
    let late: NodeJS.Timeout | undefined;
    const neverEnds = new Promise<never>((_, reject) => {
      const error = new Error(`it has not ended within ${LEAVE_MAX_MS / 1_000} s`);
      late = setTimeout(() => reject(error), LEAVE_MAX_MS).unref();
    });
    try {
      await Promise.race([consumer?.disconnect(), neverEnds]);
    } catch (error) {
      this.#handlers.leftBadly(asError(error));
    } finally {
      clearTimeout(late);
    }
  }

  /** As kafkajs's own. Throws outside the group. */
  seek(...args: Parameters<Consumer['seek']>): void {
    this.#running().seek(...args);
  }

  /** As kafkajs's own. Throws outside the group. */
  pause(...args: Parameters<Consumer['pause']>): void {
    this.#running().pause(...args);
  }

  /** As kafkajs's own. Throws outside the group. */
  resume(...args: Parameters<Consumer['resume']>): void {
    this.#running().resume(...args);
  }

  #running(): Consumer {
    const consumer = this.#membership?.consumer ?? null;
    if (consumer === null) throw new Error(`not in group ${this.#groupId}`);
    return consumer;
  }

  /** One try, by a new consumer. Never rejects. */
  async #enter(membership: Membership): Promise<void> {
    const consumer = this.#createConsumer(membership);
    membership.consumer = consumer;
    membership.heardMs = performance.now();
    try {
      await consumer.connect();
      await consumer.subscribe({ topics: [...membership.topics], fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: 16,
        eachBatch: async (payload) => {
          if (membership.consumer === consumer) await this.#handlers.batch(payload);
        },
      });
    } catch (error) {
      this.#fail(membership, consumer, asError(error));
    }
    // Left on the way: what it has opened since is closed.
    if (membership.consumer !== consumer) await consumer.disconnect().catch(() => undefined);
  }

  #watch(membership: Membership): void {
    const { consumer, heardMs } = membership;
    const silentMs = performance.now() - heardMs;
    if (consumer === null || silentMs < SILENT_MS) return;
    this.#fail(membership, consumer, new Error(`nothing was heard of it for ${Math.round(silentMs / 1_000)} s`));
  }

  #fail(membership: Membership, consumer: Consumer, error: Error): void {
    // Left meanwhile, or failed already: kafkajs tells of a failure to join in its own way, and then of the next.
    if (membership.consumer !== consumer) return;
    membership.consumer = null;
    // One that has ended by itself is disconnected already, and the new one does not need it.
    consumer.disconnect().catch(() => undefined);
    clearTimeout(membership.steady);
    membership.steady = undefined;
    membership.failures++;
    const delayMs = rejoinDelayMs(membership.failures, isRefusal(error), this.#random());
    membership.rejoin = setTimeout(() => void this.#enter(membership), delayMs);
    this.#handlers.failed(error, delayMs);
    membership.tried();
  }

  #createConsumer(membership: Membership): Consumer {
    const isCurrent = (): boolean => membership.consumer === consumer;
    const { joining, joined, outOfRange, partitionError, emptyBatch, steady } = this.#handlers;
    const consumer = this.#kafka.consumer({
      groupId: this.#groupId,
      sessionTimeout: this.#sessionTimeoutMs,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      heartbeatInterval: Math.min(3_000, this.#sessionTimeoutMs / 3),
      metadataMaxAge: 60_000,
      ...FETCH_OPTIONS,
      allowAutoTopicCreation: false,
      // One that was left while it crashed or joined must not come back: nobody would read what it is given.
      partitionAssigners: [
        fencingAssigner(
          () => {
            if (!isCurrent()) throw new Error(`group ${this.#groupId} was left`);
            joining();
          },
          (partition) => {
            if (isCurrent()) outOfRange(partition);
          },
          (partition, error) => {
            if (isCurrent()) partitionError(partition, error);
          },
        ),
      ],
      retry: {
        initialRetryTime: 100,
        maxRetryTime: 5_000,
        retries: 8,
        restartOnFailure: () => Promise.resolve(false),
      },
    });
    const { GROUP_JOIN, HEARTBEAT, CRASH, START_BATCH_PROCESS } = consumer.events;
    const heard = (): void => {
      if (isCurrent()) membership.heardMs = performance.now();
    };
    consumer.on(HEARTBEAT, heard);
    consumer.on(GROUP_JOIN, ({ payload }) => {
      if (!isCurrent()) return;
      heard();
      membership.steady ??= setTimeout(() => {
        membership.failures = 0;
        steady();
      }, STEADY_MS);
      joined(payload.memberAssignment);
    });
    consumer.on(CRASH, ({ payload: { error } }) => this.#fail(membership, consumer, error));
    consumer.on(START_BATCH_PROCESS, ({ payload }) => {
      if (payload.batchSize === 0 && isCurrent()) emptyBatch(payload);
    });
    return consumer;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
