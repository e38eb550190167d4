import { setTimeout as sleep } from 'node:timers/promises';
import type { ClickHouseClient } from '@clickhouse/client';
import type { Kafka } from 'kafkajs';
import { columnsIfAny } from '../clickhouse/knownColumns.js';
import type { ClickHouseTables } from '../clickhouse/tables.js';
import { IDENTITY_TYPES, identityFaults, missingColumns, REWIND_COLUMNS } from '../clickhouse/identityColumns.js';
import { rowColumnProblem } from '../clickhouse/rowColumnRepair.js';
import { changeProblems } from '../clickhouse/changeColumns.js';
import { DebeziumEnvelopes } from '../clickhouse/rows/debeziumEnvelope.js';
import { JsonKeys } from '../clickhouse/rows/jsonKeys.js';
import { objectMembers } from '../clickhouse/values/json.js';
import { JsonObject } from '../clickhouse/values/jsonObject.js';
import { rowsOfRecord } from '../clickhouse/rows/rowsOfRecord.js';
import { quoteName, quoteTable } from '../clickhouse/sqlNames.js';
import type { TableColumns } from '../clickhouse/tableColumns.js';
import { tableStatement } from '../clickhouse/tableStatement.js';
import { RowBlocks } from '../clickhouse/rowBlocks.js';
import { createRowBuilder } from '../clickhouse/rows/rowBuilder.js';
import { neededTopics } from '../config/topics.js';
import type { Config, PipelineConfig } from '../config/config.js';
import { loadConfig } from '../config/load.js';
import { topicTrouble, type KafkaAdmin } from '../kafka/admin.js';
import { isOfType } from '../kafka/errorType.js';
import { findInputTopics } from '../kafka/inputTopics.js';
import { fetchLogOffsets } from '../kafka/offsets.js';
import { rangesOf, readRanges } from '../kafka/readRanges.js';
import { messageOf } from '../lib/messageOf.js';
import { reachClickHouse } from '../connections/openParts.js';
import { hasManyRows, isDecoded, type Mapping } from '../protocol/settings.js';
import type { KafkaRecord, RecordSource } from '../protocol/record.js';
import { tablesOf } from '../protocol/tables.js';
import { withKafka, withTables } from './shared/connections.js';
import { tellPassedOver } from './shared/passedOver.js';
import { inferColumns } from '../clickhouse/inferColumns.js';
import { findsByIdentity, projectionStatements } from '../clickhouse/lookUpProjection.js';

export interface SetupOptions {
  readonly config: string;
  readonly dryRun: boolean;
  readonly fromSample?: number;
  readonly partitions: number;
}

const SAMPLE_WAIT_MS = 10_000;
const TOPIC_WAIT_MS = 30_000;

/** `ktb setup`: creates missing topics and tables, or prints what it would do. It may be repeated. */
export async function setup(options: SetupOptions): Promise<void> {
  const config = loadConfig(options.config);
  const problems: string[] = [];
  await withKafka(config, async (kafka, admin) => {
    problems.push(...(await setUpTopics(admin, config, options)));
    await withTables(config, async (tables, clickhouse) => {
      await reachClickHouse(clickhouse, config.clickhouse);
      for (const pipeline of config.pipelines) {
        const topics = await findInputTopics(admin, pipeline);
        const inUse = tablesOf(pipeline.settings.destination, topics);
        if (inUse.size === 0) console.log(`pipeline ${pipeline.name}: no topic matches yet, and so it needs no table`);
        for (const [name, from] of inUse) {
          const table = { pipeline, name, topics: from };
          const problem = await setUpTable({ kafka, admin, tables, clickhouse }, table, options).catch(
            (error: unknown) => `table ${name}: ${messageOf(error)}`,
          );
          if (problem !== null) problems.push(problem);
        }
      }
    });
  });
  if (problems.length > 0) throw new Error(problems.join('\n'));
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

/** A table of a pipeline, and the topics whose records go to it. */
interface TableOfTopics {
  readonly pipeline: PipelineConfig;
  readonly name: string;
  readonly topics: readonly string[];
}

interface Connections {
  readonly kafka: Kafka;
  readonly admin: KafkaAdmin;
  readonly tables: ClickHouseTables;
  readonly clickhouse: ClickHouseClient;
}

/** @returns why no table could be proposed. Null if there is no problem */
async function setUpTable(
  { kafka, admin, tables, clickhouse }: Connections,
  from: TableOfTopics,
  { dryRun, fromSample }: SetupOptions,
): Promise<string | null> {
  const { name: table, topics } = from;
  const { mapping } = from.pipeline.settings.destination;
  const { format, envelope, key: ofKeys } = mapping;
  const manyRows = hasManyRows(format);
  const existing = await columnsIfAny(tables, table);
  if (existing !== null) {
    const missing = missingColumns(existing, REWIND_COLUMNS);
    console.log(`table ${table}: exists${missing.length === 0 ? '' : `, without ${missing.join(', ')}`}`);
    if (missing.length > 0) {
      const types: Readonly<Record<string, string>> = IDENTITY_TYPES;
      const additions = missing.map((column) => `ADD COLUMN ${quoteName(column)} ${types[column] ?? ''}`);
      const lost =
        missingColumns(existing).length > 0
          ? 'a row may be inserted twice after a failure'
          : '`ktb rewind` cannot find what is in the table';
      console.log(`  Without them ${lost}. To have them:\n`);
      console.log(`  ALTER TABLE ${quoteTable(table)} ${additions.join(', ')}\n`);
    }
    for (const { message } of identityFaults(existing)) console.log(`  ${message}\n`);
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
  const formats: readonly Mapping['format'][] = [format, ofKeys?.format ?? 'bytes'];
  const decoded = formats.find(isDecoded);
  if (decoded !== undefined)
    return `Table ${table} cannot be proposed from records, because ktb setup does not decode ${decoded}: create it`;
  const { rows, key } = topics.length === 0 ? NO_SAMPLE : await sampleRows(kafka, admin, from, fromSample);
  if (rows.length === 0)
    return `There is no JSON object in ${topicsText(topics)} to propose table ${table} from: produce some records first`;
  if (envelope !== undefined && key === null)
    return `Table ${table} cannot be proposed: no record of ${topicsText(topics)} has a key in JSON, which names the columns to sort by. Create it`;
  const { columns, left } = await inferColumns(clickhouse, rows, mapping, key ?? []);
  for (const reason of left) console.log(`table ${table}: ${reason}`);
  const statement = tableStatement(table, columns, mapping, key);
  if (!dryRun) await clickhouse.command({ query: statement });
  console.log(
    `table ${table}: ${dryRun ? 'would be created' : 'created'} from ${rows.length} ${manyRows ? 'rows of records' : 'records'} as\n\n${statement}\n`,
  );
  return null;
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

function topicsText(topics: readonly string[]): string {
  return topics.length === 0 ? 'a topic that matches' : `topic ${topics.join(', ')}`;
}

/**
 * Makes rows of the first records of some topics. If few of them become rows, it stops after some seconds.
 *
 * @throws Error if the topics cannot be read
 */
async function sampleRows(
  kafka: Kafka,
  admin: KafkaAdmin,
  { pipeline: { settings }, topics }: TableOfTopics,
  records: number,
): Promise<Sample> {
  const { columns, mapping } = settings.destination;
  const build = createRowBuilder(new Map(), columns, { ...mapping, unknownFields: 'ignore', tombstones: 'reject' });
  const rows = new RowBlocks();
  const { format, envelope } = mapping;
  const envelopes = envelope === undefined ? undefined : new DebeziumEnvelopes(envelope);
  const keys = mapping.key === undefined ? undefined : new JsonKeys(envelope !== undefined);
  let key: readonly string[] | null = null;
  const add = (source: RecordSource, row: KafkaRecord): void => {
    const opened = envelopes?.open(row) ?? row;
    if (!('code' in opened) && build(rows, source, opened) === undefined) rows.endRow();
  };
  const untilMs = performance.now() + SAMPLE_WAIT_MS;
  await readRanges(kafka, admin, await rangesOf(admin, topics), {
    record: (record, { topic, partition }) => {
      const source = { topic, partition, epoch: '' };
      const opened = keys?.open(source, record) ?? record;
      if (envelopes !== undefined) key ??= keyColumns(record);
      if (!('code' in opened)) {
        if (!hasManyRows(format)) add(source, opened);
        else for (const row of rowsOfRecord(opened, format)) if (rows.length < records) add(source, row);
      }
      return rows.length >= records || performance.now() >= untilMs;
    },
    passedOver: tellPassedOver,
  });
  return { rows: Array.from({ length: rows.length }, (_, row) => rows.textOf(row)), key };
}

/** Rows of a sample, one character per byte, and the columns that the key of a changed row has. */
interface Sample {
  readonly rows: readonly string[];
  readonly key: readonly string[] | null;
}

const NO_SAMPLE: Sample = { rows: [], key: null };

/** The names in a key that Debezium has written, with or without its schema. Null if there are none. */
function keyColumns({ key }: KafkaRecord): readonly string[] | null {
  const members = (text: string): readonly string[] =>
    objectMembers(text).map(({ name }) => Buffer.from(name, 'latin1').toString());
  if (key === null || new JsonObject().read(key) !== 'object') return null;
  const text = key.toString('latin1');
  const payload = objectMembers(text).find(({ name }) => name === 'payload');
  const names = members(payload === undefined ? text : text.slice(payload.start, payload.end));
  return names.length === 0 ? null : names;
}
