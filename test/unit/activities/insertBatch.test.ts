import { randomBytes, randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { KafkaJSConnectionError } from 'kafkajs';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { createActivities } from '../../../src/activities/index.js';
import { flushMemoryBytes } from '../../../src/activities/insertBatch.js';
import type { OfOther } from '../../../src/activities/dependencies.js';
import type { AdmissionLimits } from '../../../src/activities/admission.js';
import type { AttemptNotes } from '../../../src/protocol/attemptNotes.js';
import { InsertError } from '../../../src/clickhouse/insertErrors.js';
import { PublishError } from '../../../src/kafka/topicProducer.js';
import { TopicPartitions } from '../../../src/kafka/topicPartitions.js';
import { NO_HEADERS, type RecordHeader } from '../../../src/protocol/record.js';
import type { OutgoingMessage } from '../../../src/kafka/outgoingMessage.js';
import type { Publisher } from '../../../src/kafka/publisher.js';
import {
  BATCH_FORMATS,
  openEnvelope,
  sealEnvelope,
  type BatchSpec,
  type InsertOutcome,
  type Parking,
} from '../../../src/protocol/flush.js';
import { decodeRejected, encodeRejected, type RejectedRecord } from '../../../src/codecs/rejectionCodec.js';
import { HistoryGoneError, type RunHistories } from '../../../src/temporal/runHistories.js';
import type { Inheritance } from '../../../src/protocol/inheritance.js';
import type { InheritedBatch } from '../../../src/protocol/leftover.js';
import { PAYLOAD_BYTES_MAX } from '../../../src/protocol/payloadLimit.js';
import { encodedBytesOf } from '../../../src/workflows/batchPlanning.js';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import type { Mapping, TablesOfValues } from '../../../src/protocol/settings.js';
import { LIMITS } from '../../../src/workflows/limits.js';
import { StateLog } from '../../../src/telemetry/logging.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { encodeRequest, REQUEST_FORMAT, requestSource, type Confirmation } from '../../../src/protocol/request.js';
import { chunk, chunkOf, input, NO_BATCH, settings } from '../../support/chunks.js';
import { FakeTable } from '../../support/fakeTable.js';
import { record } from '../../support/records.js';

const MINUTE_MS = 60_000;
const RUN = { workflowId: 'ktb:orders:8-key:3', runId: 'r2' };
const NO_BODIES = new Uint8Array(0);

/**
 * A worker with a table in memory, whose inserts of more than one row fail with an error if there is one.
 *
 * @param otherwise what the table does otherwise
 * @param past what reading histories does
 */
function worker(
  error?: InsertError,
  otherwise: Partial<FakeTable['tables']> = {},
  past: Partial<Pick<RunHistories, 'anyWasReset' | 'inheritanceOf' | 'leftover' | 'result'>> = {},
  ofOther: OfOther = () => Promise.resolve(null),
  admission: AdmissionLimits = { slots: 3, flushesMax: 24, waitingMax: 7 },
  payloadBytesMax = PAYLOAD_BYTES_MAX,
  requiresEncryption = false,
) {
  const table = new FakeTable();
  if (error?.kind === 'structural') table.probeFails = error;
  const send: typeof table.tables.send = (name, rows) => {
    const isOne =
      Buffer.concat([...rows.lines])
        .toString()
        .trimEnd()
        .split('\n').length === 1;
    return error === undefined || isOne ? table.tables.send(name, rows) : Promise.reject(error);
  };
  const tables = { ...table.tables, send, ...otherwise };
  const published: [topic: string, message: OutgoingMessage][] = [];
  const publisher = {
    publish: (topic: string, messages: Iterable<OutgoingMessage>) => {
      if (refusing.publish !== undefined) return Promise.reject(refusing.publish);
      for (const message of messages) published.push([topic, message]);
      return Promise.resolve();
    },
    mustBeUp: () => undefined,
  } as unknown as Publisher;
  const lines: string[] = [];
  const refusing: { publish: PublishError | undefined } = { publish: undefined };
  /** What the last heartbeat took along. */
  const noted: { last: AttemptNotes | undefined } = { last: undefined };
  const confirmed: [requester: string, confirmation: Confirmation][] = [];
  const logger = pino({}, { write: (line) => void lines.push(line) });
  const metrics = createMetrics({ runtime: false });
  const kafka: { partitions: Pick<TopicPartitions, 'count'> } = { partitions: { count: () => Promise.resolve(3) } };
  const histories = { anyWasReset: () => Promise.resolve(false), ...past } as unknown as RunHistories;
  const activities = createActivities({
    tables,
    histories,
    publisher,
    partitions: { count: (topic) => kafka.partitions.count(topic) },
    metrics,
    logger,
    stateLog: new StateLog(logger),
    ofOther,
    beat: (_token, notes) => {
      noted.last = notes;
      return Promise.resolve(true);
    },
    admission,
    payloadBytesMax,
    requiresEncryption,
    deliverConfirmation: (requester, confirmation) => {
      confirmed.push([requester, confirmation]);
      if (requester === 'away') return Promise.reject(new Error('no answer'));
      return Promise.resolve(requester === 'gone' ? 'gone' : 'delivered');
    },
  });
  return { table, published, refusing, kafka, lines, activities, metrics, confirmed, noted };
}

/** What may end in a batch's being given up. */
interface Giving {
  readonly parking?: Parking;
  readonly retryForMs?: number;
}

const VALUES = ['{}', '{}', '{}', '{}'];

function batch(
  values: readonly string[],
  { parking, retryForMs }: Giving = {},
  topics: readonly string[] = ['orders'],
  headers: readonly RecordHeader[] = NO_HEADERS,
): [BatchSpec, Uint8Array] {
  const records = values.map((value, offset) => record(offset, { value: Buffer.from(value), headers }));
  const range = { from: -1, to: values.length - 1, records };
  const { meta, body } = chunkOf(...topics.map((topic) => ({ topic, partition: 0, epoch: 'e1', ...range })));
  const { segments, bytes } = meta;
  const chunk = { segments, keep: topics.map(() => null), records: meta.records, bytes, bodyBytes: body.length };
  const { pipeline, destination } = settings();
  const spec = {
    pipeline,
    batcher: 'b',
    number: 1,
    id: 'id',
    reason: 'delay',
    destination: retryForMs === undefined ? destination : { ...destination, retryForMs },
    chunks: [chunk],
    runs: ['r'],
    ...(parking === undefined ? {} : { parking }),
  } as const;
  return [{ ...spec, format: BATCH_FORMATS.withBodies }, body];
}

/** A chunk whose records a rewind has brought. */
function filling(chunk: BatchSpec['chunks'][number]): BatchSpec['chunks'][number] {
  return { ...chunk, segments: chunk.segments.map((segment) => ({ ...segment, fill: true as const })) };
}

/** @param ageMs all of it ClickHouse has answered with errors; that and what was noted is what Temporal keeps for an attempt */
function attempt(
  { activities, noted }: ReturnType<typeof worker>,
  { giving, values = VALUES, ...info }: { attempt?: number; ageMs?: number; giving?: Giving; values?: string[] } = {},
) {
  const notes = { ...noted.last, ...(info.ageMs === undefined ? {} : { refusedForMs: info.ageMs }) };
  return attemptOf(() => activities.insertBatch(...batch(values, giving)), { ...info, notes });
}

async function attemptOf(
  run: () => Promise<Uint8Array>,
  info: { attempt?: number; ageMs?: number; notes?: AttemptNotes },
) {
  const environment = new MockActivityEnvironment(
    {
      attempt: info.attempt ?? 1,
      scheduledTimestampMs: Date.now() - (info.ageMs ?? 0),
      startToCloseTimeoutMs: MINUTE_MS,
      heartbeatDetails: info.notes,
    },
    { logger: new DefaultLogger('ERROR') },
  );
  const { json, bytes } = openEnvelope<InsertOutcome>(await environment.run<[], Uint8Array, typeof run>(run));
  return { ...json, verdicts: bytes.length === 0 ? [] : decodeRejected(bytes).map(({ rejection }) => rejection) };
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

it('a batch goes to the tables of its topics, each record to its own, and only those of a missing table wait for their answer', async () => {
  const inserted = new Map<string, FakeTable>();
  const of = (name: string) => inserted.get(name) ?? inserted.set(name, new FakeTable()).get(name)!;
  const { published, activities, noted, refusing } = worker(undefined, {
    foundOffsets: (name, ...rest) => of(name).tables.foundOffsets(name, ...rest),
    send: (name, rows) => of(name).tables.send(name, rows),
    probe: (name, columns) => of(name).tables.probe(name, columns),
  });
  const missing = new InsertError('structural', { code: '60', message: 'there is no table raw_c' });
  of('raw_c').ill = of('raw_c').probeFails = missing;
  const [spec, bodies] = batch(['{}', '{"bad": true}', '{}'], {}, ['a.x', 'b', 'c']);
  const table = { ofTopics: { b: 'own' }, others: 'raw_{topic}' };
  const destination = { ...spec.destination, table, reply: { topic: 'replies', copyHeaders: [], allowTopics: [] } };
  const run = (number: number) =>
    attemptOf(() => activities.insertBatch({ ...spec, destination }, bodies), {
      attempt: number,
      ...(noted.last === undefined ? {} : { notes: noted.last }),
    });
  const answers = () =>
    published.map(([, { value }]) => {
      const { topic, offset } = JSON.parse(String(value)) as { topic: string; offset: number };
      return `${topic}/${offset}`;
    });

  const held = { type: 'StructuralInsertError', message: 'there is no table raw_c' };
  refusing.publish = new PublishError('replies', 'away');
  await expect(run(1)).rejects.toMatchObject(held);
  expect(answers()).toEqual([]);
  refusing.publish = undefined;
  for (const number of [2, 3]) {
    await expect(run(number)).rejects.toMatchObject(held);
    expect(answers()).toEqual(['a.x/0', 'a.x/2', 'b/0', 'b/2']);
  }
  of('raw_c').ill = of('raw_c').probeFails = undefined;
  expect(await run(4)).toMatchObject({ inserted: 6, rejected: 3, skipped: 0 });
  const rows = [...inserted].map(([name, { rows }]) => [
    name,
    rows.map(({ _topic, _offset }) => `${_topic}/${_offset}`),
  ]);
  expect(Object.fromEntries(rows)).toEqual({
    raw_a_x: ['a.x/0', 'a.x/2'],
    own: ['b/0', 'b/2'],
    raw_c: ['c/0', 'c/2'],
  });
  expect(answers()).toEqual(['a.x/0', 'a.x/2', 'b/0', 'b/2', 'c/0', 'c/2']);
});

it('tables may be called what every object has: each is held, noted and done as any other', async () => {
  const names = ['orders', 'constructor', '__proto__', 'toString'];
  const inserted = new Map(names.map((name) => [name, new FakeTable()]));
  const of = (name: string) => inserted.get(name) as FakeTable;
  const { activities, noted } = worker(undefined, {
    foundOffsets: (name, ...rest) => of(name).tables.foundOffsets(name, ...rest),
    send: (name, rows) => of(name).tables.send(name, rows),
    probe: (name, columns) => of(name).tables.probe(name, columns),
  });
  const [spec, bodies] = batch(['{}', '{}'], {}, names);
  const run = (number: number) =>
    attemptOf(
      () => activities.insertBatch({ ...spec, destination: { ...spec.destination, table: '{topic}' } }, bodies),
      {
        attempt: number,
        ...(noted.last === undefined ? {} : { notes: JSON.parse(JSON.stringify(noted.last)) as AttemptNotes }),
      },
    );
  const away = ill('structural');
  for (const [index] of names.entries()) {
    for (const [place, name] of names.entries()) of(name).ill = of(name).probeFails = place > index ? away : undefined;
    if (index === names.length - 1) expect(await run(index + 1)).toMatchObject({ inserted: 8, rejected: 0 });
    else await expect(run(index + 1)).rejects.toMatchObject({ type: 'StructuralInsertError' });
    // As a TTL does it. Nobody looks at a table that is done.
    for (const table of inserted.values()) table.rows.length = 0;
  }
  expect(names.map((name) => of(name).insertSizes)).toEqual([[2], [2, 2], [2, 2, 2], [2, 2, 2, 2]]);
});

/** Tables by name, and a worker that inserts into them what goes by `/t`. */
function byValue(wasReset = false, inserted = new Map<string, FakeTable>()) {
  const of = (name: string) => inserted.get(name) ?? inserted.set(name, new FakeTable()).get(name)!;
  const asked = { caughtUp: 0, isInserting: 0 };
  const made = worker(
    undefined,
    {
      foundOffsets: (name, ...rest) => of(name).tables.foundOffsets(name, ...rest),
      foundRecords: () => Promise.resolve(new Set<string>()),
      send: (name, rows) => of(name).tables.send(name, rows),
      probe: (name, columns) => of(name).tables.probe(name, columns),
      caughtUp: (name) => {
        asked.caughtUp++;
        return of(name).tables.caughtUp(name);
      },
      isInserting: (id) => {
        asked.isInserting++;
        return new FakeTable().tables.isInserting(id);
      },
    },
    { anyWasReset: () => Promise.resolve(wasReset) },
  );
  const run = (
    number: number,
    values: readonly string[],
    tables: Readonly<Record<string, string>>,
    {
      otherwise = 'reject',
      topics = ['orders'],
      format = 'json',
      fills = false,
      ...giving
    }: Giving &
      Partial<Pick<TablesOfValues, 'otherwise'> & Pick<Mapping, 'format'>> & {
        readonly topics?: readonly string[];
        /** Whether a rewind has brought the records. */
        readonly fills?: boolean;
      } = {},
  ) => {
    const [spec, bodies] = batch(values, giving, topics);
    const { mapping } = spec.destination;
    const destination = {
      ...spec.destination,
      mapping: { ...mapping, format },
      table: null,
      tablesOfValues: { by: '/t', tables: Object.entries(tables), otherwise },
      reply: { topic: 'replies', copyHeaders: [], allowTopics: [] },
    };
    const chunks = fills ? spec.chunks.map(filling) : spec.chunks;
    return attemptOf(() => made.activities.insertBatch({ ...spec, chunks, destination }, bodies), {
      attempt: number,
      ...(made.noted.last === undefined ? {} : { notes: made.noted.last }),
    });
  };
  const rows = () =>
    Object.fromEntries(
      [...inserted]
        .map(([name, table]) => [name, table.rows.map(({ _offset }) => _offset)] as const)
        .filter(([, some]) => some.length > 0),
    );
  const answers = () => made.published.map(([, { value }]) => (JSON.parse(String(value)) as { offset: number }).offset);
  const lookUps = () => [...inserted.values()].reduce((sum, table) => sum + table.lookUps, 0);
  /** No table with this name can be looked into. @returns an end of that */
  const cannotBeAsked = (name: string, error: InsertError) => {
    const { tables } = of(name);
    const { foundOffsets } = tables;
    Object.assign(tables, {
      foundOffsets: () => {
        of(name).lookUps++;
        return Promise.reject(error);
      },
    });
    return () => void Object.assign(tables, { foundOffsets });
  };
  const logged = (text: string) => made.lines.some((line) => line.includes(text));
  return { ...made, of, run, rows, answers, inserted, asked, lookUps, cannotBeAsked, logged };
}

const denied = new InsertError('structural', { code: '497', message: 'not enough privileges' });
const unreachable = new InsertError('transient', { code: 'ECONNREFUSED', message: 'away', answered: false });

it('each record goes to the table of its value; one whose value names none is rejected, skipped, or goes with the others', async () => {
  const values = ['{"t":"a"}', '{"t":"b"}', '{"t":"c"}', '{"t":"a"}', '{}', '{"t":"a"'];
  const tables = { a: 'ta', b: '`t b`' };
  const rejecting = byValue();
  const outcome = await rejecting.run(1, values, tables);
  expect(outcome).toMatchObject({ inserted: 3, rejected: 3, skipped: 0 });
  expect(outcome.verdicts.map(({ code }) => code)).toEqual(['no_such_table', 'no_such_table', 'not_json']);
  expect(rejecting.rows()).toEqual({ ta: [0, 3], '`t b`': [1] });
  const skipping = byValue();
  expect(await skipping.run(1, values, tables, { otherwise: 'skip' })).toMatchObject({
    inserted: 3,
    rejected: 1,
    skipped: 2,
  });
  const all = byValue();
  expect(await all.run(1, values, tables, { otherwise: { table: 'rest' } })).toMatchObject({
    inserted: 5,
    rejected: 1,
  });
  expect(all.rows()).toEqual({ ta: [0, 3], '`t b`': [1], rest: [2, 4] });
});

it('a batch that may have been inserted under other tables finds its rows there: nothing is doubled or rejected', async () => {
  const values = ['{"t":"a"}', '{"t":"b"}', '{"t":"c"}', '{"t":"a"}'];
  const before = byValue();
  const first = { a: 'ta', b: 'tb', c: 'tc' };
  expect(await before.run(1, values, first)).toMatchObject({ inserted: 4 });
  const lost = before.of('ta').rows.pop();
  expect(lost).toMatchObject({ _offset: 3 });
  const after = byValue(true, before.inserted);
  const outcome = await after.run(1, values, { a: 'tc', b: 'tb', x: 'ta' });
  expect(outcome).toMatchObject({ inserted: 4, rejected: 0 });
  expect(after.rows()).toEqual({ ta: [0], tb: [1], tc: [2, 3] });
  expect(after.answers().toSorted()).toEqual([0, 1, 2, 3]);
});

it('each table is asked once for all records that are not its own, however many tables there are', async () => {
  const own = byValue(true);
  const names = Array.from({ length: 20 }, (_, index) => `t${index}`);
  const values = names.map((name) => JSON.stringify({ t: name }));
  const tables = Object.fromEntries(names.map((name) => [name, name]));
  expect(await own.run(1, values, tables, { topics: ['x', 'y', 'z'] })).toMatchObject({ inserted: 60 });
  // Of each topic: what each table has of the others' records; then what it has of its own, before and after the insert.
  expect(own.lookUps()).toBe(3 * 20 * (1 + 2));
  expect(own.asked).toEqual({ caughtUp: 20, isInserting: 1 + 20 * 2 });
});

it('a record without a table is looked for once a worker may have read it, not while another table holds its batch', async () => {
  const own = byValue();
  own.of('tb').ill = own.of('tb').probeFails = new InsertError('structural', { code: '60', message: 'no table tb' });
  const values = ['{"t":"a"}', '{"t":"b"}', '{"t":"x"}'];
  for (let number = 1; number < 5; number++)
    await expect(own.run(number, values, { a: 'ta', b: 'tb' })).rejects.toMatchObject({
      type: 'StructuralInsertError',
    });
  expect(own.rows()).toEqual({ ta: [0] });
  expect([own.of('ta').lookUps, own.of('tb').lookUps]).toEqual([0, 3]);
});

it('a batch is given up while a replica is away, and while the table of others may not be read', async () => {
  const values = ['{"t":"a"}', '{"t":"x"}'];
  const tables = { a: 'ta', b: 'tb' };
  const lagging = byValue(true);
  const lags = new InsertError('transient', { code: 'replica_lags', message: 'it lags', answered: false });
  for (const name of ['ta', 'tb']) Object.assign(lagging.of(name).tables, { caughtUp: () => Promise.reject(lags) });
  expect(await lagging.run(1, values, tables, { parking })).toMatchObject({ inserted: 0, rejected: 2 });
  const own = byValue(true);
  const end = own.cannotBeAsked('tb', denied);
  expect(await own.run(1, values, tables, { parking })).toMatchObject({ inserted: 0, rejected: 2 });
  expect(own.logged('as if tb had none of them: table tb cannot be asked')).toBe(true);
  // What is for this table itself may be there, and so may be what could not be decoded now.
  await expect(own.run(1, [...values, '{"t":"b"}'], tables, { parking })).rejects.toThrow('not enough privileges');
  const schemas = { parking, format: 'json-schema' } as const;
  await expect(own.run(1, ['no header'], tables, schemas)).rejects.toThrow('table tb cannot be asked');
  end();
  expect(await own.run(1, ['no header'], tables, schemas)).toMatchObject({ inserted: 0, rejected: 1 });
  own.cannotBeAsked('tb', unreachable);
  await expect(own.run(1, values, tables, { parking })).rejects.toThrow('table tb cannot be asked');
});

it('records wait for a table that cannot be asked, which the log names, unless another one has them', async () => {
  const before = byValue();
  expect(await before.run(1, ['{"t":"a"}'], { a: 'ta' })).toMatchObject({ inserted: 1 });
  const own = byValue(true, before.inserted);
  const end = own.cannotBeAsked('tx', denied);
  const values = ['{"t":"b"}', '{"t":"a"}'];
  const tables = { a: 'tb', b: 'tc', y: 'ta', x: 'tx' };
  // Record 0, for `tc`, is in `ta`. Record 1, for `tb`, may be in `tx`.
  await expect(own.run(1, values, tables)).rejects.toMatchObject({
    type: 'StructuralInsertError',
    message: 'table tx cannot be asked for records of the batch: not enough privileges',
  });
  expect([own.rows(), own.answers()]).toEqual([{ ta: [0] }, [0]]);
  expect(own.logged('Pipeline orders holds its batches: table tx cannot be asked')).toBe(true);
  expect(own.logged('cannot insert into')).toBe(false);
  end();
  expect(await own.run(2, values, tables)).toMatchObject({ inserted: 2, rejected: 0 });
  expect(own.rows()).toEqual({ ta: [0], tb: [1] });
  expect(own.logged('can ask tx for records again')).toBe(true);
});

it('once a table does not answer, no other one is waited for', async () => {
  const own = byValue(true);
  own.cannotBeAsked('ta', unreachable);
  const tables = { a: 'ta', b: 'tb', c: 'tc' };
  await expect(own.run(1, ['{"t":"a"}', '{"t":"b"}'], tables)).rejects.toMatchObject({ type: 'TransientInsertError' });
  expect([own.of('ta').lookUps, own.lookUps(), own.rows()]).toEqual([1, 1, {}]);
});

it('attempts of one activity ask only the table of each record, but all tables about records that need a schema', async () => {
  const own = byValue();
  const values = ['{"t":"a"}', '{"t":"b"}', '{"t":"c"}'].map((value) => `\0\0\0\0\u0001${value}`);
  const format = 'json-schema' as const;
  await own.run(1, values, { a: 'ta', b: 'tb', c: 'tb' }, { format });
  own.of('ta').lookUps = own.of('tb').lookUps = 0;
  expect(await own.run(2, values.slice(0, 2), { a: 'ta', b: 'tb' }, { format })).toMatchObject({ inserted: 2 });
  expect([own.of('ta').lookUps, own.of('tb').lookUps]).toEqual([1, 1]);
  // As if a schema had got lost since.
  expect(await own.run(3, values, { a: 'ta', b: 'tb' }, { format })).toMatchObject({ inserted: 3, rejected: 0 });
});

it('a batch is held, and the log says why, while nobody can tell whether a record without a table is in one', async () => {
  const own = byValue();
  const end = own.cannotBeAsked('ta', unreachable);
  const format = 'json-schema' as const;
  const values = ['x', 'b'].map((t) => `\0\0\0\0\u0001${JSON.stringify({ t })}`);
  const tables = { a: 'ta', b: 'tb' };
  await expect(own.run(2, values, tables, { format })).rejects.toMatchObject({ type: 'TransientInsertError' });
  expect(own.rows()).toEqual({ tb: [1] });
  end();
  expect(own.logged('holds its batches: table ta cannot be asked for records of the batch: away')).toBe(true);
  expect(await own.run(3, values, tables, { format })).toMatchObject({ inserted: 1, rejected: 1 });
  expect(own.logged('can ask ta for records again')).toBe(true);
});

it('what is noted about a table that is done counts only for exactly its records', async () => {
  const own = byValue();
  const values = ['{"t":"a"}', '{"t":"c"}', '{"t":"a","bad":true}', '{"t":"b"}'];
  const missing = new InsertError('structural', { code: '60', message: 'there is no table tb' });
  own.of('tb').ill = own.of('tb').probeFails = missing;
  await expect(own.run(1, values, { a: 'ta', b: 'tb' })).rejects.toMatchObject({ type: 'StructuralInsertError' });
  expect([own.rows(), own.answers()]).toEqual([{ ta: [0] }, [0]]);
  // As if this attempt could read one value more.
  const more = { a: 'ta', b: 'tb', c: 'ta' };
  await expect(own.run(2, values, more)).rejects.toMatchObject({ type: 'StructuralInsertError' });
  expect([own.rows(), own.answers()]).toEqual([{ ta: [0, 1] }, [0, 0, 1]]);
  own.of('tb').ill = own.of('tb').probeFails = undefined;
  expect(await own.run(3, values, more)).toMatchObject({ inserted: 3, rejected: 1 });
  expect([own.rows(), own.answers()]).toEqual([{ ta: [0, 1], tb: [3] }, [0, 0, 1, 3]]);
});

it('a batch whose tables go by a value is given up as any other: what is in a table counts as inserted', async () => {
  const values = ['{"t":"a"}', '{"t":"b"}', '{"t":"x"}'];
  const before = byValue();
  await before.run(1, values.slice(0, 1), { a: 'ta' });
  const after = byValue(true, before.inserted);
  const outcome = await after.run(1, values, { a: 'tb', b: 'tb', y: 'ta' }, { parking });
  expect(outcome).toMatchObject({ inserted: 1, rejected: 2 });
  expect(outcome.verdicts.map(({ code }) => code)).toEqual(['parked', 'no_such_table']);
  // As if its value could not be read any more: the activity that gives it up is another one than that which inserted it.
  const unread = byValue(false, before.inserted);
  expect(await unread.run(1, values.slice(0, 1), { y: 'ta' }, { parking })).toMatchObject({ inserted: 1, rejected: 0 });
});

it('rows from workflows go to the table of their value, too', async () => {
  const [spec, bodies] = requests(['w1', '{"t":"a"}']);
  const own = worker();
  const tablesOfValues = { by: '/t', tables: [['a', 'orders']], otherwise: 'reject' } as const;
  const destination = { ...spec.destination, table: null, tablesOfValues };
  const { json } = await flush(own, [{ ...spec, destination }, bodies]);
  expect(json).toMatchObject({ inserted: 1, rejected: 0 });
});

/** A batch of two topics with a table each; the one of topic `b` is missing until it is given back. */
function halfHeld(values: readonly string[], chunks?: readonly (readonly string[])[]) {
  const inserted = new Map<string, FakeTable>();
  const of = (name: string) => inserted.get(name) ?? inserted.set(name, new FakeTable()).get(name)!;
  /** The columns of the table of topic `a`, besides the identity; all others are refused. */
  const columns: { now: string[] | undefined } = { now: undefined };
  const made = worker(undefined, {
    columns: async (name) => {
      const known = await of(name).tables.columns(name);
      const own = name === 'raw_a' && columns.now !== undefined ? columns.now : ['bad', 'x'];
      return Object.assign(new Map([...known, ...own.map((column) => [column, 'String'] as const)]), {
        hasViews: of(name).hasView,
      });
    },
    hasViews: (name) => of(name).tables.hasViews(name),
    knowsTokens: (name, ...asked) => of(name).tables.knowsTokens(name, ...asked),
    foundOffsets: (name, ...rest) => of(name).tables.foundOffsets(name, ...rest),
    send: (name, rows) => of(name).tables.send(name, rows),
    probe: (name, known) => of(name).tables.probe(name, known),
  });
  const missing = new InsertError('structural', { code: '60', message: 'there is no table raw_b' });
  const hold = (error: InsertError | undefined) => (of('raw_b').ill = of('raw_b').probeFails = error);
  hold(missing);
  const single = batch(values, {}, ['a', 'b']);
  const many = (chunks ?? []).map((topics, index) => batch([values[index] ?? '{}'], {}, topics));
  const spec = chunks === undefined ? single[0] : { ...single[0], chunks: many.flatMap(([{ chunks: own }]) => own) };
  const bodies = chunks === undefined ? single[1] : Buffer.concat(many.map(([, body]) => body));
  const destination = {
    ...spec.destination,
    table: { ofTopics: {}, others: 'raw_{topic}' },
    mapping: { format: 'json', unknownFields: 'reject', tombstones: 'reject' } as const,
    reply: { topic: 'replies', copyHeaders: [], allowTopics: [] },
    views: 'required' as const,
  };
  const run = (number: number) =>
    attemptOf(() => made.activities.insertBatch({ ...spec, destination }, bodies), {
      attempt: number,
      ...(made.noted.last === undefined ? {} : { notes: made.noted.last }),
    });
  const answers = () => made.published.map(([, { value }]) => (JSON.parse(String(value)) as { topic: string }).topic);
  return { run, answers, columns, a: of('raw_a'), giveBack: () => hold(undefined) };
}

it('while another table holds its batch, a table that is done is left alone, even where its rows have gone meanwhile', async () => {
  const { run, answers, a, giveBack } = halfHeld(['{}', '{}']);
  for (const number of [1, 2, 3]) {
    await expect(run(number)).rejects.toMatchObject({ type: 'StructuralInsertError' });
    // As a TTL does it.
    a.rows.length = 0;
  }
  expect(a.insertSizes).toEqual([2]);
  giveBack();
  expect(await run(4)).toMatchObject({ inserted: 4, rejected: 0 });
  expect(a.insertSizes).toEqual([2]);
  expect(answers()).toEqual(['a', 'a', 'b', 'b']);
});

it('what is in its table is not rejected later, because the table was altered while another one held the batch', async () => {
  const { run, answers, columns, giveBack } = halfHeld(['{"x": "1"}', '{"x": "2"}']);
  await expect(run(1)).rejects.toMatchObject({ type: 'StructuralInsertError' });
  columns.now = [];
  await expect(run(2)).rejects.toMatchObject({ type: 'StructuralInsertError' });
  giveBack();
  expect(await run(3)).toMatchObject({ inserted: 4, rejected: 0 });
  expect(answers()).toEqual(['a', 'a', 'b', 'b']);
});

it('a verdict stands once it was given beside a table that holds the batch, whatever becomes of its own table', async () => {
  const values = ['{"x": "1"}', '{"y": "2"}', '{"bad": true}', 'no JSON', '{"x": "3"}'];
  const { run, answers, columns, a, giveBack } = halfHeld(values);
  await expect(run(1)).rejects.toMatchObject({ type: 'StructuralInsertError' });
  expect(answers()).toEqual(['a', 'a']);
  expect(a.rows).toHaveLength(2);
  const tried = a.insertSizes.length;
  // Now it would take the field; and then it is gone itself.
  columns.now = ['x', 'y', 'bad'];
  await expect(run(2)).rejects.toMatchObject({ type: 'StructuralInsertError' });
  a.ill = a.probeFails = new InsertError('structural', { code: '60', message: 'there is no table raw_a' });
  giveBack();
  const { verdicts, ...outcome } = await run(3);
  expect(outcome).toMatchObject({ inserted: 4, rejected: 6 });
  const field = 'the value has a field y, which the table has no column for';
  expect(verdicts.slice(0, 3)).toEqual([
    { code: 'unknown_field', message: field },
    { code: 'refused_by_clickhouse', message: 'a bad row' },
    { code: 'not_json', message: 'the value is not JSON' },
  ]);
  expect(answers()).toEqual(['a', 'a', 'b', 'b']);
  expect(a.insertSizes).toHaveLength(tried);
});

it('records are acknowledged beside a table that holds the batch however they are mixed with its own', async () => {
  const mixed = Array.from({ length: 500 }, (_, index) => [index % 2 === 0 ? 'a' : 'b']);
  const { run, answers } = halfHeld([], mixed);
  await expect(run(1)).rejects.toMatchObject({ type: 'StructuralInsertError' });
  expect(answers()).toEqual(Array.from({ length: 250 }, () => 'a'));
});

it('a table that holds its batch is reported although Kafka does not answer either', async () => {
  const missing = { now: true };
  const { activities, kafka, table } = worker(undefined, {
    columns: (name) =>
      name === 'raw_a' && missing.now ? Promise.reject(ill('structural')) : table.tables.columns(name),
  });
  const noBroker = () => Promise.reject(new KafkaJSConnectionError('no broker'));
  kafka.partitions = new TopicPartitions({ describeTopics: noBroker }, new StateLog(pino({ enabled: false })));
  const asking = [['kafka_replyTopic', Buffer.from('asked')] as const];
  const [spec, bodies] = batch(['{}'], {}, ['a', 'b'], asking);
  const reply = { topic: 'replies', copyHeaders: [], allowTopics: ['asked'] };
  const destination = { ...spec.destination, table: { ofTopics: {}, others: 'raw_{topic}' }, reply };
  const run = () => attemptOf(() => activities.insertBatch({ ...spec, destination }, bodies), {});
  await expect(run()).rejects.toMatchObject({ type: 'StructuralInsertError', message: 'ClickHouse error 242' });
  missing.now = false;
  const failures = await Promise.all(Array.from({ length: 8 }, () => run().catch((error: unknown) => error)));
  const pauses = (failures as ApplicationFailure[]).map(({ type, nextRetryDelay }) => {
    expect(type).toBe('PublishError');
    return Number(nextRetryDelay);
  });
  // Attempts that failed together do not come back together.
  expect(new Set(pauses).size).toBe(8);
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(3_750);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(6_250);
});

it('heartbeats stay within what Temporal takes, however many tables have rejected however much beside one that holds the batch', async () => {
  const inserted = new Map<string, FakeTable>();
  const of = (name: string) => inserted.get(name) ?? inserted.set(name, new FakeTable()).get(name)!;
  const payloadBytesMax = 256 * 1024;
  const { activities, noted, published } = worker(
    undefined,
    {
      foundOffsets: (name, ...rest) => of(name).tables.foundOffsets(name, ...rest),
      send: (name, rows) => of(name).tables.send(name, rows),
      probe: (name, columns) => of(name).tables.probe(name, columns),
    },
    {},
    undefined,
    undefined,
    payloadBytesMax,
  );
  of('raw_c').ill = of('raw_c').probeFails = ill('structural');
  const values = ['{}', ...Array.from({ length: 150 }, (_, index) => `{"${'漢'.repeat(40)}${index}": 1}`)];
  const others = Array.from({ length: 60 }, (_, index) => `t${index}`);
  const [spec, bodies] = batch(values, {}, [...others, 'c']);
  const mapping = { format: 'json', unknownFields: 'reject', tombstones: 'reject' } as const;
  const table = { ofTopics: {}, others: 'raw_{topic}' };
  const reply = { topic: 'replies', copyHeaders: [], allowTopics: [] };
  const run = (number: number) =>
    attemptOf(
      () => activities.insertBatch({ ...spec, destination: { ...spec.destination, mapping, table, reply } }, bodies),
      {
        attempt: number,
        ...(noted.last === undefined ? {} : { notes: noted.last }),
      },
    );
  const acknowledged = () => published.map(([, { value }]) => (JSON.parse(String(value)) as { topic: string }).topic);

  for (const number of [1, 2, 3]) {
    await expect(run(number)).rejects.toMatchObject({ type: 'StructuralInsertError' });
    expect(Buffer.byteLength(JSON.stringify(noted.last))).toBeLessThan(payloadBytesMax / 8);
    // All that is done is answered, and none of it again.
    expect(acknowledged()).toEqual(others);
  }
  of('raw_c').ill = of('raw_c').probeFails = undefined;
  expect(await run(4)).toMatchObject({ inserted: 61, rejected: 61 * 150 });
  expect(acknowledged()).toEqual([...others, 'c']);
  expect([...inserted.values()].map(({ rows }) => rows.length)).toEqual(Array.from({ length: 61 }, () => 1));
});

it('what has been answered with success is settled, even where too many records were rejected to be noted', async () => {
  const { run, a, giveBack } = halfHeld(
    Array.from({ length: 500 }, (_, id) => (id % 2 === 0 ? '{"x": "1"}' : '{"y": "1"}')),
  );
  a.hasView = true;
  await expect(run(1)).rejects.toMatchObject({ type: 'StructuralInsertError' });
  // The deduplication windows have moved on.
  a.remembersTokens = false;
  giveBack();
  expect(await run(2)).toMatchObject({ inserted: 500, rejected: 500 });
  expect([a.rows.length, a.viewRows.length]).toEqual([250, 250]);
});

it('where it may not be asked whether tokens are known a batch waits, until it may be', async () => {
  const { run, a, giveBack } = halfHeld(['{"x": "1"}']);
  a.hasView = true;
  giveBack();
  a.faults = ['viewFails'];
  a.remembersTokens = undefined;
  await expect(run(1)).rejects.toMatchObject({ message: expect.stringContaining('a view refuses') as string });
  a.remembersTokens = true;
  expect(await run(2)).toMatchObject({ inserted: 2 });
  expect([a.rows.length, a.viewRows.length]).toEqual([1, 1]);
});

it('a rewind rejects nothing that is in the table, though it could not become a row any more', async () => {
  const everything = { has: () => true } as unknown as Set<string>;
  const made = worker(undefined, { foundRecords: () => Promise.resolve(everything) });
  const [spec, bodies] = batch(['no JSON', 'none either']);
  const chunks = spec.chunks.map(filling);
  const outcome = await attemptOf(() => made.activities.insertBatch({ ...spec, chunks }, bodies), { attempt: 1 });
  expect(outcome).toMatchObject({ inserted: 2, rejected: 0 });
});

it.each([
  ['one table', ['{"t":"a"}', '{"t":"a"}']],
  ['two tables', ['{"t":"a"}', '{"t":"b"}']],
  ['a table, and some without', ['{"t":"a"}', '{"t":"x"}']],
  ['none', ['{"t":"x"}', '{']],
  ['a table, and some without a value', ['{"t":"a"}', '']],
])('a record that a rewind brings twice within a batch has one row and one answer: of %s', async (_, values) => {
  const own = byValue();
  const twice = { topics: ['orders', 'orders'], fills: true };
  const outcome = await own.run(1, values, { a: 'ta', b: 'tb' }, twice);
  expect(outcome.inserted + outcome.rejected + outcome.skipped).toBe(2);
  expect(outcome.verdicts).toHaveLength(outcome.rejected);
  expect(Object.values(own.rows()).flat()).toHaveLength(outcome.inserted);
  expect(own.answers()).toHaveLength(outcome.inserted + outcome.skipped);
  // The attempt after one that could only not acknowledge goes by what that has noted.
  const away = byValue();
  away.refusing.publish = new PublishError('replies', 'away');
  const first = away.run(1, values, { a: 'ta', b: 'tb' }, twice);
  if (outcome.inserted === 0) expect(await first).toMatchObject({ rejected: 2 });
  else await expect(first).rejects.toThrow('topic replies takes no messages');
  away.refusing.publish = undefined;
  expect(await away.run(2, values, { a: 'ta', b: 'tb' }, twice)).toMatchObject({
    ...{ inserted: outcome.inserted, rejected: outcome.rejected, skipped: outcome.skipped },
  });
});

it('a record that its table has, since an attempt before, is inserted, though it could not become a row any more', async () => {
  const table = { now: ['x'] };
  const made = worker(undefined, {
    columns: async (name) => {
      const known = await made.table.tables.columns(name);
      return Object.assign(new Map([...known, ...table.now.map((column) => [column, 'String'] as const)]), {
        hasViews: false,
      });
    },
  });
  const [spec, bodies] = batch(['{"x": "1"}', '{"x": "2"}']);
  const mapping = { format: 'json', unknownFields: 'reject', tombstones: 'reject' } as const;
  const given = { ...spec, destination: { ...spec.destination, mapping } };
  made.table.faults = ['lostAfter'];
  const run = (number: number) => attemptOf(() => made.activities.insertBatch(given, bodies), { attempt: number });
  await expect(run(1)).rejects.toMatchObject({ type: 'TransientInsertError' });
  table.now = [];
  expect(await run(2)).toMatchObject({ inserted: 2, rejected: 0 });
  const parked = { ...given, parking };
  expect(await attemptOf(() => made.activities.insertBatch(parked, bodies), { attempt: 1 })).toMatchObject({
    inserted: 2,
    rejected: 0,
  });
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

it('an error that nobody expects is said once, counted each time, and said to be over', async () => {
  let broken = true;
  const failing = worker(undefined, {
    columns: () => (broken ? Promise.reject(new RangeError('no such thing')) : new FakeTable().tables.columns('t')),
  });
  for (const info of [{}, { attempt: 2 }]) await expect(attempt(failing, info)).rejects.toThrow(RangeError);
  const values = async () => (await failing.metrics.flushErrors.get()).values;
  expect(await values()).toMatchObject([{ value: 2, labels: { pipeline: 'orders', code: 'unexpected' } }]);
  broken = false;
  await attempt(failing, { attempt: 3 });
  expect(failing.lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    { level: 40, msg: expect.stringMatching(/insertBatch.*no such thing/) as string },
    { level: 30 },
  ]);
});

it('a history that an heir cannot read is said, and counted for its pipeline', async () => {
  const failing = worker(undefined, {}, { inheritanceOf: () => Promise.reject(new Error('not to be relived')) });
  const environment = new MockActivityEnvironment({ startToCloseTimeoutMs: MINUTE_MS });
  const read = () => failing.activities.readInheritance('ktb:orders:8-key:3', 'run');
  await expect(environment.run<[], unknown, typeof read>(read)).rejects.toThrow('not to be relived');
  expect((await failing.metrics.flushErrors.get()).values).toMatchObject([
    { value: 1, labels: { pipeline: 'orders', code: 'unexpected' } },
  ]);
  expect(failing.lines.join()).toContain('not to be relived');
});

it.each(['as it was', 'given up', 'whose verdict was there'])(
  'an inherited batch (%s) whose run is no longer in Temporal is lost: counted, said, and not waited for',
  async (how) => {
    const gone = () => Promise.reject(new HistoryGoneError('ktb:orders:8-key:3', 'r1'));
    const heir = worker(undefined, {}, { leftover: gone, result: gone });
    const environment = new MockActivityEnvironment({ startToCloseTimeoutMs: MINUTE_MS });
    const inherited: InheritedBatch = {
      pipeline: 'orders',
      batcher: 'ktb:orders:8-key:3',
      number: 1,
      runId: 'r1',
      chunksDone: 0,
      chunks: 7,
      destination: settings().destination,
      answer: how === 'whose verdict was there' ? { runId: 'r1', eventId: 5 } : null,
      ...(how === 'given up' ? { parking: { reason: 'because' } } : {}),
    };
    const insert = () => heir.activities.insertInherited(inherited);
    const { json, bytes } = openEnvelope<InsertOutcome>(await environment.run<[], Uint8Array, typeof insert>(insert));
    expect([json, bytes.length]).toEqual([{ id: 'lost', inserted: 0, rejected: 0, skipped: 0 }, 0]);
    expect((await heir.metrics.lostBatches.get()).values).toMatchObject([{ value: 1, labels: { pipeline: 'orders' } }]);
    expect(heir.lines.join()).toContain('Lost: a batch of 7 chunks');
    expect([heir.published, heir.table.rows.length]).toEqual([[], 0]);
  },
);

it('an heir whose closed run is no longer in Temporal begins with nothing, and says that all of it is lost', async () => {
  const lost = { ...new BatcherState(RUN, input(), NO_BODIES).handOn(null), lost: 1 };
  const heir = worker(undefined, {}, { inheritanceOf: () => Promise.resolve(lost) });
  const environment = new MockActivityEnvironment({ startToCloseTimeoutMs: MINUTE_MS });
  const read = () => heir.activities.readInheritance('ktb:orders:8-key:3', 'r1');
  const inheritance = await environment.run<[], Inheritance, typeof read>(read);
  expect((await heir.metrics.lostBatches.get()).values).toMatchObject([{ value: 1 }]);
  expect(heir.lines.join()).toContain('Lost: all that it had accepted');
  const state = new BatcherState(RUN, { ...input(), heirOf: 'r1' }, NO_BODIES);
  state.accept(chunk({ from: -1, to: 4 }), new Uint8Array(9), 0);
  state.inherit(inheritance);
  expect(state.decide(0, { continueAsNewSuggested: false, length: 10, bytes: 1_000 })).toMatchObject({
    delayMs: 1_000,
  });
  expect(state.epochStatus({ topic: 'other', partition: 0, epoch: 'e' })).toMatchObject({ flushed: true });
});

it('what could not be handed to an heir for want of room is counted and said', async () => {
  const forgetful = { ...new BatcherState(RUN, input(), NO_BODIES).handOn(null), forgotten: 7 };
  const heir = worker(undefined, {}, { inheritanceOf: () => Promise.resolve(forgetful) });
  const environment = new MockActivityEnvironment({ startToCloseTimeoutMs: MINUTE_MS });
  const read = () => heir.activities.readInheritance('ktb:orders:8-key:3', 'r1');
  expect(await environment.run<[], Inheritance, typeof read>(read)).toEqual(forgetful);
  expect((await heir.metrics.forgottenPartitions.get()).values).toMatchObject([
    { value: 7, labels: { pipeline: 'orders' } },
  ]);
  expect(heir.lines.join()).toMatch(/"partitions":7.*has seen more partitions than one run can hand to the next/);
});

it('an attempt that is too old to go on is no error', async () => {
  const late = worker();
  const environment = new MockActivityEnvironment({ startToCloseTimeoutMs: 0 });
  const run = () => late.activities.insertBatch(...batch(VALUES));
  await expect(environment.run<[], unknown, typeof run>(run)).rejects.toThrow('run out of time');
  expect((await late.metrics.flushErrors.get()).values).toEqual([]);
  expect(late.lines).toEqual([]);
});

const parking = { reason: 'the table is gone for good' };

it('a batch that is given up inserts nothing: what is there is inserted, each other record is rejected with the reason', async () => {
  const some = worker();
  expect(await attempt(some)).toMatchObject({ inserted: 4 });
  some.table.rows.splice(1, 2);
  const outcome = await attempt(some, { giving: { parking }, values: ['{}', '{}', '{}', '{}', 'no JSON'], attempt: 2 });
  expect(outcome).toMatchObject({ inserted: 2, rejected: 3 });
  expect(outcome.verdicts.map(({ code }) => code).toSorted()).toEqual(['not_json', 'parked', 'parked']);
  expect(outcome.verdicts.find(({ code }) => code === 'parked')?.message).toContain(parking.reason);
  expect(some.table.rows).toHaveLength(2);
});

it('rows of a batch that is given up are counted where views may lack them, not where its insert was answered, or they have none', async () => {
  for (const [faults, hasView, missed] of [
    [['viewIsAway'], true, 4],
    [['none'], true, 0],
    [['viewIsAway'], false, 0],
  ] as const) {
    const some = worker();
    Object.assign(some.table, { faults: [...faults], hasView });
    await attempt(some).catch(() => undefined);
    expect(await attempt(some, { giving: { parking }, attempt: 2 })).toMatchObject({ inserted: 4 });
    const { values } = await some.metrics.missedByViews.get();
    expect(values.reduce((sum, { value }) => sum + value, 0)).toBe(missed);
  }
});

it('a batch that is given up comes back within what Temporal takes, however its records repeat each other', async () => {
  const chunks: BatchSpec['chunks'][number][] = [];
  const bodies: Uint8Array[] = [];
  for (let next = 0, encodedBytes = 0; ; next += 200) {
    const records = Array.from({ length: 200 }, (_, index) => {
      const value = Buffer.from(JSON.stringify({ id: randomUUID(), token: randomBytes(60).toString('base64') }));
      return record(next + index, { key: value, value });
    });
    const { meta, body } = chunkOf({
      topic: 'orders',
      partition: 0,
      epoch: 'e1',
      from: next - 1,
      to: next + 199,
      records,
    });
    const chunk = { segments: meta.segments, keep: [null], records: 200, bytes: meta.bytes, bodyBytes: body.length };
    encodedBytes += encodedBytesOf({ chunk: { ...chunk, acceptedAtMs: 0 }, body });
    if (encodedBytes > LIMITS.batchEncodedBytes) break;
    chunks.push(chunk);
    bodies.push(body);
  }
  const { activities, published } = worker();
  const [spec] = batch(VALUES, { parking });
  const environment = new MockActivityEnvironment(
    { attempt: 1, startToCloseTimeoutMs: MINUTE_MS },
    { logger: new DefaultLogger('ERROR') },
  );
  const insert = () => activities.insertBatch({ ...spec, chunks }, Buffer.concat(bodies));
  const result = await environment.run<[], Uint8Array, typeof insert>(insert);
  expect(result.length).toBeLessThan(PAYLOAD_BYTES_MAX - 500_000);
  const { json, bytes } = openEnvelope<InsertOutcome>(result);
  expect(json.rejected).toBe(chunks.length * 200);
  const reject = () => activities.rejectRecords(spec, bytes);
  await environment.run<[], unknown, typeof reject>(reject);
  const letters = published.filter(([topic]) => topic === spec.destination.deadLetterTopic);
  expect(letters).toHaveLength(json.rejected);
  expect(letters.every(([, { key, value }]) => (value as Buffer).equals(key as Buffer))).toBe(true);
});

/** A batch of two chunks of four records each. The body of the first is damaged. */
function damagedBatch(giving: Giving): [BatchSpec, Uint8Array] {
  const [spec, body] = batch(VALUES, giving);
  const [good] = spec.chunks;
  if (good === undefined) throw new Error('a batch has a chunk');
  const damaged = { ...good, segments: good.segments.map((segment) => ({ ...segment, partition: 7 })), bodyBytes: 9 };
  return [{ ...spec, chunks: [damaged, good] }, Buffer.concat([Buffer.alloc(9, 'x'), body])];
}

it('a chunk that cannot be unpacked holds its batch until it is given up; then all that is known of it is a dead letter', async () => {
  const one = worker();
  const run = (giving: Giving, number = 1) =>
    attemptOf(() => one.activities.insertBatch(...damagedBatch(giving)), { attempt: number });
  await expect(run({})).rejects.toThrow('cannot be decompressed');
  expect(one.published).toEqual([]);

  one.refusing.publish = new PublishError('orders.dead-letters', 'it is down');
  await expect(run({ parking })).rejects.toThrow('it is down');
  one.refusing.publish = undefined;
  const outcome = await run({ parking }, 2);
  expect(outcome).toMatchObject({ inserted: 0, rejected: 4 });
  expect(outcome.verdicts.map(({ code }) => code)).toEqual(['parked', 'parked', 'parked', 'parked']);
  const letters = one.published.filter(([topic]) => topic === 'orders.dead-letters');
  expect(letters).toHaveLength(1);
  const letter = letters[0]?.[1];
  expect(letter?.value).toEqual(Buffer.alloc(9, 'x'));
  expect(letter?.headers).toMatchObject({
    'ktb.chunk.batcher': 'b',
    'ktb.chunk.batch': 'id',
    '__connect.errors.exception.class.name': 'unreadable_chunk',
    '__connect.errors.exception.message': expect.stringContaining(parking.reason) as string,
  });
  expect(JSON.parse(String(letter?.headers?.['ktb.chunk.segments']))).toMatchObject([
    { topic: 'orders', partition: 7, epoch: 'e1', from: -1, to: 3, records: 4 },
  ]);
  expect((await one.metrics.deadLetters.get()).values).toMatchObject([
    { value: 1, labels: { code: 'unreadable_chunk' } },
  ]);
  expect(one.lines.filter((line) => line.includes('"offsets":"0 to 3"'))).toHaveLength(1);
});

it('a batch is given up where there is no table, and held while ClickHouse cannot be asked', async () => {
  const noTable = new InsertError('structural', { code: '60', message: 'there is no table orders' });
  const gone = worker(undefined, { columns: () => Promise.reject(noTable) });
  const away = new InsertError('transient', { code: 'ECONNREFUSED', message: 'away', answered: false });
  const held = worker(undefined, { foundOffsets: () => Promise.reject(away) });
  await expect(attempt(held, { giving: { parking } })).rejects.toMatchObject({ type: 'TransientInsertError' });
  expect(await attempt(gone, { giving: { parking } })).toMatchObject({ inserted: 0, rejected: 4 });
});

const longAgo = { attempt: 10, ageMs: 60 * MINUTE_MS };
const giving = { retryForMs: 60 * MINUTE_MS };
const ill = (kind: 'transient' | 'unknown' | 'structural', answered = true) =>
  new InsertError(kind, { code: '242', message: 'ClickHouse error 242', answered });

it('an insert is given up after insert.retryFor, and before that never', async () => {
  for (const kind of ['transient', 'unknown'] as const) {
    const failing = worker();
    failing.table.ill = failing.table.probeFails = ill(kind);
    for (const info of [
      { giving },
      { ...longAgo, giving, attempt: 9 },
      { ...longAgo, giving, ageMs: 59 * MINUTE_MS },
      longAgo,
    ])
      await expect(attempt(failing, info)).rejects.toMatchObject({ type: 'TransientInsertError' });
    const { verdicts, ...outcome } = await attempt(failing, { ...longAgo, giving });
    expect(outcome).toMatchObject({ inserted: 0, rejected: 4 });
    expect(verdicts[0]).toEqual({
      code: 'retries_exhausted',
      message: 'not inserted within insert.retryFor: ClickHouse error 242',
    });
  }
});

it('insert.retryFor ends nothing while the table is not as it has to be, or ClickHouse is away, and not right after that', async () => {
  for (const error of [ill('structural'), ill('transient', false)]) {
    const failing = worker();
    failing.table.ill = failing.table.probeFails = error;
    await expect(attempt(failing, { ...longAgo, giving })).rejects.toThrow();
    failing.table.ill = failing.table.probeFails = ill('transient');
    await expect(attempt(failing, { ...longAgo, giving })).rejects.toThrow();
  }
});

it('after an outage a fresh worker gives up, or rejects, nothing at its first answered errors', async () => {
  for (const error of [ill('structural'), ill('transient', false)]) {
    const before = worker();
    before.table.ill = before.table.probeFails = error;
    await expect(attempt(before, { ...longAgo, giving })).rejects.toThrow();
    const fresh = worker();
    fresh.noted.last = before.noted.last;
    fresh.table.ill = ill('transient');
    await expect(attempt(fresh, { ...longAgo, giving })).rejects.toThrow();
    await expect(attempt(fresh, { ...longAgo, giving, attempt: 11 })).rejects.toThrow();
  }
  // Of an attempt that could note nothing, nothing is known: its time does not count.
  const fresh = worker();
  fresh.table.ill = ill('transient');
  const batchOfOld = () => fresh.activities.insertBatch(...batch(VALUES, giving));
  await expect(attemptOf(batchOfOld, { ...longAgo, notes: {} })).rejects.toMatchObject({
    type: 'TransientInsertError',
  });
});

it('a table that is missing holds its batch, not the rows of the other tables', async () => {
  const inserted = new Map<string, FakeTable>();
  const of = (name: string) => inserted.get(name) ?? inserted.set(name, new FakeTable()).get(name)!;
  const { activities } = worker(undefined, {
    columns: (name) =>
      name === 'raw_a' ? Promise.reject(ill('structural')) : Promise.resolve(new Map([['_topic', 'String']])),
    send: (name, rows) => of(name).tables.send(name, rows),
  });
  const [spec, bodies] = batch(['{}'], {}, ['a', 'b', 'c']);
  const destination = { ...spec.destination, table: 'raw_{topic}' };
  const run = () => activities.insertBatch({ ...spec, destination }, bodies);
  await expect(attemptOf(run, {})).rejects.toMatchObject({ type: 'StructuralInsertError' });
  expect([of('raw_b').rows.length, of('raw_c').rows.length]).toEqual([1, 1]);
});

it('what one activity has come to is not taken for another of the same batch', async () => {
  const own = worker();
  own.table.remembersTokens = false;
  const run = (activityId: string, attempt: number) => {
    const environment = new MockActivityEnvironment({ activityId, attempt, startToCloseTimeoutMs: MINUTE_MS });
    const [spec, bodies] = batch(VALUES);
    const insert = () => own.activities.insertBatch(spec, bodies);
    return environment.run<[], Uint8Array, typeof insert>(insert);
  };
  // Its rows are there, and it ends without having answered: that it need not insert again is remembered.
  own.refusing.publish = new PublishError('orders.replies', 'away');
  await expect(run('1', 1)).rejects.toMatchObject({ type: 'PublishError' });
  own.refusing.publish = undefined;
  own.table.rows.splice(0);
  await run('2', 2);
  expect(own.table.rows).toHaveLength(4);
});

it('where encryption is required, no activity sends anything to where somebody without the key has said', async () => {
  const answer = () => Promise.resolve(sealEnvelope({ id: 'i', inserted: 0, rejected: 1, skipped: 0 }, NO_BODIES));
  const admission = { slots: 3, flushesMax: 24, waitingMax: 7 };
  const past = { result: answer };
  const one = worker(undefined, {}, past, () => Promise.resolve(null), admission, PAYLOAD_BYTES_MAX, true);
  const [{ chunks, ...spec }, bodies] = batch(VALUES);
  const own = { ...spec, chunks: chunks.map((chunk) => ({ ...chunk, encrypted: true as const })) };
  const { pipeline, destination } = settings();
  const inherited = { pipeline, batcher: 'b', number: 1, runId: 'r1', chunksDone: 0, chunks: 1, destination };
  const answered = { ...inherited, answer: { runId: 'r1', eventId: 1 } };
  const signals = [{ name: 'hello', value: '[1]', size: 3, atMs: 5 }];
  const foreign = { pipeline, batcher: 'b', deadLetterTopic: destination.deadLetterTopic, signals };
  const calls = (sealed: { sealed?: true }) => [
    () => one.activities.insertBatch({ ...own, ...sealed }, bodies),
    () => one.activities.insertInherited({ ...answered, ...sealed }),
    () => one.activities.publishForeignSignals({ ...foreign, ...sealed }),
  ];
  const run = (call: () => Promise<unknown>) =>
    new MockActivityEnvironment({ startToCloseTimeoutMs: MINUTE_MS }).run<[], unknown, typeof call>(call);
  for (const call of calls({})) await expect(run(call)).rejects.toThrow('settings of the batcher came unencrypted');
  expect([one.table.rows, one.published]).toEqual([[], []]);
  for (const call of calls({ sealed: true })) await run(call);
  expect([one.table.rows.length, one.published.length > 0]).toEqual([VALUES.length, true]);
});

it('signals of strangers become dead letters, counted each and said once', async () => {
  const one = worker();
  const signal = { name: 'hello', value: '[1]', size: 3, atMs: 5 };
  const signals = [signal, { ...signal, value: null, size: 900_000 }];
  const { pipeline, destination } = settings();
  const run = () =>
    one.activities.publishForeignSignals({
      pipeline,
      batcher: 'b',
      deadLetterTopic: destination.deadLetterTopic,
      signals,
    });
  for (const attempt of [1, 2]) {
    const environment = new MockActivityEnvironment({ attempt, startToCloseTimeoutMs: MINUTE_MS });
    await environment.run<[], unknown, typeof run>(run);
  }
  const [[topic, first], [, second]] = one.published as [(typeof one.published)[0], (typeof one.published)[0]];
  expect([topic, first.key, first.value]).toEqual([destination.deadLetterTopic, null, '[1]']);
  expect(first.headers).toMatchObject({
    'ktb.signal.name': 'hello',
    'ktb.signal.batcher': 'b',
    '__connect.errors.exception.class.name': 'foreign_signal',
    '__connect.errors.connector.name': 'orders',
  });
  expect(second).toMatchObject({ value: null, headers: { 'ktb.value.omitted.bytes': '900000' } });
  expect(one.lines).toHaveLength(1);
  expect((await one.metrics.deadLetters.get()).values).toMatchObject([
    { value: 4, labels: { code: 'foreign_signal' } },
  ]);
});

/** A batch of requests, one of each of these requesters, with these values. */
function requests(...items: (readonly [requester: string, value: string])[]): [BatchSpec, Uint8Array] {
  const source = requestSource('ktb:orders:8-key:0', 'e1');
  const bodies = items.map(([requester, value], offset) =>
    encodeRequest({ format: REQUEST_FORMAT, id: `row-${offset}`, requester, value, key: 'k' }, 1_000),
  );
  const chunks = bodies.map((body, offset) => {
    const counted = { records: 1, bytes: body.length };
    return {
      segments: [{ ...source, from: offset - 1, to: offset, ...counted }],
      keep: [null],
      ...counted,
      bodyBytes: body.length,
    };
  });
  return [{ ...batch([])[0], chunks }, Buffer.concat(bodies)];
}

it('what an attempt has rejected is not believed once another worker’s attempt came in between: that may have inserted it', async () => {
  const a = worker();
  const b = worker(undefined, a.table.tables);
  const [spec, body] = batch(VALUES, giving);
  const [others, bodies] = requests(['w1', '{"a":1}'], ['away', '{"a":2}']);
  const both: BatchSpec = { ...spec, chunks: [...spec.chunks, ...others.chunks] };
  const run = async (own: typeof a, from: typeof a, info: { attempt: number; ageMs?: number }) => {
    const notes = { ...from.noted.last, ...(info.ageMs === undefined ? {} : { refusedForMs: info.ageMs }) };
    return attemptOf(() => own.activities.insertBatch(both, Buffer.concat([body, bodies])), { ...info, notes });
  };
  const foundOf = (topic: string) => ({ _topic: topic, _partition: 0, _epoch: 'e1', _offset: 0 });
  a.table.rows.push(foundOf('orders'), foundOf('ktb:orders:8-key:0'));
  // It gives the batch up, but cannot acknowledge what is in the table.
  a.table.ill = a.table.probeFails = ill('transient');
  a.refusing.publish = b.refusing.publish = new PublishError('orders.replies', 'away');
  await expect(run(a, a, longAgo)).rejects.toMatchObject({ type: 'PublishError' });
  expect(a.confirmed.map(([requester]) => requester)).toEqual(['w1']);
  // Another worker inserts the rest, and cannot acknowledge either.
  a.table.ill = a.table.probeFails = undefined;
  await expect(run(b, a, { attempt: 11 })).rejects.toMatchObject({ type: 'PublishError' });
  expect(a.table.rows).toHaveLength(6);
  a.refusing.publish = undefined;
  const outcome = await run(a, b, { attempt: 12 });
  expect(outcome).toMatchObject({ inserted: 6, rejected: 0 });
  // And who has no answer yet is not forgotten, though others of the batch were told before.
  expect(outcome.unconfirmed).toMatchObject([{ requester: 'away', confirmation: { status: 'inserted' } }]);
  expect(a.table.rows).toHaveLength(6);
});

it('what an attempt has inserted is not looked up again by the next ones of its worker, while its reply topic is away', async () => {
  const own = worker();
  own.refusing.publish = new PublishError('orders.replies', 'away');
  for (const number of [1, 2, 3])
    await expect(attempt(own, { attempt: number })).rejects.toMatchObject({ type: 'PublishError' });
  own.refusing.publish = undefined;
  expect(await attempt(own, { attempt: 4 })).toMatchObject({ inserted: 4 });
  expect(own.table.insertSizes).toEqual([4]);
  expect(own.table.lookUps).toBe(0);
});

async function flush({ activities }: ReturnType<typeof worker>, [spec, bodies]: [BatchSpec, Uint8Array]) {
  const environment = new MockActivityEnvironment({ startToCloseTimeoutMs: MINUTE_MS });
  const insert = () => activities.insertBatch(spec, bodies);
  const { json, bytes } = openEnvelope<InsertOutcome>(await environment.run<[], Uint8Array, typeof insert>(insert));
  const reject = () => activities.rejectRecords(spec, bytes);
  const unconfirmed = json.rejected === 0 ? undefined : await environment.run(reject);
  return { json, unconfirmed };
}

it('a request becomes a row as a record does, and its requester is told; Kafka hears nothing of it', async () => {
  const own = worker();
  const { json } = await flush(own, requests(['w1', '{"a":1}'], ['gone', '{"a":2}'], ['away', '{"a":3}']));
  expect(json).toMatchObject({ inserted: 3, requests: [0, 1, 2].map((offset) => [offset, 'inserted']) });
  expect(own.table.rows).toHaveLength(3);
  expect(own.published).toEqual([]);
  expect(own.confirmed[0]).toEqual([
    'w1',
    {
      format: 'ktb-confirmation/1',
      id: 'row-0',
      status: 'inserted',
      ...{ topic: 'ktb:orders:8-key:0', partition: 0, offset: 0, epoch: 'e1' },
      batch: 'id',
    },
  ]);
  // Whoever is gone is not told again; whoever gave no answer is.
  expect(json.unconfirmed).toMatchObject([{ requester: 'away', attempts: 1, confirmation: { id: 'row-2' } }]);
  expect(await own.activities.confirmRequests('orders', json.unconfirmed!)).toMatchObject([{ attempts: 2 }]);
});

it('a rejected request is answered with the reason, and is no dead letter: its requester has it', async () => {
  const own = worker();
  const tooLarge = `"${'x'.repeat(300_000)}"`;
  const { json, unconfirmed } = await flush(own, requests(['w1', '{"a":1}'], ['w2', 'no JSON'], ['away', tooLarge]));
  expect(json).toMatchObject({ inserted: 1, rejected: 2 });
  expect(json.requests).toEqual([
    [0, 'inserted'],
    [1, 'not_json'],
    [2, 'record_too_large'],
  ]);
  expect(own.published).toEqual([]);
  expect(own.confirmed[1]).toMatchObject([
    'w2',
    { status: 'rejected', code: 'not_json', message: 'the value is not JSON' },
  ]);
  expect(unconfirmed).toMatchObject([{ requester: 'away', confirmation: { code: 'record_too_large' } }]);
});

it('requests and records share a batch, and each is answered in its way', async () => {
  const own = worker();
  const [spec, body] = batch(['{}', 'no JSON']);
  const [others, bodies] = requests(['w1', '{"a":1}']);
  const both: BatchSpec = { ...spec, chunks: [...spec.chunks, ...others.chunks] };
  const { json } = await flush(own, [both, Buffer.concat([body, bodies])]);
  expect(json).toMatchObject({ inserted: 2, rejected: 1, requests: [[0, 'inserted']] });
  expect(own.published.map(([topic]) => topic)).toEqual(['orders.replies', 'orders.dead-letters', 'orders.replies']);
  expect(own.confirmed).toHaveLength(1);
});

it('a request to a pipeline whose topics decide the table is rejected, unless the others have one table', async () => {
  const toTable = (table: BatchSpec['destination']['table']): [BatchSpec, Uint8Array] => {
    const [spec, bodies] = requests(['w1', '{"a":1}']);
    return [{ ...spec, destination: { ...spec.destination, table } }, bodies];
  };
  const none = worker();
  const { json } = await flush(none, toTable('raw_{topic}'));
  expect(json).toMatchObject({ inserted: 0, rejected: 1, requests: [[0, 'no_table']] });
  expect(none.confirmed).toMatchObject([['w1', { status: 'rejected', code: 'no_table' }]]);
  expect(none.table.rows).toEqual([]);
  const others = worker();
  await flush(others, toTable({ ofTopics: { a: 'own' }, others: 'orders' }));
  expect(others.table.rows).toHaveLength(1);
});

it('work of another installation is left untouched and unanswered: for good where it is known whose, else for a while', async () => {
  for (const [whose, nonRetryable] of [
    [{ name: 'theirs' }, true],
    ['unknown', false],
  ] as const) {
    const asked: [string, string | undefined][] = [];
    const { activities, table, published, lines } = worker(undefined, {}, {}, (pipeline, named) => {
      asked.push([pipeline, named]);
      return Promise.resolve(whose);
    });
    const environment = new MockActivityEnvironment({ attempt: 1 });
    const [spec, bodies] = batch(VALUES);
    const rejected = { pipeline: 'orders', batcher: 'b', number: 1, id: 'id', destination: spec.destination };
    for (const activity of [
      () => activities.insertBatch(spec, bodies),
      () => activities.insertBatch({ ...spec, installation: 'theirs' }, bodies),
      () => activities.rejectRecords(rejected, encodeRejected([], NO_BATCH)),
      () => activities.readInheritance('ktb:orders:8-key:0', 'run'),
    ]) {
      await expect(environment.run(activity)).rejects.toMatchObject({ type: 'OtherInstallation', nonRetryable });
    }
    expect(asked).toEqual([
      ['orders', undefined],
      ['orders', 'theirs'],
      ['orders', undefined],
      ['orders', undefined],
    ]);
    expect([table.rows, published]).toEqual([[], []]);
    expect(lines.join()).toContain('Batches of pipeline orders are left to others');
  }
});

it('a flush that a draining worker hands back comes back soonest, and counts for no longer pause', async () => {
  const draining = new AbortController();
  draining.abort();
  const admission = { slots: 1, flushesMax: 24, waitingMax: 8, draining: draining.signal };
  const drains = worker(undefined, new FakeTable().tables, {}, undefined, admission);
  const before = { handedBack: 5, attempt: 5, handedBackInARow: { until: 5, times: 4 } };
  const run = attemptOf(() => drains.activities.insertBatch(...batch(VALUES)), { attempt: 6, notes: before });
  const failure: unknown = await run.catch((error: unknown) => error);
  expect((failure as { nextRetryDelay: number }).nextRetryDelay).toBeLessThan(320);
  expect(drains.noted.last).toMatchObject({ handedBackInARow: { until: 6, times: 4 } });
});

it('a batch that was only handed back is not looked up and is no retry; one that may have begun is', async () => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const table = new FakeTable();
  let inserts = 0;
  const crowded = worker(
    undefined,
    {
      ...table.tables,
      send: async (...args) => {
        if (++inserts === 1) await released;
        return table.tables.send(...args);
      },
    },
    {},
    undefined,
    { slots: 1, flushesMax: 24, waitingMax: 0 },
  );
  const retries = async () => (await crowded.metrics.flushRetries.get()).values.map(({ value }) => value);
  // So large that it takes the whole slot.
  const large = batch([`{"note":"${'x'.repeat(1024 * 1024)}"}`]);
  const other = attemptOf(() => crowded.activities.insertBatch(...large), {});
  for (const number of [1, 2, 3, 4, 5, 6])
    await expect(attempt(crowded, { attempt: number })).rejects.toMatchObject({ type: 'CrowdedError' });
  expect(crowded.noted.last).toMatchObject({ handedBack: 6 });
  // It comes back after longer and longer, and soon again once it was at work in between.
  const pauseOf = async (number: number, notes = crowded.noted.last): Promise<number> => {
    const given = notes === undefined ? {} : { notes };
    const run = attemptOf(() => crowded.activities.insertBatch(...batch(VALUES)), { attempt: number, ...given });
    const failure: unknown = await run.catch((error: unknown) => error);
    expect(failure).toMatchObject({ type: 'CrowdedError' });
    return (failure as { nextRetryDelay: number }).nextRetryDelay;
  };
  const around = (value: number, ms: number): void => {
    expect(value).toBeGreaterThanOrEqual(ms * 0.75);
    expect(value).toBeLessThanOrEqual(ms * 1.25);
  };
  around(await pauseOf(7), 5_000);
  expect(crowded.noted.last).toMatchObject({ handedBack: 7, handedBackInARow: { until: 7, times: 7 } });
  const handedBack = crowded.noted.last;
  around(await pauseOf(9, { ...handedBack, attempt: 8 }), 250);
  around(await pauseOf(10), 500);
  expect(crowded.noted.last).toMatchObject({ handedBack: 7, handedBackInARow: { until: 10, times: 2 } });
  crowded.noted.last = handedBack;
  release();
  await other;
  expect(await attempt(crowded, { attempt: 8 })).toMatchObject({ inserted: 4, rejected: 0 });
  expect(table.lookUps).toBe(0);
  expect(await retries()).toEqual([]);
  // The seventh attempt may have sent rows, whatever became of it.
  expect(await attempt(crowded, { attempt: 8 })).toMatchObject({ inserted: 4 });
  expect(table.lookUps).toBe(1);
  expect(table.rows).toHaveLength(5);
  expect(await retries()).toEqual([1]);
});

it('a batch counts as the rows that it becomes: Avro as JSON, and each column that takes a part of the record again', () => {
  const chunks = [{ records: 2, bytes: 1_000 }] as unknown as BatchSpec['chunks'];
  const growth = (
    format: Mapping['format'],
    columns: BatchSpec['destination']['columns'] = {},
    unknownFields: Mapping['unknownFields'] = 'ignore',
  ) => {
    const mapping = { format, unknownFields, tombstones: 'reject' } as const;
    const destination = { table: 't', columns, deadLetterTopic: 'dlq', mapping };
    return (flushMemoryBytes({ chunks, destination }) - 2 * 1_024) / 1_000;
  };
  expect([growth('json'), growth('json-schema'), growth('avro'), growth('protobuf')]).toEqual([1, 1, 8, 8]);
  expect([growth('json-lines'), growth('json-array')]).toEqual([24, 24]);
  expect(growth('json', {}, { into: 'extra' })).toBe(3);
  const ofJson = [{ a: '/a', t: 'timestamp' }, { d: 'document' }, { d: 'document', k: 'key', h: 'headers' }];
  expect(ofJson.map((columns) => growth('json', columns))).toEqual([1, 3, 7]);
  expect(growth('avro', { d: 'document' })).toBe(24);
  expect(growth('text', { value: 'value' })).toBe(3);
  // A zero byte becomes six characters.
  expect(growth('bytes', { value: 'value', copy: 'value' })).toBe(13);
  expect(growth('json', { d: { first: ['header:a', 'document'] } })).toBe(3);
  expect(growth('json', { a: 'header:a', b: 'header:b' })).toBe(3);
});

it('a batch that a worker cannot even measure is reported as any other error', async () => {
  const failing = worker();
  const [spec, bodies] = batch(VALUES);
  const chunks = undefined as unknown as BatchSpec['chunks'];
  await expect(attemptOf(() => failing.activities.insertBatch({ ...spec, chunks }, bodies), {})).rejects.toThrow(
    TypeError,
  );
  expect((await failing.metrics.flushErrors.get()).values).toMatchObject([
    { value: 1, labels: { pipeline: 'orders', code: 'unexpected' } },
  ]);
  expect(failing.lines.join()).toContain('insertBatch fails unexpectedly');
});

it('a few rejected records do not wait for a whole slot', async () => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const table = new FakeTable();
  const own = worker(
    undefined,
    {
      ...table.tables,
      send: async (...args) => {
        await released;
        return table.tables.send(...args);
      },
    },
    {},
    undefined,
    { slots: 1, flushesMax: 24, waitingMax: 0 },
  );
  const insert = attempt(own);
  const { pipeline, batcher, number, id, destination } = batch(VALUES)[0];
  const rejected = [rejectedRecord(0)];
  const reject = (of: readonly RejectedRecord[]) =>
    new MockActivityEnvironment({ startToCloseTimeoutMs: MINUTE_MS }).run(() =>
      own.activities.rejectRecords({ pipeline, batcher, number, id, destination }, encodeRejected(of, NO_BATCH)),
    );
  await reject(rejected);
  expect(own.published.map(([topic]) => topic)).toEqual(['orders.dead-letters', 'orders.replies']);
  const many = Array.from({ length: 40 }, (_, offset) => rejectedRecord(offset, randomBytes(1_024)));
  await expect(reject(many)).rejects.toMatchObject({ type: 'CrowdedError' });
  release();
  await insert;
});

function rejectedRecord(offset: number, value = Buffer.from('no JSON')): RejectedRecord {
  return {
    source: { topic: 'orders', partition: 0, epoch: 'e1' },
    record: record(offset, { value }),
    rejection: { code: 'not_json', message: 'the value is not JSON' },
  };
}
