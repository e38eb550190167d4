import { expect, it } from 'vitest';
import { judgeTopics, PARTITIONS_MAX, type TopicFacts } from '../../../../src/commands/check/topicFindings.js';
import { pipeline, summary } from '../../../support/checks.js';

const topic = (name: string, facts: Partial<TopicFacts> = {}, settings: Record<string, string> = {}): TopicFacts => ({
  name,
  partitions: 8,
  replicas: 3,
  leaderless: [],
  settings: new Map(Object.entries({ 'retention.ms': '604800000', 'max.message.bytes': '1048588', ...settings })),
  noSettingsBecause: null,
  ...facts,
});
const topics = (...changed: TopicFacts[]) =>
  new Map([topic('orders'), topic('replies'), topic('orders.dead-letters'), ...changed].map((t) => [t.name, t]));
const judged = (...changed: TopicFacts[]) => summary(judgeTopics(pipeline(), topics(...changed), 3));

it('finds nothing wrong with topics as they should be', () => {
  expect(judged()).toEqual([]);
  expect(judged(topic('orders', {}, { 'retention.ms': '-1' }))).toEqual([]);
});

it('says how long a topic keeps its records, also if that is bounded by their size', () => {
  const said = (settings: Record<string, string>) =>
    judgeTopics(pipeline(), topics(topic('orders', {}, settings)), 3).find(({ subject }) => subject === 'topic orders')
      ?.message;
  expect(said({ 'retention.bytes': '-1' })).toBe('8 partitions, kept for 7 days');
  expect(said({ 'retention.bytes': '10485760' })).toBe('8 partitions, kept for 7 days, at most 10 MiB a partition');
});

it.each([
  ['a short retention', topic('orders', {}, { 'retention.ms': '3600000' }), /warning topic orders keeps .* 1 hours/],
  ['compaction', topic('orders', {}, { 'cleanup.policy': 'compact,delete' }), /warning topic orders is compacted/],
  ['records for no signal', topic('orders', {}, { 'max.message.bytes': '2000000' }), /fit into no signal/],
  [
    'dead letters too large for their topic',
    topic('orders.dead-letters', {}, { 'max.message.bytes': '1000' }),
    /warning topic orders takes .* only of 1000.* without its value/,
  ],
  [
    'dead letters soon gone',
    topic('orders.dead-letters', {}, { 'retention.ms': '86400000' }),
    /warning topic orders.dead-letters keeps/,
  ],
  [
    'compacted replies',
    topic('replies', {}, { 'cleanup.policy': 'compact' }),
    /wrong topic replies is compacted: of two acknowledgements/,
  ],
  [
    'compacted dead letters',
    topic('orders.dead-letters', {}, { 'cleanup.policy': 'compact,delete' }),
    /wrong topic orders.dead-letters is compacted: of two dead letters/,
  ],
  ['a partition without a leader', topic('orders', { leaderless: [3] }), /wrong topic orders .* partition 3/],
  ['one copy', topic('replies', { replicas: 1 }), /warning topic replies has a partition with one copy/],
  ['settings not to be read', topic('replies', { settings: null }), /warning topic replies may not be asked/],
  [
    'settings that do not come in time',
    topic('replies', { settings: null, noSettingsBecause: 'no answer within 4 s' }),
    /^warning topic replies did not say its settings: no answer within 4 s$/,
  ],
])('%s', (_name, changed, message) => {
  expect(judged(changed).join('\n')).toMatch(message);
});

it('a missing topic is wrong, and says what to do', () => {
  const left = topics();
  left.delete('replies');
  expect(judgeTopics(pipeline(), left, 3)).toContainEqual(
    expect.objectContaining({
      level: 'wrong',
      subject: 'topic replies',
      todo: expect.stringContaining('ktb setup') as string,
    }),
  );
});

it('one copy is all that one broker can have', () => {
  expect(summary(judgeTopics(pipeline(), topics(topic('orders', { replicas: 1 })), 1))).toEqual([]);
});

it('more batchers than partitions are of no use where they go by partition', () => {
  const found = summary(judgeTopics(pipeline(', batchers: 9, shardBy: partition'), topics(), 3));
  expect(found).toEqual([expect.stringContaining('8 partitions for 9 batchers')]);
});

it('more partitions than batchers can remember are told of before they are too many', () => {
  expect(judged(topic('orders', { partitions: PARTITIONS_MAX }))).toEqual([]);
  const found = judged(topic('orders', { partitions: PARTITIONS_MAX + 1 }));
  expect(found).toEqual([expect.stringMatching(/warning pipeline orders reads 2501 partitions/)]);
});
