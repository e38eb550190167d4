import { expect, it } from 'vitest';
import type { Buffered } from '../../../src/workflows/batchPlanning.js';
import { ChunkBuffer } from '../../../src/workflows/chunkBuffer.js';
import { chunk } from '../../support/chunks.js';

const buffered = (from: number, to: number, acceptedAtMs: number): Buffered => {
  const { segments, records, bytes } = chunk({ from, to });
  return {
    chunk: { segments, keep: [null], records, bytes, bodyBytes: 3, acceptedAtMs },
    body: Uint8Array.of(1, 2, 3),
  };
};

it('weighs exactly what is in it, whatever was taken out', () => {
  const buffer = new ChunkBuffer(['r1']);
  for (let at = 0; at < 4; at++) buffer.append(buffered(at, at + 1 + at, at));
  expect([buffer.records, buffer.bytes, buffer.oldestAcceptedAtMs]).toEqual([10, 100, 0]);
  expect(buffer.take(3).map(({ chunk: { records } }) => records)).toEqual([1, 2, 3]);
  expect([buffer.records, buffer.bytes, buffer.oldestAcceptedAtMs]).toEqual([4, 40, 3]);
  buffer.take(1);
  expect([buffer.records, buffer.bytes, buffer.encodedBytes, buffer.oldestAcceptedAtMs]).toEqual([0, 0, 0, null]);
});

it('loses nothing when more is asked of it than it has, or nothing', () => {
  const buffer = new ChunkBuffer(['r1']);
  buffer.append(buffered(0, 5, 0));
  expect(() => buffer.take(2)).toThrow();
  expect(() => buffer.take(0)).toThrow();
  expect([buffer.chunks.length, buffer.records]).toEqual([1, 5]);
});

it('flushes on a signal what was in it then, and nothing that comes later', () => {
  const buffer = new ChunkBuffer(['r1']);
  buffer.append(buffered(0, 1, 0));
  buffer.append(buffered(1, 2, 0));
  buffer.flushAll();
  buffer.append(buffered(2, 3, 0));
  buffer.take(1);
  expect(buffer.chunksToFlush).toBe(1);
  buffer.take(2);
  expect(buffer.chunksToFlush).toBe(0);
});
