import { expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load.js';
import { TopicWatch } from '../../../src/consumer/topicWatch.js';

function watch(pipeline: string) {
  let existing: string[] | Error = [];
  const listTopics = () => (Array.isArray(existing) ? Promise.resolve(existing) : Promise.reject(existing));
  const [config] = parseConfig(`pipelines: { p: { table: t, ${pipeline} } }`, 'ktb.yaml', {}).pipelines;
  const watch = new TopicWatch({ listTopics }, config!);
  return {
    watch,
    look: (topics: string[] | Error) => {
      existing = topics;
      return watch.check();
    },
  };
}

it('finds what has come to match, and gives up what two looks in turn have not seen', async () => {
  const { look } = watch("topics: ['/a.*/', named]");
  expect(await look(['a1', 'b'])).toEqual(['a1', 'named']);
  expect(await look(['a2', 'a1'])).toEqual(['a1', 'a2', 'named']);
  expect(await look(['a2'])).toEqual(['a1', 'a2', 'named']);
  // Back again: it begins anew.
  expect(await look(['a1', 'a2'])).toEqual(['a1', 'a2', 'named']);
  expect(await look(['a2'])).toEqual(['a1', 'a2', 'named']);
  expect(await look(['a2'])).toEqual(['a2', 'named']);
  expect(await look(['a2'])).toEqual(['a2', 'named']);
});

it('says which topics match that kafkajs cannot read, while they are there', async () => {
  const { watch: all, look } = watch("topics: ['/.*/']");
  expect(await look(['a', 'toString', 'constructor'])).toEqual(['a']);
  expect(all.passedOver).toEqual(['constructor', 'toString']);
  expect(await look(['a'])).toEqual(['a']);
  expect(all.passedOver).toEqual([]);
});

it('a look that fails changes nothing', async () => {
  const { look } = watch("topics: ['/a.*/']");
  await look(['a1']);
  await expect(look(new Error('away'))).rejects.toThrow('away');
  expect(await look([])).toEqual(['a1']);
  expect(await look([])).toEqual([]);
});

it('does not ask Kafka for what is named', async () => {
  const { watch: named, look } = watch('topics: [b, a]');
  expect(named.changes).toBe(false);
  expect(await look(new Error('asked'))).toEqual(['a', 'b']);
});

it('remembers what was there at the first look', async () => {
  const { watch: topics, look } = watch("topics: ['/a.*/']");
  await look(['a1']);
  await look(['a1', 'a2']);
  expect(topics.wasThere('a1')).toBe(true);
  expect(topics.wasThere('a2')).toBe(false);
});
