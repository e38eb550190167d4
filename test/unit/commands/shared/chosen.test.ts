import { expect, it } from 'vitest';
import { chosenPartitions, partitionsText } from '../../../../src/commands/shared/chosen.js';
import { UsageError } from '../../../../src/lib/usageError.js';

const partitions = ['orders', 'payments'].flatMap((topic) =>
  [0, 1, 2].map((partition) => ({ topic, partition, committed: 7 })),
);

it('chooses partitions, and says which of those named are none, also beside others that are', () => {
  expect(chosenPartitions(partitions, [])).toBe(partitions);
  expect(chosenPartitions(partitions, ['payments/1', 'orders/0', 'orders/0'])).toEqual([partitions[4], partitions[0]]);
  const choose = () => chosenPartitions(partitions, ['orders/0', 'orders/7', 'order/1']);
  expect(choose).toThrow(UsageError);
  expect(choose).toThrow(
    'orders/7, order/1 are no partitions of the pipeline, which has orders/0 to orders/2, payments/0 to payments/2',
  );
});

it('names a few topics only', () => {
  const many = Array.from({ length: 12 }, (_, index) => ({ topic: `t${index}`, partition: 0 }));
  expect(partitionsText(many)).toMatch(/^t0\/0, .*t9\/0, and those of 2 more topics$/);
  expect(partitionsText([])).toBe('none');
});
