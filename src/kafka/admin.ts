import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import { isOfType } from './errorType.js';

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
    const asked = await adminOfTopics();
    try {
      return await ask(asked);
    } catch (error) {
      if (isOfType(error, 'UNKNOWN_TOPIC_OR_PARTITION')) {
        if (ofTopics === asked) ofTopics = undefined;
        await asked.disconnect().catch(() => undefined);
        return await ask(await adminOfTopics());
      }
      if (!(error instanceof kafkajs.KafkaJSProtocolError && error.retriable)) throw error;
      // Of all calls without an effect the one that fetches the metadata first. Its own answer is of no interest.
      await asked.listGroups().catch(() => undefined);
      return await ask(asked);
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
