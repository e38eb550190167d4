import { expect, it } from 'vitest';
import type { Config } from '../../../src/config/config.js';
import { createGroupUse } from '../../../src/daemon/groupUse.js';

const GROUP_REFUSED = Object.assign(new Error('Not authorized to access group'), {
  type: 'GROUP_AUTHORIZATION_FAILED',
});

function useOf(describeGroups: () => Promise<never>, isGroupNamed = false) {
  const pipelines = [{ name: 'orders', groupId: 'ktb-orders', isGroupNamed }] as unknown as Config['pipelines'];
  return createGroupUse({ pipelines }, { describeGroups } as never, {} as never).usedGroup('orders');
}

it('tells a group that may not be asked about from one that is not used', async () => {
  const refuse = () => Promise.reject(new Error('no answer', { cause: GROUP_REFUSED }));
  expect(await useOf(refuse)).toEqual({ groupId: 'ktb-orders', use: null });
  // A group that the configuration names was chosen.
  expect(await useOf(refuse, true)).toBeNull();
  await expect(useOf(() => Promise.reject(new Error('away')))).rejects.toThrow('away');
});
