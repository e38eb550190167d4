import { setTimeout as sleep } from 'node:timers/promises';
import type { ClickHouseClient } from '@clickhouse/client';
import { columnsIfAny } from '../../clickhouse/knownColumns.js';
import type { ClickHouseTables } from '../../clickhouse/tables.js';
import {
  faultMessage,
  IDENTITY_TYPES,
  identityFaults,
  missingColumns,
  REWIND_COLUMNS,
} from '../../clickhouse/identityColumns.js';
import { rowColumnProblem } from '../../clickhouse/rowColumnRepair.js';
import { changeProblems } from '../../clickhouse/changeColumns.js';
import { quoteName, quoteTable } from '../../clickhouse/sqlNames.js';
import type { TableColumns } from '../../clickhouse/tableColumns.js';
import { tableStatement } from '../../clickhouse/tableStatement.js';
import { neededTopics } from '../../config/topics.js';
import type { Config, PipelineConfig } from '../../config/config.js';
import { loadConfig } from '../../config/load.js';
import { topicTrouble, type KafkaAdmin } from '../../kafka/admin.js';
import { isOfType } from '../../kafka/errorType.js';
import { findInputTopics } from '../../kafka/inputTopics.js';
import { fetchLogOffsets } from '../../kafka/offsets.js';
import { SchemaRegistry } from '../../formats/schemaRegistry.js';
import { messageOf } from '../../lib/messageOf.js';
import { reachClickHouse } from '../../connections/openParts.js';
import { hasManyRows } from '../../protocol/settings.js';
import { tablesOf } from '../../protocol/tables.js';
import { withKafka, withTables } from '../shared/connections.js';
import { inferColumns } from '../../clickhouse/inferColumns.js';
import { findsByIdentity, projectionStatements } from '../../clickhouse/lookUpProjection.js';
import type { Sample, SampledParts, TableOfTopics } from './sample.js';
import { Samples } from './samples.js';
import { lackingText, sortingColumns, takenFrom } from './sortingColumns.js';

export interface SetupOptions {
  readonly config: string;
  readonly dryRun: boolean;
  readonly fromSample?: number;
  readonly partitions: number;
}

const TOPIC_WAIT_MS = 30_000;

/** `ktb setup`: creates missing topics and tables, or prints what it would do. It may be repeated. */
export async function setup(options: SetupOptions): Promise<void> {
  const config = loadConfig(options.config);
  const { schemaRegistry } = config;
  const registry = schemaRegistry === null ? null : new SchemaRegistry(schemaRegistry);
  const problems: string[] = [];
  try {
    await withKafka(config, async (kafka, admin) => {
      problems.push(...(await setUpTopics(admin, config, options)));
      await withTables(config, async (tables, clickhouse) => {
        await reachClickHouse(clickhouse, config.clickhouse);
        const connections = { kafka, admin, tables, clickhouse, registry };
        for (const pipeline of config.pipelines) problems.push(...(await setUpTables(connections, pipeline, options)));
      });
    });
  } finally {
    registry?.close();
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

/** @returns the tables that could not be proposed, and why */
async function setUpTables(
  connections: Connections,
  pipeline: PipelineConfig,
  options: SetupOptions,
): Promise<string[]> {
  const problems: string[] = [];
  const topics = await findInputTopics(connections.admin, pipeline);
  const inUse = tablesOf(pipeline.settings.destination, topics);
  if (inUse.size === 0) console.log(`pipeline ${pipeline.name}: no topic matches yet, and so it needs no table`);
  const samples = new Samples(connections, pipeline, topics, [...inUse.keys()]);
  for (const [name, from] of inUse) {
    const problem = await setUpTable(connections, { pipeline, name, topics: from }, samples, options).catch(
      (error: unknown) => `table ${name}: ${messageOf(error)}`,
    );
    if (problem !== null) problems.push(problem);
  }
  return problems;
}

/** @returns the topics that could not be created, and why */
async function setUpTopics(admin: KafkaAdmin, config: Config, { dryRun, partitions }: SetupOptions): Promise<string[]> {
  const problems: string[] = [];
  const wanted = [...new Set(config.pipelines.flatMap(neededTopics))];
  const existing = await admin.describeTopics(wanted);
  for (const topic of wanted) {
    const trouble = topicTrouble(existing, topic);
    if (trouble === null) {
      console.log(`topic ${topic}: exists`);
    } else if (dryRun && !trouble.isMissing) {
      problems.push(`topic ${topic}: ${trouble.problem}`);
    } else if (dryRun) {
      console.log(`topic ${topic}: would be created with ${partitions} partitions`);
    } else {
      try {
        await createTopic(admin, topic, partitions);
        console.log(`topic ${topic}: created with ${partitions} partitions`);
      } catch (error) {
        problems.push(`topic ${topic}: ${messageOf(error)}${isOfType(error, INVALID_TOPIC) ? NAME_HINT : ''}`);
      }
    }
  }
  return problems;
}

const INVALID_TOPIC = 'INVALID_TOPIC_EXCEPTION';
/** Kafka's error does not say this. */
const NAME_HINT =
  '. A name has letters, digits, ".", "_" and "-" only, and another topic’s name must not differ from it in "." and "_" alone';

/**
 * Creates a topic and waits for its leaders. kafkajs's own wait gives up if a broker does not know the new topic yet.
 */
async function createTopic(admin: KafkaAdmin, topic: string, partitions: number): Promise<void> {
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: false });
  const deadline = performance.now() + TOPIC_WAIT_MS;
  for (;;) {
    try {
      await fetchLogOffsets(admin, [topic]);
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await sleep(100);
  }
}

interface Connections extends SampledParts {
  readonly tables: ClickHouseTables;
  readonly clickhouse: ClickHouseClient;
}

/** @returns why no table could be proposed. Null if there is no problem */
async function setUpTable(
  connections: Connections,
  from: TableOfTopics,
  samples: Samples,
  { dryRun, fromSample }: SetupOptions,
): Promise<string | null> {
  const { tables, clickhouse } = connections;
  const { name: table, topics } = from;
  const { destination } = from.pipeline.settings;
  const { mapping } = destination;
  const { format, envelope } = mapping;
  const manyRows = hasManyRows(format);
  const existing = await columnsIfAny(tables, table);
  if (existing !== null) {
    tellOfColumns(table, existing);
    if (manyRows) await proposeRowColumn(tables, table, existing);
    if (envelope !== undefined) await proposeChangeColumns(tables, table, existing);
    await proposeProjection(tables, table, manyRows);
    return null;
  }
  if (fromSample === undefined) {
    console.log(`table ${table}: does not exist. Create it with these columns beside your own:\n`);
    console.log(`${tableStatement(table, null, mapping)}\n`);
    console.log(`  or let \`ktb setup --from-sample 1000\` propose the columns from records of ${topicsText(topics)}.`);
    return null;
  }
  const sample = await samples.of(from, fromSample);
  const { rows, types = new Map<string, string>(), key, misfits = [] } = sample;
  if (rows.length === 0 && types.size === 0) {
    const { nothing = `There is no JSON object in ${topicsText(topics)}` } = sample;
    return `${nothing} to propose table ${table} from: produce some records first`;
  }
  if (envelope !== undefined && key === null)
    return `Table ${table} cannot be proposed: no record of ${topicsText(topics)} has a key that names the columns to sort by. Create it`;
  const keyed = (key ?? []).flatMap((name) => [name, ...takenFrom(name, destination.columns)]);
  const { columns, left } = await inferColumns(clickhouse, rows, destination, keyed, types);
  const sorting = key && sortingColumns(key, columns, destination.columns);
  if (sorting !== null && sorting.lacking.length > 0)
    return `Table ${table} cannot be proposed: ${lackingText(sorting.lacking)}`;
  for (const reason of [...left, ...misfits]) console.log(`table ${table}: ${reason}`);
  const statement = tableStatement(table, columns, mapping, sorting?.columns);
  if (!dryRun) await clickhouse.command({ query: statement });
  console.log(
    `table ${table}: ${dryRun ? 'would be created' : 'created'} from ${sampleText(sample, manyRows)} as\n\n${statement}\n`,
  );
  return null;
}

/** Prints which identity columns a table lacks, and which of them do not fit. */
function tellOfColumns(table: string, columns: TableColumns): void {
  const missing = missingColumns(columns, REWIND_COLUMNS);
  console.log(`table ${table}: exists${missing.length === 0 ? '' : `, without ${missing.join(', ')}`}`);
  if (missing.length > 0) {
    const types: Readonly<Record<string, string>> = IDENTITY_TYPES;
    const additions = missing.map((column) => `ADD COLUMN ${quoteName(column)} ${types[column] ?? ''}`);
    const lost =
      missingColumns(columns).length > 0
        ? 'a row may be inserted twice after a failure'
        : '`ktb rewind` cannot find what is in the table';
    console.log(`  Without them ${lost}. To have them:\n`);
    console.log(`  ALTER TABLE ${quoteTable(table)} ${additions.join(', ')}\n`);
  }
  for (const fault of identityFaults(columns)) console.log(`  ${faultMessage(fault)}\n`);
}

/** Prints what a table needs for records that may hold many rows. */
async function proposeRowColumn(tables: ClickHouseTables, table: string, columns: TableColumns): Promise<void> {
  const facts = await tables.facts(table);
  const problem = rowColumnProblem(table, columns, { engine: '', sortingKey: '', ...facts });
  if (problem !== null) console.log(`  It ${problem.message}. What to do:\n\n  ${problem.todo}\n`);
}

/** Prints what a table needs for changes of another table's rows. */
async function proposeChangeColumns(tables: ClickHouseTables, table: string, columns: TableColumns): Promise<void> {
  const facts = await tables.facts(table);
  for (const { message, todo } of changeProblems(table, columns, facts))
    console.log(`  It ${message}. What to do:\n\n  ${todo}\n`);
}

/** Prints the statements that make look-ups fast in a table with another sorting key. */
async function proposeProjection(tables: ClickHouseTables, table: string, manyRows: boolean): Promise<void> {
  const facts = await tables.facts(table);
  if (!facts?.engine.includes('MergeTree') || findsByIdentity(facts, manyRows)) return;
  const statements = projectionStatements(table, facts.engine, manyRows).map((statement) => `  ${statement};`);
  console.log(`  It is not sorted by its identity columns. So that a repeated insert finds its rows fast:\n`);
  console.log(`${statements.join('\n')}\n`);
}

function sampleText({ rows, schemas }: Sample, manyRows: boolean): string {
  const ofRecords = `${rows.length} ${manyRows ? 'rows of records' : 'records'}`;
  return schemas === undefined ? ofRecords : `${schemas}${rows.length === 0 ? '' : ` and ${ofRecords}`}`;
}

function topicsText(topics: readonly string[]): string {
  return topics.length === 0 ? 'a topic that matches' : `topic ${topics.join(', ')}`;
}
