import { expect, it } from 'vitest';
import { placesIn } from '../../../chaos/chunks.js';
import { chunkOf } from '../../support/chunks.js';
import type { KafkaRecord } from '../../../src/protocol/record.js';

const record = (offset: number): KafkaRecord => ({
  offset,
  timestampMs: 1_700_000_000_000 + offset,
  key: Buffer.from('key'),
  value: Buffer.from(`value ${offset}`),
  headers: [],
});

it('finds the records that the product packs', () => {
  const { meta, body } = chunkOf(
    { topic: 'a', partition: 2, epoch: 'e', from: 4, to: 20, records: [5, 9, 20].map(record) },
    { topic: 'b', partition: 0, epoch: 'e', from: -1, to: 3, records: [] },
    { topic: 'a', partition: 3, epoch: 'f', from: 9, to: 12, records: [10].map(record) },
  );
  expect(placesIn(Buffer.from(JSON.stringify(meta)), body)).toEqual([
    { topic: 'a', partition: 2, offset: 5, epoch: 'e' },
    { topic: 'a', partition: 2, offset: 9, epoch: 'e' },
    { topic: 'a', partition: 2, offset: 20, epoch: 'e' },
    { topic: 'a', partition: 3, offset: 10, epoch: 'f' },
  ]);
});

it('finds nothing in a chunk that brings only settings', () => {
  expect(placesIn(Buffer.from('{"segments":[]}'), Buffer.alloc(0))).toEqual([]);
});
