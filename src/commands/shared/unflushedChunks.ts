import { laneIndex, keylessIndex } from '../../codecs/laneIndex.js';
import { decodeChunks } from '../../activities/batchRecords.js';
import type { PartitionRange } from '../../kafka/readRanges.js';
import { messageOf } from '../../lib/messageOf.js';
import { batcherIndexOf, pipelineOf } from '../../protocol/batcherId.js';
import { parseLayoutName } from '../../protocol/layout.js';
import { partitionName, type KafkaRecord, type RecordSource, type TopicPartition } from '../../protocol/record.js';
import { joinChunks, type ChunkWithBody } from '../../protocol/chunkBodies.js';
import type { FindPointed } from './pointedValues.js';
import { offsetsText } from './offsetsText.js';

/** The offsets of one partition in a chunk that a batcher has not flushed and nobody can unpack. */
export interface LockedRange extends PartitionRange {
  /** Workflow id. */
  readonly batcher: string;
  readonly epoch: string;
  readonly reason: string;
}

/** What is done with each unflushed record of a batcher, and with each range of which its records cannot be had. */
interface UnflushedVisitor {
  readonly record: (source: RecordSource, record: KafkaRecord) => void;
  readonly locked: (range: LockedRange) => void;
}

/**
 * Unpacks what a batcher has not flushed, chunk by chunk. A chunk that cannot be unpacked hides nothing of the others.
 * Only its ranges are known, from its metadata. Its records are those of the log that go to the batcher, see
 * {@link isGivenTo}.
 */
export async function visitUnflushed(
  batcher: string,
  unflushed: readonly ChunkWithBody[],
  visitor: UnflushedVisitor,
): Promise<void> {
  for (const withBody of unflushed) {
    const { chunk } = withBody;
    const records = await decodeChunks(joinChunks([withBody])).catch((error: unknown) => new Error(messageOf(error)));
    if (records instanceof Error) {
      for (const [index, { topic, partition, epoch, from, to }] of chunk.segments.entries()) {
        for (const [after, last] of chunk.keep[index] ?? [[from, to] as const])
          visitor.locked({ topic, partition, epoch, from: after + 1, to: last + 1, batcher, reason: records.message });
      }
    } else for (const { source, record } of records) visitor.record(source, record);
  }
}

/**
 * Whether a record of the log goes to a batcher, by the layout in the batcher's workflow id.
 *
 * @throws RegistryError if the value has to be decoded for that, and the registry does not answer
 */
export async function isGivenTo(
  batcher: string,
  partition: TopicPartition,
  record: KafkaRecord,
  findPointed: FindPointed,
): Promise<boolean> {
  const layout = parseLayoutName(batcher.split(':').at(-2) ?? '');
  if (layout === null) return false;
  const pointed = await findPointed(partition, record, layout);
  return laneIndex(record, keylessIndex(partition, layout), layout, pointed) === batcherIndexOf(batcher);
}

/** A line for a person: what holds the range, and what to do. */
export function lockedText({ topic, partition, from, to, batcher, reason }: Omit<LockedRange, 'epoch'>): string {
  const cure = `ktb park --pipeline ${pipelineOf(batcher)} --batcher ${batcher} --reason ...`;
  return `${partitionName({ topic, partition })}: of ${offsetsText(from, to - 1)}, batcher ${batcher} holds its records in a chunk that cannot be unpacked (${reason}): once its batch has failed, \`${cure}\` gives it up, and \`ktb rewind\` reads the records again`;
}
