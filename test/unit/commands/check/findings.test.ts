import { expect, it } from 'vitest';
import { LOOKUP_COLUMNS } from '../../../../src/clickhouse/rows.js';
import { DEFAULT_LIMITS } from '../../../../src/clickhouse/values/valueCheck.js';
import {
  judgeNamespace,
  judgeServerVersion,
  judgeTable,
  judgeTopics,
  type Finding,
  type TableFacts,
  type TopicFacts,
} from '../../../../src/commands/check/findings.js';
import { parseConfig } from '../../../../src/config/load.js';

const pipeline = (more = '', customerFrom = '/who') =>
  parseConfig(
    `pipelines: { orders: { topics: [orders], table: orders, reply: { topic: replies }, columns: { customer: '${customerFrom}' } ${more} } }`,
    'ktb.yaml',
    {},
  ).pipelines[0]!;

const topic = (name: string, facts: Partial<TopicFacts> = {}, settings: Record<string, string> = {}): TopicFacts => ({
  name,
  partitions: 8,
  replicas: 3,
  leaderless: [],
  settings: new Map(Object.entries({ 'retention.ms': '604800000', 'max.message.bytes': '1048588', ...settings })),
  noSettingsBecause: null,
  ...facts,
});
const topics = (...changed: TopicFacts[]) =>
  new Map([topic('orders'), topic('replies'), topic('orders.dead-letters'), ...changed].map((t) => [t.name, t]));
const summary = (findings: Finding[]) =>
  findings.filter(({ level }) => level !== 'ok').map(({ level, subject, message }) => `${level} ${subject} ${message}`);
const judged = (...changed: TopicFacts[]) => summary(judgeTopics(pipeline(), topics(...changed), 3));

it('finds nothing wrong with topics as they should be', () => {
  expect(judged()).toEqual([]);
  expect(judged(topic('orders', {}, { 'retention.ms': '-1' }))).toEqual([]);
});

it('says how long a topic keeps its records, also if that is bounded by their size', () => {
  const said = (settings: Record<string, string>) =>
    judgeTopics(pipeline(), topics(topic('orders', {}, settings)), 3).find(({ subject }) => subject === 'topic orders')
      ?.message;
  expect(said({ 'retention.bytes': '-1' })).toBe('8 partitions, kept for 7 days');
  expect(said({ 'retention.bytes': '10485760' })).toBe('8 partitions, kept for 7 days, at most 10 MiB a partition');
});

it.each([
  ['a short retention', topic('orders', {}, { 'retention.ms': '3600000' }), /warning topic orders keeps .* 1 hours/],
  ['compaction', topic('orders', {}, { 'cleanup.policy': 'compact,delete' }), /warning topic orders is compacted/],
  ['records for no signal', topic('orders', {}, { 'max.message.bytes': '2000000' }), /fit into no signal/],
  [
    'dead letters too large for their topic',
    topic('orders.dead-letters', {}, { 'max.message.bytes': '1000' }),
    /warning topic orders takes .* only of 1000.* without its value/,
  ],
  [
    'dead letters soon gone',
    topic('orders.dead-letters', {}, { 'retention.ms': '86400000' }),
    /warning topic orders.dead-letters keeps/,
  ],
  [
    'compacted replies',
    topic('replies', {}, { 'cleanup.policy': 'compact' }),
    /wrong topic replies is compacted: of two acknowledgements/,
  ],
  [
    'compacted dead letters',
    topic('orders.dead-letters', {}, { 'cleanup.policy': 'compact,delete' }),
    /wrong topic orders.dead-letters is compacted: of two dead letters/,
  ],
  ['a partition without a leader', topic('orders', { leaderless: [3] }), /wrong topic orders .* partition 3/],
  ['one copy', topic('replies', { replicas: 1 }), /warning topic replies has a partition with one copy/],
  ['settings not to be read', topic('replies', { settings: null }), /warning topic replies may not be asked/],
  [
    'settings that do not come in time',
    topic('replies', { settings: null, noSettingsBecause: 'no answer within 4 s' }),
    /^warning topic replies did not say its settings: no answer within 4 s$/,
  ],
])('%s', (_name, changed, message) => {
  expect(judged(changed).join('\n')).toMatch(message);
});

it('a missing topic is wrong, and says what to do', () => {
  const left = topics();
  left.delete('replies');
  expect(judgeTopics(pipeline(), left, 3)).toContainEqual(
    expect.objectContaining({
      level: 'wrong',
      subject: 'topic replies',
      todo: expect.stringContaining('ktb setup') as string,
    }),
  );
});

it('one copy is all that one broker can have', () => {
  expect(summary(judgeTopics(pipeline(), topics(topic('orders', { replicas: 1 })), 1))).toEqual([]);
});

it('more batchers than partitions are of no use where they go by partition', () => {
  const found = summary(judgeTopics(pipeline(', batchers: 9, shardBy: partition'), topics(), 3));
  expect(found).toEqual([expect.stringContaining('8 partitions for 9 batchers')]);
});

it('more partitions than batchers can remember are told of before they are too many', () => {
  expect(judged(topic('orders', { partitions: 3_000 }))).toEqual([]);
  const found = judged(topic('orders', { partitions: 3_001 }));
  expect(found).toEqual([expect.stringMatching(/warning pipeline orders reads 3001 partitions/)]);
});

const IDENTITY = ['_topic', '_partition', '_epoch', '_offset', '_timestamp'];
const TYPES: Readonly<Record<string, string>> = {
  _partition: 'UInt32',
  _offset: 'UInt64',
  _timestamp: 'DateTime64(3)',
};
const columnsOf = (...names: readonly string[]) => new Map(names.map((name) => [name, TYPES[name] ?? 'String']));
const projected = (projection: string) => ({
  sortingKey: 'customer',
  createStatement: `CREATE TABLE default.orders (\`customer\` String, ${projection}) ENGINE = MergeTree ORDER BY customer`,
});
const window = (name: string, blocks = 1_000, seconds = Infinity, setting: string | null = 'a_window') => ({
  table: `\`default\`.\`${name}\``,
  setting,
  blocks,
  ms: seconds * 1_000,
});
const table = (facts: Partial<TableFacts> = {}, customerFrom = '/who') =>
  summary(
    judgeTable(pipeline('', customerFrom), {
      name: 'orders',
      columns: columnsOf(...IDENTITY, 'customer'),
      engine: 'MergeTree',
      sortingKey: IDENTITY.join(', '),
      createStatement: 'CREATE TABLE orders',
      windows: [window('orders')],
      refusal: null,
      lookUpRefusal: null,
      slowInsert: null,
      slowLookUp: null,
      ...facts,
    }),
  ).join('\n');

it('finds nothing wrong with a table as it should be, replicated or not', () => {
  expect(table()).toBe('');
  expect(table({ engine: 'ReplicatedMergeTree' })).toBe('');
  expect(table({ windows: [window('orders', 100), window('daily', 100, 3_600)] })).toBe('');
  expect(table({ windows: [window('orders', 5)] })).toBe('');
  const identity = '_topic, _partition, _epoch, _offset';
  expect(table(projected(`PROJECTION by_identity (SELECT ${identity}, _timestamp ORDER BY ${identity})`))).toBe('');
  expect(table(projected('PROJECTION `p 1` ( SELECT * ORDER BY `_offset`, _topic )'))).toBe('');
});

it.each([
  [{ columns: new Map([['customer', 'String']]) }, 'warning table orders lacks _topic, _partition, _offset, _epoch'],
  [{ columns: columnsOf(...IDENTITY) }, 'wrong table orders has no column customer'],
  [{ columns: columnsOf(...LOOKUP_COLUMNS, 'customer') }, 'lacks _timestamp'],
  [{ sortingKey: 'customer' }, 'is not sorted by its identity columns'],
  [{ sortingKey: '_topic, _partition, customer, _offset' }, 'is not sorted by its identity columns'],
  [projected('INDEX by_offset _offset TYPE minmax GRANULARITY 1'), 'is not sorted by its identity columns'],
  [projected('PROJECTION p (SELECT _offset ORDER BY _offset)'), 'is not sorted by its identity columns'],
  [projected('PROJECTION p (SELECT * ORDER BY customer, _offset)'), 'is not sorted by its identity columns'],
  [{ slowInsert: 'no answer within 4 s' }, 'warning table orders is slow to take inserts: no answer within 4 s'],
  [
    {
      columns: Object.assign(columnsOf(...IDENTITY, 'customer').set('d', 'JSON(a Int64)'), { limits: DEFAULT_LIMITS }),
    },
    'warning table orders rejects integers beyond 2^53 at paths without a type in column d',
  ],
  [{ slowLookUp: 'no answer within 4 s' }, 'warning table orders is slow to be looked up: no answer within 4 s'],
  [{ lookUpRefusal: 'Not enough privileges' }, 'wrong table orders may not be looked up: Not enough privileges'],
  [
    { columns: new Map([...columnsOf(...IDENTITY, 'customer'), ['_partition', 'UInt8']]) },
    'wrong table orders column _partition is UInt8, which is too narrow',
  ],
  [
    { columns: new Map([...columnsOf(...IDENTITY, 'customer'), ['_offset', 'String']]) },
    'wrong table orders column _offset is String, by which no record can be looked up',
  ],
  [
    { columns: new Map([...columnsOf(...IDENTITY, 'customer'), ['_timestamp', 'Date']]) },
    'warning table orders column _timestamp is Date, which does not keep the second',
  ],
  [{ windows: [window('orders', 0)] }, 'remembers no deduplication tokens'],
  [{ engine: 'Distributed' }, 'knows no deduplication tokens'],
  [
    { windows: [window('orders'), window('a', 1_000), window('daily', 99)] },
    'warning table orders has a view that writes to `default`.`daily`, which knows the tokens of 99 blocks only',
  ],
  [{ windows: [window('orders', 5), window('daily')] }, 'warning table orders knows the tokens of 5 blocks only'],
  [
    { windows: [window('orders'), window('daily', 1_000, 60)] },
    'which knows tokens for 60 s only: then what a failing view lacks cannot be sent again',
  ],
  [{ windows: [window('orders'), window('daily', 0)] }, '`daily`, which knows no deduplication tokens'],
  [{ windows: [window('orders'), window('daily', 0, 0, null)] }, '`daily`, which knows no deduplication tokens'],
  [
    { windows: [window('orders'), { table: null, setting: null, blocks: 0, ms: 0 }] },
    'has a view of which it cannot be told what it writes to',
  ],
  [{ refusal: 'Not enough privileges' }, 'wrong table orders takes no inserts: Not enough privileges'],
] as [Partial<TableFacts>, string][])('%j', (facts, message) => {
  expect(table(facts)).toContain(message);
});

it.each(['JSON', 'Nullable(JSON)', 'Map(String, String)', 'Array(UInt8)', 'Point'])(
  'a text or a number for a column of %s, which takes JSON, is wrong; a value and what a pointer leads to are not',
  (type) => {
    for (const from of ['key', 'header:who', 'topic', 'offset']) {
      const found = table({ columns: new Map([...columnsOf(...IDENTITY), ['customer', type]]) }, from);
      expect(found).toContain(`wrong table orders refuses all that has a value for column customer: it is ${type}`);
      expect(found).toContain(`${from} gives it none`);
    }
    for (const from of ['value', '/who'])
      expect(table({ columns: new Map([...columnsOf(...IDENTITY), ['customer', type]]) }, from)).toBe('');
    expect(table({ columns: columnsOf(...IDENTITY, 'customer') }, 'key')).toBe('');
  },
);

it.each([
  'Float32',
  'UInt32',
  'Int16',
  'Decimal(9, 0)',
  'UUID',
  'Bool',
  'IPv4',
  'Time',
  'FixedString(10)',
  "Enum8('a' = 1)",
])('a timestamp for a column of %s, which takes none of today, is wrong', (type) => {
  expect(table({ columns: new Map([...columnsOf(...IDENTITY), ['customer', type]]) }, 'timestamp')).toContain(
    `wrong table orders refuses all that has a value for column customer: it is ${type}, which takes no timestamp`,
  );
});

it.each([
  'UInt64',
  'Nullable(Int128)',
  'LowCardinality(UInt64)',
  'Float64',
  'Decimal(18, 3)',
  'Date',
  'Date32',
  'DateTime',
])('a timestamp for a column of %s is well', (type) => {
  expect(table({ columns: new Map([...columnsOf(...IDENTITY), ['customer', type]]) }, 'timestamp')).toBe('');
});

it('a namespace has to keep closed runs until they are taken over, and a task queue needs workers of both kinds', () => {
  const facts = {
    namespace: 'default',
    taskQueue: 'ktb',
    payloadBytesMax: 2_097_152,
    workflowPollers: 1,
    unclaimed: [],
  };
  const levels = (retentionDays: number, pollers = 1) =>
    judgeNamespace({
      ...facts,
      activityQueues: [{ taskQueue: 'ktb', pollers }],
      retentionMs: retentionDays * 86_400_000,
    }).map(({ level }) => level);
  expect(levels(7)).toEqual(['ok', 'ok']);
  expect(levels(1)).toEqual(['warning', 'ok']);
  expect(levels(0.5)).toEqual(['wrong', 'ok']);
  expect(levels(7, 0)).toEqual(['ok', 'warning']);
});

it('workers of the batchers’ task queue are none of an installation whose activities are on another', () => {
  const facts = { namespace: 'default', taskQueue: 'ktb', payloadBytesMax: 2_097_152, retentionMs: 7 * 86_400_000 };
  const queues = (pollers: number, unclaimed: string[] = []) =>
    judgeNamespace({
      ...facts,
      workflowPollers: 1,
      activityQueues: unclaimed.length > 0 ? [] : [{ taskQueue: 'ktb@two', pollers }],
      unclaimed,
    })
      .slice(1)
      .map(({ level, subject, message }) => `${level} ${subject}: ${message}`);
  expect(queues(2)).toEqual(['ok task queue ktb: 1 worker', 'ok task queue ktb@two: 2 workers']);
  const waits = 'batchers hold what they get';
  expect(queues(0)[1]).toBe(`warning task queue ktb@two: no worker asks for work: ${waits}`);
  expect(queues(0, ['orders'])[1]).toBe(`warning pipeline orders: no worker of this version has run with it yet`);
});

it('a namespace that takes smaller payloads than Temporal does by default is said, with what to do', () => {
  const facts = {
    namespace: 'default',
    taskQueue: 'ktb',
    retentionMs: 7 * 86_400_000,
    workflowPollers: 1,
    activityQueues: [],
    unclaimed: [],
  };
  const limits = (payloadBytesMax: number) =>
    judgeNamespace({ ...facts, payloadBytesMax }).filter(({ message }) => message.includes('payloads'));
  expect(limits(2_097_152)).toEqual([]);
  expect(limits(4_194_304)).toEqual([]);
  expect(limits(1_048_576)).toMatchObject([
    {
      level: 'warning',
      message: expect.stringContaining('1024 KiB') as string,
      todo: expect.stringContaining('limit.blobSize.error') as string,
    },
  ]);
});

it('warns about a ClickHouse that is older than README supports, and about no other', () => {
  for (const version of ['24.8.1.1', '24.8.14.10459.altinitystable', '24.10.1.1', '25.3.2.39', '26.7.1.1'])
    expect([version, judgeServerVersion(version)]).toEqual([version, []]);
  for (const version of ['24.7.6.8', '24.3.1.1', '23.12.1.1', ''])
    expect([version, judgeServerVersion(version).map(({ level }) => level)]).toEqual([version, ['warning']]);
});
