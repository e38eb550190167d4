import type { Layout } from '../records/batcherId.js';
import { murmur2 } from '../records/murmur2.js';
import { lastHeader, type KafkaRecord, type RecordHeader } from '../records/record.js';
import type { OpenBatcherRequest } from '../records/request.js';

/** The batcher of a record. What has nothing to go by goes by its partition, so that its order is kept either way. */
export function laneIndex(record: KafkaRecord, partition: number, { batchers, keyFunction }: Layout): number {
  const by = shardKey(record, keyFunction);
  return (by === null ? partition : murmur2(by)) % batchers;
}

/** The batcher of a workflow's request. What has nothing to go by goes by its id. */
export function requestLaneIndex(
  { id, key = null, headers = {} }: Omit<OpenBatcherRequest, 'pipeline'>,
  { batchers, keyFunction }: Layout,
): number {
  const text = (value: string | null | undefined): Buffer | null =>
    typeof value === 'string' ? Buffer.from(value) : null;
  const list = Object.entries(headers).map(([name, value]): RecordHeader => [name, text(value)]);
  const by = shardKey({ key: text(key), headers: list }, keyFunction) ?? Buffer.from(id);
  return murmur2(by) % batchers;
}

function shardKey(
  { key, headers }: Pick<KafkaRecord, 'key' | 'headers'>,
  keyFunction: Layout['keyFunction'],
): Buffer | null {
  if (keyFunction === 'key') return key;
  if (keyFunction === 'partition') return null;
  return lastHeader(headers, keyFunction.slice('header:'.length)) ?? null;
}
