import { expect, it } from 'vitest';
import { hasReadOtherTopic, hasReadThisTopic, newEpoch } from '../../../../src/consumer/partitions/epoch.js';

const ORDERS = 'aaaaaaaabbbbccccddddeeeeeeeeeeee';
const RECREATED = 'bbbbbbbbbbbbccccddddeeeeeeeeeeee';

it('an epoch says which topic of that name it has read, if Kafka tells the id', () => {
  expect(newEpoch(ORDERS)).toMatch(/^[0-9a-f]{12}\.aaaaaa$/);
  expect(hasReadOtherTopic(newEpoch(ORDERS), ORDERS, null)).toBe(false);
  expect(hasReadOtherTopic(newEpoch(ORDERS), RECREATED, null)).toBe(true);
  expect(hasReadThisTopic(newEpoch(ORDERS), ORDERS)).toBe(true);
  expect(hasReadThisTopic(newEpoch(ORDERS), RECREATED)).toBe(false);
});

it('without an id, then or now, an epoch is taken for one of this topic', () => {
  expect(hasReadOtherTopic(newEpoch(null), ORDERS, null)).toBe(false);
  expect(hasReadOtherTopic(newEpoch(ORDERS), undefined, null)).toBe(false);
  expect(hasReadThisTopic(newEpoch(null), ORDERS)).toBe(false);
  expect(hasReadThisTopic(newEpoch(ORDERS), undefined)).toBe(false);
});

it('an epoch under which this member has read another topic is of that one, whatever it says', () => {
  const former = newEpoch(null);
  expect(hasReadOtherTopic(former, ORDERS, former)).toBe(true);
  expect(hasReadOtherTopic(newEpoch(null), ORDERS, former)).toBe(false);
});
