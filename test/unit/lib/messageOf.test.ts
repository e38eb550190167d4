import { expect, it } from 'vitest';
import { messageOf } from '../../../src/lib/messageOf.js';

it('says what an error says, and what several in one say, each once', () => {
  expect(messageOf(new Error('no'))).toBe('no');
  expect(messageOf('no')).toBe('no');
  const parts = [new Error('refused'), new Error('refused'), new Error('gone')];
  // Node's own for a host with several addresses.
  expect(messageOf(new AggregateError(parts, ''))).toBe('refused; gone');
  // kafkajs's for topics that cannot be created.
  expect(messageOf(Object.assign(new Error('Topic creation errors'), { errors: parts }))).toBe(
    'Topic creation errors: refused; gone',
  );
});
