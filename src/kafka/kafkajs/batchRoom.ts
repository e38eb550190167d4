import { Room } from './room.js';
import { DECOMPRESSED_BYTES_MAX } from './decompression.js';

/** Batches that decompress to this size or less share a room. A larger one has to be the only one of its kind. */
export const SHARED_ROOM_BATCH_MAX = 4 * 1024 * 1024;

/** Decompressed batches of the whole process, however many partitions it reads. */
const batches = new Room(2 * SHARED_ROOM_BATCH_MAX);
const largeBatch = new Room(DECOMPRESSED_BYTES_MAX);

/**
 * The memory that the decompressed batch of one partition takes. All partitions of the process share the room for it.
 * A partition that waits for room has no batch, so those that have one can always go on, and make room.
 */
export class BatchRoom {
  readonly #ending = new AbortController();
  #bytes = 0;
  #isLarge = false;

  /**
   * Takes the room for one more batch, if there is some at once.
   *
   * @returns how many bytes the next batch may decompress to. 0: it has to wait
   */
  prepare(): number {
    if (this.#isLarge) return DECOMPRESSED_BYTES_MAX;
    const missing = SHARED_ROOM_BATCH_MAX - this.#bytes;
    if (missing > 0 && !batches.tryTake(missing)) return 0;
    this.#bytes += missing;
    return SHARED_ROOM_BATCH_MAX;
  }

  /** The batch that is open takes so many bytes. The rest of the room is free again. 0: none is open. */
  keep(bytes: number): void {
    if (this.#isLarge) {
      if (bytes === 0) this.#leaveLarge();
    } else if (bytes < this.#bytes) {
      batches.giveBack(this.#bytes - bytes);
      this.#bytes = bytes;
    }
  }

  /**
   * Waits until there is room for a batch that decompresses to so many bytes. While it waits, no batch may be open.
   *
   * @returns false if {@link end} was called before
   */
  async take(bytes: number): Promise<boolean> {
    this.keep(0);
    const isLarge = bytes > SHARED_ROOM_BATCH_MAX;
    const [room, wanted] = isLarge ? [largeBatch, DECOMPRESSED_BYTES_MAX] : [batches, SHARED_ROOM_BATCH_MAX];
    if (!(await room.take(wanted, this.#ending.signal))) return false;
    if (isLarge) this.#isLarge = true;
    else this.#bytes = wanted;
    if (this.#ending.signal.aborted) this.keep(0);
    return !this.#ending.signal.aborted;
  }

  /** The partition has no batch any more, and does not wait. */
  end(): void {
    this.keep(0);
    this.#ending.abort();
  }

  #leaveLarge(): void {
    this.#isLarge = false;
    largeBatch.giveBack(DECOMPRESSED_BYTES_MAX);
  }
}
