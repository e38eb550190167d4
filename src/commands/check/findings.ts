import type { TokenWindow } from '../../clickhouse/tables.js';
import { identityFaults } from '../../clickhouse/identityColumns.js';
import { missingColumns, REWIND_COLUMNS, unfitMappings, type TableColumns } from '../../clickhouse/rows.js';
import { quoteTable } from '../../clickhouse/sqlNames.js';
import type { PipelineConfig } from '../../config/config.js';
import { inputTopics } from '../../config/topics.js';
import { PAYLOAD_BYTES_MAX } from '../../protocol/payloadLimit.js';
import { findsByIdentity, projectionStatements } from '../../clickhouse/lookUpProjection.js';

/**
 * One thing that was checked.
 *
 * - `ok`: nothing to do
 * - `warning`: it works, but not as well as it could, or not for ever
 * - `wrong`: records wait, or get lost
 */
export interface Finding {
  readonly level: 'ok' | 'warning' | 'wrong';
  /** `topic orders`, `table orders`, `namespace default`. */
  readonly subject: string;
  readonly message: string;
  /** What to do about it. Empty if there is nothing to do. */
  readonly todo: string;
}

type Judge = (message: string, todo?: string) => Finding;

function judges(subject: string): Record<Finding['level'], Judge> {
  const judge =
    (level: Finding['level']): Judge =>
    (message, todo = '') => ({ level, subject, message, todo });
  return { ok: judge('ok'), warning: judge('warning'), wrong: judge('wrong') };
}

// ── Kafka ────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface TopicFacts {
  readonly name: string;
  readonly partitions: number;
  /** Copies of the partition with the fewest copies. */
  readonly replicas: number;
  /** Partitions without a leader. Nobody can read or write them now. */
  readonly leaderless: readonly number[];
  /** Settings by Kafka's names. Null if they are not known. */
  readonly settings: ReadonlyMap<string, string> | null;
  /** Why the settings are not known. Null if they are, or if the user may not read them. */
  readonly noSettingsBecause: string | null;
}

/** Settings of a topic that are checked. */
export const TOPIC_SETTINGS = ['retention.ms', 'retention.bytes', 'cleanup.policy', 'max.message.bytes'];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Enough for an outage over a night. */
const INPUT_RETENTION_MS_MIN = DAY_MS;
/** Enough time for people to look at dead letters. */
const DEAD_LETTER_RETENTION_MS_MIN = 7 * DAY_MS;

/** Encoded bytes of a record that fits into any signal, see `BODY_BYTES_MAX` in `laneSender.ts`. */
const SIGNAL_BYTES_MAX = 1_200_000;

/**
 * Judges the topics of a pipeline.
 *
 * @param topics those that exist, by name
 * @param brokers how many the cluster has
 */
export function judgeTopics(
  pipeline: PipelineConfig,
  topics: ReadonlyMap<string, TopicFacts>,
  brokers: number,
): Finding[] {
  const { layout, settings } = pipeline;
  const { destination } = settings;
  const inputs = inputTopics(pipeline, topics.keys());
  const deadLetters = topics.get(destination.deadLetterTopic);
  const reply = destination.reply?.topic;
  const readers = inputs.flatMap((name) => {
    const topic = topics.get(name);
    return topic === undefined ? [missingTopic(name)] : judgeInput(topic, { layout, deadLetters, brokers });
  });
  const writers = [...(reply === undefined ? [] : [reply]), destination.deadLetterTopic].flatMap((name) => {
    const topic = topics.get(name);
    if (topic === undefined) return [missingTopic(name)];
    return name === reply ? judgeReplies(topic, brokers) : judgeDeadLetters(topic, brokers);
  });
  const nothingMatches =
    inputs.length === 0 ? [judges(`pipeline ${pipeline.name}`).warning(NOTHING_MATCHES, WHEN_IT_DOES)] : [];
  return [...nothingMatches, ...tooManyPartitions(pipeline, inputs, topics), ...readers, ...writers];
}

/**
 * Partitions of all topics of a pipeline, at most. A batcher hands 1 MB of coverage from run to run. It takes some 260
 * bytes for a partition, and 60 for another epoch. There has to be room for a second epoch of each.
 */
const PARTITIONS_MAX = 3_000;

function tooManyPartitions(
  { name }: PipelineConfig,
  inputs: readonly string[],
  topics: ReadonlyMap<string, TopicFacts>,
): Finding[] {
  const partitions = inputs.reduce((sum, topic) => sum + (topics.get(topic)?.partitions ?? 0), 0);
  if (partitions <= PARTITIONS_MAX) return [];
  const message = `reads ${partitions} partitions: batchers may have to forget what they have accepted of some`;
  return [
    judges(`pipeline ${name}`).warning(message, `divide the topics among pipelines of ${PARTITIONS_MAX} at most`),
  ];
}

const NOTHING_MATCHES = 'reads nothing: no topic matches';
const WHEN_IT_DOES = 'change topics, or create one: a topic that comes to match is read within a minute';

function missingTopic(name: string): Finding {
  return judges(`topic ${name}`).wrong('does not exist, or may not be seen', 'create it, or run `ktb setup`');
}

function judgeInput(
  topic: TopicFacts,
  {
    layout,
    deadLetters,
    brokers,
  }: { layout: PipelineConfig['layout']; deadLetters: TopicFacts | undefined; brokers: number },
): Finding[] {
  const { warning } = judges(`topic ${topic.name}`);
  const findings = judgeReplicas(topic, brokers);
  const retentionMs = numberOf(topic, 'retention.ms');
  if (retentionMs !== null && retentionMs >= 0 && retentionMs < INPUT_RETENTION_MS_MIN)
    findings.push(
      warning(
        `keeps records for ${hours(retentionMs)}: an outage that is longer loses those not read yet`,
        `set retention.ms to ${INPUT_RETENTION_MS_MIN} or more`,
      ),
    );
  if (topic.settings?.get('cleanup.policy')?.includes('compact') === true)
    findings.push(
      warning(
        'is compacted: a record may be replaced by a later one of its key before it is read',
        'know that it is so',
      ),
    );
  const maxBytes = numberOf(topic, 'max.message.bytes');
  if (maxBytes !== null && maxBytes > SIGNAL_BYTES_MAX)
    findings.push(
      warning(
        `takes records of ${maxBytes} bytes; those that are over ${SIGNAL_BYTES_MAX} when compressed fit into no signal`,
        'know that they go to the dead-letter topic',
      ),
    );
  const letterBytes = deadLetters === undefined ? null : numberOf(deadLetters, 'max.message.bytes');
  if (maxBytes !== null && letterBytes !== null && letterBytes < maxBytes)
    findings.push(
      warning(
        `takes records of ${maxBytes} bytes, the dead-letter topic only of ${letterBytes}: a larger one that is rejected goes there without its value`,
        `set max.message.bytes of ${deadLetters?.name ?? ''} to ${maxBytes} or more`,
      ),
    );
  if (layout.keyFunction === 'partition' && layout.batchers > topic.partitions)
    findings.push(
      warning(
        `has ${topic.partitions} partitions for ${layout.batchers} batchers by partition: the others have nothing to do`,
        'lower batchers, or use shardBy: key',
      ),
    );
  return summed(topic, findings);
}

function judgeReplies(topic: TopicFacts, brokers: number): Finding[] {
  return summed(topic, [...judgeReplicas(topic, brokers), ...judgeCompaction(topic, 'acknowledgements')]);
}

/** A compacted topic refuses messages without a key, and of two messages with one key it keeps the later one. */
function judgeCompaction({ name, settings }: TopicFacts, what: string): Finding[] {
  if (settings?.get('cleanup.policy')?.includes('compact') !== true) return [];
  const message = `is compacted: of two ${what} with one key the first is removed, and those without a key get one`;
  return [judges(`topic ${name}`).wrong(message, 'set cleanup.policy to delete')];
}

function judgeDeadLetters(topic: TopicFacts, brokers: number): Finding[] {
  const { warning } = judges(`topic ${topic.name}`);
  const findings = judgeReplicas(topic, brokers);
  const retentionMs = numberOf(topic, 'retention.ms');
  if (retentionMs !== null && retentionMs >= 0 && retentionMs < DEAD_LETTER_RETENTION_MS_MIN)
    findings.push(
      warning(
        `keeps dead letters for ${hours(retentionMs)} only`,
        `set retention.ms to ${DEAD_LETTER_RETENTION_MS_MIN} or more, so that somebody can look at them`,
      ),
    );
  findings.push(...judgeCompaction(topic, 'dead letters'));
  return summed(topic, findings);
}

function judgeReplicas({ name, replicas, leaderless, ...rest }: TopicFacts, brokers: number): Finding[] {
  const { warning, wrong } = judges(`topic ${name}`);
  return [
    ...(leaderless.length > 0
      ? [
          wrong(
            `has no leader for partition ${leaderless.join(', ')}: all brokers that have it are away, and its records wait`,
            'start these brokers again',
          ),
        ]
      : []),
    ...(replicas < 2 && brokers > 1
      ? [warning('has a partition with one copy: it goes with its broker', 'raise the replication factor')]
      : []),
    ...(rest.settings !== null
      ? []
      : rest.noSettingsBecause === null
        ? [warning('may not be asked for its settings', 'grant DescribeConfigs on it to have them checked')]
        : [warning(`did not say its settings: ${rest.noSettingsBecause}`, 'check again')]),
  ];
}

/** The findings, or an `ok` if there are none. */
function summed(topic: TopicFacts, findings: Finding[]): Finding[] {
  if (findings.length > 0) return findings;
  const retentionMs = numberOf(topic, 'retention.ms');
  const bytes = numberOf(topic, 'retention.bytes') ?? -1;
  const time = retentionMs === null ? '' : retentionMs < 0 ? ', kept for ever' : `, kept for ${hours(retentionMs)}`;
  const kept = bytes < 0 ? time : `${time}, at most ${Math.round(bytes / 1024 ** 2)} MiB a partition`;
  return [judges(`topic ${topic.name}`).ok(`${topic.partitions} partitions${kept}`)];
}

function numberOf({ settings }: TopicFacts, name: string): number | null {
  const text = settings?.get(name);
  return text === undefined ? null : Number(text);
}

function hours(ms: number): string {
  return ms >= 2 * DAY_MS ? `${Math.round(ms / DAY_MS)} days` : `${Math.round((ms / HOUR_MS) * 10) / 10} hours`;
}

// ── ClickHouse ───────────────────────────────────────────────────────────────────────────────────────────────────────

export interface TableFacts {
  /** The name, with its database if that is not the connection's. */
  readonly name: string;
  readonly columns: TableColumns;
  readonly engine: string;
  readonly sortingKey: string;
  /** From `system.tables.create_table_query`. */
  readonly createStatement: string;
  /**
   * The table's own window first, then those of the tables that its materialized views write to, and so on. Empty if
   * the user may not ask.
   */
  readonly windows: readonly TokenWindow[];
  /** Why an insert was refused. Null if it was not. */
  readonly refusal: string | null;
  /** Why a look-up of identities was refused. Null if it was not, or the table has no columns for it. */
  readonly lookUpRefusal: string | null;
  /** How long an insert without rows waited in vain for its answer; null if it was quick enough. */
  readonly slowInsert: string | null;
  /** How long a look-up waited in vain for its answer; null if it was quick enough. */
  readonly slowLookUp: string | null;
}

/** The oldest ClickHouse that README names: year and month. */
const OLDEST_CLICKHOUSE = [24, 8] as const;

/** Warns about a ClickHouse that is older than those that are supported. */
export function judgeServerVersion(version: string): Finding[] {
  const [year = 0, month = 0] = version.split('.').map(Number);
  const [oldestYear, oldestMonth] = OLDEST_CLICKHOUSE;
  if (year > oldestYear || (year === oldestYear && month >= oldestMonth)) return [];
  return [
    judges('clickhouse').warning(
      `is version ${version}: how versions before ${OLDEST_CLICKHOUSE.join('.')} read values was never tried`,
      'upgrade it',
    ),
  ];
}

/** Says what is missing if the user may not read some system tables. */
export function judgeSystemGrants(denied: readonly string[]): Finding {
  return judges('clickhouse').warning(
    `does not let the user read ${denied.join(', ')}: what a failing view lacks cannot be sent again, nor is it seen that an insert is still running`,
    denied.map((table) => `GRANT SELECT ON ${table}`).join(', ') + ' to the user',
  );
}

/** Judges a table of a pipeline. */
export function judgeTable({ settings: { destination } }: PipelineConfig, table: TableFacts): Finding[] {
  const { ok, warning, wrong } = judges(`table ${table.name}`);
  const findings: Finding[] = [];
  if (table.refusal !== null) findings.push(wrong(`takes no inserts: ${table.refusal}`, 'do as the message says'));
  if (table.slowInsert !== null)
    findings.push(warning(`is slow to take inserts: ${table.slowInsert}`, 'see whether ClickHouse is busy'));
  findings.push(...judgeIntegersOfJson(table));
  const unmapped = missingColumns(table.columns, Object.keys(destination.columns));
  if (unmapped.length > 0)
    findings.push(wrong(`has no column ${unmapped.join(', ')}, which is mapped`, 'add it, or change columns'));
  for (const { column, from, why } of unfitMappings(table.columns, destination.columns)) {
    const refuses = `refuses all that has a value for column ${column}: it is ${table.columns.get(column)}`;
    findings.push(
      why === 'json'
        ? wrong(
            `${refuses}, which takes JSON, and ${from} gives it none`,
            'make it a String, or map it from value or from a JSON pointer',
          )
        : wrong(
            `${refuses}, which takes no timestamp of a record`,
            'make it a DateTime64(3), or a UInt64 for milliseconds since 1970',
          ),
    );
  }
  const lacking = missingColumns(table.columns);
  if (lacking.length > 0)
    findings.push(
      warning(
        `lacks ${lacking.join(', ')}: after a failure rows may be inserted twice`,
        'add them; `ktb setup` prints the statement',
      ),
    );
  else if (missingColumns(table.columns, REWIND_COLUMNS).length > 0)
    findings.push(
      warning(
        'lacks _timestamp: after a loss of Temporal’s data `ktb rewind` cannot find what is in the table',
        'add it; `ktb setup` prints the statement. Rows from before will not be found by it',
      ),
    );
  for (const { kind, message } of identityFaults(table.columns)) {
    const todo = `ALTER TABLE ${quoteTable(table.name)} ${message.slice(message.indexOf('MODIFY COLUMN'))}`;
    findings.push((kind === 'rewind' ? warning : wrong)(message.slice(0, message.indexOf(': MODIFY')), todo));
  }
  if (table.lookUpRefusal !== null)
    findings.push(
      wrong(
        `may not be looked up: ${table.lookUpRefusal}. The first insert that has to be repeated would be held`,
        `GRANT SELECT(${REWIND_COLUMNS.join(', ')}) ON ${quoteTable(table.name)} to the user`,
      ),
    );
  else if (table.slowLookUp !== null)
    findings.push(
      warning(
        `is slow to be looked up: ${table.slowLookUp}. An insert that has to be repeated waits as long`,
        'see whether ClickHouse is busy; `ktb setup` proposes an order and a projection',
      ),
    );
  else if (lacking.length === 0 && !findsByIdentity(table))
    findings.push(
      warning(
        'is not sorted by its identity columns: a repeated insert has to look through much of it for its rows',
        `put them first in ORDER BY, or ${projectionStatements(table.name, table.engine).join('; ')}`,
      ),
    );
  if (!table.engine.includes('MergeTree')) {
    findings.push(
      warning(
        `has the engine ${table.engine}, which knows no deduplication tokens`,
        'know that of two attempts at one insert that overlap both may stay',
      ),
    );
  } else {
    const [own] = table.windows;
    if (own?.blocks === 0)
      findings.push(
        warning(
          'remembers no deduplication tokens: of two attempts at one insert that overlap both may stay',
          `ALTER TABLE ${quoteTable(table.name)} MODIFY SETTING ${own.setting} = 1000`,
        ),
      );
  }
  for (const [message, todo] of smallWindows(table.windows)) findings.push(warning(message, todo));
  return findings.length > 0 ? findings : [ok(`${table.engine}, ${table.columns.size} columns`)];
}

/**
 * Blocks of one insert, at most: one for each partition, by ClickHouse's default of `max_partitions_per_insert_block`.
 */
const BLOCKS_OF_INSERT_MAX = 100;

/** Columns in which an older server may change the digits of large integers, which are rejected therefore. */
function judgeIntegersOfJson({ name, columns }: TableFacts): Finding[] {
  if (columns.limits?.keepsIntegers ?? true) return [];
  return Array.from(columns)
    .filter(([, type]) => /\bJSON\b|\bObject\(/.test(type))
    .map(([column]) =>
      judges(`table ${name}`).warning(
        `rejects integers beyond 2^53 at paths without a type in column ${column}: this ClickHouse may change their last digits`,
        'give such paths a type, as in JSON(id Int64), or upgrade ClickHouse',
      ),
    );
}

/** A shorter time is over before a person has repaired a view. */
const TOKENS_KNOWN_MS_MIN = 15 * 60_000;

/**
 * For a table with materialized views: windows that are too small to send a view again what it lacks. Includes the
 * windows of the views' target tables.
 */
function* smallWindows(windows: readonly TokenWindow[]): Generator<[message: string, todo: string]> {
  if (windows.length < 2) return;
  const lost = 'what a failing view lacks cannot be sent again';
  for (const [index, { table, setting, blocks, ms }] of windows.entries()) {
    const isOwn = index === 0;
    // A table without a window has a finding of its own, with or without views.
    if (isOwn && blocks === 0) continue;
    const who = isOwn ? '' : `has a view that writes to ${table}, which `;
    if (table === null)
      yield [
        `has a view of which it cannot be told what it writes to: ${lost}`,
        'let the user see the view and its target',
      ];
    else if (blocks === 0)
      yield [
        `${who}knows no deduplication tokens: ${lost}`,
        setting === null ? 'know that' : `ALTER TABLE ${table} MODIFY SETTING ${setting} = 1000`,
      ];
    else if (blocks < BLOCKS_OF_INSERT_MAX)
      yield [
        `${who}knows the tokens of ${blocks} blocks only, of which one insert may bring ${BLOCKS_OF_INSERT_MAX}: soon ${lost}`,
        `ALTER TABLE ${table} MODIFY SETTING ${setting} = 1000`,
      ];
    else if (ms < TOKENS_KNOWN_MS_MIN)
      yield [
        `${who}knows tokens for ${ms / 1000} s only: then ${lost}`,
        `ALTER TABLE ${table} MODIFY SETTING ${setting}_seconds = 3600`,
      ];
  }
}

// ── Temporal ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface NamespaceFacts {
  readonly namespace: string;
  readonly retentionMs: number;
  /** The most bytes that it takes in one payload. */
  readonly payloadBytesMax: number;
  /** The batchers' task queue. */
  readonly taskQueue: string;
  /** Workers that have polled it for workflow tasks within the last minutes. */
  readonly workflowPollers: number;
  /**
   * Task queues of the pipelines' activities, and the workers that have polled them for these. Each installation after
   * the first has a queue of its own.
   */
  readonly activityQueues: readonly { readonly taskQueue: string; readonly pollers: number }[];
  /** Pipelines that no worker has claimed yet: no worker has run with them. */
  readonly unclaimed: readonly string[];
}

const TEMPORAL_RETENTION_MS_MIN = DAY_MS;
const TEMPORAL_RETENTION_MS_ADVISED = 7 * DAY_MS;

function kib(bytes: number): string {
  return `${Math.floor(bytes / 1024)} KiB`;
}

/** Judges the namespace and the task queues. */
export function judgeNamespace(facts: NamespaceFacts): Finding[] {
  const namespace = judges(`namespace ${facts.namespace}`);
  const kept = `keeps closed runs for ${hours(facts.retentionMs)}`;
  const loss = 'what a terminated batcher had accepted is lost unless a worker takes it over within that time';
  const todo = `temporal operator namespace update --namespace ${facts.namespace} --retention 7d`;
  return [
    facts.retentionMs < TEMPORAL_RETENTION_MS_MIN
      ? namespace.wrong(`${kept}: ${loss}`, todo)
      : facts.retentionMs < TEMPORAL_RETENTION_MS_ADVISED
        ? namespace.warning(`${kept}: ${loss}`, todo)
        : namespace.ok(kept),
    ...(facts.payloadBytesMax < PAYLOAD_BYTES_MAX
      ? [
          namespace.warning(
            `takes payloads of ${kib(facts.payloadBytesMax)}, not of ${kib(PAYLOAD_BYTES_MAX)}: signals and batches are smaller in the same measure, and a record larger than that goes to the dead-letter topic`,
            'raise limit.blobSize.error in the dynamic configuration of the server to 2097152',
          ),
        ]
      : []),
    ...judgeQueues(facts),
  ];
}

function judgeQueues({ taskQueue, workflowPollers, activityQueues, unclaimed }: NamespaceFacts): Finding[] {
  const start = 'start `ktb run`, or `ktb run --role worker`';
  // A batcher needs workers of both kinds. Every worker of its queue polls it for workflow tasks.
  const needed = new Map([[taskQueue, workflowPollers]]);
  for (const { taskQueue: name, pollers } of activityQueues)
    needed.set(name, Math.min(pollers, needed.get(name) ?? Infinity));
  const findings = Array.from(needed, ([name, pollers]): Finding => {
    const queue = judges(`task queue ${name}`);
    if (pollers > 0) return queue.ok(`${pollers} ${pollers === 1 ? 'worker' : 'workers'}`);
    return queue.warning('no worker asks for work: batchers hold what they get', start);
  });
  return [
    ...findings,
    ...unclaimed.map((name) =>
      judges(`pipeline ${name}`).warning('no worker of this version has run with it yet', start),
    ),
  ];
}
