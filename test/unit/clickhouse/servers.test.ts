import { ClickHouseError, type ClickHouseClient } from '@clickhouse/client';
import { expect, it } from 'vitest';
import { clientOfServers, eachServer, Servers } from '../../../src/clickhouse/servers.js';

/** Three servers: what each answers, and who was asked. */
function three() {
  const servers = new Servers(['a', 'b', 'c']);
  const answers = new Map<string, () => unknown>();
  const asked: string[] = [];
  const answer = (url: string) => (): Promise<unknown> => {
    asked.push(url);
    return Promise.resolve().then(answers.get(url) ?? (() => ({ http_status_code: 200, response_headers: {} })));
  };
  const client = clientOfServers(
    servers,
    (url) => ({ exec: answer(url), ping: answer(url), close: answer(url) }) as unknown as ClickHouseClient,
  );
  const changes: string[] = [];
  servers.onChange((before, now) => changes.push(`${before} ${now}`));
  const ask = () => client.exec({ query: '' }).then(() => 'answered', String);
  return { servers, client, answers, asked, changes, ask };
}

const throwing = (error: Error) => () => {
  throw error;
};

it('the first server is used until it does not answer, then the next one, and after the last the first again', async () => {
  const { answers, asked, changes, ask } = three();
  await ask();
  answers.set('a', throwing(new Error('Timeout error.')));
  expect(await ask()).toBe('Error: Timeout error.');
  expect(await ask()).toBe('answered');
  for (const url of ['b', 'c']) answers.set(url, throwing(new Error('ECONNREFUSED')));
  await ask();
  await ask();
  answers.clear();
  expect(await ask()).toBe('answered');
  expect(asked).toEqual(['a', 'a', 'b', 'b', 'c', 'a']);
  expect(changes).toEqual(['a b', 'b c', 'c a']);
});

it('requests that fail together change the server once', async () => {
  const { answers, servers, ask } = three();
  answers.set('a', throwing(new Error('socket hang up')));
  await Promise.all([ask(), ask(), ask(), ask()]);
  expect(servers.current).toBe('b');
});

it.each<[string, () => unknown, string]>([
  ['an error of ClickHouse', throwing(new ClickHouseError({ code: '60', message: 'UNKNOWN_TABLE' })), 'a'],
  ['a table that is read-only', throwing(new ClickHouseError({ code: '242', message: 'TABLE_IS_READ_ONLY' })), 'b'],
  ['a ping without an answer', () => ({ success: false, error: new Error('ECONNREFUSED') }), 'b'],
  [
    'a ping of a user who is refused',
    () => ({ success: false, error: new ClickHouseError({ code: '516', message: '' }) }),
    'a',
  ],
  ['the answer of a proxy', () => ({ http_status_code: 502, response_headers: {} }), 'b'],
  [
    'an error in an answer of ClickHouse',
    () => ({ http_status_code: 500, response_headers: { 'x-clickhouse-exception-code': '241' } }),
    'a',
  ],
  [
    'an answer that the table is read-only',
    () => ({ http_status_code: 500, response_headers: { 'x-clickhouse-exception-code': '242' } }),
    'b',
  ],
])('%s', async (_, answer, used) => {
  const { answers, servers, ask } = three();
  answers.set('a', answer);
  await ask();
  expect(servers.current).toBe(used);
});

it('all servers can be asked, and all are closed', async () => {
  const { client, asked } = three();
  for (const one of eachServer(client)) await one.ping({ select: true });
  await client.close();
  expect(asked).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
});
