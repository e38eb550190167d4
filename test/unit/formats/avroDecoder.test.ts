import fc from 'fast-check';
import { expect, it, onTestFinished, vi } from 'vitest';
import { avroDecoder, type AvroChoices, type Decoder } from '../../../src/formats/avroDecoder.js';
import { AvroReader } from '../../../src/formats/avroReader.js';
import { parseAvroSchema } from '../../../src/formats/avroSchema.js';
import { JsonWriter } from '../../../src/formats/jsonWriter.js';
import { SchemaError, UndecodableError } from '../../../src/formats/errors.js';

const PLAIN: AvroChoices = { bytes: 'raw', unions: 'plain' };
const BYTES_MAX = 1024 * 1024;

function decoderOf(schema: unknown, choices = PLAIN, references: readonly unknown[] = []): Decoder {
  const texts = references.map((one) => JSON.stringify(one));
  return avroDecoder(parseAvroSchema(JSON.stringify(schema), texts), choices);
}

/** The JSON of bytes that stand among others, one character per byte. */
function jsonOf(decode: Decoder, bytes: Uint8Array, filling = 0): string {
  const out = new JsonWriter();
  out.begin(BYTES_MAX);
  const among = Buffer.concat([Buffer.alloc(3, filling), bytes, Buffer.alloc(20, filling)]);
  decode(among, 3, 3 + bytes.length, out);
  out.finish();
  return out.bytes.toString('latin1', 0, out.length);
}

function whyNot(decode: Decoder, bytes: Uint8Array): string {
  try {
    jsonOf(decode, bytes);
  } catch (error) {
    if (error instanceof UndecodableError) return error.message;
    throw error;
  }
  return 'decoded';
}

/** Avro's variable-length form of a whole number of 64 bits. */
function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.of(...bytes, Number(rest));
}

/** A schema, a value of it as bytes, and the JSON that it has to become. */
interface Sample {
  readonly schema: unknown;
  readonly bytes: Buffer;
  readonly json: string;
}

const sample = (schema: unknown, bytes: Buffer, json: string): Sample => ({ schema, bytes, json });
const sized = (bytes: Buffer) => Buffer.concat([varint(BigInt(bytes.length)), bytes]);
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const text = fc.string({ unit: 'grapheme', maxLength: 60 });
const asciiBytes = fc.uint8Array({ maxLength: 60, max: 127 }).map((array) => Buffer.from(array));

let names = 0;
const { anySample } = fc.letrec<{ anySample: Sample }>((tie) => ({
  anySample: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.constant(sample('null', Buffer.alloc(0), 'null')),
    fc.boolean().map((value) => sample('boolean', Buffer.of(value ? 1 : 0), String(value))),
    fc.integer().map((value) => sample('int', varint(BigInt(value)), String(value))),
    fc.oneof(int64, fc.integer().map(BigInt)).map((value) => sample('long', varint(value), String(value))),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(value);
      return sample('double', bytes, Object.is(value, -0) ? '-0.0' : String(value));
    }),
    text.map((value) => sample('string', sized(Buffer.from(value)), JSON.stringify(value))),
    asciiBytes.map((value) => sample('bytes', sized(value), JSON.stringify(value.toString('latin1')))),
    asciiBytes.map((value) =>
      sample(
        { type: 'fixed', name: `F${names++}`, size: value.length },
        value,
        JSON.stringify(value.toString('latin1')),
      ),
    ),
    int64.map((value) => {
      const hex = BigInt.asUintN(72, value).toString(16).padStart(18, '0');
      const digits = String(value < 0n ? -value : value).padStart(5, '0');
      const schema = { type: 'bytes', logicalType: 'decimal', precision: 30, scale: 4 };
      const sign = value < 0n ? '-' : '';
      return sample(schema, sized(Buffer.from(hex, 'hex')), `"${sign}${digits.slice(0, -4)}.${digits.slice(-4)}"`);
    }),
    fc.array(tie('anySample'), { maxLength: 4 }).map((fields) => {
      const schema = {
        type: 'record',
        name: `R${names++}`,
        fields: fields.map(({ schema }, index) => ({ name: `f${index}`, type: schema })),
      };
      const json = fields.map((field, index) => `"f${index}":${field.json}`).join();
      return sample(schema, Buffer.concat(fields.map(({ bytes }) => bytes)), `{${json}}`);
    }),
    fc
      .tuple(tie('anySample'), fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }), fc.boolean())
      .map(([item, counts, withSizes]) => {
        // Items that take no bytes are refused.
        const blocks = item.bytes.length === 0 ? [] : counts;
        const items = blocks.reduce((sum, block) => sum + block, 0);
        const bytes = blocks.flatMap((block) => {
          const body = Buffer.concat(Array<Buffer>(block).fill(item.bytes));
          return withSizes
            ? [varint(BigInt(-block)), varint(BigInt(body.length)), body]
            : [varint(BigInt(block)), body];
        });
        const json = `[${Array<string>(items).fill(item.json).join()}]`;
        return sample({ type: 'array', items: item.schema }, Buffer.concat([...bytes, Buffer.of(0)]), json);
      }),
    fc
      .tuple(tie('anySample'), text)
      .map(([item, key]) =>
        sample(
          { type: 'map', values: item.schema },
          Buffer.concat([Buffer.of(2), sized(Buffer.from(key)), item.bytes, Buffer.of(0)]),
          `{${JSON.stringify(key)}:${item.json}}`,
        ),
      ),
    tie('anySample').map((branch) => {
      const isUnion = Array.isArray(branch.schema);
      if (isUnion) return branch;
      return sample(['boolean', branch.schema], Buffer.concat([Buffer.of(2), branch.bytes]), branch.json);
    }),
  ),
}));

it('any value of any schema becomes the JSON with the same digits and texts', () => {
  fc.assert(
    fc.property(anySample, ({ schema, bytes, json }) => {
      // Bytes alone have no size before them, as Confluent's serializers write them. That of the samples takes a byte.
      const written = schema === 'bytes' ? bytes.subarray(1) : bytes;
      expect(jsonOf(decoderOf(schema), written)).toBe(Buffer.from(json).toString('latin1'));
    }),
    { numRuns: 2_000 },
  );
});

it('damaged bytes become JSON or an error, never anything from beyond their end, and never much', () => {
  const damage = fc.oneof(
    fc.record({ cut: fc.nat() }),
    fc.record({ at: fc.nat(), byte: fc.nat(255) }),
    fc.record({ bytes: fc.uint8Array({ maxLength: 40 }) }),
  );
  fc.assert(
    fc.property(anySample, damage, ({ schema, bytes }, how) => {
      const damaged = Buffer.from('bytes' in how ? how.bytes : bytes);
      if ('at' in how && damaged.length > 0) damaged[how.at % damaged.length] = how.byte;
      const left = 'cut' in how ? damaged.subarray(0, how.cut % (damaged.length + 1)) : damaged;
      const decode = decoderOf(schema);
      const results = [0, 0xff].map((filling) => {
        try {
          return jsonOf(decode, left, filling);
        } catch (error) {
          if (!(error instanceof UndecodableError)) throw error;
          return error.message;
        }
      });
      expect(results[1]).toBe(results[0]);
      if (results[0]?.startsWith('{')) JSON.parse(results[0]);
    }),
    { numRuns: 3_000 },
  );
});

it('a few bytes that claim a great deal are refused at once', () => {
  const huge = varint(2n ** 50n);
  const nulls = decoderOf({ type: 'array', items: 'null' });
  const empty = { type: 'record', name: 'Empty', fields: [{ name: 'a', type: 'null' }] };
  for (const items of ['null', empty, { type: 'fixed', name: 'F', size: 0 }]) {
    const decode = decoderOf({ type: 'array', items });
    for (const claimed of [huge, varint(1n)])
      expect(whyNot(decode, Buffer.concat([claimed, Buffer.of(0)]))).toMatch(/items that take no bytes/);
    expect(whyNot(decode, Buffer.of(0))).toBe('decoded');
  }
  expect(whyNot(nulls, Buffer.concat([varint(-(2n ** 63n)), Buffer.of(0, 0)]))).toMatch(/more items than can be/);
  for (const type of ['bytes', 'string']) {
    const decode = decoderOf({ type: 'record', name: 'R', fields: [{ name: 'a', type }] });
    expect(whyNot(decode, huge)).toMatch(/end too early/);
    expect(whyNot(decode, varint(2n ** 60n))).toMatch(/end too early/);
    expect(whyNot(decode, varint(-1n))).toMatch(/negative/);
  }
  const decimal = decoderOf({ type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 });
  expect(whyNot(decimal, sized(Buffer.alloc(100_000, 1)))).toMatch(/more digits/);
});

it('values within values end at a depth, and not at the end of the stack', () => {
  const list = { type: 'record', name: 'List', fields: [{ name: 'next', type: ['null', 'List'] }] };
  const decode = decoderOf(list);
  const nested = (depth: number) => Buffer.concat([Buffer.alloc(depth, 2), Buffer.of(0)]);
  expect(jsonOf(decode, nested(2))).toBe('{"next":{"next":{"next":null}}}');
  expect(whyNot(decode, nested(249))).toBe('decoded');
  expect(whyNot(decode, nested(100_000))).toMatch(/nested too deeply/);
  const endless = { type: 'record', name: 'Endless', fields: [{ name: 'self', type: 'Endless' }] };
  expect(whyNot(decoderOf(endless), Buffer.alloc(0))).toMatch(/nested too deeply/);
  expect(whyNot(decode, nested(250))).toMatch(/nested too deeply/);
  const items = (of: string) => ({
    type: 'record',
    name: 'Items',
    fields: [{ name: 'i', type: { type: of, ...within } }],
  });
  const within = { items: 'Items', values: 'Items' };
  expect(whyNot(decoderOf(items('array')), Buffer.alloc(249, 2))).toMatch(/end too early/);
  expect(whyNot(decoderOf(items('array')), Buffer.alloc(250, 2))).toMatch(/nested too deeply/);
  // Each map has one key of no bytes.
  expect(whyNot(decoderOf(items('map')), Buffer.alloc(498, Buffer.of(2, 0)))).toMatch(/end too early/);
  expect(whyNot(decoderOf(items('map')), Buffer.alloc(500, Buffer.of(2, 0)))).toMatch(/nested too deeply/);
  const arrays = `${'{"type":"array","items":'.repeat(3_000)}"int"${'}'.repeat(3_000)}`;
  expect(() => parseAvroSchema(arrays)).toThrow('it is nested too deeply');
});

it('numbers that have more bits than their type are refused', () => {
  expect(whyNot(decoderOf('long'), Buffer.alloc(10, 0xff))).toMatch(/more than 64 bits/);
  expect(whyNot(decoderOf('long'), Buffer.from('ffffffffffffffffff02', 'hex'))).toMatch(/more than 64 bits/);
  expect(jsonOf(decoderOf('long'), Buffer.from('ffffffffffffffffff01', 'hex'))).toBe('-9223372036854775808');
  expect(whyNot(decoderOf('int'), varint(2n ** 31n))).toMatch(/more than 32 bits/);
  expect(whyNot(decoderOf('boolean'), Buffer.of(2))).toMatch(/neither 0 nor 1/);
  expect(whyNot(decoderOf(['null', 'int']), Buffer.of(4))).toMatch(/no branch/);
  expect(whyNot(decoderOf({ type: 'enum', name: 'E', symbols: ['A'] }), Buffer.of(2))).toMatch(/no symbol/);
  expect(whyNot(decoderOf({ type: 'int', logicalType: 'time-millis' }), varint(86_400_000n))).toMatch(/within a day/);
});

it('the same digit of a time, whatever the unit, is written, far from 1970, too', () => {
  const time = (logicalType: string, value: bigint) => jsonOf(decoderOf({ type: 'long', logicalType }), varint(value));
  expect(time('timestamp-millis', -62_135_596_800_000n)).toBe('"0001-01-01T00:00:00.000Z"');
  expect(time('timestamp-micros', 253_402_300_799_999_999n)).toBe('"9999-12-31T23:59:59.999999Z"');
  expect(time('timestamp-nanos', -1n)).toBe('"1969-12-31T23:59:59.999999999Z"');
  expect(time('timestamp-nanos', -(2n ** 63n))).toBe('"1677-09-21T00:12:43.145224192Z"');
  expect(time('timestamp-millis', 2n ** 63n - 1n)).toBe('"+292278994-08-17T07:12:55.807Z"');
  expect(time('local-timestamp-nanos', 2n ** 63n - 1n)).toBe('"2262-04-11 23:47:16.854775807"');
  const date = (day: bigint) => jsonOf(decoderOf({ type: 'int', logicalType: 'date' }), varint(day));
  expect([date(0n), date(-1n), date(11_016n), date(2n ** 31n - 1n)]).toEqual([
    '"1970-01-01"',
    '"1969-12-31"',
    '"2000-02-29"',
    '"+5881580-07-11"',
  ]);
});

it('names follow their namespaces, and a logical type that does not fit its type is passed over', () => {
  const address = { type: 'record', name: 'Address', namespace: 'shop', fields: [{ name: 'city', type: 'string' }] };
  const order = { type: 'record', name: 'shop.Order', fields: [{ name: 'to', type: 'Address' }] };
  expect(jsonOf(decoderOf(order, PLAIN, [address]), Buffer.of(2, 65))).toBe('{"to":{"city":"A"}}');
  expect(() => decoderOf(order)).toThrow('it uses a type Address, which it does not define');
  const named = decoderOf(['null', address, 'long'], { bytes: 'raw', unions: 'named' });
  expect([Buffer.of(0), Buffer.of(2, 2, 65), Buffer.of(4, 4)].map((bytes) => jsonOf(named, bytes))).toEqual([
    'null',
    '{"shop.Address":{"city":"A"}}',
    '{"long":2}',
  ]);
  expect(jsonOf(decoderOf({ type: 'long', logicalType: 'date' }), Buffer.of(2))).toBe('1');
  expect(jsonOf(decoderOf({ type: 'bytes', logicalType: 'decimal', precision: 1, scale: 2 }), Buffer.of(65))).toBe(
    '"A"',
  );
  for (const schema of [{}, 5, [], { type: 'record', name: 'R' }, { type: 'enum', name: 'E' }, { type: 'fixed' }, 'x'])
    expect(() => decoderOf(schema)).toThrow(SchemaError);
});

it('a name has one meaning in all that a schema brings; the same definition may come twice', () => {
  const address = (fields: readonly string[]) => ({
    type: 'record',
    name: 'shop.Address',
    fields: fields.map((name) => ({ name, type: ['null', 'Address'] })),
  });
  const size = (bytes: number) => ({ type: 'fixed', name: 'shop.Size', size: bytes });
  const kind = (...symbols: unknown[]) => ({ type: 'enum', name: 'shop.Kind', symbols });
  for (const [same, other] of [
    [address(['next']), address(['previous'])],
    [size(2), size(3)],
    [kind('A', 'B'), kind('B', 'A')],
  ] as const) {
    const union = ['null', same];
    expect(jsonOf(decoderOf(union, PLAIN, [same]), Buffer.of(0))).toBe('null');
    expect(() => decoderOf(union, PLAIN, [other])).toThrow(`it defines ${same.name} twice, differently`);
    expect(() => decoderOf('int', PLAIN, [same, other])).toThrow(SchemaError);
  }
  expect(() => decoderOf(kind({ toString: 1 }))).toThrow(SchemaError);
});

it('a decoder that is kept keeps no bytes of a record', () => {
  const reader = new AvroReader();
  const decode = avroDecoder(parseAvroSchema('"string"'), PLAIN, reader);
  expect(jsonOf(decode, Buffer.of(2, 65))).toBe('"A"');
  expect(reader.bytes).toHaveLength(0);
  expect(whyNot(decode, Buffer.of(4, 65))).toMatch(/end too early/);
  expect(reader.bytes).toHaveLength(0);
});

it('an enum of many symbols is prepared once, however many fields are of it', () => {
  const symbols = Array.from({ length: 1_000 }, (_, i) => `S${i}`);
  const fields = Array.from({ length: 1_000 }, (_, i) => ({ name: `f${i}`, type: 'E' }));
  const first = { name: 'e', type: { type: 'enum', name: 'E', symbols } };
  const type = parseAvroSchema(JSON.stringify({ type: 'record', name: 'R', fields: [first, ...fields] }));
  const made = vi.spyOn(Buffer, 'from');
  onTestFinished(() => made.mockRestore());
  avroDecoder(type, { bytes: 'raw', unions: 'plain' });
  expect(made.mock.calls.length).toBeLessThan(5_000);
});

it.each(Object.getOwnPropertyNames(Object.prototype))('anything may be named %s', (name) => {
  const inner = {
    type: 'record',
    name,
    namespace: name,
    fields: [{ name, type: { type: 'enum', name: `${name}.E`, symbols: [name] } }],
  };
  const schema = {
    type: 'record',
    name: 'R',
    namespace: name,
    fields: [
      { name: 'a', type: inner },
      { name, type: ['null', name] },
      { name: 'm', type: { type: 'map', values: 'int' } },
    ],
  };
  const map = Buffer.concat([varint(1n), sized(Buffer.from(name)), varint(5n), varint(0n)]);
  const bytes = Buffer.concat([varint(0n), varint(1n), varint(0n), map]);
  const decode = decoderOf(schema, { bytes: 'raw', unions: 'named' });
  expect(jsonOf(decode, bytes)).toBe(
    `{"a":{"${name}":"${name}"},"${name}":{"${name}.${name}":{"${name}":"${name}"}},"m":{"${name}":5}}`,
  );
});
