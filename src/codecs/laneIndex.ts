import type { Layout } from '../protocol/batcherId.js';
import { pointerTokens, valueAtPointer } from '../lib/jsonPointer.js';
import { murmur2 } from '../lib/murmur2.js';
import { RECORD_MEMORY_BYTES_MAX } from '../protocol/recordLimit.js';
import { lastHeader, type KafkaRecord, type RecordHeader, type TopicPartition } from '../protocol/record.js';
import type { OpenBatcherRequest } from '../protocol/request.js';

/**
 * The batcher of a record. What has nothing to go by goes by its partition, so that its order is kept either way.
 *
 * @param keyless of its partition, see {@link keylessIndex}
 */
export function laneIndex(record: KafkaRecord, keyless: number, { batchers, keyFunction }: Layout): number {
  const by = shardKey(record, keyFunction);
  return by === null ? keyless : murmur2(by) % batchers;
}

/**
 * The batcher of a partition's records that have nothing to go by: topics begin anywhere, and a topic's partitions follow one another,
 * so that both many topics and many partitions are spread evenly.
 */
export function keylessIndex({ topic, partition }: TopicPartition, { batchers, keyless }: Layout): number {
  const first = keyless === 'topic' ? murmur2(Buffer.from(topic)) % batchers : 0;
  return (first + partition) % batchers;
}

/** The batcher of a workflow's request. Its value is not asked, it comes later: what has nothing to go by goes by its id. */
export function requestLaneIndex(
  { id, key = null, headers = {} }: Omit<OpenBatcherRequest, 'pipeline'>,
  { batchers, keyFunction }: Layout,
): number {
  const text = (value: string | null | undefined): Buffer | null =>
    typeof value === 'string' ? Buffer.from(value) : null;
  const list = Object.entries(headers).map(([name, value]): RecordHeader => [name, text(value)]);
  const by = shardKey({ key: text(key), value: null, headers: list }, keyFunction) ?? Buffer.from(id);
  return murmur2(by) % batchers;
}

function shardKey(
  { key, value, headers }: Pick<KafkaRecord, 'key' | 'value' | 'headers'>,
  keyFunction: Layout['keyFunction'],
): Buffer | null {
  if (keyFunction === 'key') return key;
  if (keyFunction === 'partition') return null;
  if (keyFunction.startsWith('/')) return scalarAt(value, pointerTokens(keyFunction)) ?? key;
  return lastHeader(headers, keyFunction.slice('header:'.length)) ?? null;
}

/**
 * The text, number or truth value that a pointer leads to, as bytes; null where it leads to nothing of the kind, and where the value is
 * too large to be parsed on this thread: it becomes no row, so that it has no order to keep.
 */
function scalarAt(value: Buffer | null, tokens: readonly string[]): Buffer | null {
  if (value === null || value.length > RECORD_MEMORY_BYTES_MAX) return null;
  try {
    const scalar = valueAtPointer(JSON.parse(value.toString()), tokens);
    return SCALARS.has(typeof scalar) ? Buffer.from(String(scalar)) : null;
  } catch {
    // No JSON: it will be rejected, in the order of its key.
    return null;
  }
}

const SCALARS: ReadonlySet<string> = new Set(['string', 'number', 'boolean']);
