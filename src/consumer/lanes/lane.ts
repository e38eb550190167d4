import type { SignalLimits } from '../../config/config.js';
import type { SegmentRecords } from '../../codecs/chunkCodec.js';
import { recordBytes, type KafkaRecord } from '../../protocol/record.js';
import { memoryBytes } from '../../protocol/recordLimit.js';
import { detached } from './recordMemory.js';
import type { PartitionTracker } from '../partitions/tracker.js';

/** The head of a lane's queue, as the next signal will carry it. */
export interface Pack {
  /** Of the lane's queue, which a rebalance clears. */
  readonly generation: number;
  readonly segments: readonly (SegmentRecords & { readonly tracker: PartitionTracker })[];
  readonly records: number;
  readonly bytes: number;
}

/** When a lane has something to send. `waitMs`: unless more arrives before. */
export type Readiness = { readonly type: 'empty' | 'ready' } | { readonly type: 'linger'; readonly waitMs: number };

/**
 * The ordered queue of one batcher: records in the order they were handed over. Pure; `LaneSender` sends from it.
 *
 * `pack` looks at the head of the queue and takes nothing out; `accepted` does, when a batcher has accepted the pack. So
 * the same pack can be sent again, or a smaller one after a refusal for size.
 */
export class Lane {
  readonly index: number;
  readonly #limits: SignalLimits;
  /** What was accepted is empty until the queue is shortened: a full lane would hold twice what it counts. */
  #queue: (Queued | undefined)[] = [];
  #head = 0;
  #bytes = 0;
  #memoryBytes = 0;
  #generation = 0;
  /** Per tracker the last offset covered by an accepted chunk of this lane. */
  #coveredTo = new Map<PartitionTracker, number>();

  constructor(index: number, limits: SignalLimits) {
    this.index = index;
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What the records take in this process. */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  get records(): number {
    return this.#queue.length - this.#head;
  }

  /** The own time of the record that waits first, milliseconds since 1970; null where none waits or it has none. */
  get firstTimestampMs(): number | null {
    const timestampMs = this.#queue[this.#head]?.record.timestampMs ?? -1;
    return timestampMs < 0 ? null : timestampMs;
  }

  /**
   * @param nowMs by a clock that is never set back, as that of {@link readiness}: otherwise a record lingers for as long
   * @param waitsLong the lane is stopped: its records must not keep alive what was fetched with them
   */
  add(tracker: PartitionTracker, record: KafkaRecord, nowMs: number, waitsLong = false): void {
    const bytes = recordBytes(record);
    this.#queue.push({ tracker, record: waitsLong ? detached(record) : record, bytes, addedAtMs: nowMs });
    this.#bytes += bytes;
    this.#memoryBytes += memoryBytes(record, bytes);
    tracker.handOver(this.index, record.offset);
  }

  readiness(nowMs: number): Readiness {
    const first = this.#queue[this.#head];
    if (first === undefined) return { type: 'empty' };
    const waitMs = first.addedAtMs + this.#limits.lingerMs - nowMs;
    const full = this.records >= this.#limits.maxRecords || this.#bytes >= this.#limits.maxBytes;
    return full || waitMs <= 0 ? { type: 'ready' } : { type: 'linger', waitMs };
  }

  /**
   * The oldest records, as many as a signal may carry and at least one.
   *
   * @param maxRecords fewer than the limit, after a refusal for size
   * @param maxBytes less than the limit, where many members send to one batcher
   */
  pack(maxRecords = this.#limits.maxRecords, maxBytes = this.#limits.maxBytes): Pack {
    const byTracker = new Map<PartitionTracker, KafkaRecord[]>();
    let records = 0;
    let bytes = 0;
    for (let at = this.#head; at < this.#queue.length && records < maxRecords; at++) {
      const queued = this.#queue[at] as Queued;
      if (records > 0 && bytes + queued.bytes > Math.min(maxBytes, this.#limits.maxBytes)) break;
      const list = byTracker.get(queued.tracker);
      if (list === undefined) byTracker.set(queued.tracker, [queued.record]);
      else list.push(queued.record);
      records++;
      bytes += queued.bytes;
    }
    const segments = [...byTracker].map(([tracker, list]) => {
      const { topic, partition, epoch } = tracker;
      const from = this.#coveredTo.get(tracker) ?? tracker.startOffset - 1;
      // With nothing of the partition left in the queue the chunk covers all that was handed over, so that the next
      // one continues it without a hole.
      const lastOffset = (list.at(-1) as KafkaRecord).offset;
      const to = tracker.lastPending(this.index) === lastOffset ? tracker.next - 1 : lastOffset;
      const fill = tracker.plan.state.type === 'filling';
      return { tracker, topic, partition, epoch, from, to, records: list, fill };
    });
    return { generation: this.#generation, segments, records, bytes };
  }

  /** True while the pack is the head of the queue; false once the lane was cleared. */
  holds(pack: Pack): boolean {
    return pack.generation === this.#generation;
  }

  /** The batcher has accepted this pack. Without effect where the lane was cleared meanwhile. */
  accepted(pack: Pack): void {
    if (!this.holds(pack)) return;
    for (let at = this.#head; at < this.#head + pack.records; at++) {
      const { record, bytes } = this.#queue[at] as Queued;
      this.#memoryBytes -= memoryBytes(record, bytes);
      this.#queue[at] = undefined;
    }
    this.#head += pack.records;
    this.#bytes -= pack.bytes;
    if (this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    for (const { tracker, to } of pack.segments) {
      this.#coveredTo.set(tracker, to);
      tracker.accept(this.index, to);
    }
  }

  /** Puts a record in the place of the only one of this pack. Without effect where the lane was cleared meanwhile. */
  replaceHead(pack: Pack, record: KafkaRecord): void {
    const queued = this.#queue[this.#head];
    if (!this.holds(pack) || queued === undefined) return;
    const bytes = recordBytes(record);
    this.#queue[this.#head] = { ...queued, record, bytes };
    this.#bytes += bytes - queued.bytes;
    this.#memoryBytes += memoryBytes(record, bytes) - memoryBytes(queued.record, queued.bytes);
  }

  /** Forgets everything: the partitions are assigned anew, and their new owners read the records again. */
  clear(): void {
    this.#queue = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#memoryBytes = 0;
    this.#generation++;
    this.#coveredTo = new Map();
  }
}

interface Queued {
  readonly tracker: PartitionTracker;
  readonly record: KafkaRecord;
  readonly bytes: number;
  readonly addedAtMs: number;
}
