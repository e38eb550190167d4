import { WorkflowNotFoundError } from '@temporalio/client';
import { expect, it } from 'vitest';
import { PayloadCipher } from '../../../src/codecs/payloadCipher.js';
import { judgeEncryption, judgeRequirement, requiringBatcher } from '../../../src/commands/check/checkEncryption.js';
import { setCipher } from '../../../src/temporal/encryption.js';
import { payloadsOf } from '../../../src/temporal/signalWithStart.js';
import { PartlyKnownError, unreadableBatcher } from '../../../src/temporal/unreadableBatcher.js';

type Client = Parameters<typeof setCipher>[0];

interface Run {
  readonly status: string;
  /** Its events, or why Temporal does not give them. */
  readonly events?: readonly object[] | Error;
}

const KEYS = new Map([['k1', new Uint8Array(32)]]);
const plain = payloadsOf({ a: 1 });
const cipher = new PayloadCipher({ keys: KEYS, active: 'k1' });
const sealed = plain.map((payload) => cipher.encrypt(payload, 'c'));

const started = (payloads: object[]) => ({ workflowExecutionStartedEventAttributes: { input: { payloads } } });
const signaled = (payloads: object[]) => ({ workflowExecutionSignaledEventAttributes: { input: { payloads } } });
const scheduled = (payloads: object[]) => ({ activityTaskScheduledEventAttributes: { input: { payloads } } });
const completed = (payloads: object[]) => ({ activityTaskCompletedEventAttributes: { result: { payloads } } });

/** A client of a namespace in which no worker runs. */
function clientOf(runs: Readonly<Record<string, Run>>, keys: ReadonlyMap<string, Uint8Array> = new Map()): Client {
  const getHandle = (id: string) => ({
    describe: () =>
      runs[id] === undefined
        ? Promise.reject(new WorkflowNotFoundError('none', id, undefined))
        : Promise.resolve({ runId: `run of ${id}`, status: { name: runs[id].status } }),
    query: () => Promise.reject(new Error('no worker')),
  });
  const read = (backwards: boolean) => (request: { execution: { workflowId: string }; maximumPageSize: number }) => {
    const { events = [] } = runs[request.execution.workflowId] ?? {};
    if (events instanceof Error) return Promise.reject(events);
    const inOrder = backwards ? [...events].reverse() : events;
    return Promise.resolve({ history: { events: inOrder.slice(0, request.maximumPageSize) } });
  };
  const client = {
    options: { namespace: 'default' },
    workflow: { getHandle },
    workflowService: { getWorkflowExecutionHistory: read(false), getWorkflowExecutionHistoryReverse: read(true) },
  } as unknown as Client;
  return setCipher(client, new PayloadCipher({ keys, active: null }));
}

it.each([
  ['what it was started with', [started(sealed), ...Array<object>(50).fill({})]],
  ['a signal', [started(plain), signaled(sealed), {}]],
  ['an activity', [started(plain), signaled(plain), scheduled(sealed), {}]],
  ['a result', [started(plain), signaled(plain), scheduled(plain), completed(sealed)]],
])('an open batcher whose %s is encrypted is found without a worker, and without its key', async (_what, events) => {
  const runs = {
    b: { status: 'COMPLETED', events: [started(sealed)] },
    c: { status: 'RUNNING', events },
    d: { status: 'RUNNING', events: [started(plain)] },
  };
  const found = await unreadableBatcher(clientOf(runs), ['a', 'b', 'd', 'c']);
  expect(found).toMatchObject({ workflowId: 'c', error: { key: expect.stringMatching(/^k1:/) as string } });
  expect(await unreadableBatcher(clientOf(runs), ['a', 'b', 'd'])).toBeNull();
  expect(await unreadableBatcher(clientOf(runs, KEYS), ['a', 'b', 'c', 'd'])).toBeNull();
});

it('a last run that has ended is looked into if that is asked for: the next one reads it', async () => {
  const runs = {
    b: { status: 'COMPLETED', events: [started(plain), signaled(sealed)] },
    d: { status: 'RUNNING', events: [started(plain)] },
  };
  const found = await unreadableBatcher(clientOf(runs), ['a', 'b', 'd'], { closedToo: true });
  expect(found).toMatchObject({ workflowId: 'b', isOpen: false });
  expect(await unreadableBatcher(clientOf(runs, KEYS), ['a', 'b', 'd'], { closedToo: true })).toBeNull();
  expect(judgeEncryption('orders', found!)).toMatchObject([
    { level: 'wrong', message: expect.stringMatching(/^the last run of its batcher b, which has ended/) as string },
  ]);
});

it('a process that encrypts nothing finds a batcher that requires it', async () => {
  const clientWith = (active: string | null, statuses: Readonly<Record<string, object | null>>): Client => {
    const getHandle = (id: string) => ({
      describe: () => Promise.resolve({ status: { name: id in statuses ? 'RUNNING' : 'COMPLETED' } }),
      query: () => (statuses[id] ? Promise.resolve(statuses[id]) : Promise.reject(new Error('no worker'))),
    });
    return setCipher({ workflow: { getHandle } } as unknown as Client, new PayloadCipher({ keys: KEYS, active }));
  };
  const statuses = { a: null, b: {}, c: { requiresEncryption: true } };
  const requiring = await requiringBatcher(clientWith(null, statuses), ['x', 'a', 'b', 'c']);
  expect(requiring).toBe('c');
  expect(await requiringBatcher(clientWith(null, statuses), ['x', 'a', 'b'])).toBeNull();
  expect(await requiringBatcher(clientWith('k1', statuses), ['c'])).toBeNull();
  expect(judgeRequirement('orders', null)).toEqual([]);
  expect(judgeRequirement('orders', requiring)).toMatchObject([{ level: 'wrong', subject: 'pipeline orders' }]);
});

it('it is not known while Temporal gives no history, unless another batcher says it', async () => {
  const away = { status: 'RUNNING', events: new Error('away') };
  const runs = { b: away, c: { status: 'RUNNING', events: [started(sealed)] } };
  const none = unreadableBatcher(clientOf(runs), ['b']);
  await expect(none).rejects.toThrow('away');
  await expect(none).rejects.not.toBeInstanceOf(PartlyKnownError);
  const some = unreadableBatcher(clientOf(runs), ['a', 'b', 'd']);
  await expect(some).rejects.toBeInstanceOf(PartlyKnownError);
  await expect(some).rejects.toThrow('1 of 3 batchers cannot be looked at: away');
  expect(await unreadableBatcher(clientOf(runs), ['b', 'c'])).toMatchObject({ workflowId: 'c' });
});

it('`ktb check` finds what cannot be read wrong, and says what to do', async () => {
  const client = clientOf({ c: { status: 'RUNNING', events: [started(sealed)] } });
  const found = await unreadableBatcher(client, ['c']);
  expect(judgeEncryption('orders', found!)).toMatchObject([
    { level: 'wrong', subject: 'pipeline orders', todo: 'give all processes the same temporal.encryption' },
  ]);
});
