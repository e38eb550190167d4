import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { listDeadLetters, readAgainText, replayDeadLetters, showDeadLetters } from '../../../src/commands/dlq.js';
import { UsageError } from '../../../src/lib/usageError.js';

const folder = mkdtempSync(join(tmpdir(), 'ktb-dlq-'));
afterAll(() => rmSync(folder, { recursive: true }));
const config = join(folder, 'ktb.yaml');
writeFileSync(
  config,
  `kafka: { brokers: ['127.0.0.1:1'] }
temporal: { address: '127.0.0.1:1' }
clickhouse: { url: 'http://127.0.0.1:1' }
pipelines: { orders: { topics: [orders], table: orders } }
`,
);

it.each([
  ['list', () => listDeadLetters('ordres', { config, json: false })],
  ['show', () => showDeadLetters('ordres', { config, code: [], record: [], limit: 1, values: false })],
  ['replay', () => replayDeadLetters('ordres', { config, code: [], record: [], all: true, dryRun: true })],
])('%s takes a pipeline that the configuration lacks for a mistake on the command line', async (_, command) => {
  const refused = new UsageError('the configuration has no pipeline ordres; it has orders');
  await expect(command()).rejects.toThrow(refused);
  await expect(command()).rejects.toBeInstanceOf(UsageError);
});

it('a replay names every other pipeline that gets the records again, also one that reads the topic by a pattern', () => {
  const choice = { topics: ['t'], topicPatterns: [], ownTopics: new Set<string>() };
  const ra = { ...choice, name: 'ra' };
  const rb = { ...choice, name: 'rb' };
  const byPattern = { ...choice, name: 'rc', topics: [], topicPatterns: [/^t$/] };
  const elsewhere = { ...choice, name: 'rd', topics: ['other'] };
  expect(readAgainText('t', ra, [ra, elsewhere])).toEqual([]);
  expect(readAgainText('t', ra, [ra, rb, byPattern, elsewhere])).toEqual([
    'pipeline rb reads t, too, and gets these records again, as new ones',
    'pipeline rc reads t, too, and gets these records again, as new ones',
  ]);
});
