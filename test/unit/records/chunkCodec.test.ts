import crc32 from 'crc-32';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ChunkCorruptError, decodeChunk, encodeChunk } from '../../../src/records/chunkCodec.js';
import { anyRecords, plain, record } from '../../support/records.js';

const source = (partition: number) => ({ topic: 'orders', partition, epoch: 'e1' });

it('gives back every byte of every record, in order, per segment', () => {
  fc.assert(
    fc.property(fc.array(anyRecords, { minLength: 1, maxLength: 4 }), (partitions) => {
      const segments = partitions.map((records, partition) => ({ ...source(partition), from: -1, to: 1e6, records }));
      const { meta, body } = encodeChunk(segments);
      expect(meta.crc32).toBe(crc32.buf(body));
      expect(meta.records).toBe(partitions.flat().length);
      const decoded = decodeChunk(meta.segments, body);
      expect(decoded.map(({ partition }) => partition)).toEqual(segments.map(({ partition }) => partition));
      expect(decoded.map(({ records }) => records.map(plain))).toEqual(partitions.map((records) => records.map(plain)));
    }),
  );
});

it('keeps only the ranges asked for: above from, up to and including to', () => {
  const records = [0, 1, 2, 3, 4, 5].map((offset) => record(offset));
  const { meta, body } = encodeChunk([
    { ...source(0), from: -1, to: 5, records },
    { ...source(1), from: -1, to: 5, records },
    { ...source(2), from: -1, to: 5, records },
  ]);
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
  const { meta, body } = encodeChunk([{ ...source(0), from: -1, to: 0, records: [record(0)] }]);
  expect(() => decodeChunk(meta.segments, body.subarray(0, body.length - 3))).toThrow(ChunkCorruptError);
  expect(() => decodeChunk([...meta.segments, ...meta.segments], body)).toThrow(ChunkCorruptError);
});
