import fc from 'fast-check';
import protobuf from 'protobufjs';
import { expect, it, onTestFinished, vi } from 'vitest';
import { JsonWriter } from '../../../src/formats/jsonWriter.js';
import { emptyJsonBytes, protobufDecoder } from '../../../src/formats/protobufDecoder.js';
import { parseProtobufSchema } from '../../../src/formats/protobufSchema.js';
import type { NamedSchema } from '../../../src/formats/schemaRegistry.js';
import { SchemaError, UndecodableError } from '../../../src/formats/errors.js';

const FIRST = [0];

/** The JSON of a message that stands among other bytes. */
function jsonOf(schema: string, payload: Uint8Array, indexes = FIRST, bytes: 'raw' | 'base64' = 'raw'): string {
  const decode = protobufDecoder(parseProtobufSchema(schema), { bytes });
  const out = new JsonWriter();
  out.begin(1024 * 1024);
  const value = Buffer.concat([Buffer.from(indexes), payload]);
  const among = Buffer.concat([Buffer.alloc(3, 0x55), value, Buffer.alloc(20, 0x55)]);
  decode(among, 3, 3 + value.length, out);
  out.finish();
  return out.bytes.toString('latin1', 0, out.length);
}

function whyNot(schema: string, payload: Uint8Array, indexes = FIRST): string {
  try {
    jsonOf(schema, payload, indexes);
  } catch (error) {
    if (error instanceof UndecodableError) return error.message;
    throw error;
  }
  return 'decoded';
}

const proto3 = (body: string) => `syntax = "proto3"; ${body}`;

/** What another library writes of the message M. */
function encoded(schema: string, value: object): Uint8Array {
  const type = protobuf.parse(schema, new protobuf.Root(), { keepCase: true }).root.lookupType('M');
  return type.encode(type.fromObject(value)).finish();
}

const int32 = fc.integer();
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const int64 = fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.integer().map(BigInt)).map(String);
const uint64 = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat().map(BigInt)).map(String);
const double = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0));

const SCALARS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  int32,
  sint32: int32,
  sfixed32: int32,
  uint32,
  fixed32: uint32,
  int64,
  sint64: int64,
  sfixed64: int64,
  uint64,
  fixed64: uint64,
  double,
  float: double.map(Math.fround).filter((value) => Number.isFinite(value) && !Object.is(value, -0)),
  bool: fc.boolean(),
  string: fc.string({ unit: 'grapheme' }),
};

it.each(Object.entries(SCALARS))(
  '%s keeps its value: alone, packed, not packed, as key and value of a map',
  (type, values) => {
    // The library that writes them takes each key for true.
    const isKey = !['float', 'double', 'bool'].includes(type);
    const schema = proto3(`message M {
    ${type} one = 1; optional ${type} maybe = 2; repeated ${type} many = 3; repeated ${type} loose = 4 [packed = false];
    map<string, ${type}> map = 5; ${isKey ? `map<${type}, bool> keys = 6;` : ''}
  }`);
    const text = (value: unknown) => (type === 'string' ? JSON.stringify(value) : String(value));
    const list = (many: readonly unknown[]) => `[${many.map(text).join(',')}]`;
    const latin1 = (json: string) => Buffer.from(json).toString('latin1');
    fc.assert(
      fc.property(values, values, fc.array(values), (one, maybe, many) => {
        const keys = isKey ? { keys: { [String(one)]: true } } : {};
        const value = { one, maybe, many, loose: many, map: { k: one }, ...keys };
        const quoted = JSON.stringify(String(one));
        const expected = `{"one":${text(one)},"maybe":${text(maybe)},"many":${list(many)},"loose":${list(many)},"map":{"k":${text(one)}}${isKey ? `,"keys":{${quoted}:true}` : ''}}`;
        expect(jsonOf(schema, encoded(schema, value))).toBe(latin1(expected));
      }),
    );
  },
);

it('fields without presence have their default, others are left out', () => {
  const schema = proto3(`message M {
    int64 a = 1; string b = 2; bytes c = 3; bool d = 4; E e = 5; repeated int32 f = 6; map<int32, M> g = 7; double h = 8;
    optional int64 i = 9; M j = 10; oneof k { int64 l = 11; string m = 12; }
  } enum E { ZERO = 0; ONE = 1; }`);
  const absent = '"a":0,"b":"","c":"","d":false,"e":"ZERO","f":[],"g":{},"h":0';
  expect(jsonOf(schema, Buffer.alloc(0))).toBe(`{${absent}}`);
  const value = { i: 0, j: {}, l: 0 };
  expect(jsonOf(schema, encoded(schema, value))).toBe(`{${absent},"i":0,"j":{${absent}},"l":0}`);
  const proto2 =
    'syntax = "proto2"; message M { optional int64 a = 1 [default = 5]; required int64 b = 2; repeated int64 c = 3; }';
  expect(jsonOf(proto2, Buffer.alloc(0))).toBe('{"c":[]}');
});

const tag = (id: number, wire: number) => (id << 3) | wire;

it('a field that comes again has its last value, and a message that comes in parts is all of them', () => {
  const schema = proto3(
    'message M { int32 a = 1; N n = 2; } message N { int32 x = 1; repeated int32 y = 2; N z = 3; }',
  );
  const payload = [
    ...[tag(1, 0), 1, tag(2, 2), 4, tag(1, 0), 1, tag(2, 0), 2, tag(1, 0), 3],
    ...[tag(2, 2), 5, tag(2, 2), 1, 9, tag(3, 2), 0],
    ...[tag(2, 2), 4, tag(3, 2), 2, tag(1, 0), 7],
  ];
  expect(jsonOf(schema, Buffer.from(payload))).toBe('{"a":3,"n":{"x":1,"y":[2,9],"z":{"x":7,"y":[]}}}');
});

it('of a oneof only the last one counts', () => {
  const schema = proto3('message M { oneof k { int32 a = 1; M b = 2; string c = 3; } }');
  expect(jsonOf(schema, Buffer.of(tag(1, 0), 1, tag(3, 2), 0))).toBe('{"c":""}');
  expect(jsonOf(schema, Buffer.of(tag(3, 2), 0, tag(1, 0), 1))).toBe('{"a":1}');
  // What came before another one of the oneof is no part of it.
  const again = Buffer.of(tag(2, 2), 2, tag(1, 0), 5, tag(1, 0), 1, tag(2, 2), 0);
  expect(jsonOf(schema, again)).toBe('{"b":{}}');
});

it('of the entries of a map with the same key, the last one counts; keys and values may be left out', () => {
  const schema = proto3('message M { map<string, N> a = 1; map<int64, int32> b = 2; } message N { int32 x = 1; }');
  const entry = (id: number, ...bytes: number[]) => [tag(id, 2), bytes.length, ...bytes];
  const payload = [
    ...entry(1, tag(1, 2), 1, 0x22, tag(2, 2), 2, tag(1, 0), 1),
    ...entry(1, tag(1, 2), 1, 0x22, tag(2, 2), 2, tag(1, 0), 2),
    ...entry(1),
    ...entry(2, tag(1, 0), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, tag(2, 0), 4),
    ...entry(2, tag(2, 0), 3),
  ];
  expect(jsonOf(schema, Buffer.from(payload))).toBe('{"a":{"\\"":{"x":2},"":{"x":0}},"b":{"-1":4,"0":3}}');
});

it('groups, unknown fields, and fields in another encoding are passed over or read as Protobuf says', () => {
  const schema =
    'syntax = "proto2"; message M { optional group Inner = 1 { optional int32 x = 1; } optional int32 a = 2; }';
  const group = (id: number, ...bytes: number[]) => [tag(id, 3), ...bytes, tag(id, 4)];
  expect(
    jsonOf(schema, Buffer.of(...group(1, tag(1, 0), 5), ...group(9, ...group(8), tag(1, 0), 5), tag(2, 0), 3)),
  ).toBe('{"inner":{"x":5},"a":3}');
  expect(jsonOf(schema, Buffer.of(tag(2, 2), 1, 7, tag(7, 5), 1, 2, 3, 4, tag(6, 1), 1, 2, 3, 4, 5, 6, 7, 8))).toBe(
    '{}',
  );
});

it('enums are symbols, and numbers where the schema has none', () => {
  const schema = proto3(
    'message M { E a = 1; repeated E b = 2; } enum E { option allow_alias = true; A = 0; B = 5; C = 5; D = -1; }',
  );
  const minusOne = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
  expect(jsonOf(schema, Buffer.of(tag(1, 0), 5, tag(2, 2), 12, 0, 7, ...minusOne))).toBe('{"a":"B","b":["A",7,"D"]}');
});

it('bytes are as they are, or base64', () => {
  const schema = proto3('message M { bytes a = 1; }');
  const payload = Buffer.of(tag(1, 2), 3, 0xff, 0x22, 0x00);
  expect(jsonOf(schema, payload)).toBe('{"a":"\xff\\"\\u0000"}');
  expect(jsonOf(schema, payload, FIRST, 'base64')).toBe('{"a":"/yIA"}');
});

const WELL_KNOWN = proto3(`import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto";
  import "google/protobuf/wrappers.proto"; import "google/protobuf/struct.proto"; import "confluent/type/decimal.proto";
  import "google/protobuf/any.proto"; import "google/protobuf/empty.proto";
  message M {
    google.protobuf.Timestamp t = 1; google.protobuf.Duration d = 2; google.protobuf.Int64Value i = 3;
    google.protobuf.StringValue s = 4; google.protobuf.Struct o = 5; google.protobuf.Value v = 6;
    google.protobuf.ListValue l = 7; confluent.type.Decimal n = 8; google.protobuf.Any a = 9; google.protobuf.Empty e = 10;
  }`);

it.each<[object, string]>([
  [{}, '{}'],
  [{ t: {} }, '{"t":"1970-01-01T00:00:00.000Z"}'],
  [{ t: { seconds: '1700000000', nanos: 123_456_789 } }, '{"t":"2023-11-14T22:13:20.123456789Z"}'],
  [{ t: { seconds: '-1', nanos: 5_000 } }, '{"t":"1969-12-31T23:59:59.000005Z"}'],
  [{ t: { seconds: '-62135596800' } }, '{"t":"0001-01-01T00:00:00.000Z"}'],
  [{ t: { seconds: '253402300799', nanos: 999_000_000 } }, '{"t":"9999-12-31T23:59:59.999Z"}'],
  [{ d: {} }, '{"d":"0.000"}'],
  [{ d: { seconds: '-3', nanos: -1 } }, '{"d":"-3.000000001"}'],
  [{ d: { nanos: -500_000_000 } }, '{"d":"-0.500"}'],
  [{ i: {}, s: { value: '' } }, '{"i":0,"s":""}'],
  [{ i: { value: '9223372036854775807' } }, '{"i":9223372036854775807}'],
  [{ n: { value: Buffer.from('ff6a', 'hex'), precision: 5, scale: 2 } }, '{"n":"-1.50"}'],
  [{ n: { scale: 1 } }, '{"n":"0.0"}'],
  [{ a: { type_url: 'x/y', value: Buffer.of(1) } }, '{"a":{"type_url":"x/y","value":"\\u0001"}}'],
  [{ e: {} }, '{"e":{}}'],
])('well-known types become what columns take: %j', (value, json) => {
  const root = new protobuf.Root();
  const { imports = [] } = protobuf.parse(WELL_KNOWN, root, { keepCase: true });
  for (const name of imports) root.addJSON(protobuf.common.get(name)?.nested ?? {});
  const decimal = 'message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }';
  protobuf.parse(proto3(`package confluent.type; ${decimal}`), root);
  const type = root.lookupType('M');
  expect(jsonOf(WELL_KNOWN, type.encode(type.fromObject(value)).finish())).toBe(json);
});

it('a Struct becomes the JSON that it stands for', () => {
  const part = (id: number, ...bytes: number[]) => [tag(id, 2), bytes.length, ...bytes];
  const text = (value: string) => [...Buffer.from(value)];
  const entry = (key: string, ...value: number[]) => part(1, ...part(1, ...text(key)), ...part(2, ...value));
  const number = Buffer.alloc(8);
  number.writeDoubleLE(1.5);
  const object = [
    ...entry('n', tag(2, 1), ...number),
    ...entry('z', tag(1, 0), 0),
    ...entry('b', tag(4, 0), 1),
    ...entry('l', ...part(6, ...part(1, ...part(3, ...text('x'))), ...part(1, ...part(5)))),
    ...entry('nothing'),
  ];
  const payload = Buffer.of(...part(5, ...object), ...part(6, ...part(3, ...text('v'))), ...part(7));
  expect(jsonOf(WELL_KNOWN, payload)).toBe(
    '{"o":{"n":1.5,"z":null,"b":true,"l":["x",{}],"nothing":null},"v":"v","l":[]}',
  );
});

it.each<[string, number[]]>([
  ['a timestamp is not within the years 1 to 9999', [tag(1, 2), 6, tag(2, 0), 0x80, 0x94, 0xeb, 0xdc, 3]],
  [
    'a duration is beyond 10,000 years, or its parts have different signs',
    [tag(2, 2), 13, tag(1, 0), 1, tag(2, 0), ...Array<number>(9).fill(0xff), 1],
  ],
  ['a decimal has a scale that no column has', [tag(8, 2), 11, tag(3, 0), ...Array<number>(9).fill(0xff), 1]],
])('%s', (why, payload) => {
  expect(whyNot(WELL_KNOWN, Buffer.from(payload))).toBe(why);
});

const NESTED = proto3(`message A { int32 a = 1; } message B {
  int32 b = 1; map<string, string> m = 2; enum E { ZERO = 0; } message C { int32 c = 1; message D { int32 d = 1; } } message X { int32 x = 1; }
}`);

it.each<[number[], string]>([
  [[0], '{"a":7}'],
  [[2, 0], '{"a":7}'],
  [[2, 2], '{"b":7,"m":{}}'],
  [[4, 2, 0], '{"c":7}'],
  [[4, 2, 2], '{"x":7}'],
  [[6, 2, 0, 0], '{"d":7}'],
])('a value says by numbers which message it is: %j', (indexes, json) => {
  expect(jsonOf(NESTED, Buffer.of(tag(1, 0), 7), indexes)).toBe(json);
});

it.each<[string, number[]]>([
  ['no third message', [2, 4]],
  ['a negative number', [2, 1]],
  ['a negative count', [1]],
  ['deeper than the messages go', [4, 0, 0]],
  ['a number beyond 32 bits', [2, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
])('a message that its schema does not have: %s', (_name, indexes) => {
  expect(whyNot(NESTED, Buffer.alloc(0), indexes)).toBe('its schema has no message of the number that it names');
});

it('messages are counted in their own file, whatever it imports into its package', () => {
  const references = [{ name: 'other.proto', schema: proto3('package p; message Other { int32 o = 1; }') }];
  const text = proto3(
    'package p; import "other.proto"; message Mine { Other other = 1; .p.Other same = 2; p.Other too = 3; }',
  );
  const [first, ...more] = parseProtobufSchema(text, references);
  expect([first?.message.name, more]).toEqual(['p.Mine', []]);
  expect(first?.message.fields.map(({ type }) => (type.kind === 'message' ? type.message.name : type.kind))).toEqual(
    Array(3).fill('p.Other'),
  );
});

it('types of Google and of Protobuf need not be in the registry, and what they use themselves neither', () => {
  const types = ['CalendarPeriod', 'Color', 'Date', 'DateTime', 'DayOfWeek', 'Decimal', 'Expr', 'Fraction', 'Interval'];
  types.push('LatLng', 'LocalizedText', 'Money', 'Month', 'PhoneNumber', 'PostalAddress', 'Quaternion', 'TimeOfDay');
  const files = [
    'calendar_period',
    'color',
    'date',
    'datetime',
    'dayofweek',
    'decimal',
    'expr',
    'fraction',
    'interval',
  ];
  files.push('latlng', 'localized_text', 'money', 'month', 'phone_number', 'postal_address', 'quaternion', 'timeofday');
  const imports = files.map((name) => `import "google/type/${name}.proto";`).join(' ');
  const fields = types.map((name, index) => `optional google.type.${name} ${name} = ${index + 1};`).join(' ');
  const schema = proto3(`${imports} import "google/protobuf/api.proto"; import "google/protobuf/field_mask.proto";
    message M { ${fields} google.protobuf.Api Api = 20; google.protobuf.FieldMask FieldMask = 21; }`);
  const json = (number: number, ...bytes: number[]): unknown =>
    JSON.parse(jsonOf(schema, Buffer.of(0x80 | (((number & 15) << 3) | 2), number >> 4, bytes.length, ...bytes)));
  expect(jsonOf(schema, Buffer.of())).toBe('{}');
  expect(jsonOf(schema, Buffer.of(tag(1, 0), 3, tag(5, 0), 7, tag(13, 0), 12))).toBe(
    '{"CalendarPeriod":"FORTNIGHT","DayOfWeek":"SUNDAY","Month":"DECEMBER"}',
  );
  expect(json(2, tag(4, 2), 5, tag(1, 5), 0, 0, 0x80, 0x3f)).toEqual({
    Color: { red: 0, green: 0, blue: 0, alpha: 1 },
  });
  expect(json(3, tag(1, 0), 1, tag(3, 0), 3)).toEqual({ Date: { year: 1, month: 0, day: 3 } });
  const time = { year: 0, month: 0, day: 0, hours: 0, minutes: 0, seconds: 0, nanos: 0 };
  expect(json(4, tag(8, 2), 2, tag(1, 0), 60)).toEqual({ DateTime: { ...time, utc_offset: '60.000' } });
  expect(json(4, tag(9, 2), 3, tag(1, 2), 1, 0x5a)).toEqual({
    DateTime: { ...time, time_zone: { id: 'Z', version: '' } },
  });
  expect(json(9, tag(2, 2), 0)).toEqual({ Interval: { end_time: '1970-01-01T00:00:00.000Z' } });
  expect(json(12, tag(1, 2), 1, 0x41, tag(3, 0), 9)).toEqual({ Money: { currency_code: 'A', units: 0, nanos: 9 } });
  expect(json(14, tag(2, 2), 3, tag(2, 2), 1, 0x31)).toEqual({
    PhoneNumber: { short_code: { region_code: '', number: '1' }, extension: '' },
  });
  expect(json(20, tag(3, 2), 4, tag(2, 2), 2, tag(2, 2), 0, tag(7, 0), 1)).toMatchObject({
    Api: { options: [{ name: '', value: { type_url: '', value: '' } }], syntax: 'SYNTAX_PROTO3' },
  });
  expect(json(21, tag(1, 2), 1, 0x61)).toEqual({ FieldMask: { paths: ['a'] } });
});

it('a file of the registry counts, also where it has the name of one that is known', () => {
  const own = {
    name: 'google/type/date.proto',
    schema: proto3('package google.type; message Date { string iso = 1; }'),
  };
  const text = proto3('import "google/type/date.proto"; message M { google.type.Date d = 1; }');
  const [first] = parseProtobufSchema(text, [own]);
  const type = first?.message.fields[0]?.type;
  expect(type?.kind === 'message' && type.message.fields.map(({ name }) => name)).toEqual(['iso']);
});

it('options of others need not be known', () => {
  const text = proto3(`package p; import "google/protobuf/descriptor.proto"; import "confluent/meta.proto";
    extend google.protobuf.FieldOptions { string note = 50000; }
    message M { option (confluent.message_meta) = { doc: "x" }; int32 a = 1 [(p.note) = "y", deprecated = true]; }
    service S { rpc Get(M) returns (stream M); }`);
  expect(jsonOf(text, Buffer.of(tag(1, 0), 7))).toBe('{"a":7}');
});

it.each<[string, string]>([
  ['no such type', proto3('message M { Missing a = 1; }')],
  ['no Protobuf', '{"type":"record"}'],
  ['a number that is used twice', proto3('message M { int32 a = 1; int32 b = 1; }')],
  ['an unknown syntax', 'edition = "2099"; message M { int32 a = 1; }'],
])('%s: it is no schema', (_name, text) => {
  expect(() => parseProtobufSchema(text)).toThrow(SchemaError);
});

it.each<[string, number[]]>([
  ['its bytes end too early for its schema', [tag(1, 0)]],
  ['its bytes end too early for its schema', [tag(1, 0), 0x80]],
  ['its bytes end too early for its schema', [tag(2, 2), 5, 1]],
  ['its bytes end too early for its schema', [tag(2, 2), 0xff, 0xff, 0xff, 0xff, 0xff, 1]],
  ['its bytes end too early for its schema', [tag(3, 2), 2, tag(1, 0), 0x80]],
  ['its bytes end too early for its schema', [tag(9, 3), tag(1, 0), 1]],
  ['a number has more than 64 bits', [tag(1, 0), ...Array<number>(10).fill(0x80), 1]],
  ['a field has an impossible number', [0, 1]],
  ['a value has an impossible encoding', [tag(1, 6)]],
  ['a value has an impossible encoding', [tag(1, 4)]],
  ['a value has an impossible encoding', [tag(9, 3), tag(8, 4), tag(9, 4)]],
  ['a number goes beyond the values that it is packed with', [tag(4, 2), 1, 0x80, tag(1, 0), 1]],
])('%s: %j', (why, payload) => {
  const schema = proto3('message M { int32 a = 1; string b = 2; M m = 3; repeated int32 p = 4; }');
  expect(whyNot(schema, Buffer.from(payload))).toBe(why);
});

it('messages may be nested as deep as 500, and no deeper, with groups too', () => {
  const schema = proto3('message M { M m = 1; }');
  const nested = (levels: number) => {
    let bytes = Buffer.alloc(0);
    for (let level = 0; level < levels; level++) {
      const size = bytes.length;
      const length = size < 128 ? [size] : [(size & 0x7f) | 0x80, size >> 7];
      bytes = Buffer.concat([Buffer.of(tag(1, 2), ...length), bytes]);
    }
    return bytes;
  };
  expect(jsonOf(schema, nested(499))).toBe(`${'{"m":'.repeat(499)}{}${'}'.repeat(499)}`);
  expect(whyNot(schema, nested(500))).toBe('its values are nested too deeply');
  expect(whyNot(schema, Buffer.alloc(100_000, tag(9, 3)))).toBe('its values are nested too deeply');
});

const file = (name: string, body: string) => ({ name, schema: proto3(body) });

/** What the field `f` of the first message is. */
function typeOf(body: string, references: readonly NamedSchema[] = []): string {
  const [first] = parseProtobufSchema(body.startsWith('syntax') ? body : proto3(body), references);
  const type = first?.message.fields.find(({ name }) => name === 'f')?.type;
  return type?.kind === 'message' ? type.message.name : type?.kind === 'enum' ? type.name : String(type?.kind);
}

it.each<[string, string, string, NamedSchema[]?]>([
  [
    'not one in a message beside it',
    'p.S',
    'package p; enum S { A = 0; } message M { message N { enum S { B = 0; } } S f = 1; }',
  ],
  ['its own one before that of the file', 'M.N', 'message M { message N {} N f = 1; } message N {}'],
  ['with a package, too', 'p.M.N', 'package p; message M { message N {} N f = 1; } message N {}'],
  ['its outer ones', 'p.N', 'package p; message M { message O { message N {} } N f = 1; } message N {}'],
  ['of a map', 'p.N entry', 'package p; message M { map<string, N> f = 1; message O { message N {} } } message N {}'],
  [
    'the nearest package that has the first part of its name',
    'acme.common.X',
    'package acme; import "a"; import "b"; message M { common.X f = 1; }',
    [file('a', 'package common; message X {}'), file('b', 'package acme.common; message X {}')],
  ],
  [
    'packages of files that are not imported do not count',
    'common.X',
    'package acme; import "a"; import "c"; message M { common.X f = 1; }',
    [
      file('a', 'package common; message X {}'),
      file('b', 'package acme.common; message X {}'),
      file('c', 'import "b"; message Y {}'),
    ],
  ],
  [
    'those that are imported publicly count',
    'acme.common.X',
    'package acme; import "a"; import "c"; message M { common.X f = 1; }',
    [
      file('a', 'package common; message X {}'),
      file('b', 'package acme.common; message X {}'),
      file('c', 'import public "b"; message Y {}'),
    ],
  ],
  ['with the end of its package', 'a.b.N', 'package a.b; message M { b.N f = 1; } message N {}'],
  [
    'from the root',
    'b.N',
    'package a.b; import "x"; message M { .b.N f = 1; } message N {}',
    [file('x', 'package b; message N {}')],
  ],
  [
    'no package within its own',
    'p.N',
    'package p; import "x"; message M { N f = 1; } message N {}',
    [file('x', 'package p.q; message N {}')],
  ],
])('the type of a field is the one that compilers take: %s', (_name, type, body, references) => {
  const expected = type.endsWith(' entry') ? '.p.M.f entry' : type;
  expect(typeOf(body, references)).toBe(expected);
  if (expected === type) return;
  const [first] = parseProtobufSchema(proto3(body));
  const entry = first?.message.fields[0]?.type;
  const value = entry?.kind === 'message' ? entry.message.fields[1]?.type : undefined;
  expect(value?.kind === 'message' && value.message.name).toBe('p.N');
});

it('if the first part of a name is nearer than the rest, it is no schema', () => {
  const text = proto3('package p; import "x"; message M { message q {} q.N f = 1; }');
  expect(() => parseProtobufSchema(text, [file('x', 'package q; message N {}')])).toThrow('it uses a type q.N');
});

it.each<[string, string]>([
  ['lists', 'message M { int32 a = 1 [(confluent.field_meta) = { params: [ { key: "scale", value: "2" } ] }]; }'],
  ['empty lists', 'message M { int32 a = 1 [(x) = { params: [] }, packed = false, deprecated = true]; }'],
  ['names of extensions', 'option (x) = { [a.b]: 1 }; message M { int32 a = 1; }'],
  ['angle brackets, and numbers with an f', 'message M { int32 a = 1 [(x) = { a <b: 1.5f> }]; }'],
  ['brackets in texts', `message M { int32 a = 1 [(x) = "]; }", (y) = '\\'];{', (z) = 1 /* ] */ ]; // }\n }`],
  ['lone semicolons', ';; message M { ; int32 a = 1; ; };'],
  ['negative numbers that are reserved', 'enum E { reserved -5 to -1, 7 to max; A = 0; } message M { int32 a = 1; }'],
  [
    'services',
    'message M { int32 a = 1; } service S { rpc R(M) returns (stream M) { option (x) = { a: [] }; } option b = 1; }',
  ],
  [
    'words as names',
    'message M { int32 a = 1; oneof o { extend b = 2; } } message extend { int32 option = 1; } enum E { service = 0; extend = 1; }',
  ],
])('what says nothing about values may be any: %s', (_name, body) => {
  const [first] = parseProtobufSchema(proto3(body));
  expect(first?.message.fields[0]).toMatchObject({ name: 'a', id: 1, type: { kind: 'int32' } });
});

it('defaults of a schema may be any, and its options that say how values are written count', () => {
  const proto2 = 'syntax = "proto2"; message M { optional int32 a = 1 [default = - 5]; } enum E { A = - 3; }';
  expect(jsonOf(proto2, Buffer.alloc(0))).toBe('{}');
  const edition = `edition = "2023"; option features.field_presence = IMPLICIT;
    message M { int32 a = 1; int32 b = 2 [deprecated = true, features.field_presence = EXPLICIT]; }`;
  expect(jsonOf(edition, Buffer.alloc(0))).toBe('{"a":0}');
});

it.each<[string, string]>([
  ['a comment', proto3('message M { int32 a = 1; } /* message N {}')],
  ['a text', proto3('import "a; message M { int32 a = 1; }')],
  ['options', proto3('message M { int32 a = 1 [x = 1; }')],
  ['a service', proto3('message M { int32 a = 1; } service S {')],
])('%s that does not end: it is no schema', (_name, text) => {
  expect(() => parseProtobufSchema(text)).toThrow(SchemaError);
});

it('an error names the line of the file', () => {
  const text = `syntax = "proto3";\n// c\n/* d\n*/ message M {\n int32 a = 1 [(x) = {\n}];\n int32 = 5;\n}`;
  expect(() => parseProtobufSchema(text)).toThrow('line 7');
});

it('the first symbol of an enum is its default, and groups have the names that compilers give them', () => {
  const text = `syntax = "proto2"; enum E { B = 5; A = 1; Z = 0; } message M {
    map<string, E> m = 1; optional group MyGroup = 2 { optional int32 x = 1; } optional MyGroup other = 3; }`;
  const payload = Buffer.of(tag(1, 2), 0, tag(2, 3), tag(1, 0), 5, tag(2, 4), tag(3, 2), 2, tag(1, 0), 6);
  expect(jsonOf(text, payload)).toBe('{"m":{"":"B"},"mygroup":{"x":5},"other":{"x":6}}');
});

const many = (count: number, one: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => one(i)).join('');

it('any number of messages may lead from one to the next', () => {
  const text = proto3(`${many(4_000, (i) => `message T${i} { T${i + 1} f = 1; }`)} message T4000 { int32 x = 1; }`);
  expect(emptyJsonBytes(parseProtobufSchema(text))).toBe('"x":0,'.length);
});

it.each<[string, string]>([
  ['a message has more than 4000 fields', `message M { oneof o { ${many(4_001, (i) => `int32 f${i} = ${i + 1};`)} } }`],
  ['its files have more than 20000 fields and symbols', `enum E { ${many(20_001, (i) => `S${i} = ${i};`)} }`],
  ['it has more than 2097152 characters, with all that it imports', ' '.repeat(2 * 1024 * 1024)],
])('a schema that takes too long to read is none: %s', (why, body) => {
  expect(() => parseProtobufSchema(proto3(body))).toThrow(new SchemaError(why));
});

const IN_ALL_OBJECTS = [...Object.getOwnPropertyNames(Object.prototype), 'constructor__own', '__proto__x'];

it.each(IN_ALL_OBJECTS)('anything may be named %s', (name) => {
  const text = proto3(`package ${name}.a.${name};
    message M { N.${name} one = 1; oneof which { int32 ${name} = 2; } map<string, ${name}.T> all = 3; }
    message N { message ${name} { E ${name} = 1; } enum E { none = 0; ${name}_ = 1; } }
    message ${name} { enum T { zero = 0; ${name} = 1; } }
    message Last { oneof ${name} { int32 last = 1; } }`);
  const payload = Buffer.from([0x0a, 2, 8, 1, 0x10, 5, 0x1a, 5, 0x0a, 1, 0x61, 0x10, 1]);
  expect(jsonOf(text, payload)).toBe(`{"one":{"${name}":"${name}_"},"${name}":5,"all":{"a":"${name}"}}`);
  expect(jsonOf(text, Buffer.of(8, 1), [2, 6])).toBe('{"last":1}');
  const bad = proto3(`message M { ${name}.None f = 1; }`);
  expect(() => parseProtobufSchema(bad)).toThrow(`it uses a type ${name}.None, which it does not define`);
});

it('an enum of many symbols is prepared once, however many fields are of it', () => {
  const enums = many(1_000, (i) => `S${i} = ${i};`);
  const text = proto3(`enum E { ${enums} } message M { ${many(1_000, (i) => `E f${i} = ${i + 1};`)} }`);
  const messages = parseProtobufSchema(text);
  const made = vi.spyOn(Buffer, 'from');
  onTestFinished(() => made.mockRestore());
  emptyJsonBytes(messages);
  const out = new JsonWriter();
  out.begin(1024 * 1024);
  protobufDecoder(messages, { bytes: 'raw' })(Buffer.alloc(1), 0, 1, out);
  expect(made.mock.calls.length).toBeLessThan(5_000);
});

it('a message that comes in parts at each level is not copied', () => {
  let bytes = Buffer.of(tag(2, 2), 1, 0x61);
  for (let level = 0; level < 300; level++) {
    const size = bytes.length;
    const varint = Buffer.of((size & 0x7f) | 0x80, ((size >> 7) & 0x7f) | 0x80, size >> 14);
    bytes = Buffer.concat([Buffer.of(tag(1, 2)), varint, bytes, Buffer.of(tag(1, 2), 2, tag(3, 0), 1)]);
  }
  const value = Buffer.concat([Buffer.alloc(1), bytes]);
  const decode = protobufDecoder(
    parseProtobufSchema(
      'syntax = "proto2"; message M { optional M m = 1; optional string s = 2; optional int32 i = 3; }',
    ),
    { bytes: 'raw' },
  );
  const out = new JsonWriter();
  out.begin(1024 * 1024);
  const copied = vi.spyOn(Buffer, 'concat');
  onTestFinished(() => copied.mockRestore());
  decode(value, 0, value.length, out);
  expect(copied).not.toHaveBeenCalled();
  const json = out.bytes.toString('latin1', 0, out.length);
  expect(json).toBe(`${'{"m":'.repeat(300)}{"s":"a","i":1}${',"i":1}'.repeat(299)}}`);
});

it('groups within groups take no more work than their bytes may', () => {
  const text = `edition = "2023"; message M { M m = 1 [features.message_encoding = DELIMITED]; int32 x = 2; }`;
  const nested = (levels: number, values: number) =>
    Buffer.concat([
      Buffer.alloc(levels, tag(1, 3)),
      Buffer.alloc(2 * values, Buffer.of(tag(2, 0), 1)),
      Buffer.alloc(levels, tag(1, 4)),
    ]);
  expect(whyNot(text, nested(100, 50_000))).toBe('decoded');
  expect(whyNot(text, nested(400, 50_000))).toBe('it takes too much work for its size');
});

it('empty messages of many fields take no more work than their bytes may', () => {
  const text = `syntax = "proto2"; message M { repeated W w = 1; } message W { ${many(4_000, (i) => `optional int32 f${i} = ${i + 1};`)} }`;
  const empty = (count: number) => Buffer.alloc(2 * count, Buffer.of(tag(1, 2), 0));
  expect(whyNot(text, empty(1_000))).toBe('decoded');
  expect(whyNot(text, empty(20_000))).toBe('it takes too much work for its size');
});

it('a large value takes no more work than leaves the worker its heartbeats', () => {
  const text = `edition = "2023"; message M { M m = 1 [features.message_encoding = DELIMITED]; int32 x = 2; }`;
  const nested = (levels: number) =>
    Buffer.concat([
      Buffer.alloc(levels, tag(1, 3)),
      Buffer.alloc(1_000_000, Buffer.of(tag(2, 0), 1)),
      Buffer.alloc(levels, tag(1, 4)),
    ]);
  expect(whyNot(text, nested(60))).toBe('decoded');
  expect(whyNot(text, nested(110))).toBe('it takes too much work for its size');
});

it('whatever the bytes, a value is decoded or refused, and what is decoded is JSON', () => {
  const messages = parseProtobufSchema(
    WELL_KNOWN.replace('message M {', 'message M { M m = 15; repeated sint64 r = 14; map<bool, M> x = 13;'),
  );
  const decode = protobufDecoder(messages, { bytes: 'base64' });
  const out = new JsonWriter();
  const bytes = fc.array(
    fc.oneof(
      fc.nat(255),
      fc.nat(15),
      fc.nat(15).map((id) => tag(id, 2)),
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(bytes, (array) => {
      const value = Buffer.of(0, ...array);
      out.begin(1024 * 1024);
      try {
        decode(value, 0, value.length, out);
      } catch (error) {
        expect(error).toBeInstanceOf(UndecodableError);
        return;
      }
      // What an Any names and texts are bytes, so JSON is read byte by byte.
      JSON.parse(out.bytes.toString('latin1', 0, out.length));
    }),
    { numRuns: 5_000 },
  );
});
