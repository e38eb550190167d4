import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { expect, it, onTestFinished } from 'vitest';
import { BATCHER } from '../../src/protocol/batcher.js';
import { RunProgress } from '../../src/workflows/continuation.js';
import { chunkOf, input } from '../support/chunks.js';
import { eventually } from '../support/eventually.js';
import { record } from '../support/records.js';
import { useSharedStack } from '../support/useStack.js';
import { NO_SINKS } from '../support/noSinks.js';

const stack = useSharedStack();
const workflowBundle = {
  code: readFileSync(fileURLToPath(new URL('../../dist/workflows/bundle.js', import.meta.url)), 'utf8'),
};
const NAME = `continuations-${process.pid}`;
const BATCHERS = 6;
const MARKS = { historyBytes: 1e9, historyEvents: 80 };
it('each run continues as new at its own mark, and a worker that knows nothing of the run replays it', async () => {
  const connection = await NativeConnection.connect({ address: stack().temporal.address });
  onTestFinished(() => connection.close());
  const client = new Client({ connection });
  const { settings, ...rest } = input({ maxRecords: 1_000, maxDelayMs: 3_600_000, storesOnce: true });
  const worker = await Worker.create({ connection, taskQueue: NAME, workflowBundle, sinks: NO_SINKS });
  /** Sends single records until the first run has continued. Returns that run's own mark and its history. */
  const firstRun = async (index: number) => {
    const workflowId = `${NAME}:${index}`;
    const args = [{ ...rest, settings: { ...settings, continueAsNewAt: MARKS } }, new Uint8Array(0)];
    const { firstExecutionRunId: runId } = await client.workflow.start(BATCHER.workflowType, {
      workflowId,
      taskQueue: NAME,
      args,
    });
    const batcher = client.workflow.getHandle(workflowId);
    onTestFinished(async () => {
      await batcher.terminate();
    });
    const first = client.workflow.getHandle(workflowId, runId);
    for (let to = 0; (await batcher.describe()).runId === runId; to++) {
      const before = (await first.describe()).historyLength;
      const segment = { topic: 'orders', partition: 0, epoch: 'e1', from: to - 1, to };
      const { meta, body } = chunkOf({ ...segment, records: [record(to)] });
      await batcher.signal(BATCHER.signals.records, meta, body);
      // The signal, and a task of three events.
      await eventually(async () => expect((await first.describe()).historyLength).toBeGreaterThanOrEqual(before + 4));
    }
    const ownEvents = new RunProgress({ workflowId, runId }).ownEvents(MARKS);
    return { ownEvents, history: await first.fetchHistory() };
  };
  const runs = await worker.runUntil(() =>
    Promise.all(Array.from({ length: BATCHERS }, (_, index) => firstRun(index))),
  );
  expect(new Set(runs.map(({ ownEvents }) => ownEvents)).size).toBeGreaterThan(1);
  for (const { ownEvents, history } of runs) {
    // How long the history was in each task.
    const tasks = (history.events ?? []).flatMap(({ workflowTaskCompletedEventAttributes: completed }) =>
      completed ? [Number(completed.startedEventId)] : [],
    );
    expect(tasks.at(-1)).toBeGreaterThanOrEqual(ownEvents);
    expect(tasks.at(-2)).toBeLessThan(ownEvents);
    await Worker.runReplayHistory({ workflowBundle, sinks: NO_SINKS }, history);
  }
});
