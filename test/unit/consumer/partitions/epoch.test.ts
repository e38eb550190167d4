import { expect, it } from 'vitest';
import { isOfOtherTopic, newEpoch } from '../../../../src/consumer/partitions/epoch.js';

const ORDERS = 'aaaaaaaabbbbccccddddeeeeeeeeeeee';
const RECREATED = 'bbbbbbbbbbbbccccddddeeeeeeeeeeee';

it('an epoch says which topic of that name it has read, if Kafka tells the id', () => {
  expect(newEpoch(ORDERS)).toMatch(/^[0-9a-f]{12}\.aaaaaa$/);
  expect(isOfOtherTopic(newEpoch(ORDERS), ORDERS)).toBe(false);
  expect(isOfOtherTopic(newEpoch(ORDERS), RECREATED)).toBe(true);
});

it('without an id, then or now, an epoch is taken for one of this topic', () => {
  expect(isOfOtherTopic(newEpoch(null), ORDERS)).toBe(false);
  expect(isOfOtherTopic(newEpoch(ORDERS), null)).toBe(false);
});
