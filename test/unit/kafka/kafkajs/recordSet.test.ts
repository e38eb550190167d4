import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import crc32 from 'crc-32';
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { SHARED_ROOM_BATCH_MAX } from '../../../../src/kafka/kafkajs/batchRoom.js';
import { DECOMPRESSED_BYTES_MAX } from '../../../../src/kafka/kafkajs/decompression.js';
import { HEADERS_MAX } from '../../../../src/kafka/kafkajs/fetchedRecord.js';
import { decodeFetchResponse, recordSetOf } from '../../../../src/kafka/kafkajs/fetchResponse.js';
import {
  RecordSetReader,
  UnreadableBatchError,
  type AbortedTransaction,
  type RecordSetPart,
} from '../../../../src/kafka/kafkajs/recordSet.js';
import { compress } from '../../../../src/codecs/compression.js';
import type { KafkaRecord } from '../../../../src/protocol/record.js';
import { registerCodecs } from '../../../support/kafkajsCodecs.js';
import {
  CODECS,
  fetchResponse,
  oldMessage,
  recordBatch,
  transactionEnd,
  type Codec,
} from '../../../support/recordBatches.js';
import { plain } from '../../../support/records.js';

beforeAll(registerCodecs);

const bytes = (text: string) => Buffer.from(text);
const codecs = Object.keys(CODECS) as Codec[];

async function partsOf(set: Buffer, position = 0, aborted: AbortedTransaction[] = []): Promise<RecordSetPart[]> {
  const reader = new RecordSetReader({ topic: 'orders', partition: 3, errorCode: 0, bytes: set, aborted }, position);
  const parts: RecordSetPart[] = [];
  for (;;) {
    const part = await reader.next(reader.neededBytes);
    if (part !== null) parts.push(part);
    else if (reader.neededBytes === 0) return parts;
  }
}

async function recordsOf(set: Buffer, position = 0, aborted: AbortedTransaction[] = []): Promise<KafkaRecord[]> {
  const parts = await partsOf(set, position, aborted);
  for (const { failure } of parts) if (failure !== null) throw failure;
  return parts.flatMap(({ records }) => [...records]);
}

/** A message that says its value is compressed. */
function withCodec(message: Buffer, codec: number): Buffer {
  message[17] = codec;
  message.writeInt32BE(crc32.buf(message.subarray(16)), 12);
  return message;
}

const offsetsOf = (records: readonly KafkaRecord[]) => records.map(({ offset }) => offset);
/** One record for each of these deltas, whose value is the delta. */
const numbered = (...deltas: number[]) => deltas.map((delta) => ({ delta, value: bytes(String(delta)) }));

// ── What records are ───────────────────────────────────────────────────────────────────────────────────────────────

const anyBytes = fc.option(
  fc.uint8Array({ maxLength: 50 }).map((array) => Buffer.from(array)),
  { nil: null },
);
const anyBatch = fc.record({
  codec: fc.constantFrom(...codecs),
  base: fc.integer({ min: 0, max: 1_000 }),
  baseTimestamp: fc.oneof(fc.integer({ min: 0, max: 2 ** 45 }), fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n })),
  records: fc.array(
    fc.record({
      timestampDelta: fc.oneof(fc.integer(), fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n })),
      key: anyBytes,
      value: anyBytes,
      headers: fc.array(
        fc.tuple(fc.oneof(fc.constantFrom('__proto__', 'constructor', 'toString', '1'), fc.string()), anyBytes),
        { maxLength: 4 },
      ),
    }),
    { minLength: 1, maxLength: 20 },
  ),
});

it('a batch of any codec gives back its records, to the bit', async () => {
  await fc.assert(
    fc.asyncProperty(anyBatch, async ({ codec, base, baseTimestamp, records }) => {
      const batch = recordBatch({
        codec,
        base,
        baseTimestamp,
        records: records.map((record, delta) => ({ ...record, delta })),
      });
      expect((await recordsOf(batch)).map(plain)).toEqual(
        records.map(({ timestampDelta, headers, ...record }, delta) => ({
          ...record,
          headers: headers.map(([name, value]) => [Buffer.from(name).toString(), value]),
          offset: base + delta,
          timestampMs: Number(BigInt(baseTimestamp) + BigInt(timestampDelta)),
          tooLargeBytes: undefined,
        })),
      );
    }),
  );
});

const require = createRequire(import.meta.url);
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch: (options: object) => Promise<{ buffer: Buffer }>;
};
const encodeKafkajsRecord = require('kafkajs/src/protocol/recordBatch/record/v0') as (options: object) => object;
const KafkajsDecoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => { offset: number };
const decodeByKafkajs = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (decoder: object) => Promise<{
  records: { offset: string; timestamp: string; key: Buffer | null; value: Buffer | null; headers: object }[];
}>;

it('what kafkajs encodes is decoded as kafkajs decodes it, where it does it right', async () => {
  const headers = fc.dictionary(
    fc.string({ minLength: 1 }).filter((name) => !(name in {})),
    fc.uint8Array({ maxLength: 10 }).map((array) => Buffer.from(array)),
    { noNullPrototype: true, maxKeys: 4 },
  );
  const batches = fc.record({
    compression: fc.constantFrom(...Object.values(CODECS)),
    records: fc.array(fc.record({ key: anyBytes, value: anyBytes, headers }), { minLength: 1, maxLength: 10 }),
  });
  await fc.assert(
    fc.asyncProperty(batches, async ({ compression, records }) => {
      const { buffer } = await RecordBatch({
        compression,
        firstTimestamp: 1_760_000_000_000,
        lastOffsetDelta: records.length - 1,
        records: records.map((record, offsetDelta) =>
          encodeKafkajsRecord({ ...record, offsetDelta, timestampDelta: 5 }),
        ),
      });
      const theirs = await decodeByKafkajs(new KafkajsDecoder(buffer));
      const ours = await recordsOf(buffer);
      expect(ours.map(plain)).toEqual(
        theirs.records.map(({ offset, timestamp, key, value, headers }) => ({
          offset: Number(offset),
          timestampMs: Number(timestamp),
          key,
          value,
          headers: Object.entries(headers),
          tooLargeBytes: undefined,
        })),
      );
    }),
  );
});

it('of a batch with the broker’s time, all records have that', async () => {
  const batch = recordBatch({ base: 0, records: numbered(0, 1), appendTime: true, baseTimestamp: 5, maxTimestamp: 77 });
  expect((await recordsOf(batch)).map(({ timestampMs }) => timestampMs)).toEqual([77, 77]);
});

it('a batch may have any number of records: 130,000 of one byte', { timeout: 60_000 }, async () => {
  const records = Array.from({ length: 130_000 }, (_, delta) => ({ delta, value: Buffer.alloc(1) }));
  const decoded = await recordsOf(recordBatch({ base: 0, codec: 'gzip', records }));
  expect(decoded.length).toBe(130_000);
  expect(decoded.at(-1)?.offset).toBe(129_999);
});

// ── Formats 0 and 1 ────────────────────────────────────────────────────────────────────────────────────────────────

it('messages of format 0 have no timestamp, those of format 1 have one, and a batch may follow them', async () => {
  const set = Buffer.concat([
    oldMessage({ magic: 0, offset: 5, key: bytes('k'), value: bytes('zero') }),
    oldMessage({ magic: 1, offset: 6, timestamp: 1_234, value: null }),
    recordBatch({ base: 7, records: numbered(0), baseTimestamp: 9 }),
  ]);
  expect((await recordsOf(set, 5)).map(plain)).toEqual([
    { offset: 5, timestampMs: -1, key: bytes('k'), value: bytes('zero'), headers: [], tooLargeBytes: undefined },
    { offset: 6, timestampMs: 1_234, key: null, value: null, headers: [], tooLargeBytes: undefined },
    { offset: 7, timestampMs: 9, key: null, value: bytes('0'), headers: [], tooLargeBytes: undefined },
  ]);
});

for (const codec of codecs.filter((name) => name !== 'none')) {
  it(`${codec}: messages inside one of format 0 have their own offsets, of format 1 relative ones`, async () => {
    const inner = (magic: 0 | 1, offsets: number[]) =>
      Buffer.concat(
        offsets.map((offset) => oldMessage({ magic, offset, timestamp: offset * 10, value: bytes(`${offset}`) })),
      );
    const set = Buffer.concat([
      oldMessage({ magic: 0, offset: 12, codec, value: inner(0, [10, 12]) }),
      // The first one was compacted away.
      oldMessage({ magic: 1, offset: 23, codec, value: inner(1, [1, 2, 3]) }),
      oldMessage({ magic: 1, offset: 31, codec, timestamp: 99, appendTime: true, value: inner(1, [0, 1]) }),
    ]);
    const records = await recordsOf(set, 11);
    expect(offsetsOf(records)).toEqual([12, 21, 22, 23, 30, 31]);
    expect(records.map(({ timestampMs }) => timestampMs)).toEqual([-1, 10, 20, 30, 99, 99]);
  });
}

// ── Positions ──────────────────────────────────────────────────────────────────────────────────────────────────────

it('a fetch from the middle of a batch begins there, however much lies before', async () => {
  const records = Array.from({ length: 20_000 }, (_, delta) => ({ delta, value: bytes(`${delta}`) }));
  for (const codec of ['none', 'lz4'] as const) {
    const parts = await partsOf(recordBatch({ base: 100, codec, records }), 19_000);
    expect(parts[0]?.from).toBe(19_000);
    expect(parts[0]?.records[0]?.offset).toBe(19_000);
    expect(parts.at(-1)?.next).toBe(20_100);
  }
});

it('parts follow each other without a hole, and nothing comes twice', { timeout: 60_000 }, async () => {
  const records = Array.from({ length: 30_000 }, (_, delta) => ({ delta: delta * 2, value: Buffer.alloc(20) }));
  const set = Buffer.concat([
    recordBatch({ base: 0, codec: 'zstd', records, lastDelta: 60_000 }),
    ...Array.from({ length: 500 }, (_, index) => recordBatch({ base: 60_001 + index, records: numbered(0) })),
  ]);
  const parts = await partsOf(set);
  expect(parts.length).toBeGreaterThan(5);
  expect(parts.slice(1).map(({ from }) => from)).toEqual(parts.slice(0, -1).map(({ next }) => next));
  const offsets = parts.flatMap((part) => offsetsOf(part.records));
  expect(offsets).toEqual([
    ...records.map(({ delta }) => delta),
    ...Array.from({ length: 500 }, (_, at) => 60_001 + at),
  ]);
});

it('what compaction has left empty, or without its last records, moves the position on', async () => {
  const set = Buffer.concat([
    recordBatch({ base: 0, records: [], lastDelta: 9 }),
    recordBatch({ base: 10, records: numbered(2), lastDelta: 9 }),
  ]);
  expect(await partsOf(set)).toMatchObject([{ from: 0, next: 20, records: [{ offset: 12 }] }]);
  expect(await partsOf(set, 13)).toMatchObject([{ from: 13, next: 20, records: [] }]);
});

it('a last batch that is cut off anywhere is left for the next fetch', async () => {
  const [first, second] = [
    recordBatch({ base: 0, records: numbered(0) }),
    recordBatch({ base: 1, records: numbered(0) }),
  ];
  for (let length = 0; length < second.length; length++) {
    const parts = await partsOf(Buffer.concat([first, second.subarray(0, length)]));
    expect(parts).toMatchObject([{ from: 0, next: 1, records: [{ offset: 0 }], failure: null }]);
  }
  expect(await partsOf(first.subarray(0, 40))).toEqual([]);
});

// ── Damage ─────────────────────────────────────────────────────────────────────────────────────────────────────────

it('a batch that is damaged is named by topic, partition and offset, after what lies before it', async () => {
  const good = recordBatch({ base: 0, records: numbered(0, 1) });
  for (const codec of codecs) {
    const damaged = recordBatch({ base: 2, codec, records: numbered(0) });
    damaged[damaged.length - 1]! ^= 1;
    const parts = await partsOf(Buffer.concat([good, damaged, recordBatch({ base: 3, records: numbered(0) })]));
    expect(parts).toMatchObject([
      { records: [{ offset: 0 }, { offset: 1 }], next: 2, failure: null },
      { from: 2, next: 2 },
    ]);
    expect(parts[1]?.failure).toBeInstanceOf(UnreadableBatchError);
    expect(parts[1]?.failure?.message).toBe(
      'the record batch at offset 2 of orders/3 cannot be read: its checksum is wrong',
    );
  }
});

it('a first batch that says it is longer than what was given is damaged: brokers cut off only the last one', async () => {
  const [first, second] = [0, 1].map((base) => recordBatch({ base, records: numbered(0) })) as [Buffer, Buffer];
  second.writeInt32BE(1_000_000, 8);
  const set = { topic: 'orders', partition: 3, errorCode: 0, beginsWhole: true, aborted: [] };
  const reader = new RecordSetReader({ ...set, bytes: Buffer.concat([first, second]) }, 0);
  expect(await reader.next(0)).toMatchObject({ records: [{ offset: 0 }], failure: null });
  expect(await reader.next(0)).toBeNull();
  const part = await new RecordSetReader({ ...set, bytes: second }, 1).next(0);
  expect(part?.failure?.message).toBe(
    `the record batch at offset 1 of orders/3 cannot be read: it says that it has 1000012 bytes, and ${second.length} were given`,
  );
});

it('a batch that decompresses to more than is taken is named, and what lies behind it is read', async () => {
  const mebibyte = compress(Buffer.alloc(1024 * 1024));
  const compressed = Buffer.concat(Array.from({ length: 257 }, () => mebibyte));
  // Compaction has removed what was between.
  const bomb = recordBatch({ base: 3, codec: 'zstd', lastDelta: 9, count: 10, records: [], compressed });
  const parts = await partsOf(
    Buffer.concat([
      recordBatch({ base: 0, records: numbered(0) }),
      bomb,
      recordBatch({ base: 13, records: numbered(0) }),
    ]),
  );
  expect(parts).toMatchObject([
    { records: [{ offset: 0 }], next: 1, failure: null },
    { from: 1, next: 3, records: [], failure: null },
    { from: 3, next: 13, records: [], failure: { isAsWritten: true } },
    { from: 13, records: [{ offset: 13 }], failure: null },
  ]);
  expect(parts[2]?.failure?.message).toMatch(
    /^the record batch at offset 3 of orders\/3 cannot be read: it may decompress to 2\d+ bytes; 268435456 are taken$/,
  );
});

it.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)(
  '%s: a batch is opened when so much is allowed as it decompresses to, and is then read whole',
  async (codec) => {
    const records = Array.from({ length: 5 }, (_, delta) => ({ delta, value: Buffer.alloc(1024 * 1024) }));
    const set = Buffer.concat([
      recordBatch({ base: 0, records: numbered(0) }),
      recordBatch({ base: 1, codec, records }),
    ]);
    const reader = new RecordSetReader({ topic: 'orders', partition: 3, errorCode: 0, bytes: set, aborted: [] }, 0);
    expect(await reader.next(0)).toMatchObject({ records: [{ offset: 0 }], next: 1 });
    expect(await reader.next(0)).toBeNull();
    expect(reader.neededBytes).toBe(SHARED_ROOM_BATCH_MAX);
    expect(await reader.next(SHARED_ROOM_BATCH_MAX)).toBeNull();
    expect(reader.neededBytes).toBe(DECOMPRESSED_BYTES_MAX);
    expect(reader.openBytes).toBe(0);
    const offsets: number[] = [];
    for (let part = await reader.next(DECOMPRESSED_BYTES_MAX); part !== null; part = await reader.next(0)) {
      offsets.push(...offsetsOf(part.records));
      expect(reader.openBytes > SHARED_ROOM_BATCH_MAX).toBe(offsets.length < 5);
    }
    expect(offsets).toEqual([1, 2, 3, 4, 5]);
    expect(reader.neededBytes).toBe(0);
  },
);

it('a message of format 0 or 1 that decompresses to more than is taken is passed over, too', async () => {
  for (const magic of [0, 1] as const) {
    // Snappy says first how much it holds.
    const bomb = oldMessage({ magic, offset: 7, codec: 'none', value: Buffer.from([0x81, 0x80, 0x80, 0x80, 0x01]) });
    const parts = await partsOf(Buffer.concat([withCodec(bomb, CODECS.snappy), oldMessage({ magic, offset: 8 })]), 5);
    expect(parts).toMatchObject([
      { from: 5, next: 8, failure: { isAsWritten: true } },
      { from: 8, records: [{ offset: 8 }] },
    ]);
  }
});

it.each([
  ['CORRUPT_MESSAGE', 2],
  ['UNSUPPORTED_COMPRESSION_TYPE', 76],
])('what the broker itself finds unreadable (%s) is told as such', async (type, errorCode) => {
  const set = { topic: 'orders', partition: 3, errorCode, bytes: Buffer.alloc(0), aborted: [] };
  const part = await new RecordSetReader(set, 5).next(0);
  expect(part?.failure?.message).toBe(
    `the record batch at offset 5 of orders/3 cannot be read: the broker says ${type}`,
  );
});

it('a message of format 0 or 1 that is damaged is found by its checksum', async () => {
  for (const magic of [0, 1] as const) {
    const damaged = oldMessage({ magic, offset: 4, value: bytes('abc') });
    damaged[damaged.length - 1]! ^= 1;
    expect((await partsOf(damaged, 4))[0]?.failure?.message).toContain(
      'offset 4 of orders/3 cannot be read: its checksum',
    );
  }
});

it('offsets that JavaScript numbers cannot tell apart are not read', async () => {
  const [part] = await partsOf(recordBatch({ base: 2n ** 53n, records: numbered(0) }), 2 ** 53 - 1);
  expect(part?.failure?.message).toContain('between 0 and 2^53 - 1');
});

const SEED = Number(process.env['KTB_FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const CASES = Number(process.env['KTB_FUZZ_CASES'] ?? 300);

it(
  'whatever the bytes are: an end or an error in words, never what lies outside of them',
  { timeout: 600_000 },
  async () => {
    const sound = (codec: Codec) =>
      Buffer.concat([
        recordBatch({ base: 0, codec, records: numbered(0, 1, 2) }),
        recordBatch({ base: 3, codec, producerId: 7n, records: [{ delta: 0, headers: [['h', bytes('v')]] }] }),
        transactionEnd(4, 7n, 'abort'),
        oldMessage({
          magic: 1,
          offset: 5,
          codec,
          value: codec === 'none' ? bytes('x') : oldMessage({ magic: 1, offset: 0 }),
        }),
      ]);
    const sets = new Map(codecs.map((codec) => [codec, sound(codec)]));
    const extremes = fc.constantFrom(0, 1, 0x7f, 0x80, 0xff);
    const change = fc.tuple(fc.nat(), fc.oneof(extremes, fc.nat({ max: 255 })), fc.integer({ min: 1, max: 5 }));
    const headerOrAnywhere = fc.tuple(
      fc.constantFrom(...codecs),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
    );
    await fc.assert(
      fc.asyncProperty(headerOrAnywhere, async ([codec, changes, sealed]) => {
        // The set lies within a larger buffer, as in an answer of a broker.
        const original = sets.get(codec)!;
        const outside = Buffer.alloc(original.length + 64, 0x55);
        const set = outside.subarray(32, 32 + original.length);
        original.copy(set);
        for (const [at, byte, length] of changes)
          set.fill(byte, at % set.length, Math.min(set.length, (at % set.length) + length));
        if (sealed) seal(set);
        const parts = await partsOf(set);
        const records = parts.flatMap((part) => part.records);
        for (const [index, { failure, next }] of parts.slice(0, -1).entries()) {
          if (failure !== null) expect(failure.isAsWritten).toBe(true);
          expect(parts[index + 1]?.from).toBe(next);
        }
        for (const { key, value } of records)
          for (const view of [key, value])
            if (view?.buffer === outside.buffer) {
              expect(view.byteOffset).toBeGreaterThanOrEqual(set.byteOffset);
              expect(view.byteOffset + view.length).toBeLessThanOrEqual(set.byteOffset + set.length);
            }
      }),
      { seed: SEED, numRuns: CASES },
    );
  },
);

/** Gives the first batch the checksum of what it has become, so that what follows the checksum is read. */
function seal(set: Buffer): void {
  const crc32c = require('kafkajs/src/protocol/recordBatch/crc32C') as (bytes: Buffer) => number;
  const end = 12 + set.readInt32BE(8);
  if (end > 21 && end <= set.length) set.writeUInt32BE(crc32c(set.subarray(21, end)), 17);
}

it('a count of records beyond what the bytes can hold ends at once, after those that are there', async () => {
  for (const [count, read] of [
    [-1, []],
    [2, [0]],
    [2 ** 31 - 1, [0]],
  ] as const) {
    const parts = await partsOf(recordBatch({ base: 0, records: numbered(0), count }));
    expect(
      parts.flatMap(({ records }) => offsetsOf(records)),
      String(count),
    ).toEqual(read);
    expect(parts.at(-1)?.failure, String(count)).toBeInstanceOf(UnreadableBatchError);
  }
});

// ── What a producer may write that is not what the protocol says ──────────────────────────────────────────────────

/** A record by hand: `valueLength` in the place of the value's own, `headers` as bytes with their count before them. */
function rawRecord(delta: number, { keyLength = -1, valueLength = 1, headers = varint(0) } = {}): Buffer {
  const content = Buffer.concat([
    Buffer.from([0]),
    ...[0, delta, keyLength, valueLength].map(varint),
    valueLength < 0 ? Buffer.alloc(0) : bytes('x'),
    headers,
  ]);
  return Buffer.concat([varint(content.length), content]);
}

function varint(value: number): Buffer {
  const parts: number[] = [];
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
  for (; rest > 0x7fn; rest >>= 7n) parts.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...parts, Number(rest)]);
}

/** A batch of `count` offsets from `base` on, whose records are these bytes, and a sound one after it. */
function rawBatch(base: number, count: number, records: Buffer, codec: 'none' | 'gzip' = 'none'): Buffer {
  return Buffer.concat([
    recordBatch({ base, codec, lastDelta: count - 1, count, records: [], compressed: records }),
    recordBatch({ base: base + count, records: numbered(0) }),
  ]);
}

it('any negative length is null, as for Kafka’s own clients', async () => {
  const header = Buffer.concat([varint(1), varint(1), bytes('h'), varint(-2)]);
  const records = [
    rawRecord(0, { valueLength: -2 }),
    rawRecord(1, { keyLength: -7 }),
    rawRecord(2, { headers: header }),
  ];
  const parts = await partsOf(rawBatch(0, 3, Buffer.concat(records)));
  expect(parts.every(({ failure }) => failure === null)).toBe(true);
  expect(parts.flatMap((part) => part.records)).toMatchObject([
    { offset: 0, value: null },
    { offset: 1, key: null, value: bytes('x') },
    { offset: 2, headers: [['h', null]] },
    { offset: 3 },
  ]);
});

it.each([
  ['the same offset twice', [0, 0]],
  ['offsets that descend', [1, 0]],
  ['an offset that is not of the batch', [0, 7]],
])(
  '%s: what is sound before it is read, the rest of the batch passed over, and the next one read',
  async (_, deltas) => {
    const parts = await partsOf(rawBatch(10, 2, Buffer.concat(deltas.map((delta) => rawRecord(delta)))));
    expect(parts.flatMap((part) => part.records.map(({ offset }) => offset))).toEqual([10 + deltas[0]!, 12]);
    const failures = parts.filter(({ failure }) => failure !== null);
    expect(failures).toMatchObject([{ from: 11 + deltas[0]!, next: 12, failure: { isAsWritten: true } }]);
  },
);

const CUT = rawRecord(9);
it.each([
  ['ends before records that it says it has', Buffer.alloc(0), '3 of its records are missing: it ends before them'],
  ['ends within the length of a record', Buffer.from([0x80]), 'a number goes on past the end'],
  ['ends within a record', CUT.subarray(0, CUT.length - 1), `a record has a length of ${CUT.length - 1}`],
])('a batch that %s: those before are read, as by Kafka’s own clients, the rest is named', async (_, tail, why) => {
  for (const codec of ['none', 'gzip'] as const) {
    const sound = Buffer.concat([rawRecord(0), rawRecord(1), tail]);
    const parts = await partsOf(rawBatch(10, 5, codec === 'gzip' ? gzipSync(sound) : sound, codec), 10);
    expect(
      parts.map(({ from, next, records, failure }) => [from, next, offsetsOf(records), failure?.isAsWritten]),
    ).toEqual([
      [10, 12, [10, 11], undefined],
      [12, 15, [], true],
      [15, 16, [15], undefined],
    ]);
    expect(parts[1]?.failure?.message).toBe(`the record batch at offset 12 of orders/3 cannot be read: ${why}`);
  }
});

it('what comes after a gzip stream counts for nothing, as for Kafka’s own clients', async () => {
  const compressed = Buffer.concat([gzipSync(rawRecord(0)), gzipSync(rawRecord(1)), bytes('garbage')]);
  const parts = await partsOf(rawBatch(0, 2, compressed, 'gzip'));
  expect(parts.flatMap((part) => part.records.map(({ offset }) => offset))).toEqual([0, 1, 2]);
});

it('what cannot be decompressed, or has a codec that is not known, is not passed over', async () => {
  for (const codec of ['gzip', 'unknown']) {
    const batch = rawBatch(0, 2, bytes('no gzip'), 'gzip');
    if (codec === 'unknown') batch.writeInt16BE(7, 21);
    seal(batch);
    const parts = await partsOf(batch);
    expect(parts, codec).toMatchObject([{ from: 0, next: 0, failure: { isAsWritten: false } }]);
  }
});

it('a record with millions of headers is passed over alone, however small it is compressed', async () => {
  const count = HEADERS_MAX + 1;
  const headers = Buffer.concat([varint(count), Buffer.alloc(2 * count)]);
  const records = [rawRecord(0), rawRecord(1, { headers }), rawRecord(2)];
  const compressed = gzipSync(Buffer.concat(records));
  expect(compressed.length).toBeLessThan(4_096);
  const parts = await partsOf(rawBatch(5, 3, compressed, 'gzip'));
  expect(parts.map(({ from, next, failure }) => [from, next, failure?.isAsWritten])).toEqual([
    [0, 6, undefined],
    [6, 7, true],
    [7, 9, undefined],
  ]);
  expect(parts.flatMap(({ records }) => records.map(({ offset }) => offset))).toEqual([5, 7, 8]);
  const why = `it has ${count} headers; ${HEADERS_MAX} are taken`;
  expect(parts[1]?.failure?.message).toBe(`the record at offset 6 of orders/3 cannot be read: ${why}`);
  // What lies before the position is nobody's concern any more.
  const behind = await partsOf(rawBatch(5, 3, compressed, 'gzip'), 7);
  expect(behind.map(({ from, failure }) => [from, failure])).toEqual([[7, null]]);
  expect(behind.flatMap(({ records }) => records.map(({ offset }) => offset))).toEqual([7, 8]);
});

it.each<[string, (healthy: () => Buffer, large: () => Buffer) => Buffer[], number[]]>([
  ['last', (healthy, large) => [healthy(), large()], [1]],
  ['alone', (_healthy, large) => [large()], [0]],
  ['the last of several', (_healthy, large) => [large(), large()], [0, 1]],
])(
  'a record with millions of headers that is %s in its batch is told once, and the next batch is well',
  async (_name, recordsOf, tooLarge) => {
    const count = HEADERS_MAX + 1;
    const headers = Buffer.concat([varint(count), Buffer.alloc(2 * count)]);
    let delta = 0;
    const records = recordsOf(
      () => rawRecord(delta++),
      () => rawRecord(delta++, { headers }),
    );
    const parts = await partsOf(rawBatch(5, records.length, gzipSync(Buffer.concat(records)), 'gzip'));
    expect(parts.flatMap(({ failure, from, next }) => (failure === null ? [] : [[from, next]]))).toEqual(
      tooLarge.map((index) => [5 + index, 6 + index]),
    );
    expect(parts.at(-1)?.next).toBe(6 + records.length);
    expect(parts.flatMap((part) => part.records.map(({ offset }) => offset))).toContain(5 + records.length);
  },
);

it('says which leaders have taken the batches of a part: of those before the requested offset nothing, and of old formats', async () => {
  const by = (leaderEpoch: number, batch: Buffer): Buffer => {
    batch.writeInt32BE(leaderEpoch, 12);
    return batch;
  };
  const set = () =>
    Buffer.concat([
      by(3, recordBatch({ base: 0, records: numbered(0, 1) })),
      by(5, transactionEnd(2, 7n, 'commit')),
      by(6, recordBatch({ base: 3, records: numbered(0) })),
    ]);
  const epochsOf = async (bytes: Buffer, position = 0) =>
    (await partsOf(bytes, position)).map((part) => part.leaderEpochs);
  const five = { leaderEpoch: 5, from: 2 };
  const six = { leaderEpoch: 6, from: 3 };
  expect(await epochsOf(set())).toEqual([[{ leaderEpoch: 3, from: 0 }, five, six]]);
  expect(await epochsOf(set(), 1)).toEqual([[{ leaderEpoch: 3, from: 1 }, five, six]]);
  expect(await epochsOf(set(), 2)).toEqual([[five, six]]);
  expect(await epochsOf(set(), 3)).toEqual([[six]]);
  // Compaction has removed the batches in between. Whoever has written them, the log has leader 6 up to there.
  const compacted = Buffer.concat([
    by(3, recordBatch({ base: 0, records: numbered(0, 1) })),
    by(6, recordBatch({ base: 9, records: numbered(0) })),
  ]);
  expect(await epochsOf(compacted)).toEqual([
    [
      { leaderEpoch: 3, from: 0 },
      { leaderEpoch: 6, from: 2 },
    ],
  ]);
  expect(await epochsOf(by(-1, recordBatch({ base: 0, records: numbered(0) })))).toEqual([undefined]);
  expect(await epochsOf(oldMessage({ offset: 0, magic: 1, value: bytes('x') }))).toEqual([undefined]);
});

it('a batch or a record that its producer wrote so that nobody can read it says which leader has taken it, a damaged one does not', async () => {
  const by = (leaderEpoch: number, batch: Buffer): Buffer => {
    batch.writeInt32BE(leaderEpoch, 12);
    return batch;
  };
  const healthy = () => by(3, recordBatch({ base: 0, records: numbered(0) }));
  const malformed = () => by(6, recordBatch({ base: 1, records: numbered(0), count: -1 }));
  const epochsOf = async (...batches: readonly Buffer[]) =>
    (await partsOf(Buffer.concat(batches))).map(({ from, leaderEpochs, failure }) => [
      from,
      leaderEpochs,
      failure?.isAsWritten,
    ]);
  expect(await epochsOf(healthy(), malformed())).toEqual([
    [0, [{ leaderEpoch: 3, from: 0 }], undefined],
    [1, [{ leaderEpoch: 6, from: 1 }], true],
  ]);
  const damaged = malformed();
  damaged[damaged.length - 1]! ^= 1;
  expect((await epochsOf(healthy(), damaged)).at(-1)).toEqual([1, undefined, false]);
});

it('each part of a large batch says which leader has taken it', async () => {
  const many = recordBatch({ base: 0, records: numbered(...Array.from({ length: 20_000 }, (_, delta) => delta)) });
  many.writeInt32BE(4, 12);
  const parts = await partsOf(many);
  expect(parts.length).toBeGreaterThan(1);
  for (const { from, leaderEpochs } of parts) expect(leaderEpochs).toEqual([{ leaderEpoch: 4, from }]);
});

// ── Transactions ───────────────────────────────────────────────────────────────────────────────────────────────────

it('transactions that interleave and abort leave no record, in whatever order the broker lists them', async () => {
  const [one, two, three] = [1n, 2n, 3n];
  const set = Buffer.concat([
    recordBatch({ base: 0, producerId: one, records: numbered(0, 1) }),
    recordBatch({ base: 2, producerId: two, records: numbered(0, 1) }),
    recordBatch({ base: 4, records: numbered(0) }),
    recordBatch({ base: 5, producerId: one, records: numbered(0) }),
    transactionEnd(6, two, 'abort'),
    recordBatch({ base: 7, producerId: three, records: numbered(0) }),
    recordBatch({ base: 8, producerId: two, records: numbered(0) }),
    transactionEnd(9, one, 'abort'),
    transactionEnd(10, two, 'commit'),
    recordBatch({ base: 11, producerId: one, records: numbered(0) }),
    transactionEnd(12, three, 'abort'),
    transactionEnd(13, one, 'commit'),
  ]);
  const aborted = [
    { producerId: two, firstOffset: 2 },
    { producerId: one, firstOffset: 0 },
    { producerId: three, firstOffset: 7 },
  ];
  for (const list of [aborted, aborted.toReversed()]) {
    expect(offsetsOf(await recordsOf(set, 0, list))).toEqual([4, 8, 11]);
  }
});

it('a fetch that begins inside several aborted transactions leaves out the rest of each', async () => {
  const set = Buffer.concat([
    recordBatch({ base: 10, producerId: 1n, records: numbered(0) }),
    recordBatch({ base: 11, producerId: 2n, records: numbered(0) }),
    transactionEnd(12, 1n, 'abort'),
    recordBatch({ base: 13, producerId: 2n, records: numbered(0) }),
    recordBatch({ base: 14, producerId: 1n, records: numbered(0) }),
    transactionEnd(15, 2n, 'abort'),
  ]);
  const aborted = [
    { producerId: 1n, firstOffset: 3 },
    { producerId: 2n, firstOffset: 5 },
  ];
  expect(offsetsOf(await recordsOf(set, 10, aborted))).toEqual([14]);
});

it('a record with the key of an abort marker is a record: it ends no transaction', async () => {
  const markerLike = [{ delta: 0, key: Buffer.alloc(4), value: bytes('data') }];
  const set = Buffer.concat([
    recordBatch({ base: 0, producerId: 1n, records: numbered(0) }),
    recordBatch({ base: 1, producerId: 1n, records: markerLike }),
    recordBatch({ base: 2, producerId: 1n, records: numbered(0) }),
    transactionEnd(3, 1n, 'abort'),
    recordBatch({ base: 4, records: markerLike }),
  ]);
  expect(offsetsOf(await recordsOf(set, 0, [{ producerId: 1n, firstOffset: 0 }]))).toEqual([4]);
});

it('of a producer’s records those outside its transactions stay', async () => {
  const set = Buffer.concat([
    recordBatch({ base: 0, producerId: 1n, records: numbered(0) }),
    transactionEnd(1, 1n, 'commit'),
    recordBatch({ base: 2, producerId: 1n, records: numbered(0) }),
    transactionEnd(3, 1n, 'abort'),
  ]);
  expect(offsetsOf(await recordsOf(set, 0, [{ producerId: 1n, firstOffset: 2 }]))).toEqual([0]);
});

// ── Work and memory ────────────────────────────────────────────────────────────────────────────────────────────────

it(
  'one part is bounded in records and bytes, whatever a batch holds: nothing else runs meanwhile',
  { timeout: 60_000 },
  async () => {
    for (const size of [1, 20, 1_000]) {
      const records = Array.from({ length: 10_000 }, (_, delta) => ({ delta, value: Buffer.alloc(size) }));
      const parts = await partsOf(recordBatch({ base: 0, codec: 'zstd', records }));
      for (const { records: some } of parts) {
        expect(some.length).toBeLessThanOrEqual(4_096);
        const payload = some.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
        expect(payload - size).toBeLessThanOrEqual(256 * 1024);
      }
    }
  },
);

it('a record keeps no more alive than a part: not all that its batch decompresses to', async () => {
  const records = Array.from({ length: 200 }, (_, delta) => ({ delta, value: Buffer.alloc(50_000) }));
  const decoded = await recordsOf(recordBatch({ base: 0, codec: 'gzip', records }));
  expect(decoded.length).toBeGreaterThan(0);
  for (const { value } of decoded) expect(value?.buffer.byteLength).toBeLessThanOrEqual(512 * 1024);
});

// ── The answer to a fetch ──────────────────────────────────────────────────────────────────────────────────────────

it('an answer’s partitions come with their records and aborted transactions', async () => {
  const records = recordBatch({ base: 0, producerId: 9n, records: numbered(0) });
  const payload = fetchResponse('orders', [
    { partition: 0, records },
    { partition: 7, records, highWatermark: 12, aborted: [{ producerId: 9n, firstOffset: 0 }] },
    { partition: 8, records: Buffer.alloc(0), errorCode: 6 },
  ]);
  const { responses } = decodeFetchResponse(11, payload);
  expect(responses).toMatchObject([
    { topicName: 'orders', partitions: [{ partition: 0 }, { partition: 7, highWatermark: '12' }, { errorCode: 6 }] },
  ]);
  const sets = responses[0]!.partitions.map(({ messages }) => recordSetOf(messages));
  expect(sets.map(({ topic, partition, aborted }) => [topic, partition, aborted])).toEqual([
    ['orders', 0, []],
    ['orders', 7, [{ producerId: 9n, firstOffset: 0 }]],
    ['orders', 8, []],
  ]);
  expect(await recordsOf(sets[0]!.bytes)).toHaveLength(1);
});

it('an answer that is cut off anywhere is an error, not a crash', () => {
  const payload = fetchResponse('orders', [{ partition: 0, records: recordBatch({ base: 0, records: numbered(0) }) }]);
  for (let length = 0; length < payload.length; length++)
    expect(() => decodeFetchResponse(11, payload.subarray(0, length))).toThrow('are due where');
});
