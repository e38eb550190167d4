import { expect, it } from 'vitest';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { tracker as newTracker } from '../../../support/trackers.js';

const tracker = (partition: number, epoch: string, start: number) =>
  newTracker({ topic: 'orders', partition, epoch }, start);

it('asks for a commit of each new epoch at its start, before its offsets', () => {
  const assignment = new Assignment({ orders: [0, 1] });
  const [known, fresh] = [tracker(0, 'e1', 10), tracker(1, 'e2', 0)];
  assignment.open(known, 10);
  assignment.open(fresh, null);
  fresh.advanceTo(5);
  known.advanceTo(12);
  expect(assignment.uncommittedEpochs()).toMatchObject([{ topic: 'orders', partition: 1, offset: 0, epoch: 'e2' }]);
  expect(assignment.dueCommits()).toMatchObject([{ topic: 'orders', partition: 0, offset: 12, epoch: 'e1' }]);
  assignment.committed(assignment.uncommittedEpochs());
  expect(assignment.uncommittedEpochs()).toEqual([]);
  expect(assignment.dueCommits()).toContainEqual(
    expect.objectContaining({ topic: 'orders', partition: 1, offset: 5, epoch: 'e2' }),
  );
});

it('has nothing to commit once all is committed, and only what moved afterwards', () => {
  const assignment = new Assignment({ orders: [0] });
  const only = tracker(0, 'e1', 0);
  assignment.open(only, 0);
  only.advanceTo(4);
  assignment.committed(assignment.dueCommits());
  expect(assignment.dueCommits()).toEqual([]);
  only.advanceTo(6);
  expect(assignment.dueCommits()).toMatchObject([{ topic: 'orders', partition: 0, offset: 6, epoch: 'e1' }]);
});

it('takes no commit of an epoch for one of the epoch that replaced it', () => {
  const assignment = new Assignment({ orders: [0] });
  const old = tracker(0, 'e1', 0);
  assignment.open(old, 0);
  old.advanceTo(100);
  const commits = assignment.dueCommits();
  assignment.open(tracker(0, 'e2', 3), null);
  assignment.committed(commits);
  expect(assignment.uncommittedEpochs()).toMatchObject([{ topic: 'orders', partition: 0, offset: 3, epoch: 'e2' }]);
});
