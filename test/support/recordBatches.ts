import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import lz4 from 'lz4-napi';
import snappy from 'snappy';
import { compress as zstdCompress } from '../../src/codecs/compression.js';

const require = createRequire(import.meta.url);
const crc32c = require('kafkajs/src/protocol/recordBatch/crc32C') as (bytes: Buffer) => number;
const crc32 = require('kafkajs/src/protocol/crc32') as (encoder: { buffer: Buffer }) => number;

/** Writes the protocol's types, one after the other. */
class Writer {
  readonly #parts: Buffer[] = [];

  get buffer(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #write(length: number, write: (part: Buffer) => void): this {
    const part = Buffer.alloc(length);
    write(part);
    this.#parts.push(part);
    return this;
  }

  int8 = (value: number) => this.#write(1, (part) => part.writeInt8(value));
  int16 = (value: number) => this.#write(2, (part) => part.writeInt16BE(value));
  int32 = (value: number) => this.#write(4, (part) => part.writeInt32BE(value));
  uint32 = (value: number) => this.#write(4, (part) => part.writeUInt32BE(value >>> 0));
  int64 = (value: bigint | number) => this.#write(8, (part) => part.writeBigInt64BE(BigInt(value)));

  raw = (value: Buffer) => {
    this.#parts.push(value);
    return this;
  };

  bytes = (value: Buffer | null) => (value === null ? this.int32(-1) : this.int32(value.length).raw(value));

  /** Zigzag. */
  varint = (value: bigint | number) => {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
    for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
    return this.raw(Buffer.from([...bytes, Number(rest)]));
  };

  varintBytes = (value: Buffer | null) => (value === null ? this.varint(-1) : this.varint(value.length).raw(value));
}

export const CODECS = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;
export type Codec = keyof typeof CODECS;

function compress(codec: Codec, data: Buffer): Buffer {
  switch (codec) {
    case 'none':
      return data;
    case 'gzip':
      return gzipSync(data, { level: 1 });
    case 'snappy':
      return snappy.compressSync(data);
    case 'lz4':
      return lz4.compressFrameSync(data);
    case 'zstd':
      return zstdCompress(data);
  }
}

export interface BatchRecord {
  /** Above the batch's base offset. */
  readonly delta: number;
  readonly timestampDelta?: bigint | number;
  readonly key?: Buffer | null;
  readonly value?: Buffer | null;
  readonly headers?: readonly (readonly [name: string, value: Buffer | null])[];
}

export interface BatchOptions {
  readonly base: number | bigint;
  readonly records: readonly BatchRecord[];
  /** Default: that of the last record. */
  readonly lastDelta?: number;
  readonly codec?: Codec;
  readonly baseTimestamp?: bigint | number;
  readonly maxTimestamp?: bigint | number;
  readonly appendTime?: boolean;
  /** Set for a batch of a transaction. */
  readonly producerId?: bigint;
  readonly control?: boolean;
  /** Default: that of the records. */
  readonly count?: number;
  /** Default: what the records compress to. */
  readonly compressed?: Buffer;
}

/** A record batch of format 2. */
export function recordBatch(options: BatchOptions): Buffer {
  const { base, records, codec = 'none', baseTimestamp = 0, maxTimestamp = 0, producerId } = options;
  const attributes =
    CODECS[codec] |
    (options.appendTime ? 0x08 : 0) |
    (producerId === undefined ? 0 : 0x10) |
    (options.control ? 0x20 : 0);
  const body = new Writer()
    .int16(attributes)
    .int32(options.lastDelta ?? records.at(-1)?.delta ?? 0)
    .int64(baseTimestamp)
    .int64(maxTimestamp)
    .int64(producerId ?? -1n)
    .int16(0)
    .int32(0)
    .int32(options.count ?? records.length)
    .raw(options.compressed ?? compress(codec, Buffer.concat(records.map(encodeRecord)))).buffer;
  const rest = new Writer().int32(0).int8(2).uint32(crc32c(body)).raw(body).buffer;
  return new Writer().int64(base).int32(rest.length).raw(rest).buffer;
}

function encodeRecord({ delta, timestampDelta = 0, key = null, value = null, headers = [] }: BatchRecord): Buffer {
  const encodedHeaders = headers.map(
    ([name, bytes]) => new Writer().varintBytes(Buffer.from(name)).varintBytes(bytes).buffer,
  );
  const body = new Writer()
    .int8(0)
    .varint(timestampDelta)
    .varint(delta)
    .varintBytes(key)
    .varintBytes(value)
    .varint(headers.length)
    .raw(Buffer.concat(encodedHeaders)).buffer;
  return new Writer().varint(body.length).raw(body).buffer;
}

/** The control batch that ends a transaction. */
export function transactionEnd(base: number, producerId: bigint, end: 'abort' | 'commit'): Buffer {
  const key = Buffer.from([0, 0, 0, end === 'abort' ? 0 : 1]);
  return recordBatch({ base, producerId, control: true, records: [{ delta: 0, key, value: Buffer.alloc(6) }] });
}

export interface OldMessage {
  readonly magic: 0 | 1;
  readonly offset: number;
  readonly timestamp?: number;
  readonly key?: Buffer | null;
  readonly value?: Buffer | null;
  /** Of the value. */
  readonly codec?: Codec;
  readonly appendTime?: boolean;
}

/** A message of format 0 or 1. */
export function oldMessage({
  magic,
  offset,
  timestamp = 0,
  key = null,
  value = null,
  codec = 'none',
  appendTime,
}: OldMessage) {
  const content = new Writer().int8(magic).int8(CODECS[codec] | (appendTime ? 0x08 : 0));
  if (magic === 1) content.int64(timestamp);
  content.bytes(key).bytes(value === null ? null : compress(codec, value));
  const message = new Writer().int32(crc32(content)).raw(content.buffer).buffer;
  return new Writer().int64(offset).int32(message.length).raw(message).buffer;
}

export interface FetchedPartition {
  readonly partition: number;
  readonly errorCode?: number;
  readonly highWatermark?: number;
  readonly aborted?: readonly { readonly producerId: bigint; readonly firstOffset: number }[];
  readonly records: Buffer;
}

/** An answer to a Fetch request of version 11 about one topic. */
export function fetchResponse(topic: string, partitions: readonly FetchedPartition[]): Buffer {
  const encoded = partitions.map(({ partition, errorCode = 0, highWatermark = 1e6, aborted = [], records }) => {
    const head = new Writer()
      .int32(partition)
      .int16(errorCode)
      .int64(highWatermark)
      .int64(highWatermark)
      .int64(0n)
      .int32(aborted.length);
    for (const { producerId, firstOffset } of aborted) head.int64(producerId).int64(firstOffset);
    return head.int32(-1).bytes(records).buffer;
  });
  return new Writer()
    .int32(0)
    .int16(0)
    .int32(0)
    .int32(1)
    .int16(Buffer.byteLength(topic))
    .raw(Buffer.from(topic))
    .int32(partitions.length)
    .raw(Buffer.concat(encoded)).buffer;
}
