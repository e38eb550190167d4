import kafkajs, { type IHeaders, type Kafka, type Message, type PartitionerArgs, type Producer } from 'kafkajs';
import { messageOf } from '../lib/messageOf.js';
import type { HeaderValues } from '../protocol/record.js';
import { murmur2 } from '../lib/murmur2.js';
import type { StateLog } from '../telemetry/logging.js';
import { isOfType, isUnusableTopic } from './errorType.js';
import { NULL_HEADER, writeNullHeaders } from './kafkajs/nullHeaders.js';
import { NoAnswerError, within } from '../lib/within.js';

/**
 * A message to publish, with the present time as its timestamp. Without a partition it goes to the partition that every
 * Kafka client would choose for its key.
 */
export interface OutgoingMessage {
  readonly key: Buffer | null;
  readonly value: Buffer | string | null;
  readonly headers?: HeaderValues;
  /** It must exist. Otherwise nothing is published, and that is an error. */
  readonly partition?: number;
}

/**
 * Why a topic refuses one message but may take a changed one. `record`: the message is not valid there, for example
 * without a key in a compacted topic, or by a schema that the broker checks.
 */
export type Refusal = 'size' | 'record';

/**
 * Gives the message to publish in place of one that a topic refuses. It has to return undefined at last, when there is
 * nothing left to try.
 */
export type Amend<Sent extends OutgoingMessage> = (message: Sent, refusal: Refusal) => Sent | undefined;

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

/**
 * Bytes of one produce request, at most. kafkajs makes one record batch for each partition in a request. A batch over
 * the topic's `max.message.bytes` (1,048,588 by default) is refused, and a retry cannot help.
 */
const REQUEST_BYTES_MAX = 900_000;

/**
 * Messages of one produce request, at most. kafkajs groups them by partition in a time that grows with their square.
 * For some hundreds that does not matter. For ten thousand it is most of the producer's time.
 */
const REQUEST_MESSAGES_MAX = 500;

/**
 * Bytes of a message besides key and value: lengths, deltas, attributes. The same for each header besides its name and
 * value.
 */
const MESSAGE_OVERHEAD_BYTES = 24;

/** If a request has no answer after this time, its topic counts as away. The broker may still carry the request out. */
const ANSWER_WAIT_MS = 10_000;

/** After a failure a topic is not tried for this long. Publishing to it fails at once, so it holds nothing up. */
const AWAY_MS = 5_000;

/** A topic that has taken a message within this time works. So if it refuses a message, the message is the reason. */
const TAKEN_MAX_AGE_MS = 60_000;

/** Few retries, because the caller retries later, without holding a slot meanwhile. */
export const FEW_RETRIES = { initialRetryTime: 100, maxRetryTime: 500, retries: 3 };

export interface PublisherOptions {
  /** Creates a producer that is not connected. */
  readonly createProducer: () => Producer;
  /** Gets one opened when a topic is away, and one when it is back. */
  readonly stateLog?: Pick<StateLog, 'problem' | 'well'>;
  /** Called when a request failed for another reason than its messages. */
  readonly onError?: () => void;
  /** Called when a message was left out, because its topic takes other messages, but not this one in any form. */
  readonly onLeftOut?: (topic: string) => void;
  /** The time in milliseconds, by a clock that is never set back. Default: `performance.now`. */
  readonly now?: () => number;
  /** How long to wait for an answer, in milliseconds. Default: 10 s. */
  readonly answerWaitMs?: number;
}

/**
 * Makes the producers of a {@link Publisher}. A producer that is disconnected stops its retries, which kafkajs's own
 * would go on with.
 */
export function producerFactory(kafka: Kafka): () => Producer {
  writeNullHeaders();
  return () => {
    let isOver = false;
    const createChooser = (): ReturnType<typeof createPartitioner> => {
      const choose = createPartitioner();
      return (args) => {
        if (isOver) throw new kafkajs.KafkaJSNonRetriableError('the producer is not used any more');
        return choose(args);
      };
    };
    const producer = kafka.producer({
      allowAutoTopicCreation: false,
      createPartitioner: createChooser,
      retry: FEW_RETRIES,
    });
    return {
      ...producer,
      disconnect: () => {
        isOver = true;
        return producer.disconnect();
      },
    };
  };
}

/** A producer. `connected` resolves when it is connected. */
interface OpenedProducer {
  readonly producer: Producer;
  readonly connected: Promise<void>;
}

/** The state of a topic: its producer, and whether it is away. */
interface TopicState {
  /** Undefined before the first request, and after a request without an answer. */
  opened: OpenedProducer | undefined;
  /** The time until which the topic counts as away. 0 while it is up. */
  awayUntilMs: number;
  awayReason: string;
  /** See {@link PublishError.refused}. It holds for as long as the topic counts as away. */
  awayRefused: boolean;
  /** It has refused messages without a key and taken them with one, so it is compacted. */
  wantsKeys: boolean;
  /** When it last took messages. -Infinity if it never did. */
  takenAtMs: number;
  /** A caller is trying whether it is back. */
  probing: boolean;
}

/**
 * Publishes messages in order. A request has messages for one topic, and is below the size that brokers refuse.
 *
 * Each topic has its own producer: kafkajs refreshes the metadata of all topics of a producer in one request, and that
 * fails for all if one topic is gone. Each topic is up or away:
 *
 *     up ──failure──► away ──5 s──► one may try ──success──► up
 *                      ▲                 └──failure──► away
 *                      └ all other calls fail at once
 *
 * A producer that does not answer is given up, and the next attempt has a new one. So whatever never ends (a connect, a
 * request, a lock of kafkajs) holds up one attempt only.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #now: () => number;
  readonly #topicStates = new Map<string, TopicState>();

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /**
   * Resolves when all in-sync replicas have the messages. A repeated call may publish twice. If the topic refuses a
   * message in every form but takes others, the message is left out, logged and counted. It must not hold up the others
   * for ever.
   *
   * @param messages read one by one as requests are filled, so a long list need not be in memory
   * @param amend gives the messages to publish in place of refused ones. Default: none
   * @throws PublishError if the topic is away, or takes none of the messages in any form
   */
  async publish<Sent extends OutgoingMessage>(
    topic: string,
    messages: Iterable<Sent>,
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
    messages: Iterable<Sent>,
    { taken, refused }: Outcomes<Sent>,
  ): Promise<void> {
    const work: Publishing<Sent> = { topic, amend: undefined, hopeless: [], taken };
    try {
      await this.#publishAll(work, messages);
    } finally {
      for (const { message, refusal } of work.hopeless) refused(message, REFUSAL_REASONS[refusal]);
    }
  }

  async #publishAll<Sent extends OutgoingMessage>(work: Publishing<Sent>, messages: Iterable<Sent>): Promise<void> {
    const { topic, amend } = work;
    const state = this.#stateOf(topic);
    let request: Sent[] = [];
    let requestBytes = 0;
    for (const asked of messages) {
      const message = (state.wantsKeys && asked.key === null ? amend?.(asked, 'record') : undefined) ?? asked;
      const bytes = messageBytes(message);
      const full = requestBytes + bytes > REQUEST_BYTES_MAX || request.length >= REQUEST_MESSAGES_MAX;
      if (full && request.length > 0) {
        await this.#sendParts(work, request);
        request = [];
        requestBytes = 0;
      }
      request.push(message);
      requestBytes += bytes;
    }
    if (request.length > 0) await this.#sendParts(work, request);
  }

  /** @throws PublishError if the topic is known to be away. It is not tried */
  mustBeUp(topic: string): void {
    const state = this.#topicStates.get(topic);
    if (state === undefined) return;
    const waits = state.awayUntilMs > 0 && (state.probing || this.#now() < state.awayUntilMs);
    if (waits) throw new PublishError(topic, state.awayReason, { refused: state.awayRefused });
  }

  async close(): Promise<void> {
    await Promise.allSettled(
      [...this.#topicStates.values()].map(async ({ opened }) => {
        await opened?.connected;
        await opened?.producer.disconnect();
      }),
    );
    this.#topicStates.clear();
  }

  /**
   * Halves a refused request until the refused message is alone. There is one exception, because the topic does not say
   * which message is the reason, and a search would publish the other messages again and again: if a message is invalid
   * and some have no key, all those without a key are amended.
   */
  async #sendParts<Sent extends OutgoingMessage>(work: Publishing<Sent>, messages: readonly Sent[]): Promise<void> {
    try {
      await this.#send(work.topic, messages);
      work.taken?.(messages);
    } catch (error) {
      const refusal = refusalOf(error, messages);
      if (refusal === null) throw error;
      const { amend } = work;
      const isKeyless = refusal === 'record' && amend !== undefined && messages.some(({ key }) => key === null);
      if (!isKeyless && messages.length > 1) {
        const half = Math.ceil(messages.length / 2);
        await this.#sendParts(work, messages.slice(0, half));
        await this.#sendParts(work, messages.slice(half));
        return;
      }
      const amended: Sent[] = [];
      for (const message of messages) {
        const other = isKeyless && message.key !== null ? message : amend?.(message, refusal);
        if (other === undefined) work.hopeless.push({ message, refusal, error });
        else amended.push(other);
      }
      const hopelessBefore = work.hopeless.length;
      if (amended.length > 0) await this.#sendParts(work, amended);
      if (isKeyless && amended.length > 0 && work.hopeless.length === hopelessBefore)
        this.#stateOf(work.topic).wantsKeys = true;
    }
  }

  /** @throws PublishError if the topic has taken no message lately, so the topic itself may be the reason */
  #leaveOut(topic: string, hopeless: readonly Hopeless[]): void {
    const [first] = hopeless;
    if (first === undefined) return;
    const reason = REFUSAL_REASONS[first.refusal];
    if (this.#now() - this.#stateOf(topic).takenAtMs > TAKEN_MAX_AGE_MS)
      throw new PublishError(topic, reason, { cause: first.error });
    for (const { message, refusal } of hopeless) {
      this.#options.onLeftOut?.(topic);
      const name = message.key?.toString().slice(0, NAME_LENGTH_MAX) ?? '';
      this.#options.stateLog?.problem(
        `messages left out of ${topic}`,
        `topic ${topic} takes other messages, and not the one with the key "${name}", which is left out: ${REFUSAL_REASONS[refusal]}`,
      );
    }
  }

  async #send(topic: string, messages: readonly OutgoingMessage[]): Promise<void> {
    this.mustBeUp(topic);
    const state = this.#stateOf(topic);
    state.probing = state.awayUntilMs > 0;
    try {
      const opened = openedProducer(state, this.#options.createProducer);
      const answer = opened.connected.then(() => sendAll(opened.producer, topic, messages.map(toMessage)));
      try {
        await within(answer, this.#options.answerWaitMs ?? ANSWER_WAIT_MS);
      } catch (error) {
        if (error instanceof NoAnswerError) giveUp(state, opened, answer);
        throw error;
      }
      state.takenAtMs = this.#now();
      this.#up(topic, state);
    } catch (error) {
      if (refusalOf(error, messages) !== null) {
        this.#up(topic, state);
        throw error;
      }
      this.#options.onError?.();
      state.awayUntilMs = this.#now() + AWAY_MS;
      state.awayReason = messageOf(error);
      state.awayRefused = isUnusableTopic(error);
      const failure = new PublishError(topic, state.awayReason, { refused: state.awayRefused, cause: error });
      const unless = state.awayRefused ? ', except replies to records that ask for this topic' : '';
      this.#options.stateLog?.problem(`topic ${topic}`, `${failure.message}; what is to go there waits${unless}`);
      throw failure;
    } finally {
      state.probing = false;
    }
  }

  #up(topic: string, state: TopicState): void {
    state.awayUntilMs = 0;
    this.#options.stateLog?.well(`topic ${topic}`, `topic ${topic} takes messages again`);
  }

  #stateOf(topic: string): TopicState {
    let state = this.#topicStates.get(topic);
    if (state === undefined) {
      state = {
        opened: undefined,
        awayUntilMs: 0,
        awayReason: '',
        awayRefused: false,
        wantsKeys: false,
        takenAtMs: -Infinity,
        probing: false,
      };
      this.#topicStates.set(topic, state);
    }
    return state;
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
  readonly refusal: Refusal;
  readonly error: unknown;
}

/** Characters of a message's key in a log line, at most. */
const NAME_LENGTH_MAX = 100;

function openedProducer(state: TopicState, create: () => Producer): OpenedProducer {
  if (state.opened !== undefined) return state.opened;
  const producer = create();
  const opened = { producer, connected: producer.connect() };
  opened.connected.catch(() => {
    if (state.opened === opened) state.opened = undefined;
  });
  state.opened = opened;
  return opened;
}

/**
 * Disconnects a producer that nobody waits for. It is disconnected again when its request has failed, because kafkajs
 * may have connected it again for that request.
 */
function giveUp(state: TopicState, { producer }: OpenedProducer, answer: Promise<void>): void {
  if (state.opened?.producer === producer) state.opened = undefined;
  const disconnect = (): Promise<void> => producer.disconnect().catch(() => undefined);
  void disconnect();
  void answer.then(disconnect, disconnect);
}

/**
 * Sends all messages. kafkajs may report success although it has not sent some: it retries a failed send at the brokers
 * that have not answered yet. A partition whose leader has moved to a broker that has answered is left out, and so is a
 * partition that does not exist. The answer names the partitions that were sent. The rest is sent again here.
 */
async function sendAll(producer: Producer, topic: string, messages: readonly Message[]): Promise<void> {
  for (let unsent = messages; unsent.length > 0;) {
    const answers = await producer.send({ topic, messages: [...unsent], acks: -1 });
    const taken = new Set(answers.map(({ partition }) => partition));
    const left = unsent.filter(({ partition }) => partition === undefined || !taken.has(partition));
    if (left.length === unsent.length) {
      const partitions = [...new Set(left.map(({ partition }) => partition ?? '?'))].join(', ');
      throw new Error(`there is no partition ${partitions}`);
    }
    unsent = left;
  }
}

const REFUSAL_REASONS: Readonly<Record<Refusal, string>> = {
  size: 'a message is larger than it takes',
  record: 'a message is not valid there, for instance by a schema that the broker checks',
};

/**
 * Which message problem an error means. Null if the request failed for another reason, so that the topic counts as
 * away.
 */
function refusalOf(error: unknown, messages: readonly OutgoingMessage[]): Refusal | null {
  // A record batch can be too large for the topic's messages, or for its segments.
  if (isOfType(error, 'MESSAGE_TOO_LARGE') || isOfType(error, 'RECORD_LIST_TOO_LARGE')) return 'size';
  if (isOfType(error, 'INVALID_RECORD')) return 'record';
  // Older brokers say this for a message without a key in a compacted topic, and also for one that was damaged on its
  // way.
  return isOfType(error, 'CORRUPT_MESSAGE') && messages.some(({ key }) => key === null) ? 'record' : null;
}

/**
 * Chooses a partition like Kafka's own partitioner. It takes a sixtieth of the time of kafkajs's. Messages without a
 * key go to each partition in turn. The choice is written into the message, so that a retry does not choose again.
 */
export function createPartitioner(): (args: PartitionerArgs) => number {
  let round = 0;
  return ({ partitionMetadata, message }) => {
    const { key } = message;
    message.partition ??= (key instanceof Uint8Array ? murmur2(key) : round++) % partitionMetadata.length;
    return message.partition;
  };
}

function toMessage({ key, value, headers, partition }: OutgoingMessage): Message {
  const message: Message = { key, value };
  if (headers !== undefined) message.headers = withoutNulls(headers);
  if (partition !== undefined) message.partition = partition;
  return message;
}

/**
 * Replaces null values of headers by {@link NULL_HEADER}. Nearly all headers have only values and are passed on
 * unchanged.
 */
function withoutNulls(headers: HeaderValues): IHeaders {
  const isNull = (values: HeaderValues[string]): boolean =>
    values === null || (values instanceof Array && values.includes(null));
  if (!Object.values(headers).some(isNull)) return headers as IHeaders;
  // Without a prototype: a header may be called __proto__.
  const mended = Object.create(null) as IHeaders;
  for (const [name, values] of Object.entries(headers)) {
    mended[name] = values instanceof Array ? values.map((value) => value ?? NULL_HEADER) : (values ?? NULL_HEADER);
  }
  return mended;
}

function messageBytes({ key, value, headers = {} }: OutgoingMessage): number {
  const valueBytes = value === null ? 0 : Buffer.byteLength(value);
  return MESSAGE_OVERHEAD_BYTES + (key?.length ?? 0) + valueBytes + headersBytes(headers);
}

/** About how many bytes headers take in a message. */
export function headersBytes(headers: HeaderValues): number {
  let bytes = 0;
  for (const [name, values] of Object.entries(headers)) {
    for (const header of values instanceof Array ? values : [values]) {
      bytes += MESSAGE_OVERHEAD_BYTES + name.length + (header === null ? 0 : Buffer.byteLength(header));
    }
  }
  return bytes;
}
