import { createRequire } from 'node:module';
import { expect, it, vi } from 'vitest';
import { decodeFetchResponse } from '../../../../src/kafka/kafkajs/fetchResponse.js';
import { repairFetchPace } from '../../../../src/kafka/kafkajs/fetchPace.js';
import { fetchResponse, recordBatch } from '../../../support/recordBatches.js';

const sleeps = vi.hoisted(() => [] as number[]);
vi.mock('node:timers/promises', () => ({ setTimeout: (ms: number) => Promise.resolve(void sleeps.push(ms)) }));

const { prototype } = createRequire(import.meta.url)('kafkajs/src/consumer/consumerGroup') as {
  prototype: { fetch: (nodeId: string) => Promise<unknown[]> };
};

function batchOf(valueBytes: number) {
  const records = recordBatch({ base: 0, records: [{ delta: 0, value: Buffer.alloc(valueBytes) }] });
  const { responses } = decodeFetchResponse(11, fetchResponse('orders', [{ partition: 0, records }]));
  return { topic: 'orders', partition: 0, rawMessages: responses[0]!.partitions[0]!.messages };
}

it('the next fetch waits only after an answer with a few records, and only the one from that broker', async () => {
  let nowMs = 1_000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  let answer: unknown[] = [];
  prototype.fetch = () => Promise.resolve(answer);
  repairFetchPace();
  const group = {};
  const waitsOf = async (nodeId: string, of: object = group): Promise<number[]> => {
    sleeps.length = 0;
    expect(await prototype.fetch.call(of as never, nodeId)).toBe(answer);
    return [...sleeps];
  };
  answer = [batchOf(100), batchOf(200)];
  expect(await waitsOf('1')).toEqual([]);
  expect(await waitsOf('2')).toEqual([]);
  expect(await waitsOf('1', {})).toEqual([]);
  nowMs += 5;
  answer = [batchOf(20_000), batchOf(20_000)];
  expect(await waitsOf('1')).toEqual([15]);
  expect(await waitsOf('1')).toEqual([]);
  nowMs += 50;
  expect(await waitsOf('2')).toEqual([]);
  answer = [];
  expect(await waitsOf('1')).toEqual([]);
  expect(await waitsOf('1')).toEqual([]);
});
