import kafkajs, { type IHeaders, type Kafka, type Message, type PartitionerArgs, type Producer } from 'kafkajs';
import { messageOf } from '../lib/messageOf.js';
import type { HeaderValues } from '../protocol/record.js';
import { murmur2 } from '../lib/murmur2.js';
import type { StateLog } from '../telemetry/logging.js';
import { isOfType } from './errorType.js';
import { NULL_HEADER, writeNullHeaders } from './kafkajs/nullHeaders.js';
import { NoAnswerError, within } from '../lib/within.js';

/** A message to publish. Without a partition it goes where every Kafka client would send its key. */
export interface OutgoingMessage {
  readonly key: Buffer | null;
  readonly value: Buffer | string | null;
  readonly headers?: HeaderValues;
  /** To be asked for only where it exists: otherwise nothing is published, and that is an error. */
  readonly partition?: number;
  readonly timestampMs?: number;
}

/**
 * What a topic may have against one message, and take another in its place. `record`: it is not valid there, for instance
 * without a key where the topic is compacted, or by a schema that the broker checks.
 */
export type Refusal = 'size' | 'timestamp' | 'record';

/**
 * What to publish instead of a message that a topic refuses; undefined where nothing is left to try, which it must come to.
 * One whose timestamp is refused is to come back without it, or as it is where it has none.
 */
export type Amend<Sent extends OutgoingMessage> = (message: Sent, refusal: Refusal) => Sent | undefined;

/**
 * A topic takes no messages: its partitions' leaders are away, it is gone, or this user may not write to it. Trying again
 * later is all that helps.
 */
export class PublishError extends Error {
  override readonly name = 'PublishError';
  readonly topic: string;
  /** Kafka has no such topic, or does not let this user write to it: no broker coming back will cure it. */
  readonly refused: boolean;

  constructor(topic: string, reason: string, { refused = false, cause }: { refused?: boolean; cause?: unknown } = {}) {
    super(`topic ${topic} takes no messages: ${reason}`, { cause });
    this.topic = topic;
    this.refused = refused;
  }
}

/**
 * Bytes of one produce request, at most: kafkajs makes one record batch of what a request has for a partition, and a
 * batch over the topic's `max.message.bytes` (1,048,588 by default) is refused, which no retry cures.
 */
const REQUEST_BYTES_MAX = 900_000;

/**
 * Messages of one produce request, at most. kafkajs groups a request's messages by partition in a time that grows with
 * their square: at some hundreds it does not show, at ten thousand it is most of the producer’s time.
 */
const REQUEST_MESSAGES_MAX = 500;

/** What a message takes beside key and value: lengths, deltas, attributes; a header's name and lengths likewise. */
const MESSAGE_OVERHEAD_BYTES = 24;

/** After this long without an answer to a request its topic counts as away. The request may still be carried out. */
const ANSWER_WAIT_MS = 10_000;

/** A topic that failed is left alone for so long: whoever publishes to it fails at once, and holds nothing up. */
const AWAY_MS = 5_000;

/** A topic that has taken a message within this time takes messages: what it refuses is the message's fault. */
const TAKEN_MAX_AGE_MS = 60_000;

/** Few tries: whoever publishes tries again, later and without holding a slot meanwhile. */
export const FEW_RETRIES = { initialRetryTime: 100, maxRetryTime: 500, retries: 3 };

export interface PublisherOptions {
  /** Makes a producer that is not connected yet. */
  readonly createProducer: () => Producer;
  /** Where it is said, once, that a topic is away and that it is back. */
  readonly stateLog?: Pick<StateLog, 'problem' | 'well'>;
  /** A request failed for another reason than one of its messages. */
  readonly onError?: () => void;
  /** A message was left out, because its topic takes others, and not this one in any form. */
  readonly onLeftOut?: (topic: string) => void;
  /** Milliseconds, never set back. Default: `performance.now`. */
  readonly now?: () => number;
  /** How long an answer is waited for. Default: 10 s. */
  readonly answerWaitMs?: number;
}

/** Makes the producers of a {@link Publisher}. Once one is disconnected it does not try again what has failed: kafkajs would. */
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

/** A producer, and when it is connected. */
interface Line {
  readonly producer: Producer;
  readonly connected: Promise<void>;
}

/** What is known of a topic: its producer, and whether it is away. */
interface Outlet {
  /** Undefined before the first request, and after one that was not answered. */
  line: Line | undefined;
  /** 0 while it is up. */
  awayUntilMs: number;
  awayReason: string;
  /** It has refused messages without a key, and taken them with one: it is compacted. */
  wantsKeys: boolean;
  /** When it took messages last; -Infinity before it did. */
  takenAtMs: number;
  /** Somebody is finding out whether it is back. */
  probing: boolean;
}

/**
 * Publishes messages in order, one topic a request, each request below the size that brokers refuse.
 *
 * Each topic has a producer of its own: kafkajs refreshes the metadata of all topics of a producer in one request, which
 * fails for all where one of them is gone. And each is up or away:
 *
 *     up ──failure──► away ──5 s──► one may try ──success──► up
 *                      ▲                 └──failure──► away
 *                      └ whoever else publishes fails at once
 *
 * A producer that has not answered is given up, and the next try has a new one: whatever of it never settles, a connect, a
 * request, a lock of kafkajs, holds up that one try.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #now: () => number;
  readonly #outlets = new Map<string, Outlet>();

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /**
   * Resolves when all in-sync replicas have the messages. A repetition may publish twice. A message that the topic refuses
   * in every form is left out, said and counted, if the topic takes others; it must not hold them for ever.
   *
   * @param messages taken one by one as requests are filled, so that a long list need not be in memory
   * @param amend what to publish instead of messages that the topic refuses; by default nothing
   * @throws PublishError where the topic is away, or takes none of the messages in any form
   */
  async publish<Sent extends OutgoingMessage>(
    topic: string,
    messages: Iterable<Sent>,
    amend?: Amend<Sent>,
  ): Promise<void> {
    const work: Publishing<Sent> = { topic, amend, hopeless: [] };
    const outlet = this.#outletOf(topic);
    let request: Sent[] = [];
    let requestBytes = 0;
    for (const asked of messages) {
      const message = (outlet.wantsKeys && asked.key === null ? amend?.(asked, 'record') : undefined) ?? asked;
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
    this.#leaveOut(topic, work.hopeless);
  }

  /** @throws PublishError where the topic is away, without trying it */
  mustBeUp(topic: string): void {
    const outlet = this.#outlets.get(topic);
    if (outlet === undefined) return;
    const waits = outlet.awayUntilMs > 0 && (outlet.probing || this.#now() < outlet.awayUntilMs);
    if (waits) throw new PublishError(topic, outlet.awayReason);
  }

  async close(): Promise<void> {
    await Promise.allSettled(
      [...this.#outlets.values()].map(async ({ line }) => {
        await line?.connected;
        await line?.producer.disconnect();
      }),
    );
    this.#outlets.clear();
  }

  /**
   * Halves what the topic refuses, until the message that it refuses is alone. Which timestamps it refuses it does not say,
   * and to look for them would publish the others again and again: all of the request's are amended. So are all without a
   * key, which may be what is wrong.
   */
  async #sendParts<Sent extends OutgoingMessage>(work: Publishing<Sent>, messages: readonly Sent[]): Promise<void> {
    try {
      await this.#send(work.topic, messages);
    } catch (error) {
      const refusal = refusalOf(error, messages);
      if (refusal === null) throw error;
      const { amend } = work;
      const isKeyless = refusal === 'record' && amend !== undefined && messages.some(({ key }) => key === null);
      if (refusal !== 'timestamp' && !isKeyless && messages.length > 1) {
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
        this.#outletOf(work.topic).wantsKeys = true;
    }
  }

  /** @throws PublishError where the topic may be to blame, for it has not taken any message of late */
  #leaveOut(topic: string, hopeless: readonly Hopeless[]): void {
    const [first] = hopeless;
    if (first === undefined) return;
    const reason = REFUSAL_REASONS[first.refusal];
    if (this.#now() - this.#outletOf(topic).takenAtMs > TAKEN_MAX_AGE_MS)
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
    const outlet = this.#outletOf(topic);
    outlet.probing = outlet.awayUntilMs > 0;
    try {
      const line = lineOf(outlet, this.#options.createProducer);
      const answer = line.connected.then(() => sendAll(line.producer, topic, messages.map(toMessage)));
      try {
        await within(answer, this.#options.answerWaitMs ?? ANSWER_WAIT_MS);
      } catch (error) {
        if (error instanceof NoAnswerError) giveUp(outlet, line, answer);
        throw error;
      }
      outlet.takenAtMs = this.#now();
      this.#up(topic, outlet);
    } catch (error) {
      if (refusalOf(error, messages) !== null) {
        this.#up(topic, outlet);
        throw error;
      }
      this.#options.onError?.();
      outlet.awayUntilMs = this.#now() + AWAY_MS;
      const refused = REFUSALS.some((type) => isOfType(error, type));
      outlet.awayReason = messageOf(error);
      const failure = new PublishError(topic, outlet.awayReason, { refused, cause: error });
      this.#options.stateLog?.problem(`topic ${topic}`, `${failure.message}; what is to go there waits`);
      throw failure;
    } finally {
      outlet.probing = false;
    }
  }

  #up(topic: string, outlet: Outlet): void {
    outlet.awayUntilMs = 0;
    this.#options.stateLog?.well(`topic ${topic}`, `topic ${topic} takes messages again`);
  }

  #outletOf(topic: string): Outlet {
    let outlet = this.#outlets.get(topic);
    if (outlet === undefined) {
      outlet = {
        line: undefined,
        awayUntilMs: 0,
        awayReason: '',
        wantsKeys: false,
        takenAtMs: -Infinity,
        probing: false,
      };
      this.#outlets.set(topic, outlet);
    }
    return outlet;
  }
}

/** One call of `publish`. */
interface Publishing<Sent extends OutgoingMessage> {
  readonly topic: string;
  readonly amend: Amend<Sent> | undefined;
  /** What the topic refuses in every form. */
  readonly hopeless: Hopeless[];
}

interface Hopeless {
  readonly message: OutgoingMessage;
  readonly refusal: Refusal;
  readonly error: unknown;
}

/** Characters of a message's key that a log line shows. */
const NAME_LENGTH_MAX = 100;

/** Error types of Kafka that mean that the topic itself is not to be had. */
const REFUSALS = ['UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION', 'TOPIC_AUTHORIZATION_FAILED'];

function lineOf(outlet: Outlet, create: () => Producer): Line {
  if (outlet.line !== undefined) return outlet.line;
  const producer = create();
  const line = { producer, connected: producer.connect() };
  line.connected.catch(() => {
    if (outlet.line === line) outlet.line = undefined;
  });
  outlet.line = line;
  return line;
}

/** Nobody waits for it. It is disconnected once more when its request has failed, for which kafkajs may have connected it again. */
function giveUp(outlet: Outlet, { producer }: Line, answer: Promise<void>): void {
  if (outlet.line?.producer === producer) outlet.line = undefined;
  const disconnect = (): Promise<void> => producer.disconnect().catch(() => undefined);
  void disconnect();
  void answer.then(disconnect, disconnect);
}

/**
 * kafkajs reports success for what it has not sent: a send that fails at one broker is tried again at the brokers that have
 * not answered yet, and a partition whose leader has moved meanwhile to one that has answered is left out; so is a partition
 * that does not exist. Its answer names the partitions that were sent; what was not is sent again.
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
  timestamp: 'the timestamp of a message is out of the range that it takes',
  record: 'a message is not valid there, for instance by a schema that the broker checks',
};

/** Null where the request failed for another reason than its messages, and the topic is to be left alone. */
function refusalOf(error: unknown, messages: readonly OutgoingMessage[]): Refusal | null {
  // A record batch can be larger than the topic's messages may be, or than its segments.
  if (isOfType(error, 'MESSAGE_TOO_LARGE') || isOfType(error, 'RECORD_LIST_TOO_LARGE')) return 'size';
  if (isOfType(error, 'INVALID_RECORD')) return 'record';
  // What older brokers say of a message without a key for a compacted topic, and of one that was damaged on its way.
  if (isOfType(error, 'CORRUPT_MESSAGE') && messages.some(({ key }) => key === null)) return 'record';
  // Where it is the time of now that is refused, a clock is wrong: no message can help it.
  return isOfType(error, 'INVALID_TIMESTAMP') && messages.some(hasTimestamp) ? 'timestamp' : null;
}

function hasTimestamp({ timestampMs = -1 }: OutgoingMessage): boolean {
  return timestampMs >= 0;
}

/**
 * Kafka's own choice of a partition, as kafkajs's default partitioner makes it, at a sixtieth of its time; messages
 * without a key go round. The choice is written into the message: a send that is tried again must not choose anew.
 */
export function createPartitioner(): (args: PartitionerArgs) => number {
  let round = 0;
  return ({ partitionMetadata, message }) => {
    const { key } = message;
    message.partition ??= (key instanceof Uint8Array ? murmur2(key) : round++) % partitionMetadata.length;
    return message.partition;
  };
}

function toMessage({ key, value, headers, partition, timestampMs }: OutgoingMessage): Message {
  const message: Message = { key, value };
  if (headers !== undefined) message.headers = withoutNulls(headers);
  if (partition !== undefined) message.partition = partition;
  if (timestampMs !== undefined && timestampMs >= 0) message.timestamp = String(timestampMs);
  return message;
}

/** kafkajs has another word for a header without a value. Headers that all have one, nearly all, are passed on as they are. */
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

/** Bytes that headers take in a message, about. */
export function headersBytes(headers: HeaderValues): number {
  let bytes = 0;
  for (const [name, values] of Object.entries(headers)) {
    for (const header of values instanceof Array ? values : [values]) {
      bytes += MESSAGE_OVERHEAD_BYTES + name.length + (header === null ? 0 : Buffer.byteLength(header));
    }
  }
  return bytes;
}
