import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { FetchedBatch } from '../../../../src/kafka/kafkajs/fetchedBatch.js';
import { decodeFetchResponse } from '../../../../src/kafka/kafkajs/fetchResponse.js';
import { handleFetched, type Runner } from '../../../../src/kafka/kafkajs/runner.js';
import { fetchResponse, recordBatch } from '../../../support/recordBatches.js';

/** What kafkajs has fetched of a partition: so many records, which make several parts. */
function fetched(
  partition: number,
  records = 20_000,
  damage: (set: Buffer) => void = () => undefined,
  value = Buffer.alloc(20),
) {
  const list = Array.from({ length: records }, (_, delta) => ({ delta, value }));
  const set = recordBatch({ base: 0, codec: 'gzip', records: list });
  damage(set);
  const { responses } = decodeFetchResponse(11, fetchResponse('orders', [{ partition, records: set }]));
  const { messages, highWatermark } = responses[0]!.partitions[0]!;
  return { topic: 'orders', partition, highWatermark, fetchedOffset: '0', rawMessages: messages };
}

/** Twenty records, which make a batch of 5 MiB. */
const large = (partition: number) => fetched(partition, 20, undefined, Buffer.alloc(256 * 1024));

/** A runner whose handler resolves what it gets, unless told otherwise. */
function runner() {
  const paused = new Set<number>();
  const resolved: Record<number, string> = {};
  const failures: string[] = [];
  const fake: Runner = {
    running: true,
    consumerGroup: {
      isPaused: (_topic, partition) => paused.has(partition),
      hasSeekOffset: () => false,
      commitOffsets: () => Promise.resolve(),
      offsetManager: { resolvedOffsets: { orders: resolved } },
    },
    heartbeat: () => Promise.resolve(),
    handleBatch: () => Promise.resolve(),
    processEachBatch: ({ part }) => Promise.resolve(void failures.push(part.failure?.message ?? '')),
  };
  const resolve = (batch: FetchedBatch) => (resolved[batch.partition] = String(batch.part.next));
  return { fake, paused, resolve, failures };
}

it('hands out all of a partition, part by part, and lets others run in between', async () => {
  const { fake, resolve } = runner();
  const order: string[] = [];
  let records = 0;
  let ended = false;
  const others = (): void => {
    order.push('other');
    if (!ended) setImmediate(others);
  };
  others();
  await handleFetched(fake, fetched(0), (batch) => {
    order.push('part');
    records += batch.messages.length;
    resolve(batch);
    return Promise.resolve();
  });
  ended = true;
  expect(records).toBe(20_000);
  expect(order.filter((what) => what === 'part').length).toBeGreaterThan(3);
  expect(order.join()).not.toContain('part,part');
});

it('decodes nothing more of a partition once it is paused, and hands out nothing more', async () => {
  const { fake, paused, resolve } = runner();
  const parts: FetchedBatch[] = [];
  await handleFetched(fake, fetched(0), (batch) => {
    parts.push(batch);
    resolve(batch);
    if (parts.length === 2) paused.add(0);
    return Promise.resolve();
  });
  expect(parts.length).toBe(2);
});

it('a part that a handler has not resolved is the last: the next would be taken for a jump in the log', async () => {
  const { fake } = runner();
  let parts = 0;
  await handleFetched(fake, fetched(0), () => {
    parts++;
    return Promise.resolve();
  });
  expect(parts).toBe(1);
});

it('of many partitions one part at a time is decoded: a full buffer stops the others before theirs', async () => {
  const { fake, paused, resolve } = runner();
  const partitions = Array.from({ length: 16 }, (_, partition) => partition);
  let parts = 0;
  const handle = (batch: FetchedBatch) => {
    parts++;
    resolve(batch);
    // As a consumer whose buffer is full.
    for (const partition of partitions) paused.add(partition);
    return Promise.resolve();
  };
  await Promise.all(partitions.map((partition) => handleFetched(fake, fetched(partition, 5_000), handle)));
  expect(parts).toBe(1);
});

it('a handler that waits holds up no other partition', async () => {
  const { fake, resolve } = runner();
  let release = (): void => undefined;
  const waiting = handleFetched(fake, fetched(0, 10), async (batch) => {
    resolve(batch);
    await new Promise<void>((done) => (release = done));
  });
  let records = 0;
  await handleFetched(fake, fetched(1), (batch) => {
    records += batch.messages.length;
    resolve(batch);
    return Promise.resolve();
  });
  expect(records).toBe(20_000);
  release();
  await waiting;
});

it('what cannot be read reaches the handler as such, and others are read on', async () => {
  const { fake, resolve, failures } = runner();
  let records = 0;
  const handle = (batch: FetchedBatch) => {
    records += batch.messages.length;
    resolve(batch);
    return Promise.resolve();
  };
  const damaged = fetched(0, 100, (set) => (set[set.length - 1]! ^= 1));
  await Promise.all([handleFetched(fake, damaged, handle), handleFetched(fake, fetched(1, 100), handle)]);
  expect(failures).toEqual(['the record batch at offset 0 of orders/0 cannot be read: its checksum is wrong']);
  expect(records).toBe(100);
});

it('what a follower gave and cannot be read reaches nobody, since the leader is asked; what a leader gave names it', async () => {
  const { fake, failures } = runner();
  const left: string[] = [];
  const damaged = (nodeId: string, isFollower: boolean) => ({
    ...fetched(0, 100, (set) => (set[set.length - 1]! ^= 1)),
    from: { nodeId, leave: () => left.push(nodeId) > 0 && isFollower },
  });
  await handleFetched(fake, damaged('2', true), () => Promise.resolve());
  expect([left, failures]).toEqual([['2'], []]);
  await handleFetched(fake, damaged('1', false), () => Promise.resolve());
  expect(failures).toEqual([
    'the record batch at offset 0 of orders/0 cannot be read: its checksum is wrong (broker 1 gave it)',
  ]);
});

it('of batches that decompress to much one at a time is in memory, and each is handed out whole', async () => {
  const { fake, resolve } = runner();
  const order: number[] = [];
  const handle = (batch: FetchedBatch) => {
    order.push(...batch.messages.map(() => batch.partition));
    resolve(batch);
    return Promise.resolve();
  };
  await Promise.all([0, 1, 2].map((partition) => handleFetched(fake, large(partition), handle)));
  const [first] = order;
  expect(order.filter((partition, index) => partition !== order[index - 1])).toHaveLength(3);
  expect(order.filter((partition) => partition === first)).toHaveLength(20);
  expect(order).toHaveLength(60);
});

/** Hands out what was fetched of each partition, and says how many had handed out a part of their batch at a time. */
async function mostOpen(partitions: number, valueBytes: number, waits: (partition: number) => Promise<void>) {
  const { fake, resolve } = runner();
  const open = new Map<number, number>();
  let most = 0;
  const handle = async (batch: FetchedBatch) => {
    const left = (open.get(batch.partition) ?? 20) - batch.messages.length;
    if (left === 0) open.delete(batch.partition);
    else open.set(batch.partition, left);
    most = Math.max(most, open.size);
    resolve(batch);
    await waits(batch.partition);
  };
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  const value = Buffer.alloc(valueBytes);
  await Promise.all(all.map((partition) => handleFetched(fake, fetched(partition, 20, undefined, value), handle)));
  expect(open.size).toBe(0);
  return most;
}

it('decompressed batches of all partitions together take 8 MiB at most, and each is handed out whole', async () => {
  expect(await mostOpen(16, 192 * 1024, () => sleep(1))).toBe(2);
  expect(await mostOpen(16, 96 * 1024, () => sleep(1))).toBe(3);
});

it('a handler that waits keeps no more than its own batch from others', async () => {
  let release = (): void => undefined;
  const released = new Promise<void>((done) => (release = done));
  let others = 2 * 10;
  const waits = (partition: number) => {
    if (partition === 0) return released;
    if (--others === 0) release();
    return Promise.resolve();
  };
  expect(await mostOpen(3, 192 * 1024, waits)).toBe(2);
});

it('room that waits for a partition that is paused is free again', async () => {
  const { fake, paused, resolve } = runner();
  const seen = new Map<number, number>();
  const handle = (batch: FetchedBatch) => {
    seen.set(batch.partition, (seen.get(batch.partition) ?? 0) + batch.messages.length);
    // As a consumer whose buffer is full, by this partition alone.
    if (batch.partition === 0) paused.add(0);
    resolve(batch);
    return Promise.resolve();
  };
  await Promise.all([0, 1].map((partition) => handleFetched(fake, large(partition), handle)));
  expect(seen.get(0)).toBeLessThan(20);
  expect(seen.get(1)).toBe(20);
});

it('a handler that waits for long gives the room back, and the rest of its batch is fetched again', async () => {
  const { fake, resolve } = runner();
  let release = (): void => undefined;
  const released = new Promise<void>((done) => (release = done));
  const seen = new Map<number, number>();
  const handle = async (batch: FetchedBatch): Promise<void> => {
    seen.set(batch.partition, (seen.get(batch.partition) ?? 0) + batch.messages.length);
    resolve(batch);
    // As of pipelines that wait for Kafka.
    if (batch.partition < 3) await released;
  };
  const value = Buffer.alloc(192 * 1024);
  const all = [0, 1, 2, 3].map((partition) => handleFetched(fake, fetched(partition, 20, undefined, value), handle));
  await all[3];
  expect(seen.get(3)).toBe(20);
  release();
  await Promise.all(all);
  // There was room for two of them. The third got theirs.
  expect([0, 1, 2].filter((partition) => (seen.get(partition) ?? 0) < 20)).toHaveLength(2);
});

it('a part without records reaches a handler of batches, which kafkajs would not ask, and not one of messages', async () => {
  const { fake, resolve } = runner();
  const seen: string[] = [];
  const takes = (name: string) => (batch: FetchedBatch) => {
    seen.push(`${name} ${batch.part.from} to ${batch.part.next}`);
    resolve(batch);
    return Promise.resolve();
  };
  const emptied = () => ({ ...fetched(0, 0), fetchedOffset: '0' });
  await handleFetched(
    { ...fake, eachBatch: () => undefined, processEachBatch: takes('own') },
    emptied(),
    takes('kafkajs'),
  );
  await handleFetched({ ...fake, processEachBatch: takes('own') }, emptied(), takes('kafkajs'));
  expect(seen).toEqual(['own 0 to 1', 'kafkajs 0 to 1']);
});
