import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin, Kafka } from 'kafkajs';
import { groupBy } from '../lib/groupBy.js';
import { messageOf } from '../lib/messageOf.js';
import { NoAnswerError, within } from '../lib/within.js';
import { partitionName, type TopicPartition } from '../protocol/record.js';
import { byTopic } from './byTopic.js';
import { toOffset } from './fromKafka.js';
import {
  askEpochEnd,
  askMetadata,
  askOffsets,
  askTopicNames,
  createCluster,
  ISOLATION,
  type Broker,
  type Cluster,
} from './kafkajs/cluster.js';
import type { RawEpochEnd } from './kafkajs/leaderEpochs.js';
import { UNKNOWN_TOPIC } from './errorType.js';
import { errorOfCode } from './kafkajs/errorCodes.js';
import { ONLY_BROKERS } from './kafkajs/metadata.js';

/** Attempts to ask a broker or a leader. The pause before each further attempt is longer by this time. */
const TRIES_MAX = 4;
const RETRY_PAUSE_MS = 200;
/** The silence of a broker after which others are asked, too. */
const SILENT_MS = 2_000;
/** How long the list of all topics is shared by all who ask. It is the only answer that grows with the cluster. */
const TOPIC_NAMES_MAX_AGE_MS = 10_000;

/** An answer to the question where a leader epoch ends in a log. */
export type EpochEnd = Pick<RawEpochEnd, 'leaderEpoch' | 'endOffset'>;

/**
 * kafkajs's admin client, with some lookups replaced. In kafkajs's own, one bad topic or partition makes the whole
 * lookup fail.
 */
export type KafkaAdmin = Admin & KafkaLookups;

export interface KafkaLookups {
  /** The brokers, and facts about these topics only. Rejects if no broker answers. */
  describeTopics(topics: readonly string[]): Promise<ClusterFacts>;
  /** The names of all topics, at most ten seconds old. Rejects if no broker answers. */
  listTopics(): Promise<string[]>;
  /**
   * Where the logs of topics begin and end. Partitions are asked independently: one that does not answer, or a missing
   * topic, is in the result with the reason. Rejects if no broker answers.
   */
  fetchLogs(topics: readonly string[], options?: LogOptions): Promise<(LogAnswer | NoAnswer)[]>;
  /**
   * The ends of a topic's logs, by partition, including records of open transactions. ({@link fetchLogs} gives the end
   * of what may be read.) Partitions that do not answer are left out.
   */
  fetchHighWatermarks(topic: string): Promise<ReadonlyMap<string, number>>;
  /**
   * Where the records of a leader epoch, and of all before, end in a log. Null if the brokers are older than Kafka 2.1: they do not
   * know such questions. Rejects if the leader does not answer, or has moved.
   */
  fetchEpochEnd(partition: TopicPartition, leaderEpoch: number): Promise<EpochEnd | null>;
  /**
   * The first offsets at or after a time, by partition. -1 if there is none. A time before 1970 stands for the start of
   * the log: Kafka looks up no such time, and takes -1 for the end. Rejects if one of them cannot be found out now.
   */
  fetchOffsetsAt(partitions: readonly TopicPartition[], timestampMs: number): Promise<ReadonlyMap<string, number>>;
  /**
   * What a group has committed, by partition. Rejects if the group's coordinator does not answer.
   *
   * @param partitions `all`: every partition that the group has committed
   */
  fetchCommits(
    groupId: string,
    partitions: readonly TopicPartition[] | 'all',
  ): Promise<ReadonlyMap<string, CommittedOffset>>;
}

export interface LogOptions {
  /** Also ask for {@link LogAnswer.highWatermark}. It takes a further request for each leader. */
  readonly highWatermarks?: boolean;
}

export interface ClusterFacts {
  /** Null if the broker does not know it, or not yet. */
  readonly clusterId: string | null;
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[];
  readonly topics: ReadonlyMap<string, TopicPlaces>;
}

export interface TopicPlaces {
  /** Kafka's error for the topic, for example UNKNOWN_TOPIC_OR_PARTITION. Null if there is none. */
  readonly error: string | null;
  /** Missing if the broker does not tell it (Kafka before 2.8, and some that speak its protocol). */
  readonly topicId?: string;
  readonly partitions: readonly {
    readonly partition: number;
    /** The broker that leads it. Null if none does. */
    readonly leader: number | null;
    readonly replicas: readonly number[];
  }[];
}

/** Where the log of a partition begins and ends. */
export interface LogAnswer extends TopicPartition {
  /**
   * The id that its topic had just before. Another topic of that name has another one. Missing if Kafka does not tell
   * it.
   */
  readonly topicId?: string;
  /** The first offset in the log. */
  readonly logStart: number;
  /** The next offset to be written, or the first offset of a transaction that is still open. */
  readonly logEnd: number;
  /** The next offset to be written, whatever transactions are open. Only if it was asked for and the leader answers. */
  readonly highWatermark?: number;
}

/** Why nothing is known of a partition. Partition -1 stands for the whole topic. */
export interface NoAnswer extends TopicPartition {
  readonly problem: string;
  /** Set if the topic does not exist. */
  readonly isMissing?: true;
}

export interface CommittedOffset {
  /** Kafka's -1 and kafkajs's -2 mean that there is none. */
  readonly offset: number;
  readonly metadata: string | null;
  /** The leader epoch of the record before the offset. Absent if none is committed: by others, or on brokers before Kafka 2.1. */
  readonly leaderEpoch?: number;
}

export const NO_LEADER = 'it has no leader: all brokers that have it are away';
const EARLIEST = -2;
const LATEST = -1;
const NO_EPOCH = -1;

/** Creates the client. It is not connected yet. */
export function createAdmin(kafka: Kafka): KafkaAdmin {
  const admin = kafka.admin();
  const lookups = new Lookups(createCluster(kafka));
  return {
    ...admin,
    disconnect: async () => {
      await Promise.all([admin.disconnect(), lookups.disconnect()]);
    },
    describeTopics: (topics) => lookups.describeTopics(topics),
    listTopics: () => lookups.listTopics(),
    fetchLogs: (topics, options) => lookups.fetchLogs(topics, options),
    fetchHighWatermarks: (topic) => lookups.fetchHighWatermarks(topic),
    fetchEpochEnd: (partition, leaderEpoch) => lookups.fetchEpochEnd(partition, leaderEpoch),
    fetchOffsetsAt: (partitions, timestampMs) => lookups.fetchOffsetsAt(partitions, timestampMs),
    fetchCommits: (groupId, partitions) => lookups.fetchCommits(groupId, partitions),
  };
}

/** Which offset to ask for. */
interface Sought {
  /** Milliseconds since 1970, or {@link EARLIEST}, {@link LATEST}. */
  readonly timestamp: number;
  readonly known?: ClusterFacts['topics'];
  /** Default `committed`: the log ends where the first open transaction begins. */
  readonly isolation?: keyof typeof ISOLATION;
}

class Lookups implements KafkaLookups {
  readonly #cluster: Cluster;
  #names: { readonly answer: Promise<string[]>; readonly untilMs: number } | null = null;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async disconnect(): Promise<void> {
    await this.#cluster.disconnect();
  }

  async describeTopics(topics: readonly string[]): Promise<ClusterFacts> {
    const { clusterId, brokers, topicMetadata } = await this.#askAny((broker) =>
      askMetadata(broker, topics.length === 0 ? [ONLY_BROKERS] : [...new Set(topics)]),
    );
    const places = topicMetadata.map(({ topic, topicErrorCode, topicId, partitionMetadata }): [string, TopicPlaces] => [
      topic,
      {
        ...(topicId === undefined ? {} : { topicId }),
        error: topicErrorCode === 0 ? null : errorOfCode(topicErrorCode).type,
        partitions: partitionMetadata
          .map(({ partitionId, leader, replicas }) => ({
            partition: partitionId,
            leader: leader < 0 ? null : leader,
            replicas,
          }))
          .sort((one, other) => one.partition - other.partition),
      },
    ]);
    return { clusterId: clusterId ?? null, brokers, topics: new Map(places) };
  }

  listTopics(): Promise<string[]> {
    const nowMs = performance.now();
    if (this.#names === null || nowMs >= this.#names.untilMs) {
      const answer = this.#askAny(askTopicNames);
      const names = { answer, untilMs: nowMs + TOPIC_NAMES_MAX_AGE_MS };
      this.#names = names;
      answer.catch(() => {
        if (this.#names === names) this.#names = null;
      });
    }
    return this.#names.answer;
  }

  async fetchLogs(
    topics: readonly string[],
    { highWatermarks = false }: LogOptions = {},
  ): Promise<(LogAnswer | NoAnswer)[]> {
    if (topics.length === 0) return [];
    const { topics: known } = await this.describeTopics(topics);
    const missing = topics.flatMap((topic): NoAnswer[] => {
      const error = known.get(topic)?.error;
      if (error === null) return [];
      const answer = { topic, partition: -1, problem: topicProblem(topic, error) };
      return [isMissing(error) ? { ...answer, isMissing: true } : answer];
    });
    const partitions = topics.flatMap((topic) =>
      (known.get(topic)?.partitions ?? []).map(({ partition }) => ({ topic, partition })),
    );
    const [starts, ends] = await Promise.all([
      this.#fetchOffsets(partitions, { timestamp: EARLIEST, known }),
      this.#fetchOffsets(partitions, { timestamp: LATEST, known }),
    ]);
    // Asked last, so that it is not lower than the end of what may be read.
    const watermarks = highWatermarks
      ? await this.#fetchOffsets(partitions, { timestamp: LATEST, known, isolation: 'uncommitted' })
      : new Map<string, number | string>();
    const logs = partitions.map((where): LogAnswer | NoAnswer => {
      const name = partitionName(where);
      const [logStart, logEnd] = [starts.get(name), ends.get(name)];
      if (typeof logStart === 'number' && typeof logEnd === 'number') {
        const topicId = known.get(where.topic)?.topicId;
        const highWatermark = watermarks.get(name);
        return {
          ...{ ...where, logStart, logEnd },
          ...(topicId === undefined ? {} : { topicId }),
          ...(typeof highWatermark === 'number' ? { highWatermark } : {}),
        };
      }
      return { ...where, problem: [logStart, logEnd].find((answer) => typeof answer === 'string') ?? NO_LEADER };
    });
    return [...missing, ...logs];
  }

  async fetchHighWatermarks(topic: string): Promise<ReadonlyMap<string, number>> {
    const { topics: known } = await this.describeTopics([topic]);
    const partitions = (known.get(topic)?.partitions ?? []).map(({ partition }) => ({ topic, partition }));
    const answers = await this.#fetchOffsets(partitions, { timestamp: LATEST, known, isolation: 'uncommitted' });
    return new Map([...answers].flatMap(([name, end]) => (typeof end === 'number' ? [[name, end] as const] : [])));
  }

  async fetchEpochEnd({ topic, partition }: TopicPartition, leaderEpoch: number): Promise<EpochEnd | null> {
    for (let tries = 1; ; tries++) {
      const { topics } = await this.describeTopics([topic]);
      const leader = topics.get(topic)?.partitions.find((each) => each.partition === partition)?.leader ?? null;
      if (leader === null) throw new Error(`${partitionName({ topic, partition })}: ${NO_LEADER}`);
      const answer = await askEpochEnd(
        await this.#cluster.findBroker({ nodeId: leader }),
        topic,
        partition,
        leaderEpoch,
      );
      if (answer === null) return null;
      if (answer.errorCode === 0) return answer;
      if (tries >= TRIES_MAX) throw errorOfCode(answer.errorCode);
      await sleep(tries * RETRY_PAUSE_MS);
    }
  }

  async fetchOffsetsAt(
    partitions: readonly TopicPartition[],
    timestampMs: number,
  ): Promise<ReadonlyMap<string, number>> {
    const answers = await this.#fetchOffsets(partitions, { timestamp: timestampMs < 0 ? EARLIEST : timestampMs });
    const offsets = new Map<string, number>();
    for (const [name, answer] of answers) {
      if (typeof answer === 'string') throw new Error(`${name}: ${answer}`);
      offsets.set(name, answer);
    }
    return offsets;
  }

  async fetchCommits(
    groupId: string,
    partitions: readonly TopicPartition[] | 'all',
  ): Promise<ReadonlyMap<string, CommittedOffset>> {
    if (partitions.length === 0) return new Map();
    // For an empty list Kafka returns everything that the group has committed.
    const asked = partitions === 'all' ? [] : partitions;
    const { responses } = await retried(async () => {
      await this.#connect();
      const coordinator = await this.#cluster.findGroupCoordinator({ groupId });
      return coordinator.offsetFetch({ groupId, topics: byTopic(asked, ({ partition }) => ({ partition })) });
    });
    return new Map(
      responses.flatMap(({ topic, partitions: list }) =>
        list.map(
          ({ partition, offset, metadata, leaderEpoch = NO_EPOCH }) =>
            [
              partitionName({ topic, partition }),
              { offset: toOffset(offset), metadata, ...(leaderEpoch < 0 ? {} : { leaderEpoch }) },
            ] as const,
        ),
      ),
    );
  }

  /**
   * The offset of each partition, or why there is none. If a leader has moved or does not answer, the leaders are asked
   * for again.
   *
   * @param sought.known answer of a lookup that was made just before
   */
  async #fetchOffsets(
    partitions: readonly TopicPartition[],
    sought: Sought,
  ): Promise<ReadonlyMap<string, number | string>> {
    const { known } = sought;
    const answers = new Map<string, number | string>();
    let left = partitions;
    for (let tries = 1; left.length > 0; tries++) {
      const places =
        tries === 1 && known !== undefined ? known : (await this.describeTopics(left.map(({ topic }) => topic))).topics;
      const byLeader = groupByLeader(left, places);
      for (const where of byLeader.get(null) ?? []) answers.set(partitionName(where), NO_LEADER);
      byLeader.delete(null);
      await Promise.all([...byLeader].map(([leader, led]) => this.#askLeader(leader as number, led, sought, answers)));
      if (tries >= TRIES_MAX) break;
      left = [...byLeader.values()].flat().filter((where) => typeof answers.get(partitionName(where)) !== 'number');
      if (left.length > 0) await sleep(tries * RETRY_PAUSE_MS);
    }
    return answers;
  }

  async #askLeader(
    leader: number,
    partitions: readonly TopicPartition[],
    { timestamp, isolation = 'committed' }: Sought,
    answers: Map<string, number | string>,
  ): Promise<void> {
    try {
      const broker = await this.#cluster.findBroker({ nodeId: leader });
      const topics = byTopic(partitions, ({ partition }) => ({ partition, timestamp }));
      for (const { topic, partitions: list } of (await askOffsets(broker, topics, ISOLATION[isolation])).responses) {
        for (const { partition, errorCode, offset } of list) {
          const answer = errorCode === 0 ? toOffset(offset) : errorOfCode(errorCode).message;
          answers.set(partitionName({ topic, partition }), answer);
        }
      }
    } catch (error) {
      for (const where of partitions)
        answers.set(partitionName(where), `its leader, broker ${leader}, does not answer (${messageOf(error)})`);
    }
  }

  /**
   * Asks a broker, and two others if it is silent for a while: one that hangs would cost the 30 s of kafkajs's request
   * timeout. The first answer counts.
   */
  async #askAny<T>(ask: (broker: Broker) => Promise<T>): Promise<T> {
    return retried(async () => {
      await this.#connect();
      const broker = await this.#cluster.brokerPool.findConnectedBroker();
      const answer = ask(broker);
      try {
        return await within(answer, SILENT_MS);
      } catch (error) {
        if (!(error instanceof NoAnswerError)) throw error;
      }
      const others = this.#cluster.getNodeIds().filter((nodeId) => nodeId !== String(broker.nodeId));
      const asked = chosen(others, 2).map(async (nodeId) => ask(await this.#cluster.findBroker({ nodeId })));
      try {
        return await Promise.any([answer, ...asked]);
      } catch (error) {
        throw error instanceof AggregateError ? error.errors[0] : error;
      }
    });
  }

  async #connect(): Promise<void> {
    await this.#cluster.connect();
    if (this.#cluster.getNodeIds().length === 0) await this.#cluster.refreshMetadata();
  }
}

/** Some of a list, chosen at random. */
function chosen<T>(list: readonly T[], count: number): T[] {
  const left = [...list];
  const some: T[] = [];
  while (left.length > 0 && some.length < count) some.push(...left.splice(Math.floor(Math.random() * left.length), 1));
  return some;
}

/** Partitions by their leader. Null stands for partitions without one. */
function groupByLeader(
  partitions: readonly TopicPartition[],
  topics: ClusterFacts['topics'],
): Map<number | null, TopicPartition[]> {
  const leaders = new Map(
    [...topics].flatMap(([topic, places]) =>
      places.partitions.map(({ partition, leader }) => [partitionName({ topic, partition }), leader] as const),
    ),
  );
  return groupBy(partitions, (where) => leaders.get(partitionName(where)) ?? null);
}

/** Repeats a request if kafkajs says that a retry can help. */
async function retried<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (tries >= TRIES_MAX || (error as { retriable?: boolean }).retriable !== true) throw error;
      await sleep(tries * RETRY_PAUSE_MS);
    }
  }
}

/**
 * Why a topic cannot be used, by Kafka's answer: there is none of this name, or Kafka does not say anything of it, for
 * example to this user. Null if it is there, even while it has no leader.
 */
export function topicTrouble(
  { topics }: ClusterFacts,
  topic: string,
): { readonly isMissing: boolean; readonly problem: string } | null {
  const error = topics.get(topic)?.error;
  if (error === null || error === 'LEADER_NOT_AVAILABLE') return null;
  return { isMissing: isMissing(error), problem: topicProblem(topic, error) };
}

/** @param error Kafka's error for the topic. Undefined if the topic was not in the answer */
export function topicProblem(topic: string, error: string | undefined): string {
  return isMissing(error) ? `Kafka has no topic ${topic}` : `Kafka says nothing of topic ${topic}: ${error}`;
}

function isMissing(error: string | undefined): boolean {
  return error === undefined || error === UNKNOWN_TOPIC;
}
