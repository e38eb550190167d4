import { expect, it, onTestFinished, vi } from 'vitest';
import {
  checkClickHouse,
  checkClickHouseAnew,
  checkKafka,
  warnOfSharedTables,
} from '../../../src/daemon/startUpChecks.js';
import { parseConfig } from '../../../src/config/load.js';
import { PartialProblem } from '../../../src/telemetry/dependencyMonitor.js';

it('warns at start of topics that share a table by their names, within a pipeline and over several', async () => {
  const config = parseConfig(
    `pipelines:
  one: { topics: ['/a.*/'], table: 'raw_{topic}' }
  two: { topics: [b.b], table: 'raw_{topic}' }
  three: { topics: [b-b], table: 'raw_{topic}' }
  plain: { topics: [b_b], table: raw_b_b }`,
    'ktb.yaml',
    {},
  );
  const seen: object[] = [];
  const admin = { connect: () => Promise.resolve(), listTopics: () => Promise.resolve(['a.b', 'a-b', 'ax', 'b.b']) };
  await warnOfSharedTables(admin, config, { warn: (fields) => void seen.push(fields) });
  expect(seen).toEqual([
    { pipeline: 'one', table: 'raw_a_b', topics: ['a-b', 'a.b'] },
    {
      table: 'raw_b_b',
      topics: [
        { pipeline: 'two', topic: 'b.b' },
        { pipeline: 'three', topic: 'b-b' },
      ],
    },
  ]);
});

it('warns at start of a topic that two pipelines read into one table, and not of two tables', async () => {
  const config = parseConfig(
    `pipelines:
  one: { topics: [orders], table: orders }
  two: { topics: ['/ord.*/'], table: orders }
  three: { topics: [orders], table: copies }`,
    'ktb.yaml',
    {},
  );
  const seen: object[] = [];
  const admin = { connect: () => Promise.resolve(), listTopics: () => Promise.resolve(['orders', 'ordered']) };
  await warnOfSharedTables(admin, config, { warn: (fields) => void seen.push(fields) });
  expect(seen).toEqual([{ topic: 'orders', table: 'orders', pipelines: ['one', 'two'] }]);
});

it.each<[why: string, topics: string, existing: string[], isPartial: boolean]>([
  ['one of several is missing', '[a, b]', ['a', 'p.dead-letters'], true],
  ['all that are named are missing, and others may match', "[a, '/x.*/']", ['p.dead-letters'], true],
  ['all that are named are missing', '[a, b]', ['p.dead-letters'], false],
  ['there is nowhere to put dead letters', '[a, b]', ['a', 'b'], false],
])('a pipeline begins with what can be read, and the rest is named: %s', async (_, topics, existing, isPartial) => {
  const config = parseConfig(
    `pipelines: { p: { topics: ${topics}, table: t, deadLetter: { topic: p.dead-letters } } }`,
    'ktb.yaml',
    {},
  );
  const admin = {
    connect: () => Promise.resolve(),
    describeTopics: () => {
      const found = existing.map((topic) => [topic, { error: null, partitions: [] }] as const);
      return Promise.resolve({ clusterId: 'c', brokers: [], topics: new Map(found) });
    },
  };
  const problem = await checkKafka(admin, config).catch((error: unknown) => error);
  expect(problem).toBeInstanceOf(Error);
  expect((problem as Error).message).toContain('Kafka has no topic ');
  expect(problem instanceof PartialProblem).toBe(isPartial);
});

it.each<[answers: Record<string, string | null>, message: string, isPartial: boolean]>([
  [{ b: 'TOPIC_AUTHORIZATION_FAILED' }, 'Kafka says nothing of topic b: TOPIC_AUTHORIZATION_FAILED', true],
  [
    { a: 'UNKNOWN_TOPIC_OR_PARTITION', b: 'TOPIC_AUTHORIZATION_FAILED' },
    'Kafka has no topic a: create it, or run `ktb setup`; Kafka says nothing of topic b: TOPIC_AUTHORIZATION_FAILED',
    false,
  ],
])('a topic that Kafka refuses is not called missing: %o', async (answers, message, isPartial) => {
  const config = parseConfig(
    'pipelines: { p: { topics: [a, b], table: t, deadLetter: { topic: p.dead-letters } } }',
    'ktb.yaml',
    {},
  );
  const admin = {
    connect: () => Promise.resolve(),
    describeTopics: (topics: readonly string[]) => {
      const found = topics.map((topic) => [topic, { error: answers[topic] ?? null, partitions: [] }] as const);
      return Promise.resolve({ clusterId: 'c', brokers: [], topics: new Map(found) });
    },
  };
  const problem = (await checkKafka(admin, config).catch((error: unknown) => error)) as Error;
  expect([problem.message, problem instanceof PartialProblem]).toEqual([message, isPartial]);
});

it('a Kafka that does not answer is named before ClickHouse could count as not answering', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const config = parseConfig("pipelines: { events: { topics: ['/e.*/'], table: '{topic}' } }", 'ktb.yaml', {});
  const seen: string[] = [];
  void checkClickHouse(
    { ping: () => Promise.resolve({ success: true }) } as never,
    {} as never,
    { connect: () => new Promise(() => undefined) } as never,
    config,
  ).catch((error: unknown) => seen.push((error as Error).message));
  await vi.advanceTimersByTimeAsync(9_000);
  expect(seen).toEqual([
    'ClickHouse answers, but which tables pipeline events needs is not known: Kafka does not answer (no answer within 8 s)',
  ]);
});

it('the column for fields without one has to be there, as the mapped ones', async () => {
  const mapped = 'columns: { total: /sum }, unknownFields: { into: extra }';
  const config = parseConfig(`pipelines: { p: { topics: [a], table: t, ${mapped} } }`, 'ktb.yaml', {});
  const forgotten: string[] = [];
  const tables = {
    columnsOf: () => Promise.resolve(new Map([['t', new Map([['total', 'Int64']])]])),
    forget: (table: string) => void forgotten.push(table),
  };
  const ping = () => Promise.resolve({ success: true });
  const problem = await checkClickHouseAnew({ ping } as never, tables as never, {} as never, config).catch(String);
  expect(problem).toContain(
    'ClickHouse table t has no column extra, which pipeline p maps: add it, or change the pipeline',
  );
  expect(forgotten).toEqual(['t']);
});

it('a table whose merges would leave one row of each record is a problem for records that hold many', async () => {
  const config = parseConfig('pipelines: { p: { topics: [a], table: t, format: json-lines } }', 'ktb.yaml', {});
  const columns = new Map([['_row', 'UInt32']]);
  const problemOf = (mergesRowsOfRecord: boolean) =>
    checkClickHouse(
      { ping: () => Promise.resolve({ success: true }), query: () => Promise.reject(new Error('not asked')) } as never,
      { columnsOf: () => Promise.resolve(new Map([['t', Object.assign(columns, { mergesRowsOfRecord })]])) } as never,
      {} as never,
      config,
    ).then(
      () => null,
      (error: unknown) => (error as Error).message,
    );
  expect(await problemOf(true)).toBe(
    'ClickHouse table t has no _row in its sorting key: merges would leave one row of each record: `ktb check` says what to do',
  );
  expect(await problemOf(false)).toBeNull();
});
