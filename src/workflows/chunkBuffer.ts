import type { AcceptedChunk } from '../protocol/batcher.js';
import { splitChunks } from '../protocol/chunkBodies.js';
import { UNKNOWN_RUN } from '../protocol/flush.js';
import { sourceName } from '../protocol/record.js';
import { encodedBytesOf, type Buffered } from './batchPlanning.js';

/**
 * The chunks that a batcher has accepted but not put into a batch, oldest first, with their totals. Pure.
 *
 *     append ──► buffered ──take──► in a batch
 */
export class ChunkBuffer {
  /** The runs before the present one in which restored chunks have been. */
  earlierRuns: readonly string[] = [];
  /** Chunks at the head of the buffer that a flush signal asks for. */
  chunksToFlush = 0;
  #present: readonly string[];
  readonly #chunks: Buffered[] = [];
  /** How many of the oldest chunks are of runs before. */
  #restored = 0;
  #records = 0;
  #bytes = 0;
  #encodedBytes = 0;
  #waitingSinceMs: number | null = null;

  /** @param present the present run */
  constructor(present: readonly string[]) {
    this.#present = present;
  }

  /**
   * The runs in which the oldest chunks have been, the present one last. Chunks that came in this run have been in no
   * other. Otherwise a batcher with steady traffic, whose buffer is never empty at the end of a run, would never forget one.
   */
  get runs(): readonly string[] {
    return this.#restored === 0 ? this.#present : [...this.earlierRuns, ...this.#present];
  }

  /** From now on, whatever is taken out may have been inserted before. */
  doubt(): void {
    this.#present = [UNKNOWN_RUN];
  }

  get chunks(): readonly Buffered[] {
    return this.#chunks;
  }

  get records(): number {
    return this.#records;
  }

  /** Payload before compression: what `batch.maxBytes` counts. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes that the chunks would add to a payload. */
  get encodedBytes(): number {
    return this.#encodedBytes;
  }

  /** When the oldest chunk was accepted. Null if there is none. */
  get oldestAcceptedAtMs(): number | null {
    return this.#chunks[0]?.chunk.acceptedAtMs ?? null;
  }

  /** When the latest chunk was accepted. Null if there is none. */
  get latestAcceptedAtMs(): number | null {
    return this.#chunks.at(-1)?.chunk.acceptedAtMs ?? null;
  }

  /**
   * Since when the record waits that has waited longest, in its lane and here, milliseconds since 1970. Null if there
   * is none. It may be in a later chunk than the oldest, since one lane waits and another one does not.
   */
  get waitingSinceMs(): number | null {
    return this.#waitingSinceMs;
  }

  /** Whether a chunk has records of a source, see `sourceName`. */
  holds(source: string): boolean {
    return this.#chunks.some(({ chunk }) => chunk.segments.some((segment) => sourceName(segment) === source));
  }

  append(buffered: Buffered): void {
    this.#chunks.push(buffered);
    this.#weigh(buffered, 1);
    this.#waitingSinceMs = earlier(this.#waitingSinceMs, waitingSinceMs(buffered));
  }

  /** Asks to flush the chunks that are here now, but no later ones. */
  flushAll(): void {
    this.chunksToFlush = this.#chunks.length;
  }

  /**
   * Takes the oldest chunks out.
   *
   * @throws Error if there are fewer chunks, or the count is 0
   */
  take(count: number): readonly Buffered[] {
    const taken = this.#chunks.slice(0, count);
    if (taken.length < Math.max(1, count)) throw new Error(`a batch of ${count} chunks, of ${this.#chunks.length}`);
    this.#chunks.splice(0, count);
    for (const buffered of taken) this.#weigh(buffered, -1);
    this.#waitingSinceMs = this.#chunks.map(waitingSinceMs).reduce<number | null>(earlier, null);
    this.chunksToFlush = Math.max(0, this.chunksToFlush - count);
    this.#restored = Math.max(0, this.#restored - count);
    return taken;
  }

  /** The chunks of the run before, and their bodies, one after the other. */
  restore(chunks: readonly AcceptedChunk[], bodies: Uint8Array): void {
    for (const buffered of splitChunks({ chunks, bodies })) this.append(buffered);
    this.#restored = chunks.length;
  }

  #weigh(buffered: Buffered, sign: 1 | -1): void {
    this.#records += sign * buffered.chunk.records;
    this.#bytes += sign * buffered.chunk.bytes;
    this.#encodedBytes += sign * encodedBytesOf(buffered);
  }
}

function waitingSinceMs({ chunk: { acceptedAtMs, waitedMs = 0 } }: Buffered): number {
  return acceptedAtMs - waitedMs;
}

function earlier(one: number | null, other: number): number {
  return one === null ? other : Math.min(one, other);
}
