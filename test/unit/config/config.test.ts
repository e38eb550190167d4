import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { batcherWorkflowId } from '../../../src/protocol/batcherId.js';
import { loadConfig, parseConfig } from '../../../src/config/load.js';
import { ConfigError } from '../../../src/config/problems.js';

const parse = (text: string, environment: NodeJS.ProcessEnv = {}) => parseConfig(text, 'ktb.yaml', environment);
const MINIMAL = 'pipelines: { orders: { topics: [orders], table: orders } }';

/** The lines of the error's message, without the file's name. */
function problems(text: string, environment: NodeJS.ProcessEnv = {}): string[] {
  try {
    parse(text, environment);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  throw new Error('the configuration was accepted');
}

it('has a default for everything but the pipelines', () => {
  const config = parse(MINIMAL);
  expect(config.kafka.brokers).toEqual(['localhost:9092']);
  expect(config.temporal).toMatchObject({ address: 'localhost:7233', namespace: 'default' });
  expect(config.pipelines[0]).toMatchObject({
    groupId: 'ktb-orders',
    startFrom: 'earliest',
    layout: { batchers: 2, keyFunction: 'key' },
    settings: { destination: { deadLetterTopic: 'orders.dead-letters' } },
  });
  expect(problems('')).toEqual(['pipelines: is missing']);
});

it('reads the example of the documentation', () => {
  const config = parse(
    `
kafka:
  brokers: [kafka-0:9093, kafka-1:9093]
  ssl: true
  sasl: { mechanism: scram-sha-512, username: ktb, password: "\${KAFKA_PASSWORD}" }
temporal: { address: "temporal:7233", namespace: default }
clickhouse: { url: "https://clickhouse:8443", username: ktb, database: analytics }
pipelines:
  orders:
    topics: [orders]
    groupId: ktb-orders
    startFrom: earliest
    format: json
    table: orders
    columns: { customer_id: /customer/id, trace_id: "header:trace-id" }
    batchers: 8
    batch: { maxRecords: 50000, maxBytes: 8MiB, maxDelay: 1s }
    insert: { retryFor: forever }
    reply: { topic: orders.replies, copyHeaders: [trace-id] }
    deadLetter: { topic: orders.dead-letters }
http: { listen: "0.0.0.0:9464" }
log: { level: info, format: auto }
`,
    { KAFKA_PASSWORD: 'secret' },
  );
  expect(config.kafka.sasl).toMatchObject({ password: 'secret' });
  expect(config.pipelines[0]?.settings.batch).toEqual({
    maxRecords: 50_000,
    maxBytes: 8 * 1024 * 1024,
    maxDelayMs: 1_000,
    storesOnce: true,
  });
});

it('lets no record wait in its lane for longer than for its batch', () => {
  const linger = (batch: object, signal: object) => {
    const pipelines = { p: { topics: ['a'], table: 't', batch, signal } };
    const { lingerMs, sharedLingerMs } = parse(JSON.stringify({ pipelines })).pipelines[0]!.signal;
    return [lingerMs, sharedLingerMs];
  };
  expect(linger({}, {})).toEqual([1_000, 500]);
  expect(linger({ maxDelay: '200ms' }, {})).toEqual([200, 100]);
  expect(linger({ maxDelay: '200ms' }, { linger: '5s' })).toEqual([200, 100]);
  expect(linger({ maxDelay: '20s' }, { linger: '5s' })).toEqual([5_000, 5_000]);
});

it('lets batches be stored as version 0.1.0 needs them, where records do not wait in lanes', () => {
  const { settings } = parse(`pipelines: { p: { topics: [a], table: t, signal: { linger: 0ms } } }`).pipelines[0]!;
  expect(settings.batch).not.toHaveProperty('storesOnce');
});

const brokersOf = (...brokers: string[]) => parse(`${MINIMAL}\nkafka: ${JSON.stringify({ brokers })}`).kafka.brokers;
const brokerProblems = (broker: string) => problems(`${MINIMAL}\nkafka: ${JSON.stringify({ brokers: [broker] })}`);

it('takes brokers as an environment variable has them: several in one text, with prefixes, spaces, a comma at the end, twice', () => {
  expect(brokersOf('a:9092,b:9092')).toEqual(['a:9092', 'b:9092']);
  expect(brokersOf(' a:9092 , b:9093,', 'c:9094')).toEqual(['a:9092', 'b:9093', 'c:9094']);
  expect(brokersOf('PLAINTEXT://a:9092,SASL_SSL://b:9093', 'a:9092')).toEqual(['a:9092', 'b:9093']);
  expect(brokersOf('[::1]:9092,[fe80::1%eth0]:9093')).toEqual(['[::1]:9092', '[fe80::1%eth0]:9093']);
});

it('says what is wrong with an address', () => {
  const at = (problem: string) => [expect.stringContaining(`kafka.brokers[0]: ${problem}`) as string];
  expect(brokerProblems('kafka-0')).toEqual(at('must be host:port'));
  expect(brokerProblems('a:9092,b')).toEqual(at('must be host:port'));
  expect(brokerProblems('a:9092;b:9092')).toEqual(at('must be host:port'));
  expect(brokerProblems('a:http')).toEqual(at('must be host:port, and a:http has no port that is a number'));
  expect(brokerProblems('::1:9092')).toEqual(
    at('must be host:port; an IPv6 address is written in brackets, as [::1]:9092'),
  );
  expect(brokerProblems('a:65536')).toEqual(at('must be host:port, and the port of a:65536 is over 65535'));
  for (const broker of ['SASL://u:hunter2@h:9092', 'hunter2@h:9092', 'hunter2@h'])
    expect(brokerProblems(broker)).toEqual(
      at('must be host:port, without a user or a password: they belong to kafka.sasl'),
    );
  expect(brokerProblems(' , ')).toEqual(at('must be host:port, and is empty'));
  for (const address of ['https://temporal:7233', 'temporal:7233,other:7233', '::1:7233', 'temporal:99999'])
    expect(problems(`${MINIMAL}\ntemporal: ${JSON.stringify({ address })}`)).toHaveLength(1);
  for (const address of ['temporal', 'temporal:7233', '[::1]:7233', 'ns.acct.tmprl.cloud:7233'])
    expect(parse(`${MINIMAL}\ntemporal: ${JSON.stringify({ address })}`).temporal.address).toBe(address);
  expect(problems(`${MINIMAL}\nhttp: { listen: "0.0.0.0:99999" }`)).toHaveLength(1);
});

it('reports every problem at once, each with its line, its path and what to do', () => {
  const text = `
kafka: { broker: [a], brokers: [kafka-0] }
pipelines:
  orders:
    topics: orders
    batch: { maxRecrds: 5, maxDelay: 1, maxBytes: 9GiB }
    startFrom: yesterday
    reply: {}
    batchers: 0
  Orders: { topics: [x], table: y }
log: { level: inof }
`;
  expect(problems(text).toSorted()).toEqual(
    [
      'line 2: kafka.broker: unknown key; did you mean brokers?',
      'line 2: kafka.brokers[0]: must be host:port',
      'line 5: pipelines.orders.topics: must be a list',
      'line 4: pipelines.orders.table: is missing',
      'line 6: pipelines.orders.batch.maxRecrds: unknown key; did you mean maxRecords?',
      'line 6: pipelines.orders.batch.maxDelay: must be a duration such as 250ms, 1s or 5m',
      'line 6: pipelines.orders.batch.maxBytes: must be from 1KiB to 64MiB',
      'line 7: pipelines.orders.startFrom: must be earliest, latest, or a time such as 2026-01-31T00:00:00Z',
      'line 8: pipelines.orders.reply.topic: is missing',
      'line 9: pipelines.orders.batchers: must be from 1 to 1024',
      'line 10: pipelines.Orders: a pipeline is named with a-z, 0-9, dash, underscore; 63 at most',
      'line 11: log.level: must be one of debug, info, warn, error; did you mean info?',
    ].toSorted(),
  );
});

it('tells what several keys, and certificates, have wrong in the same go as what single keys have', () => {
  const found = problems(`
kafka: { ssl: { ca: none } }
clickhouse: { url: 'http://user@localhost:8123' }
log: { level: loud }
pipelines:
  broken: { topics: [a], table: t, batcher: 8 }
  round: { topics: [b], table: t, reply: { topic: b } }
  twice: { topics: [c], table: t, groupId: ktb-round }
`);
  expect(found).toEqual([
    expect.stringContaining('pipelines.broken.batcher: unknown key; did you mean batchers?'),
    expect.stringContaining('log.level: must be one of debug, info, warn, error'),
    expect.stringContaining('pipelines.twice.groupId: is also the group of pipeline round'),
    expect.stringContaining('pipelines.round.reply.topic: b is an input topic of pipeline round'),
    expect.stringContaining('clickhouse.url: must not hold credentials'),
    expect.stringContaining('kafka.ssl.ca: must be a certificate'),
  ]);
});

it('takes topics by pattern, a table a topic, and a pointer to go by', () => {
  const [one, two] = parse(`
pipelines:
  one: { topics: ['/orders\\..+/', named], table: 'raw.{topic}', shardBy: /customer/id }
  two: { topics: [b], table: '{topic}', tables: { b: 'shop.b' } }
`).pipelines;
  expect(one).toMatchObject({
    topics: ['named'],
    topicPatterns: [/^(?:orders\..+)$/],
    // One topic alone stays with the layout of version 0.1.0.
    layout: { keyFunction: '/customer/id', keyless: 'topic' },
    settings: { destination: { table: 'raw.{topic}', deadLetterTopic: 'one.dead-letters' } },
  });
  expect(two?.layout).toEqual({ batchers: 2, keyFunction: 'key' });
  expect(two?.settings.destination).toMatchObject({
    table: { ofTopics: { b: 'shop.b' }, others: '{topic}' },
    deadLetterTopic: 'b.dead-letters',
  });
});

it('takes names of any characters between backquotes, and refuses the one name that would get lost', () => {
  const of = (name: string) => `pipelines: { a: { topics: [a], table: ${JSON.stringify(`\`${name}\``)} } }`;
  for (const name of ['a.b', 'a\nb', '\t', '\u0001', '😀', '\\\\', '\\`', '``', '$${x}'])
    expect(() => parse(of(name)), name).not.toThrow();
  for (const name of ['\0', '`', '\\', '']) expect(problems(of(name)), name).toHaveLength(1);
  const lost = `pipelines:
  a: { topics: [a], table: t, tables: { __proto__: u }, columns: { __proto__: /a, constructor: /b } }`;
  expect(problems(lost)).toEqual([
    'line 2: pipelines.a.columns.__proto__: cannot be a name here: rename it, or read it through a view',
    'line 2: pipelines.a.tables.__proto__: cannot be a name here: rename it, or read it through a view',
  ]);
});

it('keeps a source that a text can say as a text, as version 0.1.0 reads it, and refuses rules that contradict themselves', () => {
  const columns = (text: string) => `pipelines: { a: { topics: [a], table: t, columns: ${text} } }`;
  const parsed = parse(
    columns(
      "{ a: { from: /x, required: false }, b: { first: [key] }, c: { from: /x, unit: ms }, d: { constant: '' }, e: headers, f: { first: [/x, /y], default: 0 }, g: { from: 'header:h', required: true } }",
    ),
  );
  expect(parsed.pipelines[0]!.settings.destination.columns).toEqual({
    a: '/x',
    b: 'key',
    c: { first: ['/x'], unit: 'ms' },
    d: { constant: '' },
    e: 'headers',
    f: { first: ['/x', '/y'], default: 0 },
    g: { first: ['header:h'], required: true },
  });
  const refused = (rule: string) => problems(columns(`{ a: ${rule} }`)).join();
  expect(refused('{}')).toContain('columns.a: must have one of from, first and constant');
  expect(refused('{ from: /x, constant: 1 }')).toContain('must have one of');
  expect(refused('{ from: /x, required: true, default: 1 }')).toContain('not both');
  expect(refused('{ constant: 1, required: true }')).toContain('no other key beside constant');
  expect(refused('{ constant: 9007199254740993 }')).toContain('put it in quotes');
  expect(refused('{ from: /x, default: 0.1 }')).toContain('put it in quotes');
  expect(refused('{ from: offset }')).toContain(
    'must be a JSON pointer such as /customer/id, key:/id, header:NAME, or key',
  );
  expect(refused('{ from: /x, unit: min }')).toContain('must be one of s, ms, us, ns');
  expect(refused('{ form: /x }')).toContain('did you mean from?');
  expect(refused('documents')).toContain('must be a JSON pointer such as');
  expect(
    problems(
      'pipelines: { a: { topics: [a], table: t, format: bytes, columns: { a: document, b: { from: /x }, value: value } } }',
    ),
  ).toHaveLength(2);
});

it('refuses patterns, tables and pointers that can mean nothing', () => {
  const text = `
pipelines:
  a: { topics: ['/(/', 'orders/', '//'], table: 't' }
  b: { topics: [x, '/y.*/'], table: '{topic', tables: { x: 't', yes: 't', z: '1t' } }
  c: { topics: [c], table: t, tables: { d: t }, format: text, shardBy: /id }
  d: { topics: [d], table: t, shardBy: id }
  e: { topics: [e], table: 'a.b.{topic}' }
`;
  const topic = String.raw`must be a Kafka topic name, or a regular expression between slashes such as /orders\..+/`;
  const table =
    'must be table or database.table, with {topic} where the name of the topic belongs; other names between backquotes';
  expect(problems(text)).toEqual([
    'line 3: pipelines.a.topics[0]: is no regular expression that JavaScript understands',
    `line 3: pipelines.a.topics[1]: ${topic}`,
    `line 3: pipelines.a.topics[2]: ${topic}`,
    `line 4: pipelines.b.table: ${table}`,
    `line 4: pipelines.b.tables.z: ${table}`,
    'line 6: pipelines.d.shardBy: must be key, partition, header:NAME, or a JSON pointer such as /customer/id or key:/id; 200 characters at most',
    `line 7: pipelines.e.table: ${table}`,
    'line 5: pipelines.c.tables.d: is no input topic of the pipeline',
    'line 5: pipelines.c.shardBy: leads into JSON, and the values are text; use key, partition, or header:NAME',
  ]);
  expect(
    problems(
      text
        .split('\n')
        .filter((line) => !/^ {2}[abde]:/.test(line))
        .join('\n'),
    ),
  ).toEqual([
    'line 3: pipelines.c.tables.d: is no input topic of the pipeline',
    'line 3: pipelines.c.shardBy: leads into JSON, and the values are text; use key, partition, or header:NAME',
  ]);
});

it.each([
  ['a header of a name of as many letters as may be', `header:${'x'.repeat(193)}`],
  ['a pointer in another alphabet', `/${'ж'.repeat(140)}`],
])('what chooses the batcher fits into a workflow id: %s', (_, shardBy) => {
  const longest = 'p'.repeat(63);
  const [pipeline] = parse(`
pipelines:
  ${longest}: { topics: [a, b], table: t, batchers: 1024, shardBy: '${shardBy}' }
`).pipelines;
  const id = batcherWorkflowId(longest, pipeline!.layout, 1_023);
  expect(Buffer.byteLength(id)).toBeLessThanOrEqual(1_000);
});

it.each([
  ['160 Cyrillic letters', `/${'ж'.repeat(160)}`],
  ['199 characters of four bytes', `/${'\u{1F600}'.repeat(99)}`],
  ['half a character', '/\\ud800'],
])('refuses what would not fit into a workflow id: %s', (_, shardBy) => {
  expect(problems(`\npipelines:\n  a: { topics: [a], table: t, shardBy: "${shardBy}" }\n`)).toEqual([
    expect.stringMatching(/^line 3: pipelines\.a\.shardBy: is too long for a workflow id/),
  ]);
});

it('refuses a task queue whose own queues Temporal would refuse', () => {
  const pipeline = 'pipelines: { a: { topics: [a], table: t } }';
  expect(parse(`temporal: { taskQueue: ${'q'.repeat(900)} }\n${pipeline}`).temporal.taskQueue).toHaveLength(900);
  expect(problems(`temporal: { taskQueue: ${'ж'.repeat(451)} }\n${pipeline}`)).toEqual([
    'line 1: temporal.taskQueue: must be 900 bytes at most',
  ]);
});

it('refuses topics that would send records round in circles, and two pipelines in one group', () => {
  const text = `
pipelines:
  a: { topics: [x], table: t, reply: { topic: x } }
  b: { topics: [y], table: t, groupId: ktb-a, deadLetter: { topic: x } }
  c: { topics: [z], table: t, reply: { topic: z.dead-letters } }
`;
  expect(problems(text)).toEqual([
    'line 4: pipelines.b.groupId: is also the group of pipeline a; each pipeline needs a consumer group of its own',
    'line 3: pipelines.a.reply.topic: x is an input topic of pipeline a; records would go round in circles',
    'line 4: pipelines.b.deadLetter.topic: x is an input topic of pipeline a; records would go round in circles',
    'line 5: pipelines.c.reply.topic: must not be the dead-letter topic',
  ]);
});

it('takes secrets from the environment and from files, and says which are missing', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'ktb-')), 'password');
  writeFileSync(file, 'from file\n');
  const text = (password: string) => `${MINIMAL}\nclickhouse: { password: '${password}' }`;
  expect(parse(text(`\${file:${file}}`)).clickhouse.password).toBe('from file');
  expect(parse(text('a-${B}-c'), { B: 'b' }).clickhouse.password).toBe('a-b-c');
  expect(parse(text('$${B}')).clickhouse.password).toBe('${B}');
  expect(problems(text('${NOT_SET}'))).toEqual([
    'line 2: clickhouse.password: names the environment variable NOT_SET, which is not set',
  ]);
  expect(problems(text('${toString}'))).toEqual([
    'line 2: clickhouse.password: names the environment variable toString, which is not set',
  ]);
  expect(problems(text('${file:/nowhere/at/all}'))).toEqual([
    'line 2: clickhouse.password: the secret file /nowhere/at/all does not exist',
  ]);
});

it('quotes nothing of a secret that has braces of its own, and says how to write it', () => {
  const written = (text: string, sections: string): string => {
    const [problem = '', ...others] = problems(`${MINIMAL}\n${sections.replace('SECRET', text)}`);
    expect(others).toEqual([]);
    return problem;
  };
  for (const sections of [
    "clickhouse: { password: 'SECRET' }",
    "clickhouse: { accessToken: 'SECRET' }",
    "clickhouse: { url: 'https://ktb:SECRET@clickhouse:8443' }",
    "temporal: { apiKey: 'SECRET' }",
    "temporal: { encryption: { keys: { k1: 'SECRET' } } }",
    "http: { metricsToken: 'SECRET' }",
  ]) {
    const problem = written('pa${s3cr3t}x', sections);
    expect(problem).toMatch(/^line 2: .*: has \$\{…\} .*write \$\$\{ instead/);
    expect(problem).not.toContain('s3cr3t');
  }
  expect(written('${p4ss!word}', "clickhouse: { password: 'SECRET' }")).not.toContain('p4ss');
  // A reference, and what is no secret, are named.
  expect(written('${NOT_SET}', "clickhouse: { password: 'SECRET' }")).toContain('variable NOT_SET');
  expect(written('http://${NOT_SET}:8123', "clickhouse: { url: 'SECRET' }")).toContain('variable NOT_SET');
});

it('takes numbers from the environment', () => {
  expect(
    parse('pipelines: { a: { topics: [x], table: t, batchers: "${N}" } }', { N: '4' }).pipelines[0]?.layout.batchers,
  ).toBe(4);
});

it('honours Temporal’s own environment variables below the file', () => {
  const environment = { TEMPORAL_ADDRESS: 'cloud:7233', TEMPORAL_NAMESPACE: 'prod', TEMPORAL_API_KEY: 'key' };
  expect(parse(MINIMAL, environment).temporal).toMatchObject({
    address: 'cloud:7233',
    namespace: 'prod',
    apiKey: 'key',
  });
  expect(parse(`${MINIMAL}\ntemporal: { address: "mine:1" }`, environment).temporal.address).toBe('mine:1');
});

it('takes a profile of Temporal only if a variable asks for it', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-profile-'));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  const file = join(directory, 'temporalio', 'temporal.toml');
  mkdirSync(dirname(file));
  writeFileSync(file, '[profile.default]\naddress = "person:1"\napi_key = "mine"\n[profile.x]\naddress = "x:1"\n');
  // Where the library looks for a person's own file.
  const own = { XDG_CONFIG_HOME: directory, HOME: directory, APPDATA: directory };
  const of = (environment: Record<string, string>) => parse(MINIMAL, { ...own, ...environment }).temporal;
  for (const environment of [{ TEMPORAL_CLI_SHOW_STACKS: '1' }, { TEMPORAL_NAMESPACE: 'prod' }])
    expect(of(environment)).toMatchObject({ address: 'localhost:7233', apiKey: null });
  expect(of({ TEMPORAL_CONFIG_FILE: file })).toMatchObject({ address: 'person:1', apiKey: 'mine' });
  expect(of({ TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'x' })).toMatchObject({ address: 'x:1', apiKey: null });
  expect(problems(MINIMAL, { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'y' })[0]).toContain("'y' not found");
});

it('says where a profile of Temporal is no TOML, and quotes nothing of it', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'ktb-profile-')), 'temporal.toml');
  onTestFinished(() => {
    rmSync(dirname(file), { recursive: true });
  });
  writeFileSync(file, '[profile.default]\naddress = "a:1"\napi_key = "TOPSECRET\nnamespace = "n"\n');
  const [problem, ...others] = problems(MINIMAL, { TEMPORAL_CONFIG_FILE: file });
  expect(others).toEqual([]);
  expect(problem).toMatch(/^TEMPORAL_CONFIG_FILE: Invalid TOML document: .* at line 3, column \d+ of the file/);
  expect(problem).not.toContain('TOPSECRET');
});

it('names the variable of Temporal that cannot be used, together with what is wrong in the file', () => {
  const certificate = { TEMPORAL_TLS_CLIENT_CERT_PATH: '/nowhere/tls.crt', TEMPORAL_TLS_CLIENT_KEY_PATH: '/nowhere/x' };
  expect(problems(MINIMAL, certificate)).toEqual([
    expect.stringMatching(/^TEMPORAL_TLS_CLIENT_CERT_PATH: .*no such file.*\/nowhere\/tls.crt/),
  ]);
  expect(problems(MINIMAL, { TEMPORAL_ADDRESS: 'https://cloud:7233' })).toEqual([
    expect.stringMatching(/^TEMPORAL_ADDRESS: must be host:port, without a scheme/),
  ]);
  expect(problems(`${MINIMAL}\nlog: { level: loud }`, { TEMPORAL_ADDRESS: 'https://cloud' })).toHaveLength(2);
  // What the file says goes before it.
  expect(parse(`${MINIMAL}\ntemporal: { address: "mine:1" }`, { TEMPORAL_ADDRESS: 'https://x' }).temporal.address).toBe(
    'mine:1',
  );
  // An empty variable counts as none.
  expect(parse(MINIMAL, { TEMPORAL_ADDRESS: '', TEMPORAL_NAMESPACE: '', TEMPORAL_API_KEY: '' }).temporal).toMatchObject(
    {
      address: 'localhost:7233',
      namespace: 'default',
      apiKey: null,
      tls: false,
    },
  );
});

it('listens on an IPv6 address, which has brackets in the file only', () => {
  const http = (listen: string) => parse(`${MINIMAL}\nhttp: { listen: '${listen}' }`).http;
  expect(http('[::]:7001')).toMatchObject({ host: '::', port: 7001 });
  expect(http(':9464')).toMatchObject({ host: '', port: 9464 });
});

it('never sends more in a signal than a batch may have', () => {
  const text =
    'pipelines: { a: { topics: [x], table: t, batch: { maxRecords: 3, maxBytes: 1KiB }, signal: { maxRecords: 9, maxBytes: 2KiB } } }';
  expect(parse(text).pipelines[0]?.signal).toMatchObject({ maxRecords: 3, maxBytes: 1_024 });
});

it('sends as much in a signal as a small batch has, if nothing is set', () => {
  const signalOf = (batch: string) =>
    parse(`pipelines: { a: { topics: [x], table: t, batch: ${batch} } }`).pipelines[0]?.signal;
  expect(signalOf('{ maxRecords: 300, maxBytes: 3KiB }')).toMatchObject({ maxRecords: 300, maxBytes: 3_072 });
  expect(signalOf('{}')).toMatchObject({ maxRecords: 10_000, maxBytes: 4_194_304 });
});

it.each([
  [
    'an alias',
    'clickhouse:\n  password: *hunter2Secret',
    /line 2: clickhouse\.password: names an alias that does not exist/,
  ],
  ['an alias as a key', 'clickhouse:\n  *hunter2 : x', /clickhouse: names an alias that does not exist/],
  ['a tag', 'clickhouse:\n  password: !e!hunter2 x', /is not YAML: a tag is not known .* at line 2, column 13/],
  [
    'a tag of one’s own',
    'clickhouse:\n  password: !hunter2 x',
    /is not YAML: a tag is not known .* at line 2, column 13/,
  ],
  ['a verbatim tag', 'clickhouse:\n  password: !<!> hunter2', /is not YAML: a tag is not known/],
  ['the header of a block', 'clickhouse:\n  password: |hunter2', /is not YAML: Block scalar header .* at line 2/],
  [
    'a text with more after it',
    'clickhouse:\n  password: "a" hunter2',
    /is not YAML: Unexpected scalar at node end at line 2/,
  ],
  ['an escape', 'clickhouse:\n  password: "\\hunter2"', /is not YAML: Invalid escape sequence at line 2/],
  ['an indicator', 'clickhouse:\n  password: @hunter2', /is not YAML: Plain value cannot start/],
  ['a text at the wrong place', 'clickhouse:\n  password: a: hunter2', /is not YAML: Nested mappings .* at line 2/],
])('a secret that YAML takes for something else is not quoted: %s', (_, text, message) => {
  const load = () => parse(text);
  expect(load).toThrow(ConfigError);
  expect(load).toThrow(message);
  expect(load).not.toThrow(/hunter2|\\h/);
});

it('says what is wrong with a file that is missing or no YAML', () => {
  expect(() => loadConfig('/nowhere/ktb.yaml')).toThrow('the configuration file /nowhere/ktb.yaml does not exist');
  expect(problems('a: [')[0]).toMatch(/^is not YAML: .*line 1/);
  expect(problems('just text')).toEqual(['must be a mapping']);
});

it('refuses reply topics that would send acknowledgements in as records, or among the dead letters', () => {
  const text = `
pipelines:
  a: { topics: [x], table: t, reply: { topic: r, allowTopics: [ok, y, x.dead-letters] } }
  b: { topics: [y], table: t }
`;
  expect(problems(text)).toEqual([
    'line 3: pipelines.a.reply.allowTopics[1]: y is an input topic of pipeline b; records would go round in circles',
    'line 3: pipelines.a.reply.allowTopics[2]: must not be the dead-letter topic',
  ]);
});

it('refuses names that no topic can have, also for a dead-letter topic that has its name from the input topic', () => {
  const long = 'x'.repeat(240);
  const text = `
pipelines:
  a: { topics: [.], table: t }
  b: { topics: [y], table: t, reply: { topic: .. } }
`;
  expect(problems(text)).toEqual([
    'line 3: pipelines.a.topics[0]: must be a Kafka topic name, and not . or ..',
    'line 4: pipelines.b.reply.topic: must be a Kafka topic name, and not . or ..',
  ]);
  expect(problems(`pipelines: { a: { topics: [${long}], table: t } }`)).toEqual([
    `line 1: pipelines.a.deadLetter.topic: would be ${long}.dead-letters, which is longer than the 249 characters that Kafka takes: name one`,
  ]);
  // A topic that is named twice shares no table with another one.
  expect(parse(`pipelines: { a: { topics: [o, o], table: '{topic}' } }`).pipelines).toHaveLength(1);
});

it('gives a value that is no object a column, and refuses what makes sense for objects only', () => {
  const columns = (text: string) =>
    parse(`pipelines: { a: { topics: [x], table: t, format: text${text} } }`).pipelines[0]?.settings.destination
      .columns;
  expect(columns('')).toEqual({ value: 'value' });
  expect(columns(', columns: { line: value, k: key }')).toEqual({ line: 'value', k: 'key' });
  expect(
    problems(
      'pipelines: { a: { topics: [x], table: t, format: bytes, unknownFields: reject, columns: { id: /id, value: key } } }',
    ),
  ).toEqual([
    'line 1: pipelines.a.columns.id: leads into JSON, and the values are bytes; use value, key, header:NAME, or a coordinate',
    'line 1: pipelines.a.columns.value: the column value is for the record\'s value where no other column is: give it to one, as "value"',
    'line 1: pipelines.a.unknownFields: is about JSON objects; the values are bytes',
  ]);
});

it('passes ClickHouse’s settings on, but for those that the guarantees own', () => {
  const text = (settings: string) => `${MINIMAL}\nclickhouse: { settings: { ${settings} } }`;
  expect(parse(text('insert_quorum: 2, max_partitions_per_insert_block: "500"')).clickhouse.settings).toEqual({
    insert_quorum: 2,
    max_partitions_per_insert_block: '500',
  });
  const owned = [
    'async_insert',
    'async_insert_max_data_size',
    'insert_deduplication_token',
    'input_format_allow_errors_num',
    'input_format_null_as_default',
    'read_overflow_mode_leaf',
    'limit',
    'materialized_views_ignore_errors',
  ];
  for (const name of [...owned, 'timeout_overflow_mode', 'wait_end_of_query', 'log_comment'])
    expect(problems(text(`${name}: 1`)), name).toEqual([
      expect.stringMatching(`^line 2: clickhouse.settings.${name}: (is|would) `),
    ]);
  expect(problems(text('Max-Threads: 1'))).toEqual([
    'line 2: clickhouse.settings.Max-Threads: must be the name of a ClickHouse setting',
  ]);
});

it('takes an access token instead of user and password, and no secret in the address', () => {
  const text = (clickhouse: string) => `${MINIMAL}\nclickhouse: { ${clickhouse} }`;
  expect(parse(text('accessToken: "${TOKEN}"'), { TOKEN: 'token' }).clickhouse).toMatchObject({
    accessToken: 'token',
    password: '',
  });
  const both = 'stands for user and password: leave username and password out, or accessToken';
  expect(problems(text('accessToken: a, password: b'))).toEqual([`line 2: clickhouse.accessToken: ${both}`]);
  expect(problems(text('accessToken: a, username: b'))).toEqual([`line 2: clickhouse.accessToken: ${both}`]);
  for (const url of ['https://ktb:hunter2@clickhouse:8443', 'https://clickhouse:8443/?password=hunter2']) {
    const found = problems(text(`url: "${url}"`));
    expect(found).toEqual([expect.stringMatching(/^line 2: clickhouse\.url: must not hold (credentials|parameters)/)]);
    expect(found.join()).not.toContain('hunter2');
  }
});

it('takes several servers of ClickHouse in place of one, and checks each address', () => {
  const text = (clickhouse: string) => `${MINIMAL}\nclickhouse: { ${clickhouse} }`;
  expect(parse(MINIMAL).clickhouse.urls).toEqual(['http://localhost:8123']);
  expect(parse(text('url: "http://a"')).clickhouse.urls).toEqual(['http://a']);
  expect(parse(text('urls: ["http://a", "http://b"]')).clickhouse.urls).toEqual(['http://a', 'http://b']);
  expect(problems(text('url: "http://a", urls: ["http://b"]'))).toEqual([
    'line 2: clickhouse.urls: stands for url: leave one of them out',
  ]);
  expect(problems(text('urls: []'))).toEqual(['line 2: clickhouse.urls: must name at least one address']);
  expect(problems(text('urls: ["http://a", "http://a"]'))).toEqual(['line 2: clickhouse.urls: names an address twice']);
  expect(problems(text('urls: ["https://a", "https://u:hunter2@b", "https://c?x=1"]')).sort()).toEqual([
    'line 2: clickhouse.urls[1]: must not hold credentials; use username and password',
    'line 2: clickhouse.urls[2]: must not hold parameters',
  ]);
  expect(problems(text('urls: ["https://a", "http://b"], tls: { serverName: a }'))).toEqual([
    'line 2: clickhouse.tls: is for an https:// address, and urls[1] is an http:// one',
  ]);
});

it('turns TLS on where there is an API key, unless it says otherwise', () => {
  const tlsOf = (temporal: string) => parse(`${MINIMAL}\ntemporal: { ${temporal} }`).temporal.tls;
  expect(tlsOf('namespace: default')).toBe(false);
  expect(tlsOf('apiKey: key')).toBe(true);
  expect(tlsOf('apiKey: key, tls: false')).toBe(false);
});

it('finds certificates and keys that cannot be used, and shows nothing of them', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const encrypted = privateKey
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'hunter2' })
    .toString();
  const of = (section: string, environment: NodeJS.ProcessEnv = {}) => problems(`${MINIMAL}\n${section}`, environment);
  const notPem = 'must be a certificate in PEM (-----BEGIN CERTIFICATE-----)';
  expect(of('kafka: { ssl: { ca: /etc/ca.pem } }')).toEqual([
    `line 2: kafka.ssl.ca: ${notPem}; of a file as "\${file:/path/name.pem}"`,
  ]);
  expect(of('temporal: { tls: { key: "${KEY}" } }', { KEY: key })).toEqual([
    'line 2: temporal.tls.key: has no cert beside it: set cert, too',
  ]);
  const swapped = of('kafka: { ssl: { cert: "${KEY}", key: "${ENCRYPTED}" } }', { KEY: key, ENCRYPTED: encrypted });
  expect(swapped).toEqual([
    `line 2: kafka.ssl.cert: ${notPem}`,
    'line 2: kafka.ssl.key: is encrypted with a passphrase: give it without one, from a file that only this user may read',
  ]);
  for (const line of [...key.split('\n'), ...encrypted.split('\n')].filter(({ length }) => length > 30))
    expect(swapped.join()).not.toContain(line);
  expect(of('clickhouse: { url: "http://clickhouse:8123", tls: { serverName: a } }')).toEqual([
    'line 2: clickhouse.tls: is for an https:// address, and url is an http:// one',
  ]);
});

it('insert.retryFor is for ever or a duration', () => {
  const retryFor = (value: string) => MINIMAL.replace('table: orders', `table: orders, insert: { retryFor: ${value} }`);
  const retryForMs = (value: string) => parse(retryFor(value)).pipelines[0]?.settings.destination.retryForMs;
  expect(['forever', '1m', '6h'].map(retryForMs)).toEqual([undefined, 60_000, 6 * 3_600_000]);
  for (const wrong of ['never', '5', 'forever 1m'])
    expect(problems(retryFor(wrong))[0]).toContain('insert.retryFor: must be forever, or a duration from 1m to 365d');
  for (const wrong of ['59s', '366d']) expect(problems(retryFor(wrong))[0]).toContain('must be from 1m to 365d');
});

it.each([
  'shop-eu.orders',
  'größe.表',
  'shop.all orders',
  '`a.b`.`c d`',
  "shop.`it's`",
  '`{topic}`',
  '`a``b`',
  '`a\\`b`',
])('takes the table %s', (table) => {
  const text = `pipelines: { orders: { topics: [orders], table: ${JSON.stringify(table)} } }`;
  expect(parseConfig(text, 'ktb.yaml', {}).pipelines[0]?.settings.destination.table).toBe(table);
});

it.each(['a.b.c', 'a`b', '`a', '``', 'a.', '.a', ' a', 'a ', 'a;b', 'a"b', '`a\0b`', '1t'])(
  'refuses the table %j',
  (table) => {
    const text = `pipelines: { orders: { topics: [orders], table: ${JSON.stringify(table)} } }`;
    expect(() => parseConfig(text, 'ktb.yaml', {})).toThrow('must be table or database.table');
  },
);

it('refuses topics that would share a table, and identity columns that are given something else', () => {
  const of = (pipeline: string) => () => parseConfig(`pipelines: { orders: { ${pipeline} } }`, 'ktb.yaml', {});
  expect(of("topics: [a.b, a-b], table: '{topic}'")).toThrow('topics a.b and a-b would share the table a_b');
  expect(of("topics: [a.b, a-b], table: '{topic}', tables: { a-b: t }")).not.toThrow();
  expect(of('topics: [a.b, a-b], table: t')).not.toThrow();
  expect(of('topics: [a], table: t, columns: { _offset: /id }')).toThrow('_offset: is an identity column');
  expect(of('topics: [a], table: t, unknownFields: { into: _key }')).toThrow('into: is an identity column');
  expect(of('topics: [a], table: t, unknownFields: { into: _offset }')).toThrow('into: is an identity column');
  expect(of('topics: [a], table: t, columns: { _timestamp: /created }')).toThrow(
    'it takes timestamp, and nothing else',
  );
  expect(of('topics: [a], table: t, columns: { _offset: offset, _timestamp: timestamp, _key: /id }')).not.toThrow();
  expect(of('topics: [a], table: t, columns: { constructor: /id, toString: key }')).not.toThrow();
});

describe('kafka.sasl', () => {
  const withSasl = (sasl: string): string => `kafka: { sasl: ${sasl} }\n${MINIMAL}`;

  it('has the keys of its mechanism', () => {
    const token =
      "{ mechanism: oauthbearer, tokenUrl: 'https://login/token', clientId: ktb, clientSecret: s, scope: kafka }";
    expect(parse(withSasl(token)).kafka.sasl).toEqual({
      mechanism: 'oauthbearer',
      tokenUrl: 'https://login/token',
      clientId: 'ktb',
      clientSecret: 's',
      scope: 'kafka',
    });
  });

  it('tells the keys that its mechanism lacks, and those that it does not have', () => {
    expect(problems(withSasl('{ mechanism: oauthbearer, username: ktb, password: p }')).sort()).toEqual([
      'line 1: kafka.sasl.clientId: is missing',
      'line 1: kafka.sasl.clientSecret: is missing',
      'line 1: kafka.sasl.password: has no meaning with mechanism oauthbearer, which has tokenUrl, clientId, clientSecret, scope, audience',
      'line 1: kafka.sasl.tokenUrl: is missing',
      'line 1: kafka.sasl.username: has no meaning with mechanism oauthbearer, which has tokenUrl, clientId, clientSecret, scope, audience',
    ]);
    expect(problems(withSasl('{ mechanism: plain, username: ktb, clientSecret: s }'))).toHaveLength(2);
  });

  it('of Amazon MSK needs TLS, and a region and a role that can be ones', () => {
    const iam = '{ mechanism: aws-msk-iam, region: eu-central-1 }';
    expect(parse(`kafka: { ssl: true, sasl: ${iam} }\n${MINIMAL}`).kafka.sasl).toEqual({
      mechanism: 'aws-msk-iam',
      region: 'eu-central-1',
    });
    const sovereign = '{ mechanism: aws-msk-iam, region: eusc-de-east-1 }';
    expect(parse(`kafka: { ssl: true, sasl: ${sovereign} }\n${MINIMAL}`).kafka.sasl?.mechanism).toBe('aws-msk-iam');
    expect(problems(withSasl(iam))).toEqual([
      'line 1: kafka.ssl: must be true: Amazon MSK takes IAM logins only by TLS',
    ]);
    expect(problems(withSasl('{ mechanism: aws-msk-iam, region: Frankfurt, roleArn: ktb }'))).toEqual([
      'line 1: kafka.sasl.region: must be a region of AWS, such as eu-central-1',
      'line 1: kafka.sasl.roleArn: must be the ARN of a role, such as arn:aws:iam::123456789012:role/ktb',
    ]);
  });

  it('takes an address of the token server where nobody reads the secret and the token on the way', () => {
    const of = (url: string) =>
      withSasl(`{ mechanism: oauthbearer, tokenUrl: '${url}', clientId: ktb, clientSecret: s }`);
    for (const url of [
      'https://login/token',
      'https://login/token?p=policy',
      'http://127.0.0.1:8080/token',
      'http://localhost/token',
    ])
      expect(parse(of(url)).kafka.sasl, url).toMatchObject({ tokenUrl: url });
    for (const url of ['http://login/token', 'http://127.0.0.1.evil.example/token', 'ftp://login/token', 'login/token'])
      expect(problems(of(url))[0], url).toMatch(/^line 1: kafka\.sasl\.tokenUrl: must be an https:\/\/ address/);
  });

  it('takes no secret within the address of the token server', () => {
    const token =
      "{ mechanism: oauthbearer, tokenUrl: 'https://ktb:secret@login/token', clientId: ktb, clientSecret: s }";
    expect(problems(withSasl(token))).toEqual([
      'line 1: kafka.sasl.tokenUrl: must have no user or password in it: set clientId and clientSecret',
    ]);
  });
});

describe('a secret that a file has', () => {
  /** A configuration whose user and secrets are in files. */
  function inFiles() {
    const directory = mkdtempSync(join(tmpdir(), 'ktb-secrets-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const [user, secret] = [join(directory, 'user'), join(directory, 'secret')] as const;
    const write = (name: string, password: string): void => {
      writeFileSync(user, `${name}\n`);
      writeFileSync(secret, `${password}\n`);
    };
    write('ann', 'first');
    const sasl = `{ mechanism: plain, username: '\${file:${user}}', password: '\${file:${secret}}' }`;
    const config = parse(`kafka: { sasl: ${sasl} }\nhttp: { metricsToken: '\${file:${secret}}' }\n${MINIMAL}`);
    const { kafka, http } = config as { kafka: { sasl: { username: string; password: string } }; http: object };
    /** As somebody reads them who has waited before. */
    const told = async (): Promise<object> => {
      await Promise.resolve();
      return { ...kafka.sasl, ...http };
    };
    return { user, secret, write, told, sasl: kafka.sasl };
  }

  it('is told as it is in the file now, and stays while the file is gone, empty or blank', async () => {
    const { user, secret, write, told } = inFiles();
    expect(await told()).toMatchObject({ username: 'ann', password: 'first', metricsToken: 'first' });
    write('bob', 'second');
    const second = { username: 'bob', password: 'second', metricsToken: 'second' };
    expect(await told()).toMatchObject(second);
    for (const nothing of ['', '\n', ' \t\n\n']) {
      writeFileSync(secret, nothing);
      expect(await told()).toMatchObject(second);
    }
    rmSync(secret);
    expect(await told()).toMatchObject(second);
    // A user without its password is of no use.
    writeFileSync(user, 'carl');
    expect(await told()).toMatchObject(second);
  });

  it.each(['', '\n', ' \n'])('is refused at the start if the file has nothing but %j', (nothing) => {
    const directory = mkdtempSync(join(tmpdir(), 'ktb-secrets-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'token');
    writeFileSync(file, nothing);
    expect(() => parse(`http: { metricsToken: '\${file:${file}}' }\n${MINIMAL}`)).toThrow(/metricsToken/);
    expect(() => parse(`temporal: { apiKey: '\${file:${file}}', tls: true }\n${MINIMAL}`)).toThrow(/apiKey/);
  });

  it('is followed for the schema registry, too', async () => {
    const { user, secret, write } = inFiles();
    const of = (login: string) => parse(`schemaRegistry: { url: 'https://r', ${login} }\n${MINIMAL}`).schemaRegistry;
    const byUser = of(`username: '\${file:${user}}', password: '\${file:${secret}}'`);
    const byToken = of(`token: '\${file:${secret}}'`);
    expect([byUser, byToken]).toMatchObject([{ username: 'ann', password: 'first' }, { token: 'first' }]);
    write('bob', 'second');
    await Promise.resolve();
    expect([byUser, byToken]).toMatchObject([{ username: 'bob', password: 'second' }, { token: 'second' }]);
  });

  it('belongs to the user that was told before it', async () => {
    const { write, sasl } = inFiles();
    expect(sasl.username).toBe('ann');
    write('bob', 'second');
    expect(sasl.password).toBe('first');
    await Promise.resolve();
    expect(sasl.username).toBe('bob');
    expect(sasl.password).toBe('second');
  });

  it('is not taken while its file is being written', async () => {
    const { secret, write, told } = inFiles();
    write('bob', 'sec');
    const wait = vi.spyOn(Atomics, 'wait').mockImplementationOnce(() => {
      writeFileSync(secret, 'second');
      return 'timed-out';
    });
    expect(await told()).toMatchObject({ username: 'bob', password: 'second' });
    expect(wait.mock.calls.map(([, , , ms]) => ms)).toContain(100);
    wait.mockImplementation(() => {
      writeFileSync(secret, String(Math.random()));
      return 'timed-out';
    });
    write('carl', 'third');
    expect(await told()).toMatchObject({ username: 'bob', password: 'second' });
  });
});

const REGISTRY = 'schemaRegistry: { url: https://registry.example.com/api, username: u, password: p }';

it('a decoded format travels in a form that version 0.1.0 does not insert', () => {
  const text = `${REGISTRY}
pipelines:
  a: { topics: [x], table: t, format: avro, columns: { id: /order/id } }
  b: { topics: [y], table: '{topic}', tables: { y: t }, format: json-schema, unknownFields: reject }
  c: { topics: [z], table: t, format: avro, avro: { unions: named } }
  d: { topics: [u], table: t, format: protobuf, protobuf: { bytes: base64 } }
`;
  const { schemaRegistry, pipelines } = parse(text);
  const url = 'https://registry.example.com/api';
  const login = { username: 'u', password: 'p', token: null, tls: null };
  expect(schemaRegistry).toEqual({ url, ...login, requestTimeoutMs: 10_000 });
  const destinations = pipelines.map(({ settings: { destination } }) => destination);
  expect(destinations.map(({ table, decodedTable }) => [table, decodedTable])).toEqual([
    [null, 't'],
    [null, { ofTopics: { y: 't' }, others: '{topic}' }],
    [null, 't'],
    [null, 't'],
  ]);
  expect(destinations.map(({ mapping }) => mapping)).toEqual([
    { format: 'avro', unknownFields: 'ignore', tombstones: 'reject' },
    { format: 'json-schema', unknownFields: 'reject', tombstones: 'reject' },
    { format: 'avro', unknownFields: 'ignore', tombstones: 'reject', avro: { bytes: 'raw', unions: 'named' } },
    { format: 'protobuf', unknownFields: 'ignore', tombstones: 'reject', protobuf: { bytes: 'base64' } },
  ]);
  expect(destinations[0]?.columns).toEqual({ id: '/order/id' });
  expect(parse('pipelines: { a: { topics: [x], table: t } }').schemaRegistry).toBeNull();
});

it('records that hold many rows travel in a form that version 0.1.0 does not insert, and have no one value to shard by', () => {
  for (const format of ['json-lines', 'json-array']) {
    const text = (more = '') => `pipelines: { a: { topics: [x], table: t, format: ${format}${more} } }`;
    const { table, decodedTable, mapping, columns } = parse(text()).pipelines[0]!.settings.destination;
    expect([table, decodedTable, mapping.format, columns]).toEqual([null, 't', format, {}]);
    expect(problems(text(', shardBy: /id'))).toEqual([
      `line 1: pipelines.a.shardBy: leads into one object, and the values are ${format}, which hold many; use key, partition, or header:NAME`,
    ]);
    expect(problems(text(', columns: { _row: /row }'))).toEqual([
      expect.stringContaining('columns._row: is an identity column'),
    ]);
    expect(problems(text(', unknownFields: { into: _row }')).join()).toContain('is an identity column');
    expect(parse(text(', where: { pointer: /a, exists: true }, unknownFields: reject')).pipelines).toHaveLength(1);
  }
  expect(parse('pipelines: { a: { topics: [x], table: t, columns: { _row: /row } } }').pipelines).toHaveLength(1);
});

it('changes in an envelope travel in a form that version 0.1.0 does not insert, and their tombstones are skipped', () => {
  const text = (more = '') => `${REGISTRY}\npipelines: { a: { topics: [x], table: t, envelope: debezium${more} } }`;
  const { table, decodedTable, mapping } = parse(text()).pipelines[0]!.settings.destination;
  const envelope = { type: 'debezium', version: 'offset', truncates: 'reject' };
  expect([table, decodedTable, mapping]).toEqual([
    null,
    't',
    { format: 'json', unknownFields: 'ignore', tombstones: 'skip', envelope },
  ]);
  const chosen = parse(text(', debezium: { version: ts_ms, truncates: skip }')).pipelines[0]!.settings.destination;
  expect(chosen.mapping.envelope).toEqual({ type: 'debezium', version: 'ts_ms', truncates: 'skip' });
  for (const [more, message] of [
    [', format: json-lines', 'envelope: is around one JSON object; the values are json-lines'],
    [', format: text', 'envelope: is around one JSON object; the values are text'],
    [', format: avro, avro: { unions: named }', 'avro.unions: must be plain'],
    [', tombstones: insert', 'tombstones: cannot be insert'],
    [', columns: { _version: /v }', 'columns._version: is filled from the envelope'],
    [', shardBy: /tenant', 'shardBy: leads into the envelope, where there is nothing of this name'],
    [', unknownFields: { into: _is_deleted }', 'unknownFields.into: is filled from the envelope'],
  ] as const)
    expect(problems(text(more)).join()).toContain(message);
  expect(problems('pipelines: { a: { topics: [x], table: t, debezium: {} } }').join()).toContain(
    'debezium: needs envelope: debezium',
  );
  expect(parse(text(', format: protobuf, where: { pointer: /a, exists: true }')).pipelines).toHaveLength(1);
});

it('records are left out in a form that version 0.1.0 does not insert', () => {
  const text = (where: string, format = 'json') =>
    `${REGISTRY}\npipelines: { a: { topics: [x], table: t, format: ${format}, where: ${where} } }`;
  const rule = { pointer: '/a', equals: 'x' };
  for (const where of ['{ pointer: /a, equals: x }', '[{ pointer: /a, equals: x }]']) {
    const { table, decodedTable, mapping } = parse(text(where)).pipelines[0]!.settings.destination;
    expect([table, decodedTable, mapping]).toEqual([
      null,
      't',
      { format: 'json', unknownFields: 'ignore', tombstones: 'reject', where: [rule] },
    ]);
  }
  const into = parse('pipelines: { a: { topics: [x], table: t, unknownFields: { into: extra } } }').pipelines[0]!;
  const { table, decodedTable, mapping } = into.settings.destination;
  expect([table, decodedTable, mapping.unknownFields]).toEqual([null, 't', { into: 'extra' }]);
  const mapped = 'unknownFields: { into: a }, columns: { a: /a }';
  expect(problems(`pipelines: { a: { topics: [x], table: t, ${mapped} } }`).join()).toContain('something else');
  expect(problems('pipelines: { a: { topics: [x], table: t, unknownFields: into } }').join()).toContain(
    '{ into: COLUMN }',
  );
  const refused = (where: string, format?: string) => problems(text(where, format)).join();
  expect(refused('{ pointer: /a }')).toContain('must say what is wanted');
  expect(refused('{ pointer: a, exists: true }')).toContain('must be a JSON pointer');
  expect(refused('[]')).toContain('at least one');
  expect(refused('{ pointer: /a, equals: 0.1 }')).toContain('put it in quotes');
  expect(refused('{ pointer: /a, equals: x }', 'text')).toContain('where: is about JSON objects; the values are text');
});

it('settings of a pipeline that are too large to travel with its records are refused, at their largest part', () => {
  const text = (characters: number, more = '') =>
    `pipelines: { a: { topics: [x], table: t, where: { pointer: /a, in: ['${'ä'.repeat(characters)}'] }${more} } }`;
  expect(parse(text(32_000)).pipelines).toHaveLength(1);
  expect(problems(text(33_000))).toEqual([
    expect.stringMatching(/pipelines.a.where: is too long: .* take 66\d{3} bytes as JSON, and may take 65536/),
  ]);
  const columns = Object.fromEntries(
    Array.from({ length: 2_000 }, (_, index) => [`column_${index}`, '/some/where/else']),
  );
  expect(problems(text(10_000, `, columns: ${JSON.stringify(columns)}`))).toEqual([
    expect.stringContaining('pipelines.a.columns: is too long'),
  ]);
});

it('refuses Avro without a registry, and a registry that cannot be meant so', () => {
  expect(
    problems(`pipelines:
  a: { topics: [x], table: t, format: avro, shardBy: /id }
  b: { topics: [y], table: t, avro: { bytes: base64 } }
  c: { topics: [z], table: t, protobuf: { bytes: base64 } }
  d: { topics: [u], table: t, format: protobuf }
  e: { topics: [v], table: t, key: { format: avro } }
  f: { topics: [w], table: t, columns: { id: 'key:/id', first: { first: [/a, 'key:/b'] }, op: 'envelope:/op' } }
`),
  ).toEqual([
    'line 2: pipelines.a.format: needs schemaRegistry, which has the schemas',
    'line 3: pipelines.b.avro: is about Avro; the values are json',
    'line 4: pipelines.c.protobuf: is about Protobuf; the values are json',
    'line 5: pipelines.d.format: needs schemaRegistry, which has the schemas',
    'line 6: pipelines.e.key.format: needs schemaRegistry, which has the schemas',
    'line 7: pipelines.f.columns.id: leads into the key, and keys are bytes: set key.format',
    'line 7: pipelines.f.columns.first: leads into the key, and keys are bytes: set key.format',
    'line 7: pipelines.f.columns.op: leads into the envelope, and there is none: set envelope',
  ]);
  const text = `schemaRegistry: { url: 'http://u:p@r.example.com?a=b', password: p, token: t, tls: { ca: no } }
pipelines: { a: { topics: [x], table: t } }`;
  expect(problems(text)).toEqual([
    'line 1: schemaRegistry.url: must not hold credentials; use username and password',
    'line 1: schemaRegistry.url: must not hold parameters',
    'line 1: schemaRegistry.tls: is for an https:// address, and url is an http:// one',
    'line 1: schemaRegistry.token: stands for user and password: leave username and password out, or token',
    'line 1: schemaRegistry.password: has no username beside it: set username, too',
    'line 1: schemaRegistry.tls.ca: must be a certificate in PEM (-----BEGIN CERTIFICATE-----); of a file as "${file:/path/name.pem}"',
  ]);
});

describe('tables by a value', () => {
  const pipeline = (table: string, more = '') => `pipelines: { p: { topics: [orders], table: ${table}${more} } }`;
  const destination = (table: string, more = '') => parse(pipeline(table, more)).pipelines[0]?.settings.destination;

  it('are those that are named, and those of a template; values are texts, and names are quoted', () => {
    const named =
      "{ by: '/tenant', tables: { acme: acme.orders, globex: '`globex shop`.orders' }, template: '{value}.orders', values: ['0123', 'true', north-west, \"o'neil\"], otherwise: other.orders }";
    expect(destination(named)).toMatchObject({
      table: null,
      tablesOfValues: {
        by: '/tenant',
        tables: [
          ['acme', 'acme.orders'],
          ['globex', '`globex shop`.orders'],
          ['0123', '`0123`.orders'],
          ['true', 'true.orders'],
          ['north-west', '`north-west`.orders'],
          ["o'neil", "`o'neil`.orders"],
        ],
        otherwise: { table: 'other.orders' },
      },
    });
    expect(destination('{ by: key, tables: { a: b } }')).toMatchObject({ tablesOfValues: { otherwise: 'reject' } });
    const skip = '{ by: header:tenant, tables: { a: b }, otherwise: skip }';
    expect(destination(skip)).toMatchObject({ tablesOfValues: { otherwise: 'skip' } });
  });

  it.each([
    ['{ by: /t }', '', /must name the values that have a table/],
    ['{ tables: { a: b } }', '', /table\.by: is missing/],
    ['{ by: t, tables: { a: b } }', '', /table\.by: must be a JSON pointer/],
    ["{ by: /t, template: '{value}' }", '', /must have template and values, or neither/],
    ['{ by: /t, values: [a] }', '', /must have template and values, or neither/],
    [
      '{ by: /t, template: orders, values: [a] }',
      '',
      /table\.template: must be table or database\.table, with \{value\}/,
    ],
    ["{ by: /t, template: '{value}', values: ['']}", '', /table\.values\[0\]: must be a text that a name can have/],
    ["{ by: /t, template: '{value}', values: [a], tables: { a: b } }", '', /must name each value once/],
    ["{ by: /t, template: '{value}', values: [a, b, a] }", '', /must name each value once: one of values comes twice/],
    ["{ by: /t, template: '{value}', values: [0123] }", '', /table\.values\[0\]: must be a text: put it in quotes/],
    ["{ by: /t, template: '{value}', values: [true] }", '', /table\.values\[0\]: must be a text: put it in quotes/],
    [
      '{ by: /t, tables: { 0x10: b } }',
      '',
      /table\.tables\.16: is a key that YAML reads as a number.*put it in quotes/,
    ],
    ['{ by: /t, tables: { True: b } }', '', /table\.tables\.true: is a key that YAML reads as a number or the like/],
    ["{ by: /t, tables: { 16: a, '16': b } }", '', /is not YAML: Map keys must be unique/],
    ['{ by: /t, tables: { a: b }, otherwise: Skip }', '', /table\.otherwise: must be reject, skip, or a table; one/],
    ['{ by: /t, tables: { a: b }, otherwise: drop }', '', /table\.otherwise: must be reject, skip, or a table; one/],
    [
      "{ by: /t, tables: { a: '{topic}' } }",
      '',
      /table\.tables\.a: must be table or database\.table, without \{topic\}/,
    ],
    ['{ by: /t, tables: { __proto__: b, a: b } }', '', /table\.tables\.__proto__: cannot be a name here/],
    ['{ by: /t, tables: { a: b } }', ', tables: { orders: c }', /tables: is about topics/],
    ['{ by: /t, tables: { a: b } }', ', format: text', /table\.by: leads into JSON, and the values are text/],
    ['{ by: /t, tables: { a: b } }', ', format: json-lines', /table\.by: leads into one object/],
    ['{ by: key:/t, tables: { a: b } }', '', /table\.by: leads into the key, and keys are bytes/],
    ['{ by: envelope:/t, tables: { a: b } }', '', /table\.by: leads into the envelope, and there is none/],
    [
      '{ by: /t, tables: { a: b, c: default.b } }',
      '',
      /table: names one table as b and as default\.b: write it in the/,
    ],
    ["{ by: /t, tables: { a: '`b`' }, otherwise: b }", '', /table: names one table as `b` and as b: write it in the/],
    ['{ by: /t, tables: { a: b }, otherwize: skip }', '', /table\.otherwize: unknown key; did you mean otherwise/],
  ])('%s%s is refused, and the problem says why', (table, more, why) => {
    expect(problems(pipeline(table, more)).join('\n')).toMatch(why);
  });
});

it('shardBy leads into keys that are read', () => {
  const pipeline = (more: string) => `pipelines: { p: { topics: [orders], table: t, shardBy: key:/id${more} } }`;
  expect(parse(pipeline(', key: { format: json }')).pipelines[0]?.layout.keyFunction).toBe('key:/id');
  expect(problems(pipeline(''))).toEqual([
    'line 1: pipelines.p.shardBy: leads into the key, and keys are bytes: set key.format',
  ]);
});
