// Records histories of the batcher for test/workflow/replay.test.ts: `npm run record-histories`. Needs the build. What it writes belongs to
// the version in package.json; the histories of earlier versions stay, since a newer worker has to go on with them.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Client, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { startStack } from '../stack/index.js';
import { RunHistories } from '../src/temporal/runHistories.js';
import { BATCHER, type BatcherInput, type BatcherStatus } from '../src/protocol/batcher.js';
import type { BufferedChunk } from '../src/protocol/chunk.js';
import { sealEnvelope } from '../src/protocol/flush.js';
import { type FlushActivities } from '../src/protocol/flushActivities.js';
import {
  CONFIRMATION_FORMAT,
  isRequestSource,
  REQUEST_FORMAT,
  type RequestVerdict,
  type RowRequest,
  type Unconfirmed,
} from '../src/protocol/request.js';
import { batchId } from '../src/workflows/batchPlanning.js';
import { VERSION } from '../src/lib/version.js';
import { chunkOf, input } from '../test/support/chunks.js';
import { eventually } from '../test/support/eventually.js';
import { historyToJson } from '../test/support/historyJson.js';
import { record } from '../test/support/records.js';

const BUNDLE = fileURLToPath(new URL('../dist/workflows/bundle.js', import.meta.url));
const DIRECTORY = fileURLToPath(new URL(`../test/workflow/histories/${VERSION}/`, import.meta.url));
/** Stands in the histories where a worker and a client would name their machine. */
const IDENTITY = 'recorder';
const TASK_QUEUE = 'batchers';
const NO_BODIES = new Uint8Array(0);

/** Records in a batch that the table refuses. */
let refused = 0;
/** Inserts that end in a failure. */
let failures = 0;
/** Inserts fail again and again, until their batch is given up. */
let stuck = false;
/** Attempts to tell requesters that fail. */
let confirmationsFail = 0;
/** Inserts wait for it. */
let untilOpen = Promise.resolve();

Runtime.install({
  logger: new DefaultLogger('ERROR'),
  telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } },
});
const stack = await startStack({ only: ['temporal'] });
const connection = await NativeConnection.connect({ address: stack.temporal.address });
const client = new Client({ connection, identity: IDENTITY });
const histories = new RunHistories(client, 'default');

/** Requests are inserted, and their requesters cannot be told at once. */
function outcome(id: string, records: number, chunks: readonly BufferedChunk[] = []): Uint8Array {
  const segments = chunks.flatMap((chunk) => chunk.segments).filter(isRequestSource);
  const requests = segments.map(({ to }): RequestVerdict => [to, 'inserted']);
  const unconfirmed = segments.map(({ topic, partition, epoch, to: offset }): Unconfirmed => {
    const place = { topic, partition, epoch, offset, batch: id };
    const confirmation = { format: CONFIRMATION_FORMAT, id: `row-${offset}`, status: 'inserted', ...place } as const;
    return { requester: 'requester', confirmation, attempts: 1 };
  });
  const counts = { inserted: records - refused, rejected: refused, skipped: 0 };
  const json = segments.length === 0 ? { id, ...counts } : { id, ...counts, requests, unconfirmed };
  return sealEnvelope(json, new Uint8Array(refused));
}
const activities: FlushActivities = {
  insertBatch: async (spec) => {
    await untilOpen;
    const records = spec.chunks.reduce((sum, chunk) => sum + chunk.records, 0);
    if (spec.parking !== undefined) refused = records;
    else if (stuck) throw ApplicationFailure.retryable('there is no table');
    if (failures-- > 0) throw ApplicationFailure.nonRetryable('ended by hand');
    return outcome(spec.id, records, spec.chunks);
  },
  rejectRecords: () => Promise.resolve(undefined),
  publishForeignSignals: () => Promise.resolve(),
  confirmRequests: (_pipeline, unconfirmed) => Promise.resolve(confirmationsFail-- > 0 ? unconfirmed : []),
  readInheritance: (batcher, runId) => histories.inheritance(batcher, runId),
  insertInherited: async ({ batcher, runId, chunksDone, chunks }) => {
    const leftover = await histories.leftover(batcher, runId, chunksDone, chunks);
    const records = leftover.reduce((sum, { chunk }) => sum + chunk.records, 0);
    return outcome(batchId(batcher, leftover), records);
  },
};

/** What is done to a batcher whose history is recorded; it is drained in the end. */
const SCENARIOS: Readonly<Record<string, (batcher: WorkflowHandle) => Promise<void>>> = {
  flushes: async (batcher) => {
    for (let from = -1; from < 29; from += 5) await send(batcher, from, from + 5);
    await untilStatus(batcher, ({ counters }) => counters.inserted === 30);
    await send(batcher, 19, 34);
    await send(batcher, -1, 9);
    await untilStatus(batcher, ({ counters }) => counters.inserted >= 35 && counters.duplicateChunks === 1);
  },
  // Records that have waited in their lane: for all of the delay, and for a part of it.
  waited: async (batcher) => {
    await send(batcher, -1, 4, 200);
    await untilStatus(batcher, ({ counters }) => counters.inserted === 5);
    await send(batcher, 4, 9, 150);
    await untilStatus(batcher, ({ counters }) => counters.inserted === 10);
  },
  'continue-as-new': async (batcher) => {
    await control(batcher, 'pause');
    for (let from = -1; from < 23; from += 2) {
      await send(batcher, from, from + 2);
      await status(batcher);
    }
    await control(batcher, 'resume');
  },
  controls: async (batcher) => {
    await control(batcher, 'pause');
    await send(batcher, -1, 9);
    await untilStatus(batcher, ({ paused, bufferedRecords }) => paused && bufferedRecords === 10);
    await control(batcher, 'resume');
    await untilStatus(batcher, ({ counters }) => counters.inserted === 10);
    await send(batcher, 9, 10);
    await control(batcher, 'flush');
    await batcher.signal('hello', { from: 'a stranger' });
    await send(batcher, 10, 11);
  },
  rejections: async (batcher) => {
    refused = 2;
    await send(batcher, -1, 9);
    await untilStatus(batcher, ({ counters }) => counters.rejected === 2);
  },
  failure: async (batcher) => {
    failures = 1;
    await send(batcher, -1, 9);
    await untilStatus(batcher, ({ counters }) => counters.inserted === 10);
  },
  park: async (batcher) => {
    stuck = true;
    await send(batcher, -1, 9);
    await untilStatus(batcher, ({ flushing }) => flushing !== null);
    await batcher.signal(BATCHER.signals.park, { actor: IDENTITY, reason: 'to be recorded', batch: 1 });
    await untilStatus(batcher, ({ counters }) => counters.rejected === 10);
    stuck = false;
    refused = 0;
    await send(batcher, 9, 19);
    await untilStatus(batcher, ({ counters }) => counters.inserted === 10);
  },
  strangers: async (batcher) => {
    await batcher.signal('hello', { from: 'a stranger' });
    await send(batcher, -1, 9);
    await untilStatus(batcher, ({ counters }) => counters.inserted === 10);
    await batcher.signal('hello', { from: 'the same stranger' });
    await batcher.signal('__temporal_hello', { from: 'one who uses a name of Temporal’s own' });
    await untilStatus(batcher, ({ counters }) => counters.foreignSignals === 3);
  },
  // By the colon in its workflow id a batcher's requests are told from records of Kafka.
  'ktb:requests': async (batcher) => {
    const submit = (id: number): Promise<void> => {
      const value = JSON.stringify({ id });
      const request: RowRequest = { format: REQUEST_FORMAT, id: `row-${id}`, requester: 'requester', value };
      return batcher.signal(BATCHER.signals.submit, request);
    };
    confirmationsFail = 1;
    await Promise.all([submit(0), submit(1)]);
    await untilStatus(batcher, ({ counters, unconfirmed }) => counters.inserted === 2 && unconfirmed === 2);
    await untilStatus(batcher, ({ unconfirmed }) => unconfirmed === 0);
    await submit(1);
    await untilStatus(batcher, ({ counters, unconfirmed }) => counters.duplicateChunks === 1 && unconfirmed === 0);
  },
  heir: async (batcher) => {
    let open: () => void = () => undefined;
    untilOpen = new Promise((resolve) => (open = resolve));
    await send(batcher, -1, 9);
    await untilStatus(batcher, ({ flushing }) => flushing !== null);
    await send(batcher, 9, 14);
    const { runId } = await batcher.describe();
    await batcher.terminate();
    open();
    await start(batcher.workflowId, { heirOf: runId });
    await send(batcher, 11, 19);
    await untilStatus(batcher, ({ inheritedBatches }) => inheritedBatches === 0);
  },
};

async function start(workflowId: string, more: Partial<BatcherInput> = {}): Promise<WorkflowHandle> {
  const { settings, ...rest } = input({ maxRecords: 10, maxDelayMs: 200 });
  const continueAsNewAt = { historyBytes: 1e9, historyEvents: workflowId === 'continue-as-new' ? 40 : 1_000 };
  return client.workflow.start(BATCHER.workflowType, {
    workflowId,
    taskQueue: TASK_QUEUE,
    args: [{ ...rest, settings: { ...settings, continueAsNewAt }, ...more }, NO_BODIES],
  });
}

async function send(batcher: WorkflowHandle, from: number, to: number, waitedMs = 0): Promise<void> {
  const records = Array.from({ length: to - from }, (_, index) => record(from + 1 + index));
  const { meta, body } = chunkOf({ topic: 'orders', partition: 0, epoch: 'e1', from, to, records });
  await batcher.signal(BATCHER.signals.records, waitedMs > 0 ? { ...meta, waitedMs } : meta, body);
}

function control(batcher: WorkflowHandle, action: keyof typeof BATCHER.signals): Promise<void> {
  return batcher.signal(BATCHER.signals[action], { actor: IDENTITY, reason: 'to be recorded' });
}

function status(batcher: WorkflowHandle): Promise<BatcherStatus> {
  return batcher.query<BatcherStatus>(BATCHER.queries.status);
}

function untilStatus(batcher: WorkflowHandle, reached: (status: BatcherStatus) => boolean): Promise<void> {
  return eventually(async () => {
    const now = await status(batcher);
    if (!reached(now)) throw new Error(`not reached: ${JSON.stringify(now)}`);
  }, 20_000);
}

/** The histories of all runs of a batcher, oldest first. */
async function write(name: string, workflowId: string): Promise<void> {
  const runs: string[] = [];
  for await (const { runId } of client.workflow.list({ query: `WorkflowId = "${workflowId}"` })) runs.unshift(runId);
  for (const [index, runId] of runs.entries()) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    const json = JSON.stringify(historyToJson(history), (key, value: unknown) => (key === 'stackTrace' ? '' : value));
    if (json.includes(hostname())) throw new Error(`the history ${name} names this machine`);
    writeFileSync(`${DIRECTORY}${name.replace('ktb:', '')}.${index + 1}.json`, `${json}\n`);
  }
}

try {
  const worker = await Worker.create({
    connection,
    taskQueue: TASK_QUEUE,
    identity: IDENTITY,
    workflowBundle: { code: readFileSync(BUNDLE, 'utf8') },
    activities,
    sinks: {
      batcher: { began: { fn: () => undefined }, reported: { fn: () => undefined }, holding: { fn: () => undefined } },
    },
  });
  rmSync(DIRECTORY, { recursive: true, force: true });
  mkdirSync(DIRECTORY, { recursive: true });
  await worker.runUntil(async () => {
    for (const [name, scenario] of Object.entries(SCENARIOS)) {
      refused = failures = 0;
      const batcher = await start(name);
      await scenario(batcher);
      await control(batcher, 'drain');
      await client.workflow.getHandle(name).result();
      await eventually(() => write(name, batcher.workflowId));
    }
  });
} finally {
  await connection.close();
  await stack.stop();
}
