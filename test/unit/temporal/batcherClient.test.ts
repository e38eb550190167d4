import type { Client } from '@temporalio/client';
import { ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import {
  encodeWorkflowIdConflictPolicy,
  encodeWorkflowIdReusePolicy,
  WorkflowIdConflictPolicy,
  WorkflowIdReusePolicy,
} from '@temporalio/common';
import { randomBytes } from 'node:crypto';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { chunkOf, settings } from '../../support/chunks.js';
import { encodeChunk } from '../../../src/codecs/chunkCodec.js';
import { isEncrypted, PayloadCipher } from '../../../src/codecs/payloadCipher.js';
import type { ChunkMeta } from '../../../src/protocol/chunk.js';
import { AUTHENTIC_METADATA } from '../../../src/protocol/encryption.js';
import type { BatcherSettings } from '../../../src/protocol/settings.js';
import { setCipher } from '../../../src/temporal/encryption.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { requestCounter } from '../../../src/temporal/requestMetrics.js';
import { classifySignalError, TemporalBatcherClient } from '../../../src/temporal/batcherClient.js';

/** As a native connection gives it, and as one of grpc-js does. */
function grpc(code: number, text: string): ServiceError {
  const cause = Object.assign(new Error(text), { code, details: '', metadata: {} });
  return new ServiceError('Failed to signalWithStart Workflow', { cause });
}

function grpcJs(code: number, details: string): ServiceError {
  const cause = Object.assign(new Error(`${code} NAME: ${details}`), { code, details, metadata: {} });
  return new ServiceError('Failed to signalWithStart Workflow', { cause });
}

const counted = <T>(_operation: string, request: Promise<T>): Promise<T> => request;

it('tells a run that is full from a chunk that is too large, which have one code', () => {
  expect(classifySignalError(grpc(3, 'exceeded workflow execution limit for signal events')).type).toBe('full');
  expect(classifySignalError(grpc(3, 'Workflow history size exceeds limit.')).type).toBe('full');
  expect(classifySignalError(grpc(3, 'Blob data size exceeds limit.')).type).toBe('tooLarge');
  expect(classifySignalError(grpc(8, 'grpc: received message larger than max (5242880 vs. 4194304)')).type).toBe(
    'tooLarge',
  );
});

it.each([
  'Workflow Id length exceeds limit.',
  'WorkflowId length exceeds limit.',
  'TaskQueue length exceeds limit.',
  'SignalName length exceeds limit.',
  'Namespace length exceeds limit.',
  'Context timeout is too short.',
  'Identity too long.',
])('what no smaller chunk can help is none that is too large: %s', (message) => {
  expect(classifySignalError(grpc(3, message))).toEqual({ type: 'retry', message, bytes: 0 });
});

it('understands both kinds of connection', () => {
  expect(classifySignalError(grpcJs(3, 'exceeded workflow execution limit for signal events')).type).toBe('full');
  const afterDecompression = 'grpc: received message after decompression larger than max 4194304';
  expect(classifySignalError(grpc(8, afterDecompression)).type).toBe('tooLarge');
});

it('knows a run that has ended', () => {
  expect(classifySignalError(grpc(6, 'Workflow execution already finished')).type).toBe('closed');
});

it('repeats whatever else: the outcome is unknown or passes', () => {
  for (const error of [
    grpc(4, 'deadline'),
    grpc(14, 'unavailable'),
    grpc(8, 'workflow is closing'),
    grpc(3, 'no'),
    new Error('x'),
    undefined,
  ]) {
    expect(classifySignalError(error).type).toBe('retry');
  }
});

it('a closed run has no history to wait for: the next signal finds it closed, and an heir is started', async () => {
  const describe = (status: string) => () =>
    Promise.resolve({ runId: 'r', historySize: 9e6, historyLength: 10, status: { name: status } });
  const history = (status: string) => {
    const client = {
      connection: { withDeadline: (_deadline: number, run: () => unknown) => run() },
      workflow: { getHandle: () => ({ describe: describe(status) }) },
    } as unknown as Client;
    const options = { workflowId: 'w', taskQueue: 'q', settings, requestTimeoutMs: 1_000, counted };
    return new TemporalBatcherClient(client, options).history();
  };
  expect(await history('RUNNING')).toEqual({ runId: 'r', bytes: 9e6, events: 10 });
  for (const status of ['COMPLETED', 'TERMINATED', 'FAILED', 'TIMED_OUT', 'CANCELLED'])
    expect(await history(status)).toBeNull();
});

/** Longer than Temporal's own default, so that a worker that takes over many batchers has time to replay them. */
const TASK_SECONDS = 30;

it('gives an heir as much time for a workflow task as a first run', async () => {
  const started: { workflowTaskTimeout?: unknown }[] = [];
  const describe = () => Promise.resolve({ type: 'batcher', runId: 'r', status: { name: 'TERMINATED' }, raw: {} });
  const client = {
    connection: { withDeadline: (_deadline: number, run: () => unknown) => run() },
    workflow: {
      getHandle: () => ({ describe }),
      start: (_type: string, options: object) => Promise.resolve(started.push(options)),
    },
  } as unknown as Client;
  const options = { workflowId: 'b', taskQueue: 'q', settings, requestTimeoutMs: 1_000, counted };
  await new TemporalBatcherClient(client, options).startHeir({ drained: false });
  expect(started.map(({ workflowTaskTimeout }) => workflowTaskTimeout)).toEqual([TASK_SECONDS * 1_000]);
});

const running = { type: 'batcher', runId: 'r', status: { name: 'RUNNING' }, raw: {} };
const describeRunning = () => Promise.resolve(running);

it('tells the workflow task that is due', async () => {
  const looked = async (pendingWorkflowTask: object | null) => {
    const raw = { pendingWorkflowTask };
    const client = {
      connection: { withDeadline: (_deadline: number, run: () => unknown) => run() },
      workflow: {
        getHandle: () => ({ describe: () => Promise.resolve({ ...running, raw }) }),
      },
    } as never;
    const options = { workflowId: 'b', taskQueue: 'q', settings, requestTimeoutMs: 1_000, counted };
    const batcher = new TemporalBatcherClient(client, options);
    return (await batcher.startHeir({ drained: false })).dueTask;
  };
  expect(await looked(null)).toBeNull();
  const task = { attempt: 4, scheduledTime: { seconds: 1_700_000_000, nanos: 5 } };
  expect(await looked(task)).toEqual({ attempt: 4, scheduledAtMs: 1_700_000_000_000 });
});

it('tells what a workflow task that is repeated failed with, whatever signals came since', async () => {
  const pagesOf = async (...pages: object[][]) => {
    let requests = 0;
    const page = ({ nextPageToken }: { nextPageToken: Uint8Array }) => {
      const index = nextPageToken[0] ?? 0;
      requests++;
      const next = index + 1 < pages.length ? [index + 1] : [];
      return Promise.resolve({ history: { events: pages[index] }, nextPageToken: Uint8Array.from(next) });
    };
    const client = {
      options: { namespace: 'n' },
      connection: { withDeadline: (_deadline: number, run: () => unknown) => run() },
      workflowService: { getWorkflowExecutionHistoryReverse: page },
    } as unknown as Client;
    const options = { workflowId: 'b', taskQueue: 'q', settings, requestTimeoutMs: 1_000, counted };
    return { text: await new TemporalBatcherClient(client, options).taskFailure(), requests };
  };
  const textOf = async (...events: object[]) => (await pagesOf(events)).text;
  const started = { workflowTaskStartedEventAttributes: {} };
  const signal = { workflowExecutionSignaledEventAttributes: {} };
  const signals = Array.from({ length: 20 }, () => signal);
  const failed = { workflowTaskFailedEventAttributes: { failure: { message: 'Nondeterminism error' } } };
  const forceClosed = { workflowTaskFailedEventAttributes: { cause: 17 } };
  expect(await textOf(failed, started)).toBe('Nondeterminism error');
  expect(await textOf({ workflowTaskTimedOutEventAttributes: {} }, started)).toBe('it times out');
  expect(await textOf(signal, signal, signal, failed)).toBe('Nondeterminism error');
  expect(await textOf({ workflowTaskFailedEventAttributes: { cause: 3 } })).toBe('Temporal failed it (cause 3)');
  const { text, requests } = await pagesOf(signals, signals, [...signals.slice(1), forceClosed], [started]);
  expect(text).toMatch(/^more signals came while a worker had it than Temporal gathers .* It goes on by itself/);
  expect(requests).toBe(3);
  expect(await pagesOf(...Array.from({ length: 50 }, () => signals))).toEqual({
    text: 'the end of its history does not say why',
    requests: 8,
  });
});

it('says whether a signal has begun the first run, asks for none after a closed one, and has its requests counted', async () => {
  const requests: {
    workflowIdReusePolicy?: number;
    workflowIdConflictPolicy?: number;
    workflowTaskTimeout?: { seconds: unknown };
  }[] = [];
  const answers = [{ runId: 'r', started: true }, { runId: 'r', started: false }, null];
  const client = {
    options: { namespace: 'n', identity: 'i' },
    connection: { withDeadline: (_deadline: number, run: () => unknown) => run() },
    workflowService: {
      signalWithStartWorkflowExecution: (request: object) => {
        requests.push(request);
        const answer = answers.shift();
        return answer ? Promise.resolve(answer) : Promise.reject(grpc(6, 'Workflow execution already finished'));
      },
    },
  } as unknown as Client;
  const metrics = createMetrics({ runtime: false });
  const batcher = new TemporalBatcherClient(client, {
    workflowId: 'b',
    taskQueue: 'q',
    settings,
    requestTimeoutMs: 1_000,
    counted: requestCounter(metrics),
  });
  const { meta, body } = encodeChunk([]);
  const outcomes = [await batcher.send(meta, body), await batcher.send(meta, body), await batcher.send(meta, body)];
  // What the history gets.
  const bytes = Buffer.byteLength(JSON.stringify(meta)) + body.length;
  expect(outcomes).toEqual([
    { type: 'accepted', bytes, runId: 'r', started: true },
    { type: 'accepted', bytes, runId: 'r', started: false },
    { type: 'closed' },
  ]);
  const { REJECT_DUPLICATE } = WorkflowIdReusePolicy;
  const { USE_EXISTING } = WorkflowIdConflictPolicy;
  for (const { workflowIdReusePolicy, workflowIdConflictPolicy, workflowTaskTimeout } of requests) {
    expect(workflowIdReusePolicy).toBe(encodeWorkflowIdReusePolicy(REJECT_DUPLICATE));
    expect(workflowIdConflictPolicy).toBe(encodeWorkflowIdConflictPolicy(USE_EXISTING));
    expect(Number(workflowTaskTimeout?.seconds)).toBe(TASK_SECONDS);
  }
  const { values } = await metrics.temporalRequests.get();
  expect(values.map(({ labels: { operation, code }, value }) => [operation, code, value])).toEqual([
    ['signal_with_start', 'ok', 2],
    ['signal_with_start', 'already_exists', 1],
  ]);
});

/** What a payload to the batcher was encrypted for. */
function purposeIn(cipher: PayloadCipher, payload: Payload): string {
  return Buffer.from(cipher.decrypt(payload, 'b').metadata?.[AUTHENTIC_METADATA] ?? []).toString();
}

it('encrypts each signal as such, with the time of its settings, and what a run begins with once', async () => {
  const cipher = new PayloadCipher({ keys: new Map([['k1', randomBytes(32)]]), active: 'k1' });
  type Sent = Readonly<Record<'input' | 'signalInput', { readonly payloads: readonly [Payload, Payload] }>>;
  const sent: Sent[] = [];
  const client = {
    options: { namespace: 'n', identity: 'i' },
    connection: { withDeadline: (_deadline: number, run: () => unknown) => run() },
    workflow: { getHandle: () => ({ describe: describeRunning }) },
    workflowService: {
      signalWithStartWorkflowExecution: (request: Sent) => {
        sent.push(request);
        return Promise.resolve({ runId: 'r', started: false });
      },
    },
  } as unknown as Client;
  const same = settings();
  const options = { workflowId: 'b', taskQueue: 'q', settings: () => same, requestTimeoutMs: 1_000, counted };
  const batcher = new TemporalBatcherClient(setCipher(client, cipher), options);
  const { meta, body } = encodeChunk([]);
  for (let time = 0; time < 2; time++) await batcher.send({ ...meta, settings: same }, body);
  const [one, two] = sent.map(({ signalInput }) => signalInput.payloads.map((payload) => purposeIn(cipher, payload)));
  const ids = [one, two].map((purposes) =>
    purposes!.map((purpose, index) => purpose.split(`signal:records:${index}:`)[1]),
  );
  expect(ids[0]![0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(ids[0]![1]).toBe(ids[0]![0]);
  expect(ids[1]![0]).not.toBe(ids[0]![0]);
  expect(sent[0]!.input.payloads.map((payload) => purposeIn(cipher, payload))).toEqual(['input', 'input']);
  expect(sent[1]!.input.payloads).toEqual(sent[0]!.input.payloads);
  const read = defaultPayloadConverter.fromPayload<ChunkMeta>(cipher.decrypt(sent[0]!.signalInput.payloads[0], 'b'));
  expect(Math.abs((read.settings?.sealedAtMs ?? 0) - Date.now())).toBeLessThan(60_000);
  expect(read.requiredAtMs).toBeUndefined();
});

it('says with each encrypted signal that encryption is required, whether settings travel with it or not', async () => {
  const sent: { readonly signalInput: { readonly payloads: readonly [Payload, Payload] } }[] = [];
  const client = {
    options: { namespace: 'n', identity: 'i' },
    connection: { withDeadline: (_deadline: number, run: () => unknown) => run() },
    workflowService: {
      signalWithStartWorkflowExecution: (request: (typeof sent)[number]) => {
        sent.push(request);
        return Promise.resolve({ runId: 'r', started: true });
      },
    },
  } as unknown as Client;
  const required = () => ({ ...settings(), encryption: 'required' }) as const;
  const options = { workflowId: 'b', taskQueue: 'q', settings: required, requestTimeoutMs: 1_000, counted };
  const cipher = new PayloadCipher({ keys: new Map([['k1', randomBytes(32)]]), active: 'k1' });
  const { meta, body } = encodeChunk([]);
  await new TemporalBatcherClient(setCipher(client, cipher), options).send(meta, body);
  const read = defaultPayloadConverter.fromPayload<ChunkMeta>(cipher.decrypt(sent[0]!.signalInput.payloads[0], 'b'));
  expect(Math.abs((read.requiredAtMs ?? 0) - Date.now())).toBeLessThan(60_000);
});

describe('with keys, of which none is active', () => {
  const cipher = new PayloadCipher({ keys: new Map([['k1', randomBytes(32)]]), active: null });
  const required: BatcherSettings = { ...settings(), encryption: 'required' };

  /** A batcher that answers these, one after the other and the last one for good, if it is asked for its settings. */
  function batcherThatSays(...answers: (BatcherSettings | Error)[]) {
    const sent: { readonly signalName: string; readonly signalInput: { readonly payloads: Payload[] } }[] = [];
    const query = () => {
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    };
    const client = {
      options: { namespace: 'n', identity: 'i' },
      connection: { withDeadline: (_deadline: number, run: () => unknown) => run() },
      workflow: { getHandle: () => ({ query, describe: describeRunning }) },
      workflowService: {
        signalWithStartWorkflowExecution: (request: (typeof sent)[number]) => {
          sent.push(request);
          return Promise.resolve({ runId: 'r', started: false });
        },
      },
    } as unknown as Client;
    const options = { workflowId: 'b', taskQueue: 'q', settings, requestTimeoutMs: 1_000, counted };
    return { sent, batcher: new TemporalBatcherClient(setCipher(client, cipher), options) };
  }

  const segment = { topic: 't', partition: 0, epoch: 'e', from: -1, to: 0, records: [] };
  const { meta, body } = chunkOf(segment);
  const first = { ...meta, settings: settings() };
  const encrypted = (sent: ReturnType<typeof batcherThatSays>['sent']) =>
    sent.map(({ signalInput: { payloads } }) => payloads.map(isEncrypted));

  it('no record is encrypted, although settings travel with it: a worker without the key has to read it', async () => {
    const { sent, batcher } = batcherThatSays(settings());
    expect(await batcher.send(first, body)).toMatchObject({ type: 'accepted' });
    expect(encrypted(sent)).toEqual([[false, false]]);
  });

  it('a batcher that requires encryption is first told that it is over, without records', async () => {
    const { sent, batcher } = batcherThatSays(required, settings());
    expect(await batcher.send(first, body)).toMatchObject({ type: 'accepted' });
    expect(await batcher.send(meta, body)).toMatchObject({ type: 'accepted' });
    expect(encrypted(sent)).toEqual([
      [true, true],
      [false, false],
      [false, false],
    ]);
    const [told] = sent[0]!.signalInput.payloads;
    const read = defaultPayloadConverter.fromPayload<ChunkMeta>(cipher.decrypt(told!, 'b'));
    expect(read).toMatchObject({ segments: [], records: 0 });
    expect(read.settings?.encryption).toBeUndefined();
    expect(sent[0]!.signalInput.payloads.map((payload) => purposeIn(cipher, payload).slice(0, 17))).toEqual([
      'signal:records:0:',
      'signal:records:1:',
    ]);
  });

  it.each([[[new Error('no worker')]], [[required]]])(
    'nothing is sent that might be refused: it would be committed, and lost',
    async (answers) => {
      const { sent, batcher } = batcherThatSays(...answers);
      expect(await batcher.send(first, body)).toMatchObject({ type: 'retry' });
      expect(encrypted(sent).filter((flags) => flags.includes(false))).toEqual([]);
    },
  );

  it('an epoch is closed by an encrypted signal, if the batcher takes no other', async () => {
    const close = { topic: 't', partition: 0, epoch: 'e', offset: 1 };
    const strict = batcherThatSays(required);
    await strict.batcher.close(close);
    expect(encrypted(strict.sent)).toEqual([[true]]);
    const other = batcherThatSays(settings());
    await other.batcher.close(close);
    expect(encrypted(other.sent)).toEqual([[false]]);
  });
});

describe('while Temporal takes a chunk, but does not say whose run has got it', () => {
  /** What Temporal says of the run, one answer after the other and the last one for good. */
  function batcherOf(...answers: (string | Error)[]) {
    const sent: string[] = [];
    const describeRun = () => {
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve({ ...running, type: answer });
    };
    const client = {
      options: { namespace: 'n', identity: 'i' },
      connection: { withDeadline: (_deadline: number, run: () => unknown) => run() },
      workflow: { getHandle: () => ({ describe: describeRun }) },
      workflowService: {
        signalWithStartWorkflowExecution: () => Promise.resolve({ runId: `r${sent.push('chunk')}`, started: false }),
      },
    } as unknown as Client;
    const options = { workflowId: 'b', taskQueue: 'q', settings, requestTimeoutMs: 1_000, counted };
    return { sent, batcher: new TemporalBatcherClient(client, options) };
  }

  const { meta, body } = encodeChunk([]);
  const slow = grpc(4, 'deadline');

  it('it is not accepted, and only the look is repeated: the history would grow by a chunk each time', async () => {
    const { sent, batcher } = batcherOf(slow, slow, 'batcher');
    const [first, second, third] = [
      await batcher.send(meta, body),
      await batcher.send({ ...meta, waitedMs: 5 }, body),
      await batcher.send(meta, body),
    ];
    expect(first).toMatchObject({ type: 'retry', bytes: expect.any(Number) as number });
    expect(second).toMatchObject({ type: 'retry', bytes: 0 });
    expect(third).toEqual({ type: 'accepted', bytes: 0, runId: 'r1', started: false });
    expect(sent).toHaveLength(1);
    await batcher.send(meta, body);
    expect(sent).toHaveLength(2);
  });

  it('another chunk is sent, and so is the same one with other settings', async () => {
    const { sent, batcher } = batcherOf(slow);
    await batcher.send(meta, body);
    await batcher.send(meta, Uint8Array.from(body));
    expect(sent).toHaveLength(2);
    await batcher.send({ ...meta, settings: settings() }, body);
    expect(sent).toHaveLength(3);
  });

  it.each([['other'], [new WorkflowNotFoundError('gone', 'b', 'r1')]])(
    'it is sent again once the run turns out to be of something else, or to be gone: %s',
    async (answer) => {
      const { sent, batcher } = batcherOf(slow, answer, 'batcher');
      const types = [];
      for (let time = 0; time < 3; time++) types.push((await batcher.send(meta, body)).type);
      expect(types).toEqual(['retry', 'retry', 'accepted']);
      expect(sent).toHaveLength(2);
    },
  );
});

describe('another workflow under a batcher’s id', () => {
  const { meta, body } = encodeChunk([]);

  /** What has happened, in order. `runs`: the type of the run that takes each signal. */
  function taken(...runs: readonly string[]) {
    const types = [...runs];
    const asked: string[] = [];
    let run = 0;
    const client = {
      options: { namespace: 'n', identity: 'i' },
      connection: { withDeadline: (_deadline: number, call: () => unknown) => call() },
      workflow: {
        getHandle: (_id: string, runId: string) => ({
          describe: () => {
            asked.push(runId);
            return Promise.resolve({ ...running, type: types[run - 1] });
          },
        }),
      },
      workflowService: {
        signalWithStartWorkflowExecution: () => Promise.resolve({ runId: `${types[run++]} run`, started: false }),
      },
    } as unknown as Client;
    const options = { workflowId: 'b', taskQueue: 'q', settings, requestTimeoutMs: 1_000, counted };
    return { asked, batcher: new TemporalBatcherClient(client, options) };
  }

  it('has accepted nothing, although it takes signals: otherwise offsets would be committed', async () => {
    const { asked, batcher } = taken('other', 'other', 'batcher', 'batcher', 'other');
    const outcomes = [];
    for (let time = 0; time < 5; time++) outcomes.push(await batcher.send(meta, body));
    expect(outcomes.map(({ type }) => type)).toEqual(['retry', 'retry', 'accepted', 'accepted', 'retry']);
    expect(outcomes[0]).toMatchObject({ message: expect.stringContaining('type other') as string });
    expect(asked).toEqual(['other run', 'other run', 'batcher run', 'other run']);
  });

  it('closes no epoch', async () => {
    const close = { topic: 't', partition: 0, epoch: 'e', offset: 1 };
    await expect(taken('other').batcher.close(close)).rejects.toThrow('type other');
    await expect(taken('batcher').batcher.close(close)).resolves.toBeUndefined();
  });

  it('is asked nothing, is named while it runs, and gets an heir once it is closed, however it was', async () => {
    const started: unknown[] = [];
    const over = (status: string) => {
      const describe = () => Promise.resolve({ type: 'other', runId: 'r', status: { name: status }, raw: {} });
      const client = {
        connection: { withDeadline: (_deadline: number, run: () => unknown) => run() },
        workflow: {
          getHandle: () => ({ describe, query: () => Promise.resolve([]) }),
          start: (type: string) => Promise.resolve(started.push(type)),
        },
      } as unknown as Client;
      const options = { workflowId: 'b', taskQueue: 'q', settings, requestTimeoutMs: 1_000, counted };
      return new TemporalBatcherClient(client, options);
    };
    await expect(over('RUNNING').startHeir({ drained: false })).rejects.toThrow('type other');
    await expect(over('RUNNING').epochStatus({ topic: 't', partition: 0, epoch: 'e' })).rejects.toThrow('type other');
    expect(started).toEqual([]);
    for (const status of ['COMPLETED', 'TERMINATED'])
      expect((await over(status).startHeir({ drained: false })).closed?.runId).toBe('r');
    expect(started).toEqual(['batcher', 'batcher']);
  });
});
