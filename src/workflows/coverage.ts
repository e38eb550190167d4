import type { CoverageState } from '../records/batcher.js';
import type { OffsetRange, Segment } from '../records/chunk.js';
import type { RecordSource } from '../records/record.js';

/**
 * Which offsets a batcher has accepted, per partition and epoch, as sorted disjoint ranges. Normally one range per
 * partition: senders go on where they stopped. A range stays when its records have been flushed, so that what arrives
 * again later is known.
 */
export class Coverage {
  /** Epochs kept per partition; the least recently used one is forgotten. */
  static readonly EPOCHS_MAX = 16;
  /**
   * Ranges kept per epoch; beyond it the two lowest become one. A hole stays behind where a sender started anew and the
   * batcher had no record in between, so that only a long row of restarts comes near this.
   */
  static readonly RANGES_MAX = 64;

  readonly #partitions = new Map<string, PartitionEpochs>();

  constructor(state: CoverageState = []) {
    for (const { topic, partition, epochs } of state) {
      const ranges = new Map(epochs.map(({ epoch, ranges }) => [epoch, [...ranges]]));
      this.#partitions.set(partitionKey(topic, partition), { topic, partition, ranges });
    }
  }

  /**
   * Takes a chunk's segments in and says what of them is new: null for all of a segment, else the ranges not accepted
   * before (see `BufferedChunk.keep`). Null where nothing of the chunk is new.
   */
  accept(segments: readonly Segment[]): (readonly OffsetRange[] | null)[] | null {
    const keep = segments.map((segment): readonly OffsetRange[] | null => {
      const range: OffsetRange = [segment.from, segment.to];
      const uncovered = this.uncovered(segment, range);
      this.add(segment, range);
      return isWhole(uncovered, range) ? null : uncovered;
    });
    return keep.every((ranges) => ranges?.length === 0) ? null : keep;
  }

  /** The parts of `(from, to]` not accepted before, in order. */
  uncovered(source: RecordSource, [from, to]: OffsetRange): OffsetRange[] {
    const missing: OffsetRange[] = [];
    let at = from;
    for (const [coveredFrom, coveredTo] of this.#rangesOf(source)) {
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
    for (const range of this.#rangesOf(source)) {
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
    this.#setRanges(source, ranges);
  }

  /** Ranges over all partitions and epochs: what the coverage costs to carry along. */
  get size(): number {
    let size = 0;
    for (const { ranges } of this.#partitions.values()) for (const list of ranges.values()) size += list.length;
    return size;
  }

  toState(): CoverageState {
    return [...this.#partitions.values()].map(({ topic, partition, ranges }) => ({
      topic,
      partition,
      epochs: [...ranges].map(([epoch, list]) => ({ epoch, ranges: list })),
    }));
  }

  #rangesOf({ topic, partition, epoch }: RecordSource): readonly OffsetRange[] {
    return this.#partitions.get(partitionKey(topic, partition))?.ranges.get(epoch) ?? [];
  }

  #setRanges({ topic, partition, epoch }: RecordSource, list: OffsetRange[]): void {
    const key = partitionKey(topic, partition);
    const { ranges } = this.#partitions.get(key) ?? { ranges: new Map<string, OffsetRange[]>() };
    this.#partitions.set(key, { topic, partition, ranges });
    // A Map keeps the order of insertion: taken out and put in again, the epoch is the most recently used.
    ranges.delete(epoch);
    ranges.set(epoch, list);
    if (ranges.size > Coverage.EPOCHS_MAX) ranges.delete(ranges.keys().next().value as string);
  }
}

function isWhole(ranges: readonly OffsetRange[], [from, to]: OffsetRange): boolean {
  return ranges.length === 1 && ranges[0]?.[0] === from && ranges[0][1] === to;
}

interface PartitionEpochs {
  readonly topic: string;
  readonly partition: number;
  readonly ranges: Map<string, OffsetRange[]>;
}

function partitionKey(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
