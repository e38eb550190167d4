import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import crc32 from 'crc-32';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Packr } from 'msgpackr';
import { compress } from '../../../src/codecs/compression.js';
import { UnencodableRecordError } from '../../../src/codecs/encodable.js';
import { ChunkCorruptError, decodeBody, decodeChunk, encodeChunk } from '../../../src/codecs/chunkCodec.js';
import { encodeRecords } from '../../../src/codecs/encodeColumns.js';
import { UnpackRoom } from '../../../src/codecs/packing.js';
import { RecordColumns } from '../../../src/codecs/recordColumns.js';
import { anyRecords, plain, record } from '../../support/records.js';
import { chunkOf } from '../../support/chunks.js';
import { eventually } from '../../support/eventually.js';

const source = (partition: number) => ({ topic: 'orders', partition, epoch: 'e1' });

it('gives back every byte of every record, in order, per segment', () => {
  fc.assert(
    fc.property(fc.array(anyRecords, { minLength: 1, maxLength: 4 }), (partitions) => {
      const segments = partitions.map((records, partition) => ({ ...source(partition), from: -1, to: 1e6, records }));
      const { meta, body } = chunkOf(...segments);
      expect(meta.crc32).toBe(crc32.buf(body));
      expect(meta.records).toBe(partitions.flat().length);
      const decoded = decodeChunk(meta.segments, body);
      expect(decoded.map(({ partition }) => partition)).toEqual(segments.map(({ partition }) => partition));
      expect(decoded.map(({ records }) => records.map(plain))).toEqual(partitions.map((records) => records.map(plain)));
    }),
  );
});

it('gives back every byte of records that came in parts, although one chunk is packed after the other', () => {
  const parts = fc.array(anyRecords, { minLength: 1, maxLength: 3 });
  const chunks = fc.array(fc.array(parts, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 4 });
  fc.assert(
    fc.property(chunks, (all) => {
      const encoded = all.map((partitions) =>
        encodeChunk(
          partitions.map((some, partition) => ({
            ...{ ...source(partition), from: -1, to: 1e6 },
            columns: some.map((records) => RecordColumns.of(records)),
          })),
        ),
      );
      const decoded = encoded.map(({ meta, body }) =>
        decodeChunk(meta.segments, body).map(({ records }) => records.map(plain)),
      );
      expect(decoded).toEqual(all.map((partitions) => partitions.map((some) => some.flat().map(plain))));
    }),
  );
});

it('a large record leaves no large buffer behind', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const heldBytes = () => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers;
  };
  const encode = (bytes: number) =>
    void chunkOf({ ...source(0), from: -1, to: 0, records: [record(0, { value: Buffer.alloc(bytes) })] });
  encode(1);
  const before = heldBytes();
  encode(15 * 1024 * 1024);
  // V8 gives the memory of buffers back in another thread, a while after they are collected.
  await eventually(() => expect(heldBytes() - before).toBeLessThan(8 * 1024 * 1024), 20_000);
});

it('a timestamp in other units changes none of its neighbours', () => {
  const times = [
    1_700_000_000_125,
    1.7e18,
    1_700_000_000_125,
    2 ** 63,
    -1,
    8.64e15,
    1,
    -(2 ** 63),
    2 ** 53,
    -(2 ** 53),
    3,
  ];
  const records = times.map((timestampMs, offset) => record(offset, { timestampMs }));
  const { meta, body } = chunkOf({ ...source(0), from: -1, to: records.length - 1, records });
  const [decoded] = decodeChunk(meta.segments, body);
  expect(decoded?.records.map(({ timestampMs }) => timestampMs)).toEqual(times);
});

it('a timestamp in milliseconds lies in a chunk as its distance from the one before, as in every version', () => {
  const records = [5, 3, -1, 2 ** 52].map((timestampMs, offset) => record(offset, { timestampMs }));
  expect(encodeRecords(records)[1]).toEqual([5, -2, -4, 2 ** 52 + 1]);
});

it('keeps only the ranges asked for: above from, up to and including to', () => {
  const records = [0, 1, 2, 3, 4, 5].map((offset) => record(offset));
  const { meta, body } = chunkOf(
    { ...source(0), from: -1, to: 5, records },
    { ...source(1), from: -1, to: 5, records },
    { ...source(2), from: -1, to: 5, records },
  );
  const kept = decodeChunk(meta.segments, body, [
    null,
    [
      [-1, 0],
      [3, 5],
    ],
    [],
  ]);
  expect(kept.map((segment) => segment.records.map(({ offset }) => offset))).toEqual([
    [0, 1, 2, 3, 4, 5],
    [0, 4, 5],
    [],
  ]);
});

it('refuses a body that is not a chunk’s, and one of another number of segments', () => {
  const { meta, body } = chunkOf({ ...source(0), from: -1, to: 0, records: [record(0)] });
  expect(() => decodeChunk(meta.segments, body.subarray(0, body.length - 3))).toThrow(ChunkCorruptError);
  expect(() => decodeChunk([...meta.segments, ...meta.segments], body)).toThrow(ChunkCorruptError);
});

it('a body that takes more than the room is refused like a damaged one, and chunks that are decoded together share the room', () => {
  const value = Buffer.alloc(4 * 1024 * 1024);
  const { meta, body } = chunkOf({ ...source(0), from: -1, to: 0, records: [{ ...record(0), value }] });
  const room = new UnpackRoom(6 * 1024 * 1024);
  expect(decodeChunk(meta.segments, body, undefined, room)[0]?.records).toHaveLength(1);
  expect(() => decodeChunk(meta.segments, body, undefined, room)).toThrow(ChunkCorruptError);
  expect(() => decodeBody(body, new UnpackRoom(1024 * 1024))).toThrow(ChunkCorruptError);
});

it('a chunk of version 0.1.0 with a header like a member of every object is read: each header once, as it was', () => {
  const members = Object.getOwnPropertyNames(Object.prototype);
  // What kafkajs made of such a header: the member that the name leads to, then the header's own values.
  const written = members.flatMap((name) => [
    name,
    ({} as Record<string, unknown>)[name],
    name,
    Buffer.from(`value of ${name}`),
    name,
    null,
  ]);
  const columns = encodeRecords([record(0), record(1)]);
  (columns[6] as unknown[]).push([1, 'first', Buffer.from('1'), ...written]);
  const body = compress(new Packr({ useRecords: false }).pack([columns]));
  const { meta } = chunkOf({ ...source(0), from: -1, to: 1, records: [record(0), record(1)] });
  const [decoded] = decodeChunk(meta.segments, body);
  expect(decoded?.records[0]?.headers).toEqual([]);
  expect(decoded?.records[1]?.headers).toEqual([
    ['first', Buffer.from('1')],
    ...members.flatMap((name) => [
      [name, Buffer.from(`value of ${name}`)],
      [name, null],
    ]),
  ]);
});

it('what could not be read again is not packed', () => {
  const wrong: Readonly<Record<string, unknown>>[] = [
    { offset: 0.5 },
    { offset: 2 ** 53 },
    { timestampMs: NaN },
    { timestampMs: 0.5 },
    { key: 'text' },
    { value: undefined },
    { headers: [['toString', () => 0]] },
    { headers: [['h', {}]] },
    { headers: [[1, null]] },
  ];
  for (const part of wrong) {
    const records = [record(0), { ...record(1), ...part }];
    expect(() => encodeRecords(records), JSON.stringify(part)).toThrow(UnencodableRecordError);
  }
});
