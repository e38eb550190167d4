import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from '@temporalio/client';
import { NativeConnection, Worker, type InjectedSinks } from '@temporalio/worker';
import { expect, it, onTestFinished } from 'vitest';
import { parseConfig } from '../../src/config/load.js';
import { batcherWorkflowId } from '../../src/protocol/batcherId.js';
import { sealEnvelope } from '../../src/protocol/flush.js';
import { TemporalBatcherClient } from '../../src/temporal/batcherClient.js';
import { RunProgress } from '../../src/workflows/continuation.js';
import type { BatcherSinks } from '../../src/workflows/sinks.js';
import { eventually } from '../support/eventually.js';
import { record } from '../support/records.js';
import { useSharedStack } from '../support/useStack.js';
import { chunkOf } from '../support/chunks.js';
import { NO_SINKS } from '../support/noSinks.js';

const stack = useSharedStack();
const BUNDLE = fileURLToPath(new URL('../../dist/workflows/bundle.js', import.meta.url));
const NAME = `replays-${process.pid}`;
const BATCHERS = 8;
/** A part of the run's own mark at which it continues as new. */
const NEAR = 0.9;
/** Each adds ten events to a history: the signal, the flush, and the tasks of both. */
const SIGNALS_AT_A_TIME = 4;

/**
 * What a starved processor takes for each thing that a batcher reports, for five events or so. It takes 13 s for all replays together, longer
 * than Temporal's default timeout of a workflow task.
 */
const STEP_MS = 24;
/** Time that is slept at once: much more than what a busy machine adds to it. */
const SLEPT_MS = 480;

/** Sinks of a worker on a processor that serves in turn all that want it. */
function starved(onReplay: () => void): InjectedSinks<BatcherSinks> {
  let owedMs = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const step = async (): Promise<void> => {
    owedMs += STEP_MS;
    if (owedMs < SLEPT_MS) return;
    owedMs -= SLEPT_MS;
    await (turn = turn.then(() => sleep(SLEPT_MS)));
  };
  return {
    batcher: {
      began: { fn: onReplay, callDuringReplay: true },
      reported: { fn: step, callDuringReplay: true },
      refusedResult: { fn: () => undefined },
      forgot: { fn: () => undefined },
      holding: { fn: () => undefined },
      taken: { fn: () => undefined },
    },
  };
}

it('a starved worker that takes over batchers with long histories is done with their replays in time, and goes on', async () => {
  const connection = await NativeConnection.connect({ address: stack().temporal.address });
  onTestFinished(() => connection.close());
  const client = new Client({ connection });
  const file = `pipelines: { ${NAME}: { topics: [orders], table: t, batchers: ${BATCHERS}, batch: { maxRecords: 1 } } }`;
  const { layout, settings } = parseConfig(file, 'ktb.yaml', {}).pipelines[0]!;
  const flushed = new Map<string, number>();
  const workerWith = (sinks: InjectedSinks<BatcherSinks>): Promise<Worker> =>
    Worker.create({
      connection,
      taskQueue: NAME,
      workflowBundle: { code: readFileSync(BUNDLE, 'utf8') },
      activities: {
        insertBatch: ({ batcher }: { batcher: string }) => {
          flushed.set(batcher, (flushed.get(batcher) ?? 0) + 1);
          return Promise.resolve(sealEnvelope({ inserted: 1, rejected: 0, skipped: 0 }, Uint8Array.of(7)));
        },
      },
      sinks,
    });
  const batchers = Array.from({ length: BATCHERS }, (_, index) => {
    const workflowId = batcherWorkflowId(NAME, layout, index);
    onTestFinished(async () => {
      await client.workflow.getHandle(workflowId).terminate();
    });
    return new TemporalBatcherClient(client, {
      workflowId,
      taskQueue: NAME,
      settings: () => settings,
      requestTimeoutMs: 10_000,
      counted: (_operation, request) => request,
    });
  });
  /** One record after the other, each flushed before the next one. */
  const send = async (batcher: TemporalBatcherClient, signals: number): Promise<void> => {
    for (let sent = 0; sent < signals; sent++) {
      const before = flushed.get(batcher.workflowId) ?? 0;
      const segment = { topic: 'orders', partition: 0, epoch: 'e1', from: before - 1, to: before };
      const { meta, body } = chunkOf({ ...segment, records: [record(before)] });
      expect(await batcher.send(meta, body)).toMatchObject({ type: 'accepted' });
      await eventually(() => expect(flushed.get(batcher.workflowId)).toBe(before + 1), 150_000, 5);
    }
  };

  const isNearItsMark = async (batcher: TemporalBatcherClient): Promise<boolean> => {
    const { runId, events } = (await batcher.history())!;
    return (
      events >= NEAR * new RunProgress({ workflowId: batcher.workflowId, runId }).ownEvents(settings.continueAsNewAt)
    );
  };

  const first = await workerWith(NO_SINKS);
  await first.runUntil(() =>
    Promise.all(
      batchers.map(async (batcher) => {
        do await send(batcher, SIGNALS_AT_A_TIME);
        while (!(await isNearItsMark(batcher)));
      }),
    ),
  );
  let replays = 0;
  const second = await workerWith(starved(() => replays++));
  await second.runUntil(() => Promise.all(batchers.map((batcher) => send(batcher, 1))));
  // Of those that take too long Temporal lets four begin, before it has given the last one enough time. A busy machine may need two.
  expect(replays).toBeLessThanOrEqual(2 * BATCHERS);
});
