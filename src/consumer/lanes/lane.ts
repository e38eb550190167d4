import type { SignalLimits } from '../../config/config.js';
import type { SegmentRecords } from '../../codecs/chunkCodec.js';
import { RecordColumns } from '../../codecs/recordColumns.js';
import { CHUNK_BYTES_GOAL } from '../../protocol/payloadLimit.js';
import type { KafkaRecord } from '../../protocol/record.js';
import { isOverLimit } from '../../protocol/recordLimit.js';
import type { PartitionTracker } from '../partitions/tracker.js';

/** The head of a lane's queue, for the next signal. */
export interface Pack {
  /** Generation of the lane's queue. A rebalance clears the queue and begins the next one. */
  readonly generation: number;
  readonly segments: readonly (SegmentRecords & { readonly tracker: PartitionTracker })[];
  readonly records: number;
  readonly bytes: number;
  /**
   * When its oldest record was added, by the clock of {@link Lane.add}. Null if the pack is full, and leaves records
   * behind.
   */
  readonly lingersSinceMs: number | null;
}

/** The oldest record of a pack. */
export function firstRecord({ segments }: Pack): KafkaRecord | undefined {
  return segments[0]?.columns[0]?.first;
}

/** How much better than the ones before a chunk may be expected to pack. */
const PACKING_GROWTH_MAX = 1.25;

/** A chunk of less than this share of the goal packs worse than a full one. */
const TELLING_SHARE = 0.25;

/** They may change, and are read each time. */
interface LaneLimits extends Omit<SignalLimits, 'sharedLingerMs'> {
  /** From so much memory on, waiting gains nothing: the partitions of its records may be paused. Default: no limit. */
  readonly lingerMemoryBytesMax?: number;
}

/** When a lane has something to send. `waitMs` holds unless more arrives before. */
export type LaneReadiness = { readonly type: 'empty' | 'ready' } | { readonly type: 'linger'; readonly waitMs: number };

/**
 * The ordered queue of one batcher: records in the order in which they were handed over. Pure. `LaneSender` sends from
 * it.
 *
 * `pack` reads the head of the queue and takes nothing out. `accepted` takes it out when a batcher has accepted the
 * pack. So the same pack can be sent again, or a smaller one after a refusal for size.
 */
export class Lane {
  readonly index: number;
  /** How long the first record of a signal that is not full waits for others. */
  lingerMs: number;
  /** Encoded bytes of a full chunk, body and metadata. May be set at any time. */
  chunkBytesGoal = CHUNK_BYTES_GOAL;
  readonly #limits: LaneLimits;
  /** Payload for each encoded byte of a chunk, as far as the last ones tell. */
  #payloadPerByte = 1;
  /**
   * Accepted entries are emptied at once, before the queue is shortened. Otherwise a full lane would hold twice the
   * memory that it counts.
   */
  #queue: (Queued | undefined)[] = [];
  #head = 0;
  #records = 0;
  #bytes = 0;
  #memoryBytes = 0;
  #generation = 0;
  /**
   * By tracker, the last offset that an accepted chunk of this lane covers. Weak, because partitions get new trackers
   * between rebalances, too.
   */
  #coveredTo = new WeakMap<PartitionTracker, number>();

  constructor(index: number, limits: LaneLimits) {
    this.index = index;
    this.lingerMs = limits.lingerMs;
    this.#limits = limits;
  }

  /** The configured {@link lingerMs}: in a hurry it is shorter. */
  get lingerMaxMs(): number {
    return this.#limits.lingerMs;
  }

  /** Bytes that the records take in this process's memory. */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  get records(): number {
    return this.#records;
  }

  /**
   * The timestamp of the first waiting record, milliseconds since 1970. Null if none waits, or it has none, or one from
   * before 1970: in the metric 0 stands for none.
   */
  get firstTimestampMs(): number | null {
    const timestampMs = this.#queue[this.#head]?.columns.timestampsMs[0] ?? -1;
    return timestampMs < 0 ? null : timestampMs;
  }

  /**
   * Adds records of a partition, in order.
   *
   * @param added see {@link inColumns}
   * @param nowMs by a clock that is never set back, the same as for {@link readiness}. Otherwise a record could wait as
   *   long as the clock was set back
   */
  add(tracker: PartitionTracker, added: readonly RecordColumns[], nowMs: number): void {
    for (const columns of added) {
      this.#queue.push({ tracker, columns, addedAtMs: nowMs });
      this.#count(columns);
      tracker.handOver(this.index, columns.offsets);
    }
  }

  /**
   * Tells how many bytes a payload took in a chunk, metadata included. The next chunks become smaller at once, but
   * larger step by step: where records that pack well and badly alternate, a chunk would be far too large.
   */
  packed(payloadBytes: number, chunkBytes: number): void {
    if (payloadBytes === 0) return;
    const payloadPerByte = payloadBytes / chunkBytes;
    if (payloadPerByte < this.#payloadPerByte && chunkBytes < this.chunkBytesGoal * TELLING_SHARE) return;
    this.#payloadPerByte = Math.min(payloadPerByte, this.#payloadPerByte * PACKING_GROWTH_MAX);
  }

  readiness(nowMs: number): LaneReadiness {
    const first = this.#queue[this.#head];
    if (first === undefined) return { type: 'empty' };
    const waitMs = first.addedAtMs + this.lingerMs - nowMs;
    const { maxRecords, lingerMemoryBytesMax = Infinity } = this.#limits;
    const full =
      this.records >= maxRecords || this.#bytes >= this.#signalBytes || this.#memoryBytes >= lingerMemoryBytesMax;
    return full || waitMs <= 0 ? { type: 'ready' } : { type: 'linger', waitMs };
  }

  /**
   * The oldest records: as many as a signal may carry, and at least one. One over the limit for a record is alone, so
   * that it is set aside whatever is beside it.
   *
   * @param maxRecords fewer than the limit, after a refusal for size
   */
  pack(maxRecords = this.#limits.maxRecords): Pack {
    const byTracker = new Map<PartitionTracker, RecordColumns[]>();
    let records = 0;
    let bytes = 0;
    for (let at = this.#head; at < this.#queue.length; at++) {
      const { tracker, columns } = this.#queue[at] as Queued;
      if (columns.isOverLimit && records > 0) break;
      const fitting = columns.fitting(maxRecords - records, this.#signalBytes - bytes);
      const taken = columns.slice(0, records === 0 ? Math.max(1, fitting) : fitting);
      if (taken.length > 0) {
        const list = byTracker.get(tracker);
        if (list === undefined) byTracker.set(tracker, [taken]);
        else list.push(taken);
      }
      records += taken.length;
      bytes += taken.bytes;
      if (taken.length < columns.length || columns.isOverLimit) break;
    }
    const segments = Array.from(byTracker, ([tracker, columns]) => {
      const { topic, partition, epoch } = tracker;
      const from = this.#coveredTo.get(tracker) ?? tracker.startOffset - 1;
      // If nothing of the partition is left in the queue, the chunk covers everything that was handed over. So the next
      // chunk continues it without a hole.
      const lastOffset = (columns.at(-1) as RecordColumns).offsets.at(-1) as number;
      const to = tracker.lastPending(this.index) === lastOffset ? tracker.next - 1 : lastOffset;
      const fill = tracker.plan.state.type === 'filling';
      return { tracker, topic, partition, epoch, from, to, columns, fill };
    });
    const lingersSinceMs = records < this.records ? null : (this.#queue[this.#head]?.addedAtMs ?? null);
    return { generation: this.#generation, segments, records, bytes, lingersSinceMs };
  }

  /** True while the pack is the head of the queue. False after the lane was cleared. */
  holds(pack: Pack): boolean {
    return pack.generation === this.#generation;
  }

  /** The batcher has accepted this pack. No effect if the lane was cleared meanwhile. */
  accepted(pack: Pack): void {
    if (!this.holds(pack)) return;
    for (let left = pack.records; left > 0;) {
      const queued = this.#queue[this.#head] as Queued;
      const { columns } = queued;
      this.#count(columns, -1);
      if (columns.length <= left) this.#queue[this.#head++] = undefined;
      else {
        const rest = columns.slice(left);
        this.#count(rest);
        this.#queue[this.#head] = { ...queued, columns: rest };
      }
      left -= columns.length;
    }
    if (this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    for (const { tracker, to } of pack.segments) {
      this.#coveredTo.set(tracker, to);
      tracker.accept(this.index, to);
    }
  }

  /** Replaces the only record of this pack. No effect if the lane was cleared meanwhile. */
  replaceHead(pack: Pack, record: KafkaRecord): void {
    const queued = this.#queue[this.#head];
    if (!this.holds(pack) || queued === undefined) return;
    const { columns } = queued;
    const replaced = [RecordColumns.of([record])];
    if (columns.length > 1) replaced.push(columns.slice(1));
    this.#queue.splice(this.#head, 1, ...replaced.map((part) => ({ ...queued, columns: part })));
    this.#count(columns, -1);
    for (const part of replaced) this.#count(part);
  }

  /** Forgets everything after a rebalance. The new owners of the partitions read the records again. */
  clear(): void {
    this.#queue = [];
    this.#head = 0;
    this.#records = 0;
    this.#bytes = 0;
    this.#memoryBytes = 0;
    this.#generation++;
    this.#coveredTo = new WeakMap();
  }

  /** Payload of the next signal. */
  get #signalBytes(): number {
    return Math.min(this.#limits.maxBytes, this.chunkBytesGoal * this.#payloadPerByte);
  }

  #count({ length, bytes, memoryBytes }: RecordColumns, sign = 1): void {
    this.#records += sign * length;
    this.#bytes += sign * bytes;
    this.#memoryBytes += sign * memoryBytes;
  }
}

interface Queued {
  readonly tracker: PartitionTracker;
  readonly columns: RecordColumns;
  readonly addedAtMs: number;
}

/** The records in columns. One over the limit for a record is not copied, and so has columns of its own. */
export function inColumns(records: readonly KafkaRecord[]): RecordColumns[] {
  const found: RecordColumns[] = [];
  let from = 0;
  records.forEach((record, index) => {
    if (!isOverLimit(record)) return;
    if (from < index) found.push(RecordColumns.of(records.slice(from, index)));
    found.push(RecordColumns.sharing(record));
    from = index + 1;
  });
  if (from < records.length) found.push(RecordColumns.of(from === 0 ? records : records.slice(from)));
  return found;
}
