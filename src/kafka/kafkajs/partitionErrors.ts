import { partitionName, type TopicPartition } from '../../protocol/record.js';
import { errorOfCode } from './errorCodes.js';
import type { KafkajsBatch } from './fetchedBatch.js';
import { FETCH_VERSIONS, recordSetOf, type FetchResponse } from './fetchResponse.js';
import { internalModule, type Repairable } from './internals.js';

/** Where an assigner has a handler of partitions that brokers do not give. */
export const PARTITION_ERROR = Symbol('ktb:partitionError');

/**
 * A broker has answered a fetch with an error for one partition, as Kafka names it, for instance TOPIC_AUTHORIZATION_FAILED; null where
 * it gives the partition again. Told at each answer, some once a second.
 */
export type PartitionErrorHandler = (partition: TopicPartition, error: string | null) => void;

/** Before a partition whose leader has answered with an error is asked again. */
const RETRY_MS = 1_000;
/** Between two looks for the leaders of partitions that have none, or had an error, and for topics of which nothing is known. */
const REFRESH_MS = 2_000;

const OFFSET_OUT_OF_RANGE = 1;
/** CORRUPT_MESSAGE, UNSUPPORTED_COMPRESSION_TYPE: the broker finds what is in the log unreadable, and the reader tells it. */
const UNREADABLE: readonly number[] = [2, 76];
const TOPIC_AUTHORIZATION_FAILED = 29;

/** What is used of kafkajs's `consumer/consumerGroup`. */
interface ConsumerGroup {
  readonly cluster: {
    refreshMetadata(): Promise<void>;
    findTopicPartitionMetadata(
      topic: string,
    ): readonly { readonly partitionId: number; readonly leader: number | null }[];
  };
  readonly assigners: readonly { readonly [PARTITION_ERROR]?: PartitionErrorHandler }[];
  readonly topicsSubscribed: readonly string[];
  assigned(): readonly { readonly topic: string; readonly partitions: readonly number[] }[];
  fetch: (this: ConsumerGroup, nodeId: string) => Promise<KafkajsBatch[]>;
  getActiveTopicPartitions: (this: ConsumerGroup) => Record<string, Set<number>>;
  recoverFromFetch(error: unknown): Promise<void>;
  recoverFromOffsetOutOfRange(error: TopicPartition): Promise<void>;
}

/** Times by `performance.now()`. */
interface Standing {
  /** Partitions, by their names, that are not asked before. */
  readonly retryAtMs: Map<string, number>;
  /** Partitions, by their names, whose last answer was an error that the handler was told. */
  readonly failing: Set<string>;
  refreshAtMs: number;
}

/**
 * Repairs what kafkajs does where a broker answers a fetch with an error for one partition (NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR,
 * OFFSET_OUT_OF_RANGE and others): it throws the whole answer away and, for most, makes the member join its group again. Repaired, the
 * others' records are taken, the partition is asked again after a second, and its leader is looked for; so is that of a partition
 * without one, which kafkajs finds when its metadata is too old, after a minute. The handler that the consumer's assigner carries is
 * told; for a consumer without a handler what its user may not read is an error as before. To be called once.
 */
export function keepPartitionErrorsApart(): void {
  for (const version of FETCH_VERSIONS) {
    const response = internalModule(`protocol/requests/fetch/v${version}/response`) as {
      parse: (data: FetchResponse) => Promise<FetchResponse>;
    };
    response.parse = (data) => Promise.resolve(data);
  }
  const standings = new WeakMap<ConsumerGroup, Standing>();
  const standingOf = (group: ConsumerGroup): Standing => {
    let standing = standings.get(group);
    if (standing === undefined)
      standings.set(group, (standing = { retryAtMs: new Map(), failing: new Set(), refreshAtMs: 0 }));
    return standing;
  };
  const { prototype } = internalModule('consumer/consumerGroup') as Repairable<ConsumerGroup>;
  const { fetch, getActiveTopicPartitions } = prototype;

  prototype.getActiveTopicPartitions = function () {
    const active = getActiveTopicPartitions.call(this);
    const { retryAtMs } = standingOf(this);
    if (retryAtMs.size === 0) return active;
    for (const [topic, partitions] of Object.entries(active))
      for (const partition of partitions)
        if (retryAtMs.has(partitionName({ topic, partition }))) partitions.delete(partition);
    return active;
  };

  prototype.fetch = async function (nodeId) {
    const standing = standingOf(this);
    const nowMs = performance.now();
    try {
      if (nowMs >= standing.refreshAtMs) {
        standing.refreshAtMs = nowMs + REFRESH_MS;
        if (standing.retryAtMs.size > 0 || lacksPlaces(this)) await this.cluster.refreshMetadata();
      }
    } catch (error) {
      await this.recoverFromFetch(error);
      return [];
    }
    for (const [name, atMs] of standing.retryAtMs) if (atMs <= nowMs) standing.retryAtMs.delete(name);
    const handler = this.assigners.map((assigner) => assigner[PARTITION_ERROR]).find((found) => found !== undefined);
    const fetched: KafkajsBatch[] = [];
    for (const batch of await fetch.call(this, nodeId)) {
      const { topic, partition, rawMessages } = batch;
      const { errorCode } = recordSetOf(rawMessages);
      const name = partitionName({ topic, partition });
      if (errorCode === 0 || UNREADABLE.includes(errorCode)) {
        fetched.push(batch);
        if (standing.failing.delete(name)) handler?.({ topic, partition }, null);
      } else if (errorCode === OFFSET_OUT_OF_RANGE) await this.recoverFromOffsetOutOfRange({ topic, partition });
      else if (errorCode === TOPIC_AUTHORIZATION_FAILED && handler === undefined) throw errorOfCode(errorCode);
      else {
        standing.retryAtMs.set(name, performance.now() + RETRY_MS);
        standing.failing.add(name);
        handler?.({ topic, partition }, errorOfCode(errorCode).type);
      }
    }
    return fetched;
  };
}

/** Whether a partition of this member has no leader, or nothing is known of a topic, as of one that the user may not see. */
function lacksPlaces(group: ConsumerGroup): boolean {
  const { cluster, topicsSubscribed } = group;
  if (topicsSubscribed.some((topic) => cluster.findTopicPartitionMetadata(topic).length === 0)) return true;
  return group.assigned().some(({ topic, partitions }) => {
    const metadata = cluster.findTopicPartitionMetadata(topic);
    return partitions.some((id) => (metadata.find(({ partitionId }) => partitionId === id)?.leader ?? -1) < 0);
  });
}
