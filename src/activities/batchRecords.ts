import { setImmediate } from 'node:timers/promises';
import { decodeBufferedChunks, sharedSources } from '../codecs/bufferedChunks.js';
import { UnpackRoom } from '../codecs/packing.js';
import type { PackedChunks } from '../protocol/chunkBodies.js';
import type { SourcedRecord } from '../protocol/record.js';
import { isRequestSource } from '../protocol/request.js';

/**
 * Decodes the records of a batch's chunks, in order. All records of a source share one object, by which later steps
 * group them.
 *
 * @param room for all of them together
 * @throws ChunkCorruptError
 */
export async function decodeChunks(packed: PackedChunks, room = new UnpackRoom()): Promise<SourcedRecord[]> {
  const records: SourcedRecord[] = [];
  const sourceOf = sharedSources();
  let index = 0;
  for (const segments of decodeBufferedChunks(packed, room)) {
    for (const segment of segments) {
      const source = sourceOf(segment);
      for (const record of segment.records) records.push({ source, record });
    }
    const isRequest = segments.some(isRequestSource);
    // A large batch must not keep heartbeats and other batches waiting.
    if (!isRequest || index % REQUESTS_AT_ONCE === 0) await setImmediate();
    index++;
  }
  return records;
}

const REQUESTS_AT_ONCE = 100;

/** Divides a list into requests of workflows and records of Kafka, each in order. */
export function divideRequests<T extends SourcedRecord>(
  items: readonly T[],
): [requests: readonly T[], records: readonly T[]] {
  if (!items.some(({ source }) => isRequestSource(source))) return [[], items];
  return [
    items.filter(({ source }) => isRequestSource(source)),
    items.filter(({ source }) => !isRequestSource(source)),
  ];
}
