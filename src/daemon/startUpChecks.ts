import type { ClickHouseClient } from '@clickhouse/client';
import type { ConnectionLike } from '@temporalio/client';
import type { ClickHouseTables } from '../clickhouse/tables.js';
import {
  changeColumnsFault,
  faultMessage,
  identityFaults,
  mergeFault,
  missingColumns,
  rowColumnFault,
  unfitColumns,
} from '../clickhouse/identityColumns.js';
import { namedColumns } from '../clickhouse/namedColumns.js';
import { InsertError } from '../clickhouse/insertErrors.js';
import type { TableColumns } from '../clickhouse/tableColumns.js';
import type { Config, PipelineConfig } from '../config/config.js';
import { filledTables, type FilledTable } from '../config/filledTables.js';
import { neededTopics } from '../config/topics.js';
import { GRPC_STATUS } from '../temporal/grpcStatus.js';
import { NO_LEADER, topicTrouble, type ClusterFacts, type KafkaAdmin } from '../kafka/admin.js';
import { messageLimits } from '../kafka/messageLimits.js';
import { findInputTopics } from '../kafka/inputTopics.js';
import { messageOf } from '../lib/messageOf.js';
import { within } from '../lib/within.js';
import { partitionName } from '../protocol/record.js';
import { hasManyRows } from '../protocol/settings.js';
import {
  collidingPipelines,
  collidingTopics,
  fixedTables,
  topicsReadTwice,
  type TablesOfPipeline,
} from '../protocol/tables.js';
import { kafkaProblem, reachClickHouse, reachKafka, temporalProblem } from '../connections/openParts.js';
import { PartialProblem } from '../telemetry/dependencyMonitor.js';
import type { Logger } from '../telemetry/logging.js';

/**
 * Kafka answers and has every topic. If some pipeline can still be read, or a partition has no leader, it is a
 * {@link PartialProblem}: the rest can work.
 */
export async function checkKafka(admin: Pick<KafkaAdmin, 'connect' | 'describeTopics'>, config: Config): Promise<void> {
  await reachKafka(admin, config.kafka);
  const wanted = [...new Set(config.pipelines.flatMap(neededTopics))];
  let existing: ClusterFacts;
  try {
    existing = await admin.describeTopics(wanted);
  } catch (error) {
    throw await kafkaProblem(config.kafka, error);
  }
  const lacking = wanted.filter((topic) => topicTrouble(existing, topic) !== null);
  if (lacking.length === 0) {
    mustHaveLeaders(existing);
    return;
  }
  const message = topicProblems(existing, lacking);
  const someCanRead = config.pipelines.some((pipeline) => canRead(pipeline, lacking));
  throw someCanRead ? new PartialProblem(message) : new Error(message);
}

/** One sentence about all topics that are missing, and one about each that Kafka refuses to tell of. */
function topicProblems(existing: ClusterFacts, lacking: readonly string[]): string {
  const missing: string[] = [];
  const problems: string[] = [];
  for (const topic of lacking) {
    const trouble = topicTrouble(existing, topic);
    if (trouble?.isMissing === true) missing.push(topic);
    else if (trouble !== null) problems.push(trouble.problem);
  }
  if (missing.length > 0) {
    const create = `create ${missing.length === 1 ? 'it' : 'them'}, or run \`ktb setup\``;
    problems.unshift(`Kafka has no topic ${missing.join(', ')}: ${create}`);
  }
  return problems.join('; ');
}

/**
 * Whether a pipeline has a topic to read from, and its reply and dead-letter topics.
 *
 * @param lacking topics that cannot be used, of all pipelines
 */
function canRead(pipeline: PipelineConfig, lacking: readonly string[]): boolean {
  const { topics, topicPatterns } = pipeline;
  const outputs = neededTopics(pipeline).filter((topic) => !topics.includes(topic));
  if (outputs.some((topic) => lacking.includes(topic))) return false;
  return topicPatterns.length > 0 || topics.some((topic) => !lacking.includes(topic));
}

/** @throws PartialProblem that names the partitions without a leader */
function mustHaveLeaders({ topics }: ClusterFacts): void {
  const leaderless = [...topics].flatMap(([topic, { partitions }]) =>
    partitions.filter(({ leader }) => leader === null).map(({ partition }) => partitionName({ topic, partition })),
  );
  if (leaderless.length > 0)
    throw new PartialProblem(leaderless.map((name) => `Kafka cannot serve ${name}: ${NO_LEADER}`).join('; '));
}

/** Temporal answers and has the namespace. */
export async function checkTemporal(connection: ConnectionLike, { temporal }: Config): Promise<void> {
  try {
    await connection.withDeadline(Date.now() + temporal.requestTimeoutMs, () =>
      connection.workflowService.describeNamespace({ namespace: temporal.namespace }),
    );
  } catch (error) {
    const { code } = error as { code?: number };
    if (code === GRPC_STATUS.notFound) {
      throw new Error(
        `Temporal at ${temporal.address} has no namespace ${temporal.namespace}: create it with ` +
          `\`temporal operator namespace create --namespace ${temporal.namespace} --retention 7d\`, or set temporal.namespace`,
      );
    }
    throw await temporalProblem(temporal, error);
  }
}

/**
 * ClickHouse answers and has every table with every mapped column. If one is missing, it is a {@link PartialProblem}.
 */
export async function checkClickHouse(
  client: ClickHouseClient,
  tables: ClickHouseTables,
  admin: KafkaAdmin,
  config: Config,
): Promise<void> {
  await reachClickHouse(client, config.clickhouse);
  const problems = new Set<string>();
  const inUse = await tablesInUse(admin, config).catch((error: unknown) => {
    throw new Error(`ClickHouse answers, but ${messageOf(error)}`);
  });
  const columns = await columnsOf(tables, inUse);
  for (const { pipeline, table } of inUse) {
    const { name, settings } = pipeline;
    const existing = columns.get(table);
    if (existing === undefined) {
      problems.add(tables.missing(table).message);
      continue;
    }
    for (const reason of unfitColumns(existing)) problems.add(`ClickHouse table ${table}: ${reason}`);
    const rowFault = hasManyRows(settings.destination.mapping.format) ? rowColumnFault(existing) : undefined;
    if (rowFault !== undefined)
      problems.add(`ClickHouse table ${table} ${rowFault}: \`ktb check\` says how to alter it`);
    const isMerged = hasManyRows(settings.destination.mapping.format) && rowFault === undefined;
    const merges = isMerged ? mergeFault(existing) : undefined;
    if (merges !== undefined) problems.add(`ClickHouse table ${table} ${merges}: \`ktb check\` says what to do`);
    const changeFault = settings.destination.mapping.envelope === undefined ? undefined : changeColumnsFault(existing);
    if (changeFault !== undefined)
      problems.add(`ClickHouse table ${table} ${changeFault}: \`ktb check\` says how to alter it`);
    const missing = missingColumns(existing, namedColumns(settings.destination));
    if (missing.length > 0) {
      problems.add(
        `ClickHouse table ${table} has no column ${missing.join(', ')}, which pipeline ${name} maps: add ${missing.length === 1 ? 'it' : 'them'}, or change the pipeline`,
      );
    }
  }
  if (problems.size > 0) throw new PartialProblem([...problems].join('; '));
}

/**
 * As {@link checkClickHouse}, by the columns that the tables have now. What was read of them half a minute ago is forgotten:
 * a person alters a table, and then the configuration.
 */
export async function checkClickHouseAnew(
  client: ClickHouseClient,
  tables: ClickHouseTables,
  admin: KafkaAdmin,
  config: Config,
): Promise<void> {
  for (const { table } of await tablesInUse(admin, config)) tables.forget(table);
  await checkClickHouse(client, tables, admin, config);
}

/**
 * The columns of the tables that exist.
 *
 * @throws PartialProblem if ClickHouse answers, and refuses to say
 */
async function columnsOf(
  tables: Pick<ClickHouseTables, 'columnsOf'>,
  inUse: readonly { readonly table: string }[],
): Promise<Map<string, TableColumns>> {
  try {
    return await tables.columnsOf(inUse.map(({ table }) => table));
  } catch (error) {
    if (error instanceof InsertError && error.kind === 'structural') throw new PartialProblem(error.message);
    throw error;
  }
}

/** All tables that records go to now. Asks Kafka only if they depend on the topics that match a pattern. */
async function tablesInUse(admin: KafkaAdmin, { pipelines }: Config): Promise<FilledTable[]> {
  const inUse: FilledTable[] = [];
  for (const pipeline of pipelines) {
    const areFixed = fixedTables(pipeline.settings.destination) !== null;
    inUse.push(...filledTables(pipeline, areFixed ? [] : await topicsThatMatch(admin, pipeline)));
  }
  return inUse;
}

/** Warns once about topics that share a table because of their names, although each should have its own. */
export async function warnOfSharedTables(
  admin: Pick<KafkaAdmin, 'connect' | 'listTopics'>,
  { pipelines, clickhouse }: Pick<Config, 'pipelines' | 'clickhouse'>,
  logger: { warn(fields: object, message: string): void },
): Promise<void> {
  const found: TablesOfPipeline[] = [];
  for (const pipeline of pipelines) {
    const { name, settings } = pipeline;
    const { destination } = settings;
    const topics = await topicsThatMatch(admin, pipeline);
    found.push({ name, destination, topics });
    for (const [table, sharing] of collidingTopics(destination, topics))
      logger.warn({ pipeline: name, table, topics: sharing }, SHARED_TABLE);
  }
  for (const [table, topics] of collidingPipelines(found)) logger.warn({ table, topics }, SHARED_BY_PIPELINES);
  for (const { topic, table, pipelines: reading } of topicsReadTwice(found, clickhouse.database))
    logger.warn({ topic, table, pipelines: reading }, READ_TWICE);
}

const SHARED_TABLE =
  'Topics whose names differ in dots and dashes only share a table: give them tables of their own under tables';

const READ_TWICE =
  'Several pipelines read this topic into the same table: each of its records becomes a row for each of them, and none can be rewound';

const SHARED_BY_PIPELINES =
  'Topics of several pipelines whose names differ in dots and dashes only share a table: give them tables of their own under tables';

/** Less than a check may take. Otherwise ClickHouse would be blamed for a Kafka that does not answer. */
const TOPICS_WITHIN_MS = 8_000;

async function topicsThatMatch(
  admin: Pick<KafkaAdmin, 'connect' | 'listTopics'>,
  pipeline: PipelineConfig,
): Promise<string[]> {
  try {
    return await within(
      admin.connect().then(() => findInputTopics(admin, pipeline)),
      TOPICS_WITHIN_MS,
    );
  } catch (error) {
    throw new Error(
      `which tables pipeline ${pipeline.name} needs is not known: Kafka does not answer (${messageOf(error)})`,
    );
  }
}

/**
 * Warns once about tables whose identity columns are missing or cannot hold all identities, and says which promise that
 * weakens.
 */
export async function warnOfWeakTables(
  tables: ClickHouseTables,
  admin: KafkaAdmin,
  config: Config,
  logger: Logger,
): Promise<void> {
  const inUse = await tablesInUse(admin, config);
  const found = await columnsOf(tables, inUse);
  for (const { pipeline, table } of inUse) {
    const columns = found.get(table);
    if (columns === undefined) continue;
    for (const fault of identityFaults(columns))
      logger.warn(
        { pipeline: pipeline.name, table },
        `An identity column of the table has an unfit type: ${faultMessage(fault)}`,
      );
    const missing = missingColumns(columns);
    if (missing.length === 0) continue;
    logger.warn(
      { pipeline: pipeline.name, table, missing },
      'The table lacks identity columns: after a failure its rows may be inserted twice (at least once). `ktb setup` shows what to add',
    );
  }
}

/** Warns once if a rejected record may be too large for the dead-letter topic. */
export async function warnOfSmallDeadLetterTopics(admin: KafkaAdmin, config: Config, logger: Logger): Promise<void> {
  const pipelines = await Promise.all(
    config.pipelines.map(async (pipeline) => ({
      name: pipeline.name,
      deadLetterTopic: pipeline.settings.destination.deadLetterTopic,
      // This is only for a warning. If Kafka does not say which topics match, the named ones are enough.
      topics: await findInputTopics(admin, pipeline).catch(() => pipeline.topics),
    })),
  );
  const asked = new Set(pipelines.flatMap(({ topics, deadLetterTopic }) => [...topics, deadLetterTopic]));
  const limits = await messageLimits(admin, [...asked]);
  for (const { name, deadLetterTopic, topics } of pipelines) {
    const takes = limits.get(deadLetterTopic) ?? Infinity;
    const needed = Math.max(...topics.map((topic) => limits.get(topic) ?? 0));
    if (takes >= needed) continue;
    logger.warn(
      { pipeline: name, deadLetterTopic, takes, needed },
      'The dead-letter topic takes smaller messages than the input topics: a rejected record that is too large for it goes there ' +
        'without its value. Raise its max.message.bytes to what is needed',
    );
  }
}
