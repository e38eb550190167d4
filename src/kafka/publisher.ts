import { NULL_LENGTH } from '../protocol/packedRecord.js';
import { MessageArray, MessageList } from './messageList.js';
import { REFUSAL_REASONS, messageRefusalOf, type MessageRefusal } from './messageRefusal.js';
import type { OutgoingMessage } from './outgoingMessage.js';
import { PackedMessage } from './packedMessage.js';
import { PublishError, TopicProducer, type TopicProducerOptions } from './topicProducer.js';

/**
 * Gives the message to publish in place of one that a topic refuses. It has to return undefined at last, when there is
 * nothing left to try.
 */
export type Amend<Sent extends OutgoingMessage> = (message: Sent, refusal: MessageRefusal) => Sent | undefined;

/**
 * Bytes of one produce request of several messages, at most. It is far below what topics take (`max.message.bytes`,
 * 1,048,588 by default): if a topic refuses one message, what was in the same request may be published again. And a
 * broker with quotas answers late, the larger the request the later, while a topic counts as away after ten seconds.
 */
const REQUEST_BYTES_MAX = 128 * 1024;

export interface PublisherOptions extends TopicProducerOptions {
  /** Called when a message was left out, because its topic takes other messages, but not this one in any form. */
  readonly onLeftOut?: (topic: string) => void;
}

/**
 * Publishes messages in order. A request has messages for one topic, and is below the size that brokers refuse. Each
 * topic has its own producer, see {@link TopicProducer}.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #topics = new Map<string, TopicProducer>();

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /**
   * Resolves when all in-sync replicas have the messages. A repeated call may publish twice. If the topic refuses a
   * message in every form but takes others, the message is left out, logged and counted. It must not hold up the others
   * for ever.
   *
   * @param messages read one by one as requests are written, so a long list need not be in memory
   * @param amend gives the messages to publish in place of refused ones. Default: none
   * @throws PublishError if the topic is away, or takes none of the messages in any form
   */
  async publish<Sent extends OutgoingMessage>(
    topic: string,
    messages: Messages<Sent>,
    amend?: Amend<Sent>,
  ): Promise<void> {
    const work: Publishing<Sent> = { topic, amend, hopeless: [] };
    await this.#publishAll(work, messages);
    this.#leaveOut(topic, work.hopeless);
  }

  /**
   * Publishes what the topic takes, for someone who accounts for each message. Every refused message is left out, even
   * if the topic takes no other.
   *
   * @throws PublishError if the topic is away. It may still have messages of which nothing was told
   */
  async publishEach<Sent extends OutgoingMessage>(
    topic: string,
    messages: Messages<Sent>,
    { taken, refused }: Outcomes<Sent>,
  ): Promise<void> {
    const work: Publishing<Sent> = { topic, amend: undefined, hopeless: [], taken };
    try {
      await this.#publishAll(work, messages);
    } finally {
      for (const { message, refusal } of work.hopeless) refused(message, REFUSAL_REASONS[refusal]);
    }
  }

  async #publishAll<Sent extends OutgoingMessage>(work: Publishing<Sent>, messages: Messages<Sent>): Promise<void> {
    const { topic, amend } = work;
    const asked = messages instanceof MessageList ? messages : new MessageArray(messages);
    for (let from = 0; from < asked.length;) {
      const isKeyed = amend !== undefined && this.#producerOf(topic).wantsKeys;
      const list = isKeyed ? new KeyedMessages(asked, amend) : asked;
      const to = requestEnd(list, from);
      await this.#sendParts(work, list.slice(from, to));
      from = to;
    }
  }

  /** @throws PublishError if the topic is known to be away. It is not tried */
  mustBeUp(topic: string): void {
    this.#topics.get(topic)?.mustBeUp();
  }

  async close(): Promise<void> {
    await Promise.allSettled(Array.from(this.#topics.values(), (producer) => producer.close()));
    this.#topics.clear();
  }

  /** Sends a request. If the topic refuses a message of it, sends what the topic may take instead. */
  async #sendParts<Sent extends OutgoingMessage>(work: Publishing<Sent>, messages: MessageList<Sent>): Promise<void> {
    try {
      await this.#producerOf(work.topic).send(messages);
      work.taken?.([...messages]);
    } catch (error) {
      const refusal = messageRefusalOf(error, messages);
      if (refusal === null) throw error;
      await this.#sendRefused(work, messages, refusal, error);
    }
  }

  /**
   * Halves a refused request until the refused message is alone. There is one exception, because the topic does not say
   * which message is the reason, and a search would publish the other messages again and again: if a message is invalid
   * and some have no key, all those without a key are amended.
   */
  async #sendRefused<Sent extends OutgoingMessage>(
    work: Publishing<Sent>,
    messages: MessageList<Sent>,
    refusal: MessageRefusal,
    error: unknown,
  ): Promise<void> {
    const { amend } = work;
    const isKeyless = refusal === 'record' && amend !== undefined && messages.hasKeyless();
    if (!isKeyless && messages.length > 1) {
      const half = Math.ceil(messages.length / 2);
      await this.#sendParts(work, messages.slice(0, half));
      await this.#sendParts(work, messages.slice(half, messages.length));
      return;
    }
    const amended: Sent[] = [];
    for (const message of messages) {
      const other = isKeyless && message.key !== null ? message : amend?.(message, refusal);
      if (other === undefined) work.hopeless.push({ message, refusal, error });
      else amended.push(other);
    }
    if (amended.length === 0) return;
    const hopelessBefore = work.hopeless.length;
    await this.#sendParts(work, new MessageArray(amended));
    if (isKeyless && work.hopeless.length === hopelessBefore) this.#producerOf(work.topic).wantsKeys = true;
  }

  /** @throws PublishError if the topic has taken no message lately, so the topic itself may be the reason */
  #leaveOut(topic: string, hopeless: readonly Hopeless[]): void {
    const [first] = hopeless;
    if (first === undefined) return;
    const reason = REFUSAL_REASONS[first.refusal];
    if (!this.#producerOf(topic).hasTakenLately) throw new PublishError(topic, reason, { cause: first.error });
    for (const { message, refusal } of hopeless) {
      this.#options.onLeftOut?.(topic);
      const name = message.key?.toString().slice(0, NAME_LENGTH_MAX) ?? '';
      this.#options.stateLog?.problem(
        `messages left out of ${topic}`,
        `topic ${topic} takes other messages, and not the one with the key "${name}", which is left out: ${REFUSAL_REASONS[refusal]}`,
      );
    }
  }

  #producerOf(topic: string): TopicProducer {
    let producer = this.#topics.get(topic);
    if (producer === undefined) {
      producer = new TopicProducer(topic, this.#options);
      this.#topics.set(topic, producer);
    }
    return producer;
  }
}

type Messages<Sent extends OutgoingMessage> = MessageList<Sent> | readonly Sent[];

/** @returns the index after the last message of the request that begins at `from`. It has one message at least */
function requestEnd(messages: MessageList, from: number): number {
  const message = new PackedMessage();
  let bytes = 0;
  for (let index = from; index < messages.length; index++) {
    messages.fill(index, message);
    bytes += message.requestBytes;
    if (bytes > REQUEST_BYTES_MAX && index > from) return index;
  }
  return messages.length;
}

/** Messages for a topic that wants keys: those without one are amended beforehand. */
class KeyedMessages<Sent extends OutgoingMessage> extends MessageList<Sent> {
  readonly length: number;
  readonly #asked: MessageList<Sent>;
  readonly #amend: Amend<Sent>;

  constructor(asked: MessageList<Sent>, amend: Amend<Sent>) {
    super();
    this.length = asked.length;
    this.#asked = asked;
    this.#amend = amend;
  }

  fill(index: number, message: PackedMessage): void {
    this.#asked.fill(index, message);
    if (message.keyLength === NULL_LENGTH) message.fill(this.at(index));
  }

  at(index: number): Sent {
    const message = this.#asked.at(index);
    return (message.key === null ? this.#amend(message, 'record') : undefined) ?? message;
  }
}

/** Called with the result of each message, see {@link Publisher.publishEach}. */
export interface Outcomes<Sent extends OutgoingMessage> {
  readonly taken: (messages: readonly Sent[]) => void;
  readonly refused: (message: Sent, reason: string) => void;
}

/** One call of `publish` or `publishEach`. */
interface Publishing<Sent extends OutgoingMessage> {
  readonly topic: string;
  readonly amend: Amend<Sent> | undefined;
  /** Messages that the topic refuses in every form. */
  readonly hopeless: Hopeless<Sent>[];
  readonly taken?: Outcomes<Sent>['taken'];
}

interface Hopeless<Sent extends OutgoingMessage = OutgoingMessage> {
  readonly message: Sent;
  readonly refusal: MessageRefusal;
  readonly error: unknown;
}

/** Characters of a message's key in a log line, at most. */
const NAME_LENGTH_MAX = 100;
