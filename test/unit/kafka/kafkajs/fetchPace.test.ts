import { createRequire } from 'node:module';
import { expect, it, onTestFinished, vi } from 'vitest';
import { decodeFetchResponse } from '../../../../src/kafka/kafkajs/fetchResponse.js';
import { repairFetchPace } from '../../../../src/kafka/kafkajs/fetchPace.js';
import { fetchResponse, recordBatch } from '../../../support/recordBatches.js';

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
  let asked = false;
  const { fetch } = prototype;
  // The files after this one share its process.
  onTestFinished(() => void (prototype.fetch = fetch));
  prototype.fetch = () => {
    asked = true;
    return Promise.resolve(answer);
  };
  repairFetchPace();
  const group = {};
  const waits = async (nodeId: string, of: object = group): Promise<boolean> => {
    asked = false;
    const fetching = prototype.fetch.call(of as never, nodeId);
    const isWaiting = !asked;
    expect(await fetching).toBe(answer);
    return isWaiting;
  };
  answer = [batchOf(100), batchOf(200)];
  expect(await waits('1')).toBe(false);
  expect(await waits('2')).toBe(false);
  expect(await waits('1', {})).toBe(false);
  nowMs += 19;
  answer = [batchOf(20_000), batchOf(20_000)];
  expect(await waits('1')).toBe(true);
  expect(await waits('1')).toBe(false);
  nowMs += 1;
  expect(await waits('2')).toBe(false);
  answer = [];
  expect(await waits('1')).toBe(false);
  expect(await waits('1')).toBe(false);
});
