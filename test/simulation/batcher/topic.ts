import crc32 from 'crc-32';
import { CHUNK_FORMAT, type BufferedChunk, type ChunkMeta, type Segment } from '../../../src/protocol/chunk.js';
import type { BatcherSettings } from '../../../src/protocol/settings.js';

/** A record's identity, as text: `partition/epoch/offset`. */
export type Identity = string;

/** A chunk on its way to the batcher. */
export interface Chunk {
  readonly meta: ChunkMeta;
  readonly body: Uint8Array;
}

export const PARTITIONS = 3;

/**
 * Epochs of a partition that senders still have something of, the current one included. A batcher remembers sixteen;
 * between two chunks of one of these no more than fourteen others can have been used.
 */
const EPOCHS_ALIVE = 8;

/** Which offsets have a key of the batcher: all, most, and so few that restarts leave holes in what it covers. */
const BELONGS: readonly ((offset: number) => boolean)[] = [
  () => true,
  (offset) => offset % 3 !== 0,
  (offset) => offset % 7 === 3,
];

/** The log that senders read from, and what its group has committed. */
export class Topic {
  readonly #epochs = Array.from({ length: PARTITIONS }, () => [{ name: 0, start: 0 }]);
  /** What the batcher has accepted. */
  readonly #accepted: ReadonlySet<Identity>;

  constructor(accepted: ReadonlySet<Identity>) {
    this.#accepted = accepted;
  }

  currentEpoch(partition: number): number {
    return this.#epochs[partition]!.length - 1;
  }

  /** A person has reset the group's offset: the partition is read again from there, under a new epoch. */
  rewind(partition: number, back: number): void {
    const epoch = this.currentEpoch(partition);
    const start = Math.max(0, this.#committable(partition, epoch) - back);
    this.#epochs[partition]!.push({ name: epoch + 1, start });
  }

  isAlive(partition: number, epoch: number): boolean {
    return this.currentEpoch(partition) - epoch < EPOCHS_ALIVE;
  }

  /** What the group may have committed: nothing above the first record not accepted, and maybe less. */
  committed(partition: number, epoch: number, behind: number): number {
    return Math.max(this.#start(partition, epoch), this.#committable(partition, epoch) - behind);
  }

  #start(partition: number, epoch: number): number {
    return this.#epochs[partition]![epoch]!.start;
  }

  #committable(partition: number, epoch: number): number {
    let offset = this.#start(partition, epoch);
    while (!BELONGS[partition]!(offset) || this.#accepted.has(identity(partition, epoch, offset))) offset++;
    return offset;
  }
}

/**
 * A member's lane to the batcher: sends the partitions it was assigned in order, one chunk at a time, the same one again
 * until it knows that it was accepted.
 */
export class Sender {
  #assigned = new Map<number, { readonly epoch: number; coveredTo: number }>();
  #toSend: Chunk | null = null;
  #settings: BatcherSettings | undefined;

  /** A rebalance: it forgets what it was about to send and begins at what is committed. Others may not have noticed. */
  assign(topic: Topic, partitions: readonly number[], behind: number, settings: BatcherSettings): void {
    this.#toSend = null;
    this.#settings = settings;
    this.#assigned = new Map();
    for (const partition of partitions) {
      const epoch = topic.currentEpoch(partition);
      this.#assigned.set(partition, { epoch, coveredTo: topic.committed(partition, epoch, behind) - 1 });
    }
  }

  /** The chunk to send: the last one while it is not known to be accepted. Null: nothing is assigned. */
  next(topic: Topic, lengths: readonly number[], padding: number): Chunk | null {
    for (const [partition, { epoch }] of this.#assigned) {
      if (topic.isAlive(partition, epoch)) continue;
      this.#assigned.delete(partition);
      this.#toSend = null;
    }
    this.#toSend ??= this.#pack(lengths, padding);
    return this.#toSend;
  }

  knowsAccepted(): void {
    for (const { partition, to } of this.#toSend?.meta.segments ?? []) this.#assigned.get(partition)!.coveredTo = to;
    this.#toSend = null;
    this.#settings = undefined;
  }

  #pack(lengths: readonly number[], padding: number): Chunk | null {
    const segments: Segment[] = [];
    const offsets: number[][] = [];
    [...this.#assigned].forEach(([partition, { epoch, coveredTo }], index) => {
      const length = lengths[index] ?? 0;
      if (length === 0) return;
      const list: number[] = [];
      for (let offset = coveredTo + 1; list.length < length; offset++)
        if (BELONGS[partition]!(offset)) list.push(offset);
      const range = { from: coveredTo, to: list.at(-1)! };
      segments.push({ ...range, topic: 't', partition, epoch: `e${epoch}`, records: length, bytes: length * 10 });
      offsets.push(list);
    });
    return segments.length === 0 ? null : encodeChunk(segments, offsets, padding, this.#settings);
  }
}

function identity(partition: number, epoch: number, offset: number): Identity {
  return `${partition}/e${epoch}/${offset}`;
}

/** Offsets as JSON, and padding before them: large bodies cost nothing to make. */
function encodeChunk(
  segments: readonly Segment[],
  offsets: readonly (readonly number[])[],
  padding: number,
  settings: BatcherSettings | undefined,
): Chunk {
  const body = Buffer.concat([Buffer.alloc(padding, ' '), Buffer.from(JSON.stringify(offsets))]);
  const meta: ChunkMeta = {
    format: CHUNK_FORMAT,
    // Some have waited in their lane, for less or for longer than a batch may wait.
    ...(body.length % 4 === 0 ? { waitedMs: 700 } : {}),
    crc32: crc32.buf(body),
    records: segments.reduce((sum, { records }) => sum + records, 0),
    bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    segments,
    ...(settings === undefined ? {} : { settings }),
  };
  return { meta, body };
}

/** The records of a chunk that a flush is to insert. */
export function decodeChunk(segments: readonly Segment[], body: Uint8Array, keep?: BufferedChunk['keep']): Identity[] {
  const offsets = JSON.parse(Buffer.from(body).toString()) as number[][];
  return segments.flatMap(({ partition, epoch }, index) => {
    const ranges = keep?.[index] ?? null;
    return offsets[index]!.filter(
      (offset) => ranges === null || ranges.some(([from, to]) => offset > from && offset <= to),
    ).map((offset) => `${partition}/${epoch}/${offset}`);
  });
}
