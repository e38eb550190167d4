import type { Kafka } from 'kafkajs';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createAdmin } from '../../../src/kafka/admin.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A cluster of brokers that answer as they are told. The first one is connected. */
function clusterOf(...answers: (() => Promise<string>)[]) {
  const asked: number[] = [];
  const brokers = answers.map((answer, nodeId) => ({
    nodeId,
    versions: { 3: { minVersion: 0, maxVersion: 10 } },
    connectionPool: {
      send: async () => {
        asked.push(nodeId);
        return { clusterId: await answer(), brokers: [], topicMetadata: [] };
      },
    },
  }));
  const cluster = {
    connect: () => Promise.resolve(),
    getNodeIds: () => brokers.map(({ nodeId }) => String(nodeId)),
    findBroker: ({ nodeId }: { nodeId: string }) => Promise.resolve(brokers[Number(nodeId)]),
    brokerPool: { findConnectedBroker: () => Promise.resolve(brokers[0]) },
  };
  const kafka = { admin: () => ({}), [Symbol('private:Kafka:createCluster')]: () => cluster };
  return { admin: createAdmin(kafka as unknown as Kafka), asked };
}

const silent = () => new Promise<string>(() => undefined);
const says = (text: string) => () => Promise.resolve(text);

it('while a broker is silent, two others are asked after two seconds, and the first answer counts', async () => {
  const { admin, asked } = clusterOf(silent, says('c1'), says('c1'), silent);
  const answer = admin.describeTopics([]);
  await vi.advanceTimersByTimeAsync(1_900);
  expect(asked).toEqual([0]);
  await vi.advanceTimersByTimeAsync(100);
  expect((await answer).clusterId).toBe('c1');
  expect(asked).toHaveLength(3);
  expect(new Set(asked).size).toBe(3);
});

it('a slow broker counts, too, and where all fail the error of the first one does', async () => {
  const late = (ms: number, what: string | Error) => () =>
    new Promise<string>((resolve, reject) =>
      setTimeout(() => (typeof what === 'string' ? resolve(what) : reject(what)), ms),
    );
  const failing = () => Promise.reject(new Error('others fail'));
  const slow = clusterOf(late(3_000, 'c1'), failing, failing);
  const answer = slow.admin.describeTopics([]);
  await vi.advanceTimersByTimeAsync(3_000);
  expect((await answer).clusterId).toBe('c1');
  const failed = clusterOf(late(3_000, new Error('the first fails')), failing, failing);
  const error = failed.admin.describeTopics([]).catch(String);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(await error).toBe('Error: the first fails');
});
