import { expect, it } from 'vitest';
import { batchesOfRecord, holdsRecord } from '../../../../src/commands/where/batchesOfRecord.js';
import { identityToken } from '../../../../src/clickhouse/batchRows.js';
import type { BatcherEvent } from '../../../../src/temporal/historyEvents.js';
import type { BufferedChunk } from '../../../../src/protocol/chunk.js';
import { BATCH_FORMATS, type BatchSpec } from '../../../../src/protocol/flush.js';
import { encodeRejected, type RejectedRecord } from '../../../../src/codecs/rejectionCodec.js';
import { batchId, type Buffered } from '../../../../src/workflows/batchPlanning.js';
import { chunkOf, DEFAULT_MAPPING, NO_BATCH } from '../../../support/chunks.js';
import { record } from '../../../support/records.js';

const source = { topic: 'orders', partition: 0, epoch: 'e1' };
const place = (offset: number) => ({ topic: 'orders', partition: 0, offset });

function chunk(from: number, offsets: readonly number[]): { chunk: BufferedChunk; body: Uint8Array } {
  const to = offsets.at(-1) ?? from;
  const { meta, body } = chunkOf({ ...source, from, to, records: offsets.map((offset) => record(offset)) });
  const { segments, records, bytes } = meta;
  return { chunk: { segments, keep: segments.map(() => null), records, bytes, bodyBytes: body.length }, body };
}

function scheduled(number: number, { chunk: of, body }: ReturnType<typeof chunk>): BatcherEvent {
  const spec: BatchSpec = {
    format: BATCH_FORMATS.withBodies,
    pipeline: 'orders',
    batcher: 'b',
    number,
    id: `id-${number}`,
    reason: 'delay',
    runs: [],
    destination: { table: 'orders', columns: {}, mapping: DEFAULT_MAPPING, deadLetterTopic: 'dead' },
    chunks: [of],
  };
  return { type: 'insertScheduled', spec, atMs: number, bytes: body };
}

const completed = (inserted: number, rejected: readonly RejectedRecord[] = []): BatcherEvent => ({
  type: 'insertCompleted',
  eventId: 1,
  outcome: { inserted, rejected: rejected.length, skipped: 0 },
  atMs: 9,
  bytes: encodeRejected(rejected, NO_BATCH),
});

function find(events: readonly BatcherEvent[], offset: number, left: readonly Buffered[] = []) {
  const histories = {
    eventsWithBodies: async function* () {
      yield* await Promise.resolve(events);
    },
    leftover: (_workflowId: string, _runId: string, from: number, count: number) =>
      Promise.resolve(left.slice(from, from + count)),
  };
  return batchesOfRecord(histories, { workflowId: 'b', runId: 'run' }, place(offset), undefined);
}

const tokenOf = (offsets: readonly number[]) =>
  identityToken(offsets.map((offset) => ({ source, record: record(offset) })));

it('a chunk holds the records of its range, and of that only what was kept', () => {
  const { chunk: whole } = chunk(4, [5, 6, 9]);
  expect([4, 5, 9, 10].map((offset) => holdsRecord(whole, place(offset)))).toEqual([false, true, true, false]);
  const cut = { ...whole, keep: [[[6, 9] as const]] };
  expect([6, 7, 9].map((offset) => holdsRecord(cut, place(offset)))).toEqual([false, true, true]);
  expect(holdsRecord(whole, { ...place(5), partition: 1 })).toBe(false);
});

it('finds the batch of a record, with what became of it and the token of its first insert', async () => {
  const events = [scheduled(1, chunk(0, [1, 2])), completed(2), scheduled(2, chunk(2, [3, 4])), completed(2)];
  expect(await find(events, 3)).toEqual([
    {
      runId: 'run',
      number: 2,
      id: 'id-2',
      reason: 'delay',
      table: 'orders',
      scheduledAtMs: 2,
      outcome: { inserted: 2, rejected: 0, skipped: 0 },
      token: tokenOf([3, 4]),
    },
  ]);
  expect(await find(events, 5)).toEqual([]);
});

it('a record that could not become a row is in no insert, one that ClickHouse refused was in the first', async () => {
  const rejected = (offset: number, code: 'not_json' | 'refused_by_clickhouse'): RejectedRecord => ({
    source,
    record: record(offset),
    rejection: { code, message: '' },
  });
  const events = [
    scheduled(1, chunk(0, [1, 2, 3])),
    completed(1, [rejected(1, 'not_json'), rejected(2, 'refused_by_clickhouse')]),
  ];
  expect((await find(events, 3))[0]?.token).toBe(tokenOf([2, 3]));
});

it('a batch without an answer is on its way', async () => {
  expect(await find([scheduled(1, chunk(0, [1]))], 1)).toMatchObject([{ number: 1, outcome: null, token: null }]);
});

it('finds a batch whose records a closed run had left', async () => {
  const left = [chunk(0, [1]), chunk(1, [2])].map(({ chunk: of, body }) => ({
    chunk: { ...of, acceptedAtMs: 0 },
    body,
  }));
  const { destination } = (scheduled(1, chunk(0, [1])) as { spec: BatchSpec }).spec;
  const batch = {
    pipeline: 'orders',
    batcher: 'b',
    number: 7,
    runId: 'closed',
    chunksDone: 1,
    chunks: 1,
    destination,
    answer: null,
  };
  const events: BatcherEvent[] = [{ type: 'inheritedInsertScheduled', batch, atMs: 3 }, completed(1)];
  expect(await find(events, 2, left)).toMatchObject([
    { number: 7, id: batchId('b', left.slice(1)), reason: 'inherited', token: tokenOf([2]) },
  ]);
  expect(await find(events, 1, left)).toEqual([]);
});

it('a chunk that cannot be unpacked hides neither its batch nor the first insert of the others', async () => {
  const [first, damaged, last] = [chunk(0, [1, 2]), chunk(2, [3]), chunk(3, [4])];
  const body = Buffer.from('damaged');
  const event = scheduled(1, first) as Extract<BatcherEvent, { type: 'insertScheduled' }>;
  const chunks = [first.chunk, { ...damaged.chunk, bodyBytes: body.length }, last.chunk];
  const whole = { ...event, spec: { ...event.spec, chunks }, bytes: Buffer.concat([first.body, body, last.body]) };
  for (const offset of [2, 3, 4])
    expect(await find([whole, completed(3)], offset)).toMatchObject([{ number: 1, token: tokenOf([1, 2, 4]) }]);
});
