import { expect, test, vi } from 'vitest';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { MissingRecords, type MissingRecordsOptions } from '../../../../src/consumer/partitions/missingRecords.js';
import { tracker } from '../../../support/trackers.js';

test('a batch that nobody can read is reported once, also if a rebalance lets it be fetched again; one of another log is another', () => {
  const inc = vi.fn();
  const error = vi.fn<(batch: { from: number }) => void>();
  const missing = new MissingRecords({
    pipeline: { name: 'orders', onGap: 'continue' },
    metrics: { unreadableBatches: { inc } },
    logger: { error },
  } as unknown as MissingRecordsOptions);
  const meets = (from: number, epoch = 'e1'): void => {
    const assignment = new Assignment({ orders: [0] });
    assignment.open(tracker({ topic: 'orders', partition: 0, epoch }, 0), 0);
    const partition = assignment.partitions[0]!;
    missing.readsOn(partition);
    expect(missing.mayPassBatch(assignment, partition, { from, to: from + 2 }, 'too large')).toBe(true);
  };
  meets(10);
  meets(10);
  meets(20);
  expect(inc).toHaveBeenCalledTimes(2);
  meets(10, 'e2');
  expect(inc).toHaveBeenCalledTimes(3);
  expect(error.mock.calls.map(([{ from }]) => from)).toEqual([10, 20, 10]);
});
