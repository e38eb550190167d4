import type { Batch } from 'kafkajs';
import type { KafkaRecord } from '../../protocol/record.js';
import type { RecordSetPart, UnreadableBatchError } from './recordSet.js';

/** What kafkajs knows of what it has fetched. */
export interface KafkajsBatch {
  readonly topic: string;
  readonly partition: number;
  readonly highWatermark: string;
  readonly fetchedOffset: string;
  readonly rawMessages: readonly never[];
}

/** The records of a batch that the repaired kafkajs hands out. */
export function recordsOf(batch: Batch): readonly KafkaRecord[] {
  return partOf(batch).records;
}

/** Why nothing of a partition can be read from the batch's offset on; null where it can. Such a batch has no records. */
export function failureOf(batch: Batch): UnreadableBatchError | null {
  return partOf(batch).failure;
}

/** The offset of the first record that may be in a batch: where reading it began. */
export function startOf(batch: Batch): number {
  return partOf(batch).from;
}

function partOf(batch: Batch): RecordSetPart {
  return (batch as unknown as FetchedBatch).part;
}

/** A part of what was fetched of a partition, with everything that kafkajs asks of a batch of its own. */
export class FetchedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly highWatermark: string;
  readonly part: RecordSetPart;

  constructor({ topic, partition, highWatermark }: KafkajsBatch, part: RecordSetPart) {
    this.topic = topic;
    this.partition = partition;
    this.highWatermark = highWatermark;
    this.part = part;
  }

  get fetchedOffset(): string {
    return String(this.part.from);
  }

  get messages(): readonly KafkaRecord[] {
    return this.part.records;
  }

  isEmpty(): boolean {
    return this.part.records.length === 0;
  }

  /** Only control records, aborted ones, or what compaction has removed: the position moves on all the same. */
  isEmptyDueToFiltering(): boolean {
    return this.isEmpty();
  }

  firstOffset(): string {
    return String(this.part.records[0]?.offset ?? this.part.from);
  }

  /** The last offset of the part, whether or not there is a record at it. */
  lastOffset(): string {
    return String(this.part.next - 1);
  }

  offsetLag(): string {
    return String(Number(this.highWatermark) - this.part.next);
  }

  offsetLagLow(): string {
    return String(Number(this.highWatermark) - 1 - Number(this.firstOffset()));
  }
}
