import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { RecordHeader } from '../../../src/protocol/record.js';
import { isNestRequest, replyRequest, routeReply } from '../../../src/protocol/replyRequest.js';

const partitionOf = (bytes: Buffer | string | null) =>
  replyRequest([['kafka_replyPartition', bytes === null ? null : Buffer.from(bytes)]])?.partition;

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

it('reads a reply partition as Spring writes it and as NestJS writes it, and nothing else', () => {
  expect(partitionOf(int32(0))).toBe(0);
  expect(partitionOf(int32(300))).toBe(300);
  expect(partitionOf(int32(-5))).toBe(-5);
  expect(partitionOf('0')).toBe(0);
  expect(partitionOf('12')).toBe(12);
  // As bytes of an integer these four digits would be partition 825,373,492.
  expect(partitionOf('1234')).toBe(1_234);
  for (const odd of ['', '-5', ' 1', '1.5', 'one', '0x1', '12345678901', Buffer.alloc(3), Buffer.alloc(8)])
    expect(partitionOf(odd as string)).toBeNaN();
  expect(partitionOf(null)).toBeUndefined();
});

it('every partition number is read back from either encoding', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100_000 }), (partition) => {
      expect(partitionOf(int32(partition))).toBe(partition);
      expect(partitionOf(String(partition))).toBe(partition);
    }),
  );
});

it('takes the last of several headers, as Kafka’s lastHeader does, and nothing where nothing is asked', () => {
  const headers: RecordHeader[] = [
    ['kafka_replyTopic', Buffer.from('first')],
    ['trace', Buffer.from('t')],
    ['kafka_replyTopic', Buffer.from('last')],
  ];
  expect(replyRequest(headers)).toEqual({ topic: 'last', partition: undefined });
  expect(replyRequest([])).toBeUndefined();
  expect(replyRequest([['trace', Buffer.from('t')]])).toBeUndefined();
  expect(replyRequest([['kafka_replyTopic', null]])).toBeUndefined();
});

it('knows NestJS’s requests by their partition in digits', () => {
  expect(isNestRequest([['kafka_replyPartition', Buffer.from('0')]])).toBe(true);
  expect(isNestRequest([['kafka_replyPartition', int32(0)]])).toBe(false);
  expect(isNestRequest([])).toBe(false);
});

it('whatever is asked for, the route is an allowed topic and a partition that it has', () => {
  const reply = { topic: 'own', allowTopics: ['a', 'missing'] };
  const counts: Record<string, number | null> = { own: 4, a: 2, missing: null };
  fc.assert(
    fc.property(
      fc.option(fc.constantFrom('own', 'a', 'missing', 'forbidden', ''), { nil: undefined }),
      fc.option(fc.oneof(fc.integer({ min: -3, max: 6 }), fc.constant(NaN)), { nil: undefined }),
      (topic, partition) => {
        const asked: string[] = [];
        const route = routeReply({ topic, partition }, reply, (name) => {
          asked.push(name);
          return counts[name] ?? null;
        });
        expect(asked.every((name) => name in counts)).toBe(true);
        const asAsked = { topic: topic ?? 'own', ...(partition === undefined ? {} : { partition }) };
        if (route.fallback === undefined) expect(route).toEqual(asAsked);
        else expect(route).toEqual({ topic: 'own', fallback: route.fallback });
        if (route.partition !== undefined) expect(route.partition).toBeLessThan(counts[route.topic] ?? 0);
        const possible =
          (counts[topic ?? 'own'] ?? 0) > (partition ?? 0) && !((partition ?? 0) < 0) && !Number.isNaN(partition);
        expect(route.fallback === undefined).toBe(possible);
      },
    ),
  );
});
