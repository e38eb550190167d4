import { describe, expect, it } from 'vitest';
import { decodePayloads, type WirePayload } from '../../../../src/commands/codecServer/codecPayloads.js';
import { BATCH_FORMATS, sealEnvelope } from '../../../../src/protocol/flush.js';
import { BATCHER_FORMAT } from '../../../../src/protocol/batcher.js';
import type { KafkaRecord } from '../../../../src/protocol/record.js';
import { encodeRequest, REQUEST_FORMAT, requestSource } from '../../../../src/protocol/request.js';
import { packCompressed } from '../../../../src/codecs/packing.js';
import { encodeRejected } from '../../../../src/codecs/rejectionCodec.js';
import { chunkOf, NO_BATCH } from '../../../support/chunks.js';
import { record } from '../../../support/records.js';

const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64');
const payload = (encoding: string, bytes: Uint8Array | string): WirePayload => ({
  metadata: { encoding: base64(encoding) },
  data: base64(bytes),
});
const json = (value: unknown) => payload('json/plain', JSON.stringify(value));
const binary = (bytes: Uint8Array) => payload('binary/plain', bytes);
const textOf = ({ data = '' }: WirePayload) => Buffer.from(data, 'base64').toString();

/** What the last of some payloads is decoded to. */
function decoded(...payloads: WirePayload[]): string {
  const all = decodePayloads(payloads);
  expect(all).toHaveLength(payloads.length);
  return textOf(all.at(-1) as WirePayload);
}

const source = { topic: 'orders', partition: 3, epoch: 'e1' };
function chunk(from: number, records: readonly KafkaRecord[]) {
  return chunkOf({ ...source, from, to: from + records.length, records });
}
const buffered = ({ meta, body }: ReturnType<typeof chunk>) => ({
  segments: meta.segments,
  keep: [null],
  records: meta.records,
  bytes: meta.bytes,
  bodyBytes: body.length,
});

it('shows the records of a chunk: values as they are, whatever they are', () => {
  const { meta, body } = chunk(-1, [
    record(0, { key: Buffer.from('k'), value: Buffer.from('{"id":12345678901234567890}'), headers: [['trace', null]] }),
    record(1, { key: null, value: Buffer.from('no json') }),
    record(2, { value: Buffer.from([0xff, 0x00]) }),
    record(3, { value: null, timestampMs: -1 }),
    record(4, { value: null, timestampMs: 1.7e18 }),
    record(5, { value: null, timestampMs: -2_208_988_800_000 }),
  ]);
  const text = decoded(json(meta), binary(body));
  // A number of so many digits would not survive JSON.parse.
  expect(text).toContain('"value":{"id":12345678901234567890}');
  const { records } = JSON.parse(text) as { records: Record<string, unknown>[] };
  expect(records[0]).toMatchObject({ topic: 'orders', partition: 3, offset: 0, key: 'k', headers: [['trace', null]] });
  expect(records.map(({ value }) => value).slice(1)).toEqual(['no json', { base64: '/wA=' }, null, null, null]);
  expect(records[3]).not.toHaveProperty('timestamp');
  expect(records[4]).toHaveProperty('timestamp', '1700000000000000000');
  expect(records[5]).toHaveProperty('timestamp', '1900-01-01T00:00:00.000Z');
});

it('shows a chunk without its metadata, too, but for where its records come from', () => {
  const { records } = JSON.parse(decoded(binary(chunk(-1, [record(0), record(1)]).body))) as { records: object[] };
  expect(records).toMatchObject([{ offset: 0 }, { offset: 1 }]);
  expect(records[0]).not.toHaveProperty('topic');
});

it('shows the chunks of a batch and of a carried buffer, without what was cut out of them', () => {
  const [first, second] = [chunk(-1, [record(0), record(1)]), chunk(1, [record(2), record(3)])];
  const chunks = [buffered(first), { ...buffered(second), keep: [[[2, 3]]] }];
  const bodies = binary(Buffer.concat([first.body, second.body]));
  const offsets = (before: unknown) =>
    (JSON.parse(decoded(json(before), bodies)) as { records: { offset: number }[] }).records.map(
      ({ offset }) => offset,
    );
  expect(offsets({ format: BATCH_FORMATS.withBodies, chunks })).toEqual([0, 1, 3]);
  expect(offsets({ format: BATCHER_FORMAT, carried: { chunks } })).toEqual([0, 1, 3]);
});

it('shows the requests of a batch beside the records of Kafka', () => {
  const request = {
    format: REQUEST_FORMAT,
    id: 'r1',
    requester: 'order-7',
    value: '{"id":12345678901234567890}',
  } as const;
  const body = encodeRequest(request, 1_000);
  const own = requestSource('ktb:orders:8-key:0', 'e2');
  const submitted = {
    segments: [{ ...own, from: 4, to: 5, records: 1, bytes: body.length }],
    keep: [null],
    records: 1,
    bytes: body.length,
    bodyBytes: body.length,
  };
  const kafka = chunk(-1, [record(0), record(1)]);
  const text = decoded(
    json({ format: BATCH_FORMATS.withBodies, chunks: [submitted, buffered(kafka)] }),
    binary(Buffer.concat([body, kafka.body])),
  );
  expect(text).toContain('"value":{"id":12345678901234567890}');
  expect(JSON.parse(text)).toMatchObject({
    records: [
      {
        topic: 'ktb:orders:8-key:0',
        offset: 5,
        headers: [
          ['ktb-request-id', 'r1'],
          ['ktb-requester', 'order-7'],
        ],
      },
      { topic: 'orders', offset: 0 },
      { topic: 'orders', offset: 1 },
    ],
  });
});

it('shows what an insert has come to, and rejected records with the reason', () => {
  const rejection = { code: 'not_json', message: 'the value is not JSON' } as const;
  const rejected = encodeRejected([{ source, record: record(5), rejection }], NO_BATCH);
  expect(JSON.parse(decoded(binary(sealEnvelope({ inserted: 9, rejected: 1 }, rejected))))).toMatchObject({
    outcome: { inserted: 9 },
    records: [{ offset: 5, rejection }],
  });
  expect(JSON.parse(decoded(json({ pipeline: 'orders' }), binary(rejected)))).toMatchObject({
    records: [{ rejection }],
  });
});

it('shows rejected records that came back in the chunks of their batch', () => {
  const sent = chunk(-1, [record(0), record(1)]);
  const records = [record(0), record(1)].map((item) => ({ source, record: item }));
  const rejection = { code: 'not_json', message: 'the value is not JSON' } as const;
  const batch = { chunks: [buffered(sent)], bodies: sent.body, records };
  const rejected = encodeRejected(
    records.slice(1).map((item) => ({ ...item, rejection })),
    batch,
    0,
  );
  const shown = { records: [{ topic: 'orders', offset: 1, rejection: { code: 'not_json' } }] };
  expect(JSON.parse(decoded(json({ pipeline: 'orders' }), binary(rejected)))).toMatchObject(shown);
  expect(JSON.parse(decoded(binary(sealEnvelope({ inserted: 1, rejected: 1 }, rejected))))).toMatchObject({
    outcome: { inserted: 1 },
    ...shown,
  });
});

it('leaves alone what is not packed, of another version, or broken', () => {
  const { meta, body } = chunk(-1, [record(0)]);
  const strange = [
    json({ a: 1 }),
    payload('binary/encrypted', body),
    binary(new Uint8Array(0)),
    binary(Buffer.from('some bytes of a stranger')),
    binary(body.subarray(0, body.length - 3)),
    {},
  ];
  for (const one of strange) expect(decodePayloads([one])).toEqual([one]);
  const cut = [json(meta), binary(body.subarray(4))];
  expect(decodePayloads(cut)).toEqual(cut);
});

it('leaves alone what would take more memory than our largest batch, and shows the rest of the request', () => {
  const large = chunk(-1, [{ ...record(0), value: Buffer.alloc(130 * 1024 * 1024) }]);
  const small = chunk(0, [record(1)]);
  const asked = [json(large.meta), binary(large.body), json(small.meta), binary(small.body)];
  expect(large.body.length).toBeLessThan(100_000);
  const shown = decodePayloads(asked);
  expect(shown[1]).toBe(asked[1]);
  expect(textOf(shown[3]!)).toContain('"offset":1');
});

it('shows at most a thousand records of a payload, and says how many more there are', () => {
  const many = Array.from({ length: 1_200 }, (_, offset) => record(offset));
  const { meta, body } = chunk(-1, many);
  const shown = JSON.parse(decoded(json(meta), binary(body))) as { records: object[]; more: number };
  expect([shown.records.length, shown.more]).toEqual([1_000, 200]);
});

describe('whoever has a payload of some hundred bytes shown to them ends no server', () => {
  const MIB = 1024 * 1024;
  const NOTHING = Buffer.alloc(0);
  const one = [1];
  const NONE = [-1];
  /** Columns of one segment, packed. */
  const packed = (...columns: unknown[]) => binary(packCompressed([columns]));

  it('leaves alone what would be too many records', () => {
    const asked = packed(new Array(MIB).fill(0), [], [], NOTHING, [], NOTHING, [], []);
    expect(Buffer.from(asked.data ?? '', 'base64').length).toBeLessThan(1_000);
    expect(decodePayloads([asked])).toEqual([asked]);
  });

  it('shows no value twice by a length below zero', () => {
    const value = Buffer.alloc(MIB, 'x');
    const text = decoded(packed([1, 1], [0, 0], [-1, -1], NOTHING, [-5, -5], value, [], []));
    expect(JSON.parse(text)).toMatchObject({ records: [{ value: null }, { value: null }] });
  });

  it('shows a long value as text: as JSON it might take a hundred times as much', () => {
    const value = `[${'{},'.repeat(2 * MIB)}{}]`;
    const text = decoded(packed(one, [0], NONE, NOTHING, [value.length], Buffer.from(value), [], []));
    expect(JSON.parse(text)).toMatchObject({ records: [{ value }] });
  });

  it('only counts records for whose texts there is no room', () => {
    const value = Buffer.alloc(20 * MIB, 1);
    const text = decoded(packed(one, [0], NONE, NOTHING, [value.length], value, [], []));
    expect(JSON.parse(text)).toEqual({ records: [], more: 1 });
    // All records have the same topic.
    const { meta, body } = chunk(
      -1,
      Array.from({ length: 1_000 }, (_, offset) => record(offset)),
    );
    const segments = [{ ...meta.segments[0], topic: 't'.repeat(MIB) }];
    const { records, more } = JSON.parse(decoded(json({ ...meta, segments }), binary(body))) as Record<string, unknown>;
    expect((records as unknown[]).length).toBeLessThan(60);
    expect(more).toBe(1_000 - (records as unknown[]).length);
  });

  it.each([
    ['an offset that is a text', packed(['a'], [0], NONE, NOTHING, NONE, NOTHING, [], [])],
    ['a header whose name is bytes', packed(one, [0], NONE, NOTHING, NONE, NOTHING, [[0, NOTHING, null]], [])],
    [
      'a verdict that is bytes',
      binary(
        packCompressed([[['t', 0, 'e'], [one, [0], NONE, NOTHING, NONE, NOTHING, [], []], [['not_json', NOTHING]]]]),
      ),
    ],
  ])('leaves alone %s', (_, asked) => {
    expect(decodePayloads([asked])).toEqual([asked]);
  });
});
