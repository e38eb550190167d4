import type { ClickHouseClient } from '@clickhouse/client';
import { expect, it, onTestFinished, vi } from 'vitest';
import { namedTable } from '../../../src/clickhouse/namedTables.js';
import { queryRows } from '../../../src/clickhouse/queries.js';
import { caughtUp } from '../../../src/clickhouse/replicas.js';
import { clientOfServers, Servers } from '../../../src/clickhouse/servers.js';
import { ClickHouseTables } from '../../../src/clickhouse/tables.js';

type Rows = readonly (readonly unknown[])[];

/** Servers that answer each query with rows. */
function serversThat(answers: Readonly<Record<string, () => Rows | Promise<Rows>>>) {
  const asked: string[] = [];
  const servers = new Servers(Object.keys(answers));
  const client = clientOfServers(servers, (url) => {
    const query = (): Promise<unknown> => {
      asked.push(url);
      return Promise.resolve({
        response_headers: { 'x-clickhouse-query-id': 'one' },
        stream: async function* () {
          yield ((await answers[url]?.()) ?? []).map((row) => ({ json: () => row }));
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

it('a server is waited for until it has what the others have, or for so long', async () => {
  let asked = 0;
  const { tables } = serversThat({ a: () => [[++asked < 3 ? 1 : 0]], b: none });
  expect(await tables.caughtUp('orders')).toBe(true);
  expect(asked).toBe(3);
  const { client } = serversThat({ a: () => [[1]], b: none });
  await expect(caughtUp(client, namedTable('orders', 'default'), 100)).rejects.toMatchObject({
    ...{ code: 'replica_lags', kind: 'transient', answered: false },
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
