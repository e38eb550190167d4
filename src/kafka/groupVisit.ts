import type { Kafka, TopicPartitionOffsetAndMetadata } from 'kafkajs';
import { NoAnswerError, within } from '../lib/within.js';

/** A member of a group that reads nothing. */
export interface GroupVisit {
  /** The partitions that the group has given to it, by topic. */
  readonly assignment: Readonly<Record<string, readonly number[]>>;
  /** How often the group has given out its partitions since: what was found out before the last time may no longer be so. */
  readonly rebalances: () => number;
  /** Resolves once Kafka has it; rejects where Kafka refuses, or does not answer, also where this member has failed meanwhile. */
  readonly commit: (offsets: TopicPartitionOffsetAndMetadata[]) => Promise<void>;
}

/** To connect and to join a group; brokers wait 3 s for further members of a new one by default (`group.initial.rebalance.delay.ms`). */
const JOIN_TIMEOUT_MS = 60_000;
/** kafkajs waits 30 s for the coordinator's answer. A member that has not left is given up after its session. */
const LEAVE_TIMEOUT_MS = 45_000;
/** kafkajs gives up a request after 30 s, but not whatever it waits for before. */
const COMMIT_TIMEOUT_MS = 60_000;

/**
 * Joins a group, because Kafka takes offsets for it from its members only, works as one, and leaves it. Nothing is tried again:
 * kafkajs would repeat a commit under whatever generation is then current, over what others have committed meanwhile.
 *
 * @param work bounds its own time
 * @throws Error also where Kafka does not let it join within a minute. Where leaving fails, or does not end, the work is done all the same
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
  });
  joined.catch(() => undefined); // Where connecting fails, nobody waits for it.
  let isOver = false;
  const enter = async (): Promise<void> => {
    const steps = [
      () => consumer.connect(),
      () => consumer.subscribe({ topics: [...topics], fromBeginning: true }),
      () => consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: () => Promise.resolve() }),
    ];
    for (const step of steps) if (!isOver) await step();
  };
  const entering = enter();
  try {
    const assignment = await within(
      entering.then(() => joined),
      JOIN_TIMEOUT_MS,
    ).catch((error: unknown) => {
      if (!(error instanceof NoAnswerError)) throw error;
      throw new Error(`group ${groupId} could not be joined within ${JOIN_TIMEOUT_MS / 1_000} s`, { cause: error });
    });
    return await work({
      assignment,
      rebalances: () => joins - 1,
      commit: (offsets) =>
        failure === null ? within(consumer.commitOffsets(offsets), COMMIT_TIMEOUT_MS) : Promise.reject(failure),
    });
  } finally {
    isOver = true;
    // kafkajs leaves nothing that it is still on its way into: it would join later, and keep partitions from those who read.
    const leaving = entering.catch(() => undefined).then(() => consumer.disconnect());
    await within(leaving, LEAVE_TIMEOUT_MS).catch(() => undefined);
  }
}
