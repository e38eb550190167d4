import { describe, expect, it } from 'vitest';
import { BatchBodies } from '../../../src/activities/batchBodies.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import type { FlushedBatch } from '../../../src/temporal/runHistories.js';

const MIB = 1024 * 1024;
const batch = (id: string, bodyBytes = 1, batcher = 'b') => ({
  pipeline: 'orders',
  batcher,
  id,
  number: 1,
  chunks: [{ segments: [], keep: [], records: 1, bytes: 1, bodyBytes }],
});

/** Bodies beside a history that has so many bytes for each batch. `clock` is in milliseconds. */
function bodiesWithHistory(bytes = 1) {
  const read: string[] = [];
  const flushing = (batcher: string, runId: string, { id }: FlushedBatch): Promise<Uint8Array> => {
    read.push(`${batcher} ${runId} ${id}`);
    return Promise.resolve(new Uint8Array(bytes).fill(1));
  };
  const clock = { nowMs: 0 };
  const metrics = createMetrics({ runtime: false });
  return { bodies: new BatchBodies({ flushing }, metrics, () => clock.nowMs), read, clock, metrics };
}

describe('the bodies of a batch that is stored once', () => {
  it('are those that were kept, for each attempt', async () => {
    const { bodies, read } = bodiesWithHistory();
    bodies.keep('b', 'one', Uint8Array.of(7));
    expect(await bodies.of(batch('one'), 'r')).toEqual(Uint8Array.of(7));
    expect(await bodies.of(batch('one'), 'r')).toEqual(Uint8Array.of(7));
    expect(read).toEqual([]);
  });

  it('are read from the history of the run where they were not kept, once', async () => {
    const { bodies, read } = bodiesWithHistory();
    bodies.keep('other', 'one', Uint8Array.of(7));
    expect(await bodies.of(batch('one'), 'r')).toEqual(Uint8Array.of(1));
    expect(await bodies.of(batch('one'), 'r')).toEqual(Uint8Array.of(1));
    expect(read).toEqual(['b r one']);
  });

  it('are not those of another batch of the batcher, nor of one of the same id with other chunks', async () => {
    const { bodies, read } = bodiesWithHistory();
    bodies.keep('b', 'one', Uint8Array.of(7));
    await bodies.of(batch('two'), 'r');
    bodies.keep('b', 'two', Uint8Array.of(7, 7));
    expect(await bodies.of(batch('two'), 'r')).toEqual(Uint8Array.of(1));
    expect(read).toEqual(['b r two', 'b r two']);
  });

  it('are forgotten when the batch is done, and when the next one comes', () => {
    const { bodies } = bodiesWithHistory();
    bodies.keep('b', 'one', Uint8Array.of(7));
    const one = { batcher: 'b', id: 'one' };
    bodies.forget(one);
    bodies.forget(one);
    expect(bodies.bytes).toBe(0);
    bodies.keep('b', 'two', Uint8Array.of(7));
    bodies.keep('b', 'three', Uint8Array.of(7, 7));
    expect(bodies.bytes).toBe(2);
  });

  it('are not forgotten when an earlier batch of the batcher is done: its attempt may end late', () => {
    const { bodies } = bodiesWithHistory();
    bodies.keep('b', 'two', Uint8Array.of(7));
    bodies.forget({ batcher: 'b', id: 'one' });
    expect(bodies.has(batch('two'))).toBe(true);
  });

  it('of a late attempt do not take the place of the next batch, that was handed over', async () => {
    const { bodies, read } = bodiesWithHistory();
    bodies.keep('b', 'two', Uint8Array.of(7));
    await bodies.of(batch('one'), 'r');
    expect(await bodies.of(batch('two'), 'r')).toEqual(Uint8Array.of(7));
    expect(read).toEqual(['b r one']);
  });

  it('with more batches than places, most are still there when their turn comes', async () => {
    const { bodies, read } = bodiesWithHistory();
    const waiting: ReturnType<typeof batch>[] = [];
    for (let number = 0; number < 199; number++) {
      bodies.keep(`${number % 40}`, `${number}`, new Uint8Array(MIB));
      waiting.push(batch(`${number}`, MIB, `${number % 40}`));
      const [next] = waiting.length === 40 ? waiting.splice(0, 1) : [];
      if (next === undefined) continue;
      await bodies.of(next, 'r');
      bodies.forget(next);
    }
    // Of each 40 there is room for 32.
    expect(read).toHaveLength(4 * 8);
  });

  it('are kept up to 32 MiB: a batch that is handed over takes the place of the one that was used least lately, after half a minute', async () => {
    const { bodies, read, clock } = bodiesWithHistory();
    const of = (batcher: number) => bodies.of(batch('id', MIB, String(batcher)), 'r');
    for (let batcher = 0; batcher < 32; batcher++) bodies.keep(String(batcher), 'id', new Uint8Array(MIB));
    clock.nowMs += 30_000;
    await of(0);
    bodies.keep('32', 'id', new Uint8Array(MIB));
    expect(bodies.bytes).toBe(32 * MIB);
    await of(0);
    expect(read).toEqual([]);
    await of(1);
    expect(read).toEqual(['1 r id']);
  });

  it('with more batches than places, those that have a place keep it from attempt to attempt, and reads are counted', async () => {
    const { bodies, read, clock, metrics } = bodiesWithHistory(MIB);
    for (let attempt = 1; attempt <= 5; attempt++) {
      for (let batcher = 0; batcher < 40; batcher++) await bodies.of(batch('id', MIB, String(batcher)), 'r');
      expect(read.length).toBe(40 + (attempt - 1) * 8);
      clock.nowMs += 60_000;
    }
    const { values } = await metrics.bodyReads.get();
    expect(values).toMatchObject([{ labels: { pipeline: 'orders' }, value: 72 }]);
  });

  it('that nobody has used for ten minutes make room for those that are read from a history', async () => {
    const { bodies, read, clock } = bodiesWithHistory(MIB);
    for (let batcher = 0; batcher < 32; batcher++) bodies.keep(`elsewhere-${batcher}`, 'id', new Uint8Array(MIB));
    const of = () => bodies.of(batch('id', MIB), 'r');
    await of();
    await of();
    expect(read.length).toBe(2);
    clock.nowMs += 10 * 60_000;
    await of();
    await of();
    expect([read.length, bodies.bytes]).toEqual([3, 32 * MIB]);
  });
});
