import { partitionName, type TopicPartition } from '../../protocol/record.js';
import { errorOfCode } from './errorCodes.js';
import type { KafkajsBatch } from './fetchedBatch.js';
import { recordSetOf } from './fetchResponse.js';
import { leaveFollower } from './followers.js';
import { internalModule, type ConsumerGroup, type Repairable } from './internals.js';

/** The property of an assigner that has the handler for errors of partitions. */
export const PARTITION_ERROR = Symbol.for('ktb:partitionError');

/**
 * Called when a broker answers a fetch with an error for one partition, in Kafka's words, for example
 * TOPIC_AUTHORIZATION_FAILED. Called with null when the broker serves the partition again. It is called at each such
 * answer, for some errors once a second.
 */
export type PartitionErrorHandler = (partition: TopicPartition, error: string | null) => void;

/** The wait before a partition with an error is asked for again. */
const RETRY_MS = 1_000;
/**
 * The interval between two metadata requests while a partition has no leader or had an error, or nothing is known about
 * a topic.
 */
const REFRESH_MS = 2_000;

const OFFSET_OUT_OF_RANGE = 1;
/** CORRUPT_MESSAGE, UNSUPPORTED_COMPRESSION_TYPE: the broker cannot read its own log. The reader reports this. */
const UNREADABLE: readonly number[] = [2, 76];
const TOPIC_AUTHORIZATION_FAILED = 29;

/** The state of one consumer's fetches. Times are by `performance.now()`. */
export interface FetchState {
  /** By partition name, the time before which the partition is not fetched. */
  readonly retryAtMs: Map<string, number>;
  /** Names of the partitions whose last answer was an error that the handler knows. */
  readonly failing: Set<string>;
  refreshAtMs: number;
}

/**
 * Repairs what kafkajs does if a broker answers a fetch with an error for one partition (NOT_LEADER_OR_FOLLOWER,
 * KAFKA_STORAGE_ERROR, OFFSET_OUT_OF_RANGE and others). kafkajs throws the whole answer away, and for most errors the
 * member joins its group again. Repaired:
 *
 * - The records of the other partitions are used.
 * - The partition is fetched again after a second, and its leader is looked up. This also finds the leader of a
 *   partition that had none, which kafkajs finds only when its metadata is a minute old.
 * - If a follower has answered, its leader is asked before anybody is told. The leader may have a whole copy of what the
 *   follower cannot read.
 * - The handler of the consumer's assigner is called. Without a handler, a partition that the user may not read is an
 *   error as before.
 *
 * To be called once.
 */
export function repairPartitionErrors(): void {
  const { prototype } = internalModule('consumer/consumerGroup') as Repairable<ConsumerGroup>;
  const { fetch, getActiveTopicPartitions } = prototype;

  prototype.getActiveTopicPartitions = function () {
    const active = getActiveTopicPartitions.call(this);
    const { retryAtMs } = stateOf(this);
    if (retryAtMs.size === 0) return active;
    for (const [topic, partitions] of Object.entries(active))
      for (const partition of partitions)
        if (retryAtMs.has(partitionName({ topic, partition }))) partitions.delete(partition);
    return active;
  };

  prototype.fetch = async function (nodeId) {
    const state = stateOf(this);
    const nowMs = performance.now();
    if (!(await refreshed(this, nowMs))) return [];
    for (const [name, atMs] of state.retryAtMs) if (atMs <= nowMs) state.retryAtMs.delete(name);
    const handler = this.assigners.map((assigner) => assigner[PARTITION_ERROR]).find((found) => found !== undefined);
    const fetched: KafkajsBatch[] = [];
    for (const batch of await fetch.call(this, nodeId)) {
      const { topic, partition, rawMessages } = batch;
      const { errorCode } = recordSetOf(rawMessages);
      const name = partitionName({ topic, partition });
      batch.from = { nodeId, leave: () => leaveFollower(this, nodeId, { topic, partition }) };
      if (errorCode !== 0 && batch.from.leave()) {
        state.retryAtMs.set(name, performance.now());
      } else if (errorCode === 0 || UNREADABLE.includes(errorCode)) {
        fetched.push(batch);
        if (state.failing.delete(name)) handler?.({ topic, partition }, null);
      } else if (errorCode === OFFSET_OUT_OF_RANGE) await this.recoverFromOffsetOutOfRange({ topic, partition });
      else if (errorCode === TOPIC_AUTHORIZATION_FAILED && handler === undefined) throw errorOfCode(errorCode);
      else {
        state.retryAtMs.set(name, performance.now() + RETRY_MS);
        state.failing.add(name);
        handler?.({ topic, partition }, errorOfCode(errorCode).type);
      }
    }
    return fetched;
  };
}

function stateOf(group: ConsumerGroup): FetchState {
  return (group.fetchState ??= { retryAtMs: new Map(), failing: new Set(), refreshAtMs: 0 });
}

/** Looks up leaders if that is due. False if it failed: kafkajs's own way to recover has been taken. */
async function refreshed(group: ConsumerGroup, nowMs: number): Promise<boolean> {
  const state = stateOf(group);
  if (nowMs < state.refreshAtMs) return true;
  state.refreshAtMs = nowMs + REFRESH_MS;
  try {
    if (state.retryAtMs.size > 0 || lacksPlaces(group)) await group.cluster.refreshMetadata();
    return true;
  } catch (error) {
    await group.recoverFromFetch(error);
    return false;
  }
}

/**
 * Whether a partition of this member has no leader, or nothing is known about a topic, for example because the user may
 * not see it.
 */
function lacksPlaces(group: ConsumerGroup): boolean {
  const { cluster, topicsSubscribed } = group;
  if (topicsSubscribed.some((topic) => cluster.findTopicPartitionMetadata(topic).length === 0)) return true;
  return group.assigned().some(({ topic, partitions }) => {
    const metadata = cluster.findTopicPartitionMetadata(topic);
    return partitions.some((id) => (metadata.find(({ partitionId }) => partitionId === id)?.leader ?? -1) < 0);
  });
}
