import { expect, it } from 'vitest';
import { recordTexts } from '../../../../src/commands/shared/recordTexts.js';
import { Decoders } from '../../../../src/formats/decoders.js';
import { RegistryError } from '../../../../src/formats/schemaRegistry.js';
import type { Mapping } from '../../../../src/protocol/settings.js';
import { DEFAULT_MAPPING } from '../../../support/chunks.js';
import { record } from '../../../support/records.js';

const SOURCE = { topic: 'orders', partition: 0, epoch: '' };
const SCHEMA = JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'id', type: 'long' }] });
const AVRO = { ...DEFAULT_MAPPING, format: 'avro', key: { format: 'avro' } } as const;
const decoders = new Decoders({
  schema: (id) =>
    id === 9
      ? Promise.reject(new RegistryError('away', 'it is away'))
      : Promise.resolve({ schema: id === 1 ? SCHEMA : '"string"', type: 'AVRO', references: [] }),
});
const withId = (id: number, ...payload: number[]) => Buffer.of(0, 0, 0, 0, id, ...payload);
const texts = (key: Buffer | null, value: Buffer | null, mapping: Mapping = AVRO, part?: 'key') =>
  recordTexts(SOURCE, record(1, { key, value }), mapping, decoders, part);

it('shows what is decoded, and what does not decode as it came, each by itself', async () => {
  expect(await texts(withId(2, 2, 97), withId(1, 14))).toEqual({ key: '"a"', value: '{"id":7}' });
  expect(await texts(withId(1, 14), Buffer.from('x'))).toEqual({
    key: '{"id":7}',
    value: 'x',
    notDecoded: expect.stringContaining('the value cannot be decoded: it does not begin') as string,
  });
  expect(await texts(Buffer.from('k'), withId(9, 14))).toEqual({
    key: 'k',
    value: withId(9, 14).toString(),
    notDecoded: expect.stringMatching(/^the key cannot be decoded: .*; it is away$/) as string,
  });
  expect(await texts(null, null)).toEqual({ key: null, value: null });
});

it('asks for nothing that is not shown or not decoded', async () => {
  expect(await texts(withId(1, 14), withId(9), AVRO, 'key')).toMatchObject({ key: '{"id":7}' });
  expect(await texts(withId(9), withId(9), DEFAULT_MAPPING)).not.toHaveProperty('notDecoded');
});
