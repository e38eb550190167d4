import { setImmediate } from 'node:timers/promises';
import { decodeChunk } from '../records/chunkCodec.js';
import type { BufferedChunk } from '../records/chunk.js';
import { sourceName, type RecordSource } from '../records/record.js';
import type { SourcedRecord } from './batchInsert.js';

/** The records of a batch's chunks, in their order. One object a source over all chunks: the steps behind group by it. */
export async function decodeChunks(chunks: readonly BufferedChunk[], bodies: Uint8Array): Promise<SourcedRecord[]> {
  const records: SourcedRecord[] = [];
  const sources = new Map<string, RecordSource>();
  let at = 0;
  for (const { segments, keep, bodyBytes } of chunks) {
    for (const segment of decodeChunk(segments, bodies.subarray(at, at + bodyBytes), keep)) {
      const { topic, partition, epoch } = segment;
      const name = sourceName(segment);
      const source = sources.get(name) ?? { topic, partition, epoch };
      sources.set(name, source);
      for (const record of segment.records) records.push({ source, record });
    }
    at += bodyBytes;
    // A large batch must not keep heartbeats and other batches waiting.
    await setImmediate();
  }
  return records;
}

/** A record without a value. A stub's original has one. */
export function isTombstone({ record }: Pick<SourcedRecord, 'record'>): boolean {
  return record.value === null && record.tooLargeBytes === undefined;
}
