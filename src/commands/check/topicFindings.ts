import type { PipelineConfig } from '../../config/config.js';
import { inputTopics, NAME_OF_ALL_OBJECTS, passedOverTopics } from '../../config/topics.js';
import { CHUNK_BYTES_MAX } from '../../protocol/payloadLimit.js';
import { DAY_MS, durationText } from './durationText.js';
import { judges, type Finding } from './finding.js';

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

/** Enough for an outage over a night. */
const INPUT_RETENTION_MS_MIN = DAY_MS;

/** Enough time for people to look at dead letters. */
const DEAD_LETTER_RETENTION_MS_MIN = 7 * DAY_MS;

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
  const passedOver = passedOverTopics(pipeline, topics.keys()).map((topic) =>
    judges(`topic ${topic}`).warning(`pipeline ${pipeline.name} passes it over: ${NAME_OF_ALL_OBJECTS}`, RENAME),
  );
  return [...nothingMatches, ...passedOver, ...tooManyPartitions(pipeline, inputs, topics), ...readers, ...writers];
}

/**
 * Partitions of all topics of a pipeline, at most. A batcher hands 1 MB of coverage from run to run. It takes some 270
 * bytes for a partition, and 70 for another epoch. There has to be room for a second epoch of each, and for longer
 * names and offsets, or for a hole in each epoch: that is 60 bytes more.
 */
export const PARTITIONS_MAX = 2_500;

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

const RENAME = 'give the topic another name, or let the pattern begin with a prefix of your own';
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
  const findings = [
    ...judgeReplicas(topic, brokers),
    ...judgeRetention(topic, INPUT_RETENTION_MS_MIN, (time) => {
      return [`keeps records for ${time}: an outage that is longer loses those not read yet`, ''];
    }),
  ];
  if (topic.settings?.get('cleanup.policy')?.includes('compact') === true)
    findings.push(
      warning(
        'is compacted: a record may be replaced by a later one of its key before it is read',
        'know that it is so',
      ),
    );
  const maxBytes = numberOf(topic, 'max.message.bytes');
  if (maxBytes !== null && maxBytes > CHUNK_BYTES_MAX)
    findings.push(
      warning(
        `takes records of ${maxBytes} bytes; those that are over ${CHUNK_BYTES_MAX} when compressed fit into no signal`,
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

function judgeDeadLetters(topic: TopicFacts, brokers: number): Finding[] {
  return summed(topic, [
    ...judgeReplicas(topic, brokers),
    ...judgeRetention(topic, DEAD_LETTER_RETENTION_MS_MIN, (time) => {
      return [`keeps dead letters for ${time} only`, ', so that somebody can look at them'];
    }),
    ...judgeCompaction(topic, 'dead letters'),
  ]);
}

/**
 * Warns of a topic that keeps its records for less than this.
 *
 * @param say what is wrong with that time, and what the advice ends with
 */
function judgeRetention(
  topic: TopicFacts,
  leastMs: number,
  say: (time: string) => readonly [message: string, purpose: string],
): Finding[] {
  const retentionMs = numberOf(topic, 'retention.ms');
  if (retentionMs === null || retentionMs < 0 || retentionMs >= leastMs) return [];
  const [message, purpose] = say(durationText(retentionMs));
  return [judges(`topic ${topic.name}`).warning(message, `set retention.ms to ${leastMs} or more${purpose}`)];
}

/** A compacted topic refuses messages without a key, and of two messages with one key it keeps the later one. */
function judgeCompaction({ name, settings }: TopicFacts, what: string): Finding[] {
  if (settings?.get('cleanup.policy')?.includes('compact') !== true) return [];
  const message = `is compacted: of two ${what} with one key the first is removed, and those without a key get one`;
  return [judges(`topic ${name}`).wrong(message, 'set cleanup.policy to delete')];
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
  const time =
    retentionMs === null ? '' : retentionMs < 0 ? ', kept for ever' : `, kept for ${durationText(retentionMs)}`;
  const kept = bytes < 0 ? time : `${time}, at most ${Math.round(bytes / 1024 ** 2)} MiB a partition`;
  return [judges(`topic ${topic.name}`).ok(`${topic.partitions} partitions${kept}`)];
}

function numberOf({ settings }: TopicFacts, name: string): number | null {
  const text = settings?.get(name);
  return text === undefined ? null : Number(text);
}
