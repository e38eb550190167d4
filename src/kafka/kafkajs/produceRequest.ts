import type { HeaderValues } from '../../protocol/record.js';
import { crc32c } from './crc32c.js';
import { internalModule } from './internals.js';
import type { ProtocolRequest } from './metadata.js';
import { BATCH_HEADER_BYTES } from './recordBatch.js';

/** A message as kafkajs's producer has it. */
export interface ProducedMessage {
  readonly key?: Buffer | string | null;
  readonly value: Buffer | string | null;
  readonly headers?: HeaderValues;
  /** Milliseconds since 1970. Without one: when the request is written. */
  readonly timestamp?: string;
}

/** What kafkajs asks to be written. */
export interface ProduceRequest {
  readonly acks: number;
  readonly timeout: number;
  readonly compression: number;
  readonly transactionalId?: string | null;
  /** Of an idempotent producer. -1: it is none. */
  readonly producerId?: unknown;
  readonly topicData: readonly TopicMessages[];
}

interface TopicMessages {
  readonly topic: string;
  readonly partitions: readonly { readonly partition: number; readonly messages: readonly ProducedMessage[] }[];
}

interface Definition {
  protocol: (version: { version: number }) => (asked: ProduceRequest) => ProtocolRequest<unknown>;
}

/** `protocol/encoder` of kafkajs: bytes that grow. */
interface Encoder {
  buf: Buffer;
  /** Bytes that are written. */
  offset: number;
}

/** The first version of the request that has record batches (Kafka 0.11). All later ones that kafkajs knows are alike. */
const RECORD_BATCHES_VERSION = 3;

let repaired = false;

/**
 * Writes the produce requests of kafkajs, in this process, in one pass into one buffer. A second call does nothing.
 *
 * - kafkajs makes three encoders for each message, each with a buffer of 512 bytes. That and its garbage were a quarter
 *   of the processor time of a pipeline.
 * - It cannot write a header without a value: it throws when it counts the bytes of `null`.
 *
 * Transactions, idempotent producers and compression are left to kafkajs: the bridge uses none of them.
 */
export function repairProduceRequests(): void {
  if (repaired) return;
  repaired = true;
  const definition = internalModule('protocol/requests/produce') as Definition;
  const EncoderOfKafkajs = internalModule('protocol/encoder') as new (bytes: number) => Encoder;
  const { protocol } = definition;
  definition.protocol = (version) => (asked) => {
    const { request, response } = protocol(version)(asked);
    if (version.version < RECORD_BATCHES_VERSION || !isPlain(asked)) return { request, response };
    const encode = (): Promise<Encoder> => {
      const buf = encodeRequest(asked);
      return Promise.resolve(Object.assign(new EncoderOfKafkajs(0), { buf, offset: buf.length }));
    };
    return { request: { ...request, encode }, response };
  };
}

function isPlain({ compression, transactionalId, producerId }: ProduceRequest): boolean {
  return compression === 0 && !transactionalId && (producerId === undefined || Number(producerId) === -1);
}

/**
 * The body of a produce request: `transactional_id acks timeout [topic [partition records]]`.
 *
 * @see https://kafka.apache.org/protocol.html#The_Messages_Produce
 */
export function encodeRequest({ acks, timeout, topicData }: ProduceRequest, nowMs = Date.now()): Buffer {
  const topics = topicData.map(({ topic, partitions }) => ({
    name: Buffer.from(topic),
    partitions: partitions.map(({ partition, messages }) => ({ partition, batch: new Batch(messages, nowMs) })),
  }));
  let bytes = 12;
  for (const { name, partitions } of topics) {
    bytes += 6 + name.length;
    for (const { batch } of partitions) bytes += 8 + batch.bytes;
  }
  const out = Buffer.allocUnsafe(bytes);
  let at = out.writeInt16BE(-1, 0);
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
      at = batch.write(out, at);
    }
  }
  return out;
}

/** Bytes of a batch before those that its length counts, and before those that its checksum covers. */
const LENGTH_END = 12;
const CRC_END = 21;
const MAGIC = 2;
const NO_HEADERS: readonly Header[] = [];

type Header = readonly [name: Buffer, value: Buffer | string | null];

/**
 * One record batch, of format 2: measured first, because each record begins with its length, then written.
 *
 * @see https://kafka.apache.org/documentation/#recordbatch
 */
class Batch {
  /** Of the whole batch. */
  readonly bytes: number;
  readonly #messages: readonly ProducedMessage[];
  readonly #headers: readonly (readonly Header[])[];
  /** Of each record, without its length. */
  readonly #recordBytes: Int32Array;
  readonly #timestampsMs: Float64Array;

  constructor(messages: readonly ProducedMessage[], nowMs: number) {
    this.#messages = messages;
    this.#timestampsMs = Float64Array.from(messages, ({ timestamp }) => Number(timestamp ?? nowMs));
    this.#headers = messages.map(({ headers }) => (headers === undefined ? NO_HEADERS : listed(headers)));
    this.#recordBytes = new Int32Array(messages.length);
    let bytes = BATCH_HEADER_BYTES;
    for (const [index, message] of messages.entries()) {
      const recordBytes = this.#measure(message, index);
      this.#recordBytes[index] = recordBytes;
      bytes += varintBytes(recordBytes) + recordBytes;
    }
    this.bytes = bytes;
  }

  /** @returns the place after it */
  write(out: Buffer, start: number): number {
    const last = this.#messages.length - 1;
    out.fill(0, start, start + BATCH_HEADER_BYTES);
    out.writeInt32BE(this.bytes - LENGTH_END, start + 8);
    out.writeInt8(MAGIC, start + 16);
    out.writeInt32BE(last, start + 23);
    out.writeBigInt64BE(BigInt(this.#firstMs), start + 27);
    out.writeBigInt64BE(BigInt(this.#timestampsMs.reduce((a, b) => Math.max(a, b), this.#firstMs)), start + 35);
    out.writeBigInt64BE(-1n, start + 43); // No producer id.
    out.writeInt32BE(last + 1, start + 57);
    let at = start + BATCH_HEADER_BYTES;
    for (const [index, message] of this.#messages.entries()) at = this.#writeRecord(out, at, message, index);
    out.writeUInt32BE(crc32c(out, start + CRC_END, at), start + 17);
    return at;
  }

  get #firstMs(): number {
    return this.#timestampsMs[0] ?? 0;
  }

  #deltaMs(index: number): number {
    return (this.#timestampsMs[index] as number) - this.#firstMs;
  }

  #measure({ key, value }: ProducedMessage, index: number): number {
    const headers = this.#headers[index] as readonly Header[];
    let bytes = 1 + varintBytes(this.#deltaMs(index)) + varintBytes(index);
    bytes += contentBytes(key) + contentBytes(value) + varintBytes(headers.length);
    for (const [name, header] of headers) bytes += contentBytes(name) + contentBytes(header);
    return bytes;
  }

  #writeRecord(out: Buffer, start: number, { key, value }: ProducedMessage, index: number): number {
    const headers = this.#headers[index] as readonly Header[];
    let at = writeVarint(out, start, this.#recordBytes[index] as number);
    out[at++] = 0; // Attributes.
    at = writeVarint(out, at, this.#deltaMs(index));
    at = writeVarint(out, at, index);
    at = writeContent(out, at, key);
    at = writeContent(out, at, value);
    at = writeVarint(out, at, headers.length);
    for (const [name, header] of headers) at = writeContent(out, writeContent(out, at, name), header);
    return at;
  }
}

/** One entry for each value of a name. */
function listed(headers: HeaderValues): readonly Header[] {
  return Object.entries(headers).flatMap(([name, values]) => {
    const nameBytes = Buffer.from(name);
    return (values instanceof Array ? values : [values]).map((value) => [nameBytes, value] as const);
  });
}

type Content = Buffer | string | null | undefined;

/** Bytes of a key, value, or name or value of a header, with its length. */
function contentBytes(content: Content): number {
  if (content === null || content === undefined) return 1;
  const bytes = Buffer.byteLength(content);
  return varintBytes(bytes) + bytes;
}

function writeContent(out: Buffer, start: number, content: Content): number {
  if (content === null || content === undefined) return writeVarint(out, start, -1);
  const at = writeVarint(out, start, Buffer.byteLength(content));
  return at + (typeof content === 'string' ? out.write(content, at) : content.copy(out, at));
}

/** Bytes of an integer, zigzag-encoded, seven bits in each byte. Up to 53 bits. */
function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

function writeVarint(out: Buffer, start: number, value: number): number {
  let at = start;
  let rest = zigzag(value);
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out[at++] = (rest % 0x80) + 0x80;
  out[at++] = rest;
  return at;
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}
