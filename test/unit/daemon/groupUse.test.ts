import { expect, it } from 'vitest';
import type { Config } from '../../../src/config/config.js';
import { createGroupUse } from '../../../src/daemon/groupUse.js';
import { batcherWorkflowId } from '../../../src/protocol/batcherId.js';

const GROUP_REFUSED = Object.assign(new Error('Not authorized to access group'), {
  type: 'GROUP_AUTHORIZATION_FAILED',
});

async function useOf(describeGroups: () => Promise<unknown>, { isGroupNamed = false, admin = {} } = {}) {
  const pipelines = [{ name: 'orders', groupId: 'ktb-orders', isGroupNamed }] as unknown as Config['pipelines'];
  const groupUse = createGroupUse({ pipelines }, { ...admin, describeGroups } as never, {} as never);
  const { use, ...group } = groupUse.groupOf('orders');
  return { ...group, use: await use() };
}

it('tells a group that may not be asked about from one that is not used', async () => {
  const refuse = () => Promise.reject(new Error('no answer', { cause: GROUP_REFUSED }));
  expect(await useOf(refuse)).toEqual({ groupId: 'ktb-orders', isNamed: false, use: 'unknown' });
  expect(await useOf(refuse, { isGroupNamed: true })).toMatchObject({ isNamed: true, use: 'unknown' });
  await expect(useOf(() => Promise.reject(new Error('away')))).rejects.toThrow('away');
});

it('counts members that ktb could meet in the group, and none of another program', async () => {
  const group = (protocol: string) => () => Promise.resolve({ groups: [{ protocol, members: [{}] }] });
  const admin = { fetchCommits: () => Promise.resolve(new Map()) };
  expect(await useOf(group('RoundRobinAssigner'), { admin })).toMatchObject({ use: { how: 'it has 1 member' } });
  // It is dividing its partitions: nobody knows yet how.
  expect(await useOf(group(''), { admin })).toMatchObject({ use: { how: 'it has 1 member' } });
  expect(await useOf(group('range'), { admin })).toMatchObject({ use: 'unused' });
});

it('finds what ktb has committed for any topic, also for one that Kafka does not describe now', async () => {
  const noMembers = () => Promise.resolve({ groups: [{ protocol: '', members: [] }] });
  const withCommits = (metadata: string) => {
    const fetchCommits = (_: string, asked: unknown) =>
      Promise.resolve(new Map(asked === 'all' ? [['orders-of-before/0', { offset: 5, metadata }]] : []));
    return useOf(noMembers, { admin: { fetchCommits } });
  };
  expect(await withCommits('ktb1;since=5')).toMatchObject({ use: { how: 'ktb has committed offsets to it' } });
  // A person has chosen the start.
  expect(await withCommits('')).toMatchObject({ use: 'unused' });
});

it('takes what an heir has drained for drained: only the newest run of each batcher counts', async () => {
  const run = (workflowId: string, name: string) => ({ workflowId, runId: `${workflowId} ${name}`, status: { name } });
  // Newest first, as Temporal lists them.
  const batchersOf = (runs: readonly object[]) => {
    const list = async function* () {
      await Promise.resolve();
      yield* runs;
    };
    const workflowService = { getWorkflowExecutionHistory: () => Promise.resolve({ history: { events: [] } }) };
    const client = { options: { namespace: 'default' }, workflow: { list }, workflowService };
    return createGroupUse({ pipelines: [] }, {} as never, client as never).batchersOf('orders');
  };
  const layout = { batchers: 2, keyFunction: 'key' } as const;
  const [first, second] = [batcherWorkflowId('orders', layout, 0), batcherWorkflowId('orders', layout, 1)];
  const drained = [run(first, 'COMPLETED'), run(second, 'COMPLETED'), run(first, 'TERMINATED')];
  expect(await batchersOf(drained)).toEqual({ installation: null, drained: true });
  expect(await batchersOf([run(second, 'RUNNING'), ...drained])).toEqual({ installation: null, drained: false });
});
