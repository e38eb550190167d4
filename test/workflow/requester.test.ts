import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client, WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker';
import { pino } from 'pino';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { timeSkippingServerPath } from '../../stack/native/testServer.js';
import { createActivities } from '../../src/activities/index.js';
import { RunHistories } from '../../src/temporal/runHistories.js';
import { signalRequester } from '../../src/temporal/signalRequester.js';
import type { Publisher } from '../../src/kafka/publisher.js';
import { BATCHER, type BatcherStatus } from '../../src/protocol/batcher.js';
import type { BatchSpec } from '../../src/protocol/flush.js';
import {
  REQUEST_FORMAT,
  REQUESTS,
  requestsTaskQueue,
  type Confirmation,
  type RequesterActivities,
  type RowRequest,
} from '../../src/protocol/request.js';
import type { BatchLimits } from '../../src/protocol/settings.js';
import { StateLog } from '../../src/telemetry/logging.js';
import { createMetrics } from '../../src/telemetry/metrics.js';
import type { SubmitRowOptions } from '../../src/requester/requester.js';
import { input } from '../support/chunks.js';
import { eventually } from '../support/eventually.js';
import { FakeTable } from '../support/fakeTable.js';
import type { busyRequester, patientRequester, requester } from '../support/requesterWorkflows.js';
import { NO_SINKS } from '../support/noSinks.js';

// Requesters of this test and the batcher as built, with its real activities around a table in memory, in Temporal's
// time-skipping test server.
const BUNDLE = fileURLToPath(new URL('../../dist/workflows/bundle.js', import.meta.url));
const REQUESTERS = fileURLToPath(new URL('../support/requesterWorkflows.ts', import.meta.url));

let serverPath: string;
let requesters: WorkflowBundle;
let environment: TestWorkflowEnvironment;
/** Does not skip time while it waits: the test server would skip over a signal that is on its way between two workflows. */
let client: Client;
let batchers = 0;

beforeAll(async () => {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } },
  });
  serverPath = await timeSkippingServerPath();
  requesters = await bundleWorkflowCode({ workflowsPath: REQUESTERS, logger: new DefaultLogger('ERROR') });
}, 300_000);

beforeEach(async () => {
  const executable = { type: 'existing-path', path: serverPath } as const;
  environment = await TestWorkflowEnvironment.createTimeSkipping({ server: { executable } });
  client = new Client({ connection: environment.connection });
});

afterEach(() => environment.teardown());

/** A bridge with one batcher, and what can be seen of it. */
class Bridge {
  readonly batcher: string;
  readonly table = new FakeTable();
  readonly batches: BatchSpec[] = [];
  readonly told: (readonly [requester: string, confirmation: Confirmation])[] = [];
  /** Confirmations that fail, by requester. */
  readonly failing = new Map<string, number>();
  /** Flushes wait for it. */
  untilOpen: Promise<unknown> = Promise.resolve();
  readonly #limits: Partial<BatchLimits>;
  readonly #historyEvents: number;

  constructor(limits: Partial<BatchLimits>, historyEvents = 4_096) {
    this.batcher = `ktb:orders:1-key:${++batchers}`;
    this.#limits = limits;
    this.#historyEvents = historyEvents;
  }

  async run(test: () => Promise<void>): Promise<void> {
    const { nativeConnection: connection } = environment;
    const logger = pino({ level: 'silent' });
    const deliver = signalRequester(client);
    const activities = createActivities({
      tables: this.table.tables,
      histories: new RunHistories(client, 'default'),
      publisher: { publish: () => Promise.resolve(), mustBeUp: () => undefined } as unknown as Publisher,
      partitions: { count: () => Promise.resolve(1) },
      metrics: createMetrics({ runtime: false }),
      logger,
      stateLog: new StateLog(logger),
      beat: () => Promise.resolve(true),
      ofOther: () => Promise.resolve(null),
      admission: { slots: 3, flushesMax: 24, waitingMax: 7 },
      deliverConfirmation: (to, confirmation) => {
        const failures = this.failing.get(to) ?? 0;
        this.failing.set(to, failures - 1);
        this.told.push([to, confirmation]);
        return failures > 0 ? Promise.reject(new Error('no answer')) : deliver(to, confirmation);
      },
    });
    const requesterActivities: RequesterActivities = {
      openBatcher: ({ pipeline }) => {
        if (pipeline === 'orders') return Promise.resolve({ batcher: this.batcher });
        if (pipeline === 'ended') return Promise.resolve({ batcher: 'ended' });
        throw ApplicationFailure.create({ type: 'UnknownPipeline', message: 'no pipeline', nonRetryable: true });
      },
    };
    const workers = [
      await Worker.create({
        connection,
        taskQueue: this.batcher,
        workflowBundle: { code: readFileSync(BUNDLE, 'utf8') },
        activities: {
          ...activities,
          insertBatch: async (spec: BatchSpec, bodies: Uint8Array) => {
            this.batches.push(spec);
            await this.untilOpen;
            return activities.insertBatch(spec, bodies);
          },
        },
        sinks: NO_SINKS,
      }),
      await Worker.create({
        connection,
        taskQueue: requestsTaskQueue(this.batcher),
        activities: requesterActivities,
      }),
      await Worker.create({ connection, taskQueue: 'requesters', workflowBundle: requesters }),
    ];
    const ended = workers.map((worker) => worker.run());
    try {
      const { settings, ...rest } = input(this.#limits);
      const continueAsNewAt = { historyBytes: 1e9, historyEvents: this.#historyEvents };
      await client.workflow.start(BATCHER.workflowType, {
        workflowId: this.batcher,
        taskQueue: this.batcher,
        args: [{ ...rest, settings: { ...settings, continueAsNewAt } }, new Uint8Array(0)],
      });
      await test();
    } finally {
      for (const worker of workers) worker.shutdown();
      await Promise.all(ended);
      await this.handle.terminate().catch(() => undefined);
    }
  }

  get handle(): WorkflowHandle {
    return client.workflow.getHandle(this.batcher);
  }

  /** The test server never answers a query that met a continue-as-new: then it is asked again. */
  status(): Promise<BatcherStatus> {
    return eventually(() =>
      client.connection.withDeadline(Date.now() + 500, () => this.handle.query<BatcherStatus>(BATCHER.queries.status)),
    );
  }

  /** Until the batcher has so many requests that are not in a batch. */
  untilBuffered(requests: number): Promise<void> {
    // A machine with much else to do takes its time for a hundred workflows.
    return eventually(async () => expect((await this.status()).bufferedRecords).toBe(requests), 120_000, 20);
  }

  submit(workflowId: string, row: Readonly<Record<string, unknown>> | string, options: Partial<SubmitRowOptions> = {}) {
    return this.#start<typeof requester>('requester', workflowId, row, options);
  }

  submitPatiently(workflowId: string, row: Readonly<Record<string, unknown>>, options: Partial<SubmitRowOptions> = {}) {
    return this.#start<typeof patientRequester>('patientRequester', workflowId, row, options);
  }

  submitAll(workflowId: string, rows: readonly Readonly<Record<string, unknown>>[]) {
    return this.#start<typeof busyRequester>('busyRequester', workflowId, rows, {});
  }

  /** The signal as whoever repeats it would send it. */
  repeat(workflowId: string, id: string): Promise<void> {
    const request: RowRequest = { format: REQUEST_FORMAT, id, requester: workflowId, value: '{"again":true}' };
    return this.handle.signal(BATCHER.signals.submit, request);
  }

  #start<T extends typeof requester | typeof patientRequester | typeof busyRequester>(
    type: string,
    workflowId: string,
    row: unknown,
    options: Partial<SubmitRowOptions>,
  ): Promise<WorkflowHandle<T>> {
    return client.workflow.start<T>(type, {
      workflowId,
      taskQueue: 'requesters',
      args: [row, { pipeline: 'orders', taskQueue: this.batcher, ...options }] as unknown as Parameters<T>,
    });
  }
}

const BY = { actor: 'test', reason: 'because' };
const sizeOf = ({ chunks }: BatchSpec) => chunks.length;
const failureOf = async (handle: Promise<WorkflowHandle>): Promise<ApplicationFailure> => {
  const error: unknown = await (await handle).result().catch((thrown: unknown) => thrown);
  if (!(error instanceof WorkflowFailedError)) throw new Error(`did not fail: ${String(error)}`);
  return error.cause as ApplicationFailure;
};

it('a hundred requesters: one flush at 100 requests, one 20 s after the last; duplicates ignored, one that cannot be told', async () => {
  const bridge = new Bridge({ maxRecords: 100, maxDelayMs: 20_000 }, 60);
  await bridge.run(async () => {
    // However long it takes to start so many, they are one batch.
    await bridge.handle.signal(BATCHER.signals.pause, BY);
    // Its confirmation fails twice; nobody else waits for that.
    bridge.failing.set('requester-7', 2);
    const options = (index: number) => ({ id: `row-${index}`, timeoutMs: 3_600_000 });
    // One after the other: where a signal takes the end of a run back, the test server may end the run without that signal.
    // The real one does not, see test/system/continueAsNew.test.ts.
    const handles: Awaited<ReturnType<typeof bridge.submit>>[] = [];
    for (let index = 0; index < 99; index++) {
      handles.push(await bridge.submit(`requester-${index}`, { index }, options(index)));
      await bridge.untilBuffered(index + 1);
    }
    // This one's requester is gone before it could be told.
    await handles[50]!.terminate();
    for (const [before, index] of [3, 4, 5].entries()) {
      await bridge.repeat(`requester-${index}`, `row-${index}`);
      await eventually(async () => expect((await bridge.status()).counters.duplicateChunks).toBe(before + 1));
    }
    expect((await bridge.status()).bufferedRecords).toBe(99);
    handles.push(await bridge.submit('requester-99', { index: 99 }, options(99)));
    await bridge.untilBuffered(100);
    await bridge.handle.signal(BATCHER.signals.resume, BY);
    const told = await Promise.all(handles.filter((_, index) => index !== 50).map((handle) => handle.result()));
    expect(told.map(({ status }) => status)).toEqual(Array.from({ length: 99 }, () => 'inserted'));
    expect(bridge.batches.map(({ reason, chunks }) => [reason, chunks.length])).toEqual([['records', 100]]);
    expect(bridge.told.filter(([to]) => to === 'requester-50')).toHaveLength(1);
    expect(bridge.told.filter(([to]) => to === 'requester-7')).toHaveLength(3);

    const few = await Promise.all([100, 101, 102].map((index) => bridge.submit(`requester-${index}`, { index })));
    await bridge.untilBuffered(3);
    await environment.sleep('10 seconds');
    expect(bridge.batches).toHaveLength(1);
    await environment.sleep('11 seconds');
    expect((await few[0]!.result()).status).toBe('inserted');
    expect(bridge.batches[1]).toMatchObject({ reason: 'delay' });
    await Promise.all(few.map((handle) => handle.result()));

    // One that comes again after its answer is answered again, and leaves no second row.
    await bridge.repeat('requester-3', 'row-3');
    await eventually(() => {
      const again = bridge.told.filter(([to]) => to === 'requester-3').map(([, confirmation]) => confirmation);
      expect(again).toMatchObject([{ status: 'inserted' }, { status: 'inserted', batch: null, id: 'row-3' }]);
      expect(again[0]?.offset).toBe(again[1]?.offset);
    });
    expect(bridge.table.rows).toHaveLength(103);
    const { counters, unconfirmed } = await bridge.status();
    expect(counters).toMatchObject({ inserted: 103, rejected: 0, duplicateChunks: 4 });
    expect(counters.continuations).toBeGreaterThan(2);
    expect(unconfirmed).toBe(0);
  });
}, 240_000);

it('a buffer: flushes at three or after 60 s; what is submitted while a flush runs joins the next', async () => {
  const bridge = new Bridge({ maxRecords: 3, maxDelayMs: 60_000 });
  await bridge.run(async () => {
    let open: () => void = () => undefined;
    bridge.untilOpen = new Promise<void>((resolve) => (open = resolve));
    const first = await Promise.all([0, 1, 2].map((index) => bridge.submit(`first-${index}`, { index })));
    await eventually(() => expect(bridge.batches).toHaveLength(1));
    const meanwhile = await Promise.all([3, 4].map((index) => bridge.submit(`meanwhile-${index}`, { index })));
    await bridge.untilBuffered(2);
    expect(bridge.batches.map(sizeOf)).toEqual([3]);
    open();
    for (const handle of first) expect((await handle.result()).status).toBe('inserted');
    await environment.sleep('61 seconds');
    for (const handle of meanwhile) expect((await handle.result()).status).toBe('inserted');
    expect(bridge.batches.map(({ reason, chunks }) => [reason, chunks.length])).toEqual([
      ['records', 3],
      ['delay', 2],
    ]);
    expect(bridge.table.rows).toHaveLength(5);
  });
});

it('a workflow may submit many rows at once; one that is rejected fails alone, with the reason', async () => {
  const bridge = new Bridge({ maxRecords: 3, maxDelayMs: 1_000 });
  await bridge.run(async () => {
    const busy = await bridge.submitAll('busy', [{ id: 1 }, { _offset: 5 }, { id: 3 }, { id: 4 }]);
    expect(await busy.result()).toEqual(['inserted', 'RowRejected', 'inserted', 'inserted']);
    const failure = await failureOf(bridge.submit('w', 'no JSON', { id: 'mine' }));
    expect(failure).toMatchObject({ type: 'RowRejected', nonRetryable: true });
    expect(failure.message).toBe('row mine was rejected: not_json: the value is not JSON');
    expect(failure.details).toMatchObject([{ status: 'rejected', code: 'not_json', id: 'mine' }]);
  });
});

it('no confirmation within two minutes is a failure of its own; submitted again under the same id it is one row', async () => {
  const bridge = new Bridge({ maxRecords: 1 });
  await bridge.run(async () => {
    await bridge.handle.signal(BATCHER.signals.pause, BY);
    const hasty = bridge.submit('hasty', { id: 1 }, { id: 'a' });
    await hasty;
    await bridge.untilBuffered(1);
    await environment.sleep('125 seconds');
    const failure = await failureOf(hasty);
    expect(failure).toMatchObject({ type: 'RowConfirmationTimedOut', nonRetryable: false });
    const patient = await bridge.submitPatiently('patient', { id: 2 }, { id: 'a' });
    await bridge.untilBuffered(2);
    await environment.sleep('3 minutes');
    await eventually(async () => expect((await bridge.status()).counters.duplicateChunks).toBe(1));
    await bridge.handle.signal(BATCHER.signals.resume, BY);
    expect(await patient.result()).toBeGreaterThan(1);
    // The other one's row was accepted as well; two requesters may use the same id.
    expect(bridge.table.rows).toHaveLength(2);
  });
});

it('a signal of the name of a confirmation that is none changes nothing', async () => {
  const bridge = new Bridge({ maxRecords: 1 });
  await bridge.run(async () => {
    await bridge.handle.signal(BATCHER.signals.pause, BY);
    const waiting = await bridge.submit('teased', { id: 1 }, { id: 'a' });
    await bridge.untilBuffered(1);
    for (const args of [[null], [], ['a'], [42], [{ id: 'a' }], [{ id: 7, status: 'inserted' }]])
      await waiting.signal(REQUESTS.confirmation, ...args);
    await bridge.handle.signal(BATCHER.signals.resume, BY);
    expect(await waiting.result()).toMatchObject({ id: 'a', status: 'inserted', offset: 0 });
  });
});

it('a row that cannot be submitted says so: no such pipeline, a batcher that has ended, what a request may not have', async () => {
  const bridge = new Bridge({ maxRecords: 1 });
  await bridge.run(async () => {
    for (const [pipeline, why] of [
      ['ordres', 'no pipeline'],
      ['ended', 'not found'],
    ] as const) {
      const failure = await failureOf(
        bridge.submit(`to-${pipeline}`, { id: 1 }, { pipeline, id: 'a', timeoutMs: 3_000 }),
      );
      expect(failure).toMatchObject({ type: 'RowNotSubmitted', nonRetryable: false });
      expect(failure.message).toMatch(new RegExp(`^row a was not submitted: .*${why}`));
    }
    for (const [row, id] of [
      [{ id: 1 }, 'x'.repeat(256)],
      ['é'.repeat(140_000), 'large'],
      ['{"id": "\ud800"}', 'half'],
    ] as const) {
      const wrong = await failureOf(bridge.submit(`wrong-${id.slice(0, 5)}`, row, { id }));
      expect(wrong).toMatchObject({ type: 'RowNotSubmitted', nonRetryable: true });
    }
    expect(bridge.table.rows).toEqual([]);
  });
});
