import { expect, it, onTestFinished } from 'vitest';
import { ClickHouseTables } from '../../src/clickhouse/tables.js';
import { createClickHouse, createLookUps } from '../../src/clickhouse/clients.js';
import { withTables } from '../../src/commands/shared/connections.js';
import { useStack } from '../support/useStack.js';

const stack = useStack({ only: ['clickhouse'] });

it('a look-up that takes too long is stopped, and says so in words that say what to do', async () => {
  const { url, username, password, database } = stack().clickhouse;
  const options = { accessToken: null, tls: null, requestTimeoutMs: 60_000, settings: {}, maxConnections: 4 };
  const config = { ...options, lookUpTimeoutMs: 1_000, urls: [url], username, password, database };
  const client = createClickHouse(config);
  const lookUps = createLookUps(config);
  onTestFinished(async () => {
    await Promise.all([client.close(), lookUps.client.close()]);
  });
  // A view stands for a table that is looked through for ever.
  await client.command({
    query: `CREATE VIEW slow AS SELECT 'orders' AS _topic, 0 AS _partition, cityHash64(number) % 100 AS _offset, 'e1' AS _epoch
            FROM numbers(1000000000000)`,
  });
  const tables = new ClickHouseTables(client, 'default', {}, lookUps);
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  await expect(tables.foundOffsets('slow', source, { from: 0, to: 10 })).rejects.toMatchObject({
    kind: 'transient',
    answered: false,
    code: 'look_up_timeout',
    message: expect.stringMatching(
      /^looking for a batch's rows in table slow took longer .* 1 s: .*projection/,
    ) as string,
  });
  const running = await client.query({
    query: "SELECT count() AS n FROM system.processes WHERE query LIKE 'SELECT DISTINCT _offset%'",
    format: 'JSONEachRow',
  });
  expect(await running.json()).toEqual([{ n: 0 }]);
});

it('the commands look for rows as long as the configuration says', async () => {
  const { url, username, password, database } = stack().clickhouse;
  const options = { accessToken: null, tls: null, requestTimeoutMs: 60_000, settings: {}, maxConnections: 4 };
  const clickhouse = { ...options, lookUpTimeoutMs: 2_000, urls: [url], username, password, database };
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  await withTables({ clickhouse }, async (tables, client) => {
    await client.command({
      query: `CREATE VIEW slow_too AS SELECT 'orders' AS _topic, 0 AS _partition, cityHash64(number) % 100 AS _offset,
              'e1' AS _epoch FROM numbers(1000000000000)`,
    });
    await expect(tables.foundOffsets('slow_too', source, { from: 0, to: 10 })).rejects.toThrow(
      'took longer than clickhouse.lookUpTimeout, 2 s',
    );
  });
});
