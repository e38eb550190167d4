import { expect, it } from 'vitest';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { BatchIntake } from '../../../../src/consumer/partitions/batchIntake.js';
import { PartitionTracker } from '../../../../src/consumer/partitions/tracker.js';
import { FetchedBatch } from '../../../../src/kafka/kafkajs/fetchedBatch.js';
import { UnreadableBatchError } from '../../../../src/kafka/kafkajs/recordSet.js';

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
      // Meanwhile the hand-over to the old layout ends.
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
    advanced: () => undefined,
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
