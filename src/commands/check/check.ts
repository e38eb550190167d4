import type { ClickHouseClient } from '@clickhouse/client';
import type { NativeConnection } from '@temporalio/worker';
import Table from 'cli-table3';
import { LOOK_UP_TIMEOUT, type ClickHouseTables } from '../../clickhouse/tables.js';
import { canLookUp, identityFaults } from '../../clickhouse/identityColumns.js';
import { missingColumns, REWIND_COLUMNS, type TableColumns } from '../../clickhouse/rows.js';
import { checkTemporal, isMissing, topicsOf } from '../../daemon/startUpChecks.js';
import type { Config, PipelineConfig } from '../../config/config.js';
import { loadConfig } from '../../config/load.js';
import { ConfigError } from '../../config/problems.js';
import { inputTopics } from '../../config/topics.js';
import type { KafkaAdmin } from '../../kafka/admin.js';
import { findInputTopics } from '../../kafka/existingTopics.js';
import { InsertError } from '../../clickhouse/insertErrors.js';
import { isRefusal } from '../../kafka/refusal.js';
import { mapConcurrently } from '../../lib/mapConcurrently.js';
import { messageOf } from '../../lib/messageOf.js';
import { NoAnswerError, within } from '../../lib/within.js';
import { createTemporalClient } from '../../temporal/connect.js';
import { readPayloadLimit } from '../../temporal/payloadLimit.js';
import { reachClickHouse, reachTemporal } from '../../connections/openParts.js';
import {
  collidingPipelines,
  collidingTopics,
  parseTableName,
  tablesOf,
  topicsReadTwice,
} from '../../protocol/tables.js';
import { judgeClaim, type Claim, type Evidence } from '../../installation/claim.js';
import { Claims, pipelineClaim } from '../../installation/claims.js';
import { gatherEvidence } from '../../installation/evidence.js';
import { otherInstallation } from '../../installation/installations.js';
import { withKafka, withTables, withTemporal } from '../shared/connections.js';
import {
  judgeNamespace,
  judgeServerVersion,
  judgeSystemGrants,
  judgeTable,
  judgeTopics,
  TOPIC_SETTINGS,
  type Finding,
  type NamespaceFacts,
  type TableFacts,
  type TopicFacts,
} from './findings.js';
import { answerOf } from '../shared/chosen.js';
import { topicConfigs } from '../../kafka/topicConfigs.js';

/** Time for all questions to one part. */
const PART_TIMEOUT_MS = 15_000;
/** In addition, for each table. */
const TABLE_TIMEOUT_MS = 1_000;

/**
 * `ktb check`: checks everything that the daemon works with, and changes nothing. Exit code 1 if something is wrong, 2
 * if the configuration is wrong.
 */
export async function check({ config: file, json }: { config: string; json: boolean }): Promise<void> {
  let config: Config;
  try {
    config = loadConfig(file);
  } catch (error) {
    if (!json || !(error instanceof ConfigError)) throw error;
    print(
      error.problems.map(({ path, message }) => wrong(`configuration ${path.join('.')}`, message)),
      json,
    );
    process.exitCode = 2;
    return;
  }
  // The topics decide which tables have to exist. Without Kafka these are the topics that the configuration names.
  const topics = await answerOf(existingTopics(config), PART_TIMEOUT_MS);
  const existing = topics.ok ? topics.value : [];
  const inUse = tablesInUse(config, existing);
  const parts = await Promise.all([
    findings(`Kafka at ${config.kafka.brokers.join(', ')}`, checkKafkaTopics(config)),
    findings(`Temporal at ${config.temporal.address}`, checkNamespace(config)),
    findings(
      `ClickHouse at ${config.clickhouse.url}`,
      checkTables(config, existing, inUse),
      PART_TIMEOUT_MS + inUse.length * TABLE_TIMEOUT_MS,
    ),
    checkInstallation(config),
  ]);
  const all = [
    ok(`configuration ${file}`, `pipelines: ${config.pipelines.map(({ name }) => name).join(', ')}`),
    ...parts.flat(),
  ];
  print(all, json);
  if (all.some(({ level }) => level === 'wrong')) process.exitCode = 1;
}

/** The findings about one part, or that it does not answer. */
async function findings(part: string, looking: Promise<Finding[]>, timeoutMs = PART_TIMEOUT_MS): Promise<Finding[]> {
  const answer = await answerOf(looking, timeoutMs);
  return answer.ok ? [ok(part, 'answers'), ...answer.value] : [wrong(part, answer.error, 'see to it first')];
}

async function existingTopics(config: Config): Promise<string[]> {
  if (config.pipelines.every(({ topicPatterns }) => topicPatterns.length === 0)) return [];
  return withKafka(config, (_, admin) => admin.listTopics());
}

function checkKafkaTopics(config: Config): Promise<Finding[]> {
  return withKafka(config, async (_, admin) => {
    const { brokers } = await admin.describeTopics([]);
    const topics = await topicFacts(admin, config.pipelines);
    const groups = await Promise.all(
      config.pipelines.map((pipeline) => checkGroup(admin, pipeline.groupId, inputTopics(pipeline, topics.keys()))),
    );
    return [...config.pipelines.flatMap((pipeline) => judgeTopics(pipeline, topics, brokers.length)), ...groups];
  });
}

async function topicFacts(
  admin: KafkaAdmin,
  pipelines: readonly PipelineConfig[],
): Promise<ReadonlyMap<string, TopicFacts>> {
  const wanted = await Promise.all(
    pipelines.map(async (pipeline) => [...topicsOf(pipeline), ...(await findInputTopics(admin, pipeline))]),
  );
  const found = await admin.describeTopics(wanted.flat());
  const topics = [...found.topics].filter(([name]) => !isMissing(found, name));
  const names = topics.map(([name]) => name);
  const settings = await Promise.all(names.map((name) => topicSettings(admin, name)));
  return new Map(
    topics.map(([name, { partitions }]) => [
      name,
      {
        name,
        partitions: partitions.length,
        replicas: Math.min(...partitions.map(({ replicas }) => replicas.length)),
        leaderless: partitions.flatMap(({ partition, leader }) => (leader === null ? [partition] : [])),
        ...(settings[names.indexOf(name)] ?? UNKNOWN_SETTINGS),
      },
    ]),
  );
}

type TopicSettings = Pick<TopicFacts, 'settings' | 'noSettingsBecause'>;

const UNKNOWN_SETTINGS: TopicSettings = { settings: null, noSettingsBecause: 'Kafka says nothing about it' };

/** Time for the settings of a topic. */
const SETTINGS_TIMEOUT_MS = 4_000;

async function topicSettings(admin: KafkaAdmin, name: string): Promise<TopicSettings> {
  try {
    const settings = await within(topicConfigs(admin, name, TOPIC_SETTINGS), SETTINGS_TIMEOUT_MS);
    return settings === undefined ? UNKNOWN_SETTINGS : { settings, noSettingsBecause: null };
  } catch (error) {
    return { settings: null, noSettingsBecause: isRefusal(error) ? null : messageOf(error) };
  }
}

async function checkGroup(admin: KafkaAdmin, groupId: string, topics: string[]): Promise<Finding> {
  const subject = `group ${groupId}`;
  try {
    await admin.fetchCommits(
      groupId,
      topics.map((topic) => ({ topic, partition: 0 })),
    );
    const { groups } = await admin.describeGroups([groupId]);
    const members = groups[0]?.members.length ?? 0;
    return ok(subject, members === 0 ? 'no members: nobody reads' : `members: ${members}, ${groups[0]?.state ?? ''}`);
  } catch (error) {
    return isRefusal(error)
      ? wrong(subject, `may not be asked: ${messageOf(error)}`, 'grant Read and Describe on it')
      : wrong(subject, `does not answer: ${messageOf(error)}`, 'see to its coordinator, and check again');
  }
}

async function checkNamespace(config: Config): Promise<Finding[]> {
  const connection = await reachTemporal(config.temporal);
  try {
    await checkTemporal(connection, config);
    return judgeNamespace(await namespaceFacts(connection, config));
  } finally {
    await connection.close();
  }
}

/** Which installation the pipelines belong to. Empty if a part does not answer, because another finding says that. */
async function checkInstallation(config: Config): Promise<Finding[]> {
  const looking = withKafka(config, (_, admin) =>
    withTables(config, (tables) =>
      withTemporal(config, async (client) => {
        const evidence = await gatherEvidence(config, admin, tables);
        const claims = new Claims(client, config.temporal.requestTimeoutMs);
        const found: Finding[] = [];
        for (const [name, mine] of evidence) {
          const claim = (await claims.read(pipelineClaim(name)))?.claim ?? null;
          found.push(judgeClaimOf(name, claim, config.installation, mine));
        }
        return found;
      }),
    ),
  );
  const answer = await answerOf(looking, PART_TIMEOUT_MS);
  return answer.ok ? answer.value : [];
}

function judgeClaimOf(pipeline: string, claim: Claim | null, configured: string | null, mine: Evidence): Finding {
  const subject = `pipeline ${pipeline}`;
  const judgement = claim === null ? null : judgeClaim(claim, configured, mine, true);
  if (claim !== null && judgement?.same === false) {
    const { message, todo } = otherInstallation(pipeline, claim, judgement.because);
    return wrong(subject, message, todo);
  }
  const installation = claim?.installation ?? null;
  return ok(
    subject,
    installation === null
      ? 'belongs to no installation yet: the first worker claims it'
      : `belongs to this installation, ${installation.name}; its activities are on task queue ${installation.taskQueue}`,
  );
}

/** `temporal.api.enums.v1.TaskQueueType`. */
const TASK_QUEUE_TYPE = { workflow: 1, activity: 2 } as const;

async function namespaceFacts(
  connection: NativeConnection,
  { temporal, pipelines }: Pick<Config, 'temporal' | 'pipelines'>,
): Promise<NamespaceFacts> {
  const { workflowService } = connection;
  const { namespace, taskQueue } = temporal;
  const { config } = await workflowService.describeNamespace({ namespace });
  const claimed = await activityQueues(connection, { temporal, pipelines });
  const pollers = async (name: string, taskQueueType: number): Promise<number> => {
    const request: object = { namespace, taskQueue: { name }, taskQueueType };
    const answer = await workflowService.describeTaskQueue(request);
    return answer.pollers.length;
  };
  return {
    namespace,
    taskQueue,
    retentionMs: Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) * 1000,
    payloadBytesMax: await readPayloadLimit(connection, { namespace }),
    workflowPollers: await pollers(taskQueue, TASK_QUEUE_TYPE.workflow),
    activityQueues: await Promise.all(
      [...new Set(claimed.values())].map(async (name) => {
        return { taskQueue: name, pollers: await pollers(name, TASK_QUEUE_TYPE.activity) };
      }),
    ),
    unclaimed: pipelines.flatMap(({ name }) => (claimed.has(name) ? [] : [name])),
  };
}

/** The task queue of the activities of each pipeline that a worker has claimed, by the pipeline's name. */
async function activityQueues(
  connection: NativeConnection,
  { temporal, pipelines }: Pick<Config, 'temporal' | 'pipelines'>,
): Promise<ReadonlyMap<string, string>> {
  const claims = new Claims(createTemporalClient(connection, temporal), temporal.requestTimeoutMs);
  const found = new Map<string, string>();
  for (const { name } of pipelines) {
    const installation = (await claims.read(pipelineClaim(name)))?.claim.installation;
    if (installation) found.set(name, installation.taskQueue);
  }
  return found;
}

/**
 * @param existing topics that exist: pipelines choose tables by them
 * @param inUse the tables that they choose
 */
function checkTables(
  config: Config,
  existing: readonly string[],
  inUse: ReturnType<typeof tablesInUse>,
): Promise<Finding[]> {
  return withTables(config, async (tables, client) => {
    await reachClickHouse(client, config.clickhouse);
    await tables.columnsOf(inUse.map(({ table }) => table));
    const judged = await mapConcurrently(
      inUse,
      async ({ pipeline, table }) => {
        try {
          return judgeTable(pipeline, await tableFacts(client, tables, config, table));
        } catch (error) {
          // Then the other tables need not be asked.
          if (isWithoutAnswer(error)) throw error;
          return [wrong(`table ${table}`, messageOf(error), 'do as the message says')];
        }
      },
      TABLES_AT_ONCE,
    );
    const shared = config.pipelines.flatMap((pipeline) => {
      const { destination } = pipeline.settings;
      return Array.from(collidingTopics(destination, inputTopics(pipeline, existing)), ([table, topics]): Finding => {
        const message = `takes the records of topics ${topics.join(' and ')}, whose names differ in dots and dashes only`;
        return {
          level: 'warning',
          subject: `table ${table}`,
          message,
          todo: 'give them tables of their own under tables',
        };
      });
    });
    const read = config.pipelines.map((pipeline) => {
      const topics = inputTopics(pipeline, existing);
      return { name: pipeline.name, destination: pipeline.settings.destination, topics };
    });
    const sharedByPipelines = Array.from(collidingPipelines(read), ([table, filling]): Finding => {
      const which = filling.map(({ pipeline, topic }) => `${topic} (${pipeline})`).join(' and ');
      return {
        level: 'warning',
        subject: `table ${table}`,
        message: `takes the records of topics ${which} of several pipelines, whose names differ in dots and dashes only`,
        todo: 'give them tables of their own under tables',
      };
    });
    const readTwice = topicsReadTwice(read).map(({ topic, table, pipelines }): Finding => {
      const message = `gets each record of topic ${topic} once from each of the pipelines ${pipelines.join(' and ')}`;
      return { level: 'warning', subject: `table ${table}`, message, todo: 'let one of them read the topic' };
    });
    const denied = await tables.deniedSystemTables();
    const grants = denied.length === 0 ? [] : [judgeSystemGrants(denied)];
    const version = judgeServerVersion(await tables.version());
    return [...version, ...grants, ...judged.flat(), ...shared, ...sharedByPipelines, ...readTwice];
  });
}

function tablesInUse(
  { pipelines }: Config,
  existing: readonly string[],
): { readonly pipeline: PipelineConfig; readonly table: string }[] {
  return pipelines.flatMap((pipeline) =>
    [...tablesOf(pipeline.settings.destination, inputTopics(pipeline, existing)).keys()].map((table) => ({
      pipeline,
      table,
    })),
  );
}

/** Tables that are looked at together. More would wait for each other's connections, and seem slow. */
const TABLES_AT_ONCE = 4;

/** Whether ClickHouse is away. */
function isWithoutAnswer(error: unknown): boolean {
  return error instanceof InsertError && error.kind === 'transient' && !error.answered;
}

const ANSWER_TIMEOUT_MS = 4_000;

/**
 * Why ClickHouse refused what was tried, or why that took too long. Both null if it went well.
 *
 * @throws InsertError if ClickHouse is away
 */
async function outcomeOf(trying: Promise<void>): Promise<{ refused: string | null; slow: string | null }> {
  try {
    await within(trying, ANSWER_TIMEOUT_MS);
    return { refused: null, slow: null };
  } catch (error) {
    if (error instanceof NoAnswerError || (error instanceof InsertError && error.code === LOOK_UP_TIMEOUT))
      return { refused: null, slow: error.message };
    if (isWithoutAnswer(error)) throw error;
    return { refused: messageOf(error), slow: null };
  }
}

async function tableFacts(
  client: ClickHouseClient,
  tables: ClickHouseTables,
  { clickhouse }: Config,
  table: string,
): Promise<TableFacts> {
  const columns = await tables.columns(table);
  const parsed = parseTableName(table);
  const { name } = parsed;
  const database = parsed.database ?? clickhouse.database;
  const ask = async <Row>(query: string): Promise<Row[]> => {
    const result = await client.query({ query, query_params: { database, name }, format: 'JSONEachRow' });
    return result.json<Row>();
  };
  const [facts] = await ask<{
    engine: string;
    sorting_key: string;
    create_table_query: string;
  }>(
    `SELECT engine, sorting_key, create_table_query FROM system.tables
     WHERE database = {database:String} AND name = {name:String}`,
  );
  const insert = await outcomeOf(tables.probe(table, columns));
  const lookUp = await outcomeOf(tryLookUps(tables, table, columns));
  return {
    name: table,
    columns,
    engine: facts?.engine ?? '',
    sortingKey: facts?.sorting_key ?? '',
    createStatement: facts?.create_table_query ?? '',
    windows: await tables.tokenWindows(table),
    refusal: insert.refused,
    slowInsert: insert.slow,
    lookUpRefusal: lookUp.refused,
    slowLookUp: lookUp.slow,
  };
}

/** Looks up a record that cannot exist, in the same way as a repeated insert and a rewind. */
async function tryLookUps(tables: ClickHouseTables, table: string, columns: TableColumns): Promise<void> {
  if (!canLookUp(columns)) return;
  const nowhere = { topic: '', partition: 0, epoch: '' };
  await tables.foundOffsets(table, nowhere, 0, 0);
  const findsRewound = missingColumns(columns, REWIND_COLUMNS).length === 0 && identityFaults(columns).length === 0;
  if (findsRewound) await tables.foundRecords(table, columns, nowhere, 0, 0);
}

function ok(subject: string, message: string): Finding {
  return { level: 'ok', subject, message, todo: '' };
}

function wrong(subject: string, message: string, todo = ''): Finding {
  return { level: 'wrong', subject, message, todo };
}

function print(all: readonly Finding[], json: boolean): void {
  if (json) {
    console.log(JSON.stringify(all, null, 2));
    return;
  }
  const table = new Table({
    head: ['', 'looked at', 'found', 'what to do'],
    colWidths: [10, 34, 60, 44],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { level, subject, message, todo } of all) table.push([level, subject, message, todo]);
  console.log(table.toString());
  const count = (level: Finding['level']): number => all.filter((finding) => finding.level === level).length;
  console.log(`${count('wrong')} wrong, ${count('warning')} warnings, ${count('ok')} ok`);
}
