import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { ClickHouseError, ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client';
import { Connection, WorkflowClient } from '@temporalio/client';
import { temporal } from '@temporalio/proto';
import { Kafka, logLevel } from 'kafkajs';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { eventually } from '../support/eventually.js';
import { startStack, StackError, type Stack, type StackEvent } from '../../stack/index.js';

const START_WITHIN_MS = 60_000;
const CONDITION_WITHIN_MS = 15_000;

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + CONDITION_WITHIN_MS;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`Not within ${CONDITION_WITHIN_MS} ms: ${what}`);
    await sleep(20);
  }
}

/** Zombies, which only wait to be reaped, do not count. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

interface Addresses {
  readonly clickhouse: { readonly url: string };
  readonly dataDir: string;
  readonly pids: Readonly<Record<string, readonly number[]>>;
}

/** The command line of the stack as a process of its own, and what it says when it is up. */
async function startCli(...args: string[]): Promise<{ cli: ChildProcess; addresses: Addresses }> {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const script = join(import.meta.dirname, '../../stack/cli.ts');
  const cli = spawn(process.execPath, ['--import', loader, script, '--json', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let progress = '';
  cli.stderr.on('data', (chunk: Buffer) => (progress += chunk.toString()));
  for await (const line of createInterface({ input: cli.stdout })) {
    return { cli, addresses: JSON.parse(line) as Addresses };
  }
  throw new Error(`The command line of the stack ended before it was up:\n${progress}`);
}

describe('the whole stack', () => {
  let stack: Stack;
  const events: StackEvent[] = [];

  beforeAll(async () => {
    stack = await startStack({ shortLived: true, onProgress: (event) => events.push(event) });
  }, 600_000);
  afterAll(() => stack.stop());

  test('Kafka takes records and gives them back, also after it was killed', { timeout: START_WITHIN_MS }, async () => {
    const kafka = new Kafka({ brokers: [...stack.kafka.brokers], logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'letters', numPartitions: 2 }], waitForLeaders: true });
    await admin.disconnect();
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic: 'letters', messages: ['a', 'b', 'c'].map((value) => ({ key: value, value })) });
    await producer.disconnect();

    const [broker] = stack.parts.kafka;
    await broker!.kill();
    expect(broker!.running).toBe(false);
    expect(broker!.pids).toEqual([]);
    await broker!.start();

    const consumer = kafka.consumer({ groupId: 'readers' });
    await consumer.connect();
    await consumer.subscribe({ topic: 'letters', fromBeginning: true });
    const seen: string[] = [];
    await consumer.run({
      eachMessage: ({ message }) => {
        seen.push(message.value?.toString() ?? '');
        return Promise.resolve();
      },
    });
    await until('three records', () => seen.length >= 3);
    await consumer.disconnect();
    expect(seen.sort()).toEqual(['a', 'b', 'c']);
  });

  test('Temporal answers, with its namespace, also after it was killed', { timeout: START_WITHIN_MS }, async () => {
    await stack.parts.temporal.kill();
    await stack.parts.temporal.start();
    const connection = await Connection.connect({ address: stack.temporal.address });
    const described = await connection.workflowService.describeNamespace({ namespace: 'default' });
    expect(described.namespaceInfo?.name).toBe('default');
    await connection.close();
  });

  test("Temporal's answer to a workflow task brings the activity that the task has scheduled", async () => {
    const connection = await Connection.connect({ address: stack.temporal.address });
    const { workflowService } = connection;
    const namespace = 'default';
    const taskQueue = { name: 'by-hand' };
    const workflow = new WorkflowClient({ connection });
    await workflow.start('any', { taskQueue: taskQueue.name, workflowId: 'by-hand' });
    const { taskToken } = await connection.withDeadline(Date.now() + CONDITION_WITHIN_MS, () =>
      workflowService.pollWorkflowTaskQueue({ namespace, taskQueue, identity: 'by-hand' }),
    );
    const { activityTasks } = await workflowService.respondWorkflowTaskCompleted({
      namespace,
      taskToken,
      commands: [
        {
          commandType: temporal.api.enums.v1.CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
          scheduleActivityTaskCommandAttributes: {
            activityId: '1',
            activityType: { name: 'any' },
            taskQueue,
            startToCloseTimeout: { seconds: 60 as never },
            requestEagerExecution: true,
          },
        },
      ],
    });
    expect(activityTasks).toMatchObject([{ activityId: '1' }]);
    await connection.close();
  });

  test('a suspended part answers nothing and goes on when it is resumed', async () => {
    const { clickhouse } = stack.parts;
    await clickhouse.suspend();
    expect(clickhouse.running).toBe(true);
    const ping = (): Promise<Response> =>
      fetch(`${stack.clickhouse.url}/ping`, { signal: AbortSignal.timeout(500), headers: { connection: 'close' } });
    await expect(ping()).rejects.toThrow();
    await clickhouse.resume();
    expect(await (await ping()).text()).toBe('Ok.\n');
  });

  test('every step that was begun is reported as done', () => {
    const begun = events.filter(({ state }) => state === 'started').map(({ part, step }) => `${part} ${step}`);
    const done = events.filter(({ state }) => state === 'done').map(({ part, step }) => `${part} ${step}`);
    expect(begun).toContain('clickhouse start ClickHouse');
    expect(done.sort()).toEqual(begun.sort());
  });
});

test(
  'of three brokers one may be away, and it catches up when it is back',
  { timeout: 2 * START_WITHIN_MS },
  async () => {
    const stack = await startStack({ only: ['kafka'], brokers: 3, flavour: 'native', shortLived: true });
    try {
      expect(stack.kafka.brokers).toHaveLength(3);
      const kafka = new Kafka({ brokers: [...stack.kafka.brokers], logLevel: logLevel.NOTHING });
      const admin = kafka.admin();
      await admin.connect();
      // kafkajs's own wait for leaders gives up where a broker does not know the new topic yet.
      await admin.createTopics({ topics: [{ topic: 'copies', numPartitions: 3 }], waitForLeaders: false });
      const inSync = async (): Promise<number[]> => {
        const { topics } = await admin.fetchTopicMetadata({ topics: ['copies'] });
        return topics[0]!.partitions.map(({ isr }) => isr.length);
      };
      await eventually(async () => expect(await inSync()).toEqual([3, 3, 3]));
      const producer = kafka.producer();
      await producer.connect();
      const send = (value: string) => producer.send({ topic: 'copies', acks: -1, messages: [{ value }] });
      await send('three copies');
      const [, second] = stack.parts.kafka;
      await second!.kill();
      await send('two copies');
      await second!.start();
      expect(await inSync()).toEqual([3, 3, 3]);
      await producer.disconnect();
      await admin.disconnect();
    } finally {
      await stack.stop();
    }
  },
);

describe('ClickHouse', () => {
  let stack: Stack;
  let client: ClickHouseClient;

  beforeAll(async () => {
    stack = await startStack({ only: ['clickhouse'], flavour: 'native' });
    client = createClient({
      url: stack.clickhouse.url,
      compression: { response: true },
      log: { level: ClickHouseLogLevel.OFF },
    });
  }, START_WITHIN_MS);
  afterAll(async () => {
    await client.close();
    await stack.stop();
  });

  const count = async (table: string): Promise<number> => {
    const result = await client.query({ query: `SELECT count() AS n FROM ${table}`, format: 'JSONEachRow' });
    const [row] = await result.json<{ n: string | number }>();
    return Number(row?.n);
  };
  const insertLines = async (table: string, lines: string, settings: Record<string, string | number> = {}) => {
    const { stream, summary } = await client.exec({
      query: `INSERT INTO ${table} FORMAT JSONEachRow`,
      values: Readable.from([Buffer.from(lines)]),
      clickhouse_settings: { async_insert: 0, input_format_parallel_parsing: 0, ...settings },
    });
    stream.resume();
    await once(stream, 'close');
    return summary;
  };
  const post = async (query: string, body = ''): Promise<Response> =>
    fetch(`${stack.clickhouse.url}/?query=${encodeURIComponent(query)}`, { method: 'POST', body });

  test('rows inserted by the client are there, in another database too', async () => {
    await client.command({ query: 'CREATE DATABASE other' });
    await client.command({ query: 'CREATE TABLE other.t (a UInt32, b String) ENGINE = MergeTree ORDER BY a' });
    const other = createClient({ url: stack.clickhouse.url, database: 'other' });
    await other.insert({ table: 't', values: [{ a: 1, b: "x'y\n\nz" }], format: 'JSONEachRow' });
    const rows = await other.query({
      query: 'SELECT * FROM t WHERE b = {b:String}',
      query_params: { b: "x'y\n\nz" },
      format: 'JSONEachRow',
    });
    expect(await rows.json()).toEqual([{ a: 1, b: "x'y\n\nz" }]);
    await other.close();
  });

  test('a token keeps a repeated insert from being inserted again', async () => {
    await client.command({
      query:
        'CREATE TABLE dedup (a UInt32) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100',
    });
    await insertLines('dedup', '{"a":1}\n{"a":2}\n', { insert_deduplication_token: "it's one" });
    await insertLines('dedup', '{"a":1}\n{"a":2}\n', { insert_deduplication_token: "it's one" });
    expect(await count('dedup')).toBe(2);
    await stack.parts.clickhouse.kill();
    await stack.parts.clickhouse.start();
    await insertLines('dedup', '{"a":1}\n{"a":2}\n', { insert_deduplication_token: "it's one" });
    expect(await count('dedup')).toBe(2);
    await insertLines('dedup', '{"a":1}\n{"a":2}\n', { insert_deduplication_token: 'another' });
    expect(await count('dedup')).toBe(4);
  });

  test.each([
    ['an unknown table', 'INSERT INTO nope FORMAT JSONEachRow', '{"a":1}', '60', 404],
    ['an unknown database', 'INSERT INTO nope.t FORMAT JSONEachRow', '{"a":1}', '81', 404],
    ['an unknown column', 'INSERT INTO typed (nope) FORMAT JSONEachRow', '{"nope":1}', '16', 500],
    ['a value that is no number', 'INSERT INTO typed FORMAT JSONEachRow', '{"a":1}\n{"a":"x"}', '27', 400],
    ['a row that is no object', 'INSERT INTO typed FORMAT JSONEachRow', '{"a":1}\n[2]', '27', 400],
    [
      'an unknown field that matters',
      'INSERT INTO typed SETTINGS input_format_skip_unknown_fields=0 FORMAT JSONEachRow',
      '{"z":1}',
      '117',
      400,
    ],
    ['a wrong date', 'INSERT INTO typed FORMAT JSONEachRow', '{"d":"someday"}', '38', 400],
    ['an unknown setting', 'SELECT 1 SETTINGS nope = 1', '', '115', 404],
    ['no SQL', 'SELEC 1', '', '62', 400],
    ['two statements', 'SELECT 1; SELECT 2', '', '62', 400],
    ['nothing', '', ' -- nothing\n', '62', 400],
    ['a type that does not fit', "SELECT toUInt8('x')", '', '6', 400],
  ])('%s is refused with the code and the status of a server', async (_, query, body, code, status) => {
    await client.command({
      query: 'CREATE TABLE IF NOT EXISTS typed (a UInt8, d Date DEFAULT today()) ENGINE = MergeTree ORDER BY a',
    });
    const response = await post(query, body);
    const text = await response.text();
    expect([response.headers.get('x-clickhouse-exception-code'), response.status], text).toEqual([code, status]);
    expect(text).toMatch(new RegExp(`^Code: ${code}\\. DB::Exception: .*\\([A-Z_]+\\) \\(version 26\\.`, 's'));
    expect(await count('typed')).toBe(0);
  });

  test('the client makes its own error of an exception', async () => {
    const error: unknown = await insertLines('absent', '{}').catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ClickHouseError);
    expect(error).toMatchObject({ code: '60', type: 'UNKNOWN_TABLE' });
  });

  test('settings of one request are not those of the next, nor of one that runs beside it', async () => {
    const ask = async (threads: number | undefined): Promise<string> => {
      const url = new URL(stack.clickhouse.url);
      url.searchParams.set('query', "SELECT getSetting('max_threads'), sleep(0.05)");
      if (threads !== undefined) url.searchParams.set('max_threads', String(threads));
      return (await (await fetch(url)).text()).split('\t')[0]!;
    };
    const usual = await ask(undefined);
    const wanted = Array.from({ length: 40 }, (_, index) => (index % 2 ? 100 + index : undefined));
    expect(await Promise.all(wanted.map(ask))).toEqual(wanted.map((threads) => String(threads ?? usual)));
  });

  test('data with empty lines, semicolons and zero bytes are data', async () => {
    await client.command({ query: 'CREATE TABLE raw (a UInt32, b String) ENGINE = MergeTree ORDER BY a' });
    await post('INSERT INTO raw FORMAT JSONEachRow', '{"a":1,"b":";"}\n\n\n{"a":2,"b":"; DROP TABLE raw"}');
    await post('INSERT INTO raw (a, b)', "VALUES (3, 'x; y'), (4, 'it''s')");
    await post('', 'INSERT INTO raw FORMAT CSV\n5,"q\n\n; SELECT 1"\n');
    await post('INSERT INTO raw FORMAT TSV', '6\tt\\0\\t\n');
    const rows = await client.query({ query: 'SELECT * FROM raw ORDER BY a', format: 'JSONCompactEachRow' });
    expect(await rows.json()).toEqual([
      [1, ';'],
      [2, '; DROP TABLE raw'],
      [3, 'x; y'],
      [4, "it's"],
      [5, 'q\n\n; SELECT 1'],
      [6, 't\0\t'],
    ]);
  });

  test('a compressed body is read, and the summary counts its rows', async () => {
    await client.command({ query: 'CREATE TABLE zipped (a UInt32) ENGINE = MergeTree ORDER BY a' });
    const response = await fetch(`${stack.clickhouse.url}/?query=INSERT%20INTO%20zipped%20FORMAT%20JSONEachRow`, {
      method: 'POST',
      headers: { 'content-encoding': 'gzip' },
      body: gzipSync('{"a":1}\n{"a":2}\n{"a":3}'),
    });
    expect(JSON.parse(response.headers.get('x-clickhouse-summary')!)).toMatchObject({ written_rows: '3' });
    expect(await count('zipped')).toBe(3);
  });

  test('query parameters may be long, in the URL or in a form', async () => {
    const ids = Array.from({ length: 30_000 }, (_, index) => index);
    for (const use_multipart_params of [false, true]) {
      const rows = await client.query({
        query: 'SELECT length({ids:Array(UInt32)}) AS n',
        query_params: { ids },
        format: 'JSONEachRow',
        use_multipart_params,
      });
      expect(await rows.json()).toEqual([{ n: ids.length }]);
    }
  });

  test('GET changes nothing, and a password is wrong', async () => {
    const get = await fetch(`${stack.clickhouse.url}/?query=CREATE%20DATABASE%20x`);
    expect(get.headers.get('x-clickhouse-exception-code')).toBe('164');
    const stranger = createClient({
      url: stack.clickhouse.url,
      password: 'guess',
      log: { level: ClickHouseLogLevel.OFF },
    });
    await expect(stranger.query({ query: 'SELECT 1' })).rejects.toMatchObject({ code: '516' });
    await stranger.close();
  });

  test(
    'no acknowledged insert is lost to a SIGKILL in the middle of inserts',
    { timeout: START_WITHIN_MS },
    async () => {
      await client.command({
        query: 'CREATE TABLE survivors (batch UInt32, i UInt32) ENGINE = MergeTree ORDER BY (batch, i)',
      });
      const rowsPerBatch = 2000;
      const acknowledged: number[] = [];
      let batch = 0;
      const killing = new AbortController();
      // A function, because the answer changes during every await.
      const isKilled = (): boolean => killing.signal.aborted;
      const insert = async (): Promise<void> => {
        while (!isKilled()) {
          const mine = batch++;
          const lines = Array.from({ length: rowsPerBatch }, (_, i) => `{"batch":${mine},"i":${i}}`).join('\n');
          try {
            await insertLines('survivors', lines);
            acknowledged.push(mine);
          } catch (error) {
            if (!isKilled()) throw error;
          }
        }
      };
      const inserting = Promise.all([insert(), insert(), insert()]);
      await until('twenty batches', () => acknowledged.length >= 20);
      killing.abort();
      await stack.parts.clickhouse.kill();
      await inserting;
      await stack.parts.clickhouse.start();
      const rows = await client.query({
        query: 'SELECT batch, count() AS n FROM survivors GROUP BY batch',
        format: 'JSONEachRow',
      });
      const found = new Map(
        (await rows.json<{ batch: number; n: string | number }>()).map(({ batch, n }) => [batch, Number(n)]),
      );
      for (const mine of acknowledged) expect(found.get(mine), `batch ${mine}`).toBe(rowsPerBatch);
      // A batch is there as a whole or not at all.
      expect(new Set(found.values())).toEqual(new Set([rowsPerBatch]));
    },
  );

  test('two stacks run at once, each with its own data', { timeout: START_WITHIN_MS }, async () => {
    const second = await startStack({ only: ['clickhouse'], flavour: 'native' });
    try {
      expect(second.clickhouse.url).not.toBe(stack.clickhouse.url);
      await client.command({ query: 'CREATE TABLE mine (a UInt8) ENGINE = MergeTree ORDER BY a' });
      const response = await fetch(`${second.clickhouse.url}/?query=EXISTS%20mine`);
      expect(await response.text()).toBe('0\n');
      expect(() => second.kafka).toThrow(StackError);
    } finally {
      await second.stop();
    }
    expect(existsSync(second.dataDir)).toBe(false);
    expect(await count('mine')).toBe(0);
  });
});

describe('what a stack leaves behind', () => {
  test('nothing when its parent is killed by SIGKILL', { timeout: START_WITHIN_MS }, async () => {
    const { cli, addresses } = await startCli('--flavour', 'native');
    const pids = Object.values(addresses.pids).flat();
    expect(pids).toHaveLength(3);
    expect(pids.every(isAlive)).toBe(true);
    expect(existsSync(addresses.dataDir)).toBe(true);
    cli.kill('SIGKILL');
    await until('all processes gone', () => !pids.some(isAlive));
    await until('the data removed', () => !existsSync(addresses.dataDir));
  });

  test('nothing after Ctrl-C, and the addresses in a file', { timeout: START_WITHIN_MS }, async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'stack-test-'));
    const config = join(scratch, 'ktb.yaml');
    try {
      const { cli, addresses } = await startCli('--only', 'clickhouse', '--flavour', 'native', '--config', config);
      expect(parse(readFileSync(config, 'utf8'))).toMatchObject({ clickhouse: { url: addresses.clickhouse.url } });
      cli.kill('SIGINT');
      expect(await once(cli, 'exit')).toEqual([0, null]);
      expect(Object.values(addresses.pids).flat().some(isAlive)).toBe(false);
      expect(existsSync(addresses.dataDir)).toBe(false);
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });

  test('nothing in the directory that was named for its data', { timeout: START_WITHIN_MS }, async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'stack-test-'));
    try {
      const stack = await startStack({ only: ['clickhouse'], flavour: 'native', dataIn: scratch });
      expect(readdirSync(scratch)).toEqual([basename(stack.dataDir)]);
      await stack.stop();
      expect(readdirSync(scratch)).toEqual([]);
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });

  test('nothing when its start is given up', { timeout: START_WITHIN_MS }, async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'stack-test-'));
    vi.stubEnv('TMPDIR', scratch);
    try {
      const givenUp = new AbortController();
      const starting = startStack({
        flavour: 'native',
        signal: givenUp.signal,
        onProgress: ({ step }) => {
          if (step === 'start Kafka') givenUp.abort();
        },
      });
      await expect(starting).rejects.toMatchObject({ name: 'StackError', code: 'ABORTED' });
      expect(readdirSync(scratch)).toEqual([]);
    } finally {
      vi.unstubAllEnvs();
      rmSync(scratch, { recursive: true });
    }
  });
});
