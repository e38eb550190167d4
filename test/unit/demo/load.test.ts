import { expect, test } from 'vitest';
import { bulkOrder } from '../../../demo/load.js';

test('every good record below the end goes out once and in order, the bad ones in their midst', () => {
  expect([...bulkOrder({ records: 6, badRecords: 2 }, 4)]).toEqual([0, 1, 6, 7, 2, 3]);
});

test.each([0, 1])('an end at %i still sends the bad records', (end) => {
  const order = [...bulkOrder({ records: 5, badRecords: 1 }, end)];
  expect(order.toSorted((a, b) => a - b)).toEqual([...Array(end).keys(), 5]);
});
