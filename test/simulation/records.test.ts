import { isUtf8 } from 'node:buffer';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { createActivities } from '../../src/activities/index.js';
import { InsertSizes } from '../../src/clickhouse/insertSizes.js';
import type { RunHistories } from '../../src/temporal/runHistories.js';
import type { OutgoingMessage } from '../../src/kafka/outgoingMessage.js';
import type { Publisher } from '../../src/kafka/publisher.js';
import { BATCH_FORMATS, openEnvelope, type BatchSpec, type InsertOutcome } from '../../src/protocol/flush.js';
import type { KafkaRecord, RecordHeader } from '../../src/protocol/record.js';
import type { Mapping } from '../../src/protocol/settings.js';
import { StateLog } from '../../src/telemetry/logging.js';
import { createMetrics } from '../../src/telemetry/metrics.js';
import { chunkOf, settings } from '../support/chunks.js';
import { anyTimestampMs } from '../support/records.js';
import { FUZZ_TIMEOUT_MS, fuzz } from './cases.js';

const REPLY = 'orders.replies';
const OTHER_REPLY = 'orders.other-replies';
const DEAD_LETTERS = 'orders.dead-letters';
const REPLY_PARTITIONS = 3;

/** Types that are checked before an insert, and columns that a mapping fills. */
const COLUMNS = new Map([
  ...['_topic', '_epoch', '_key', '_timestamp', 'mapped', 'pointed'].map((name) => [name, 'String'] as const),
  ['_partition', 'UInt32'],
  ['_offset', 'UInt64'],
  ['id', 'Int64'],
  ['small', 'UInt8'],
  ['price', 'Decimal(9, 2)'],
  ['day', 'Date'],
  ['maybe', 'Nullable(Int32)'],
  ['list', 'Array(UInt16)'],
  ['nested.a', 'Array(Int8)'],
  ['map', 'Map(String, Int16)'],
  ['__proto__', 'String'],
]);

const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array));
const name = fc.oneof(fc.constantFrom(...COLUMNS.keys(), 'constructor', '', 'no such', 'é'), fc.string());
const number = fc.constantFrom('0', '-1', '256', '1e400', '-0.0', '9007199254740993', '1.005', '18446744073709551616');

/** JSON, and what comes near it: numbers as no JavaScript has them, names twice, cut off, bytes turned. */
const json = fc.oneof(
  fc.dictionary(name, fc.jsonValue()).map((value) => JSON.stringify(value)),
  fc.array(fc.tuple(name, fc.oneof(number, fc.json())), { maxLength: 6 }).map((members) => {
    return `{${members.map(([key, value]) => ` ${JSON.stringify(key)} :\t${value}`).join(',')}}`;
  }),
  fc.json(),
  fc.nat(5_000).map((depth) => `{"list":${'['.repeat(depth)}${']'.repeat(depth)}}`),
);
const value = fc.oneof(
  { weight: 6, arbitrary: json.map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.tuple(json, fc.nat()).map(([text, at]) => Buffer.from(text).subarray(0, at % 50)) },
  {
    weight: 1,
    arbitrary: fc.tuple(json, fc.nat(), fc.nat(255)).map(([text, at, byte]) => {
      const turned = Buffer.from(text);
      turned[at % Math.max(1, turned.length)] = byte;
      return turned;
    }),
  },
  { weight: 1, arbitrary: bytes },
  { weight: 1, arbitrary: fc.constant(null) },
);

const replyPartition = fc.oneof(
  bytes,
  fc.integer({ min: -5, max: 9_999 }).map((partition) => Buffer.from(String(partition))),
  fc.integer({ min: -5, max: 9_999 }).map((partition) => {
    const four = Buffer.alloc(4);
    four.writeInt32BE(partition);
    return four;
  }),
);
const header: fc.Arbitrary<RecordHeader> = fc.oneof(
  fc.tuple(fc.oneof(fc.string(), fc.constantFrom('__proto__', 'trace', 'ktb-requester')), fc.option(bytes)),
  fc.tuple(fc.constant('kafka_correlationId'), fc.option(bytes)),
  fc.tuple(fc.constant('kafka_replyPartition'), fc.option(replyPartition)),
  fc.tuple(
    fc.constant('kafka_replyTopic'),
    fc.option(
      fc.oneof(
        bytes,
        fc.constantFrom(REPLY, OTHER_REPLY, 'x', '').map((topic) => Buffer.from(topic)),
      ),
    ),
  ),
);

const record = fc.record({
  timestampMs: anyTimestampMs,
  key: fc.option(bytes),
  value,
  headers: fc.array(header, { maxLength: 4 }),
});

const mapping: fc.Arbitrary<Mapping> = fc.record({
  format: fc.constantFrom('json', 'json', 'text', 'bytes'),
  unknownFields: fc.constantFrom('ignore', 'reject'),
  tombstones: fc.constantFrom('reject', 'skip', 'insert'),
});
const columns = fc.constantFrom<Record<string, string>>(
  {},
  { mapped: 'value' },
  { mapped: 'header:trace', pointed: '/list/0/a~1b', id: '/id' },
  { mapped: 'key', pointed: '/', small: '/map/x', price: 'offset' },
);

/** One flush of records, and all that it does to the world. */
async function flush(records: readonly KafkaRecord[], how: Mapping, mapped: Record<string, string>) {
  const lines: string[] = [];
  const published: [topic: string, message: OutgoingMessage][] = [];
  const logger = pino({ level: 'silent' });
  const activities = createActivities({
    tables: {
      columns: () => Promise.resolve(COLUMNS),
      forget: () => undefined,
      send: (_table, { lines: blocks }) => {
        lines.push(
          ...Buffer.concat([...blocks])
            .toString('latin1')
            .trimEnd()
            .split('\n'),
        );
        return Promise.resolve();
      },
      foundOffsets: () => Promise.resolve(new Set<number>()),
      foundRecords: () => Promise.resolve(new Set<string>()),
      foundRowNumbers: () => Promise.resolve(new Map<string, number[]>()),
      foundRowNumbersOfRecords: () => Promise.resolve(new Map<string, number[]>()),
      probe: () => Promise.resolve(),
      isInserting: () => Promise.resolve(false),
      lastInsertAtMs: () => undefined,
      sizes: new InsertSizes(),
      hasViews: () => Promise.resolve(false),
      knowsTokens: () => Promise.resolve(false),
      caughtUp: () => Promise.resolve(false),
      mayLoseKnownRows: () => Promise.resolve(false),
      rememberedBy: () => Promise.resolve(null),
    },
    histories: { anyWasReset: () => Promise.resolve(false) } as unknown as RunHistories,
    publisher: {
      publish: (topic: string, messages: Iterable<OutgoingMessage>) => {
        for (const message of messages) published.push([topic, message]);
        return Promise.resolve();
      },
      mustBeUp: () => undefined,
    } as unknown as Publisher,
    partitions: { count: () => Promise.resolve(REPLY_PARTITIONS) },
    metrics: createMetrics({ runtime: false }),
    logger,
    stateLog: new StateLog(logger),
    beat: () => Promise.resolve(true),
    admission: { slots: 3, flushesMax: 24, waitingMax: 7 },
    deliverConfirmation: () => Promise.reject(new Error('a record of Kafka is no request')),
    ofOther: () => Promise.resolve(null),
  });
  const { pipeline, destination } = settings();
  const source = { topic: 'orders', partition: 0, epoch: 'e1', from: -1, to: records.length - 1 };
  const { meta, body } = chunkOf({ ...source, records });
  const reply = { topic: REPLY, copyHeaders: ['trace', '__proto__'], allowTopics: [OTHER_REPLY] };
  const spec: BatchSpec = {
    ...{ format: BATCH_FORMATS.withBodies, pipeline, batcher: 'b', number: 1, id: 'id', reason: 'delay', runs: ['r'] },
    destination: { ...destination, columns: mapped, mapping: how, reply },
    chunks: [{ ...meta, keep: [null], bodyBytes: body.length }],
  };
  const environment = new MockActivityEnvironment(
    { startToCloseTimeoutMs: 60_000 },
    { logger: new DefaultLogger('ERROR') },
  );
  const insert = () => activities.insertBatch(spec, body);
  const outcome = openEnvelope<InsertOutcome>(await environment.run<[], Uint8Array, typeof insert>(insert));
  if (outcome.json.rejected > 0) await environment.run(() => activities.rejectRecords(spec, outcome.bytes));
  return { lines, published, outcome: outcome.json };
}

it(
  'whatever a record holds, it is a row or a dead letter, and answered once, where its headers may ask for it',
  async () => {
    await fuzz(fc.tuple(fc.array(record, { maxLength: 12 }), mapping, columns), async ([list, how, mapped]) => {
      const records = list.map((one, offset): KafkaRecord => ({ ...one, offset }));
      const { lines, published, outcome } = await flush(records, how, mapped);
      const statuses = new Map<number, string>();
      const letters: OutgoingMessage[] = [];
      for (const [topic, message] of published) {
        if (topic === DEAD_LETTERS) letters.push(message);
        else {
          expect([REPLY, OTHER_REPLY]).toContain(topic);
          if (message.partition !== undefined) {
            expect(message.partition).toBeGreaterThanOrEqual(0);
            expect(message.partition).toBeLessThan(REPLY_PARTITIONS);
          }
          const { offset, status } = JSON.parse(String(message.value)) as { offset: number; status: string };
          expect(statuses.has(offset)).toBe(false);
          statuses.set(offset, status);
        }
      }
      expect([...statuses.keys()].sort((a, b) => a - b)).toEqual(records.map(({ offset }) => offset));
      const of = (wanted: string) => records.filter(({ offset }) => statuses.get(offset) === wanted);
      expect(outcome).toMatchObject({
        inserted: of('inserted').length,
        rejected: of('rejected').length,
        skipped: of('skipped').length,
      });
      // A row is one line of JSON, with the identity of its record and of no other.
      const rows = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as { _offset: number });
      expect(rows.map(({ _offset }) => _offset)).toEqual(of('inserted').map(({ offset }) => offset));
      // A dead letter has every byte.
      expect(letters.map(({ key, value }) => [key, value])).toEqual(
        of('rejected').map(({ key, value }) => [key, value]),
      );
      if (how.format === 'text')
        for (const { value } of of('inserted')) expect(value === null || isUtf8(value)).toBe(true);
    });
  },
  FUZZ_TIMEOUT_MS,
);
