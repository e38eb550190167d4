import kafkajs from 'kafkajs';
import type { KafkaAdmin } from './admin.js';

/**
 * The settings of a topic by name, for example `max.message.bytes`. Settings that the broker does not know are left
 * out. Undefined if the broker says nothing about the topic.
 *
 * @throws Error if Kafka does not answer, or the user may not ask (`DescribeConfigs`)
 */
export async function topicConfigs(
  admin: KafkaAdmin,
  name: string,
  configNames: string[],
): Promise<ReadonlyMap<string, string> | undefined> {
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name, configNames };
  const { resources } = await admin.describeConfigs({ resources: [resource], includeSynonyms: false });
  const entries = resources[0]?.configEntries;
  return entries && new Map(entries.map(({ configName, configValue }) => [configName, configValue] as const));
}
