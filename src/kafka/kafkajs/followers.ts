import type { TopicPartition } from '../../protocol/record.js';
import { internalModule, type ConsumerGroup, type Repairable } from './internals.js';

/**
 * How long partitions are fetched from their leaders after a follower has failed. Kafka notices within 9 s that a broker
 * is away (`broker.session.timeout.ms`), and no longer names it.
 */
const LEADERS_ONLY_MS = 30_000;

/**
 * Repairs what kafkajs does if it fetches from a follower, which a broker with `replica.selector.class` names to a
 * consumer with a `rackId` (KIP-392):
 *
 * - If the follower is away, kafkajs ends the consumer, or asks it again and again. The new consumer is sent to the same
 *   follower, until Kafka notices.
 * - If the follower answers with an error, for example because it is no replica any more, kafkajs asks it again until its
 *   note is as old as `metadataMaxAge`.
 * - If the follower is not in the client's metadata yet, nobody asks it, nor the leader, until that note ends.
 * - If the follower lacks the offset, kafkajs means to ask the leader, but compares the wrong things, and does what it does
 *   if the leader lacks it.
 *
 * Repaired, the leader is asked, and for half a minute only leaders are. To be called once, before the other repairs of
 * `fetch`.
 */
export function repairFollowers(): void {
  const { prototype } = internalModule('consumer/consumerGroup') as Repairable<ConsumerGroup>;
  const { fetch, recoverFromFetch } = prototype;

  prototype.fetch = async function (nodeId) {
    const { leadersOnly } = this;
    if (leadersOnly !== undefined && performance.now() >= leadersOnly.untilMs) {
      this.rackId = leadersOnly.rackId;
      delete this.leadersOnly;
    }
    if (leaveUnknown(this)) {
      try {
        await this.cluster.refreshMetadata();
      } catch (error) {
        await this.recoverFromFetch(error);
        return [];
      }
    }
    return fetch.call(this, nodeId);
  };

  // Which broker has failed is not told here. If it was a leader, the next fetch fails again.
  prototype.recoverFromFetch = async function (error) {
    const preferred = Object.values(this.preferredReadReplicasPerTopicPartition);
    if (preferred.every((ofTopic) => Object.keys(ofTopic).length === 0)) {
      await recoverFromFetch.call(this, error);
      return;
    }
    this.preferredReadReplicasPerTopicPartition = {};
    askLeaders(this);
  };
}

/**
 * A broker has answered with an error for a partition. If it was a follower, its leader is asked from now on.
 *
 * @returns whether it was one
 */
export function leaveFollower(group: ConsumerGroup, nodeId: string, { topic, partition }: TopicPartition): boolean {
  const preferred = group.preferredReadReplicasPerTopicPartition[topic];
  if (String(preferred?.[partition]?.nodeId) !== nodeId) return false;
  delete preferred?.[partition];
  askLeaders(group);
  return true;
}

/**
 * Leaves the followers that the client's metadata does not have: nobody fetches from them.
 *
 * @returns whether there was one. Leaders only are asked then, so this is no more often than once in {@link LEADERS_ONLY_MS}
 */
function leaveUnknown(group: ConsumerGroup): boolean {
  const preferred = Object.entries(group.preferredReadReplicasPerTopicPartition);
  if (preferred.every(([, ofTopic]) => Object.keys(ofTopic).length === 0)) return false;
  const nodeIds = new Set(group.cluster.getNodeIds());
  const isKnown = ([, { nodeId }]: [string, { readonly nodeId: number }]): boolean => nodeIds.has(String(nodeId));
  if (preferred.every(([, ofTopic]) => Object.entries(ofTopic).every(isKnown))) return false;
  group.preferredReadReplicasPerTopicPartition = Object.fromEntries(
    preferred.map(([topic, ofTopic]) => [topic, Object.fromEntries(Object.entries(ofTopic).filter(isKnown))]),
  );
  askLeaders(group);
  return true;
}

function askLeaders(group: ConsumerGroup): void {
  const rackId = group.leadersOnly?.rackId ?? group.rackId;
  group.leadersOnly = { rackId, untilMs: performance.now() + LEADERS_ONLY_MS };
  group.rackId = '';
}
