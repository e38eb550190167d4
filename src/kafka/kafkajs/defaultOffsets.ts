import { internalModule, type Repairable } from './internals.js';

interface AskedTopic {
  readonly topic: string;
  readonly partitions: readonly { readonly partition: number }[];
}

interface ClusterPrototype {
  findTopicPartitionMetadata: (topic: string) => { partitionId: number; leader: number }[];
  fetchTopicsOffset: (
    this: ClusterPrototype,
    topics: readonly AskedTopic[],
  ) => Promise<{ topic: string; partitions: { partition: number; offset: string }[] }[]>;
}

/**
 * Repairs how a consumer of kafkajs finds the start of partitions for which its group has no offset. It asks for all of
 * them before each fetch. If one has no leader, none is fetched until it has one. Repaired, such a partition is left
 * out, and asked for again with the next fetch.
 */
export function repairDefaultOffsets(): void {
  const { prototype } = internalModule('cluster') as Repairable<ClusterPrototype>;
  const fetchTopicsOffset = prototype.fetchTopicsOffset;
  prototype.fetchTopicsOffset = async function (topics) {
    const asked = topics.map((topic) => {
      const leaderless = new Set(
        this.findTopicPartitionMetadata(topic.topic)
          .filter(({ leader }) => leader < 0)
          .map(({ partitionId }) => partitionId),
      );
      return { ...topic, partitions: topic.partitions.filter(({ partition }) => !leaderless.has(partition)) };
    });
    const answers = await fetchTopicsOffset.call(
      this,
      asked.filter(({ partitions }) => partitions.length > 0),
    );
    const answered = new Set(answers.map(({ topic }) => topic));
    // kafkajs expects every topic that it asks for in the answer.
    const left = asked.filter(({ topic }) => !answered.has(topic)).map(({ topic }) => ({ topic, partitions: [] }));
    return [...answers, ...left];
  };
}
