import { WorkflowNotFoundError } from '@temporalio/client';
import { expect, it } from 'vitest';
import { MissingKeyError } from '../../../src/codecs/payloadCipher.js';
import { judgeEncryption } from '../../../src/commands/check/checkEncryption.js';
import { unreadableBatcher } from '../../../src/temporal/unreadableBatcher.js';

type Client = Parameters<typeof unreadableBatcher>[0];

const error = new MissingKeyError('k1:9f3a1c22', false);

/** @param states of workflows: the name of a status, or undefined if it was never started */
function clientOf(states: Record<string, string | undefined>, query: () => Promise<unknown>): Client {
  const getHandle = (id: string) => ({
    describe: () =>
      states[id] === undefined
        ? Promise.reject(new WorkflowNotFoundError('none', id, undefined))
        : Promise.resolve({ status: { name: states[id] } }),
    query,
  });
  return { workflow: { getHandle } } as unknown as Client;
}

it('the first open batcher says whether what it encrypts can be read', async () => {
  const states = { b: 'COMPLETED', c: 'RUNNING' };
  const unreadable = clientOf(states, () => Promise.reject(error));
  expect(await unreadableBatcher(unreadable, ['a', 'b', 'c', 'd'])).toEqual({ workflowId: 'c', error });
  expect(await unreadableBatcher(unreadable, ['a', 'b'])).toBeNull();
  for (const query of [() => Promise.resolve({}), () => Promise.reject(new Error('no worker'))])
    expect(await unreadableBatcher(clientOf(states, query), ['c'])).toBeNull();
});

it('`ktb check` finds what cannot be read wrong, and says what to do', () => {
  expect(judgeEncryption('orders', null)).toEqual([]);
  expect(judgeEncryption('orders', { workflowId: 'ktb:orders:2-key:0', error })).toMatchObject([
    { level: 'wrong', subject: 'pipeline orders', todo: 'give all processes the same temporal.encryption' },
  ]);
});
