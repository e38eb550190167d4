import { randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import { Client, Connection } from '@temporalio/client';
import { ApplicationFailure, type Payload } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { expect, it, onTestFinished } from 'vitest';
import { Attempt } from '../../src/activities/attempt.js';
import { givenNotes } from '../../src/activities/boundNotes.js';
import { parseConfig } from '../../src/config/load.js';
import { UnwatchedWorker } from '../../src/daemon/unwatchedWorker.js';
import { workerOptions } from '../../src/daemon/workers.js';
import { readNotes, type AttemptNotes } from '../../src/protocol/attemptNotes.js';
import { createBeat } from '../../src/activities/heartbeats.js';
import { createCipher } from '../../src/temporal/connect.js';
import { eventually } from '../support/eventually.js';
import { useStack } from '../support/useStack.js';

const stack = useStack({ only: ['temporal'] });

/**
 * An activity of a workflow that is steered by hand, carried out by a worker as the daemon makes them.
 *
 * @returns what each attempt has read of those before it, and the types of the history's events
 */
async function carryOut(
  heartbeatTimeoutSeconds: number,
  activity: (
    beat: ReturnType<typeof createBeat>,
    reset: () => Promise<unknown>,
    leaveNotes: (payload: Payload) => Promise<unknown>,
  ) => Promise<unknown>,
) {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const { address } = stack().temporal;
  const connection = await Connection.connect({ address });
  onTestFinished(() => connection.close());
  const client = new Client({ connection });
  const { workflowService } = client;
  const namespace = 'default';
  const name = `notes-${randomUUID()}`;
  const taskQueue = { name };
  const handle = await client.workflow.start('any', { taskQueue: name, workflowId: name });
  const { taskToken } = await connection.withDeadline(Date.now() + 20_000, () =>
    workflowService.pollWorkflowTaskQueue({ namespace, taskQueue, identity: 'by-hand' }),
  );
  const { CommandType, EventType } = temporal.api.enums.v1;
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
          heartbeatTimeout: { seconds: heartbeatTimeoutSeconds as never },
          retryPolicy: { initialInterval: { nanos: 1_000_000 } },
        },
      },
    ],
  });
  const native = await NativeConnection.connect({ address });
  onTestFinished(() => native.close());
  const beat = createBeat(client, namespace);
  const reset = () => workflowService.resetActivity({ namespace, execution: { workflowId: name }, id: '1' });
  const leaveNotes = (payload: Payload) =>
    workflowService.recordActivityTaskHeartbeatById({
      namespace,
      workflowId: name,
      activityId: '1',
      details: { payloads: [payload] },
    });
  const config = parseConfig('pipelines: { p: { table: t, topics: [a] } }', 'ktb.yaml', {});
  const worker = await UnwatchedWorker.create(
    workerOptions(
      { config, temporal: { native }, cipher: createCipher(config.temporal) },
      {
        taskQueue: name,
        activities: { any: () => activity(beat, reset, leaveNotes) },
        maxHeartbeatThrottleInterval: 1,
      },
    ),
  );
  await worker.runUntil(
    eventually(async () => {
      const { events } = await handle.fetchHistory();
      expect(events?.map(({ eventType }) => eventType)).toContain(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED);
    }, 50_000),
  );
}

it('what an attempt has noted the next one reads, whether it failed or its worker died', async () => {
  const read: { attempt: number; notes: AttemptNotes }[] = [];
  const notes: AttemptNotes = {
    refusedForMs: 5,
    outageAtMs: 7,
    inserts: { orders: { whole: 'token', unsettled: [[[0, 9]]] } },
  };
  await carryOut(1, async (beat) => {
    const context = Context.current();
    const { attempt } = context.info;
    read.push({ attempt, notes: readNotes(context.info.heartbeatDetails, attempt) });
    if (attempt === 1) {
      await beat(context, { refusedForMs: 1 });
      await beat(context, { ...notes, attempt });
      throw ApplicationFailure.create({ message: 'held' });
    }
    if (attempt === 2) {
      await beat(context, { ...notes, attempt, refusedForMs: 6 });
      // No answer: the server gives it up for want of heartbeats.
      await context.cancelled;
    }
  });
  expect(read).toMatchObject([
    { attempt: 1, notes: {} },
    { attempt: 2, notes: { ...notes, attempt: 1 } },
    { attempt: 3, notes: { ...notes, attempt: 2, refusedForMs: 6 } },
  ]);
});

it('an attempt takes as long as its work: neither the server nor the SDK gives it up while it beats', async () => {
  const attempts: number[] = [];
  await carryOut(4, (beat) =>
    Attempt.run(beat, async (attempt) => {
      attempts.push(attempt.number);
      // The SDK gives up one that has not beaten for 5 s longer than the time-out.
      await Context.current().sleep(12_000);
      attempt.mustBeAlive();
    }),
  );
  expect(attempts).toEqual([1]);
});

it('an attempt after a reset by a person may be counted as the first one, and knows that it is not', async () => {
  const attempts: [number: number, isRepeated: boolean][] = [];
  await carryOut(5, (beat, reset) =>
    Attempt.run(beat, async (attempt) => {
      attempts.push([attempt.number, attempt.isRepeated]);
      switch (attempts.length) {
        case 1:
          throw ApplicationFailure.create({ message: 'held' });
        case 2:
          await reset();
          throw ApplicationFailure.create({ message: 'reset while it runs' });
        case 3:
          setTimeout(() => void reset(), 1_000);
          throw ApplicationFailure.create({ message: 'reset while it waits', nextRetryDelay: '20s' });
      }
    }),
  );
  expect(attempts).toEqual([
    [1, false],
    [2, true],
    [2, true],
    [1, true],
  ]);
});

it('notes that nobody can read, which somebody else has left, keep no attempt from beginning', async () => {
  const text = (...parts: [string, string][]) =>
    Object.fromEntries(parts.map(([name, value]) => [name, Buffer.from(value)]));
  const left: Payload[] = [
    { metadata: text(['encoding', 'x']) },
    { metadata: text(['encoding', 'json/plain']), data: Buffer.from('{') },
    { metadata: text(['encoding', 'binary/ktb-encrypted'], ['ktb-key', 'k:01234567']) },
  ];
  const refused: boolean[] = [];
  await carryOut(4, async (beat, _reset, leaveNotes) => {
    const context = Context.current();
    refused.push(givenNotes(context).wereRefused);
    await beat(context, {});
    const payload = left[refused.length - 1];
    if (payload === undefined) return;
    await leaveNotes(payload);
    // No answer, which would have the notes of this attempt with it: the server gives it up for want of heartbeats.
    await context.cancelled;
  });
  expect(refused).toEqual([false, true, true, true]);
});
