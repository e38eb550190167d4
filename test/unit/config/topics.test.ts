import { expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load.js';
import { inputTopics, isInputTopic, passedOverTopics, patternText, topicPattern } from '../../../src/config/topics.js';

const pipelines = (text: string) => parseConfig(`pipelines: ${text}`, 'ktb.yaml', {}).pipelines;
const pipeline = (topics: string) =>
  pipelines(`{ orders: { topics: ${topics}, table: t, reply: { topic: orders.replies, allowTopics: [orders.asked] } },
    others: { topics: [other], table: t, deadLetter: { topic: orders.others } } }`)[0]!;

it('a pattern matches whole names only', () => {
  const choice = pipeline(String.raw`['/orders\.(eu|us)/']`);
  expect(inputTopics(choice, ['orders.us', 'orders.eu', 'orders.eu2', 'my.orders.eu', 'orders-eu'])).toEqual([
    'orders.eu',
    'orders.us',
  ]);
  // Alternatives are held together.
  expect(inputTopics(pipeline("['/a|b/']"), ['a', 'b', 'ab', 'xb'])).toEqual(['a', 'b']);
});

it('no pattern matches internal topics, or what a pipeline writes to', () => {
  const existing = [
    '__consumer_offsets',
    '__transaction_state',
    'orders',
    'orders.replies',
    'orders.asked',
    'orders.others',
  ];
  const choice = pipeline("['/.*/']");
  expect(inputTopics(choice, [...existing, 'orders.dead-letters', 'other.dead-letters'])).toEqual([
    'orders',
    'other.dead-letters',
  ]);
  expect(choice.settings.destination.deadLetterTopic).toBe('orders.dead-letters');
  expect(isInputTopic(choice, 'orders.dead-letters')).toBe(false);
});

it.each(['constructor', 'toString', 'hasOwnProperty', '__proto__'])(
  'a topic called %s is refused as an input, and passed over by patterns: kafkajs would stop all of its pipeline',
  (name) => {
    expect(() => pipeline(`[orders, ${name}]`)).toThrow(
      /topics.*1.*: cannot be read: its name is one that all objects/,
    );
    const choice = pipeline("['/.*/']");
    expect(inputTopics(choice, ['orders', name])).toEqual(['orders']);
    // No pattern matches what begins with two underscores.
    expect(passedOverTopics(choice, ['orders', name])).toEqual(name === '__proto__' ? [] : [name]);
    expect(passedOverTopics(pipeline("['/orders.*/']"), ['orders', name])).toEqual([]);
  },
);

it('names and patterns go together; a name is an input, there or not', () => {
  const choice = pipeline("[z, '/a.*/', named]");
  expect(choice.settings.destination.deadLetterTopic).toBe('z.dead-letters');
  expect(inputTopics(choice, ['a1', 'named', 'b'])).toEqual(['a1', 'named', 'z']);
  expect(inputTopics(choice, [])).toEqual(['named', 'z']);
  expect(isInputTopic(choice, 'z')).toBe(true);
  expect(isInputTopic(choice, 'zz')).toBe(false);
});

it('what is no regular expression by itself is none', () => {
  for (const text of ['/(/', '/a)(b/', '/[/', '/*/']) expect(topicPattern(text), text).toBeNull();
});

it('a pattern is shown as it was written', () => {
  for (const text of ['/odd\\..+/', '/a|b/', '/^x$/']) expect(patternText(topicPattern(text)!)).toBe(text);
});
