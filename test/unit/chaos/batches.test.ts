import { expect, it } from 'vitest';
import { Batches } from '../../../chaos/batches.js';
import { BATCH_FORMATS } from '../../../src/protocol/flush.js';
import { batchSpec, type Buffered } from '../../../src/workflows/batchPlanning.js';
import { chunkOf } from '../../support/chunks.js';

type Range = readonly [number, number];
interface Part {
  topic?: string;
  partition: number;
  epoch: string;
  range: Range;
  keep?: readonly Range[] | null;
}

/** What the product gives to its activity. */
function batchOf(...chunks: readonly (readonly Part[])[]): { readonly id: string; readonly json: Buffer } {
  const taken = chunks.map((parts): Buffered => {
    const { meta, body } = chunkOf(
      ...parts.map(({ topic = 'in', partition, epoch, range: [from, to] }) => {
        return { topic, partition, epoch, from, to, records: [] };
      }),
    );
    const { segments, records, bytes } = meta;
    const keep = parts.map((part) => part.keep ?? null);
    return { chunk: { segments, keep, records, bytes, bodyBytes: body.length }, body } as unknown as Buffered;
  });
  const spec = batchSpec(taken, {
    format: BATCH_FORMATS.withBodies,
    pipeline: 'p',
    batcher: 'b',
    number: 1,
    reason: 'delay',
    runs: [],
    destination: {} as never,
  });
  return { id: spec.id, json: Buffer.from(JSON.stringify(spec)) };
}

it('tells under which epoch a batch has a record, and not if it has it under two', () => {
  const batches = new Batches('in');
  const { id, json } = batchOf(
    [
      { partition: 0, epoch: 'e', range: [4, 9] },
      { partition: 1, epoch: 'g', range: [-1, 3] },
      { topic: 'another', partition: 0, epoch: 'h', range: [0, 99] },
    ],
    [{ partition: 0, epoch: 'e', range: [9, 20] }],
    [{ partition: 0, epoch: 'f', range: [14, 30], keep: [[17, 30]] }],
  );
  batches.add(json);
  batches.add(json);
  const epochs = [4, 5, 9, 10, 17, 18, 20, 21, 30, 31].map((offset) => batches.epochOf(id, 0, offset));
  expect(epochs).toEqual([null, 'e', 'e', 'e', 'e', null, null, 'f', 'f', null]);
  expect(batches.epochOf(id, 1, 0)).toBe('g');
  expect(batches.epochOf('another batch', 0, 5)).toBeNull();
});
