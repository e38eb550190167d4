import { expect, it } from 'vitest';
import { judgeNamespace } from '../../../../src/commands/check/namespaceFindings.js';

it('a namespace has to keep closed runs until they are taken over, and a task queue needs workers of both kinds', () => {
  const facts = {
    namespace: 'default',
    taskQueue: 'ktb',
    payloadBytesMax: 2_097_152,
    workflowPollers: 1,
    unclaimed: [],
  };
  const levels = (retentionDays: number, pollers = 1) =>
    judgeNamespace({
      ...facts,
      activityQueues: [{ taskQueue: 'ktb', pollers }],
      retentionMs: retentionDays * 86_400_000,
    }).map(({ level }) => level);
  expect(levels(7)).toEqual(['ok', 'ok']);
  expect(levels(1)).toEqual(['warning', 'ok']);
  expect(levels(0.5)).toEqual(['wrong', 'ok']);
  expect(levels(7, 0)).toEqual(['ok', 'warning']);
});

it('workers of the batchers’ task queue are none of an installation whose activities are on another', () => {
  const facts = { namespace: 'default', taskQueue: 'ktb', payloadBytesMax: 2_097_152, retentionMs: 7 * 86_400_000 };
  const queues = (pollers: number, unclaimed: string[] = []) =>
    judgeNamespace({
      ...facts,
      workflowPollers: 1,
      activityQueues: unclaimed.length > 0 ? [] : [{ taskQueue: 'ktb@two', pollers }],
      unclaimed,
    })
      .slice(1)
      .map(({ level, subject, message }) => `${level} ${subject}: ${message}`);
  expect(queues(2)).toEqual(['ok task queue ktb: 1 worker', 'ok task queue ktb@two: 2 workers']);
  const waits = 'batchers hold what they get';
  expect(queues(0)[1]).toBe(`warning task queue ktb@two: no worker asks for work: ${waits}`);
  expect(queues(0, ['orders'])[1]).toBe(`warning pipeline orders: no worker of this version has run with it yet`);
});

it('a namespace that takes smaller payloads than Temporal does by default is said, with what to do', () => {
  const facts = {
    namespace: 'default',
    taskQueue: 'ktb',
    retentionMs: 7 * 86_400_000,
    workflowPollers: 1,
    activityQueues: [],
    unclaimed: [],
  };
  const limits = (payloadBytesMax: number) =>
    judgeNamespace({ ...facts, payloadBytesMax }).filter(({ message }) => message.includes('payloads'));
  expect(limits(2_097_152)).toEqual([]);
  expect(limits(4_194_304)).toEqual([]);
  expect(limits(1_048_576)).toMatchObject([
    {
      level: 'warning',
      message: expect.stringContaining('1024 KiB') as string,
      todo: expect.stringContaining('limit.blobSize.error') as string,
    },
  ]);
});
