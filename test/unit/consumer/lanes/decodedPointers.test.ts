import { expect, it } from 'vitest';
import { keylessIndex, laneIndex } from '../../../../src/codecs/laneIndex.js';
import { DecodedPointers } from '../../../../src/consumer/lanes/decodedPointers.js';
import { Decoders } from '../../../../src/formats/decoders.js';
import { RegistryError } from '../../../../src/formats/schemaRegistry.js';
import { murmur2 } from '../../../../src/lib/murmur2.js';
import type { Layout } from '../../../../src/protocol/layout.js';
import { DEFAULT_MAPPING } from '../../../support/chunks.js';
import { amongOthers, record } from '../../../support/records.js';

const SOURCE = { topic: 'orders', partition: 3, epoch: 'e1' };
const LAYOUT: Layout = { batchers: 1_009, keyFunction: '/id' };
const ofFields = (...fields: readonly (readonly [name: string, type: unknown])[]) =>
  JSON.stringify({ type: 'record', name: 'R', fields: fields.map(([name, type]) => ({ name, type })) });
const PROTO = (field: string) => `syntax = "proto3"; message M { ${field} }`;
const SCHEMAS: Record<number, readonly [type: string, schema: string]> = {
  1: ['AVRO', ofFields(['id', 'int'])],
  2: ['AVRO', ofFields(['other', 'int'], ['id', 'long'])],
  3: ['AVRO', ofFields(['id', ['null', 'string']])],
  4: ['PROTOBUF', PROTO('int64 id = 1;')],
  5: ['PROTOBUF', PROTO('string other = 1; string id = 7;')],
  6: [
    'AVRO',
    ofFields(['id', 'int'], ['many', { type: 'array', items: { type: 'enum', name: 'E', symbols: ['x'.repeat(60)] } }]),
  ],
};
const decoders = new Decoders({
  schema: (id) => {
    const [type, schema] = SCHEMAS[id] ?? [];
    return Promise.resolve(type === undefined ? null : { type, schema: schema!, references: [] });
  },
});
const KEY = Buffer.from('key');
const withId = (id: number, ...payload: number[]) =>
  record(1, { key: KEY, value: Buffer.of(0, 0, 0, 0, id, ...payload) });
const hash = (text: string) => murmur2(Buffer.from(text)) % LAYOUT.batchers;

async function lanesOf(format: 'avro' | 'protobuf' | 'json-schema', records: readonly ReturnType<typeof record>[]) {
  const pointers = new DecodedPointers({ ...DEFAULT_MAPPING, format }, decoders);
  expect(pointers.areNeededFor(LAYOUT)).toBe(true);
  const keyless = keylessIndex(SOURCE, LAYOUT);
  const [alone, packed] = await Promise.all(
    [records, records.map(amongOthers)].map(async (list) => {
      const pointed = await pointers.of(SOURCE, list, LAYOUT);
      return list.map((one, index) => laneIndex(one, keyless, LAYOUT, pointed[index]));
    }),
  );
  expect(packed).toEqual(alone);
  return alone;
}

it('a value has one batcher, whatever its schema, its type and its format', async () => {
  const seven = '7'.charCodeAt(0);
  const avro = [withId(1, 14), withId(2, 2, 14), withId(3, 2, 2, seven)];
  expect(await lanesOf('avro', avro)).toEqual(Array(3).fill(hash('7')));
  const protobuf = [withId(4, 0, 8, 7), withId(5, 0, 0x3a, 1, seven)];
  expect(await lanesOf('protobuf', protobuf)).toEqual(Array(2).fill(hash('7')));
  const json = Buffer.concat([Buffer.alloc(5), Buffer.from('{"id":7}')]);
  expect(await lanesOf('json-schema', [record(1, { value: json })])).toEqual([hash('7')]);
  expect(laneIndex(record(1, { value: Buffer.from('{"id":7}') }), 0, LAYOUT)).toBe(hash('7'));
});

it('what does not decode, or has nothing at the pointer, goes by its key, and without one by its partition', async () => {
  const records = [withId(1), withId(9, 14), withId(3, 0), record(1, { key: KEY, value: Buffer.from('{"id":7}') })];
  const none = record(1, { key: KEY, value: null });
  expect(await lanesOf('avro', [...records, none])).toEqual(Array(5).fill(hash('key')));
  expect(await lanesOf('avro', [{ ...none, key: null }])).toEqual([3]);
});

it('the batcher of a record does not depend on what is fetched with it', async () => {
  // Each becomes 63 times as large. In a batch of a worker, the last ones would become too much together.
  const items = Buffer.alloc(16_384);
  const value = Buffer.concat([Buffer.of(0, 0, 0, 0, 6, 14), Buffer.from('808002', 'hex'), items, Buffer.of(0)]);
  const pointers = new DecodedPointers({ ...DEFAULT_MAPPING, format: 'avro' }, decoders);
  const pointed = await pointers.of(SOURCE, Array(300).fill(record(1, { value })), LAYOUT);
  expect(new Set(pointed.map(String))).toEqual(new Set(['7']));
}, 60_000);

it('neither the registry nor the decoding takes longer than it may, and some records are taken in any case', async () => {
  const mapping = { ...DEFAULT_MAPPING, format: 'avro' } as const;
  const records = [withId(1, 14), withId(1, 16)];
  const slow = new DecodedPointers(mapping, new Decoders({ schema: () => new Promise(() => undefined) }));
  await expect(slow.of(SOURCE, records, LAYOUT, { askMs: 20, decodeMs: 1_000 })).rejects.toThrow(RegistryError);
  const pointers = new DecodedPointers(mapping, decoders);
  const pointed = await pointers.of(SOURCE, records, LAYOUT, { askMs: 1_000, decodeMs: 0 });
  expect(pointed.map(String)).toEqual(['7']);
});

it('a pointer leads into decoded keys, whatever the value is; a key that does not decode is the whole key', async () => {
  const layout: Layout = { batchers: LAYOUT.batchers, keyFunction: 'key:/id' };
  const keyed = (key: Buffer | null) => record(1, { key, value: Buffer.of(0, 0, 0, 0, 99) });
  const bad = Buffer.of(0, 0, 0, 0, 1);
  const keys = [Buffer.of(0, 0, 0, 0, 1, 14), Buffer.of(0, 0, 0, 0, 2, 2, 14), bad, null];
  for (const format of ['avro', 'json'] as const) {
    const pointers = new DecodedPointers({ ...DEFAULT_MAPPING, format, key: { format: 'avro' } }, decoders);
    expect(pointers.areNeededFor(layout)).toBe(true);
    expect(pointers.areNeededFor(LAYOUT)).toBe(format === 'avro');
    for (const records of [keys.map(keyed), keys.map(keyed).map(amongOthers)]) {
      const pointed = await pointers.of(SOURCE, records, layout);
      expect(pointed).toEqual([Buffer.from('7'), Buffer.from('7'), null, null]);
      const keyless = keylessIndex(SOURCE, layout);
      expect(records.map((one, index) => laneIndex(one, keyless, layout, pointed[index]))).toEqual([
        hash('7'),
        hash('7'),
        murmur2(bad) % LAYOUT.batchers,
        keyless,
      ]);
    }
  }
  const json = new DecodedPointers({ ...DEFAULT_MAPPING, format: 'avro', key: { format: 'json' } }, decoders);
  expect(json.areNeededFor(layout)).toBe(false);
});

it('values of JSON, and other layouts, need no decoding; without a registry nothing is guessed', async () => {
  const areNeeded = (format: 'json' | 'avro', keyFunction: Layout['keyFunction']) =>
    new DecodedPointers({ ...DEFAULT_MAPPING, format }, decoders).areNeededFor({ batchers: 2, keyFunction });
  expect([areNeeded('json', '/id'), areNeeded('avro', 'key'), areNeeded('avro', '/id')]).toEqual([false, false, true]);
  const without = new DecodedPointers({ ...DEFAULT_MAPPING, format: 'avro' }, undefined);
  await expect(without.of(SOURCE, [withId(1, 14)], LAYOUT)).rejects.toThrow(RegistryError);
});
