import { internalModule } from './internals.js';
import type { OutgoingBatch } from './outgoingBatch.js';
import type { ProtocolRequest } from './protocolRequest.js';

/** What kafkajs asks to be written. */
export interface ProduceRequest {
  readonly acks: number;
  readonly timeout: number;
  readonly topicData: readonly TopicMessages[];
}

interface TopicMessages {
  readonly topic: string;
  readonly partitions: readonly { readonly partition: number; readonly messages: readonly { value: unknown }[] }[];
}

interface Definition {
  protocol: (version: { version: number }) => (asked: ProduceRequest) => ProtocolRequest<unknown>;
}

/** `protocol/encoder` of kafkajs: bytes that grow. */
interface Encoder {
  buf: Buffer;
  /** Bytes that are written. */
  offset: number;
  /** Set for what has room before it: the memory of both. What is written ends with it. */
  withRoom?: Buffer | undefined;
  writeEncoder: (this: Encoder, value: Encoder) => Encoder;
}

/** The first version of the request that has record batches (Kafka 0.11). All later ones that kafkajs knows are alike. */
const RECORD_BATCHES_VERSION = 3;

let repaired = false;

/**
 * Lets the producers of kafkajs, in this process, send record batches that are written already: to kafkajs, each is one
 * message of its partition, with an {@link OutgoingBatch} as its value. A second call does nothing.
 *
 * kafkajs makes three encoders for each message, each with a buffer of 512 bytes. That and its garbage were a quarter of
 * the processor time of a pipeline. It also cannot write a header without a value: it throws when it counts the bytes of
 * `null`. Requests without batches are left to it.
 */
export function repairProduceRequests(): void {
  if (repaired) return;
  repaired = true;
  const definition = internalModule('protocol/requests/produce') as Definition;
  const EncoderOfKafkajs = internalModule('protocol/encoder') as EncoderClass;
  letBodiesBePreceded(EncoderOfKafkajs);
  const { protocol } = definition;
  definition.protocol = (version) => (asked) => {
    const { request, response } = protocol(version)(asked);
    if (!hasBatches(asked)) return { request, response };
    if (version.version < RECORD_BATCHES_VERSION) throw new Error('the broker takes no record batches: it is too old');
    const encode = (): Promise<Encoder> => {
      const withRoom = encodeProduceRequest(asked, Date.now(), ROOM_BYTES);
      const buf = withRoom.subarray(ROOM_BYTES);
      return Promise.resolve(Object.assign(new EncoderOfKafkajs(0), { buf, offset: buf.length, withRoom }));
    };
    return { request: { ...request, encode }, response };
  };
}

type EncoderClass = (new (bytes: number) => Encoder) & { readonly prototype: Encoder };

/**
 * Bytes of the room before a request. kafkajs writes its length there, the ids of the API and of the request, and the
 * client's id. A client's id that is longer costs two copies, as without the room.
 */
const ROOM_BYTES = 512;

/**
 * Lets kafkajs put the two headers of a request before it without copying it. Otherwise it copies the whole request for
 * each of them, into a buffer that it fills with zeros first.
 */
function letBodiesBePreceded({ prototype }: EncoderClass): void {
  const { writeEncoder } = prototype;
  prototype.writeEncoder = function (value) {
    const withRoom = roomBefore(value, this.offset);
    if (withRoom === null) return writeEncoder.call(this, value);
    const start = withRoom.length - value.buf.length - this.offset;
    this.buf.copy(withRoom, start, 0, this.offset);
    this.withRoom = withRoom;
    this.buf = withRoom.subarray(start);
    this.offset = this.buf.length;
    // Two that share the room would overwrite each other.
    value.withRoom = undefined;
    return this;
  };
}

/** The memory of what an encoder has written, if it has room for so many bytes before it, and nothing was appended since. */
function roomBefore(value: Encoder | null | undefined, bytes: number): Buffer | null {
  if (value?.withRoom === undefined) return null;
  const { buf, offset, withRoom } = value;
  const hasOnlyBody = offset === buf.length && buf.buffer === withRoom.buffer;
  return hasOnlyBody && withRoom.length - buf.length >= bytes ? withRoom : null;
}

function hasBatches({ topicData }: ProduceRequest): boolean {
  return topicData.some(({ partitions }) =>
    partitions.some(({ messages }) => messages.some(({ value }) => isBatch(value))),
  );
}

/** @throws if there is anything else: a partition has one batch in a request */
function onlyBatch(messages: readonly { value: unknown }[]): OutgoingBatch {
  const value = messages[0]?.value;
  if (messages.length !== 1 || !isBatch(value)) throw new Error('a partition must have one record batch in a request');
  return value;
}

/** Not by its class: there may be another copy of it, and one of this module that has repaired kafkajs before. */
function isBatch(value: unknown): value is OutgoingBatch {
  return typeof value === 'object' && value !== null && 'writeTo' in value;
}

/**
 * The body of a produce request: `transactional_id acks timeout [topic [partition records]]`.
 *
 * @param roomBytes bytes that are left before it. Default: 0
 * @see https://kafka.apache.org/protocol.html#The_Messages_Produce
 */
export function encodeProduceRequest(
  { acks, timeout, topicData }: ProduceRequest,
  nowMs = Date.now(),
  roomBytes = 0,
): Buffer {
  const topics = topicData.map(({ topic, partitions }) => ({
    name: Buffer.from(topic),
    partitions: partitions.map(({ partition, messages }) => ({ partition, batch: onlyBatch(messages) })),
  }));
  let bytes = roomBytes + 12;
  for (const { name, partitions } of topics) {
    bytes += 6 + name.length;
    for (const { batch } of partitions) bytes += 8 + batch.bytes;
  }
  const out = Buffer.allocUnsafe(bytes);
  let at = out.writeInt16BE(-1, roomBytes);
  at = out.writeInt16BE(acks, at);
  at = out.writeInt32BE(timeout, at);
  at = out.writeInt32BE(topics.length, at);
  for (const { name, partitions } of topics) {
    at = out.writeInt16BE(name.length, at);
    at += name.copy(out, at);
    at = out.writeInt32BE(partitions.length, at);
    for (const { partition, batch } of partitions) {
      at = out.writeInt32BE(partition, at);
      at = out.writeInt32BE(batch.bytes, at);
      at = batch.writeTo(out, at, nowMs);
    }
  }
  return out;
}
