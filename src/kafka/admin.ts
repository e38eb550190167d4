import kafkajs, { type Admin, type Kafka } from 'kafkajs';

/**
 * kafkajs's admin client. It asks the leaders that it knows for a topic's offsets, and where leaders have moved while no
 * connection failed it does not look for the new ones, but fails until its metadata expire or something else fetches them.
 * This one looks at once.
 */
export function createAdmin(kafka: Kafka): Admin {
  const admin = kafka.admin();
  const askLeaders = async <T>(ask: () => Promise<T>): Promise<T> => {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof kafkajs.KafkaJSProtocolError && error.retriable)) throw error;
      // Of all calls without an effect the one that fetches the metadata first. Its own answer is of no interest.
      await admin.listGroups().catch(() => undefined);
      return await ask();
    }
  };
  return {
    ...admin,
    fetchTopicOffsets: (topic) => askLeaders(() => admin.fetchTopicOffsets(topic)),
    fetchTopicOffsetsByTimestamp: (topic, timestampMs) =>
      askLeaders(() => admin.fetchTopicOffsetsByTimestamp(topic, timestampMs)),
  };
}
