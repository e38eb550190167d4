import fc from 'fast-check';
import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseConfig } from '../../src/config/load.js';
import { ConfigError } from '../../src/config/problems.js';
import { FUZZ_TIMEOUT_MS, fuzz } from './cases.js';

/** A configuration that has every kind of key, as the parsed file. */
const WHOLE = {
  kafka: {
    brokers: ['localhost:9092'],
    ssl: { serverName: 'kafka' },
    sasl: { mechanism: 'plain', username: 'u', password: 'p' },
    sessionTimeout: '30s',
  },
  temporal: { address: 'localhost:7233', namespace: 'default', taskQueue: 'q', requestTimeout: '10s' },
  clickhouse: { url: 'http://localhost:8123', maxConnections: 4, settings: { insert_quorum: 2 } },
  pipelines: {
    orders: {
      topics: ['orders'],
      startFrom: 'earliest',
      format: 'json',
      table: 'shop.orders',
      columns: { customer: '/customer/id', trace: 'header:trace' },
      batchers: 8,
      shardBy: 'header:tenant',
      batch: { maxRecords: 10, maxBytes: '1MiB', maxDelay: '1s' },
      signal: { maxRecords: 5, linger: '5ms' },
      flow: { maxHistory: '8MiB' },
      insert: { retryFor: 'forever' },
      reply: { topic: 'orders.replies', copyHeaders: ['trace'], allowTopics: ['other'] },
      deadLetter: { topic: 'orders.dead-letters' },
    },
  },
  worker: { maxConcurrentFlushes: 3 },
  http: { listen: '127.0.0.1:9464' },
  log: { level: 'info', format: 'json' },
  shutdown: { deadline: '25s' },
};

type Path = readonly (string | number)[];

/** Every place of a parsed file. */
function places(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, item]) =>
    places(item, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return path.length === 0 ? inner : [path, ...inner];
}

/** The same file with a value at a place. A place that an earlier change has taken away is left as it is. */
function withValue(file: unknown, [key, ...rest]: Path, value: unknown): unknown {
  if (key === undefined) return value;
  if (Array.isArray(file))
    return file.map((item: unknown, index) => (index === key ? withValue(item, rest, value) : item));
  if (typeof file !== 'object' || file === null) return file;
  return { ...file, [key]: withValue((file as Record<string | number, unknown>)[key], rest, value) };
}

const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    -1,
    0,
    1.5,
    1e300,
    '',
    ' ',
    '1s',
    '1GiB',
    '-5s',
    '${NOT_SET}',
    '${file:/no}',
    '$${x}',
  ),
  fc.constantFrom<unknown>([], {}, [[]], { ['no such']: 1 }, ['orders', 'orders'], 'orders', 'header:', '/'),
  fc.string(),
  fc.jsonValue(),
);
const mutation = fc.record({
  at: fc.constantFrom(...places(WHOLE)),
  value: odd,
  /** Set for a misspelt or unknown key beside the one there. */
  key: fc.option(fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom('brokres', '__proto__', 'constructor')), {
    nil: undefined,
  }),
});

/** Reads a file. The problems, where it is refused. */
function problemsOf(text: string): ConfigError['problems'] {
  try {
    const { pipelines } = parseConfig(text, 'ktb.yaml', {});
    expect(pipelines.length).toBeGreaterThan(0);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.problems.length).toBeGreaterThan(0);
    for (const { message } of error.problems) expect(message).not.toMatch(/^$|undefined|\[object/);
    return error.problems;
  }
}

it('the file that the others are made of is good', () => {
  expect(problemsOf(stringify(WHOLE))).toEqual([]);
});

it(
  'a configuration with something wrong in it is refused with the path of the key, or works; it never ends in another error',
  async () => {
    await fuzz(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
      let file: unknown = WHOLE;
      for (const { at, value, key } of mutations) {
        file = withValue(file, key === undefined ? at : [...at.slice(0, -1), key], value);
      }
      const keys = [...Object.keys(WHOLE), ...Object.keys(file as object)];
      for (const { path } of problemsOf(stringify(file))) expect(keys).toContain(String(path[0]));
    });
  },
  FUZZ_TIMEOUT_MS,
);

it(
  'one value that is wrong is refused under its own path',
  async () => {
    const number = fc.constantFrom<Path>(
      ['pipelines', 'orders', 'batchers'],
      ['pipelines', 'orders', 'batch', 'maxRecords'],
      ['pipelines', 'orders', 'signal', 'maxRecords'],
      ['clickhouse', 'maxConnections'],
      ['worker', 'maxConcurrentFlushes'],
    );
    const wrong = fc.oneof(fc.integer({ max: 0 }), fc.constantFrom(1.5, 1e12, 'many', true, [], {}));
    await fuzz(fc.tuple(number, wrong), ([path, value]) => {
      expect(problemsOf(stringify(withValue(WHOLE, path, value))).map((problem) => problem.path)).toContainEqual(path);
    });
  },
  FUZZ_TIMEOUT_MS,
);

it(
  'a text that is no configuration is refused as one',
  async () => {
    await fuzz(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (text) => {
      expect(problemsOf(text)).not.toEqual([]);
    });
  },
  FUZZ_TIMEOUT_MS,
);
