import type { Client } from '@temporalio/client';
import { afterEach, expect, it, vi } from 'vitest';
import type { BatcherEvent } from '../../../src/activities/historyEvents.js';
import { RunHistories } from '../../../src/activities/runHistories.js';
import { encodeChunk } from '../../../src/records/chunkCodec.js';
import { input } from '../../support/chunks.js';
import { record } from '../../support/records.js';

afterEach(() => void vi.useRealTimers());

/** Histories of runs that had accepted three chunks of one record each, and flushed none. */
class Histories extends RunHistories {
  readonly read: string[] = [];

  constructor() {
    super({} as unknown as Client, 'default');
  }

  override async *events(_workflowId: string, runId: string): AsyncIterable<BatcherEvent> {
    this.read.push(runId);
    yield { type: 'started', input: input(), bodies: new Uint8Array(0) };
    for (const to of [0, 1, 2]) {
      const segment = { topic: 'orders', partition: 0, epoch: runId, from: to - 1, to, records: [record(to)] };
      const { meta, body } = encodeChunk([segment]);
      yield await Promise.resolve({ type: 'signaled' as const, name: 'records', args: [meta, body], atMs: 0 });
    }
  }

  async offsets(runId: string, from: number, count: number): Promise<unknown[]> {
    const chunks = await this.leftover('batcher', runId, from, count);
    return chunks.map(({ chunk: { segments } }) => [segments[0]?.epoch, segments[0]?.to]);
  }
}

it('reads the history of a closed run once for all batches of its heir', async () => {
  const histories = new Histories();
  expect(await histories.offsets('r1', 0, 1)).toEqual([['r1', 0]]);
  expect(await histories.offsets('r1', 1, 2)).toEqual([
    ['r1', 1],
    ['r1', 2],
  ]);
  await expect(histories.offsets('r1', 2, 2)).rejects.toThrow('run r1 of batcher has left 3 chunks, not 4');
  expect(histories.read).toEqual(['r1']);
});

it('keeps what one run has left, and not for long', async () => {
  vi.useFakeTimers();
  const histories = new Histories();
  await histories.offsets('r1', 0, 1);
  expect(await histories.offsets('r2', 0, 1)).toEqual([['r2', 0]]);
  expect(await histories.offsets('r1', 0, 1)).toEqual([['r1', 0]]);
  expect(histories.read).toEqual(['r1', 'r2', 'r1']);
  vi.advanceTimersByTime(60_000);
  await histories.offsets('r1', 1, 1);
  expect(histories.read).toEqual(['r1', 'r2', 'r1', 'r1']);
});
