import type { Config, PipelineConfig } from '../../config/config.js';
import { byTopic } from '../../kafka/byTopic.js';
import { within } from '../../lib/within.js';
import { messageOf } from '../../lib/messageOf.js';
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

/** A position in the log of a partition: an offset, its start, or a time, which is compared with the records' own timestamps. */
export type LogPosition = number | 'earliest' | { readonly timestampMs: number };

/**
 * @param option name of the option, for the message
 * @throws UsageError
 */
export function parsePosition(option: string, text: string): LogPosition {
  if (text === 'earliest') return text;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const timestampMs = Date.parse(text);
  const [day] = /^\d{4}-\d\d-\d\d(?=T)/.exec(text) ?? [];
  if (day !== undefined && !Number.isNaN(timestampMs)) {
    // JavaScript takes the 31st of February for a day of March.
    if (!new Date(`${day}T00:00:00Z`).toISOString().startsWith(day))
      throw new UsageError(`${option} ${text}: the calendar has no day ${day}`);
    if (/(Z|[+-]\d\d:?\d\d)$/i.test(text)) return { timestampMs };
    throw new UsageError(`${option} ${text} names no time zone: end it with Z or with an offset such as +02:00`);
  }
  throw new UsageError(`${option} ${text} is neither a time such as 2026-01-31T00:00:00Z, nor an offset, nor earliest`);
}

/** Time for one part to answer. A part that is down must not hide the others. */
const PART_TIMEOUT_MS = 4_000;

export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

/** The answer of a part, or why there is none. Never rejects. */
export async function answerOf<T>(promise: Promise<T>, timeoutMs = PART_TIMEOUT_MS): Promise<Answer<T>> {
  try {
    return { ok: true, value: await within(promise, timeoutMs) };
  } catch (error) {
    return { ok: false, error: messageOf(error) };
  }
}
