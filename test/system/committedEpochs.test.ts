import { expect, it } from 'vitest';
import { BATCHER, type CoverageState } from '../../src/protocol/batcher.js';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { Fixture } from '../support/fixture.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();

it('a commit tells which leader has written the record before it, and so does the last record of each batcher', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 2 });
  await fixture.collectAcks();
  await Daemon.start(fixture.config());
  await fixture.produce(500);
  await expectExactlyOnce(fixture);
  const groupId = `ktb-${fixture.name}`;
  const told = async () => [...(await fixture.admin.fetchCommits(groupId, 'all')).values()];
  await eventually(async () =>
    expect((await told()).map(({ offset, leaderEpoch }) => [offset > 0, leaderEpoch])).toEqual([
      [true, 0],
      [true, 0],
    ]),
  );
  const batchers = Array.from({ length: fixture.batchers }, (_, index) => fixture.batcher(index));
  const coverage = await Promise.all(batchers.map((batcher) => batcher.query<CoverageState>(BATCHER.queries.coverage)));
  expect(new Set(coverage.flat().map(({ mark }) => mark?.leaderEpoch))).toEqual(new Set([0]));
});

it('a commit of another client, which names no leader, is read without one', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  await fixture.produce(5);
  const groupId = `other-${fixture.name}`;
  const offsets = [{ partition: 0, offset: '3' }];
  await fixture.admin.setOffsets({ groupId, topic: fixture.topic, partitions: offsets });
  const [commit] = (await fixture.admin.fetchCommits(groupId, 'all')).values();
  expect(commit).toEqual({ offset: 3, metadata: '' });
});
