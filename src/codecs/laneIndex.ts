import { pointerOf } from '../protocol/columnSource.js';
import type { Layout } from '../protocol/layout.js';
import { pointerTokens, valueAtPointer } from '../lib/jsonPointer.js';
import { withoutMark } from '../lib/byteOrderMark.js';
import { murmur2 } from '../lib/murmur2.js';
import { NULL_LENGTH, PackedRecord } from '../protocol/packedRecord.js';
import { RECORD_MEMORY_BYTES_MAX } from '../protocol/recordLimit.js';
import { lastHeader, type KafkaRecord, type RecordHeader, type TopicPartition } from '../protocol/record.js';
import type { OpenBatcherRequest } from '../protocol/request.js';

/**
 * Chooses the batcher of a record. A record without a key (or header, or value at the pointer) goes by its partition.
 * So its order is kept in any case.
 *
 * @param keyless the batcher for such records of its partition, see {@link keylessIndex}
 * @param pointed what the layout's pointer leads to, if the value or the key has to be decoded for that. Absent: it is JSON
 */
export function laneIndex(
  record: KafkaRecord,
  keyless: number,
  { batchers, keyFunction }: Layout,
  pointed?: PointedValue,
): number {
  if (keyFunction === 'key' && record instanceof PackedRecord) {
    const { keys, keyAt, keyLength } = record;
    return keyLength === NULL_LENGTH ? keyless : murmur2(keys, keyAt, keyAt + keyLength) % batchers;
  }
  const by = shardKey(record, keyFunction, pointed);
  return by === null ? keyless : murmur2(by) % batchers;
}

/**
 * The batcher of a partition's records that have no key. Topics begin at different batchers, and a topic's partitions
 * go to one batcher after the other. So both many topics and many partitions are spread evenly.
 */
export function keylessIndex({ topic, partition }: TopicPartition, { batchers, keyless }: Layout): number {
  const first = keyless === 'topic' ? murmur2(Buffer.from(topic)) % batchers : 0;
  return (first + partition) % batchers;
}

/**
 * Chooses the batcher of a workflow's request. The value is not known yet at this time. A request without a key goes by
 * its id.
 */
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
  record: Pick<KafkaRecord, 'key' | 'value' | 'headers'>,
  keyFunction: Layout['keyFunction'],
  pointed?: PointedValue,
): Buffer | null {
  if (keyFunction === 'key') return record.key;
  if (keyFunction === 'partition') return null;
  const pointer = pointerOf(keyFunction);
  if (pointer !== null) {
    return (pointed === undefined ? scalarIn(record, pointer) : pointed) ?? record.key;
  }
  return lastHeader(record.headers, keyFunction.slice('header:'.length)) ?? null;
}

/** What a pointer leads to, as bytes. Null if there is nothing, and the record goes by its key. */
export type PointedValue = Buffer | null;

/**
 * The text, number or boolean that a pointer leads to in a record whose value, or key, is JSON, as bytes. Null if there is
 * none, or if the value is too large to be parsed on this thread. Such a record becomes no row, so it has no order to keep.
 */
export function scalarIn(
  record: Pick<KafkaRecord, 'key' | 'value'>,
  { into, pointer }: NonNullable<ReturnType<typeof pointerOf>>,
): PointedValue {
  // A packed record makes a buffer of each that it is asked for.
  const document = into === 'key' ? record.key : record.value;
  if (document === null || document.length > RECORD_MEMORY_BYTES_MAX) return null;
  const tokens = pointerTokens(pointer);
  let parsed: unknown;
  try {
    parsed = JSON.parse(withoutMark(document).toString());
  } catch {
    // It is no JSON. The record will be rejected, in the order of its key.
    return null;
  }
  const inner = into === 'key' ? payloadOf(parsed) : undefined;
  return scalarAt(inner, tokens) ?? scalarAt(parsed, tokens);
}

/**
 * The key itself, of one that Kafka Connect's JSON converter has written with its schema around it. Tables by a part of the
 * key leave the schema out, too, see `JsonKeys`. Undefined if it has none.
 */
function payloadOf(key: unknown): unknown {
  if (typeof key !== 'object' || key === null || Object.keys(key).length !== 2) return undefined;
  return 'schema' in key && 'payload' in key ? key.payload : undefined;
}

function scalarAt(value: unknown, tokens: readonly string[]): PointedValue {
  const scalar = valueAtPointer(value, tokens);
  return SCALARS.has(typeof scalar) ? Buffer.from(String(scalar)) : null;
}

const SCALARS: ReadonlySet<string> = new Set(['string', 'number', 'boolean']);
