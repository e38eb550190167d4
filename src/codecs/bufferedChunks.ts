import { splitChunks, type PackedChunks } from '../protocol/chunkBodies.js';
import { decodeChunk, type DecodedSegment } from './chunkCodec.js';
import { sourceName, type RecordSource } from '../protocol/record.js';
import { memoryBytes } from '../protocol/recordLimit.js';
import { isRequestSource } from '../protocol/request.js';
import { UnpackRoom } from './packing.js';
import { decodeRequest } from './requestCodec.js';

/**
 * Decodes the records of buffered chunks, chunk by chunk, whether they came from Kafka or from requesters.
 *
 * @param room for all of them together
 * @throws ChunkCorruptError; RangeError if requests take more than the room
 */
export function* decodeBufferedChunks(
  packed: PackedChunks,
  room = new UnpackRoom(),
): Generator<readonly DecodedSegment[]> {
  for (const { chunk, body } of splitChunks(packed)) {
    const { segments, keep } = chunk;
    const [first] = segments;
    if (first !== undefined && isRequestSource(first)) {
      const { topic, partition, epoch, to } = first;
      const record = decodeRequest(body, to);
      room.takeObjects(memoryBytes(record, body.length));
      yield [{ topic, partition, epoch, records: [record] }];
    } else {
      yield decodeChunk(segments, body, keep, room);
    }
  }
}

/** Makes one object for each source, however many segments it has. Later steps group records by this object. */
export function sharedSources(): (segment: RecordSource) => RecordSource {
  const sources = new Map<string, RecordSource>();
  return (segment) => {
    const { topic, partition, epoch } = segment;
    const name = sourceName(segment);
    const source = sources.get(name) ?? { topic, partition, epoch };
    sources.set(name, source);
    return source;
  };
}
