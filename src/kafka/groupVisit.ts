import type { Kafka, TopicPartitionOffsetAndMetadata } from 'kafkajs';

/** A member of a group that reads nothing. */
export interface GroupVisit {
  /** The partitions that the group has given to it, by topic. */
  readonly assignment: Readonly<Record<string, readonly number[]>>;
  /** How often the group has given out its partitions since: what was found out before the last time may no longer be so. */
  readonly rebalances: () => number;
  /** Resolves once Kafka has it; rejects where Kafka refuses, or does not answer, also where this member has failed meanwhile. */
  readonly commit: (offsets: TopicPartitionOffsetAndMetadata[]) => Promise<void>;
}

/** To join a group; brokers wait 3 s for further members of a new one by default (`group.initial.rebalance.delay.ms`). */
const JOIN_TIMEOUT_MS = 60_000;

/**
 * Joins a group, because Kafka takes offsets for it from its members only, works as one, and leaves it. Nothing is tried again:
 * kafkajs would repeat a commit under whatever generation is then current, over what others have committed meanwhile.
 */
export async function visitGroup<T>(
  kafka: Kafka,
  { groupId, topics }: { groupId: string; topics: readonly string[] },
  work: (visit: GroupVisit) => Promise<T>,
): Promise<T> {
  const consumer = kafka.consumer({
    groupId,
    allowAutoTopicCreation: false,
    retry: { retries: 0, restartOnFailure: () => Promise.resolve(false) },
  });
  let joins = 0;
  let failure: Error | null = null;
  const joined = new Promise<Record<string, number[]>>((resolve, reject) => {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload: { memberAssignment } }) => {
      joins++;
      // Nothing may be fetched: where the log no longer has a committed offset, kafkajs would commit "earliest" over it.
      consumer.pause(Object.entries(memberAssignment).map(([topic, partitions]) => ({ topic, partitions })));
      resolve(memberAssignment);
    });
    consumer.on(consumer.events.CRASH, ({ payload: { error } }) => {
      failure = error;
      reject(error);
    });
    setTimeout(() => reject(new Error(`group ${groupId} could not be joined`)), JOIN_TIMEOUT_MS).unref();
  });
  joined.catch(() => undefined); // Where connecting fails, nobody waits for it.
  await consumer.connect();
  try {
    await consumer.subscribe({ topics: [...topics], fromBeginning: true });
    await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: () => Promise.resolve() });
    const assignment = await joined;
    return await work({
      assignment,
      rebalances: () => joins - 1,
      commit: (offsets) => (failure === null ? consumer.commitOffsets(offsets) : Promise.reject(failure)),
    });
  } finally {
    await consumer.disconnect();
  }
}
