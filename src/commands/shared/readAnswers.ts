import type { Kafka } from 'kafkajs';
import type { PipelineConfig } from '../../config/config.js';
import { topicTrouble, type KafkaAdmin } from '../../kafka/admin.js';
import { rangesOf, readRanges, type HandleRecord } from '../../kafka/readRanges.js';
import { readDeadLetter } from '../../protocol/deadLetter.js';
import { partitionName, type KafkaRecord, type RecordPlace } from '../../protocol/record.js';
import { tellPassedOver } from './passedOver.js';

/** An acknowledgement and its place. */
export interface FoundAck extends RecordPlace {
  readonly status: string;
  readonly batch: string;
  readonly code?: string;
}

/** A dead letter and its place. */
export interface FoundDeadLetter extends RecordPlace {
  readonly code: string;
  readonly message: string;
  /** The timestamp of the record that it was made of. Null if it does not say, as one of version 0.1.0. */
  readonly recordTimestampMs: number | null;
}

/**
 * Called with each acknowledgement and dead letter, and the record that it is about. Returning true means that enough
 * is read.
 */
export interface AnswerHandlers {
  readonly ack: (source: RecordPlace, ack: FoundAck & { readonly atMs: number }) => boolean;
  readonly deadLetter: (source: RecordPlace, letter: FoundDeadLetter) => boolean;
  /** Asked once all answers from the records' own time on are read. False: the earlier ones are read, too. */
  readonly isEnough: () => boolean;
}

/** The most by which the clocks of producers, workers and servers may differ. */
export const CLOCK_SKEW_MS = 60_000;

/**
 * Reads the acknowledgements and dead letters of a pipeline. Unreadable offsets of their topics are reported and
 * skipped.
 *
 * @param askedMs when the oldest record was written, milliseconds since 1970. Answers from before (by more than
 *   {@link CLOCK_SKEW_MS}) are read last, and only if the others are not enough: a producer's clock may be ahead by any
 *   time. Undefined: reads all that the topics have
 */
export async function readAnswers(
  kafka: Kafka,
  admin: KafkaAdmin,
  { name, settings: { destination } }: PipelineConfig,
  askedMs: number | undefined,
  { ack, deadLetter, isEnough }: AnswerHandlers,
): Promise<void> {
  const { reply, deadLetterTopic } = destination;
  const topics = new Set([...(reply === undefined ? [] : [reply.topic, ...reply.allowTopics]), deadLetterTopic]);
  const existing = await admin.describeTopics([...topics]);
  const names = [...topics].filter((topic) => topicTrouble(existing, topic) === null);
  // A time in the future does not say when the record was answered.
  const sinceMs = askedMs === undefined || askedMs > Date.now() ? undefined : Math.max(0, askedMs - CLOCK_SKEW_MS);
  const ranges = await rangesOf(admin, names, sinceMs);
  const handle: HandleRecord = (record, { topic, partition }) => {
    const at = { topic, partition, offset: record.offset };
    if (topic === deadLetterTopic) {
      const { source, pipeline, code, message, ownTimestampMs } = readDeadLetter(record);
      // Pipelines may share a dead-letter topic.
      if (source === null || (pipeline !== null && pipeline !== name)) return false;
      return deadLetter(source, { ...at, code, message, recordTimestampMs: ownTimestampMs });
    }
    const parsed = parseAck(record);
    return parsed === null ? false : ack(parsed.source, { ...at, ...parsed.answer, atMs: record.timestampMs });
  };
  const handlers = { record: handle, passedOver: tellPassedOver };
  await readRanges(kafka, admin, ranges, handlers);
  if (sinceMs === undefined || isEnough()) return;
  const starts = new Map(ranges.map((range) => [partitionName(range), range.from]));
  const earlier = (await rangesOf(admin, names)).map((range) => {
    return { ...range, to: starts.get(partitionName(range)) ?? range.from };
  });
  await readRanges(kafka, admin, earlier, handlers);
}

/** Null if the record is not one of our acknowledgements. */
function parseAck({
  value,
}: Pick<KafkaRecord, 'value'>): { source: RecordPlace; answer: Pick<FoundAck, 'status' | 'batch' | 'code'> } | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(String(value));
  } catch {
    return null; // It is not ours. Others may write to a reply topic, too.
  }
  const { topic, partition, offset, status, batch, code } = (parsed ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof topic !== 'string' || typeof partition !== 'number' || typeof offset !== 'number') return null;
  if (typeof status !== 'string' || typeof batch !== 'string') return null;
  const answer = { status, batch, ...(typeof code === 'string' ? { code } : {}) };
  return { source: { topic, partition, offset }, answer };
}
