import { expect, it } from 'vitest';
import { warnOfSharedTables } from '../../src/checks.js';
import { parseConfig } from '../../src/config/load.js';

it('warns at start of topics that share a table by their names, within a pipeline and over several', async () => {
  const config = parseConfig(
    `pipelines:
  one: { topics: ['/a.*/'], table: 'raw_{topic}' }
  two: { topics: [b.b], table: 'raw_{topic}' }
  three: { topics: [b-b], table: 'raw_{topic}' }
  plain: { topics: [b_b], table: raw_b_b }`,
    'ktb.yaml',
    {},
  );
  const seen: object[] = [];
  const admin = { connect: () => Promise.resolve(), listTopics: () => Promise.resolve(['a.b', 'a-b', 'ax', 'b.b']) };
  await warnOfSharedTables(admin, config, { warn: (fields) => void seen.push(fields) });
  expect(seen).toEqual([
    { pipeline: 'one', table: 'raw_a_b', topics: ['a-b', 'a.b'] },
    {
      table: 'raw_b_b',
      topics: [
        { pipeline: 'two', topic: 'b.b' },
        { pipeline: 'three', topic: 'b-b' },
      ],
    },
  ]);
});
