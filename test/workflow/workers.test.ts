import { fileURLToPath } from 'node:url';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import type { WorkflowHandle } from '@temporalio/client';
import type { Workflow } from '@temporalio/common';
import { bundleWorkflowCode, DefaultLogger, Runtime, type Worker } from '@temporalio/worker';
import { ThreadedVMWorkflowCreator } from '@temporalio/worker/lib/workflow/threaded-vm.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { timeSkippingServerPath } from '../../stack/native/testServer.js';
import { parseConfig } from '../../src/config/load.js';
import { UnwatchedWorker } from '../../src/daemon/unwatchedWorker.js';
import { workerOptions } from '../../src/daemon/workers.js';
import { createCipher } from '../../src/temporal/connect.js';
import type { computing, rejecting, waiting } from '../support/computingWorkflow.js';

const WORKFLOWS = fileURLToPath(new URL('../support/computingWorkflow.ts', import.meta.url));
const NO_STACK_TRACES = fileURLToPath(new URL('../../src/workflows/noStackTraces.ts', import.meta.url));
const TASK_QUEUE = 'computing';

let environment: TestWorkflowEnvironment;

beforeAll(async () => {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } },
  });
  const executable = { type: 'existing-path', path: await timeSkippingServerPath() } as const;
  environment = await TestWorkflowEnvironment.createTimeSkipping({ server: { executable } });
}, 300_000);

afterAll(() => environment.teardown());

describe('the worker of the batchers', () => {
  let worker: Worker;
  const limits = vi.spyOn(ThreadedVMWorkflowCreator, 'create');
  let ended: Promise<void>;

  beforeAll(async () => {
    const config = parseConfig('pipelines: { p: { table: t, topics: [a] } }', 'ktb.yaml', {});
    const workflowBundle = await bundleWorkflowCode({
      workflowsPath: WORKFLOWS,
      preloadModules: [NO_STACK_TRACES],
      logger: new DefaultLogger('ERROR'),
    });
    worker = await UnwatchedWorker.create(
      workerOptions(
        { config, temporal: { native: environment.nativeConnection }, cipher: createCipher(config.temporal) },
        { taskQueue: TASK_QUEUE, workflowBundle },
      ),
    );
    ended = worker.run();
  }, 60_000);

  afterAll(async () => {
    worker.shutdown();
    await ended;
  });

  async function start<T extends Workflow>(type: string): Promise<WorkflowHandle<T>> {
    return environment.client.workflow.start<Workflow>(type, { taskQueue: TASK_QUEUE, workflowId: type, args: [] });
  }

  it('lets a workflow compute for longer than the SDK allows by default', async () => {
    const run = await start<typeof computing>('computing');
    expect(await run.result()).toBe('done');
    expect(await failedTasks(run)).toEqual([]);
  }, 60_000);

  it('sets no limit for a call into a workflow, so that Node starts no thread for it', () => {
    expect(limits.mock.calls.map(([{ isolateExecutionTimeoutMs }]) => isolateExecutionTimeoutMs)).toEqual([undefined]);
  });

  it('makes no stack traces of what a workflow waits for', async () => {
    const run = await start<typeof waiting>('waiting');
    expect(await run.query('__stack_trace')).toBe('');
  }, 60_000);

  it('fails only the task of a workflow whose rejected promise nobody handles', async () => {
    const run = await start<typeof rejecting>('rejecting');
    await vi.waitUntil(async () => (await failedTasks(run)).length > 0, { timeout: 30_000, interval: 200 });
    const [failure] = await failedTasks(run);
    expect(failure).toContain('Unhandled Promise rejection: Error: nobody handles this');
    expect(worker.getState()).toBe('RUNNING');
    await run.terminate();
  }, 60_000);
});

/** Why tasks of a run have failed. */
async function failedTasks(run: WorkflowHandle): Promise<string[]> {
  const { events } = await run.fetchHistory();
  return (events ?? []).flatMap(({ workflowTaskFailedEventAttributes: failed }) => failed?.failure?.message ?? []);
}
