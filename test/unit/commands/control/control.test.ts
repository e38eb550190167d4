import { randomBytes } from 'node:crypto';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { defaultPayloadConverter, type RawValue } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { isEncrypted, PayloadCipher } from '../../../../src/codecs/payloadCipher.js';
import { tell } from '../../../../src/commands/control/control.js';
import type { ControlRequest } from '../../../../src/protocol/batcher.js';
import { AUTHENTIC_METADATA } from '../../../../src/protocol/encryption.js';
import { setCipher } from '../../../../src/temporal/encryption.js';

const TARGET = { pipeline: 'orders', workflowId: 'ktb:orders:8-key:3' };

/** A batcher whose batch 7 has failed. Before the call of this number it succeeds, and batch 8 begins. */
function batcherThatRecovers(beforeCall: number): { client: Client; parked: (number | undefined)[] } {
  let calls = 0;
  const batch = (): number => (calls++ < beforeCall ? 7 : 8);
  const parked: (number | undefined)[] = [];
  const handle = {
    describe: () => {
      const lastFailure = batch() === 7 ? { message: 'no column trace' } : undefined;
      const pendingActivities = [{ activityType: { name: 'insertBatch' }, lastFailure }];
      return Promise.resolve({ runId: 'r', status: { name: 'RUNNING' }, raw: { pendingActivities } });
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
  return { client: { workflow: { getHandle: () => handle } } as unknown as Client, parked };
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

describe('ktb pause, of a batcher that takes only encrypted signals', () => {
  const cipher = (...ids: string[]) =>
    new PayloadCipher({ keys: new Map(ids.map((id) => [id, randomBytes(32)])), active: null });
  const status = { flushing: null, paused: false, draining: false, bufferedRecords: 0, inheritedBatches: 0 };

  /** It continues as new once, before the first signal. */
  function strictBatcher(requiresEncryption = true) {
    const sent: { readonly runId: string | undefined; readonly args: readonly unknown[] }[] = [];
    let runs = 1;
    const client = {
      options: { namespace: 'n' },
      workflow: {
        getHandle: (_: string, runId?: string) => ({
          describe: () => Promise.resolve({ runId: `r${runs}`, status: { name: 'RUNNING' }, raw: {} }),
          query: () => Promise.resolve({ ...status, ...(requiresEncryption ? { requiresEncryption } : {}) }),
          signal: (_name: string, ...args: unknown[]) => {
            if (runId === 'r1' && runs++ === 1) return Promise.reject(new WorkflowNotFoundError('', '', undefined));
            return Promise.resolve(sent.push({ runId, args }));
          },
        }),
      },
      workflowService: {
        getWorkflowExecutionHistory: ({ execution: { runId } }: { execution: { runId: string } }) => {
          const firstExecutionRunId = runId;
          return Promise.resolve({
            history: { events: [{ workflowExecutionStartedEventAttributes: { firstExecutionRunId } }] },
          });
        },
      },
    } as unknown as Client;
    return { sent, client };
  }

  const request = { actor: 'ada', reason: 'r' };

  it('is encrypted, and for the run that runs', async () => {
    const { sent, client } = strictBatcher();
    const ofKey = cipher('k1');
    expect((await tell(setCipher(client, ofKey), TARGET, 'pause', request)).outcome).toBe('told');
    expect(sent).toMatchObject([{ runId: 'r2' }]);
    const { payload } = sent[0]!.args[0] as RawValue;
    expect(isEncrypted(payload)).toBe(true);
    const plain = ofKey.decrypt(payload, TARGET.workflowId);
    expect(defaultPayloadConverter.fromPayload(plain)).toEqual({ ...request, run: 'r2' });
    expect(Buffer.from(plain.metadata?.[AUTHENTIC_METADATA] ?? []).toString()).toMatch(/^signal:pause:0:./);
  });

  it('fails without a key, instead of saying that it was told', async () => {
    const { sent, client } = strictBatcher();
    const { outcome, message } = await tell(setCipher(client, cipher()), TARGET, 'pause', request);
    expect([outcome, message]).toEqual(['failed', expect.stringContaining('temporal.encryption.keys')]);
    expect(sent).toEqual([]);
  });

  it('is as before for one that takes others', async () => {
    const { sent, client } = strictBatcher(false);
    expect((await tell(setCipher(client, cipher('k1')), TARGET, 'pause', request)).outcome).toBe('told');
    expect(sent).toEqual([{ runId: undefined, args: [request] }]);
  });
});
