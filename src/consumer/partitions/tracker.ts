import type { Layout } from '../../protocol/layout.js';
import type { RecordSource } from '../../protocol/record.js';
import type { PartitionState } from './commitMetadata.js';

/** How a partition is read from a tracker's start on. */
export interface ReadingPlan {
  /** The batchers that its records go to. */
  readonly layout: Layout;
  readonly state: PartitionState;
  /** The offset at which another tracker takes over. Null if there is none. */
  readonly end: number | null;
}

/**
 * The offsets that one assigned partition has handed over to the lanes, and which of them are accepted. A new tracker
 * is made for each assignment, epoch and plan, so a late acceptance can never move the offsets of another one.
 *
 * Pure: no I/O, no clock. Invariant: `committable() <= first handed-over offset not accepted <= next`.
 */
export class PartitionTracker implements RecordSource {
  readonly topic: string;
  readonly partition: number;
  readonly epoch: string;
  readonly startOffset: number;
  readonly plan: ReadingPlan;
  #next: number;
  #jump: { readonly from: number; readonly to: number } | null = null;
  /** By lane, the offsets handed over and not yet accepted, oldest first. */
  readonly #pending = new Map<number, OffsetQueue>();

  constructor({ topic, partition, epoch }: RecordSource, startOffset: number, plan: ReadingPlan) {
    this.topic = topic;
    this.partition = partition;
    this.epoch = epoch;
    this.startOffset = startOffset;
    this.plan = plan;
    this.#next = startOffset;
  }

  /** The offset at which the next batch from Kafka has to start. */
  get next(): number {
    return this.#next;
  }

  /**
   * The later offset at which the last fetch began, although it should have begun at {@link next}. Null if it did not.
   */
  get jumpedTo(): number | null {
    return this.#jump?.from === this.#next ? this.#jump.to : null;
  }

  /** Notes that a fetch began at this offset, not at {@link next}. */
  jumped(to: number): void {
    this.#jump = { from: this.#next, to };
  }

  /** True when everything before {@link ReadingPlan.end} is handed over. */
  get handedOver(): boolean {
    return this.plan.end !== null && this.#next >= this.plan.end;
  }

  /** True when everything before {@link ReadingPlan.end} is accepted. */
  get finished(): boolean {
    return this.plan.end !== null && this.committable() >= this.plan.end;
  }

  /** @param offsets of records that were handed over to a lane, ascending */
  handOver(lane: number, offsets: Iterable<number>): void {
    let queue = this.#pending.get(lane);
    if (queue === undefined) {
      queue = new OffsetQueue();
      this.#pending.set(lane, queue);
    }
    queue.push(offsets);
  }

  /** Everything below `next` is handed over, or is no record: a control record, one removed by compaction, a gap. */
  advanceTo(next: number): void {
    this.#next = Math.max(this.#next, next);
  }

  /** A lane's batcher has accepted everything up to and including `offset`. */
  accept(lane: number, offset: number): void {
    this.#pending.get(lane)?.dropThrough(offset);
  }

  /** The last offset handed over to a lane and not yet accepted. Undefined if there is none. */
  lastPending(lane: number): number | undefined {
    return this.#pending.get(lane)?.last;
  }

  /** The next offset to commit. Everything below it is accepted. */
  committable(): number {
    let lowest = this.#next;
    for (const { first } of this.#pending.values()) if (first !== undefined && first < lowest) lowest = first;
    return lowest;
  }
}

/** Ascending offsets, taken from the front in runs. */
class OffsetQueue {
  #offsets: number[] = [];
  #head = 0;

  get first(): number | undefined {
    return this.#offsets[this.#head];
  }

  get last(): number | undefined {
    return this.#head < this.#offsets.length ? this.#offsets.at(-1) : undefined;
  }

  push(offsets: Iterable<number>): void {
    for (const offset of offsets) this.#offsets.push(offset);
  }

  dropThrough(offset: number): void {
    for (let first = this.first; first !== undefined && first <= offset; first = this.first) this.#head++;
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#offsets.length) {
      this.#offsets = this.#offsets.slice(this.#head);
      this.#head = 0;
    }
  }
}

const COMPACT_AT = 1_024;
