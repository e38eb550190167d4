import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { expect, it, onTestFinished } from 'vitest';
import { readNotes, type AttemptNotes } from '../../src/activities/attemptNotes.js';
import { RunHistories } from '../../src/activities/runHistories.js';
import { useStack } from '../support/useStack.js';

const stack = useStack({ only: ['temporal'] });

/** An activity whose attempts are taken by hand: no worker is in the way of what the server keeps. */
async function schedule() {
  const connection = await Connection.connect({ address: stack().temporal.address });
  onTestFinished(() => connection.close());
  const client = new Client({ connection });
  const { workflowService } = client;
  const namespace = 'default';
  const name = `notes-${randomUUID()}`;
  const taskQueue = { name };
  const identity = 'by-hand';
  await client.workflow.start('any', { taskQueue: name, workflowId: name });
  const { taskToken } = await connection.withDeadline(Date.now() + 20_000, () =>
    workflowService.pollWorkflowTaskQueue({ namespace, taskQueue, identity }),
  );
  const { CommandType } = temporal.api.enums.v1;
  await workflowService.respondWorkflowTaskCompleted({
    namespace,
    taskToken,
    commands: [
      {
        commandType: CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
        scheduleActivityTaskCommandAttributes: {
          activityId: '1',
          activityType: { name: 'any' },
          taskQueue,
          startToCloseTimeout: { seconds: 60 as never },
          heartbeatTimeout: { seconds: 1 as never },
          retryPolicy: { initialInterval: { nanos: 1_000_000 } },
        },
      },
    ],
  });
  return {
    histories: new RunHistories(client, namespace),
    next: async () => {
      const task = await connection.withDeadline(Date.now() + 20_000, () =>
        workflowService.pollActivityTaskQueue({ namespace, taskQueue, identity }),
      );
      const [payload] = task.heartbeatDetails?.payloads ?? [];
      const notes = payload ? readNotes(defaultPayloadConverter.fromPayload(payload), task.attempt) : undefined;
      return { token: task.taskToken, attempt: task.attempt, notes };
    },
    fail: (token: Uint8Array) =>
      workflowService.respondActivityTaskFailed({
        namespace,
        taskToken: token,
        failure: { message: 'held', applicationFailureInfo: { type: 'TransientInsertError' } },
      }),
  };
}

it('what an attempt has noted the next one reads, whether it failed or its worker died', async () => {
  const { histories, next, fail } = await schedule();
  const first = await next();
  expect(first).toMatchObject({ attempt: 1, notes: undefined });
  const notes: AttemptNotes = {
    attempt: 1,
    refusedForMs: 5,
    outageAtMs: 7,
    inserts: { orders: { whole: 'token', unsettled: [[[0, 9]]] } },
  };
  await histories.beat(first.token, { refusedForMs: 1 });
  await histories.beat(first.token, notes);
  await fail(first.token);

  const second = await next();
  expect(second).toMatchObject({ attempt: 2, notes });
  await histories.beat(second.token, { ...notes, attempt: 2, refusedForMs: 6 });
  // No answer: the server gives it up for want of heartbeats.
  expect(await next()).toMatchObject({ attempt: 3, notes: { ...notes, attempt: 2, refusedForMs: 6 } });
});
