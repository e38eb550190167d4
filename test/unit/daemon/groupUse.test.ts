import { expect, it } from 'vitest';
import type { Config } from '../../../src/config/config.js';
import { createGroupUse } from '../../../src/daemon/groupUse.js';

const GROUP_REFUSED = Object.assign(new Error('Not authorized to access group'), {
  type: 'GROUP_AUTHORIZATION_FAILED',
});

function useOf(describeGroups: () => Promise<unknown>, { isGroupNamed = false, admin = {} } = {}) {
  const pipelines = [
    { name: 'orders', groupId: 'ktb-orders', isGroupNamed, topics: ['orders'], topicPatterns: [] },
  ] as unknown as Config['pipelines'];
  return createGroupUse({ pipelines }, { ...admin, describeGroups } as never, {} as never).usedGroup('orders');
}

it('tells a group that may not be asked about from one that is not used', async () => {
  const refuse = () => Promise.reject(new Error('no answer', { cause: GROUP_REFUSED }));
  expect(await useOf(refuse)).toEqual({ groupId: 'ktb-orders', use: null });
  // A group that the configuration names was chosen.
  expect(await useOf(refuse, { isGroupNamed: true })).toBeNull();
  await expect(useOf(() => Promise.reject(new Error('away')))).rejects.toThrow('away');
});

it('counts members that ktb could meet in the group, and none of another program', async () => {
  const group = (protocol: string) => () => Promise.resolve({ groups: [{ protocol, members: [{}] }] });
  const admin = {
    describeTopics: () => Promise.resolve({ topics: new Map() }),
    fetchCommits: () => Promise.resolve(new Map()),
  };
  expect(await useOf(group('RoundRobinAssigner'), { admin })).toEqual({
    groupId: 'ktb-orders',
    use: 'it has 1 member',
  });
  // It is dividing its partitions: nobody knows yet how.
  expect(await useOf(group(''), { admin })).toMatchObject({ use: 'it has 1 member' });
  expect(await useOf(group('range'), { admin })).toBeNull();
});
