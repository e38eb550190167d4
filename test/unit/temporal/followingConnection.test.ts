import type { NativeConnection } from '@temporalio/worker';
import { expect, it, vi } from 'vitest';
import type { TemporalConfig } from '../../../src/config/config.js';
import { FollowingConnection, type MovableWorker } from '../../../src/temporal/followingConnection.js';

type Changing<T> = { -readonly [Key in keyof T]: T[Key] };

interface FakeNative {
  readonly certificate: unknown;
  readonly keys: (string | null)[];
  closed: boolean;
}

/** A connection over fake native ones, each with the key and the certificate that it was opened with. */
async function opened() {
  const config: Changing<TemporalConfig> = {
    ...{ address: 'temporal:7233', namespace: 'default', taskQueue: 'ktb', requestTimeoutMs: 1_000 },
    ...{ apiKey: 'key 1', tls: { cert: 'cert 1', key: 'k' } },
    encryption: { keys: new Map(), active: null, required: false },
  };
  const natives: FakeNative[] = [];
  const refused = { reason: '' };
  const connection = await FollowingConnection.open(config, ({ apiKey, tls }) => {
    if (refused.reason !== '') return Promise.reject(new Error(refused.reason));
    const native = {
      certificate: typeof tls === 'boolean' ? tls : tls.cert,
      keys: [apiKey],
      closed: false,
      setApiKey: (key: string) => Promise.resolve(void native.keys.push(key)),
      withDeadline: (_: number, run: () => Promise<unknown>) => run(),
      close: () => Promise.resolve(void (native.closed = true)),
      workflowService: { describeNamespace: () => Promise.resolve(native.certificate) },
    };
    natives.push(native);
    return Promise.resolve(native as unknown as NativeConnection);
  });
  const asked = (): Promise<unknown> => connection.workflowService.describeNamespace({ namespace: 'default' });
  return { config, connection, natives, refused, asked };
}

function fakeWorker(connection: FollowingConnection, state = 'RUNNING') {
  const worker = { connection: connection.native, getState: () => state, shutdown: vi.fn() };
  connection.adopt(worker as unknown as MovableWorker);
  return worker;
}

it('another key goes to the connection that is there', async () => {
  const { config, connection, natives } = await opened();
  await connection.follow();
  config.apiKey = 'key 2';
  await connection.follow();
  await connection.follow();
  expect(natives).toMatchObject([{ keys: ['key 1', 'key 2'] }]);
});

it('other certificates open another connection: requests and workers go there, and the old one is closed later', async () => {
  vi.useFakeTimers();
  try {
    const { config, connection, natives, asked } = await opened();
    const { workflowService } = connection;
    const [running, made, ending] = ['RUNNING', 'INITIALIZED', 'DRAINING'].map((state) =>
      fakeWorker(connection, state),
    );
    Object.assign(config, { tls: { cert: 'cert 2', key: 'k' }, apiKey: 'key 2' });
    await connection.follow();
    expect(natives).toMatchObject([{ keys: ['key 1', 'key 2'] }, { certificate: 'cert 2', keys: ['key 2'] }]);
    expect(await asked()).toBe('cert 2');
    expect(await workflowService.describeNamespace({})).toBe('cert 2');
    expect([running, made, ending].map((worker) => worker?.connection)).toEqual([natives[1], natives[1], natives[0]]);
    expect([running, made, ending].map((worker) => worker?.shutdown.mock.calls.length)).toEqual([1, 0, 0]);
    await connection.follow();
    expect(natives).toHaveLength(2);
    expect(running?.shutdown).toHaveBeenCalledTimes(1);
    expect(natives[0]?.closed).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(natives.map(({ closed }) => closed)).toEqual([true, false]);
    await connection.close();
    expect(natives[1]?.closed).toBe(true);
  } finally {
    vi.useRealTimers();
  }
});

it('a request that has begun keeps its connection', async () => {
  const { config, connection, asked } = await opened();
  const answer = await connection.withDeadline(0, async () => {
    config.tls = { cert: 'cert 2', key: 'k' };
    await connection.follow();
    return asked();
  });
  expect([answer, await asked()]).toEqual(['cert 1', 'cert 2']);
});

it('a worker that was created with the connection of before is given the new one', async () => {
  const { config, connection, natives } = await opened();
  const { native } = connection;
  config.tls = { cert: 'cert 2', key: 'k' };
  await connection.follow();
  const worker = { connection: native, getState: () => 'INITIALIZED', shutdown: vi.fn() };
  connection.adopt(worker as unknown as MovableWorker);
  expect(worker.connection).toBe(natives[1]);
});

it('certificates that do not work are told, and the old connection goes on until they do', async () => {
  const { config, connection, natives, refused, asked } = await opened();
  config.tls = { cert: 'cert 2', key: 'k' };
  refused.reason = 'refuses the client certificate';
  await expect(connection.follow()).rejects.toThrow('refuses the client certificate');
  expect(await asked()).toBe('cert 1');
  refused.reason = '';
  await connection.follow();
  expect(await asked()).toBe('cert 2');
  expect(natives).toHaveLength(2);
});
