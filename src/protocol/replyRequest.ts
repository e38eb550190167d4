import { lastHeader, type RecordHeader } from './record.js';
import type { ReplySettings } from './settings.js';

/**
 * The headers by which request-reply clients say where they wait for the answer, and which answer belongs to which
 * request.
 *
 * Sources: `KafkaHeaders` of Spring Kafka and of NestJS, which use the same names. The partition differs: Spring's
 * `ReplyingKafkaTemplate` writes a 4-byte big-endian integer, NestJS's `ClientKafka` writes decimal digits.
 */
export const REPLY_HEADERS = {
  correlationId: 'kafka_correlationId',
  topic: 'kafka_replyTopic',
  partition: 'kafka_replyPartition',
} as const;

/** Where a record wants its acknowledgement. What the record does not say is undefined. */
export interface ReplyRequest {
  readonly topic: string | undefined;
  /** NaN if the header can be read in neither encoding. */
  readonly partition: number | undefined;
}

/** What a record asks for. Undefined if it asks for nothing. Of several headers of one name the last counts. */
export function replyRequest(headers: readonly RecordHeader[]): ReplyRequest | undefined {
  let topic: Buffer | null = null;
  let partition: Buffer | null = null;
  for (const [name, value] of headers) {
    if (name === REPLY_HEADERS.topic) topic = value;
    else if (name === REPLY_HEADERS.partition) partition = value;
  }
  if (topic === null && partition === null) return undefined;
  return { topic: topic?.toString(), partition: partition === null ? undefined : decodePartition(partition) };
}

/** Whether a record comes from NestJS's client. Only that one writes the partition in decimal digits. */
export function isNestRequest(headers: readonly RecordHeader[]): boolean {
  const partition = lastHeader(headers, REPLY_HEADERS.partition);
  return partition instanceof Uint8Array && !Number.isNaN(decimal(partition));
}

/**
 * Four bytes that are all digits are read as decimal digits. As an integer they would be a partition beyond 800
 * million, which no topic has.
 */
function decodePartition(bytes: Buffer): number {
  const digits = decimal(bytes);
  return Number.isNaN(digits) && bytes.length === 4 ? bytes.readInt32BE() : digits;
}

/** An Int32 has at most ten digits. */
const DIGITS_MAX = 10;

/** The number in decimal digits. NaN if there is anything else. */
function decimal(bytes: Buffer): number {
  if (bytes.length === 0 || bytes.length > DIGITS_MAX) return NaN;
  let number = 0;
  for (const byte of bytes) {
    if (byte < 0x30 || byte > 0x39) return NaN;
    number = number * 10 + byte - 0x30;
  }
  return number;
}

/** Whether a record may ask for a topic. */
export function isAllowed(topic: string, reply: Pick<ReplySettings, 'topic' | 'allowTopics'>): boolean {
  return topic === reply.topic || reply.allowTopics.includes(topic);
}

/** Why an acknowledgement goes to the pipeline's own reply topic although its record asks for another place. */
export const FALLBACK_CAUSES = ['forbidden_topic', 'missing_topic', 'missing_partition'] as const;
export type FallbackCause = (typeof FALLBACK_CAUSES)[number];

/** Where an acknowledgement goes. Without a partition, its key chooses one. */
export interface ReplyRoute {
  readonly topic: string;
  readonly partition?: number;
  readonly fallback?: FallbackCause;
}

/**
 * Decides where an acknowledgement goes if the record asks for a place. It goes there if the topic is the pipeline's
 * own or on its allow-list, and the topic exists and has that partition. Otherwise it goes to the pipeline's own topic.
 *
 * @param partitions how many partitions a topic has, null if there is no such topic. Called for allowed topics only
 */
export function routeReply(
  request: ReplyRequest,
  reply: Pick<ReplySettings, 'topic' | 'allowTopics'>,
  partitions: (topic: string) => number | null,
): ReplyRoute {
  const { topic = reply.topic, partition } = request;
  const fallTo = (fallback: FallbackCause): ReplyRoute => ({ topic: reply.topic, fallback });
  const own = topic === reply.topic;
  if (!isAllowed(topic, reply)) return fallTo('forbidden_topic');
  if (own && partition === undefined) return { topic };
  const count = partitions(topic);
  // The pipeline's own topic is never replaced. Publishing to it fails until it is back.
  if (count === null) return own ? { topic } : fallTo('missing_topic');
  if (partition === undefined) return { topic };
  return partition >= 0 && partition < count ? { topic, partition } : fallTo('missing_partition');
}
