import { expect, it, onTestFinished } from 'vitest';
import { ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { uniqueIds, type UniqueIds } from '../../../src/clickhouse/serverFacts.js';
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
