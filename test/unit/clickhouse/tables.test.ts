import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import { ClickHouseTables } from '../../../src/clickhouse/tables.js';
import { NO_UUID } from '../../../src/clickhouse/namedTables.js';
import { createClickHouse } from '../../../src/clickhouse/clients.js';
import { INSERT_SETTINGS_IF_KNOWN } from '../../../src/config/insertSettings.js';
import { startHttpServer } from '../../support/httpServer.js';

interface Server {
  /** Of `system.settings`. */
  readonly knownSettings: readonly string[];
  /** What it answers when it is asked what it does with values, after the settings. */
  readonly doesWithValues?: readonly unknown[];
  /** What it answers when it is asked what it does with integers in JSON. Default: it refuses the question. */
  readonly doesWithJson?: readonly unknown[];
  /** How an insert ends; by default well. */
  readonly failure?: { readonly code: number; readonly text: string };
  /** `clickhouse.settings`. Default: none. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The table's engine, with its settings. Default: there is no such table. */
  engine?: string;
  /** The table's id. Default: none. */
  uuid?: string;
  /** The server's defaults of windows. Default: they may not be asked. */
  readonly windows?: Readonly<Record<string, string>>;
}

/** The tables of a server that answers as ClickHouse does, and the settings of each insert that it gets. */
async function tablesOf(does: Server) {
  const { knownSettings, doesWithValues = [], doesWithJson, failure, windows } = does;
  const inserts: URLSearchParams[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Uint8Array[] = [];
    for await (const part of request) parts.push(part as Uint8Array);
    const statement = Buffer.concat(parts).toString();
    response.setHeader('X-ClickHouse-Summary', '{}');
    if (statement.startsWith('INSERT')) {
      inserts.push(new URL(request.url ?? '', 'http://localhost').searchParams);
      if (failure !== undefined)
        response.setHeader('X-ClickHouse-Exception-Code', failure.code).writeHead(500).write(failure.text);
      response.end();
    } else if (statement.includes('GROUP BY _offset')) {
      // As before 25.11: an error in the middle of an answer comes as text, unless it has to wait for its end.
      const error = 'Code: 396. DB::Exception: Limit for result exceeded. (TOO_MANY_ROWS_OR_BYTES) (version 24.8.4.13)';
      if (new URL(request.url ?? '', 'http://localhost').searchParams.get('wait_end_of_query') === '1')
        response.setHeader('X-ClickHouse-Exception-Code', 396).writeHead(500).end(error);
      else response.end(`[0,"e",1,null]\n${error}`);
    } else if (statement.includes('system.columns')) {
      response.end('["default","orders","v","DateTime64(3)",""]\n');
    } else if (statement.includes('system.tables')) {
      const engine = does.engine ?? '';
      response.end(
        engine === ''
          ? ''
          : `${JSON.stringify([engine.split(' ')[0], engine, '', does.uuid ?? NO_UUID, '', [], []])}\n`,
      );
    } else if (statement.includes('merge_tree_settings')) {
      if (windows === undefined) {
        const denied = 'Code: 497. DB::Exception: Not enough privileges. (ACCESS_DENIED)';
        response.setHeader('X-ClickHouse-Exception-Code', 497).writeHead(403).end(denied);
      } else
        response.end(
          Object.entries(windows)
            .map((entry) => `${JSON.stringify(entry)}\n`)
            .join(''),
        );
    } else if (statement.includes('JSONExtract')) {
      const refusal = 'Code: 44. DB::Exception: experimental JSON type is not allowed. (ILLEGAL_COLUMN)';
      if (doesWithJson === undefined) response.setHeader('X-ClickHouse-Exception-Code', 44).writeHead(400).end(refusal);
      else response.end(`${JSON.stringify(doesWithJson)}\n`);
    } else {
      response.end(`${JSON.stringify(['UTC', 1900, 2299, knownSettings, ...doesWithValues])}\n`);
    }
  };
  const url = await startHttpServer((request, response) => void answer(request, response));
  const client = createClickHouse({
    ...{ urls: [url], username: 'default', password: '' },
    ...{ database: 'default', accessToken: null, tls: null, settings: {}, maxConnections: 1 },
    ...{ requestTimeoutMs: 5_000, lookUpTimeoutMs: 5_000 },
  });
  onTestFinished(() => client.close());
  return { tables: new ClickHouseTables(client, 'default', does.settings), inserts };
}

async function insert(tables: ClickHouseTables): Promise<void> {
  const columns = await tables.columns('orders');
  await tables.send('orders', { columns, lines: [Buffer.from('{"v":1}\n')], token: 't', batch: 'b' });
}

const SOMETIMES_KNOWN = Object.keys(INSERT_SETTINGS_IF_KNOWN);

it('numbers for times count ticks on a server that would else read seconds, and one without the setting is not sent it', async () => {
  expect(SOMETIMES_KNOWN).toContain('input_format_read_datetime_number_as_raw_value');
  for (const knownSettings of [SOMETIMES_KNOWN, []]) {
    const { tables, inserts } = await tablesOf({ knownSettings });
    await insert(tables);
    const sent = SOMETIMES_KNOWN.map((name) => inserts[0]?.get(name) ?? null);
    const values = Object.values(INSERT_SETTINGS_IF_KNOWN).map(String);
    expect(sent).toEqual(knownSettings.length > 0 ? values : SOMETIMES_KNOWN.map(() => null));
  }
});

it('an insert that is refused for a setting of the configuration says which', async () => {
  const { tables } = await tablesOf({
    knownSettings: [],
    settings: { insert_qourum: 'auto' },
    failure: { code: 115, text: "Code: 115. DB::Exception: Unknown setting 'insert_qourum'. (UNKNOWN_SETTING)" },
  });
  await expect(insert(tables)).rejects.toThrow('clickhouse.settings.insert_qourum');
});

const PLAIN = 'MergeTree ORDER BY v';
const WITH_WINDOW = `${PLAIN} SETTINGS non_replicated_deduplication_window = 100`;
const defaults = (blocks: string) => ({
  non_replicated_deduplication_window: blocks,
  replicated_deduplication_window: blocks,
});

it.each([
  [PLAIN, defaults('0'), false],
  [PLAIN, defaults('100'), true],
  [PLAIN, undefined, false],
  [WITH_WINDOW, undefined, true],
  ['ReplicatedMergeTree ORDER BY v', undefined, true],
  ['ReplicatedMergeTree ORDER BY v', defaults('0'), false],
  ['ReplicatedMergeTree ORDER BY v SETTINGS replicated_deduplication_window_seconds = 0', undefined, false],
  ['Null', defaults('100'), false],
  ['', defaults('100'), false],
])(
  'whether tokens are remembered in "%s", where the server’s defaults are %j: %s',
  async (engine, windows, remembers) => {
    const { tables } = await tablesOf({ knownSettings: [], engine, ...(windows === undefined ? {} : { windows }) });
    expect((await tables.rememberedBy('orders')) !== null).toBe(remembers);
  },
);

it('windows are asked for once, until an error shows that the table may have been altered', async () => {
  const server: Server = { knownSettings: [], engine: PLAIN, windows: defaults('0') };
  const { tables } = await tablesOf(server);
  expect(await tables.rememberedBy('orders')).toBeNull();
  server.engine = WITH_WINDOW;
  expect(await tables.rememberedBy('orders')).toBeNull();
  tables.forget('orders');
  expect(await tables.rememberedBy('orders')).not.toBeNull();
});

it.each([
  [WITH_WINDOW, true],
  ["ReplicatedMergeTree('/tables/{uuid}/{shard}', '{replica}') ORDER BY v", true],
  // Replicas that were created one by one have different ids.
  ["ReplicatedMergeTree('/tables/{shard}/orders', '{replica}') ORDER BY v", false],
])('another table in the place of one does not remember its tokens: %s, told by its id: %s', async (engine, isById) => {
  const server: Server = { knownSettings: [], engine, uuid: 'a', windows: defaults('100') };
  const { tables } = await tablesOf(server);
  const names: (string | null)[] = [];
  for (const uuid of ['a', 'a', 'b']) {
    server.uuid = uuid;
    tables.forget('orders');
    names.push(await tables.rememberedBy('orders'));
  }
  expect(names[1]).toBe(names[0]);
  expect(names[2] !== names[0]).toBe(isById);
  server.engine = engine.replace('orders', 'other');
  tables.forget('orders');
  if (!isById) expect(await tables.rememberedBy('orders')).not.toBe(names[0]);
});

it('an error of the libraries of ClickHouse, which has no name, is an answer: not a stranger’s, for which a batch would wait', async () => {
  const text = 'std::exception. Code: 1001, type: std::length_error, e.what() = vector (version 26.7.1.1)';
  const { tables } = await tablesOf({ knownSettings: [], failure: { code: 1001, text } });
  await expect(insert(tables)).rejects.toMatchObject({ kind: 'unknown', code: '1001', answered: true });
});

it('takes a server that does not say that it leaves values alone for one that changes them', async () => {
  for (const [doesWithValues, doesWithJson, limits] of [
    [
      [1, 0],
      [1, 0],
      { refusesNearly: true, keepsEarlyFractions: false, keepsIntegers: true, keepsIntegersOfArrays: false },
    ],
    [
      [0, 1],
      [0, 1],
      { refusesNearly: false, keepsEarlyFractions: true, keepsIntegers: false, keepsIntegersOfArrays: true },
    ],
    [
      [1, 1],
      undefined,
      { refusesNearly: true, keepsEarlyFractions: true, keepsIntegers: false, keepsIntegersOfArrays: false },
    ],
    [[], [], { refusesNearly: false, keepsEarlyFractions: false, keepsIntegers: false, keepsIntegersOfArrays: false }],
  ] as const) {
    const { tables } = await tablesOf({ knownSettings: [], doesWithValues, ...(doesWithJson && { doesWithJson }) });
    expect((await tables.columns('orders')).limits).toMatchObject({ years: [1900, 2299], ...limits });
  }
});

it('a limit that a look-up exceeds in the middle of its answer is known for one', async () => {
  const { tables } = await tablesOf({ knownSettings: [] });
  const columns = await tables.columns('orders');
  const asked = tables.rowsByOffset('orders', columns, { topic: 'orders', partition: 0 }, { from: 0, to: 9 });
  await expect(asked).rejects.toMatchObject({ kind: 'oversized', code: '396' });
});
