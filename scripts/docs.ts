// Writes what comes from the code into docs/ and into the chart: `npm run docs`. Tests say when it is out of date.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configReference } from '../src/config/reference.js';
import { benchmarkCharts, benchmarkRuns, benchmarksReference } from './benchmarks.js';
import { capacityReference } from './capacity.js';
import { commandsReference } from './commands.js';
import { dashboard } from './dashboard.js';
import { metricsReference } from './metrics.js';
import { chaosResults, trustReference } from './trust.js';
import { conversionsReference } from './values.js';
import { chartSchema, valuesReference, type JsonSchema } from './chart.js';

const path = (file: string): string => fileURLToPath(new URL(`../${file}`, import.meta.url));
const MARK = '<!-- generated below: npm run docs -->\n';
const CHART = 'deploy/helm/kafka-temporal-bridge';

const values = readFileSync(path(`${CHART}/values.yaml`), 'utf8');
const schemaFile = path(`${CHART}/values.schema.json`);
const schema = chartSchema(JSON.parse(readFileSync(schemaFile, 'utf8')) as JsonSchema, values);
writeFileSync(schemaFile, JSON.stringify(schema, null, 2));
writeFileSync(path(`${CHART}/files/dashboard.json`), JSON.stringify(dashboard()));
const runs = benchmarkRuns();
for (const [name, chart] of Object.entries(benchmarkCharts(runs))) writeFileSync(path(`docs/${name}`), chart);
append('docs/benchmarks.md', benchmarksReference(runs));
append('docs/capacity.md', capacityReference(runs));
append('docs/commands.md', commandsReference());
append('docs/configuration.md', configReference());
append('docs/metrics.md', metricsReference());
append('docs/trust.md', trustReference(chaosResults()));
append('docs/values.md', conversionsReference());
append(`${CHART}/README.md`, valuesReference(schema, values));

/** Replaces what stands below the mark. */
function append(file: string, text: string): void {
  const head = readFileSync(path(file), 'utf8').split(MARK)[0] ?? '';
  writeFileSync(path(file), `${head}${MARK}\n${text}`);
}
