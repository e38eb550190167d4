import type { Client } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import { tell } from '../../../../src/commands/control/control.js';
import type { ControlRequest } from '../../../../src/protocol/batcher.js';

const TARGET = { pipeline: 'orders', workflowId: 'ktb:orders:8-key:3' };

/** A batcher whose batch 7 has failed. Before the call of this number it succeeds, and batch 8 begins. */
function batcherThatRecovers(beforeCall: number): { client: Pick<Client, 'workflow'>; parked: (number | undefined)[] } {
  let calls = 0;
  const batch = (): number => (calls++ < beforeCall ? 7 : 8);
  const parked: (number | undefined)[] = [];
  const handle = {
    describe: () => {
      const lastFailure = batch() === 7 ? { message: 'no column trace' } : undefined;
      const pendingActivities = [{ activityType: { name: 'insertBatch' }, lastFailure }];
      return Promise.resolve({ status: { name: 'RUNNING' }, raw: { pendingActivities } });
    },
    query: () =>
      Promise.resolve({
        flushing: { number: batch(), records: 50_000, parked: false },
        paused: false,
        draining: false,
      }),
    signal: (_: string, request: ControlRequest & { batch?: number }) => {
      parked.push(request.batch);
      return Promise.resolve();
    },
  };
  return { client: { workflow: { getHandle: () => handle } } as unknown as Pick<Client, 'workflow'>, parked };
}

describe('ktb park', () => {
  it('never gives up a batch that has not failed, whenever the one before it succeeds', async () => {
    const request = { actor: 'ada', reason: 'the column is gone' };
    const all: unknown[] = [];
    for (let beforeCall = 0; beforeCall <= 4; beforeCall++) {
      const { client, parked } = batcherThatRecovers(beforeCall);
      const { outcome } = await tell(client, TARGET, 'park', request);
      expect(outcome).toBe(parked.length > 0 ? 'told' : 'failed');
      expect(parked).not.toContain(8);
      all.push(...parked);
    }
    expect(all).toContain(7);
  });
});
