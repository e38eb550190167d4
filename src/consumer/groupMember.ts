import type { Consumer, ConsumerStartBatchProcessEvent, EachBatchPayload, Kafka } from 'kafkajs';
import { fencingAssigner } from './fencingAssigner.js';
import { FETCH_OPTIONS } from './fetchOptions.js';

/** What happens to a member of a consumer group. */
export interface MembershipHandlers {
  /** It begins to join: from now on it has no partition. */
  readonly joining: () => void;
  /** It has these partitions, by topic. */
  readonly joined: (memberAssignment: Record<string, number[]>) => void;
  readonly batch: (payload: EachBatchPayload) => Promise<void>;
  /** A batch in which there is nothing to hand over, which kafkajs keeps for itself. */
  readonly emptyBatch: (payload: ConsumerStartBatchProcessEvent['payload']) => void;
  /** @param restarts whether it joins again by itself */
  readonly crashed: (error: Error, restarts: boolean) => void;
}

/**
 * A member of a consumer group, by one kafkajs consumer after the other: the topics of one that runs cannot be changed, and
 * a regular expression it resolves only once (kafkajs#1685).
 *
 *     outside ──join──► member ──leave──► outside
 *
 * A consumer that was left is deaf and mute: nothing that it does reaches the handlers any more, and it does not come back.
 */
export class GroupMember {
  readonly #kafka: Kafka;
  readonly #groupId: string;
  readonly #sessionTimeoutMs: number;
  readonly #handlers: MembershipHandlers;
  #consumer: Consumer | null = null;
  #topics: readonly string[] = [];

  constructor(kafka: Kafka, group: { groupId: string; sessionTimeoutMs: number }, handlers: MembershipHandlers) {
    this.#kafka = kafka;
    this.#groupId = group.groupId;
    this.#sessionTimeoutMs = group.sessionTimeoutMs;
    this.#handlers = handlers;
  }

  /** What it has joined for; empty while it is outside. */
  get topics(): readonly string[] {
    return this.#topics;
  }

  /**
   * Joins the group for these topics, or stays outside for none. Rejects where Kafka refuses, for instance for a topic that
   * does not exist; then it is outside.
   */
  async join(topics: readonly string[]): Promise<void> {
    if (this.#consumer !== null) throw new Error(`group ${this.#groupId} has to be left first`);
    if (topics.length === 0) return;
    const consumer = this.#createConsumer();
    this.#consumer = consumer;
    try {
      await consumer.connect();
      await consumer.subscribe({ topics: [...topics], fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: 16,
        eachBatch: async (payload) => {
          if (this.#consumer === consumer) await this.#handlers.batch(payload);
        },
      });
    } catch (error) {
      await this.leave();
      throw error;
    }
    this.#topics = topics;
  }

  async leave(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = null;
    this.#topics = [];
    await consumer?.disconnect();
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
    if (this.#consumer === null) throw new Error(`not in group ${this.#groupId}`);
    return this.#consumer;
  }

  #createConsumer(): Consumer {
    const isCurrent = (): boolean => this.#consumer === consumer;
    const { joining, joined, emptyBatch, crashed } = this.#handlers;
    const consumer = this.#kafka.consumer({
      groupId: this.#groupId,
      sessionTimeout: this.#sessionTimeoutMs,
      heartbeatInterval: Math.min(3_000, this.#sessionTimeoutMs / 3),
      metadataMaxAge: 60_000,
      ...FETCH_OPTIONS,
      allowAutoTopicCreation: false,
      // One that was left while it crashed or joined must not come back: nobody would read what it is given.
      partitionAssigners: [
        fencingAssigner(() => {
          if (!isCurrent()) throw new Error(`group ${this.#groupId} was left`);
          joining();
        }),
      ],
      retry: {
        initialRetryTime: 100,
        maxRetryTime: 5_000,
        retries: 8,
        restartOnFailure: () => Promise.resolve(isCurrent()),
      },
    });
    const { GROUP_JOIN, CRASH, START_BATCH_PROCESS } = consumer.events;
    consumer.on(GROUP_JOIN, ({ payload }) => {
      if (isCurrent()) joined(payload.memberAssignment);
    });
    consumer.on(CRASH, ({ payload: { error, restart } }) => {
      if (isCurrent()) crashed(error, restart);
    });
    consumer.on(START_BATCH_PROCESS, ({ payload }) => {
      if (payload.batchSize === 0 && isCurrent()) emptyBatch(payload);
    });
    return consumer;
  }
}
