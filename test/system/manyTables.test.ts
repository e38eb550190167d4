import type { ClickHouseClient } from '@clickhouse/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createClickHouse } from '../../src/clickhouse/clients.js';
import { ClickHouseTables } from '../../src/clickhouse/tables.js';
import { parseConfig } from '../../src/config/load.js';
import { checkClickHouse, warnOfWeakTables } from '../../src/daemon/startUpChecks.js';
import type { KafkaAdmin } from '../../src/kafka/admin.js';
import { mapConcurrently } from '../../src/lib/mapConcurrently.js';
import { useStack } from '../support/useStack.js';

// A pipeline with a table for each topic, of which some are missing.
const TABLES = 500;
const MISSING = 3;
/** Long enough that a question about 200 of them does not fit into an address. */
const name = (index: number): string => `many_with_names_as_long_as_real_ones_${index}`;

const stack = useStack({ only: ['clickhouse'] });
let client: ClickHouseClient;
/** Questions to ClickHouse. */
let asked = 0;

beforeAll(async () => {
  const { url, username, password, database } = stack().clickhouse;
  const settings = { accessToken: null, tls: null, settings: {}, maxConnections: 16 };
  const timeouts = { requestTimeoutMs: 60_000, lookUpTimeoutMs: 60_000 };
  client = createClickHouse({ ...settings, ...timeouts, urls: [url], username, password, database });
  await mapConcurrently(
    Array.from({ length: TABLES }, (_, index) => name(index)),
    (table) =>
      client.command({
        query: `CREATE TABLE ${table} (_topic String, _partition UInt32, _offset UInt64, _epoch String, v String DEFAULT 'x') ENGINE = Memory`,
      }),
  );
  await client.command({ query: `CREATE MATERIALIZED VIEW many_view ENGINE = Memory AS SELECT v FROM ${name(7)}` });
});
afterAll(() => client.close());

function countedTables(): ClickHouseTables {
  const counted = new Proxy(client, {
    get: (target, member: keyof ClickHouseClient) => {
      if (member === 'query') asked++;
      return Reflect.get(target, member, target) as unknown;
    },
  });
  return new ClickHouseTables(counted, 'default');
}

it('hundreds of tables are looked at with few questions, and what is missing is named', async () => {
  const topics = Array.from({ length: TABLES + MISSING }, (_, index) => name(index));
  const admin = {
    connect: () => Promise.resolve(),
    listTopics: () => Promise.resolve(topics),
  } as unknown as KafkaAdmin;
  const config = parseConfig(`pipelines: { p: { topics: ['/many_.*/'], table: '{topic}' } }`, 'ktb.yaml', {});
  const tables = countedTables();
  const problem = await checkClickHouse(client, tables, admin, config).catch((error: unknown) => error);
  expect((problem as Error).message.match(/there is no table/g)).toHaveLength(MISSING);
  const warned: object[] = [];
  await warnOfWeakTables(tables, admin, config, { warn: (fields: object) => warned.push(fields) } as never);
  expect(warned).toEqual([]);
  // For all tables three times two questions, two about the server, and two more about the missing tables.
  expect(asked).toBeLessThanOrEqual(10);

  const all = await tables.columnsOf(topics);
  expect(all.size).toBe(TABLES);
  expect([...(all.get(name(7)) ?? [])]).toEqual([...(await countedTables().columns(name(7)))]);
  expect(all.get(name(7))).toMatchObject({ hasViews: true, defaults: new Set(['v']) });
  expect(all.get(name(8))).toMatchObject({ hasViews: false });
});

it('an answer over a limit of the user is asked for in parts', async () => {
  const limited = new Proxy(client, {
    get: (target, member: keyof ClickHouseClient) =>
      member === 'query'
        ? (params: Parameters<ClickHouseClient['query']>[0]) =>
            target.query({ ...params, clickhouse_settings: { ...params.clickhouse_settings, max_result_rows: '300' } })
        : (Reflect.get(target, member, target) as unknown),
  });
  const names = Array.from({ length: TABLES }, (_, index) => name(index));
  expect((await new ClickHouseTables(limited, 'default').columnsOf(names)).size).toBe(TABLES);
});

it('what tells an installation apart is asked with few questions', async () => {
  asked = 0;
  const ids = await countedTables().identities(Array.from({ length: TABLES }, (_, index) => name(index)));
  expect(asked).toBeLessThanOrEqual(4);
  expect(new Set(ids.ofTables.values()).size).toBe(TABLES);
});

it('the server tells whether the user may add columns', async () => {
  const tables = new ClickHouseTables(client, 'default');
  expect(await tables.mayAddColumns(name(7))).toBe(true);
});
