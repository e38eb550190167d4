import { expect, it } from 'vitest';
import { SpareBuffers } from '../../../src/lib/spareBuffers.js';

it('hands out a buffer again that was given back, to one at a time', () => {
  const spare = new SpareBuffers(16, 2);
  const first = spare.take();
  expect(first).toHaveLength(16);
  spare.give(first);
  expect(spare.take(16)).toBe(first);
  expect(spare.take()).not.toBe(first);
});

it('makes a larger buffer where more is needed, and does not keep it', () => {
  const spare = new SpareBuffers(16, 2);
  const larger = spare.take(17);
  expect(larger).toHaveLength(17);
  spare.give(larger);
  expect(spare.take()).toHaveLength(16);
});

it('keeps as many as it may', () => {
  const spare = new SpareBuffers(16, 1);
  const [one, other] = [spare.take(), spare.take()];
  spare.give(one);
  spare.give(other);
  expect(spare.take()).toBe(one);
  expect(spare.take()).not.toBe(other);
});
