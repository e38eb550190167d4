import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  encodeRequest,
  isRequest,
  isRequestSource,
  REQUEST_FORMAT,
  REQUEST_LIMITS,
  requestSource,
  type RowRequest,
} from '../../../src/protocol/request.js';
import { confirmationOf, decodeRequest } from '../../../src/codecs/requestCodec.js';

const REQUEST: RowRequest = { format: REQUEST_FORMAT, id: 'a', requester: 'w', value: '{"id":12345678901234567890}' };

it('a request comes out of its chunk as a record, every byte kept, with whom to answer', () => {
  fc.assert(
    fc.property(
      fc.record({
        id: fc.string({ minLength: 1, maxLength: 255 }),
        requester: fc.string({ minLength: 1 }),
        value: fc.string({ unit: 'binary' }),
        key: fc.option(fc.string(), { nil: null }),
        headers: fc.dictionary(fc.string(), fc.string()),
      }),
      (fields) => {
        const request: RowRequest = { format: REQUEST_FORMAT, ...fields };
        expect(isRequest(JSON.parse(JSON.stringify(request)))).toBe(true);
        const record = decodeRequest(encodeRequest(request, 1_234), 7);
        expect(record).toMatchObject({ offset: 7, timestampMs: 1_234 });
        expect(record.value?.toString()).toBe(fields.value);
        expect(record.key?.toString() ?? null).toBe(fields.key);
        const source = requestSource('ktb:orders:8-key:0', 'e1');
        const { requester, confirmation } = confirmationOf(source, record, { status: 'inserted', batch: 'b' });
        expect([requester, confirmation.id]).toEqual([fields.requester, fields.id]);
      },
    ),
  );
});

it('a requester cannot pass for another one by its headers', () => {
  const headers = { 'ktb-requester': 'victim', 'ktb-request-id': 'x' };
  const record = decodeRequest(encodeRequest({ ...REQUEST, headers }, 0), 0);
  const { requester, confirmation } = confirmationOf(requestSource('b:0', 'e'), record, {
    status: 'inserted',
    batch: 'b',
  });
  expect([requester, confirmation.id]).toEqual(['w', 'a']);
});

it('one that is too large keeps only what its answer needs, and is known for what it is', () => {
  const body = encodeRequest({ ...REQUEST, value: 'é'.repeat(REQUEST_LIMITS.bytes / 2), key: 'k'.repeat(1_000) }, 0);
  expect(body.length).toBeLessThan(200);
  const record = decodeRequest(body, 3);
  expect(record.tooLargeBytes).toBeGreaterThan(REQUEST_LIMITS.bytes);
  expect(record).toMatchObject({ value: null, key: null });
});

it.each<Partial<RowRequest>>([
  { value: '{"a": "\ud800"}' },
  { key: 'k\udc00' },
  { headers: { trace: '\ud83d' } },
  { headers: { '\ude00': 'x' } },
  { id: 'a\ud800' },
])('one with half of a character is rejected, not changed: %j', (part) => {
  const sent = JSON.parse(JSON.stringify({ ...REQUEST, ...part })) as RowRequest;
  expect(decodeRequest(encodeRequest(sent, 5), 3)).toMatchObject({ value: null, key: null, tooLargeBytes: 0 });
  // Both halves are a whole one, and the escape within a value's JSON is the value's own.
  const whole = { ...REQUEST, value: '{"a": "\\ud800 😀"}', key: '😀', headers: { '😀': '😀' } };
  const { value, key, tooLargeBytes } = decodeRequest(encodeRequest(whole, 5), 3);
  expect([value?.toString(), key?.toString(), tooLargeBytes]).toEqual([whole.value, '😀', undefined]);
});

it('whatever is not a request of this version is none', () => {
  expect(isRequest(REQUEST)).toBe(true);
  expect(isRequest({ ...REQUEST, key: null, headers: { a: 'b' }, more: 1 })).toBe(true);
  const others: unknown[] = [
    ...[null, undefined, 'text', 1, [], {}, [REQUEST]],
    ...Object.keys(REQUEST).map((key) => ({ ...REQUEST, [key]: undefined })),
    ...Object.keys(REQUEST).map((key) => ({ ...REQUEST, [key]: 5 })),
    { ...REQUEST, format: 'ktb-request/2' },
    { ...REQUEST, id: '' },
    { ...REQUEST, id: 'x'.repeat(256) },
    { ...REQUEST, requester: 'x'.repeat(1_001) },
    { ...REQUEST, key: 1 },
    { ...REQUEST, headers: ['a'] },
    { ...REQUEST, headers: { a: 1 } },
    { ...REQUEST, headers: Object.fromEntries(Array.from({ length: 101 }, (_, index) => [index, ''])) },
  ];
  for (const other of others) expect([other, isRequest(other)]).toEqual([other, false]);
});

it('no topic of Kafka passes for a batcher’s requests', () => {
  expect(isRequestSource(requestSource('ktb:orders:8-key:0', 'e1'))).toBe(true);
  expect(isRequestSource({ topic: 'ktb.orders_8-key' })).toBe(false);
});
