import type { Kafka } from 'kafkajs';
import { faultMessage, identityFaults, missingColumns, REWIND_COLUMNS } from '../clickhouse/identityColumns.js';
import type { Config, PipelineConfig } from '../config/config.js';
import { loadConfig } from '../config/load.js';
import { planRewind, type RewindPlan } from '../consumer/partitions/rewindPlan.js';
import { visitGroup } from '../kafka/groupVisit.js';
import { findGroupOffsets, offsetsAt } from '../kafka/offsets.js';
import type { KafkaAdmin } from '../kafka/admin.js';
import { findInputTopics } from '../kafka/inputTopics.js';
import { tablesOf, topicsReadTwice, type TablesOfPipeline } from '../protocol/tables.js';
import { partitionName, type TopicPartition } from '../protocol/record.js';
import { UsageError } from '../lib/usageError.js';
import { withKafka, withTables } from './shared/connections.js';
import { chosenPartitions, pipelineNamed } from './shared/chosen.js';
import { answerOf } from './shared/answer.js';
import { columnsOfOne } from './shared/columnsOfOne.js';
import { parsePosition, type LogPosition } from './shared/logPosition.js';

export interface RewindOptions {
  readonly config: string;
  readonly to: string;
  readonly again: boolean;
  readonly partition: readonly string[];
  readonly dryRun: boolean;
}

interface PlannedPartition extends TopicPartition {
  /** Null if there is none. */
  readonly committed: number | null | 'unknown';
  readonly end: number;
  readonly plan: RewindPlan;
}

/**
 * `ktb rewind`: moves the committed offsets of a stopped group back. By default it fills holes: what is in the table
 * already is not inserted again. With `--again` everything is ingested again, as new records. Exit code 1 if a chosen
 * partition was left for a problem: whoever starts the consumers then would not read it again.
 */
export async function rewind(name: string, options: RewindOptions): Promise<void> {
  const config = loadConfig(options.config);
  const pipeline = pipelineNamed(config, name);
  const target = parsePosition('--to', options.to);
  await withKafka(config, async (kafka, admin) => {
    await mustBeStopped(admin, pipeline);
    const topics = await findInputTopics(admin, pipeline);
    const all = await planPartitions(admin, pipeline.groupId, topics, target, options.again);
    const planned = chosenPartitions(all, options.partition);
    if (planned.length === 0) throw new UsageError('the pipeline has no topic: none matches');
    if (!options.again) {
      const chosen = [...new Set(planned.map(({ topic }) => topic))];
      mustFillAlone(await readingOf(admin, config, chosen), name, config.clickhouse.database);
      await mustHaveIdentity(config, pipeline, chosen);
    }
    if (!options.dryRun) await commitOrTell(kafka, admin, pipeline.groupId, topics, planned);
    for (const line of rewindText(planned, target, options)) console.log(line);
    if (planned.some(isProblem)) process.exitCode = 1;
  });
}

async function mustBeStopped(admin: KafkaAdmin, { groupId }: PipelineConfig): Promise<void> {
  const { groups } = await admin.describeGroups([groupId]);
  const members = groups[0]?.members.length ?? 0;
  if (members > 0) {
    throw new Error(
      `group ${groupId} has ${members} running ${members === 1 ? 'member' : 'members'}, which would commit over it: stop the consumers first`,
    );
  }
}

/** Which of these topics each pipeline reads, and into which tables. */
async function readingOf(
  admin: KafkaAdmin,
  { pipelines }: Config,
  chosen: readonly string[],
): Promise<TablesOfPipeline[]> {
  return Promise.all(
    pipelines.map(async (pipeline) => {
      const topics = await findInputTopics(admin, pipeline);
      const read = topics.filter((topic) => chosen.includes(topic));
      return { name: pipeline.name, destination: pipeline.settings.destination, topics: read };
    }),
  );
}

/**
 * A row does not say which pipeline has made it. If another one fills a table from the same topic, its rows would count
 * as those of this pipeline, and records would be answered as inserted that are not.
 *
 * @param reading what each pipeline reads of the topics that are rewound
 * @param ownDatabase the database of tables that name none
 * @throws Error
 */
export function mustFillAlone(reading: readonly TablesOfPipeline[], name: string, ownDatabase: string): void {
  const shared = topicsReadTwice(reading, ownDatabase).find(({ pipelines }) => pipelines.includes(name));
  if (shared === undefined) return;
  const others = shared.pipelines.filter((other) => other !== name);
  throw new Error(
    `table ${shared.table} also gets the records of topic ${shared.topic} from ${others.length === 1 ? 'pipeline' : 'the pipelines'} ${others.join(' and ')}: ` +
      `their rows would count as rows of ${name}, and what ${name} lacks would not be inserted. ` +
      'Let only one of them fill the table; or use --again, which ingests all records again',
  );
}

/** Without these columns the table cannot tell which records it has. */
async function mustHaveIdentity(
  config: Config,
  { settings }: PipelineConfig,
  topics: readonly string[],
): Promise<void> {
  await withTables(config, async (tables) => {
    for (const table of tablesOf(settings.destination, topics).keys()) {
      const columns = await columnsOfOne(tables, table, settings.destination);
      if (columns === null) continue;
      const [fault] = identityFaults(columns);
      if (fault !== undefined)
        throw new Error(`table ${table}: ${faultMessage(fault)}; or use --again, which ingests all records again`);
      const missing = missingColumns(columns, REWIND_COLUMNS);
      if (missing.length === 0) continue;
      throw new Error(
        `table ${table} lacks ${missing.join(', ')}, by which records that are there would be found: use --again, which ingests all of them again`,
      );
    }
  });
}

/** What to do with each partition of these topics, also with those that Kafka does not tell about. */
export async function planPartitions(
  admin: Pick<KafkaAdmin, 'describeTopics' | 'fetchLogs' | 'fetchCommits' | 'fetchOffsetsAt'>,
  groupId: string,
  topics: readonly string[],
  target: LogPosition,
  again: boolean,
): Promise<PlannedPartition[]> {
  const { clusterId } = await admin.describeTopics([]);
  const { logs, unknown } = await findGroupOffsets(admin, groupId, topics);
  const targetOf = await offsetsAt(admin, logs, target);
  const left = unknown.map((where): PlannedPartition => {
    const { topic, partition, problem } = where;
    return { topic, partition, committed: 'unknown', end: 0, plan: { type: 'leave', why: 'problem', reason: problem } };
  });
  const planned = logs.map((facts): PlannedPartition => {
    const { topic, partition, committedOffset, logEnd } = facts;
    const plan = planRewind({ ...facts, clusterId, target: targetOf(facts) }, { again });
    return { topic, partition, committed: committedOffset, end: logEnd, plan };
  });
  return [...left, ...planned].sort(
    (one, other) => one.topic.localeCompare(other.topic) || one.partition - other.partition,
  );
}

/** If it fails, prints what was committed nevertheless: whoever repeats the command or starts the consumers has to know it. */
async function commitOrTell(
  kafka: Kafka,
  admin: KafkaAdmin,
  groupId: string,
  topics: readonly string[],
  planned: readonly PlannedPartition[],
): Promise<void> {
  try {
    await commitPlans(kafka, groupId, topics, planned);
  } catch (error) {
    for (const line of await brokenOffText(admin, groupId, planned)) console.log(line);
    throw error;
  }
}

/**
 * After a failed commit: which partitions have gone back, line by line. Kafka takes a large commit in parts, and of each
 * part what it does not refuse.
 */
export async function brokenOffText(
  admin: Pick<KafkaAdmin, 'fetchCommits'>,
  groupId: string,
  planned: readonly PlannedPartition[],
): Promise<string[]> {
  const sought = planned.flatMap(({ plan, ...partition }) => (plan.type === 'commit' ? [{ ...partition, plan }] : []));
  const answer = await answerOf(admin.fetchCommits(groupId, sought));
  if (!answer.ok)
    return [`Some of ${sought.length} partitions may have gone back. Kafka does not tell which: ${answer.error}`];
  const isBack = ({ plan, ...partition }: (typeof sought)[number]): boolean => {
    const now = answer.value.get(partitionName(partition));
    return now?.offset === plan.offset && (now.metadata ?? '') === plan.metadata;
  };
  const back = sought.filter(isBack).length;
  if (back === 0) return ['No partition has gone back.'];
  return [
    ...sought.map((partition) => {
      const { committed, plan } = partition;
      const from = placeText(committed);
      return `${partitionName(partition)}: ${isBack(partition) ? `went back to ${plan.offset}` : `not gone back, still ${from}`}`;
    }),
    `The commit failed: ${back} of ${sought.length} partitions have gone back. Repeat the command before you start the consumers.`,
  ];
}

/** Commits as the group's only member, because Kafka takes a group's offsets only from its members. */
async function commitPlans(
  kafka: Kafka,
  groupId: string,
  topics: readonly string[],
  planned: readonly PlannedPartition[],
): Promise<void> {
  const commits = planned.flatMap(({ topic, partition, plan }) =>
    plan.type === 'commit' ? [{ topic, partition, offset: String(plan.offset), metadata: plan.metadata }] : [],
  );
  if (commits.length === 0) return;
  await visitGroup(kafka, { groupId, topics }, async ({ assignment, commit }) => {
    if (
      !commits.every(
        ({ topic, partition }) => Object.hasOwn(assignment, topic) && assignment[topic]?.includes(partition),
      )
    ) {
      throw new Error(`another member has joined group ${groupId}: stop the consumers first`);
    }
    await commit(commits);
  });
}

/** What was done, or would be done, line by line. Pure. */
export function rewindText(
  planned: readonly PlannedPartition[],
  target: LogPosition,
  { again, dryRun }: Pick<RewindOptions, 'again' | 'dryRun'>,
): string[] {
  let records = 0;
  const problems = planned.filter(isProblem).length;
  const lines = planned.map(({ committed, end, plan, ...partition }) => {
    const where = partition.partition < 0 ? partition.topic : partitionName(partition);
    if (plan.type === 'leave') return `${where}: left ${placeText(committed)}: ${plan.reason}`;
    const from = typeof committed === 'number' ? committed : 0;
    records += (again ? from : end) - plan.offset;
    return `${where}: ${dryRun ? 'would go' : 'went'} back from ${from} to ${plan.offset}`;
  });
  const what = again ? 'are ingested again' : 'are read again, and those that the table lacks are inserted';
  return [
    ...lines,
    `Up to ${records} records ${what}${dryRun ? '' : ', once the consumers are started'}.`,
    ...(problems === 0 ? [] : [`${problems} of ${planned.length} partitions ${problemText(problems, dryRun)}`]),
    ...(typeof target === 'object' ? [again ? WHOSE_TIME : `${WHOSE_TIME} ${WITHOUT_TIME}`] : []),
  ];
}

function isProblem({ plan }: PlannedPartition): boolean {
  return plan.type === 'leave' && plan.why === 'problem';
}

function placeText(committed: PlannedPartition['committed']): string {
  return committed === 'unknown' ? 'where it is' : `at ${committed ?? 'no offset'}`;
}

function problemText(problems: number, dryRun: boolean): string {
  const [were, its, it] = problems === 1 ? ['was', 'its problem is', 'it'] : ['were', 'their problems are', 'them'];
  return `${dryRun ? 'would be' : were} left for a problem, and nothing there is read again: once ${its} solved, rewind ${it} with --partition.`;
}

const WHOSE_TIME =
  "The time was compared with the records' own timestamps. Their producers set them, unless the topic has message.timestamp.type=LogAppendTime: " +
  'records written later with an older timestamp may not be among these.';
const WITHOUT_TIME = '--to earliest, or an offset, does not depend on them.';
