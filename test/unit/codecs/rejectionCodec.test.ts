import { createHash, randomBytes, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeChunks } from '../../../src/activities/batchRecords.js';
import { sealEnvelope } from '../../../src/protocol/flush.js';
import { encodeRequest, REQUEST_FORMAT, requestSource } from '../../../src/protocol/request.js';
import { identityName, NO_HEADERS, type KafkaRecord, type SourcedRecord } from '../../../src/protocol/record.js';
import { encodedBytesOf, type Buffered } from '../../../src/workflows/batchPlanning.js';
import { LIMITS } from '../../../src/workflows/limits.js';
import { REJECTION_CODES } from '../../../src/protocol/ack.js';
import {
  decodeRejected,
  encodeRejected,
  REJECTED_BYTES_MAX,
  type PackedBatch,
  type RejectedRecord,
} from '../../../src/codecs/rejectionCodec.js';
import { chunkOf, NO_BATCH } from '../../support/chunks.js';
import { anyRecords, plain, record } from '../../support/records.js';

const source = { topic: 'orders', partition: 3, epoch: 'e1' };

it('gives back records and verdicts', () => {
  fc.assert(
    fc.property(anyRecords, fc.string(), (records, message) => {
      const rejected = records.map((item) => ({
        source,
        record: item,
        rejection: { code: REJECTION_CODES.refused, message },
      }));
      const decoded = decodeRejected(encodeRejected(rejected, NO_BATCH));
      expect(decoded.map((item) => ({ ...item, record: plain(item.record) }))).toEqual(
        rejected.map((item) => ({ ...item, record: plain(item.record) })),
      );
    }),
  );
});

it('leaves the messages out, never a record or a code, where they would make a result too large', () => {
  const rejected = Array.from({ length: 500 }, (_, offset) => ({
    source,
    record: record(offset),
    rejection: { code: REJECTION_CODES.refused, message: `reason ${Math.random()} of ${offset}` },
  }));
  const whole = encodeRejected(rejected, NO_BATCH);
  const decoded = decodeRejected(encodeRejected(rejected, NO_BATCH, whole.length - 1));
  expect(decoded.map(({ record: { offset } }) => offset)).toEqual(rejected.map(({ record: { offset } }) => offset));
  expect(decoded.every(({ rejection: { code, message } }) => code === REJECTION_CODES.refused && message === '')).toBe(
    true,
  );
});

describe('of a batch as large as batches are', () => {
  it('fits into a result with every record and code, however its records repeat each other', async () => {
    await fc.assert(
      fc.asyncProperty(anyShape, async (shape) => {
        const batch = await fullBatch(shape);
        const rejected = batch.records.flatMap((item, index): RejectedRecord[] =>
          index % shape.every === shape.every - 1
            ? []
            : [{ ...item, rejection: { code: codeOf(index), message: shape.distinctMessages ? randomUUID() : 'no' } }],
        );
        const bytes = encodeRejected(rejected, batch);
        expect(bytes.length).toBeLessThanOrEqual(REJECTED_BYTES_MAX);
        expect(digest(decodeRejected(bytes))).toEqual(digest(rejected));
      }),
      { numRuns: 4 },
    );
  }, 120_000);

  it('keeps the reasons where only the records, packed anew, would be too large', async () => {
    const batch = await fullBatch({ repeats: 'key', perChunk: 200, valueBytes: 60, withRequests: true });
    const rejection = { code: REJECTION_CODES.refused, message: 'because' };
    const rejected = batch.records.map((item) => ({ ...item, rejection }));
    const decoded = decodeRejected(encodeRejected(rejected, batch));
    expect(digest(decoded)).toEqual(digest(rejected));
    expect(new Set(decoded.map((item) => item.rejection.message))).toEqual(new Set(['because']));
  });

  it('says of a kept part of a chunk only what the part holds', async () => {
    const records = Array.from({ length: 10 }, (_, offset) => record(offset));
    const { meta, body } = chunkOf({ ...source, from: -1, to: 9, records });
    const chunk = { ...meta, keep: [[[4, 9]] as const], bodyBytes: body.length };
    const batch = { chunks: [chunk], bodies: body, records: await decodeChunks({ chunks: [chunk], bodies: body }) };
    const rejected = batch.records.slice(1).map((item) => ({
      ...item,
      rejection: { code: REJECTION_CODES.refused, message: '' },
    }));
    const decoded = decodeRejected(encodeRejected(rejected, batch, 0));
    expect(decoded.map((item) => item.record.offset)).toEqual([6, 7, 8, 9]);
  });
});

it('does not take bytes of a version that it does not know for records', () => {
  expect(() => decodeRejected(sealEnvelope({ format: 'ktb-rejected/3' }, new Uint8Array(9)))).toThrow(/does not know/);
});

interface Shape {
  /** What has the same bytes as a record's value: its key, a header, a record of another topic, or another record far away. */
  readonly repeats: 'key' | 'header' | 'topic';
  readonly perChunk: number;
  readonly valueBytes: number;
  /** Whether rows from workflows are among the chunks. */
  readonly withRequests: boolean;
}

const anyShape = fc.record({
  repeats: fc.constantFrom<Shape['repeats'][]>('key', 'header', 'topic'),
  perChunk: fc.constantFrom(1, 20, 200, 1_000),
  valueBytes: fc.constantFrom(20, 60, 300, 1_500),
  withRequests: fc.boolean(),
  /** Each so-manieth record is not rejected. */
  every: fc.constantFrom(2, 3, 10, Infinity),
  distinctMessages: fc.boolean(),
});

const CODES = Object.values(REJECTION_CODES);
const codeOf = (index: number) => CODES[(index * index) % CODES.length] ?? REJECTION_CODES.refused;

interface FullBatch extends PackedBatch {
  readonly records: readonly SourcedRecord[];
}

/** Chunks until no other fits into a batch. */
async function fullBatch({ repeats, perChunk, valueBytes, withRequests }: Shape): Promise<FullBatch> {
  const taken: Buffered[] = [];
  let encodedBytes = 0;
  for (let next = 0, at = 0; next < 20_000; next += perChunk, at++) {
    const records = Array.from({ length: perChunk }, (_, index) => repetitive(next + index, valueBytes, repeats));
    const range = { from: next - 1, to: next + perChunk - 1 };
    const buffered =
      withRequests && at % 5 === 1 ? requestChunk(next, valueBytes) : kafkaChunk(range, records, repeats === 'topic');
    encodedBytes += encodedBytesOf(buffered);
    if (encodedBytes > LIMITS.batchEncodedBytes) break;
    taken.push(buffered);
  }
  const chunks = taken.map(({ chunk }) => chunk);
  const bodies = Buffer.concat(taken.map(({ body }) => body));
  return { chunks, bodies, records: await decodeChunks({ chunks, bodies }) };
}

function kafkaChunk(
  range: { readonly from: number; readonly to: number },
  records: readonly KafkaRecord[],
  inTwoTopics: boolean,
): Buffered {
  const topics = inTwoTopics ? ['orders', 'copies'] : ['orders'];
  const { meta, body } = chunkOf(...topics.map((topic) => ({ ...source, topic, ...range, records })));
  return { chunk: { ...meta, keep: topics.map(() => null), bodyBytes: body.length, acceptedAtMs: 0 }, body };
}

function requestChunk(offset: number, valueBytes: number): Buffered {
  const value = valueOf(valueBytes).toString();
  const body = encodeRequest({ format: REQUEST_FORMAT, id: randomUUID(), requester: 'w', key: value, value }, 1);
  const segment = {
    ...requestSource('ktb:orders:8-key:0', 'r'),
    from: offset - 1,
    to: offset,
    records: 1,
    bytes: value.length,
  };
  const chunk = {
    segments: [segment],
    keep: [null],
    records: 1,
    bytes: value.length,
    bodyBytes: body.length,
    acceptedAtMs: 0,
  };
  return { chunk, body };
}

function repetitive(offset: number, valueBytes: number, repeats: Shape['repeats']): KafkaRecord {
  const value = valueOf(valueBytes);
  return {
    offset,
    timestampMs: 1_760_000_000_000 + offset,
    key: repeats === 'key' ? value : null,
    value,
    headers: repeats === 'header' ? [['copy', value]] : NO_HEADERS,
  };
}

function valueOf(bytes: number): Buffer {
  const token = randomBytes(bytes).toString('base64');
  return Buffer.from(JSON.stringify({ id: randomUUID(), token, type: 'click', page: '/a/b' }));
}

/** Of all that records are, in the order of their names, and of the codes. */
function digest(rejected: readonly RejectedRecord[]): string {
  const lines = rejected.map((item) => {
    const { key, value, timestampMs, headers, tooLargeBytes } = item.record;
    const parts = [key, value, ...headers.flat()].map((part) =>
      part === null ? null : Buffer.from(part).toString('hex'),
    );
    return JSON.stringify([identityName(item), timestampMs, parts, tooLargeBytes, item.rejection.code]);
  });
  return `${lines.length} ${createHash('sha256').update(lines.toSorted().join()).digest('hex')}`;
}
