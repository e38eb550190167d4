import { createRequire } from 'node:module';
import type { Decoder } from '@toondepauw/node-zstd';
import { unpack } from 'msgpackr';

/** A record that a signal has brought to a batcher. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly epoch: string;
}

/** As much of a signal's first argument as is needed. */
interface Meta {
  readonly segments: readonly Omit<Place, 'offset'>[];
}

const { Decoder: ZstdDecoder } = createRequire(import.meta.url)('@toondepauw/node-zstd') as { Decoder: typeof Decoder };
const decoder = new ZstdDecoder();

/**
 * Which records a chunk has, by docs/formats.md: its metadata are JSON and name the segments, its body has the columns of each
 * segment as MessagePack in a Zstandard frame. The first column has the offsets, each as the difference to the one before.
 */
export function placesIn(meta: Uint8Array, body: Uint8Array): Place[] {
  const { segments } = JSON.parse(Buffer.from(meta).toString()) as Meta;
  if (segments.length === 0) return [];
  const columns = unpack(decoder.decodeSync(Buffer.from(body))) as readonly (readonly [readonly number[]])[];
  if (columns.length !== segments.length)
    throw new Error(`A chunk names ${segments.length} segments and has ${columns.length}`);
  return segments.flatMap(({ topic, partition, epoch }, index) => {
    let offset = 0;
    return (columns[index]?.[0] ?? []).map((difference) => ({
      topic,
      partition,
      offset: (offset += difference),
      epoch,
    }));
  });
}
