import type { Config, PipelineConfig } from '../../config/config.js';
import { inputTopics, neededTopics } from '../../config/topics.js';
import { topicTrouble, type KafkaAdmin } from '../../kafka/admin.js';
import { findInputTopics } from '../../kafka/inputTopics.js';
import { isUserRefusal } from '../../kafka/userRefusal.js';
import { topicConfigs } from '../../kafka/topicConfigs.js';
import { messageOf } from '../../lib/messageOf.js';
import { within } from '../../lib/within.js';
import { withKafka } from '../shared/connections.js';
import { judges, type Finding } from './finding.js';
import { judgeTopics, TOPIC_SETTINGS, type TopicFacts } from './topicFindings.js';

/** The topics of Kafka, if a pipeline reads those that match a pattern. Else none is asked for. */
export async function existingTopics(config: Config): Promise<string[]> {
  if (config.pipelines.every(({ topicPatterns }) => topicPatterns.length === 0)) return [];
  return withKafka(config, (_, admin) => admin.listTopics());
}

/** Asks Kafka about the topics and groups of all pipelines. */
export function checkKafkaTopics(config: Config): Promise<Finding[]> {
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
    pipelines.map(async (pipeline) => [...neededTopics(pipeline), ...(await findInputTopics(admin, pipeline))]),
  );
  const found = await admin.describeTopics(wanted.flat());
  const topics = [...found.topics].filter(([name]) => topicTrouble(found, name) === null);
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
    return { settings: null, noSettingsBecause: isUserRefusal(error) ? null : messageOf(error) };
  }
}

async function checkGroup(admin: KafkaAdmin, groupId: string, topics: string[]): Promise<Finding> {
  const { ok, wrong } = judges(`group ${groupId}`);
  try {
    await admin.fetchCommits(
      groupId,
      topics.map((topic) => ({ topic, partition: 0 })),
    );
    const { groups } = await admin.describeGroups([groupId]);
    const members = groups[0]?.members.length ?? 0;
    return ok(members === 0 ? 'no members: nobody reads' : `members: ${members}, ${groups[0]?.state ?? ''}`);
  } catch (error) {
    if (isUserRefusal(error)) return wrong(`may not be asked: ${messageOf(error)}`, 'grant Read and Describe on it');
    // kafkajs says this of every broker's refusal, too.
    return (error as Error).name === 'KafkaJSGroupCoordinatorNotFound'
      ? wrong('may not be asked, or no broker is its coordinator', 'grant Read on it; else see to its coordinator')
      : wrong(`does not answer: ${messageOf(error)}`, 'see to its coordinator, and check again');
  }
}
