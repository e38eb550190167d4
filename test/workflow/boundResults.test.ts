import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client } from '@temporalio/client';
import { defaultPayloadConverter, RawValue, type Payload } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PayloadCipher } from '../../src/codecs/payloadCipher.js';
import { boundActivities } from '../../src/activities/boundActivities.js';
import { BATCHER, type BatcherStatus } from '../../src/protocol/batcher.js';
import { PURPOSES, signalPurpose } from '../../src/protocol/encryption.js';
import { sealEnvelope, UNKNOWN_RUN, type BatchSpec } from '../../src/protocol/flush.js';
import type { FlushActivities } from '../../src/protocol/flushActivities.js';
import { dataConverterOf, setCipher } from '../../src/temporal/encryption.js';
import { historyEvents } from '../../src/temporal/historyEvents.js';
import { codecOf } from '../../src/temporal/payloadCodec.js';
import { RunHistories } from '../../src/temporal/runHistories.js';
import { NO_COUNTERS } from '../../src/workflows/counters.js';
import { timeSkippingServerPath } from '../../stack/native/testServer.js';
import { chunkOf, input } from '../support/chunks.js';
import { eventually } from '../support/eventually.js';
import { NO_SINKS } from '../support/noSinks.js';
import { record } from '../support/records.js';

const BUNDLE = fileURLToPath(new URL('../../dist/workflows/bundle.js', import.meta.url));
const WORKFLOW_ID = 'ktb:orders:8-key:0';
const NAMESPACE = 'default';

let environment: TestWorkflowEnvironment;
beforeAll(async () => {
  const quiet = { logging: { filter: { core: 'ERROR', other: 'ERROR' } } } as const;
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: quiet });
  const executable = { type: 'existing-path', path: await timeSkippingServerPath() } as const;
  environment = await TestWorkflowEnvironment.createTimeSkipping({ server: { executable } });
}, 300_000);
afterAll(() => environment.teardown());

it('a batch whose insert somebody answers with the result of another batch, or with one of their own, is inserted again', async () => {
  const cipher = new PayloadCipher({ keys: new Map([['k1', randomBytes(32)]]), active: 'k1' });
  const { connection } = environment;
  const client = setCipher(new Client({ connection, dataConverter: { payloadCodecs: [codecOf(cipher)] } }), cipher);
  const sealed = (purpose: string, value: unknown): RawValue =>
    RawValue.fromPayload(cipher.encrypt(defaultPayloadConverter.toPayload(value), WORKFLOW_ID, purpose));

  const begun: BatchSpec[] = [];
  // All but the first insert wait until the end.
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const done = (count: number) => sealEnvelope({ inserted: count, rejected: 0, skipped: 0 }, new Uint8Array(0));
  const nothing = { coverage: [], counters: NO_COUNTERS, paused: false, controls: [], lastFlush: null, estates: [] };
  const activities: Partial<FlushActivities> = {
    readInheritance: () => Promise.resolve(nothing),
    insertBatch: async (spec) => {
      begun.push(spec);
      if (begun.length > 1) await ended;
      return done(spec.chunks.length);
    },
  };
  const refusedArguments: string[] = [];
  let refusedResults = 0;
  const workflowBundle = { code: readFileSync(BUNDLE, 'utf8') };
  const dataConverter = dataConverterOf(cipher);
  const worker = await Worker.create({
    connection: environment.nativeConnection,
    taskQueue: WORKFLOW_ID,
    workflowBundle,
    dataConverter,
    activities: boundActivities(activities as FlushActivities, {
      required: true,
      refused: (what) => refusedArguments.push(what),
    }),
    sinks: { batcher: { ...NO_SINKS.batcher, refusedResult: { fn: () => void (refusedResults += 1) } } },
  });
  const attack = async (): Promise<void> => {
    const started = input({ maxRecords: 1 });
    const settings = { ...started.settings, encryption: 'required' } as const;
    const handle = await client.workflow.start(BATCHER.workflowType, {
      workflowId: WORKFLOW_ID,
      taskQueue: WORKFLOW_ID,
      args: [sealed(PURPOSES.input, { ...started, settings }), sealed(PURPOSES.input, new Uint8Array(0))],
    });
    const runId = handle.firstExecutionRunId;
    const run = { namespace: NAMESPACE, workflowId: WORKFLOW_ID, runId };
    for (const to of [0, 1]) {
      const segment = { topic: 'orders', partition: 0, epoch: 'e1', from: to - 1, to, records: [record(to)] };
      const { meta, body } = chunkOf(segment);
      const parts = [meta, body].map((part, index) => sealed(signalPurpose('records', index, `${to}`), part));
      await handle.signal(BATCHER.signals.records, ...parts);
      await eventually(() => expect(begun).toHaveLength(to + 1), 20_000);
    }

    const answer = async (result: Payload): Promise<void> => {
      const times = begun.length;
      const { raw } = await handle.describe();
      await connection.workflowService.respondActivityTaskCompletedById({
        namespace: NAMESPACE,
        workflowId: WORKFLOW_ID,
        runId,
        activityId: raw.pendingActivities?.[0]?.activityId ?? '',
        result: { payloads: [result] },
      });
      await eventually(() => expect(begun).toHaveLength(times + 1), 20_000);
    };
    const results: Payload[] = [];
    for await (const { activityTaskCompletedEventAttributes: completed } of historyEvents(client, run))
      results.push(...(completed?.result?.payloads ?? []));
    // Of the run before, and of the first batch.
    expect(results).toHaveLength(2);
    await answer(results[1]!);
    await answer(defaultPayloadConverter.toPayload(done(1)));
    expect(refusedResults).toBe(2);
    expect(begun.map(({ number }) => number)).toEqual([1, 2, 2, 2]);
    expect(begun.at(-1)?.runs).toEqual([UNKNOWN_RUN]);
    const status = () => handle.query<BatcherStatus>(BATCHER.queries.status);
    expect(await status()).toMatchObject({
      counters: { inserted: 1 },
      lastError: expect.stringContaining('the result of an activity is not encrypted for it') as string,
    });
    // An heir that reads the history does not believe these results, either.
    const { unflushed } = await new RunHistories(client, NAMESPACE).acceptedBy(WORKFLOW_ID, runId);
    expect(unflushed.map(({ chunk: { segments } }) => segments.map(({ to }) => to))).toEqual([[1]]);

    end();
    await eventually(async () => expect(await status()).toMatchObject({ counters: { inserted: 2 }, flushing: null }));
    expect((await new RunHistories(client, NAMESPACE).acceptedBy(WORKFLOW_ID, runId)).unflushed).toEqual([]);
    expect(refusedArguments).toEqual([]);
    const history = await handle.fetchHistory();
    await Worker.runReplayHistory({ workflowBundle, dataConverter, sinks: NO_SINKS }, history, WORKFLOW_ID);
    await handle.terminate();
  };
  await worker.runUntil(() => attack().finally(end));
}, 120_000);
