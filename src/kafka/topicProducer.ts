import { messageOf } from '../lib/messageOf.js';
import { NoAnswerError, within } from '../lib/within.js';
import type { StateLog } from '../telemetry/logging.js';
import { isUnusableTopic } from './errorType.js';
import type { MessageList } from './messageList.js';
import { messageRefusalOf } from './messageRefusal.js';
import type { MessageProducer } from './producers.js';

/**
 * A topic takes no messages: its leaders are away, it does not exist, or this user may not write to it. Only a later
 * retry can help.
 */
export class PublishError extends Error {
  override readonly name = 'PublishError';
  readonly topic: string;
  /** Kafka has no such topic, or this user may not write to it. It does not pass when a broker comes back. */
  readonly refused: boolean;

  constructor(topic: string, reason: string, { refused = false, cause }: { refused?: boolean; cause?: unknown } = {}) {
    super(`topic ${topic} takes no messages: ${reason}`, { cause });
    this.topic = topic;
    this.refused = refused;
  }
}

/** If a request has no answer after this time, its topic counts as away. The broker may still carry the request out. */
const ANSWER_WAIT_MS = 10_000;

/** After a failure a topic is not tried for this long. Publishing to it fails at once, so it holds nothing up. */
const AWAY_MS = 5_000;

/** A topic that has taken a message within this time works. So if it refuses a message, the message is the reason. */
const TAKEN_MAX_AGE_MS = 60_000;

export interface TopicProducerOptions {
  /** Creates a producer that is not connected. */
  readonly createProducer: () => MessageProducer;
  /** Gets one opened when a topic is away, and one when it is back. */
  readonly stateLog?: Pick<StateLog, 'problem' | 'well'>;
  /** Called when a request failed for another reason than its messages. */
  readonly onError?: () => void;
  /** The time in milliseconds, by a clock that is never set back. Default: `performance.now`. */
  readonly now?: () => number;
  /** How long to wait for an answer, in milliseconds. Default: 10 s. */
  readonly answerWaitMs?: number;
}

/** A producer. `connected` resolves when it is connected. */
interface OpenedProducer {
  readonly producer: MessageProducer;
  readonly connected: Promise<void>;
}

/**
 * The producer of one topic. kafkajs refreshes the metadata of all topics of a producer in one request, and that fails
 * for all if one topic is gone. A topic is up or away:
 *
 *     up ──failure──► away ──5 s──► one may try ──success──► up
 *                      ▲                 └──failure──► away
 *                      └ all other calls fail at once
 *
 * A producer that does not answer is given up, and the next attempt has a new one. So whatever never ends (a connect, a
 * request, a lock of kafkajs) holds up one attempt only.
 */
export class TopicProducer {
  /** The topic has refused messages without a key and taken them with one, so it is compacted. */
  wantsKeys = false;
  readonly #topic: string;
  readonly #options: TopicProducerOptions;
  readonly #now: () => number;
  /** Undefined before the first request, and after a request without an answer. */
  #opened: OpenedProducer | undefined;
  /** The time until which the topic counts as away. 0 while it is up. */
  #awayUntilMs = 0;
  #awayReason = '';
  /** See {@link PublishError.refused}. It holds for as long as the topic counts as away. */
  #awayRefused = false;
  /** A caller is trying whether it is back. */
  #probing = false;
  /** When it last took messages. -Infinity if it never did. */
  #takenAtMs = -Infinity;

  constructor(topic: string, options: TopicProducerOptions) {
    this.#topic = topic;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Whether the topic works: it has taken a message within the last minute. */
  get hasTakenLately(): boolean {
    return this.#now() - this.#takenAtMs <= TAKEN_MAX_AGE_MS;
  }

  /** @throws PublishError if the topic is known to be away. It is not tried */
  mustBeUp(): void {
    const waits = this.#awayUntilMs > 0 && (this.#probing || this.#now() < this.#awayUntilMs);
    if (waits) throw new PublishError(this.#topic, this.#awayReason, { refused: this.#awayRefused });
  }

  /**
   * Sends messages in one request. Resolves when all in-sync replicas have them.
   *
   * @throws PublishError if the topic is away
   * @throws what kafkajs throws if the topic refuses a message, see {@link messageRefusalOf}
   */
  async send(messages: MessageList): Promise<void> {
    this.mustBeUp();
    this.#probing = this.#awayUntilMs > 0;
    try {
      await this.#request(messages);
      this.#takenAtMs = this.#now();
      this.#up();
    } catch (error) {
      if (messageRefusalOf(error, messages) === null) throw this.#away(error);
      this.#up();
      throw error;
    } finally {
      this.#probing = false;
    }
  }

  async #request(messages: MessageList): Promise<void> {
    const opened = this.#open();
    const answer = opened.connected.then(() => opened.producer.send(this.#topic, messages));
    try {
      await within(answer, this.#options.answerWaitMs ?? ANSWER_WAIT_MS);
    } catch (error) {
      if (error instanceof NoAnswerError) this.#giveUp(opened, answer);
      throw error;
    }
  }

  #up(): void {
    this.#awayUntilMs = 0;
    this.#options.stateLog?.well(`topic ${this.#topic}`, `topic ${this.#topic} takes messages again`);
  }

  #away(error: unknown): PublishError {
    this.#options.onError?.();
    this.#awayUntilMs = this.#now() + AWAY_MS;
    this.#awayReason = messageOf(error);
    this.#awayRefused = isUnusableTopic(error);
    const failure = new PublishError(this.#topic, this.#awayReason, { refused: this.#awayRefused, cause: error });
    const unless = this.#awayRefused ? ', except replies to records that ask for this topic' : '';
    this.#options.stateLog?.problem(`topic ${this.#topic}`, `${failure.message}; what is to go there waits${unless}`);
    return failure;
  }

  #open(): OpenedProducer {
    if (this.#opened !== undefined) return this.#opened;
    const producer = this.#options.createProducer();
    const opened = { producer, connected: producer.connect() };
    opened.connected.catch(() => {
      if (this.#opened === opened) this.#opened = undefined;
    });
    this.#opened = opened;
    return opened;
  }

  /**
   * Disconnects a producer that nobody waits for. It is disconnected again when its request has failed, because kafkajs
   * may have connected it again for that request.
   */
  #giveUp({ producer }: OpenedProducer, answer: Promise<void>): void {
    if (this.#opened?.producer === producer) this.#opened = undefined;
    const disconnect = (): Promise<void> => producer.disconnect().catch(() => undefined);
    void disconnect();
    void answer.then(disconnect, disconnect);
  }

  async close(): Promise<void> {
    await this.#opened?.connected;
    await this.#opened?.producer.disconnect();
  }
}
