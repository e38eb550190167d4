import type { ClickHouseClient } from '@clickhouse/client';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { InsertError } from '../../../src/clickhouse/insertErrors.js';
import { namedTable } from '../../../src/clickhouse/namedTables.js';
import { queryRows } from '../../../src/clickhouse/queries.js';
import { caughtUp, CLOCKS_DIFFER_MAX_MS, type CatchUpOptions } from '../../../src/clickhouse/replicas.js';
import { clientOfServers, Servers } from '../../../src/clickhouse/servers.js';
import { ClickHouseTables } from '../../../src/clickhouse/tables.js';

type Rows = readonly (readonly unknown[])[];

interface Question {
  readonly query: string;
  readonly query_params: Readonly<Record<string, unknown>>;
}

/** Servers that answer each query with rows. */
function serversThat(answers: Readonly<Record<string, (question: Question) => Rows | Promise<Rows>>>) {
  const asked: string[] = [];
  const servers = new Servers(Object.keys(answers));
  const client = clientOfServers(servers, (url) => {
    const query = (question: Question): Promise<unknown> => {
      asked.push(url);
      return Promise.resolve({
        response_headers: { 'x-clickhouse-query-id': 'one' },
        stream: async function* () {
          yield ((await answers[url]?.(question)) ?? []).map((row) => ({ json: () => row }));
        },
      });
    };
    return { query } as unknown as ClickHouseClient;
  });
  return { client, servers, asked, tables: new ClickHouseTables(client, 'default') };
}

const none = () => [];
const running = () => [['id']];
const broken = () => Promise.reject(new Error('socket hang up'));
const silent = () => new Promise<Rows>(() => undefined);

it('an insert that still runs at another server than the one that is used is found, unless that one does not answer', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  expect(await serversThat({ a: none, b: running }).tables.isInserting('batch')).toBe(true);
  expect(await serversThat({ a: none, b: none }).tables.isInserting('batch')).toBe(false);
  expect(await serversThat({ a: none, b: broken }).tables.isInserting('batch')).toBe(false);
  const waiting = serversThat({ a: none, b: silent }).tables.isInserting('batch');
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await waiting).toBe(false);
  await expect(serversThat({ a: broken, b: none }).tables.isInserting('batch')).rejects.toMatchObject({
    answered: false,
  });
});

/** A replica whose log in Keeper and queue a test changes. */
class FakeReplica {
  knowsLog = 1;
  logPointer = 1;
  logMaxIndex = 0;
  /** Entries that wait in the queue. The test says of each how old it is. */
  readonly queue: { readonly number: number; readonly ageSeconds: number }[] = [];
  mayReadQueue = true;
  /** What happens before each question. */
  tick: (question: number) => void = () => undefined;
  questions = 0;

  readonly answer = ({ query, query_params }: Question): Rows => {
    if (!query.includes('system.replication_queue')) {
      this.tick(this.questions++);
      return [[this.knowsLog, String(this.logPointer), String(this.logMaxIndex), this.queue.length]];
    }
    if (!this.mayReadQueue) throw new InsertError('structural', { code: '497', message: 'not granted' });
    const numbers = this.queue
      .filter(({ ageSeconds }) => ageSeconds <= Number(query_params['seconds']))
      .map(({ number }) => `queue-${String(number).padStart(10, '0')}`)
      .sort();
    return [[numbers[0] ?? '', numbers.at(-1) ?? '']];
  };

  /** Waits as a batch does whose first attempt is so old. */
  async caughtUp(options: CatchUpOptions = {}): Promise<void> {
    const { client } = serversThat({ a: this.answer, b: none });
    const pause = (delayMs: number): Promise<void> => Promise.resolve(void vi.advanceTimersByTime(delayMs));
    await caughtUp(client, namedTable('orders', 'default'), { ...options, pause });
  }
}

const LAGS = { code: 'replica_lags', kind: 'transient', answered: false };

describe('a server is waited for', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => void vi.useRealTimers());

  it('until it has what the others had: first in its queue, then in the table', async () => {
    const replica = new FakeReplica();
    Object.assign(replica, { logPointer: 5, logMaxIndex: 7 });
    const steps: (() => void)[] = [
      () => undefined,
      () => (replica.logPointer = 8),
      () => replica.queue.push({ number: 7, ageSeconds: 0 }, { number: 8, ageSeconds: 0 }),
      () => replica.queue.shift(),
      () => replica.queue.shift(),
    ];
    replica.tick = (question) => steps[question]?.();
    await replica.caughtUp();
    expect(replica.questions).toBe(steps.length);
  });

  it('or for so long', async () => {
    const log = new FakeReplica();
    log.logMaxIndex = 1;
    await expect(log.caughtUp()).rejects.toMatchObject(LAGS);
    const queue = new FakeReplica();
    queue.queue.push({ number: 0, ageSeconds: 0 });
    await expect(queue.caughtUp()).rejects.toMatchObject(LAGS);
    // Without Keeper the server does not know what the others have.
    const lost = new FakeReplica();
    Object.assign(lost, { knowsLog: 0, logPointer: 0 });
    await expect(lost.caughtUp()).rejects.toMatchObject(LAGS);
  });

  /** It takes an entry into its queue each second, and works one off each second, so many seconds later. */
  function secondsBehind(seconds: number): FakeReplica {
    const replica = new FakeReplica();
    Object.assign(replica, { logPointer: seconds, logMaxIndex: seconds - 1 });
    for (let number = 0; number < seconds; number++) replica.queue.push({ number, ageSeconds: 0 });
    replica.tick = (question) => {
      if (question % 4 !== 3) return;
      replica.logMaxIndex++;
      replica.queue.push({ number: replica.logPointer++, ageSeconds: 0 });
      replica.queue.shift();
    };
    return replica;
  }

  it('for longer if it gets nearer: one that is always some seconds behind would never have what it had at the next attempt', async () => {
    const replica = secondsBehind(20);
    await replica.caughtUp();
    expect(replica.queue).toHaveLength(20);
    // Two minutes.
    const slow = secondsBehind(200);
    await expect(slow.caughtUp()).rejects.toMatchObject(LAGS);
    expect(slow.questions).toBe(481);
  });

  it('no longer than its attempt may have effects', async () => {
    const replica = secondsBehind(20);
    const mustBeAlive = () => {
      if (replica.questions === 3) throw new Error('this attempt has run out of time');
    };
    await expect(replica.caughtUp({ mustBeAlive })).rejects.toThrow('out of time');
  });

  it('and not for what others take meanwhile: under load its queue and the log are never at their end', async () => {
    const replica = new FakeReplica();
    Object.assign(replica, { logPointer: 100, logMaxIndex: 104 });
    for (let number = 90; number < 100; number++) replica.queue.push({ number, ageSeconds: 0 });
    replica.tick = () => {
      replica.logMaxIndex += 4;
      for (let entry = 0; entry < 4; entry++) {
        replica.queue.push({ number: replica.logPointer++, ageSeconds: 0 });
        replica.queue.shift();
      }
    };
    await replica.caughtUp();
    expect(replica.queue).toHaveLength(10);
  });

  it('and not for an entry that is older than the batch: its source may never come back', async () => {
    const replica = new FakeReplica();
    replica.logMaxIndex = replica.logPointer - 1;
    replica.queue.push({ number: 3, ageSeconds: 86_400 });
    await replica.caughtUp({ ageMs: 3_600_000 });
    // It may have rows of a batch that is as old, or of which that is not known.
    await expect(replica.caughtUp({ ageMs: 86_400_000 })).rejects.toMatchObject(LAGS);
    await expect(replica.caughtUp({ ageMs: 86_400_000 - CLOCKS_DIFFER_MAX_MS })).rejects.toMatchObject(LAGS);
    await expect(replica.caughtUp()).rejects.toMatchObject(LAGS);
  });

  it('until its queue is empty, if the user may not read the queue', async () => {
    const replica = new FakeReplica();
    replica.mayReadQueue = false;
    replica.queue.push({ number: 3, ageSeconds: 86_400 });
    await expect(replica.caughtUp({ ageMs: 0 })).rejects.toMatchObject(LAGS);
    replica.queue.shift();
    await replica.caughtUp({ ageMs: 0 });
  });
});

it('nothing is waited for if the table is not replicated, and a single server is not even asked', async () => {
  expect(await serversThat({ a: none, b: none }).tables.caughtUp('orders')).toBe(true);
  const { tables, asked } = serversThat({ a: () => [[1]] });
  expect([await tables.caughtUp('orders'), asked]).toEqual([false, []]);
});

it('a server whose answer breaks off counts as away', async () => {
  const { client, servers } = serversThat({ a: broken, b: none });
  await expect(queryRows(client, 'SELECT 1')).rejects.toMatchObject({ answered: false });
  expect(servers.current).toBe('b');
});
