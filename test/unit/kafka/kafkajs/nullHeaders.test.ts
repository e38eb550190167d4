import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import { NULL_HEADER, writeNullHeaders } from '../../../../src/kafka/kafkajs/nullHeaders.js';

const requireModule = createRequire(import.meta.url);
const encodeRecord = requireModule('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => {
  readonly buffer: Buffer;
};
const Decoder = requireModule('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => { readVarInt(): number };
const decodeRecord = requireModule('kafkajs/src/protocol/recordBatch/record/v0/decoder') as (
  decoder: object,
  context: object,
) => Record<string, unknown>;

const CONTEXT = { firstOffset: '0', firstTimestamp: '0', magicByte: 2 };

it('a header without a value is read as one without a value, an empty one as empty', () => {
  writeNullHeaders();
  const headers = { none: NULL_HEADER, empty: Buffer.alloc(0), some: [NULL_HEADER, Buffer.from('x'), NULL_HEADER] };
  const { buffer } = encodeRecord({ key: Buffer.from('k'), value: Buffer.from('v'), headers });
  const decoder = new Decoder(buffer);
  expect(decoder.readVarInt()).toBe(buffer.length - 1);
  expect(decodeRecord(decoder, CONTEXT)).toMatchObject({
    key: Buffer.from('k'),
    value: Buffer.from('v'),
    headers: { none: null, empty: Buffer.alloc(0), some: [null, Buffer.from('x'), null] },
  });
});
