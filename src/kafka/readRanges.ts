import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Batch, Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import type { KafkaAdmin } from './admin.js';
import { partitionName, type KafkaRecord, type TopicPartition } from '../protocol/record.js';
import { fromKafkaMessage } from './fromKafka.js';
import { failureOf, startOf } from './kafkajs/fetchedBatch.js';
import { UNREADABLE_FETCHES_MAX, UnreadableBatchError } from './kafkajs/recordSet.js';
import { fetchLogOffsets, offsetsAt } from './offsets.js';
import { causeOf, isUserRefusal } from './userRefusal.js';

/** Offsets of one partition, from `from` up to, but not including, `to`. */
export interface PartitionRange extends TopicPartition {
  readonly from: number;
  readonly to: number;
}

/**
 * Handles a record. It is awaited before the next record. Returning true means that enough is read. Its error ends the
 * reading.
 */
export type HandleRecord = (record: KafkaRecord, range: PartitionRange) => Promise<boolean> | boolean;

/** Offsets whose records nobody can read, because their producer wrote them so. The daemon skips them, too. */
export interface PassedOver extends PartitionRange {
  /** The reason, with the topic, the partition and the offset. */
  readonly reason: string;
}

/** Called for records, and for unreadable offsets. */
interface RangeHandlers {
  readonly record: HandleRecord;
  /** Called once for each, in order with the records. Offsets outside the range are left out. */
  readonly passedOver: (unreadable: PassedOver) => void;
}

/** With what the names of the groups begin that commands read with. Users need rights on these groups. */
export const READ_GROUPS = 'ktb-read-';

/** If nothing new comes for this long, the reading fails. A broker that is restarted is back by then. */
const PATIENCE_MS = 90_000;
/** If nothing new comes for this long, the log is asked whether it still has the next offset. */
const SILENCE_MS = 5_000;
const RETRY_MS = 1_000;

/**
 * Reads every record of some ranges of offsets once, one after the other, in the order of each partition. It uses its
 * own consumer group, which is deleted at the end.
 *
 * It ends at the end of each range, or with an error. After the last record of a range there may be others that
 * nobody sees (control records, aborted ones, ones that compaction has removed). If a broker is away or the consumer
 * fails, it waits.
 *
 * @param patienceMs how long to wait without anything new
 * @throws Error if Kafka refuses the user, or nothing new has come for too long. Then the rest was not read
 */
export async function readRanges(
  kafka: Kafka,
  admin: KafkaAdmin,
  ranges: readonly PartitionRange[],
  handlers: RangeHandlers,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const reading = new Reading(ranges, handlers);
  if (reading.hasEnded()) return;
  const groupId = `${READ_GROUPS}${randomUUID()}`;
  try {
    while (!reading.hasEnded()) {
      try {
        await readByConsumer(kafka, admin, groupId, reading, patienceMs);
      } catch (error) {
        if (isUserRefusal(error) || reading.silentMs >= patienceMs) throw reading.unfinished(error);
        await sleep(RETRY_MS);
      }
    }
    reading.throwFailure();
  } finally {
    await admin.deleteGroups([groupId]).catch(() => undefined); // If this fails, the group expires by itself.
  }
}

/** A partition that is not read to its end yet. */
interface Unread {
  readonly range: PartitionRange;
  next: number;
  /** Fetches in a row that brought a batch which may be damaged. */
  damagedFetches: number;
}

/** How far the ranges have been read. */
class Reading {
  readonly #handlers: RangeHandlers;
  readonly #unread = new Map<string, Unread>();
  #isEnough = false;
  #failure: { readonly error: unknown } | null = null;
  #isHandling = false;
  #progressAtMs = performance.now();

  constructor(ranges: readonly PartitionRange[], handlers: RangeHandlers) {
    this.#handlers = handlers;
    for (const range of ranges)
      if (range.from < range.to) this.#unread.set(partitionName(range), { range, next: range.from, damagedFetches: 0 });
  }

  hasEnded(): boolean {
    return this.#failure !== null || this.#isEnough || this.#unread.size === 0;
  }

  /** Throws what the handler has thrown, if it has. */
  throwFailure(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  get topics(): string[] {
    return [...new Set([...this.#unread.values()].map(({ range }) => range.topic))];
  }

  /** Milliseconds without anything new. */
  get silentMs(): number {
    return this.#isHandling ? 0 : performance.now() - this.#progressAtMs;
  }

  /** The next offset of a partition. Undefined if the partition is read to its end, or was not to be read. */
  next(partition: TopicPartition): number | undefined {
    return this.#unread.get(partitionName(partition))?.next;
  }

  /** Never rejects. */
  async take(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const unread = this.#unread.get(partitionName(batch));
    if (unread === undefined) return;
    const { range } = unread;
    const failure = failureOf(batch);
    if (failure !== null && !failure.isAsWritten) {
      if (++unread.damagedFetches >= UNREADABLE_FETCHES_MAX)
        this.#failure = { error: this.unfinished(failure, unread) };
      return;
    }
    unread.damagedFetches = 0;
    this.#isHandling = true;
    try {
      if (failure !== null) this.#passOver(unread, batch, failure);
      for (const message of batch.messages) {
        const record = fromKafkaMessage(message);
        const { offset } = record;
        if (offset < unread.next) continue;
        if (!payload.isRunning() || offset >= range.to || this.hasEnded()) break;
        this.#isEnough = await this.#handlers.record(record, range);
        unread.next = offset + 1;
        // The consumer fails with the same error.
        await payload.heartbeat().catch(() => undefined);
      }
      if (payload.isRunning()) this.passed(batch, Number(batch.lastOffset()));
    } catch (error) {
      this.#failure = { error };
    } finally {
      this.#isHandling = false;
      this.#progressAtMs = performance.now();
    }
  }

  #passOver(unread: Unread, batch: Batch, { message: reason }: UnreadableBatchError): void {
    const { topic, partition, to: end } = unread.range;
    const from = Math.max(startOf(batch), unread.next);
    const to = Math.min(Number(batch.lastOffset()) + 1, end);
    if (from >= to) return;
    unread.next = to;
    this.#handlers.passedOver({ topic, partition, from, to, reason });
  }

  /** Notes that there is nothing more to hand over up to this offset. */
  passed(partition: TopicPartition, lastOffset: number): void {
    const name = partitionName(partition);
    const unread = this.#unread.get(name);
    if (unread === undefined) return;
    if (lastOffset >= unread.next) {
      unread.next = lastOffset + 1;
      this.#progressAtMs = performance.now();
    }
    if (unread.next >= unread.range.to) this.#unread.delete(name);
  }

  /** @param at the partition of the error. Default: the first one that is not read to its end */
  unfinished(cause: unknown, at = this.#unread.values().next().value): Error {
    const where =
      at === undefined ? '' : `${partitionName(at.range)} was read up to offset ${at.next} of ${at.range.to}; `;
    const why =
      cause instanceof UnreadableBatchError ? cause.message : cause instanceof Error ? causeOf(cause) : String(cause);
    return new Error(`the log was not read to its end: ${where}${why}`, { cause });
  }
}

/** Resolves when the reading has ended. Rejects if the consumer fails or nothing new comes. */
async function readByConsumer(
  kafka: Kafka,
  admin: KafkaAdmin,
  groupId: string,
  reading: Reading,
  patienceMs: number,
): Promise<void> {
  const { topics } = reading;
  const consumer = kafka.consumer({
    groupId,
    allowAutoTopicCreation: false,
    // Without FETCH_OPTIONS, kafkajs fetches more at a time: a command does nothing else while that is decoded.
    maxWaitTimeInMs: 500,
    retry: { restartOnFailure: () => Promise.resolve(false) },
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    await consumer.connect();
    await consumer.subscribe({ topics, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      const { CRASH, GROUP_JOIN } = consumer.events;
      const endIfOver = (partition: TopicPartition): void => {
        if (reading.hasEnded()) resolve();
        else if (reading.next(partition) === undefined) pause(consumer, partition);
      };
      consumer.on(CRASH, ({ payload: { error } }) => reject(error));
      consumer.on(GROUP_JOIN, ({ payload: { memberAssignment } }) =>
        positionConsumer(consumer, memberAssignment, reading),
      );
      timer = setInterval(() => {
        if (reading.silentMs >= patienceMs)
          reject(
            new Error(`nothing has come for ${patienceMs / 1000} s: a broker is away, or a transaction is still open`),
          );
        else if (reading.silentMs >= SILENCE_MS)
          void passWhatIsGone(admin, topics, reading).then(() => {
            if (reading.hasEnded()) resolve();
          });
      }, 1_000);
      const eachBatch = async (payload: EachBatchPayload): Promise<void> => {
        await reading.take(payload);
        endIfOver(payload.batch);
      };
      consumer.run({ autoCommit: false, eachBatch }).catch(reject);
    });
  } finally {
    clearInterval(timer);
    await consumer.disconnect().catch(() => undefined);
  }
}

function positionConsumer(consumer: Consumer, assignment: Record<string, number[]>, reading: Reading): void {
  for (const [topic, partitions] of Object.entries(assignment)) {
    for (const partition of partitions) {
      const next = reading.next({ topic, partition });
      if (next === undefined) pause(consumer, { topic, partition });
      else consumer.seek({ topic, partition, offset: String(next) });
    }
  }
}

function pause(consumer: Consumer, { topic, partition }: TopicPartition): void {
  consumer.pause([{ topic, partitions: [partition] }]);
}

/** Skips what retention has removed while the ranges are read. It would never come. */
async function passWhatIsGone(admin: KafkaAdmin, topics: readonly string[], reading: Reading): Promise<void> {
  const logs = await fetchLogOffsets(admin, topics).catch(() => []);
  for (const { topic, partition, logStart } of logs) reading.passed({ topic, partition }, logStart - 1);
}

/**
 * The ranges of everything that topics have, by partition.
 *
 * @param sinceMs only what was written at this time or later, by the records' own timestamps
 * @throws Error if Kafka has no such topic, or a partition cannot be asked
 */
export async function rangesOf(
  admin: KafkaAdmin,
  topics: readonly string[],
  sinceMs?: number,
): Promise<PartitionRange[]> {
  const logs = await fetchLogOffsets(admin, topics);
  const startOf = await offsetsAt(admin, logs, sinceMs === undefined ? 'earliest' : { timestampMs: sinceMs });
  return logs.map((log) => {
    const { topic, partition, logStart, logEnd } = log;
    return { topic, partition, from: Math.max(logStart, startOf(log)), to: logEnd };
  });
}
