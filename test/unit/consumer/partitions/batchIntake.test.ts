import { expect, it } from 'vitest';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { READING } from '../../../../src/consumer/partitions/commitMetadata.js';
import { BatchIntake } from '../../../../src/consumer/partitions/batchIntake.js';
import { PartitionTracker } from '../../../../src/consumer/partitions/tracker.js';
import { FetchedBatch } from '../../../../src/kafka/kafkajs/fetchedBatch.js';
import { UnreadableBatchError } from '../../../../src/kafka/kafkajs/recordSet.js';
import { eventually } from '../../../support/eventually.js';

it('a damaged batch is asked for again, also if its partition was opened while an epoch was being committed', async () => {
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const assignment = new Assignment({ orders: [0] });
  const partition = assignment.get(source)!;
  partition.leave(source);
  const told: string[] = [];
  // What the intake does not get to here is left out.
  const intake = new BatchIntake({
    commits: {
      use: () => undefined,
      // Meanwhile the change to the old layout ends.
      commitEpochs: () => {
        const plan = { layout: { batchers: 2, keyFunction: 'key' }, state: { type: 'closing' }, end: 9 } as const;
        partition.open(new PartitionTracker(source, 5, plan), 5);
        return Promise.resolve();
      },
    },
    missing: {
      readsOn: () => undefined,
      unreadable: (_assignment: Assignment, _partition: object, problem: string) => void told.push(problem),
      mayPassBatch: () => told.push('passed over'),
    },
    handOver: () => told.push('handed over'),
    moved: () => undefined,
  } as unknown as ConstructorParameters<typeof BatchIntake>[0]);
  const failure = new UnreadableBatchError('orders/0 is damaged at 5', { isAsWritten: false });
  const fetched = { topic: 'orders', partition: 0, highWatermark: '20', fetchedOffset: '5', rawMessages: [] };
  const batch = new FetchedBatch(fetched, { from: 5, next: 5, records: [], failure });
  await intake.take(assignment, {
    batch,
    resolveOffset: () => undefined,
    commitOffsetsIfNecessary: () => Promise.resolve(),
  } as never);
  expect(told).toEqual(['orders/0 is damaged at 5']);
});

it('of a log that has lost what comes after a plan, nothing is told while that plan waits, and the next plan tells all of it, once', async () => {
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const layout = { batchers: 2, keyFunction: 'key' } as const;
  const assignment = new Assignment({ orders: [0] });
  const partition = assignment.get(source)!;
  const told: string[] = [];
  const intake = new BatchIntake({
    admin: { fetchLogs: () => Promise.resolve([{ topic: 'orders', partition: 0, logStart: 20, logEnd: 30 }]) },
    fetching: {
      pause: () => told.push('pause'),
      resume: () => told.push('resume'),
      seek: (_: object, offset: number) => told.push(`seek ${offset}`),
    },
    missing: {
      mayPassGap: (
        _assignment: Assignment,
        _partition: object,
        at: { epoch: string; offset: number },
        missed: number,
      ) => told.push(`gap of ${missed} before ${at.offset} in ${at.epoch}`) > 0,
    },
    moved: () => told.push('moved'),
  } as unknown as ConstructorParameters<typeof BatchIntake>[0]);

  const closing = new PartitionTracker(source, 5, { layout, state: { type: 'closing' }, end: 9 });
  partition.open(closing, 5);
  closing.advanceTo(9);
  intake.outOfRange(assignment, source);
  await eventually(() => expect(told).toEqual(['pause', 'moved', 'resume']));

  told.length = 0;
  const next = new PartitionTracker({ ...source, epoch: 'e2' }, closing.next, { layout, state: READING, end: null });
  partition.open(next, null);
  // The second one was on its way.
  intake.outOfRange(assignment, source);
  intake.outOfRange(assignment, source);
  await eventually(() => expect(told.filter((what) => what === 'resume')).toHaveLength(2));
  expect(told.filter((what) => what.startsWith('gap'))).toEqual(['gap of 11 before 20 in e2']);
  expect(next.next).toBe(20);
});
