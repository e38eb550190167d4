import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { checkConfig } from '../../../src/config/problems.js';
import { chartSchema, valuesReference, type JsonSchema } from '../../../scripts/chart.js';
import { benchmarkRuns, benchmarksReference } from '../../../scripts/benchmarks.js';
import { capacityReference } from '../../../scripts/capacity.js';
import { commandsReference } from '../../../scripts/commands.js';
import { metricsReference } from '../../../scripts/metrics.js';
import { chaosResults, trustReference } from '../../../scripts/trust.js';
import { conversionsReference } from '../../../scripts/values.js';
import { SYSTEM_TABLES } from '../../../src/clickhouse/serverFacts.js';
import { configReference } from '../../../src/config/reference.js';
import { READ_GROUPS } from '../../../src/kafka/readRanges.js';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

/** What `npm run docs` has written into a file. */
const generated = (path: string) => cells(read(path).split('npm run docs -->\n')[1] ?? '');
const cells = (table: string) =>
  table
    .split('\n')
    .map((line) => line.replace(/\s*\|\s*/g, '|').replace(/-+/g, '-'))
    .filter((line) => line !== '');

it('the configuration reference says what the schema says (else: npm run docs)', () => {
  expect(generated('docs/configuration.md')).toEqual(cells(configReference()));
});

it('the reference of the commands is what their help says (else: npm run docs)', () => {
  expect(generated('docs/commands.md')).toEqual(cells(commandsReference()));
});

it('the chart’s page grants the user every system table that the daemon reads', () => {
  const granted = read('deploy/helm/kafka-temporal-bridge/README.md').matchAll(
    /GRANT SELECT ON system\.(\w+) TO ktb;/g,
  );
  expect([...granted].map(([, table]) => table).sort()).toEqual([...SYSTEM_TABLES].sort());
});

it('the chart’s page, and the policy for Amazon MSK, grant the groups that commands read with, and no others beside the pipeline’s', () => {
  const chart = read('deploy/helm/kafka-temporal-bridge/README.md');
  const groups = (page: string, pattern: RegExp): string[] => [
    ...new Set([...page.matchAll(pattern)].map(([, group]) => group ?? '').filter((group) => group.startsWith('ktb-'))),
  ];
  const both = ['ktb-orders', READ_GROUPS];
  expect(groups(chart, /--group (\S+) --resource-pattern-type prefixed/g)).toEqual([READ_GROUPS]);
  expect(groups(chart, /type: group, name: ([\w-]+)/g)).toEqual(both);
  expect(groups(chart, /groups? `([\w-]+)\*?`/g)).toEqual(both);
  expect(groups(read('docs/configuration.md'), /:group\/ktb\/UUID\/([\w-]+)/g)).toEqual(both);
});

it('the table of the metrics is what the registry has (else: npm run docs)', () => {
  expect(generated('docs/metrics.md')).toEqual(cells(metricsReference()));
  expect(generated('docs/values.md')).toEqual(cells(conversionsReference()));
});

it('the pages on benchmarks and capacity have the figures of bench/results (else: npm run docs)', () => {
  const runs = benchmarkRuns();
  expect(generated('docs/benchmarks.md')).toEqual(cells(benchmarksReference(runs)));
  expect(generated('docs/capacity.md')).toEqual(cells(capacityReference(runs)));
});

it('the page on faults has the figures of chaos/results (else: npm run docs)', () => {
  expect(generated('docs/trust.md')).toEqual(cells(trustReference(chaosResults())));
});

it('the chart’s schema and the reference of its values are up to date (else: npm run docs)', () => {
  const chart = 'deploy/helm/kafka-temporal-bridge';
  const values = read(`${chart}/values.yaml`);
  const schema = JSON.parse(read(`${chart}/values.schema.json`)) as JsonSchema;
  expect(schema).toEqual(chartSchema(schema, values));
  expect(generated(`${chart}/README.md`)).toEqual(cells(valuesReference(schema, values)));
});

it('Helm takes the chart’s schema: no type is named twice, and a word beside any text is any text', () => {
  const types: unknown[] = [];
  const { properties } = JSON.parse(
    read('deploy/helm/kafka-temporal-bridge/values.schema.json'),
    (key, value: unknown) => {
      if (key === 'type' && Array.isArray(value)) types.push(value);
      return value;
    },
  ) as JsonSchema;
  expect(types.filter((each) => new Set(each as string[]).size !== (each as string[]).length)).toEqual([]);
  const pipeline = properties!['config']!.properties!['pipelines']!.additionalProperties as JsonSchema;
  const { otherwise } = pipeline.properties!['table']!.properties!;
  expect(otherwise).toMatchObject({ type: ['string', 'null'] });
  expect(otherwise).not.toHaveProperty('pattern');
});

it('the example, and every YAML block of README and docs that is a configuration, is valid', () => {
  const pages = readdirSync(new URL('../../../docs', import.meta.url)).filter((name) => name.endsWith('.md'));
  const blocks = ['README.md', 'ARCHITECTURE.md', ...pages.map((page) => `docs/${page}`)].flatMap((file) =>
    [...read(file).matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block]) => ({ file, block: block ?? '' })),
  );
  for (const { file, block } of [{ file: 'examples/ktb.yaml', block: read('examples/ktb.yaml') }, ...blocks]) {
    const checked = checkConfig(parse(block));
    expect(checked.ok ? [] : checked.problems, file).toEqual([]);
  }
});
