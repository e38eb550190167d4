import type { Kafka, TopicPartitionOffsetAndMetadata } from 'kafkajs';
import { commitParts } from './commitParts.js';
import { groupAssigner } from './groupAssigner.js';
import { NoAnswerError, within } from '../lib/within.js';

/** What a visiting member, which reads nothing, can do in the group. */
export interface GroupVisit {
  /** The partitions that the visitor has got, by topic. */
  readonly assignment: Readonly<Record<string, readonly number[]>>;
  /** How often the group has rebalanced since the visitor joined. What was found out before may no longer be true. */
  readonly rebalances: () => number;
  /**
   * Resolves when Kafka has the commit. Rejects if Kafka refuses it or does not answer, and if this member has failed
   * meanwhile. One that is too large for a coordinator is made in parts, of which some may be done then.
   */
  readonly commit: (offsets: TopicPartitionOffsetAndMetadata[]) => Promise<void>;
}

/**
 * Time to connect and join the group. By default brokers wait 3 s for further members of a new group
 * (`group.initial.rebalance.delay.ms`).
 */
const JOIN_TIMEOUT_MS = 60_000;
/**
 * Time to leave the group. kafkajs waits 30 s for the coordinator's answer. A member that has not left drops out after
 * its session timeout.
 */
const LEAVE_TIMEOUT_MS = 45_000;
/** Time for a commit. kafkajs gives up a request after 30 s, but not what it waits for before it sends the request. */
const COMMIT_TIMEOUT_MS = 60_000;

/**
 * Joins a group, does some work as a member, and leaves. Kafka takes a group's offsets only from its members. Nothing
 * is retried: kafkajs would repeat a commit under a later generation, and overwrite what others have committed
 * meanwhile.
 *
 * @param work limits its own time
 * @throws Error, also if the group cannot be joined within a minute. If leaving fails or hangs, that is no error
 */
export async function visitGroup<T>(
  kafka: Kafka,
  { groupId, topics }: { groupId: string; topics: readonly string[] },
  work: (visit: GroupVisit) => Promise<T>,
): Promise<T> {
  const consumer = kafka.consumer({
    groupId,
    allowAutoTopicCreation: false,
    partitionAssigners: [groupAssigner],
    retry: { retries: 0, restartOnFailure: () => Promise.resolve(false) },
  });
  let joins = 0;
  let failure: Error | null = null;
  const joined = new Promise<Record<string, number[]>>((resolve, reject) => {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload: { memberAssignment } }) => {
      joins++;
      // Nothing may be fetched. If the log does not have a committed offset any more, kafkajs would commit "earliest"
      // over it.
      consumer.pause(Object.entries(memberAssignment).map(([topic, partitions]) => ({ topic, partitions })));
      resolve(memberAssignment);
    });
    consumer.on(consumer.events.CRASH, ({ payload: { error } }) => {
      failure = error;
      reject(error);
    });
  });
  joined.catch(() => undefined); // If connecting fails, nobody waits for this promise.
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
      commit: async (offsets) => {
        for (const part of commitParts(offsets)) {
          if (failure !== null) throw failure;
          await within(consumer.commitOffsets([...part]), COMMIT_TIMEOUT_MS);
        }
      },
    });
  } finally {
    isOver = true;
    // kafkajs cannot leave while it is still joining. It would join later, and keep partitions away from members that
    // read. So the joining is awaited first.
    const leaving = entering.catch(() => undefined).then(() => consumer.disconnect());
    await within(leaving, LEAVE_TIMEOUT_MS).catch(() => undefined);
  }
}
