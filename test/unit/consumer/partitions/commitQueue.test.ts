import type { Offsets } from 'kafkajs';
import { expect, it } from 'vitest';
import type { PartitionCommit } from '../../../../src/consumer/partitions/assignedPartition.js';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { CommitQueue } from '../../../../src/consumer/partitions/commitQueue.js';
import { ReadEpochs } from '../../../../src/consumer/partitions/readEpochs.js';
import { tracker as newTracker } from '../../../support/trackers.js';

/** A group coordinator whose answers are given by the test. */
function coordinator() {
  const requests: {
    offsets: string[];
    metadata: unknown[];
    leaderEpochs: unknown[];
    answer: (error?: Error) => void;
  }[] = [];
  const commit = ({ topics }: Offsets) =>
    new Promise<void>((resolve, reject) => {
      const partitions = topics.flatMap((topic) => topic.partitions);
      requests.push({
        offsets: partitions.map(({ offset }) => offset),
        // kafkajs takes it, though its types do not say so.
        metadata: partitions.map((partition) => (partition as { metadata?: unknown }).metadata),
        leaderEpochs: partitions.map((partition) => (partition as { leaderEpoch?: unknown }).leaderEpoch),
        answer: (error) => {
          if (error === undefined) resolve();
          else reject(error);
        },
      });
    });
  return { requests, commit };
}

/** The commits of a member whose only partition is open and was read up to 0. */
function committing() {
  const { requests, commit } = coordinator();
  const outcomes: string[] = [];
  const readEpochs = new ReadEpochs();
  const commits = new CommitQueue(readEpochs, (outcome) => outcomes.push(outcome));
  const assignment = new Assignment({ orders: [0] });
  const only = newTracker({ topic: 'orders', partition: 0, epoch: 'e1' }, 0);
  assignment.open(only, 0);
  const ask = (what: () => PartitionCommit[]) => commits.inTurn(assignment, 'c1', commit, what);
  return { requests, outcomes, commits, assignment, only, readEpochs, ask };
}

const turns = () => new Promise((resolve) => setImmediate(resolve));

it('asks what to commit only when the commit before is answered: an older offset never follows a newer one', async () => {
  const { requests, outcomes, assignment, only, ask } = committing();
  only.advanceTo(5);
  const first = ask(() => assignment.dueCommits());
  const second = ask(() => assignment.dueCommits());
  await turns();
  only.advanceTo(9);
  expect(requests.map(({ offsets }) => offsets)).toEqual([['5']]);
  requests[0]!.answer();
  await first;
  await turns();
  expect(requests.map(({ offsets }) => offsets)).toEqual([['5'], ['9']]);
  requests[1]!.answer();
  await second;
  expect(outcomes).toEqual(['ok', 'ok']);
});

it('commits which leader has written the record before the offset, if that is known', async () => {
  const { requests, assignment, only, readEpochs, ask } = committing();
  readEpochs.note(only, [{ leaderEpoch: 3, from: 0 }], 8);
  for (const to of [8, 9]) {
    only.advanceTo(to);
    const asked = ask(() => assignment.dueCommits());
    await turns();
    requests.at(-1)!.answer();
    await asked;
  }
  expect(requests.map(({ leaderEpochs }) => leaderEpochs)).toEqual([[3], [null]]);
});

it('never repeats a commit that failed, and remembers nothing of it', async () => {
  const { requests, commits, assignment, only, ask } = committing();
  only.advanceTo(5);
  const failing = ask(() => assignment.dueCommits());
  await turns();
  requests[0]!.answer(new Error('rebalance'));
  await expect(failing).rejects.toThrow('rebalance');
  await commits.settled();
  expect(requests).toHaveLength(1);
  expect(assignment.dueCommits()).toMatchObject([{ offset: 5 }]);
});

it('commits nothing once the assignment is over, however long the commit had waited for its turn', async () => {
  const { requests, assignment, only, ask } = committing();
  only.advanceTo(5);
  const first = ask(() => assignment.dueCommits());
  await turns();
  only.advanceTo(9);
  const late = ask(() => assignment.dueCommits());
  assignment.end();
  requests[0]!.answer();
  await Promise.all([first, late]);
  expect(requests).toHaveLength(1);
});

it('does not take back that a layout change has begun', async () => {
  const { requests, assignment, only, ask } = committing();
  only.advanceTo(5);
  const { layout } = only.plan;
  const closing: PartitionCommit[] = [
    { topic: 'orders', partition: 0, epoch: 'e1', offset: 5, layout, state: { type: 'closing' } },
  ];
  assignment.get(only)!.leave(only);
  const begun = ask(() => closing);
  const asEver = ask(() => [...assignment.uncommittedEpochs(), ...assignment.dueCommits()]);
  await turns();
  requests[0]!.answer();
  await Promise.all([begun, asEver]);
  expect(requests.map(({ metadata }) => metadata[0])).toEqual([expect.stringMatching(/;closing$/)]);
});

it('makes a commit that is too large for a coordinator in parts; what is done before one fails stays done', async () => {
  const { requests, commit } = coordinator();
  const outcomes: string[] = [];
  const commits = new CommitQueue(new ReadEpochs(), (outcome) => outcomes.push(outcome));
  const partitions = Array.from({ length: 1_500 }, (_, partition) => partition);
  const assignment = new Assignment({ orders: partitions });
  for (const partition of partitions) {
    const tracker = newTracker({ topic: 'orders', partition, epoch: 'e1' }, 0);
    assignment.open(tracker, 0);
    tracker.advanceTo(1);
  }
  const asked = commits.inTurn(assignment, 'c1', commit, () => assignment.dueCommits());
  await turns();
  requests[0]!.answer();
  await turns();
  requests[1]!.answer(new Error('UNKNOWN'));
  await expect(asked).rejects.toThrow('UNKNOWN');
  expect(requests).toHaveLength(2);
  expect(outcomes).toEqual(['ok', 'failed']);
  const done = requests[0]!.offsets.length;
  expect(done).toBeLessThan(700);
  expect(assignment.dueCommits()).toHaveLength(1_500 - done);

  const again = commits.inTurn(assignment, 'c1', commit, () => assignment.dueCommits());
  await turns();
  assignment.end();
  requests[2]!.answer();
  await again;
  expect(requests).toHaveLength(3);
});

/** As many partitions as need three parts, all open and read up to 1. */
function threeParts() {
  const { requests, commit } = coordinator();
  const commits = new CommitQueue(new ReadEpochs(), () => undefined);
  const assignment = new Assignment({ orders: Array.from({ length: 1_500 }, (_, partition) => partition) });
  const trackers = assignment.partitions.map(({ partition }) => {
    const tracker = newTracker({ topic: 'orders', partition, epoch: 'e1' }, 0);
    assignment.open(tracker, 0);
    tracker.advanceTo(1);
    return tracker;
  });
  const asked = commits.inTurn(assignment, 'c1', commit, () => assignment.dueCommits());
  return { requests, assignment, trackers, asked };
}

it('goes on with the other parts where Kafka refuses a topic of one, and tries each partition once', async () => {
  const { requests, assignment, asked } = threeParts();
  const refusal = Object.assign(new Error('Not authorized'), { type: 'TOPIC_AUTHORIZATION_FAILED' });
  await turns();
  requests[0]!.answer(refusal);
  for (const part of [1, 2]) {
    await turns();
    requests[part]!.answer();
  }
  await expect(asked).rejects.toThrow('Not authorized');
  expect(requests.map(({ offsets }) => offsets.length).reduce((sum, part) => sum + part)).toBe(1_500);
  expect(assignment.dueCommits()).toHaveLength(requests[0]!.offsets.length);
});

it('asks for each part what to commit: nothing of a topic that is gone since the part before, and what is newest', async () => {
  const { requests, assignment, trackers, asked } = threeParts();
  await turns();
  for (const partition of assignment.partitions.slice(1_400)) assignment.topicGone(partition);
  trackers[1_300]!.advanceTo(7);
  requests[0]!.answer();
  await turns();
  requests[1]!.answer();
  await turns();
  requests[2]!.answer();
  await asked;
  const offsets = requests.flatMap((request) => request.offsets);
  expect(offsets).toHaveLength(1_400);
  expect(offsets.filter((offset) => offset === '7')).toHaveLength(1);
});
