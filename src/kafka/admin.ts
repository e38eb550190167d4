import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import { isOfType } from './errorType.js';

/** How often leaders are asked, and how much longer is waited each time before they are looked for. */
const TRIES_MAX = 4;
const LEADER_PAUSE_MS = 200;

/**
 * kafkajs's admin client, without two of its faults where offsets of topics, or of a group in them, are asked for.
 *
 * It asks the leaders that it knows, and where leaders have moved while no connection failed it does not look for the new
 * ones, but fails until its metadata expire or something else fetches them. This one looks at once.
 *
 * It fetches the metadata of all topics that it was ever asked for together, which fails for all once one of them is
 * deleted. This one begins anew with the topics that it is asked for.
 */
export function createAdmin(kafka: Kafka): Admin {
  const admin = kafka.admin();
  let ofTopics: Admin | undefined;

  const adminOfTopics = async (): Promise<Admin> => {
    const current = (ofTopics ??= kafka.admin());
    await current.connect();
    return current;
  };

  const askLeaders = async <T>(ask: (admin: Admin) => Promise<T>): Promise<T> => {
    for (let tries = 1; ; tries++) {
      const asked = await adminOfTopics();
      try {
        return await ask(asked);
      } catch (error) {
        if (isOfType(error, 'UNKNOWN_TOPIC_OR_PARTITION') && tries === 1) {
          if (ofTopics === asked) ofTopics = undefined;
          await asked.disconnect().catch(() => undefined);
        } else if (error instanceof kafkajs.KafkaJSProtocolError && error.retriable && tries < TRIES_MAX) {
          // A broker may hear of a new leader later than the old one does.
          await sleep((tries - 1) * LEADER_PAUSE_MS);
          // Of all calls without an effect the one that fetches the metadata first. Its own answer is of no interest.
          await asked.listGroups().catch(() => undefined);
        } else throw error;
      }
    }
  };

  return {
    ...admin,
    disconnect: async () => {
      await Promise.all([admin.disconnect(), ofTopics?.disconnect()]);
    },
    fetchOffsets: (options) => askLeaders((asked) => asked.fetchOffsets(options)),
    fetchTopicOffsets: (topic) => askLeaders((asked) => asked.fetchTopicOffsets(topic)),
    fetchTopicOffsetsByTimestamp: (topic, timestampMs) =>
      askLeaders((asked) => asked.fetchTopicOffsetsByTimestamp(topic, timestampMs)),
  };
}
