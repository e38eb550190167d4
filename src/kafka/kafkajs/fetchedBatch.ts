import type { Batch } from 'kafkajs';
import type { KafkaRecord } from '../../protocol/record.js';
import type { RecordSetPart, UnreadableBatchError } from './recordSet.js';

/** What a broker says of a topic after it has answered a fetch. */
export type TopicAnswer =
  /** The id is absent if the broker does not tell it (Kafka before 2.8). */
  | { readonly type: 'topic'; readonly topicId?: string | undefined }
  | { readonly type: 'noTopic' }
  /** None came in time, or the broker says nothing of the topic. */
  | { readonly type: 'noAnswer' };

export interface TopicQuestion {
  /** By `performance.now()`. */
  readonly askedAtMs: number;
  /** Never rejects. It takes a second at most, or longer if the broker has just left questions without an answer. */
  readonly answer: Promise<TopicAnswer>;
}

/** The batch as kafkajs has fetched it. */
export interface KafkajsBatch {
  readonly topic: string;
  readonly partition: number;
  readonly highWatermark: string;
  readonly fetchedOffset: string;
  readonly rawMessages: readonly never[];
  /** Set by {@link repairTopicAnswers}. */
  askTopic?: () => TopicQuestion;
  /** Set by {@link repairPartitionErrors}. */
  from?: {
    readonly nodeId: string;
    /** If the broker is a follower, its leader is asked from now on. Returns whether it was one. */
    readonly leave: () => boolean;
  };
}

/** The records of a batch from the repaired kafkajs. */
export function recordsOf(batch: Batch): readonly KafkaRecord[] {
  return partOf(batch).records;
}

/**
 * Why nothing of the partition can be read from the batch's offset on. Such a batch has no records. Null if it can be
 * read.
 */
export function failureOf(batch: Batch): UnreadableBatchError | null {
  return partOf(batch).failure;
}

/** The offset at which reading the batch began. Its first record may be later. */
export function startOf(batch: Batch): number {
  return partOf(batch).from;
}

/** The leader epochs of the record batches, see {@link RecordSetPart}. Undefined if their format has none. */
export function leaderEpochsOf(batch: Batch): RecordSetPart['leaderEpochs'] {
  return partOf(batch).leaderEpochs;
}

/** Asks for the id that the batch's topic has now. @throws Error if the batch was not fetched by the repaired kafkajs */
export function askTopicOf(batch: Batch): TopicQuestion {
  const { askTopic } = batch as unknown as FetchedBatch;
  if (askTopic === undefined) throw new Error('kafkajs hands out a batch that does not say who gave it');
  return askTopic();
}

function partOf(batch: Batch): RecordSetPart {
  return (batch as unknown as FetchedBatch).part;
}

/** A part of what was fetched of a partition, with all members that kafkajs uses of its own batches. */
export class FetchedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly highWatermark: string;
  readonly part: RecordSetPart;
  readonly askTopic: KafkajsBatch['askTopic'];

  constructor({ topic, partition, highWatermark, askTopic }: KafkajsBatch, part: RecordSetPart) {
    this.topic = topic;
    this.partition = partition;
    this.highWatermark = highWatermark;
    this.part = part;
    this.askTopic = askTopic;
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

  /** There are only control records, aborted records, or gaps from compaction. The position moves on in any case. */
  isEmptyDueToFiltering(): boolean {
    return this.isEmpty();
  }

  firstOffset(): string {
    return String(this.part.records[0]?.offset ?? this.part.from);
  }

  /** The last offset of the part, even if there is no record at it. */
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
