import type { AcceptedMark, CoverageState, PartitionCoverage } from '../protocol/batcher.js';
import { COVERED_RANGES_MAX, type OffsetRange, type Segment } from '../protocol/chunk.js';
import { partitionName, type RecordSource } from '../protocol/record.js';
import { encodedJsonBytes } from './encodedJsonBytes.js';

/**
 * The offsets that a batcher has accepted, as sorted disjoint ranges for each partition and epoch. Pure. Normally there
 * is one range for each partition, because senders continue at the offset at which they stopped. A range stays after
 * its records are flushed, so that the batcher recognizes them if they arrive again.
 */
export class Coverage {
  /** Epochs kept for each partition. The least recently used one is forgotten. */
  static readonly EPOCHS_MAX = 16;
  /** Epochs kept over all partitions, but at least two for each partition. */
  static readonly EPOCHS_TOTAL_MAX = 3_000;
  /**
   * The most bytes of JSON that go over to the next run: some 2,900 partitions with two epochs each. There is less room
   * if the rest of the next run's input is large. A run itself forgets no partition: whether a record is new must not
   * depend on this. What is doubtful (`trust.ts`) is another coverage, with the same bound.
   */
  static readonly STATE_BYTES_MAX = 1_000_000;
  /**
   * Ranges kept for each epoch. If there are more, the two lowest become one. That loses nothing: a sender begins at an
   * offset before which everything was accepted, so no record of this batcher is in a hole. A hole appears when a
   * sender starts again and the batcher had no record in between. So only many restarts in a row come near this bound.
   */
  static readonly RANGES_MAX = COVERED_RANGES_MAX;

  readonly #partitions = new Map<string, PartitionEpochs>();

  constructor(state: CoverageState = []) {
    for (const { topic, partition, epochs, mark } of state) {
      const byEpoch = new Map(epochs.map(({ epoch, ranges, closedAt = null }) => [epoch, { ranges, closedAt }]));
      this.#partitions.set(partitionName({ topic, partition }), {
        topic,
        partition,
        epochs: byEpoch,
        mark: mark ?? null,
      });
    }
  }

  /**
   * Accepts a chunk's segments and says what is new: null for all of a segment, else the ranges not accepted before
   * (see `BufferedChunk.keep`).
   *
   * @returns null if nothing of the chunk is new
   */
  accept(segments: readonly Segment[], nowMs: number): (readonly OffsetRange[] | null)[] | null {
    const keep = segments.map((segment): readonly OffsetRange[] | null => {
      const to = Math.min(segment.to, this.#epoch(segment).closedAt ?? Infinity);
      const range: OffsetRange = [segment.from, to];
      const wanted = segment.fill ? openRange(range) : this.uncovered(segment, range);
      this.add(segment, range);
      if (wanted.length > 0) this.#remember(segment, nowMs);
      return isWhole(wanted, [segment.from, segment.to]) ? null : wanted;
    });
    return keep.every((ranges) => ranges?.length === 0) ? null : keep;
  }

  /** From now on accepts nothing of an epoch after an offset. Another call may only move the offset up. */
  close(source: RecordSource, offset: number): void {
    const { ranges, closedAt } = this.#epoch(source);
    this.#setEpoch(source, { ranges, closedAt: Math.max(offset, closedAt ?? offset) });
  }

  /** Adds all that another one has. Its epochs count as used last. */
  addAll(state: CoverageState): void {
    for (const { topic, partition, epochs, mark } of state) {
      for (const { epoch, ranges, closedAt } of epochs) {
        const source = { topic, partition, epoch };
        for (const range of ranges) this.add(source, range);
        if (closedAt !== undefined) this.close(source, closedAt);
      }
      const known = this.#partitions.get(partitionName({ topic, partition }));
      if (mark !== undefined && known !== undefined && (known.mark === null || isLater(mark, known.mark)))
        this.#partitions.set(partitionName({ topic, partition }), { ...known, mark });
    }
  }

  /** The highest accepted offset of an epoch, and the offset at which it is closed. Null if there is none. */
  ofEpoch(source: RecordSource): { readonly coveredTo: number | null; readonly closedAt: number | null } {
    const { ranges, closedAt } = this.#epoch(source);
    return { coveredTo: ranges.at(-1)?.[1] ?? null, closedAt };
  }

  /** The parts of `(from, to]` not accepted before, in order. */
  uncovered(source: RecordSource, [from, to]: OffsetRange): OffsetRange[] {
    const missing: OffsetRange[] = [];
    let at = from;
    for (const [coveredFrom, coveredTo] of this.#epoch(source).ranges) {
      if (coveredTo <= at) continue;
      if (coveredFrom >= to) break;
      if (coveredFrom > at) missing.push([at, coveredFrom]);
      at = coveredTo;
    }
    if (at < to) missing.push([at, to]);
    return missing;
  }

  add(source: RecordSource, [from, to]: OffsetRange): void {
    if (from >= to) return;
    const before: OffsetRange[] = [];
    const after: OffsetRange[] = [];
    let mergedFrom = from;
    let mergedTo = to;
    for (const range of this.#epoch(source).ranges) {
      if (range[1] < from) before.push(range);
      else if (range[0] > to) after.push(range);
      else {
        mergedFrom = Math.min(mergedFrom, range[0]);
        mergedTo = Math.max(mergedTo, range[1]);
      }
    }
    const ranges: OffsetRange[] = [...before, [mergedFrom, mergedTo], ...after];
    const [lowest, second] = ranges;
    if (ranges.length > Coverage.RANGES_MAX && lowest !== undefined && second !== undefined) {
      ranges.splice(0, 2, [lowest[0], second[1]]);
    }
    this.#setEpoch(source, { ranges, closedAt: this.#epoch(source).closedAt });
  }

  /** Ranges over all partitions and epochs. The coverage's size depends on it. */
  get size(): number {
    let size = 0;
    for (const { epochs } of this.#partitions.values()) for (const { ranges } of epochs.values()) size += ranges.length;
    return size;
  }

  /** Partitions with coverage. */
  get partitions(): number {
    return this.#partitions.size;
  }

  /**
   * @param bytesMax of JSON. Over it, the partitions without a record for the longest time are left out. Of two with the
   *   same time, the one that came first is older
   */
  toState(bytesMax = Infinity): CoverageState {
    const all = [...this.#partitions.values()].map(toPartitionCoverage);
    const bytes = all.map((partition) => encodedJsonBytes(partition) + 1);
    let total = bytes.reduce((sum, size) => sum + size, 0);
    if (total <= bytesMax) return all;
    const leftOut = new Set<number>();
    const oldestFirst = [...all.keys()].sort((one, other) => acceptedAtMs(all[one]) - acceptedAtMs(all[other]));
    for (const index of oldestFirst) {
      if (total <= bytesMax) break;
      leftOut.add(index);
      total -= bytes[index] ?? 0;
    }
    return all.filter((_, index) => !leftOut.has(index));
  }

  #remember({ topic, partition, epoch, mark }: Segment, nowMs: number): void {
    const known = this.#partitions.get(partitionName({ topic, partition }));
    if (mark === undefined || known === undefined) return;
    if (known.mark?.epoch === epoch && known.mark.offset >= mark.offset) return;
    this.#partitions.set(partitionName({ topic, partition }), {
      ...known,
      mark: { ...mark, epoch, acceptedAtMs: nowMs },
    });
  }

  #epoch({ topic, partition, epoch }: RecordSource): Epoch {
    return this.#partitions.get(partitionName({ topic, partition }))?.epochs.get(epoch) ?? NOTHING;
  }

  #setEpoch({ topic, partition, epoch }: RecordSource, accepted: Epoch): void {
    const key = partitionName({ topic, partition });
    const known = this.#partitions.get(key) ?? { topic, partition, epochs: new Map<string, Epoch>(), mark: null };
    this.#partitions.set(key, known);
    const { epochs } = known;
    // A Map keeps the order of insertion. Deleting and adding makes this epoch the most recently used one.
    epochs.delete(epoch);
    epochs.set(epoch, accepted);
    const fair = Math.max(2, Math.floor(Coverage.EPOCHS_TOTAL_MAX / this.#partitions.size));
    while (epochs.size > Math.min(Coverage.EPOCHS_MAX, fair)) epochs.delete(epochs.keys().next().value as string);
  }
}

function toPartitionCoverage({ topic, partition, epochs, mark }: PartitionEpochs): PartitionCoverage {
  return {
    topic,
    partition,
    epochs: [...epochs].map(([epoch, { ranges, closedAt }]) => {
      return { epoch, ranges, ...(closedAt === null ? {} : { closedAt }) };
    }),
    ...(mark === null ? {} : { mark }),
  };
}

/** A partition without any accepted record, which was only closed, counts as the oldest. */
function acceptedAtMs(partition: PartitionCoverage | undefined): number {
  return partition?.mark?.acceptedAtMs ?? 0;
}

function isLater(mark: AcceptedMark, other: AcceptedMark): boolean {
  return mark.epoch === other.epoch ? mark.offset > other.offset : mark.acceptedAtMs >= other.acceptedAtMs;
}

function openRange([from, to]: OffsetRange): OffsetRange[] {
  return from < to ? [[from, to]] : [];
}

/** Whether the ranges are one, which is this one. */
export function isWhole(ranges: readonly OffsetRange[], [from, to]: OffsetRange): boolean {
  return ranges.length === 1 && ranges[0]?.[0] === from && ranges[0][1] === to;
}

interface PartitionEpochs {
  readonly topic: string;
  readonly partition: number;
  readonly epochs: Map<string, Epoch>;
  readonly mark: AcceptedMark | null;
}

interface Epoch {
  readonly ranges: readonly OffsetRange[];
  readonly closedAt: number | null;
}

const NOTHING: Epoch = { ranges: [], closedAt: null };
