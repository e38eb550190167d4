import type { KafkaAdmin } from './admin.js';
import { within } from '../lib/within.js';
import { topicConfigs } from './topicConfigs.js';

/** Time for the answer about one topic. */
const ANSWER_WAIT_MS = 5_000;

/**
 * The size of the largest message that each topic takes (`max.message.bytes`), in bytes. A topic is left out if this
 * user may not ask for it, or there is no answer.
 */
export async function messageLimits(
  admin: KafkaAdmin,
  topics: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const limits = await Promise.all(topics.map(async (topic) => [topic, await limitOf(admin, topic)] as const));
  return new Map(limits.flatMap(([topic, bytes]) => (bytes === null ? [] : [[topic, bytes] as const])));
}

async function limitOf(admin: KafkaAdmin, name: string): Promise<number | null> {
  try {
    const configs = await within(topicConfigs(admin, name, ['max.message.bytes']), ANSWER_WAIT_MS);
    const value = configs?.get('max.message.bytes');
    return value === undefined ? null : Number(value);
  } catch {
    // This is only for a warning, so a user without DescribeConfigs gets none.
    return null;
  }
}
