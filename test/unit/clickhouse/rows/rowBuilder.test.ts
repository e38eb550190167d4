import { expect, it } from 'vitest';
import { RowBlocks } from '../../../../src/clickhouse/rowBlocks.js';
import { createRowBuilder, type RowBuilder } from '../../../../src/clickhouse/rows/rowBuilder.js';
import type { TableColumns } from '../../../../src/clickhouse/tableColumns.js';
import { DEFAULT_LIMITS } from '../../../../src/clickhouse/values/valueCheck.js';
import type { KafkaRecord } from '../../../../src/protocol/record.js';
import type { Mapping } from '../../../../src/protocol/settings.js';
import { DEFAULT_MAPPING } from '../../../support/chunks.js';
import { amongOthers, record } from '../../../support/records.js';

const source = { topic: 'orders', partition: 3, epoch: 'e1' };
const IDENTITY: TableColumns = new Map([
  ['id', 'Int64'],
  ['_topic', 'LowCardinality(String)'],
  ['_partition', 'UInt32'],
  ['_offset', 'UInt64'],
  ['_timestamp', 'DateTime64(3)'],
  ['_key', 'String'],
  ['_epoch', 'String'],
]);
const PLAIN: TableColumns = new Map([['id', 'Int64']]);

/** The row of a record, one character a byte, or why it becomes none: the same wherever its bytes are. */
function rowOf(build: RowBuilder, record: KafkaRecord) {
  const [alone, packed] = [record, amongOthers(record)].map((one) => built(build, one));
  expect(packed).toEqual(alone);
  return packed;
}

function built(build: RowBuilder, record: KafkaRecord) {
  const rows = new RowBlocks();
  const rejection = build(rows, source, record);
  if (rejection === undefined) rows.endRow();
  expect(rows.rowBytes).toBe(0);
  return rejection ?? rows.textOf(0);
}

const row = (value: string | Buffer | null, overrides: Partial<KafkaRecord> = {}, table = IDENTITY, columns = {}) =>
  rowOf(
    createRowBuilder(table, columns, DEFAULT_MAPPING),
    record(12, {
      key: Buffer.from('k'),
      timestampMs: 0,
      value: value === null ? null : Buffer.from(value),
      ...overrides,
    }),
  );

it('writes the identity columns that the table has, before the fields', () => {
  expect(JSON.parse(row('{"id": 1}') as string)).toEqual({
    _topic: 'orders',
    _partition: 3,
    _epoch: 'e1',
    _offset: 12,
    _timestamp: '1970-01-01T00:00:00.000Z',
    _key: 'k',
    id: 1,
  });
  expect(row('{"id": 1}', {}, PLAIN)).toBe('{"id": 1}');
});

it('makes valid JSON of an empty object, with and without identity columns', () => {
  expect(Object.keys(JSON.parse(row(' { } ') as string) as object)).toHaveLength(6);
  expect(JSON.parse(row('{}', {}, PLAIN) as string)).toEqual({});
});

it('passes numbers and bytes on as they were written', () => {
  const value = Buffer.concat([
    Buffer.from('{"id": 1234567890123456789, "s": "'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('"}'),
  ]);
  const bytes = Buffer.from(row(value) as string, 'latin1');
  expect(bytes.includes(Buffer.from('1234567890123456789'))).toBe(true);
  expect(bytes.includes(Buffer.from([0xff, 0xfe]))).toBe(true);
});

it('writes a key that is not UTF-8 byte for byte, and no key as null', () => {
  const text = row('{}', { key: Buffer.from([0x22, 0x00, 0xff]) }) as string;
  expect(Buffer.from(text, 'latin1').includes(Buffer.from([0x5c, 0x22, ...Buffer.from('\\u0000'), 0xff]))).toBe(true);
  expect(JSON.parse(row('{}', { key: null }) as string)).toMatchObject({ _key: null });
});

it('skips a record that the rules leave out, also if its timestamp fits into no column', () => {
  const where = [{ pointer: '/type', equals: 'order' }] as const;
  const build = createRowBuilder(IDENTITY, {}, { ...DEFAULT_MAPPING, where });
  const codeOf = (value: string | null) =>
    rowOf(build, record(12, { timestampMs: 2 ** 63, value: value === null ? null : Buffer.from(value) }));
  expect(codeOf('{"type": "refund"}')).toMatchObject({ code: 'left_out' });
  for (const value of ['{"type": "order"}', '5', '{', null])
    expect(codeOf(value)).toMatchObject({ code: 'out_of_range' });
});

it('leaves the timestamp out where the record has none, and writes milliseconds into an integer column', () => {
  expect(JSON.parse(row('{}', { timestampMs: -1 }) as string)).not.toHaveProperty('_timestamp');
  const integers = new Map([...IDENTITY, ['_timestamp', 'Nullable(Int64)']] as const);
  expect(JSON.parse(row('{}', { timestampMs: 5 }, integers) as string)).toMatchObject({ _timestamp: 5 });
});

it('rejects a record whose timestamp is beyond any date, alone and only where a column is to have it', () => {
  const mapped = { ...DEFAULT_MAPPING, tombstones: 'insert' } as const;
  for (const timestampMs of [8.64e15 + 2, 1.7e18, 2 ** 63]) {
    expect(row('{}', { timestampMs })).toMatchObject({
      code: 'out_of_range',
      message: expect.stringContaining('column _timestamp') as string,
    });
    const build = createRowBuilder(new Map([...PLAIN, ['written', 'DateTime64(3)']]), { written: 'timestamp' }, mapped);
    for (const value of [Buffer.from('{}'), null])
      expect(rowOf(build, record(12, { timestampMs, value }))).toMatchObject({
        code: 'out_of_range',
        message: expect.stringContaining('column written') as string,
      });
    expect(row('{}', { timestampMs }, PLAIN)).toBe('{}');
  }
  const texts = new Map([...IDENTITY, ['_timestamp', 'String']] as const);
  expect(row('{}', { timestampMs: 8.64e15 }, texts)).toContain('"_timestamp":"+275760-09-13T00:00:00.000Z"');
});

it.each([
  ['DateTime', '2106-02-07T06:28:15.999Z', null],
  ["Nullable(DateTime('UTC'))", '2106-02-07T06:28:15.999Z', null],
  ['DateTime64(3)', '2299-12-31T23:59:59.999Z', '1900-01-01T00:00:00.000Z'],
  ['Date', '2149-06-06T23:59:59.999Z', null],
  ['Date32', '2299-12-31T23:59:59.999Z', '1900-01-01T00:00:00.000Z'],
  ['UInt32', '1970-02-19T17:02:47.295Z', null],
  ['Int64', '+275760-09-13T00:00:00.000Z', '-271821-04-20T00:00:00.000Z'],
  ['LowCardinality(UInt64)', '+275760-09-13T00:00:00.000Z', null],
])(
  'a timestamp beyond what a %s holds, or before it, rejects its record; the last and the first one it holds are written',
  (type, last, first) => {
    const lastMs = Date.parse(last);
    const firstMs = first === null ? 0 : Date.parse(first);
    const identity = new Map([...IDENTITY, ['_timestamp', type]] as const);
    const build = createRowBuilder(new Map([...PLAIN, ['written', type]]), { written: 'timestamp' }, DEFAULT_MAPPING);
    for (const timestampMs of [0, lastMs, firstMs]) {
      const text = new Date(timestampMs).toISOString();
      const value = type.includes('Int') ? timestampMs : /^Date(32)?$/.test(type) ? text.slice(0, 10) : text;
      expect(JSON.parse(row('{}', { timestampMs }, identity) as string)).toMatchObject({ _timestamp: value });
      const mapped = rowOf(build, record(12, { timestampMs, value: Buffer.from('{}') }));
      expect(JSON.parse(mapped as string)).toMatchObject({ written: value });
    }
    for (const timestampMs of [lastMs + 1, 253_402_300_800_000, -2_000, -62_135_596_800_000, firstMs - 2, -(2 ** 63)])
      for (const verdict of [
        row('{}', { timestampMs }, identity),
        rowOf(build, record(12, { timestampMs, value: Buffer.from('{}') })),
      ])
        if (timestampMs > lastMs || timestampMs < firstMs) expect(verdict).toMatchObject({ code: 'out_of_range' });
        else if (timestampMs < 0) expect(typeof verdict).toBe('string');
  },
);

it('a server that changes fractions before 1970 gets only whole seconds of that time', () => {
  const old: TableColumns = Object.assign(new Map(IDENTITY), { limits: DEFAULT_LIMITS });
  const later: TableColumns = Object.assign(new Map(IDENTITY), {
    limits: { ...DEFAULT_LIMITS, keepsEarlyFractions: true },
  });
  for (const table of [old, later])
    expect(row('{}', { timestampMs: -2_000 }, table)).toContain('1969-12-31T23:59:58.000Z');
  expect(row('{}', { timestampMs: -1_500 }, old)).toMatchObject({ code: 'out_of_range' });
  expect(row('{}', { timestampMs: -1_500 }, later)).toContain('1969-12-31T23:59:58.500Z');
});

it('a column whose type takes no timestamp is named so, and not as one for which the timestamp is too late', () => {
  const build = createRowBuilder(
    new Map([...PLAIN, ['written', 'Float32']]),
    { written: 'timestamp' },
    DEFAULT_MAPPING,
  );
  expect(rowOf(build, record(12))).toEqual({
    code: 'out_of_range',
    message: "column written is to have the record's timestamp, and its type takes none",
  });
});

it.each(['Float64', 'Nullable(Decimal(18, 3))'])('a timestamp is milliseconds in a %s', (type) => {
  const build = createRowBuilder(new Map([...PLAIN, ['written', type]]), { written: 'timestamp' }, DEFAULT_MAPPING);
  const mapped = rowOf(build, record(12, { timestampMs: 1_760_000_000_123, value: Buffer.from('{}') }));
  expect(JSON.parse(mapped as string)).toEqual({ written: 1_760_000_000_123 });
});

it('a stub says why it was set aside: too large, or not to be encoded', () => {
  expect(row(null, { tooLargeBytes: 3_000_000 })).toMatchObject({
    code: 'record_too_large',
    message: expect.stringContaining('3000000 bytes') as string,
  });
  expect(row(null, { tooLargeBytes: 0 })).toMatchObject({
    code: 'record_not_encodable',
    message: expect.stringContaining('that no signal to Temporal can carry') as string,
  });
});

it('rejects what is not a JSON object, without a word of it in the message', () => {
  const secret = 'secret-4711';
  const cases: [string | null, string][] = [
    [null, 'not_json'],
    ['', 'not_json'],
    [secret, 'not_json'],
    [`{"a": "${secret}"`, 'not_json'],
    [`{"a": 1} {"b": "${secret}"}`, 'not_json'],
    [`["${secret}"]`, 'not_object'],
    [`"${secret}"`, 'not_object'],
    ['null', 'not_object'],
    ['\ufeff', 'not_json'],
    ['\ufeff\ufeff{}', 'not_json'],
    [`\ufeff["${secret}"]`, 'not_object'],
  ];
  for (const [value, code] of cases) {
    const rejection = row(value);
    expect(rejection, String(value)).toMatchObject({ code });
    expect(JSON.stringify(rejection)).not.toContain(secret);
  }
});

it('passes over a byte-order mark before JSON, and over no other', () => {
  const columns = { id: '/deep/id', whole: 'value', raw: 'value' };
  const table = new Map([
    ['id', 'Int64'],
    ['n', 'Int64'],
    ['whole', 'JSON'],
    ['raw', 'String'],
  ]);
  expect(row('\ufeff{"id": 1}', {}, PLAIN)).toBe('{"id": 1}');
  expect(JSON.parse(row(' \n{"id": 1}') as string)).toMatchObject({ id: 1, _offset: 12 });
  expect(JSON.parse(row('\ufeff {"id": 1}') as string)).toMatchObject({ id: 1, _offset: 12 });
  const mapped = row('\ufeff{"n": 5, "deep": {"id": 7}}', {}, table, columns) as string;
  expect(JSON.parse(Buffer.from(mapped, 'latin1').toString())).toEqual({
    ...{ id: 7, n: 5, whole: { n: 5, deep: { id: 7 } }, deep: { id: 7 } },
    raw: '\ufeff{"n": 5, "deep": {"id": 7}}',
  });
});

it('rejects a record that would write an identity column itself, however the name is spelt', () => {
  expect(row('{"_offset": 99}')).toMatchObject({ code: 'reserved_field' });
  expect(row('{"\\u005foffset": 99}')).toMatchObject({ code: 'reserved_field' });
  expect(row('{"_offset": 99}', {}, PLAIN)).toBe('{"_offset": 99}');
});

it('takes mapped columns from where the mapping says and the other fields by their names', () => {
  const columns = {
    customer: '/customer/id',
    tag: '/tags/1',
    trace: 'header:trace',
    absent: 'header:none',
    nowhere: '/x/y',
    k: 'key',
    t: 'topic',
    p: 'partition',
    o: 'offset',
    at: 'timestamp',
    e: 'epoch',
    id: '/number',
  };
  const headers = [['trace', Buffer.from('t-"1"')]] as const;
  const text = row(
    '{"id": 1, "number": 9007199254740993, "customer": {"id": "c1"}, "tags": ["a", "b"]}',
    { headers },
    PLAIN,
    columns,
  ) as string;
  expect(text).toContain('"id":9007199254740993');
  expect(JSON.parse(text)).toEqual({
    customer: 'c1',
    tag: 'b',
    trace: 't-"1"',
    absent: null,
    k: 'k',
    t: 'orders',
    p: 3,
    o: 12,
    at: '1970-01-01T00:00:00.000Z',
    e: 'e1',
    id: Number('9007199254740993'),
    number: Number('9007199254740993'),
    tags: ['a', 'b'],
  });
});

it('rejects a value that ClickHouse would change, in a field and in a mapped column, and says only which column', () => {
  const table: TableColumns = new Map([
    ['id', 'Int64'],
    ['größe', 'UInt8'],
    ['small', 'UInt8'],
  ]);
  const outOfRange = (column: string) => ({
    code: 'out_of_range',
    message: expect.stringMatching(new RegExp(`column ${column} (?!.*(256|922))`)) as string,
  });
  expect(row('{"id": 9223372036854775808}', {}, table)).toEqual(outOfRange('id'));
  expect(row('{"größe": 256}', {}, table)).toEqual(outOfRange('größe'));
  expect(row('{"id": 1, "deep": [256]}', {}, table, { small: '/deep/0' })).toEqual(outOfRange('small'));
  expect(row('{"id": 1, "small": 256}', {}, table, { small: 'partition' })).toBe('{"small":3,"id":1}');
});

const mappedRow = (value: string | Buffer | null, mapping: Partial<Mapping>, columns = {}, table = PLAIN) =>
  rowOf(
    createRowBuilder(table, columns, { ...DEFAULT_MAPPING, ...mapping }),
    record(12, { key: Buffer.from('k'), value: value === null ? null : Buffer.from(value) }),
  );

it('does not claim that ClickHouse would take a value that it refuses', () => {
  const table: TableColumns = new Map([['celsius', 'Float64']]);
  expect(row('{"celsius": "warm"}', {}, table)).toEqual({
    code: 'out_of_range',
    message:
      'the value for column celsius does not fit into its type: ClickHouse would refuse it, or change it without a word',
  });
});

it('finds the one integer that does not fit among many fields at their limit', () => {
  const names = Array.from({ length: 3_000 }, (_, index) => `c${index}`);
  const table: TableColumns = new Map(names.map((name) => [name, 'Int64']));
  const value = (last: string) =>
    `{${names.map((name, index) => `"${name}":${index === 2_999 ? last : '-9223372036854775808'}`).join(',')}}`;
  expect(row(value('9223372036854775807'), {}, table)).toBe(value('9223372036854775807'));
  expect(row(value('9223372036854775808'), {}, table)).toMatchObject({
    code: 'out_of_range',
    message: expect.stringContaining('column c2999') as string,
  });
});

it('rejects a field without a column where that is asked for, and names it, not its value', () => {
  const table: TableColumns = new Map([
    ['id', 'Int64'],
    ['größe', 'UInt8'],
    ['items.price', 'Array(Float64)'],
  ]);
  const columns = { id: '/order/id' };
  const strict = (value: string) => mappedRow(value, { unknownFields: 'reject' }, columns, table);
  expect(strict('{"id": 1, "größe": 2, "items": {"price": [1]}, "order": {"id": 5}}')).toBe(
    Buffer.from('{"id":5,"größe":2,"items.price":[1],"order":{"id": 5}}').toString('latin1'),
  );
  expect(strict('{"id": 1, "lärm": "secret"}')).toEqual({
    code: 'unknown_field',
    message: 'the value has a field lärm, which the table has no column for',
  });
  expect(strict(JSON.stringify({ ['x'.repeat(1_000)]: 1 }))).toMatchObject({
    message: expect.stringMatching(/field x{64}, /) as string,
  });
  expect(mappedRow('{"other": 1}', {}, {}, table)).toBe('{"other": 1}');
});

it('takes the whole value where it is text or bytes, and rejects text that is no UTF-8', () => {
  const columns = { raw: 'value', k: 'key' };
  expect(JSON.parse(mappedRow('say "no" \n', { format: 'text' }, columns) as string)).toEqual({
    raw: 'say "no" \n',
    k: 'k',
  });
  const bytes = Buffer.from([0x00, 0x22, 0xff]);
  expect(mappedRow(bytes, { format: 'text' }, columns)).toEqual({
    code: 'not_text',
    message: 'the value is not UTF-8',
  });
  expect(Buffer.from(mappedRow(bytes, { format: 'bytes' }, columns) as string, 'latin1').includes(0xff)).toBe(true);
  expect(JSON.parse(mappedRow('', { format: 'text' }, columns) as string)).toEqual({ raw: '', k: 'k' });
  expect(JSON.parse(mappedRow('{"id": 7}', {}, columns) as string)).toEqual({ raw: '{"id": 7}', k: 'k', id: 7 });
});

it('makes a row of a tombstone where that is asked for: of all that does not come from the value', () => {
  const columns = { k: 'key', id: '/id', raw: 'value' };
  for (const format of ['json', 'text', 'bytes'] as const) {
    expect(mappedRow(null, { format, tombstones: 'insert' }, columns)).toBe('{"k":"k","raw":null}');
    expect(mappedRow(null, { format }, columns)).toMatchObject({ code: format === 'json' ? 'not_json' : 'no_value' });
  }
  expect(mappedRow('null', { tombstones: 'insert' }, columns)).toMatchObject({ code: 'not_object' });
});

it('says why a value is not JSON, without the place of the fault: dead letters are counted by message', () => {
  const ofRegistry = (value: string) => Buffer.concat([Buffer.from([0, 0, 0, 0, 7]), Buffer.from(value)]);
  const cases: [Buffer | string | null, RegExp][] = [
    [null, /tombstone/],
    ['', /it is empty/],
    [' \n', /it is empty/],
    ['\ufeff', /it is empty/],
    ['\ufeff{"id":1} {}', /more JSON follows/],
    [Buffer.from('\ufeff{}', 'utf16le'), /UTF-16/],
    [ofRegistry('{"id":1}'), /magic byte and the schema id.* JSON Schema serializer .*format: json-schema/],
    [ofRegistry('\u0002\u0006abc'), /magic byte and the schema id.* Avro or Protobuf.* format: bytes/],
    ['{"id":1}\n{"id":2}\n', /more JSON follows/],
    ['{"id":1', /ends too early/],
    ['{"id":NaN}', /NaN/],
    ['{"id":-Infinity}', /Infinity/],
  ];
  for (const [value, message] of cases)
    expect([value, row(value)]).toMatchObject([
      value,
      { code: 'not_json', message: expect.stringMatching(message) as string },
    ]);
  for (const value of ['x', '\0', '\0\0\0\0\u0007', "{'id':1}", '{"id":01}', '{"id":1}}', '{"id":1},'])
    expect(row(value)).toEqual({ code: 'not_json', message: 'the value is not JSON' });
});

it('knows a column by a name that is written with escapes', () => {
  const table: TableColumns = new Map([['größe', 'UInt8']]);
  const escaped = (value: number) => `{"gr\\u00f6\\u00dfe":${value}}`;
  expect(mappedRow(escaped(7), { unknownFields: 'reject' }, {}, table)).toBe(escaped(7));
  expect(mappedRow(escaped(300), {}, {}, table)).toMatchObject({ code: 'out_of_range' });
});

it('takes dotted columns from an object, and leaves a field of another kind as unknown as any', () => {
  const table: TableColumns = new Map([
    ['id', 'Int64'],
    ['a.b', 'UInt8'],
    ['a.c.d', 'UInt8'],
    ['n.x', 'Array(UInt8)'],
    ['own', 'String'],
    ['own.part', 'UInt8'],
  ]);
  const of = (value: string, unknownFields: 'ignore' | 'reject' = 'ignore') =>
    mappedRow(value, { unknownFields }, {}, table);
  expect(of('{"id":1,"a":{"b":5,"c":{"d":6}},"n":{"x":[1]}}')).toBe('{"id":1,"a.b":5,"a.c.d":6,"n.x":[1]}');
  expect(of('{"id":1,"a.b":5}')).toBe('{"id":1,"a.b":5}');
  for (const scalar of ['5', '"x"', 'null', 'true']) expect(of(`{"id":1,"a":${scalar}}`)).toBe('{"id":1}');
  for (const other of [
    '{"a":{"b":300}}',
    '{"a":{"\\u0062":300}}',
    '{"a":{"c":{"d":256}}}',
    '{"n":{"x":[300]}}',
    '{"a":[{"b":1}]}',
  ])
    expect([other, of(other)]).toMatchObject([other, { code: 'out_of_range' }]);
  expect(of('{"id":1,"a":{"b":5,"z":6}}')).toBe('{"id":1,"a.b":5}');
  expect(of('{"id":1,"a":{"b":5,"z":6}}', 'reject')).toEqual({
    code: 'unknown_field',
    message: 'the value has a field a.z, which the table has no column for',
  });
  for (const scalar of ['5', '"x"', 'true']) {
    expect(of(`{"a":${scalar}}`, 'reject')).toMatchObject({ code: 'unknown_field' });
    expect(of(`{"a":{"c":${scalar}}}`, 'reject')).toMatchObject({
      message: 'the value has a field a.c, which the table has no column for',
    });
  }
  expect(of('{"id":1,"a":null}', 'reject')).toBe('{"id":1}');
  // A column of the field's own name has the field.
  expect(of('{"own":{"part":5}}')).toBe('{"own":{"part":5}}');
});

it('a field that mapped columns are read from is known, also where it is the beginning of columns’ names', () => {
  const table: TableColumns = new Map([
    ['n.a', 'UInt8'],
    ['n.c.d', 'UInt8'],
    ['whole', 'String'],
    ['part', 'String'],
  ]);
  const of = (value: string, columns: Record<string, string>) =>
    mappedRow(value, { unknownFields: 'reject' }, columns, table);
  for (const value of ['5', '"x"', '[1,2]', '{"b":1}', '{"c":[1]}'])
    expect([value, of(`{"n":${value}}`, { whole: '/n' })]).toEqual([value, `{"whole":${value}}`]);
  expect(of('{"n":{"a":1,"b":2}}', { whole: '/n' })).toBe('{"whole":{"a":1,"b":2},"n.a":1}');
  for (const value of ['2', '[2]', '{"deep":2}'])
    expect(of(`{"n":{"a":1,"b":${value}}}`, { part: '/n/b' })).toBe(`{"part":${value},"n.a":1}`);
  expect(of('{"n":{"a":1,"b":{"deep":2}}}', { part: '/n/b/deep' })).toBe('{"part":2,"n.a":1}');
  expect(of('{"n":{"c":5}}', { part: '/n/c' })).toBe('{"part":5}');
  // What nothing is read from has no column still.
  expect(of('{"n":{"a":1,"z":2}}', { part: '/n/b' })).toMatchObject({ code: 'unknown_field' });
  expect(of('{"n":5}', { part: '/n/b' })).toMatchObject({ code: 'unknown_field' });
  expect(of('{"n":{"b":5}}', { part: '/n/b/deep' })).toMatchObject({ code: 'unknown_field' });
  expect(of('{"n":{"b":5}}', { part: '/n.b' })).toMatchObject({ code: 'unknown_field' });
  expect(of('{"n":[{"a":1}]}', { part: '/n/0' })).toMatchObject({ code: 'out_of_range' });
});

it('writes the value as JSON into a column that takes JSON, and as text into others', () => {
  const table: TableColumns = new Map([
    ['raw', 'JSON(max_dynamic_paths=10)'],
    ['text', 'String'],
  ]);
  const columns = { raw: 'value', text: 'value' };
  expect(mappedRow('{"a": 1}', { format: 'text' }, columns, table)).toBe('{"raw":{"a": 1},"text":"{\\"a\\": 1}"}');
  expect(mappedRow('{"a": 1', { format: 'text' }, columns, table)).toMatchObject({ code: 'not_json' });
});

it('rejects half of a character in a name of a mapped value, whatever records came before', () => {
  const build = createRowBuilder(new Map([['raw', 'JSON']]), { raw: 'value' }, DEFAULT_MAPPING);
  for (const value of [
    '{"\\udc00":1}',
    '{"a":1}',
    '{"\\udc00":1}',
    '{"a":{"\\udc00":1}}',
    '{"\\ud83d\\ude00":1,"\\udc00":2}',
  ])
    expect([value, rowOf(build, record(1, { value: Buffer.from(value) }))]).toEqual([
      value,
      value === '{"a":1}' ? '{"raw":{"a":1},"a":1}' : expect.objectContaining({ code: 'out_of_range' }),
    ]);
});

it('a record of which several columns take the same large part is rejected alone, in words', () => {
  const build = (type: string, columns: number, from: string, format: Mapping['format']) => {
    const names = Array.from({ length: columns }, (_, index) => `c${index}`);
    const table: TableColumns = new Map(names.map((name) => [name, type]));
    const mapped = Object.fromEntries(names.map((name) => [name, from]));
    return (value: Buffer) =>
      built(createRowBuilder(table, mapped, { ...DEFAULT_MAPPING, format }), record(1, { value }));
  };
  const large = Buffer.from(`{"big":"${'x'.repeat(11_500_000)}"}`);
  expect(build('UInt8', 2, '/big', 'json')(large)).toHaveLength(34_500_026);
  expect(build('UInt8', 3, '/big', 'json')(large)).toMatchObject({
    code: 'record_too_large',
    message: 'too much to check: several columns take the same large part of the record',
  });
  expect(build('String', 3, '/big', 'json')(large)).toHaveLength(46_000_034);
  const zeros = Buffer.alloc(16_000_000);
  expect(build('String', 1, 'value', 'bytes')(zeros)).toHaveLength(96_000_009);
  expect(build('String', 6, 'value', 'bytes')(zeros)).toMatchObject({
    code: 'record_too_large',
    message: 'too much for one row: several columns take the same large part of the record',
  });
  expect(build('UInt8', 3, '/big', 'json')(Buffer.from('{"big":5}'))).toBe('{"c0":5,"c1":5,"c2":5,"big":5}');
});

it('a value with no place of its own passes as long as mapped columns use it, whole or in part', () => {
  const build = (value: string) =>
    rowOf(
      createRowBuilder(
        new Map([
          ['m.x', 'String'],
          ['a', 'String'],
          ['b', 'String'],
        ]),
        { a: '/m/k/0', b: '/m/w' },
        { ...DEFAULT_MAPPING, unknownFields: 'reject' },
      ),
      record(1, { value: Buffer.from(value) }),
    );
  expect(build('{"m":{"x":"1","k":["2"],"w":{"any":{"thing":[3]}}}}')).toBe(
    '{"a":"2","b":{"any":{"thing":[3]}},"m.x":"1"}',
  );
  for (const value of ['{"m":{"k":1}}', '{"m":{"other":1}}', '{"m":{"k":["2"],"y":{}}}', '{"m":5}'])
    expect([value, build(value)]).toMatchObject([value, { code: 'unknown_field' }]);
});

it.each([
  ['UInt8', '255', '256'],
  ['LowCardinality(UInt16)', '7', '65536'],
  ['Date', '2024-02-29', '2024-02-30'],
  ['Nullable(UUID)', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g'],
])('a key for a column _key of type %s is checked: %s fits, and %s would be changed', (type, right, wrong) => {
  const table = new Map([
    ['id', 'Int64'],
    ['_key', type],
  ]);
  for (const key of [undefined, { format: 'json' }] as const) {
    const build = createRowBuilder(table, {}, { ...DEFAULT_MAPPING, ...(key && { key }) });
    const rowOf = (text: string, value = '{"id":1}') => {
      const rows = new RowBlocks();
      const bytes = Buffer.from(key === undefined ? text : JSON.stringify(text));
      const rejection = build(rows, source, record(1, { key: bytes, value: Buffer.from(value) }));
      if (rejection !== undefined) return rejection;
      rows.endRow();
      return JSON.parse(rows.textOf(0)) as unknown;
    };
    expect(rowOf(right)).toEqual({ _key: right, id: 1 });
    expect(rowOf(wrong)).toMatchObject({
      code: 'out_of_range',
      message: expect.stringContaining('column _key') as string,
    });
    expect(rowOf(right, '{"_key":1}')).toMatchObject({ code: 'reserved_field' });
  }
});

it('the name of a field without a column is shown without what a terminal would obey', () => {
  const build = createRowBuilder(new Map([['id', 'Int64']]), {}, { ...DEFAULT_MAPPING, unknownFields: 'reject' });
  const value = Buffer.from('{"id":1,"a\\u001b[2J\\u0007\\nb\u009B":2}');
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  expect(build(new RowBlocks(), source, record(1, { value }))).toMatchObject({
    message: 'the value has a field a\\u001b[2J\\u0007\\u000ab\\u009b, which the table has no column for',
  });
});
