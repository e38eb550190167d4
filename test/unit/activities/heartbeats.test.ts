import type { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { expect, it } from 'vitest';
import { createBeat } from '../../../src/activities/heartbeats.js';

it('what somebody else has put in the place of a heartbeat, and nobody can read, is not ours yet', async () => {
  const sent: Payload[] = [];
  const before: Payload[] = [
    { metadata: { encoding: Buffer.from('x') } },
    { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{') },
  ];
  const workflowService = {
    describeWorkflowExecution: () => {
      const payloads = [before.shift() ?? sent[0]!];
      return Promise.resolve({ pendingActivities: [{ activityId: '1', attempt: 2, heartbeatDetails: { payloads } }] });
    },
  };
  const connection = { withDeadline: (_ms: number, ask: () => unknown) => ask() };
  const context = {
    info: { workflowExecution: { workflowId: 'w', runId: 'r' }, activityId: '1', attempt: 2 },
    heartbeat: (notes: unknown) => void sent.push(defaultPayloadConverter.toPayload(notes)),
  } as unknown as Context;
  const beat = createBeat({ connection, workflowService } as unknown as Client, 'default');
  expect(await beat(context, { attempt: 2 })).toBe(true);
  expect(before).toEqual([]);
});
