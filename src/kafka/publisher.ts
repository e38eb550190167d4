import type { IHeaders, Message, PartitionerArgs, Producer } from 'kafkajs';
import { murmur2 } from '../records/murmur2.js';

/** A message to publish. Without a partition it goes where every Kafka client would send its key. */
export interface OutgoingMessage {
  readonly key: Buffer | null;
  readonly value: Buffer | string | null;
  readonly headers?: IHeaders;
  readonly partition?: number;
  readonly timestampMs?: number;
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

/** Publishes messages in order, one topic a request, each request below the size that brokers refuse. */
export class Publisher {
  readonly #producer: Producer;

  constructor(producer: Producer) {
    this.#producer = producer;
  }

  /**
   * Resolves when all in-sync replicas have the messages. Rejects with kafkajs's error; a repetition may publish twice.
   *
   * @param messages taken one by one as requests are filled, so that a long list need not be in memory
   */
  async publish(topic: string, messages: Iterable<OutgoingMessage>): Promise<void> {
    let request: Message[] = [];
    let requestBytes = 0;
    for (const message of messages) {
      const bytes = messageBytes(message);
      const full = requestBytes + bytes > REQUEST_BYTES_MAX || request.length >= REQUEST_MESSAGES_MAX;
      if (full && request.length > 0) {
        await this.#send(topic, request);
        request = [];
        requestBytes = 0;
      }
      request.push(toMessage(message));
      requestBytes += bytes;
    }
    if (request.length > 0) await this.#send(topic, request);
  }

  /**
   * A send of kafkajs that fails at one broker is tried again at the brokers that have not answered yet. A partition whose
   * leader has moved meanwhile to one that has answered is left out then, with success. So its answer says what was sent.
   */
  async #send(topic: string, messages: readonly Message[]): Promise<void> {
    for (let unsent = messages; unsent.length > 0;) {
      const answers = await this.#producer.send({ topic, messages: [...unsent], acks: -1 });
      const taken = new Set(answers.map(({ partition }) => partition));
      const left = unsent.filter(({ partition }) => partition === undefined || !taken.has(partition));
      if (left.length === unsent.length)
        throw new Error(`Kafka has no partition of ${topic} for ${left.length} messages`);
      unsent = left;
    }
  }
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
  return {
    key,
    value,
    ...(headers === undefined ? {} : { headers }),
    ...(partition === undefined ? {} : { partition }),
    ...(timestampMs === undefined || timestampMs < 0 ? {} : { timestamp: String(timestampMs) }),
  };
}

function messageBytes({ key, value, headers }: OutgoingMessage): number {
  let bytes =
    MESSAGE_OVERHEAD_BYTES +
    (key?.length ?? 0) +
    (typeof value === 'string' ? Buffer.byteLength(value) : (value?.length ?? 0));
  for (const [name, values] of Object.entries(headers ?? {})) {
    for (const header of Array.isArray(values) ? values : [values]) {
      bytes += MESSAGE_OVERHEAD_BYTES + name.length + (header === undefined ? 0 : Buffer.byteLength(header));
    }
  }
  return bytes;
}
