import { expect, it } from 'vitest';
import { LOOKUP_COLUMNS } from '../../../../src/clickhouse/identityColumns.js';
import { DEFAULT_LIMITS } from '../../../../src/clickhouse/values/valueCheck.js';
import { judgeTable, type CheckedTable } from '../../../../src/commands/check/tableFindings.js';
import { pipeline, summary } from '../../../support/checks.js';

const IDENTITY = ['_topic', '_partition', '_epoch', '_offset', '_timestamp'];
const TYPES: Readonly<Record<string, string>> = {
  _partition: 'UInt32',
  _offset: 'UInt64',
  _timestamp: 'DateTime64(3)',
};
const columnsOf = (...names: readonly string[]) => new Map(names.map((name) => [name, TYPES[name] ?? 'String']));
const projected = (projection: string) => ({
  sortingKey: 'customer',
  createQuery: `CREATE TABLE default.orders (\`customer\` String, ${projection}) ENGINE = MergeTree ORDER BY customer`,
});
const window = (name: string, blocks = 1_000, seconds = Infinity, setting: string | null = 'a_window') => ({
  table: `\`default\`.\`${name}\``,
  setting,
  blocks,
  ms: seconds * 1_000,
});
const SOUND: CheckedTable = {
  name: 'orders',
  columns: columnsOf(...IDENTITY, 'customer'),
  engine: 'MergeTree',
  sortingKey: IDENTITY.join(', '),
  createQuery: 'CREATE TABLE orders',
  dependents: 0,
  windows: [window('orders')],
  refusal: null,
  lookUpRefusal: null,
  slowInsert: null,
  slowLookUp: null,
  mayAddColumns: null,
};
const table = (facts: Partial<CheckedTable> = {}, customerFrom = '/who') =>
  summary(judgeTable(pipeline('', customerFrom), { ...SOUND, ...facts })).join('\n');

it('for records that may hold many rows a table needs _row, where merges look at it, too', () => {
  const many = (facts: Partial<CheckedTable>) =>
    judgeTable(pipeline(', format: json-lines'), { ...SOUND, ...facts })
      .filter(({ level }) => level !== 'ok')
      .map(({ level, message, todo }) => `${level} ${message}: ${todo}`)
      .join('\n');
  const key = '_topic, _partition, _epoch, _offset';
  const withRow = new Map([...SOUND.columns, ['_row', 'UInt32']]);
  const merging = 'ReplacingMergeTree';
  expect(many({})).toMatch(/^wrong has no column _row.*: ALTER TABLE `orders` ADD COLUMN _row UInt32$/);
  expect(many({ engine: merging, sortingKey: key })).toMatch(
    /ALTER TABLE `orders` ADD COLUMN _row UInt32, MODIFY ORDER BY \(_topic, _partition, _epoch, _offset, _row\)$/,
  );
  expect(many({ columns: withRow })).toBe('');
  expect(many({ columns: withRow, engine: merging, sortingKey: `${key}, _row` })).toBe('');
  expect(many({ columns: withRow, engine: merging, sortingKey: key })).toContain('merges would leave one row');
  // Rows of one customer are merged on purpose.
  expect(many({ columns: withRow, engine: merging, sortingKey: 'customer' })).not.toContain('merges');
  const narrow = new Map([...SOUND.columns, ['_row', 'UInt16']]);
  expect(many({ columns: narrow })).toContain('MODIFY COLUMN _row UInt32');
  const identity = `_topic, _partition, _epoch, _offset`;
  const projection = (columns: string) =>
    many({ columns: withRow, ...projected(`PROJECTION p (SELECT ${columns} ORDER BY ${identity})`) });
  expect(projection(`${identity}, _row`)).toBe('');
  expect(projection(identity)).toContain('is not sorted by its identity columns');
  expect(table({ engine: merging, sortingKey: key })).toBe('');
});

it('a table needs the column for fields that have none', () => {
  const gathering = (...more: string[]) =>
    summary(
      judgeTable(pipeline(', unknownFields: { into: extra }'), { ...SOUND, columns: columnsOf(...IDENTITY, ...more) }),
    ).join();
  expect(gathering('customer')).toContain('wrong table orders has no column extra, which the pipeline names');
  expect(gathering()).toContain('wrong table orders has no column customer, extra, which the pipeline names');
  expect(gathering('customer', 'extra')).toBe('');
});

it('for changes a table needs _version and _is_deleted, and should replace rows by them', () => {
  const changes = (facts: Partial<CheckedTable>) =>
    judgeTable(pipeline(', envelope: debezium'), {
      ...SOUND,
      ...projected('PROJECTION p (SELECT * ORDER BY _offset)'),
      ...facts,
    })
      .filter(({ level }) => level !== 'ok')
      .map(({ level, message, todo }) => `${level} ${message}: ${todo}`)
      .join('\n');
  const columns = new Map([...SOUND.columns, ['_version', 'UInt64'], ['_is_deleted', 'UInt8']]);
  const engineFull = 'ReplacingMergeTree(_version, _is_deleted) ORDER BY customer SETTINGS index_granularity = 8192';
  const fitting = { columns, engine: 'ReplacingMergeTree', engineFull };
  expect(changes(fitting)).toBe('');
  expect(changes({ columns, engine: 'ReplicatedReplacingMergeTree', engineFull: `Replicated${engineFull}` })).toBe('');
  expect(changes({ ...fitting, columns: SOUND.columns })).toContain(
    'ALTER TABLE `orders` ADD COLUMN _version UInt64, ADD COLUMN _is_deleted UInt8',
  );
  expect(changes({ ...fitting, columns: new Map([...columns, ['_version', 'String']]) })).toMatch(
    /^wrong has a column _version of type String.*MODIFY COLUMN _version UInt64$/,
  );
  expect(changes({ columns })).toMatch(/^warning has not the engine/);
  expect(changes({ ...fitting, engineFull: 'ReplacingMergeTree(_version) ORDER BY id' })).toContain(
    'has not the engine',
  );
  expect(changes({ ...fitting, sortingKey: SOUND.sortingKey })).toContain('is sorted by _offset');
});

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
] as [Partial<CheckedTable>, string][])('%j', (facts, message) => {
  expect(table(facts)).toContain(message);
});

it.each(['Null', 'Memory', 'Buffer'])('a table of engine %s is wrong: it loses what is acknowledged', (engine) => {
  const found = table({ engine, sortingKey: '', windows: [window('orders', 0, 0, null)] });
  expect(found).toContain(`wrong table orders has the engine ${engine}, which`);
  expect(found).toContain('records are acknowledged as inserted and get lost');
  expect(found).not.toContain('ALTER TABLE');
});

it('a table of engine Null whose views keep the rows is a warning: they may take them twice', () => {
  const found = table({ engine: 'Null', sortingKey: '', dependents: 1, windows: [] });
  expect(found).toMatch(/^warning table orders has the engine Null: .*the views take them twice/);
});

it.each(['Null', 'Memory', 'Buffer', 'View', 'MaterializedView', 'Distributed', 'Log', 'Merge', 'URL'])(
  'statements are proposed only to engines that can follow them: none to %s',
  (engine) => {
    const noWindow = [window('orders', 0, 0, null)];
    const narrow = new Map([...columnsOf(...IDENTITY, 'customer'), ['_partition', 'UInt8']]);
    for (const facts of [{}, { columns: columnsOf('customer') }, { columns: narrow }]) {
      const found = judgeTable(pipeline('', '/who'), { ...SOUND, engine, sortingKey: '', windows: noWindow, ...facts });
      for (const { todo } of found) {
        expect(todo).not.toMatch(/PROJECTION|SETTING/);
        if (engine !== 'Distributed') expect(todo).not.toMatch(/ALTER TABLE|ktb setup/);
        else if (/ALTER TABLE|ktb setup/.test(todo)) expect(todo).toMatch(/^first in its local tables, then here: /);
      }
    }
  },
);

it('of a Distributed table it is said in words what its local tables need', () => {
  const [found, ...more] = judgeTable(pipeline('', '/who'), {
    ...SOUND,
    engine: 'Distributed',
    sortingKey: '',
    windows: [window('orders', 0, 0, null)],
  });
  expect(more).toEqual([]);
  expect(found?.todo).toBe(
    'give each local table a deduplication window, and an order or a projection by _topic, _partition, _epoch, _offset',
  );
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

it('who evolves a table has to be allowed to add columns, if it is one that is altered', () => {
  const evolving = (evolve: string, facts: Partial<CheckedTable> = { mayAddColumns: false }) =>
    judgeTable(pipeline(`, evolve: ${evolve}`), { ...SOUND, ...facts })
      .filter(({ level }) => level === 'wrong')
      .map(({ message, todo }) => `${message}: ${todo}`)
      .join('\n');
  expect(evolving('apply')).toMatch(
    /may not be altered.*would be held: GRANT ALTER ADD COLUMN ON `orders` to the user/,
  );
  for (const mode of ['propose', 'off']) expect(evolving(mode)).toBe('');
  for (const mayAddColumns of [true, null]) expect(evolving('apply', { mayAddColumns })).toBe('');
  expect(evolving('apply', { mayAddColumns: false, dependents: 1 })).toBe('');
  expect(evolving('{ mode: apply, withViews: true }', { mayAddColumns: false, dependents: 1 })).toContain('GRANT');
  expect(evolving('apply', { mayAddColumns: false, engine: 'Distributed' })).toBe('');
});
