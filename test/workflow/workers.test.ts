import { fileURLToPath } from 'node:url';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { timeSkippingServerPath } from '../../stack/native/testServer.js';
import { parseConfig } from '../../src/config/load.js';
import { workerOptions } from '../../src/daemon/workers.js';
import type { computing } from '../support/computingWorkflow.js';

const WORKFLOWS = fileURLToPath(new URL('../support/computingWorkflow.ts', import.meta.url));
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

it('a workflow may compute for longer than the SDK allows by default', async () => {
  const config = parseConfig('pipelines: { p: { table: t, topics: [a] } }', 'ktb.yaml', {});
  const workflowBundle = await bundleWorkflowCode({ workflowsPath: WORKFLOWS, logger: new DefaultLogger('ERROR') });
  const worker = await Worker.create(
    workerOptions({ config, temporal: environment.nativeConnection }, { taskQueue: TASK_QUEUE, workflowBundle }),
  );
  await worker.runUntil(async () => {
    const { workflow } = environment.client;
    const run = await workflow.start<typeof computing>('computing', { taskQueue: TASK_QUEUE, workflowId: 'computing' });
    expect(await run.result()).toBe('done');
    const { events } = await run.fetchHistory();
    expect(events?.filter((event) => event.workflowTaskFailedEventAttributes)).toEqual([]);
  });
}, 60_000);
