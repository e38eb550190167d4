import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ApplicationFailure } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime, Worker, type InjectedSinks } from '@temporalio/worker';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { timeSkippingServerPath } from '../../stack/native/testServer.js';
import { BATCHER, type BatcherInput, type BatcherStatus } from '../../src/protocol/batcher.js';
import { encodeChunk } from '../../src/codecs/chunkCodec.js';
import { decodeRequest } from '../../src/codecs/requestCodec.js';
import { REQUEST_FORMAT } from '../../src/protocol/request.js';
import {
  BATCH_FORMATS,
  sealEnvelope,
  UNKNOWN_RUN,
  type BatchSpec,
  type RejectionSpec,
} from '../../src/protocol/flush.js';
import { type FlushActivities } from '../../src/protocol/flushActivities.js';
import type { BatchLimits } from '../../src/protocol/settings.js';
import type { BatcherReport, BatcherSinks } from '../../src/workflows/sinks.js';
import type { ForeignSignal } from '../../src/protocol/foreignSignal.js';
import { chunkOf, input, settings } from '../support/chunks.js';
import { eventually } from '../support/eventually.js';
import { record } from '../support/records.js';

// Workflows with mocked activities, in Temporal's time-skipping test server. The bundle is the built one, as it ships.
const BUNDLE = fileURLToPath(new URL('../../dist/workflows/bundle.js', import.meta.url));

let serverPath: string;
let environment: TestWorkflowEnvironment;
let batches: BatchSpec[] = [];
let rejections: string[] = [];
let rejectionSpecs: RejectionSpec[] = [];
let beginnings: string[] = [];
let reports: BatcherReport[] = [];
let insertBatch: FlushActivities['insertBatch'];
let readInheritance: FlushActivities['readInheritance'];
let insertInherited: FlushActivities['insertInherited'];
let foreignSignals: ForeignSignal[] = [];
let workflows = 0;

const done = (inserted: number, rejected = 0) => sealEnvelope({ inserted, rejected, skipped: 0 }, Uint8Array.of(7));
const recordsOf = (spec: BatchSpec) => spec.chunks.reduce((sum, { records }) => sum + records, 0);

beforeAll(async () => {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } },
  });
  serverPath = await timeSkippingServerPath();
  environment = await startServer();
}, 300_000);
afterAll(() => environment.teardown());

beforeEach(() => {
  batches = [];
  rejections = [];
  rejectionSpecs = [];
  beginnings = [];
  reports = [];
  foreignSignals = [];
  handedOver.clear();
  readInheritance = () => Promise.reject(new Error('no run was closed'));
  insertInherited = () => Promise.reject(new Error('no run was closed'));
  insertBatch = (spec) => {
    batches.push(spec);
    return Promise.resolve(done(recordsOf(spec)));
  };
});

function startServer(): Promise<TestWorkflowEnvironment> {
  const executable = { type: 'existing-path', path: serverPath } as const;
  return TestWorkflowEnvironment.createTimeSkipping({ server: { executable } });
}

/** For a test that skips time: workflows that others have terminated would keep their server from it. */
async function onServerOfItsOwn(run: () => Promise<void>): Promise<void> {
  const shared = environment;
  environment = await startServer();
  try {
    await run();
  } finally {
    await environment.teardown();
    environment = shared;
  }
}

/** What workers were handed, by the batch's id. */
const handedOver = new Map<string, Uint8Array>();

const sinks: InjectedSinks<BatcherSinks> = {
  batcher: {
    began: { fn: (_info, _pipeline, how) => void beginnings.push(how) },
    reported: { fn: (_info, _pipeline, report) => void reports.push(report) },
    refusedResult: { fn: () => undefined },
    forgot: { fn: () => undefined },
    holding: { fn: () => undefined },
    taken: { fn: (_info, _taskQueue, batchId, bodies) => void handedOver.set(batchId, bodies) },
  },
};

/** A batcher with a worker of its own, for the time of a test. */
async function withBatcher(
  limits: Partial<BatchLimits>,
  run: (handle: WorkflowHandle<(input: BatcherInput, bodies: Uint8Array) => Promise<BatcherInput>>) => Promise<void>,
  overrides: Partial<BatcherInput['settings']> = {},
): Promise<void> {
  const workflowId = `ktb:orders:8-key:${++workflows}`;
  const activities: FlushActivities = {
    insertBatch: (spec, bodies) => insertBatch(spec, bodies),
    rejectRecords: (spec, bytes) => {
      rejections.push(`${spec.id}:${[...bytes].join()}`);
      rejectionSpecs.push(spec);
      return Promise.resolve(undefined);
    },
    confirmRequests: () => Promise.resolve([]),
    readInheritance: (batcher, runId) => readInheritance(batcher, runId),
    insertInherited: (batch) => insertInherited(batch),
    publishForeignSignals: ({ signals }) => Promise.resolve(void foreignSignals.push(...signals)),
  };
  const worker = await Worker.create({
    connection: environment.nativeConnection,
    taskQueue: workflowId,
    workflowBundle: { code: readFileSync(BUNDLE, 'utf8') },
    activities,
    sinks,
  });
  const started = input(limits);
  await worker.runUntil(async () => {
    const handle = await environment.client.workflow.start(BATCHER.workflowType, {
      workflowId,
      taskQueue: workflowId,
      args: [{ ...started, settings: { ...started.settings, ...overrides } }, new Uint8Array(0)],
    });
    try {
      await run(handle as never);
    } finally {
      await environment.client.workflow
        .getHandle(workflowId)
        .terminate()
        .catch(() => undefined);
    }
  });
}

/** Sends the records of a range, as a lane does. */
async function send(handle: WorkflowHandle, from: number, to: number, waitedMs?: number): Promise<void> {
  const records = Array.from({ length: to - from }, (_, index) => record(from + 1 + index));
  const { meta, body } = chunkOf({ topic: 'orders', partition: 0, epoch: 'e1', from, to, records });
  await handle.signal(BATCHER.signals.records, { ...meta, ...(waitedMs === undefined ? {} : { waitedMs }) }, body);
}

/** The test server never answers a query that met a continue-as-new: then it is asked again. */
const status = (handle: WorkflowHandle) =>
  eventually(() =>
    environment.client.connection.withDeadline(Date.now() + 250, () =>
      handle.query<BatcherStatus>(BATCHER.queries.status),
    ),
  );
const untilBatches = (count: number) => eventually(() => expect(batches).toHaveLength(count), 20_000);

/** Sends one record whose value has this many bytes and does not compress. */
async function sendLarge(handle: WorkflowHandle, offset: number, bytes: number): Promise<Uint8Array> {
  const records = [{ ...record(offset), value: randomBytes(bytes) }];
  const { meta, body } = chunkOf({ topic: 'orders', partition: 0, epoch: 'e1', from: offset - 1, to: offset, records });
  await handle.signal(BATCHER.signals.records, meta, body);
  return body;
}

describe('stores a batch', () => {
  it.each([
    { what: 'once, if it is large: the worker is handed it', storesOnce: true, bytes: 300_000, once: true },
    {
      what: 'a second time, as the input of its insert, if it is small',
      storesOnce: true,
      bytes: 200_000,
      once: false,
    },
    { what: 'a second time if its settings are for version 0.1.0', storesOnce: false, bytes: 300_000, once: false },
  ])('$what', ({ storesOnce, bytes, once }) =>
    withBatcher({ maxRecords: 1, ...(storesOnce ? { storesOnce } : {}) }, async (handle) => {
      const inputs: [format: string, bodies: Uint8Array][] = [];
      insertBatch = (spec, bodies) => {
        inputs.push([spec.format, bodies]);
        batches.push(spec);
        return Promise.resolve(done(recordsOf(spec)));
      };
      const body = await sendLarge(handle, 0, bytes);
      await untilBatches(1);
      const format = once ? BATCH_FORMATS.storedOnce : BATCH_FORMATS.withBodies;
      expect(inputs).toEqual([[format, once ? new Uint8Array(0) : Uint8Array.from(body)]]);
      expect(handedOver.get(batches[0]!.id)).toEqual(once ? Uint8Array.from(body) : undefined);
    }),
  );

  it('once, also if its insert is scheduled again', () =>
    withBatcher({ maxRecords: 1, storesOnce: true }, async (handle) => {
      const formats: string[] = [];
      insertBatch = (spec) => {
        formats.push(spec.format);
        batches.push(spec);
        if (formats.length === 1) throw ApplicationFailure.nonRetryable('the first is lost');
        return Promise.resolve(done(recordsOf(spec)));
      };
      await sendLarge(handle, 0, 300_000);
      await untilBatches(2);
      expect(formats).toEqual([BATCH_FORMATS.storedOnce, BATCH_FORMATS.storedOnce]);
    }));
});

describe('flushes', () => {
  it('by records, with all that had arrived', () =>
    withBatcher({ maxRecords: 10, maxDelayMs: 3_600_000 }, async (handle) => {
      await send(handle, -1, 4);
      await send(handle, 4, 9);
      await untilBatches(1);
      expect(batches[0]).toMatchObject({ reason: 'records', number: 1 });
      expect(recordsOf(batches[0]!)).toBe(10);
    }));

  it('by delay, an hour later by the workflow’s clock', () =>
    onServerOfItsOwn(() =>
      withBatcher({ maxDelayMs: 3_600_000 }, async (handle) => {
        await send(handle, -1, 4);
        await eventually(async () => expect((await status(handle)).bufferedRecords).toBe(5));
        await environment.sleep('59 minutes');
        expect(batches).toHaveLength(0);
        await environment.sleep('2 minutes');
        await untilBatches(1);
        expect(batches[0]?.reason).toBe('delay');
      }),
    ));

  it('at once, without a timer, what has waited in its lane for long enough', () =>
    withBatcher({ maxDelayMs: 3_600_000 }, async (handle) => {
      await send(handle, -1, 4, 3_600_000);
      await untilBatches(1);
      expect(batches[0]?.reason).toBe('delay');
      const { events } = await handle.fetchHistory();
      expect(events?.filter(({ timerStartedEventAttributes }) => timerStartedEventAttributes)).toEqual([]);
    }));

  it('one at a time; what arrives during a flush joins the next batch', () =>
    withBatcher({ maxRecords: 1 }, async (handle) => {
      let release: () => void = () => undefined;
      const held = new Promise<void>((resolve) => (release = resolve));
      insertBatch = async (spec) => {
        batches.push(spec);
        await held;
        return done(recordsOf(spec));
      };
      await send(handle, -1, 0);
      await untilBatches(1);
      await send(handle, 0, 1);
      await send(handle, 1, 2);
      await eventually(async () => expect((await status(handle)).bufferedRecords).toBe(2));
      expect(batches).toHaveLength(1);
      release();
      await untilBatches(3);
    }));
});

it('gives what was rejected to the second activity, and counts', () =>
  withBatcher({ maxRecords: 5 }, async (handle) => {
    insertBatch = (spec) => {
      batches.push(spec);
      return Promise.resolve(done(3, 2));
    };
    await send(handle, -1, 4);
    await eventually(() => expect(rejections).toEqual([`${batches[0]?.id ?? ''}:7`]));
    await eventually(async () =>
      expect((await status(handle)).counters).toMatchObject({ inserted: 3, rejected: 2, batches: 1 }),
    );
  }));

it('leaves what only the insert needs out of what the second activity gets: the rejected records may need the room', () => {
  const { destination } = settings();
  const ofTopics = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`topic-${n}`, `table_${n}`]));
  return withBatcher(
    { maxRecords: 5 },
    async (handle) => {
      insertBatch = () => Promise.resolve(done(3, 2));
      await send(handle, -1, 4);
      await eventually(() => expect(rejectionSpecs).toHaveLength(1));
      const { reply, deadLetterTopic } = destination;
      expect(rejectionSpecs[0]?.destination).toEqual({ reply, deadLetterTopic });
    },
    { destination: { ...destination, table: { ofTopics, others: 'others' } } },
  );
});

it('no failure of an activity ends the run: the same batch is tried until it succeeds', () =>
  onServerOfItsOwn(() =>
    withBatcher({ maxRecords: 5 }, async (handle) => {
      let failures = 0;
      insertBatch = (spec) => {
        batches.push(spec);
        if (++failures <= 6) throw new Error('ClickHouse is away');
        return Promise.resolve(done(5));
      };
      await send(handle, -1, 4);
      await eventually(async () => {
        await environment.sleep('10 seconds');
        expect((await status(handle)).counters.inserted).toBe(5);
      });
      expect(new Set(batches.map(({ id }) => id)).size).toBe(1);
      expect((await handle.describe()).status.name).toBe('RUNNING');
    }),
  ));

it('an insert that has ended in a failure is scheduled again as one that asks the table first', () =>
  withBatcher({ maxRecords: 5 }, async (handle) => {
    insertBatch = (spec) => {
      batches.push(spec);
      if (batches.length === 1) throw ApplicationFailure.nonRetryable('ended by hand, half done');
      return Promise.resolve(done(5));
    };
    await send(handle, -1, 4);
    await untilBatches(2);
    const { runId } = await handle.describe();
    expect(batches.map(({ runs }) => runs)).toEqual([[runId], [UNKNOWN_RUN]]);
    expect(batches[1]?.id).toBe(batches[0]?.id);
  }));

it('drops a chunk that comes a second time, also in the run after', () =>
  withBatcher(
    { maxRecords: 5 },
    async (handle) => {
      await send(handle, -1, 4);
      await send(handle, -1, 4);
      await eventually(async () => expect((await status(handle)).counters.duplicateChunks).toBe(1));
      await send(handle, 4, 9);
      await eventually(async () => expect((await status(handle)).counters.continuations).toBeGreaterThan(0));
      await send(handle, -1, 9);
      await eventually(async () => expect((await status(handle)).counters.duplicateChunks).toBe(2));
      expect(batches.map(recordsOf)).toEqual([5, 5]);
      // The worker hears of each once, whichever run dropped it, and of each run.
      await eventually(() => expect(reports.reduce((sum, { duplicateChunks }) => sum + duplicateChunks, 0)).toBe(2));
      expect(beginnings[0]).toBe('first');
      expect(new Set(beginnings.slice(1))).toEqual(new Set(['continued']));
    },
    { continueAsNewAt: { historyBytes: 1e9, historyEvents: 12 } },
  ));

it('continues as new again and again with a buffer it carries along, and flushes all of it once', () =>
  withBatcher(
    { maxRecords: 60, maxDelayMs: 3_600_000 },
    async (handle) => {
      for (let from = -1; from < 59; from += 2) {
        await send(handle, from, from + 2);
        // A query is answered after the task that took the signal.
        await status(handle);
      }
      await untilBatches(1);
      expect(recordsOf(batches[0]!)).toBe(60);
      expect((await status(handle)).counters.continuations).toBeGreaterThan(2);
    },
    { continueAsNewAt: { historyBytes: 1e9, historyEvents: 12 } },
  ));

it('a run of an earlier version hands a longer timeout of its workflow tasks on', () =>
  withBatcher(
    { maxRecords: 60, maxDelayMs: 3_600_000 },
    async (handle) => {
      const timeoutSeconds = async () =>
        Number((await handle.describe()).raw.executionConfig?.defaultWorkflowTaskTimeout?.seconds);
      expect(await timeoutSeconds()).toBe(10);
      for (let from = -1; from < 19; from += 2) {
        await send(handle, from, from + 2);
        await status(handle);
      }
      await eventually(async () => expect(await timeoutSeconds()).toBe(30));
    },
    { continueAsNewAt: { historyBytes: 1e9, historyEvents: 12 } },
  ));

it('continues at most ten times in vain, then stays as it is, and goes on with the next record', () =>
  withBatcher(
    { maxRecords: 2 },
    async (handle) => {
      await eventually(async () => expect((await status(handle)).holding).toBe(true));
      expect((await status(handle)).counters.continuations).toBe(10);
      await send(handle, -1, 1);
      await untilBatches(1);
      await eventually(async () => expect((await status(handle)).counters.continuations).toBeGreaterThan(10));
    },
    { continueAsNewAt: { historyBytes: 1e9, historyEvents: 1 } },
  ));

it('does not take a chunk whose checksum is wrong, and does not drop it either: the task fails until it is understood', () =>
  withBatcher({ maxRecords: 1 }, async (handle) => {
    const { meta, body } = chunkOf({
      topic: 'orders',
      partition: 0,
      epoch: 'e1',
      from: -1,
      to: 0,
      records: [record(0)],
    });
    await handle.signal(BATCHER.signals.records, { ...meta, crc32: meta.crc32 + 1 }, body);
    await eventually(async () => {
      const { events = [] } = await handle.fetchHistory();
      const failures = events?.map(({ workflowTaskFailedEventAttributes: failed }) => failed?.failure?.message);
      expect(failures?.some((message) => message?.includes('checksum'))).toBe(true);
    });
    expect(batches).toHaveLength(0);
    expect((await handle.describe()).status.name).toBe('RUNNING');
  }));

const park = (handle: WorkflowHandle, batch: number) =>
  handle.signal(BATCHER.signals.park, { actor: 'test', reason: 'because', batch });

it('a batch that fails again and again is given up when a person says so, and the next one follows', () =>
  withBatcher({ maxRecords: 5 }, async (handle) => {
    insertBatch = (spec) => {
      batches.push(spec);
      if (spec.number === 1 && spec.parking === undefined) throw new Error('there is no such table');
      return Promise.resolve(spec.parking === undefined ? done(5) : done(1, 4));
    };
    await send(handle, -1, 4);
    await untilBatches(1);
    await park(handle, 2);
    await send(handle, 4, 9);
    await eventually(async () => expect((await status(handle)).bufferedRecords).toBe(5));
    expect((await status(handle)).flushing).toMatchObject({ number: 1, parked: false });
    await park(handle, 1);
    await eventually(async () =>
      expect((await status(handle)).counters).toMatchObject({ inserted: 6, rejected: 4, batches: 2 }),
    );
    const [first] = batches;
    const last = batches.findLast(({ number }) => number === 1);
    expect(last).toEqual({ ...first, runs: [UNKNOWN_RUN], parking: { reason: 'because' } });
    expect(rejections).toEqual([`${first?.id ?? ''}:7`]);
    expect((await status(handle)).controls.map(({ action }) => action)).toEqual(['park', 'park']);
  }));

it('an insert that succeeds although its batch was to be given up counts', () =>
  withBatcher({ maxRecords: 5 }, async (handle) => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    insertBatch = async (spec) => {
      batches.push(spec);
      await held;
      return done(5);
    };
    await send(handle, -1, 4);
    await untilBatches(1);
    await park(handle, 1);
    await eventually(async () => expect((await status(handle)).flushing).toMatchObject({ parked: true }));
    release();
    await eventually(async () => expect((await status(handle)).counters).toMatchObject({ inserted: 5, rejected: 0 }));
    expect(batches).toHaveLength(1);
  }));

it('a batch is given up at once also in the pause between two activities, and that is repeated until it succeeds', () =>
  onServerOfItsOwn(() =>
    withBatcher({ maxRecords: 5 }, async (handle) => {
      const ended = () => ApplicationFailure.nonRetryable('ended by hand');
      insertBatch = (spec) => {
        batches.push(spec);
        if (spec.parking === undefined || batches.filter(({ parking }) => parking).length < 2) throw ended();
        return Promise.resolve(done(0, 5));
      };
      await send(handle, -1, 4);
      await untilBatches(1);
      await park(handle, 1);
      await eventually(async () => {
        await environment.sleep('10 seconds');
        expect((await status(handle)).counters.rejected).toBe(5);
      });
      expect(batches.filter(({ parking }) => parking)).toHaveLength(2);
    }),
  ));

it('strangers’ signals are counted and published under whatever name and in whatever encoding, and the batcher goes on', () =>
  withBatcher({ maxRecords: 1 }, async (handle) => {
    await handle.signal('hello', { some: 'thing' });
    await handle.signal(BATCHER.signals.records, 'not a chunk');
    await handle.signal(BATCHER.signals.records, { format: 'ktb-chunk/1' });
    await handle.signal(BATCHER.signals.records, { format: 'ktb-chunk/1', crc32: 0 }, new Uint8Array(0));
    await handle.signal(BATCHER.signals.park, { reason: 'which batch?' });
    await environment.client.workflowService.signalWorkflowExecution({
      namespace: 'default',
      workflowExecution: { workflowId: handle.workflowId },
      signalName: 'unreadable',
      input: { payloads: [{ metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{') }] },
    });
    // These the SDK keeps for itself.
    await handle.signal('__temporal_workflow_stream_publish', { some: 'thing' });
    await handle.signal('__stack_trace');
    await handle.signal(BATCHER.signals.pause);
    await handle.signal(BATCHER.signals.resume, 42);
    await send(handle, -1, 0);
    await untilBatches(1);
    expect((await status(handle)).counters.foreignSignals).toBe(8);
    await eventually(() => expect(foreignSignals).toHaveLength(8));
    expect(foreignSignals.map(({ name, value }) => [name, value])).toEqual([
      ['hello', '[{"some":"thing"}]'],
      ['records', '["not a chunk"]'],
      ['records', '[{"format":"ktb-chunk/1"}]'],
      ['records', '[{"format":"ktb-chunk/1","crc32":0},{"hex":""}]'],
      ['park', '[{"reason":"which batch?"}]'],
      ['unreadable', '[{"encoding":"json/plain","data":{"hex":"7b"}}]'],
      ['__temporal_workflow_stream_publish', '[{"some":"thing"}]'],
      ['__stack_trace', '[]'],
    ]);
  }));

it('strangers’ signals that are too large for the payloads that Temporal takes are published without their values', () =>
  withBatcher({ payloadBytesMax: 100_000 }, async (handle) => {
    // Each is smaller by its characters than what fits into the input of an activity.
    for (const text of ['订'.repeat(30_000), '单'.repeat(30_000), 'small']) await handle.signal('hello', text);
    await eventually(() => expect(foreignSignals).toHaveLength(3));
    expect(foreignSignals.map(({ value, size }) => [value, size])).toEqual([
      [null, 90_004],
      [null, 90_004],
      ['["small"]', 9],
    ]);
  }));

it('a workflow’s row that fits into a signal, but into no batch, is flushed as too large, and holds nothing', () =>
  withBatcher({ payloadBytesMax: 100_000 }, async (handle) => {
    const flushed: Uint8Array[] = [];
    insertBatch = (spec, bodies) => {
      flushed.push(bodies);
      return Promise.resolve(done(recordsOf(spec)));
    };
    const request = { format: REQUEST_FORMAT, id: 'a', requester: 'w', value: 'x'.repeat(90_000) };
    await handle.signal(BATCHER.signals.submit, request);
    await eventually(() => expect(flushed).toHaveLength(1));
    expect(decodeRequest(flushed[0]!, 0)).toMatchObject({ value: null, tooLargeBytes: expect.any(Number) as number });
    // The run's history can be replayed: it says that the request was decided so.
    const history = await handle.fetchHistory();
    const workflowBundle = { code: readFileSync(BUNDLE, 'utf8') };
    for await (const { error } of Worker.runReplayHistories({ workflowBundle, sinks }, [
      { workflowId: handle.workflowId, history },
    ]))
      expect(error).toBeUndefined();
    expect(JSON.stringify(history)).toContain(Buffer.from('{"id":"request-limit"').toString('base64').slice(0, 24));
  }));

it('drains: flushes what it holds, then ends', () =>
  onServerOfItsOwn(() =>
    withBatcher({ maxDelayMs: 3_600_000 }, async (handle) => {
      await send(handle, -1, 4);
      await handle.signal(BATCHER.signals.drain, { actor: 'test', reason: 'end' });
      const last = await handle.result();
      expect(batches.map(({ reason }) => reason)).toEqual(['drain']);
      expect(last.carried?.counters.inserted).toBe(5);
    }),
  ));

describe('of an installation with a task queue of its own', () => {
  const installation = (name: string, handle: WorkflowHandle) => {
    return { name, taskQueue: `${handle.workflowId}@${name}` };
  };

  /** As a lane does that has nothing else to say. */
  async function tell(handle: WorkflowHandle, name: string): Promise<void> {
    const { meta, body } = encodeChunk([]);
    const settings = { ...input({ maxRecords: 1 }).settings, installation: installation(name, handle) };
    await handle.signal(BATCHER.signals.records, { ...meta, settings }, body);
  }

  /** Batches that this worker gets. */
  async function withWorkerOf(taskQueue: string, run: (got: readonly BatchSpec[]) => Promise<void>): Promise<void> {
    const got: BatchSpec[] = [];
    const activities: Pick<FlushActivities, 'insertBatch'> = {
      insertBatch: (spec) => {
        got.push(spec);
        return Promise.resolve(done(recordsOf(spec)));
      },
    };
    const worker = await Worker.create({ connection: environment.nativeConnection, taskQueue, activities });
    await worker.runUntil(() => run(got));
  }

  it('its batches go to its own workers, also one that waits where nobody of it asks for work', () =>
    withBatcher({ maxRecords: 1 }, async (handle) => {
      await tell(handle, 'gone');
      await send(handle, -1, 0);
      await eventually(async () => expect((await status(handle)).flushing).not.toBeNull());
      await withWorkerOf(`${handle.workflowId}@here`, async (got) => {
        await tell(handle, 'here');
        await eventually(() => expect(got).toMatchObject([{ installation: 'here', runs: [UNKNOWN_RUN] }]), 20_000);
        await send(handle, 0, 1);
        await eventually(() => expect(got).toHaveLength(2), 20_000);
        // A member of a version that names none brings its settings.
        const { meta, body } = encodeChunk([]);
        await handle.signal(BATCHER.signals.records, { ...meta, settings: input({ maxRecords: 1 }).settings }, body);
        await send(handle, 1, 2);
        await eventually(() => expect(got).toHaveLength(3), 20_000);
        expect(got.map(({ installation: name }) => name)).toEqual(['here', 'here', 'here']);
      });
      expect(batches).toEqual([]);
    }));

  it('a batch that a version without installations has scheduled goes there once another’s worker has refused it', () =>
    withBatcher({ maxRecords: 1 }, async (handle) => {
      let refused = 0;
      insertBatch = () => {
        refused++;
        return Promise.reject(ApplicationFailure.nonRetryable('of another installation', 'OtherInstallation'));
      };
      // The worker first: each refusal makes the next try wait longer.
      await withWorkerOf(`${handle.workflowId}@here`, async (got) => {
        await send(handle, -1, 0);
        await eventually(() => expect(refused).toBeGreaterThan(0), 20_000);
        await tell(handle, 'here');
        await eventually(() => expect(got).toMatchObject([{ installation: 'here', runs: [UNKNOWN_RUN] }]), 20_000);
      });
    }));
});
