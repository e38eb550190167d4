import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { createActivities } from '../../../src/activities/index.js';
import { InsertError } from '../../../src/activities/insertErrors.js';
import type { OutgoingMessage, Publisher } from '../../../src/kafka/publisher.js';
import { encodeChunk } from '../../../src/records/chunkCodec.js';
import { BATCH_FORMAT, openEnvelope, type BatchSpec, type InsertOutcome } from '../../../src/records/flush.js';
import type { RunHistories } from '../../../src/activities/runHistories.js';
import { StateLog } from '../../../src/telemetry/logging.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { settings } from '../../support/chunks.js';
import { FakeTable } from '../../support/fakeTable.js';
import { record } from '../../support/records.js';

const MINUTE_MS = 60_000;

/** A worker with a table in memory, whose inserts of more than one row fail with an error if there is one. */
function worker(error?: InsertError) {
  const table = new FakeTable();
  const insert: typeof table.tables.insert = (name, rows) => {
    const isOne =
      Buffer.concat([...rows.lines])
        .toString()
        .trimEnd()
        .split('\n').length === 1;
    return error === undefined || isOne ? table.tables.insert(name, rows) : Promise.reject(error);
  };
  const tables = { ...table.tables, insert };
  const published: [topic: string, message: OutgoingMessage][] = [];
  const publisher = {
    publish: (topic: string, messages: Iterable<OutgoingMessage>) => {
      for (const message of messages) published.push([topic, message]);
      return Promise.resolve();
    },
    mustBeUp: () => undefined,
  } as unknown as Publisher;
  const lines: string[] = [];
  const logger = pino({}, { write: (line) => void lines.push(line) });
  const metrics = createMetrics({ runtime: false });
  const histories = { anyWasReset: () => Promise.resolve(false) } as unknown as RunHistories;
  const activities = createActivities({
    tables,
    histories,
    publisher,
    partitions: { count: () => Promise.resolve(3) },
    metrics,
    logger,
    stateLog: new StateLog(logger),
    beat: () => Promise.resolve(true),
  });
  return { table, published, lines, activities, metrics };
}

const VALUES = ['{}', '{}', '{}', '{}'];

function batch(values: readonly string[]): [BatchSpec, Uint8Array] {
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const records = values.map((value, offset) => record(offset, { value: Buffer.from(value) }));
  const { meta, body } = encodeChunk([{ ...source, from: -1, to: values.length - 1, records }]);
  const { segments, bytes } = meta;
  const chunk = { segments, keep: [null], records: meta.records, bytes, bodyBytes: body.length };
  const { pipeline, destination } = settings();
  const spec = {
    pipeline,
    batcher: 'b',
    number: 1,
    id: 'id',
    reason: 'delay',
    destination,
    chunks: [chunk],
    runs: ['r'],
  } as const;
  return [{ ...spec, format: BATCH_FORMAT }, body];
}

async function attempt({ activities }: ReturnType<typeof worker>, info: { attempt?: number; ageMs?: number } = {}) {
  const environment = new MockActivityEnvironment(
    {
      attempt: info.attempt ?? 1,
      scheduledTimestampMs: Date.now() - (info.ageMs ?? 0),
      startToCloseTimeoutMs: MINUTE_MS,
    },
    { logger: new DefaultLogger('ERROR') },
  );
  const run = () => activities.insertBatch(...batch(VALUES));
  return openEnvelope<InsertOutcome>(await environment.run<[], Uint8Array, typeof run>(run)).json;
}

const tooLittleMemory = new InsertError('transient', { code: '241', message: 'ClickHouse error 241' });

it('a transient error is searched for a culprit after 15 minutes and ten attempts, by the server’s clock alone', async () => {
  for (const info of [{}, { attempt: 50, ageMs: 14 * MINUTE_MS }, { attempt: 2, ageMs: 60 * MINUTE_MS }]) {
    const young = worker(tooLittleMemory);
    await expect(attempt(young, info)).rejects.toMatchObject({ type: 'TransientInsertError' });
    expect(young.table.rows).toEqual([]);
  }
  // Nothing but the attempt's own numbers says so: this worker has not seen the attempts before.
  const old = worker(tooLittleMemory);
  expect(await attempt(old, { attempt: 50, ageMs: 15 * MINUTE_MS })).toMatchObject({
    inserted: 4,
    rejected: 0,
    skipped: 0,
  });
  expect(old.table.rows).toHaveLength(4);
});

it('a structural error is said once, tried again soon, counted each time, and answers or rejects nobody', async () => {
  const gone = worker(new InsertError('structural', { code: '60', message: 'there is no table orders' }));
  for (const info of [{}, { attempt: 2 }, { attempt: 500, ageMs: 60 * MINUTE_MS }]) {
    const failure: unknown = await attempt(gone, info).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ApplicationFailure);
    expect(failure).toMatchObject({ type: 'StructuralInsertError', nonRetryable: false, nextRetryDelay: '15 seconds' });
  }
  expect(gone.published).toEqual([]);
  expect(gone.lines.map((line) => JSON.parse(line) as object)).toEqual([
    expect.objectContaining({ level: 40, msg: expect.stringContaining('there is no table orders') as string }),
  ]);
  expect((await gone.metrics.flushErrors.get()).values).toMatchObject([{ value: 3, labels: { code: '60' } }]);
});
