import type { Config, PipelineConfig } from '../../config/config.js';
import { byTopic } from '../../kafka/byTopic.js';
import { partitionName, type TopicPartition } from '../../protocol/record.js';
import { UsageError } from '../../lib/usageError.js';

/** @throws UsageError if the configuration has no such pipeline */
export function pipelineNamed({ pipelines }: Pick<Config, 'pipelines'>, name: string): PipelineConfig {
  const found = pipelines.find((candidate) => candidate.name === name);
  if (found !== undefined) return found;
  const names = pipelines.map((candidate) => candidate.name).join(', ');
  throw new UsageError(`the configuration has no pipeline ${name}; it has ${names}`);
}

/**
 * The partitions that `--partition` chooses. All if it is not used.
 *
 * @param wanted each as `topic/number`
 * @throws UsageError if one of them does not belong to the pipeline, even if others do
 */
export function chosenPartitions<Partition extends TopicPartition>(
  existing: readonly Partition[],
  wanted: readonly string[],
): readonly Partition[] {
  const byName = new Map(existing.map((partition) => [partitionName(partition), partition]));
  const unknown = wanted.filter((name) => !byName.has(name));
  if (unknown.length > 0) {
    const verb = unknown.length === 1 ? 'is no partition' : 'are no partitions';
    throw new UsageError(`${unknown.join(', ')} ${verb} of the pipeline, which has ${partitionsText(existing)}`);
  }
  return wanted.length === 0 ? existing : [...new Set(wanted)].flatMap((name) => byName.get(name) ?? []);
}

/** Topics in one message, at most. */
const TOPICS_SHOWN = 10;

/** `orders/0 to orders/7`, for people. */
export function partitionsText(partitions: readonly TopicPartition[]): string {
  const texts = byTopic(partitions, ({ partition }) => partition).map(({ topic, partitions: numbers }) => {
    const [first, last] = [Math.min(...numbers), Math.max(...numbers)];
    return first === last ? `${topic}/${first}` : `${topic}/${first} to ${topic}/${last}`;
  });
  const more = texts.length - TOPICS_SHOWN;
  if (texts.length === 0) return 'none';
  return texts.slice(0, TOPICS_SHOWN).join(', ') + (more > 0 ? `, and those of ${more} more topics` : '');
}
