import { expect, it } from 'vitest';
import { NOT_AUTHORIZED } from '../../../../src/kafka/errorType.js';
import { AssignedPartition } from '../../../../src/consumer/partitions/assignedPartition.js';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { tracker } from '../../../support/trackers.js';

const where = { topic: 'orders', partition: 0 };

it('whatever was begun for a partition can tell that its topic was gone, and that its assignment is over', () => {
  const assignment = new Assignment({ orders: [0] });
  const before = assignment.get(where)!;
  expect(assignment.has(before)).toBe(true);
  const after = assignment.topicGone(before);
  expect([before, after].map((partition) => assignment.has(partition))).toEqual([false, true]);
  assignment.end();
  expect([before, after].map((partition) => assignment.has(partition))).toEqual([false, false]);
});

it('of a partition whose topic was gone nothing is known or committed, and nothing holds it', () => {
  const assignment = new Assignment({ orders: [0] });
  const read = tracker(where, 5);
  assignment.open(read, 5);
  read.advanceTo(9);
  assignment.get(where)!.hold('gap', 'offsets are missing');
  expect([assignment.dueCommits().length, assignment.heldFor('gap'), assignment.isAllKnown()]).toEqual([1, 1, true]);
  assignment.topicGone(assignment.get(where)!);
  expect([assignment.dueCommits().length, assignment.heldFor('gap'), assignment.isAllKnown()]).toEqual([0, 0, false]);
  expect(assignment.trackers()).toEqual([]);
});

it('a partition whose topic was gone is paused as before, and as refused', () => {
  const before = new AssignedPartition(where);
  before.brokerAnswers(NOT_AUTHORIZED, 0);
  for (const reason of ['start', 'draining'] as const) before.pause(reason);
  const after = before.successor();
  expect([after.isRefused, after.isFetched()]).toEqual([true, false]);
  for (const reason of ['start', 'draining'] as const) expect(after.resume(reason)).toBe(true);
  expect(after.isFetched()).toBe(true);
});

it('a partition whose log has become shorter keeps its tracker: what it has handed over is committed', () => {
  const partition = new AssignedPartition(where);
  const read = tracker(where, 0);
  partition.open(read, 0);
  read.advanceTo(7);
  partition.waits('its log ends at 3');
  expect([partition.isUnknown, partition.problem, partition.tracker]).toEqual([true, 'its log ends at 3', read]);
  expect(partition.dueCommit()).toMatchObject({ offset: 7 });
});

it('one that is held waits for a person, not for its start', () => {
  const assignment = new Assignment({ orders: [0, 1] });
  for (const [index, partition] of assignment.partitions.entries()) if (index === 1) partition.open(tracker(where), 0);
  expect([assignment.isAllKnown(), assignment.readable]).toEqual([false, false]);
  assignment.get(where)!.hold('newer', 'a later version');
  expect([assignment.isAllKnown(), assignment.readable]).toEqual([true, false]);
  expect(assignment.problems).toEqual(['orders/0: a later version']);
});

it('while it leaves a layout nothing of it is committed, and a commit of the tracker before changes nothing', () => {
  const partition = new AssignedPartition(where);
  const read = tracker({ ...where, epoch: 'e1' }, 0);
  partition.open(read, 0);
  read.advanceTo(7);
  const commit = partition.dueCommit()!;
  partition.leave(read);
  partition.wasCommitted(commit);
  expect([partition.committed, partition.dueCommit(), partition.uncommittedEpoch()]).toEqual([null, null, null]);
  expect([partition.isLeaving(read), partition.isLeaving({ ...where, epoch: 'e1' })]).toEqual([true, false]);
  partition.open(tracker({ ...where, epoch: 'e2' }, 7), null);
  expect(partition.isLeaving(read)).toBe(false);
  expect(partition.uncommittedEpoch()).toMatchObject({ offset: 7, epoch: 'e2' });
});

it.each([
  [
    'topic',
    'its broker does not say whether its topic is still the same',
    (partition: AssignedPartition) => partition.topicSeen(98_000),
  ],
  [
    'cut',
    'its leader does not say whether its log still has all that was read of it',
    (partition: AssignedPartition) => partition.answered('cut'),
  ],
] as const)(
  'a question without an answer (%s) is told once it has lasted for fifteen seconds, and not once it has one',
  (question, problem, answer) => {
    const partition = new AssignedPartition(where);
    partition.unanswered(question, 1_000);
    partition.unanswered(question, 9_000);
    partition.answered(question === 'cut' ? 'topic' : 'cut');
    expect([partition.withheld(15_999), partition.withheld(16_000)]).toEqual([null, problem]);
    partition.pause('buffer');
    expect(partition.withheld(99_000)).toBeNull();
    partition.resume('buffer');
    expect(partition.withheld(99_000)).toBe(problem);
    answer(partition);
    expect(partition.withheld(99_000)).toBeNull();
  },
);

it('an error of a leader is told once it has lasted for fifteen seconds, that of a right at once, and neither while nobody asks', () => {
  const partition = new AssignedPartition(where);
  partition.brokerAnswers('NOT_LEADER_OR_FOLLOWER', 1_000);
  partition.brokerAnswers('NOT_LEADER_OR_FOLLOWER', 9_000);
  expect([partition.withheld(15_999), partition.withheld(16_000)]).toEqual([
    null,
    'its leader answers NOT_LEADER_OR_FOLLOWER',
  ]);
  partition.brokerAnswers(NOT_AUTHORIZED, 17_000);
  expect(partition.withheld(17_000)).toContain('Kafka refuses it to this user');
  expect(partition.isRefusedWhileFetched).toBe(true);
  partition.pause('buffer');
  expect([partition.withheld(99_000), partition.isRefused, partition.isRefusedWhileFetched]).toEqual([
    null,
    true,
    false,
  ]);
  partition.resume('buffer');
  partition.brokerAnswers(null, 100_000);
  expect(partition.isRefused).toBe(false);
});
