import { expect, it, onTestFinished } from 'vitest';
import { ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { mayAddColumns, uniqueIds, type UniqueIds } from '../../../src/clickhouse/serverFacts.js';
import { namedTable } from '../../../src/clickhouse/namedTables.js';
import { startHttpServer } from '../../support/httpServer.js';

/** The ids that are found on a server that answers one of the two questions, or both, with an error. */
async function idsIf(fails: (query: string) => boolean, code: number): Promise<UniqueIds> {
  const url = await startHttpServer((request, response) => {
    request.on('error', () => undefined);
    let query = '';
    request.on('data', (part: Buffer) => (query += part.toString()));
    request.on('end', () => {
      response.setHeader('X-ClickHouse-Summary', '{}');
      const answer = query.includes('serverUUID()') ? ['database-id', 'server-id'] : ['default', 'orders', 'table-id'];
      if (fails(query))
        response
          .setHeader('X-ClickHouse-Exception-Code', code)
          .writeHead(500)
          .end(`Code: ${code}. DB::Exception: not now. (SOME_ERROR)`);
      else response.end(`${JSON.stringify(answer)}\n`);
    });
  });
  const client = createClient({ url, log: { level: ClickHouseLogLevel.OFF } });
  onTestFinished(() => client.close());
  return uniqueIds(client, 'default', ['orders']);
}

it('ids that could not be read for a moment are not taken for none: an installation is recognized by them', async () => {
  const questions = [
    (query: string) => query.includes('serverUUID()'),
    (query: string) => query.includes('system.tables'),
  ];
  for (const fails of questions)
    for (const code of [159, 202, 241]) await expect(idsIf(fails, code)).rejects.toMatchObject({ code: String(code) });
  expect(await idsIf(() => false, 0)).toEqual({
    places: ['database-id/default', 'server-id/default'],
    ofTables: new Map([['orders', 'table-id']]),
  });
  // UNKNOWN_FUNCTION, ACCESS_DENIED: they stay away.
  for (const code of [46, 497]) expect(await idsIf(() => true, code)).toEqual({ places: [], ofTables: new Map() });
});

it('whether the user may add columns is asked, and not known of a server that does not know the question', async () => {
  const asked: string[] = [];
  let answer: string | number = '1\n';
  const url = await startHttpServer((request, response) => {
    let query = '';
    request.on('data', (part: Buffer) => (query += part.toString()));
    request.on('end', () => {
      asked.push(query);
      response.setHeader('X-ClickHouse-Summary', '{}');
      if (typeof answer === 'string') response.end(answer);
      else
        response
          .setHeader('X-ClickHouse-Exception-Code', answer)
          .writeHead(500)
          .end(`Code: ${answer}. DB::Exception: no. (SOME_ERROR)`);
    });
  });
  const client = createClient({ url, log: { level: ClickHouseLogLevel.OFF } });
  onTestFinished(() => client.close());
  const table = namedTable('shop.`my orders`', 'default');
  expect(await mayAddColumns(client, table)).toBe(true);
  expect(asked).toEqual(['CHECK GRANT ALTER ADD COLUMN ON `shop`.`my orders`']);
  answer = '0\n';
  expect(await mayAddColumns(client, table)).toBe(false);
  answer = 62; // SYNTAX_ERROR
  expect(await mayAddColumns(client, table)).toBeNull();
  answer = 202; // TOO_MANY_SIMULTANEOUS_QUERIES
  await expect(mayAddColumns(client, table)).rejects.toMatchObject({ code: '202' });
});
