import type { Consumer, ConsumerConfig, EachBatchPayload, Kafka } from 'kafkajs';
import type { TopicPartition } from '../protocol/record.js';
import { fencingAssigner } from './fencingAssigner.js';
import { isUserRefusal } from './userRefusal.js';
import { FETCH_OPTIONS } from './fetchOptions.js';
import { asError } from '../lib/asError.js';
import { retryDelayMs, STEADY_MS } from '../lib/retryDelay.js';

/** Called when something happens to a member of a consumer group. */
export interface MemberHandlers {
  /** It begins to join. From now on it has no partition. */
  readonly joining: () => void;
  /**
   * It has joined and has these partitions, by topic. The leader has also given it partitions of the topics `unread`,
   * which it does not read, so nobody does. Only a leader with kafkajs's own assigner does so.
   */
  readonly joined: (memberAssignment: Record<string, number[]>, unread: readonly string[]) => void;
  /** The log of a partition does not have the requested offset. The partition is paused. */
  readonly outOfRange: (partition: TopicPartition) => void;
  /** A broker answers with this error for a partition, in Kafka's words. Null when it serves the partition again. */
  readonly partitionError: (partition: TopicPartition, error: string | null) => void;
  /** A fetched batch, also one without records. */
  readonly batch: (payload: EachBatchPayload) => Promise<void>;
  /** It has fallen out of the group, or could not join. It joins again after this time. */
  readonly failed: (error: Error, delayMs: number) => void;
  /** It has been in the group for a minute without a failure. */
  readonly steady: () => void;
  /**
   * Leaving failed: the group was not told, or the connections are not closed. Its partitions go to others after its
   * session timeout.
   */
  readonly leftBadly: (error: Error) => void;
}

/** The waits of a failed member before it tries to join again. */
const FAILED = { firstMs: 1_000, longestMs: 10_000 };
/** The waits if Kafka refuses the user. A person has to change a password or a permission. */
const REFUSED = { firstMs: 60_000, longestMs: 60_000 };

/** The state from `join` to `leave`. */
interface Membership {
  readonly topics: readonly string[];
  /** Null while it waits to join again. */
  consumer: Consumer | null;
  rejoin: NodeJS.Timeout | undefined;
  /** Failures since it was last in the group for a minute. */
  failures: number;
  /** Runs from the time when the current consumer has joined. */
  steady: NodeJS.Timeout | undefined;
  /** When the consumer was created, joined, or sent a heartbeat, by `performance.now()`. */
  heardMs: number;
  watch: NodeJS.Timeout | undefined;
  /** Resolves `join`. */
  tried: () => void;
}

/**
 * Long enough for all members to notice a rebalance by their heartbeats. kafkajs waits 5 s longer for the answer to a
 * joining member. With Kafka's default of 60 s, a connection that loses answers would cost more than a minute.
 */
const REBALANCE_TIMEOUT_MS = 45_000;

/** The same for all consumers. */
const CONSUMER_OPTIONS = {
  ...FETCH_OPTIONS,
  rebalanceTimeout: REBALANCE_TIMEOUT_MS,
  metadataMaxAge: 60_000,
  allowAutoTopicCreation: false,
  retry: { initialRetryTime: 100, maxRetryTime: 5_000, retries: 8, restartOnFailure: () => Promise.resolve(false) },
} satisfies Partial<ConsumerConfig>;

/**
 * A consumer sends a heartbeat every few seconds, whatever it reads, and joins within a minute or two. If it has done
 * neither for this long, it counts as failed. kafkajs reports a crash only after it has stopped and closed everything,
 * and that may fail or hang.
 */
const SILENT_MS = 180_000;
const WATCH_INTERVAL_MS = 10_000;
/** How long leaving may take. kafkajs waits until running handlers end, and 30 s for the coordinator's answer. */
const LEAVE_MAX_MS = 60_000;

/**
 * A member of a consumer group. It uses one kafkajs consumer after the other, for three reasons: the topics of a
 * running consumer cannot be changed, it resolves a regular expression only once (kafkajs#1685), and it cannot always
 * recover from a failure.
 *
 *     outside ──join──► member ──leave──► outside
 *                        ▲  │ failed         ▲
 *                        │  ▼                │
 *                       waiting ──leave──────┘
 *
 * After any failure a new consumer takes the old one's place, because kafkajs itself treats most errors as final, for
 * example a coordinator that is away for a minute. A consumer that sends no heartbeats any more is replaced, too.
 * Nothing that an old consumer still does reaches the handlers, and it cannot join again.
 */
export class GroupMember {
  readonly #kafka: Kafka;
  readonly #groupId: string;
  readonly #sessionTimeoutMs: number;
  readonly #rackId: string | undefined;
  readonly #handlers: MemberHandlers;
  readonly #random: () => number;
  #membership: Membership | null = null;

  /** @param random gives numbers from 0 to 1, for the time before it joins again */
  constructor(
    kafka: Kafka,
    group: { groupId: string; sessionTimeoutMs: number; rackId?: string | undefined },
    handlers: MemberHandlers,
    random: () => number = Math.random,
  ) {
    this.#kafka = kafka;
    this.#groupId = group.groupId;
    this.#sessionTimeoutMs = group.sessionTimeoutMs;
    this.#rackId = group.rackId;
    this.#handlers = handlers;
    this.#random = random;
  }

  /** The topics that it has joined, or is trying to join. Empty while it is outside. */
  get topics(): readonly string[] {
    return this.#membership?.topics ?? [];
  }

  /**
   * Joins the group for these topics. Without topics it stays outside. Resolves after the first attempt, which takes
   * some three minutes at most. If that fails, or the member fails later, it tries again until `leave` is called.
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
    // The first attempt may hang. It is then given up after a while, or `leave` is called. In both cases `tried`
    // resolves this.
    await new Promise<void>((resolve) => {
      membership.tried = resolve;
      void this.#enter(membership).finally(resolve);
    });
  }

  /**
   * Leaves the group. Never rejects, and ends within a minute. A failure is reported to `leftBadly`, and the member is
   * outside in any case.
   */
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

  /** One attempt to join, by a new consumer. Never rejects. */
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
    // `leave` was called in between. What this consumer has opened since then is closed.
    if (membership.consumer !== consumer) await consumer.disconnect().catch(() => undefined);
  }

  #watch(membership: Membership): void {
    const { consumer, heardMs } = membership;
    const silentMs = performance.now() - heardMs;
    if (consumer === null || silentMs < SILENT_MS) return;
    this.#fail(membership, consumer, new Error(`nothing was heard of it for ${Math.round(silentMs / 1_000)} s`));
  }

  #fail(membership: Membership, consumer: Consumer, error: Error): void {
    // `leave` was called, or this consumer has failed already: kafkajs may report one failure to join in two ways.
    if (membership.consumer !== consumer) return;
    membership.consumer = null;
    // A consumer that has ended by itself is disconnected already. The new one does not have to wait for this.
    consumer.disconnect().catch(() => undefined);
    clearTimeout(membership.steady);
    membership.steady = undefined;
    membership.failures++;
    const delayMs = retryDelayMs(membership.failures, isUserRefusal(error) ? REFUSED : FAILED, this.#random());
    membership.rejoin = setTimeout(() => void this.#enter(membership), delayMs);
    this.#handlers.failed(error, delayMs);
    membership.tried();
  }

  #createConsumer(membership: Membership): Consumer {
    const isCurrent = (): boolean => membership.consumer === consumer;
    const { joining, joined, outOfRange, partitionError, steady } = this.#handlers;
    const consumer = this.#kafka.consumer({
      ...CONSUMER_OPTIONS,
      groupId: this.#groupId,
      sessionTimeout: this.#sessionTimeoutMs,
      ...(this.#rackId === undefined ? {} : { rackId: this.#rackId }),
      heartbeatInterval: Math.min(3_000, this.#sessionTimeoutMs / 3),
      // A consumer that was left while it crashed or joined must not join later. Nobody would read the partitions that
      // it gets.
      partitionAssigners: [
        fencingAssigner(
          () => {
            if (!isCurrent()) throw new Error(`group ${this.#groupId} was left`);
            unread = [];
            joining();
          },
          ({ topic, partition }) => {
            if (!isCurrent()) return;
            // Whatever the handler does. kafkajs asks for the same offset again at once, also while it joins again and
            // the handler has no assignment: as fast as the broker answers.
            consumer.pause([{ topic, partitions: [partition] }]);
            outOfRange({ topic, partition });
          },
          (partition, error) => {
            if (isCurrent()) partitionError(partition, error);
          },
        ),
      ],
    });
    const { GROUP_JOIN, HEARTBEAT, CRASH, RECEIVED_UNSUBSCRIBED_TOPICS } = consumer.events;
    let unread: readonly string[] = [];
    const heard = (): void => {
      if (isCurrent()) membership.heardMs = performance.now();
    };
    consumer.on(HEARTBEAT, heard);
    // kafkajs tells this before it tells that the member has joined.
    consumer.on(RECEIVED_UNSUBSCRIBED_TOPICS, ({ payload }) => (unread = payload.topicsNotSubscribed));
    consumer.on(GROUP_JOIN, ({ payload }) => {
      if (!isCurrent()) return;
      heard();
      membership.steady ??= setTimeout(() => {
        membership.failures = 0;
        steady();
      }, STEADY_MS);
      joined(payload.memberAssignment, unread);
    });
    consumer.on(CRASH, ({ payload: { error } }) => this.#fail(membership, consumer, error));
    return consumer;
  }
}
