import { PublishError } from '../kafka/topicProducer.js';
import type { Publisher } from '../kafka/publisher.js';
import type { TopicPartitions } from '../kafka/topicPartitions.js';
import type { AckStatus } from '../protocol/ack.js';
import { isAllowed, replyRequest, routeReply, type FallbackCause } from '../protocol/replyRequest.js';
import type { ReplySettings } from '../protocol/settings.js';
import { Acknowledgements, amendAck, type DecidedRecord } from './acks.js';
import { digest, type BatchMemos, type PublishedAcks } from './memos.js';

export interface AckPublisherOptions {
  readonly publisher: Pick<Publisher, 'publish' | 'mustBeUp'>;
  readonly partitions: Pick<TopicPartitions, 'count'>;
  readonly memos: BatchMemos;
}

/** Acknowledgements to publish. */
export interface AckBatch {
  /** The id of the batch. */
  readonly id: string;
  /** See `Attempt.activityKey`. */
  readonly activityKey: string;
  readonly status: AckStatus;
  readonly records: readonly DecidedRecord[];
  /** Called right before each effect. Throws if this attempt may have no more effects. */
  readonly mustBeAlive: () => void;
}

export type Fallbacks = ReadonlyMap<FallbackCause, number>;

/**
 * Publishes the acknowledgements of batches, each to the topic that its record asks for.
 *
 * A failed attempt is repeated, perhaps for hours. So this process remembers what each topic has taken: a topic does
 * not get the same messages again and again while another topic is away. It is remembered in the memo of the batch.
 */
export class AckPublisher {
  readonly #options: AckPublisherOptions;

  constructor(options: AckPublisherOptions) {
    this.#options = options;
  }

  /**
   * Checks, before an attempt repeats its work, whether its acknowledgements can be published.
   *
   * @throws PublishError if a topic that did not take this batch's acknowledgements is still away
   */
  mustBeAnswerable(activityKey: string, status: AckStatus): void {
    for (const topic of this.#options.memos.of(activityKey).acks?.[status]?.away ?? [])
      this.#options.publisher.mustBeUp(topic);
  }

  /**
   * Publishes acknowledgements. All topics are tried, even if one of them is away.
   *
   * @returns how many went to the pipeline's own topic in place of the one that their records ask for, by cause. Null
   *   if an earlier attempt has published all of them
   * @throws PublishError if not all are published
   */
  async publish(reply: ReplySettings, batch: AckBatch): Promise<Fallbacks | null> {
    const { activityKey, status } = batch;
    const { groups, fallbacks, unknown } = await this.#route(reply, batch.records);
    const earlier = this.#options.memos.of(activityKey).acks?.[status];
    const before = earlier?.published;
    const isThere = ([topic, group]: [string, readonly DecidedRecord[]]): boolean =>
      group.length === 0 || before?.get(topic) === digest(group);
    if (earlier?.away.length === 0 && unknown.size === 0 && [...groups].every(isThere)) {
      this.#note(batch, earlier);
      return null;
    }
    const published = new Map<string, readonly DecidedRecord[]>();
    const failures = [...unknown.values()];
    // The pipeline's own topic comes last, because it also gets what another topic refuses.
    let own = groups.get(reply.topic) ?? [];
    groups.delete(reply.topic);
    for (const [topic, group] of groups) {
      const failure = await this.#publishGroup(topic, group, reply, batch, before);
      if (failure === undefined) published.set(topic, group);
      else if (failure.refused) {
        count(fallbacks, 'missing_topic', group.length);
        own = own.concat(group.map(({ replyPartition: _, ...record }) => record));
      } else failures.push(failure);
    }
    if (!unknown.has(reply.topic)) {
      const failure = await this.#publishGroup(reply.topic, own, reply, batch, before);
      if (failure === undefined) published.set(reply.topic, own);
      else failures.push(failure);
    }

    this.#note(batch, {
      published: new Map([...published].map(([topic, group]) => [topic, digest(group)])),
      away: failures.map(({ topic }) => topic),
    });
    if (failures[0] !== undefined) throw failures[0];
    return fallbacks;
  }

  /** Forgets what was published with this status. From now on its acknowledgements are for other records. */
  forgetPublished(activityKey: string, status: AckStatus): void {
    this.#note({ activityKey, status }, undefined);
  }

  /** @returns why the topic did not take them. Undefined if it did, now or in an earlier attempt */
  async #publishGroup(
    topic: string,
    group: readonly DecidedRecord[],
    reply: ReplySettings,
    { id, status, mustBeAlive }: AckBatch,
    before: PublishedAcks['published'] | undefined,
  ): Promise<PublishError | undefined> {
    if (group.length === 0 || before?.get(topic) === digest(group)) return undefined;
    mustBeAlive();
    try {
      const acks = new Acknowledgements(group, reply.copyHeaders, status, id);
      await this.#options.publisher.publish(topic, acks, amendAck);
      return undefined;
    } catch (error) {
      if (error instanceof PublishError) return error;
      throw error;
    }
  }

  /**
   * Groups records by the topic of their acknowledgements. Kafka may not say which partitions a topic has. Then `unknown`
   * has the reason, and the records that ask for the topic are in no group.
   */
  async #route(
    reply: ReplySettings,
    records: readonly DecidedRecord[],
  ): Promise<{
    groups: Map<string, readonly DecidedRecord[]>;
    fallbacks: Map<FallbackCause, number>;
    unknown: ReadonlyMap<string, PublishError>;
  }> {
    const fallbacks = new Map<FallbackCause, number>();
    const unknown = new Map<string, PublishError>();
    // Acknowledgements are the most expensive step. So if no record asks for anything, nothing is done here.
    const firstAsking = records.findIndex(({ record }) => replyRequest(record.headers) !== undefined);
    if (firstAsking < 0) return { groups: new Map([[reply.topic, records]]), fallbacks, unknown };
    const own = records.slice(0, firstAsking);
    const groups = new Map([[reply.topic, own]]);
    const asking = records.slice(firstAsking);
    const requests = asking.map(({ record }) => replyRequest(record.headers));
    const wanted = new Set(
      requests.flatMap((request) => (request === undefined ? [] : (request.topic ?? reply.topic))),
    );
    const counts = new Map<string, number | null>();
    // At once: while Kafka does not answer, each question takes as long as a request may take.
    await Promise.all(
      [...wanted]
        .filter((topic) => isAllowed(topic, reply))
        .map(async (topic) => {
          const partitions = await this.#countOf(topic);
          if (partitions instanceof PublishError) unknown.set(topic, partitions);
          else counts.set(topic, partitions);
        }),
    );
    for (const [index, item] of asking.entries()) {
      const request = requests[index];
      if (request === undefined) {
        own.push(item);
        continue;
      }
      const asked = request.topic ?? reply.topic;
      if (unknown.has(asked)) continue;
      const { topic, partition, fallback } = routeReply(request, reply, (name) => counts.get(name) ?? null);
      if (fallback !== undefined) count(fallbacks, fallback, 1);
      let group = groups.get(topic);
      if (group === undefined) groups.set(topic, (group = []));
      const { source, record, rejection } = item;
      if (partition === undefined) group.push(item);
      else if (rejection === undefined) group.push({ source, record, replyPartition: partition });
      else group.push({ source, record, rejection, replyPartition: partition });
    }
    return { groups, fallbacks, unknown };
  }

  /** The topic's partitions, null if there is no such topic, or why nobody knows. */
  async #countOf(topic: string): Promise<number | null | PublishError> {
    try {
      return await this.#options.partitions.count(topic);
    } catch (error) {
      if (error instanceof PublishError) return error;
      throw error;
    }
  }

  #note({ activityKey, status }: Pick<AckBatch, 'activityKey' | 'status'>, acks: PublishedAcks | undefined): void {
    const { memos } = this.#options;
    memos.note(activityKey, { acks: { ...memos.of(activityKey).acks, [status]: acks } });
  }
}

function count<Key>(counts: Map<Key, number>, key: Key, more: number): void {
  counts.set(key, (counts.get(key) ?? 0) + more);
}
