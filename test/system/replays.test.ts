import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from '@temporalio/client';
import {
  bundleWorkflowCode,
  NativeConnection,
  Worker,
  type InjectedSinks,
  type WorkerOptions,
} from '@temporalio/worker';
import { expect, it, onTestFinished } from 'vitest';
import { encodeChunk } from '../../src/codecs/chunkCodec.js';
import { withWorkflowSlots } from '../../src/daemon/workflowSlots.js';
import { BATCHER } from '../../src/protocol/batcherId.js';
import { sealEnvelope } from '../../src/protocol/flush.js';
import type { BatcherSinks } from '../../src/workflows/sinks.js';
import { input } from '../support/chunks.js';
import { eventually } from '../support/eventually.js';
import { record } from '../support/records.js';
import { compute, type slowWorkflow } from '../support/slowWorkflow.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
const BUNDLE = fileURLToPath(new URL('../../dist/workflows/bundle.js', import.meta.url));
const BATCHERS = 8;
/** Each replay alone is done before Temporal gives its task to somebody else, after 10 s. All at once are not. */
const REPLAY_MS = 2_000;
const SLICE_MS = 50;
/** One after the other takes 16 s, and 10 s may pass before. */
const SOON_MS = 120_000;
const QUEUE = `replays-${process.pid}`;

/** Work on a processor that serves in turn all who want it. */
function slowProcessor(onBegin: () => void): () => Promise<void> {
  let turn: Promise<unknown> = Promise.resolve();
  return async () => {
    onBegin();
    for (let done = 0; done < REPLAY_MS; done += SLICE_MS) await (turn = turn.then(() => sleep(SLICE_MS)));
  };
}

function sinksOf(began: () => Promise<void> | void): InjectedSinks<BatcherSinks> {
  const nothing = { fn: () => undefined };
  return { batcher: { began: { fn: began, callDuringReplay: true }, reported: nothing, holding: nothing } };
}

it('a worker that takes over many runs replays each once, although all at once would not be done before Temporal’s time-out', async () => {
  const connection = await NativeConnection.connect({ address: stack().temporal.address });
  onTestFinished(() => connection.close());
  const { workflow } = new Client({ connection });
  const flushed = new Set<string>();
  const workerOf = (sinks: InjectedSinks<BatcherSinks>): WorkerOptions => ({
    connection,
    taskQueue: QUEUE,
    workflowBundle: { code: readFileSync(BUNDLE, 'utf8') },
    activities: {
      insertBatch: ({ batcher }: { batcher: string }) => {
        flushed.add(batcher);
        return Promise.resolve(sealEnvelope({ inserted: 1, rejected: 0, skipped: 0 }, Uint8Array.of(7)));
      },
    },
    sinks,
  });
  const ids = Array.from({ length: BATCHERS }, (_, index) => `ktb:${QUEUE}:${BATCHERS}-key:${index}`);
  const flushOneEach = async (offset: number): Promise<void> => {
    flushed.clear();
    const segment = { topic: 'orders', partition: 0, epoch: 'e1', from: offset - 1, to: offset };
    const { meta, body } = encodeChunk([{ ...segment, records: [record(offset)] }]);
    for (const id of ids) await workflow.getHandle(id).signal(BATCHER.signals.records, meta, body);
    await eventually(() => expect([...flushed].sort()).toEqual(ids), SOON_MS);
  };

  const first = await Worker.create(withWorkflowSlots(workerOf(sinksOf(() => undefined))));
  await first.runUntil(async () => {
    for (const workflowId of ids) {
      const args = [input({ maxRecords: 1 }), new Uint8Array(0)];
      await workflow.start(BATCHER.workflowType, { workflowId, taskQueue: QUEUE, args });
      onTestFinished(async () => {
        await workflow.getHandle(workflowId).terminate();
      });
    }
    await flushOneEach(0);
  });
  let replays = 0;
  const second = await Worker.create(withWorkflowSlots(workerOf(sinksOf(slowProcessor(() => replays++)))));
  await second.runUntil(() => flushOneEach(1));
  expect(replays).toBe(BATCHERS);
});

it('what a workflow computes may take longer than the SDK lets it by default', async () => {
  const connection = await NativeConnection.connect({ address: stack().temporal.address });
  onTestFinished(() => connection.close());
  const workflowsPath = fileURLToPath(new URL('../support/slowWorkflow.ts', import.meta.url));
  const taskQueue = `${QUEUE}-slow`;
  const worker = await Worker.create({
    connection,
    taskQueue,
    workflowBundle: await bundleWorkflowCode({ workflowsPath }),
    ...withWorkflowSlots({}),
  });
  const rounds = roundsOf(SDK_DEFAULT_MS * 1.5);
  await worker.runUntil(async () => {
    const handle = await new Client({ connection }).workflow.start<typeof slowWorkflow>('slowWorkflow', {
      workflowId: taskQueue,
      taskQueue,
      args: [rounds],
      workflowTaskTimeout: '2 minutes',
    });
    expect(await handle.result()).toBe(compute(rounds));
  });
});

const SDK_DEFAULT_MS = 5_000;

function roundsOf(ms: number): number {
  const sample = 20_000_000;
  compute(sample);
  const startedAt = performance.now();
  compute(sample);
  return Math.ceil((sample * ms) / (performance.now() - startedAt));
}
