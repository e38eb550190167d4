import type { Layout } from '../records/batcherId.js';
import { murmur2 } from '../records/murmur2.js';
import { lastHeader, type KafkaRecord } from '../records/record.js';

/** The batcher of a record. What has nothing to go by goes by its partition, so that its order is kept either way. */
export function laneIndex(record: KafkaRecord, partition: number, { batchers, keyFunction }: Layout): number {
  const by = shardKey(record, keyFunction);
  return (by === null ? partition : murmur2(by)) % batchers;
}

function shardKey({ key, headers }: KafkaRecord, keyFunction: Layout['keyFunction']): Buffer | null {
  if (keyFunction === 'key') return key;
  if (keyFunction === 'partition') return null;
  return lastHeader(headers, keyFunction.slice('header:'.length)) ?? null;
}
