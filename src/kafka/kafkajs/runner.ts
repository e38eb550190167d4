import { setImmediate as immediate } from 'node:timers/promises';
import { FetchedBatch, type KafkajsBatch } from './fetchedBatch.js';
import { recordSetOf } from './fetchResponse.js';
import { RecordSetReader } from './recordSet.js';

/** What is used of kafkajs's `consumer/runner`. */
export interface Runner {
  readonly running: boolean;
  readonly consumerGroup: {
    isPaused(topic: string, partition: number): boolean;
    hasSeekOffset(at: { readonly topic: string; readonly partition: number }): boolean;
    /** By topic and partition the offset to fetch next, where a handler has resolved what comes before. */
    readonly offsetManager: { readonly resolvedOffsets: Readonly<Record<string, Readonly<Record<number, string>>>> };
  };
  heartbeat(): Promise<void>;
  handleBatch(batch: FetchedBatch): Promise<void>;
  processEachBatch(batch: FetchedBatch): Promise<void>;
}

/**
 * Hands out what was fetched of a partition, part by part, in place of kafkajs, which decodes all of an answer at once, and hands
 * out even what has been paused meanwhile.
 *
 * One part at a time is decoded in the whole process, so the memory that it takes is bounded by that of one part beside what the
 * consumers hold. Between two parts others may run. The rest is dropped, to be fetched again, once the partition is paused or sought
 * elsewhere, and where a handler has not resolved a part: the next one would be taken for a jump in the log.
 *
 * @param handle kafkajs's own `handleBatch`
 */
export async function handleFetched(
  runner: Runner,
  batch: KafkajsBatch,
  handle: (part: FetchedBatch) => Promise<void>,
): Promise<void> {
  const { topic, partition, rawMessages, fetchedOffset } = batch;
  const { consumerGroup } = runner;
  const reader = new RecordSetReader(recordSetOf(rawMessages), Number(fetchedOffset));
  const isWanted = (): boolean =>
    runner.running && !consumerGroup.isPaused(topic, partition) && !consumerGroup.hasSeekOffset({ topic, partition });
  for (let goesOn = true; goesOn;) {
    const handled = await inTurn(async () => {
      const part = isWanted() ? await reader.next() : null;
      // Also while it was decompressed.
      if (part === null || !isWanted()) return null;
      const fetched = new FetchedBatch(batch, part);
      const handling = part.failure === null ? handle(fetched) : runner.processEachBatch(fetched);
      // It is the next one's turn once this one is handed over. A handler may also wait: for Kafka, for Temporal.
      await Promise.race([handling.catch(() => undefined), immediate()]);
      return { next: part.next, handling };
    });
    await handled?.handling;
    goesOn =
      handled !== null && consumerGroup.offsetManager.resolvedOffsets[topic]?.[partition] === String(handled.next);
    await immediate();
  }
  if (runner.running) await runner.heartbeat();
}

let turn: Promise<unknown> = Promise.resolve();

/** One after the other, in the order of the calls. */
function inTurn<Result>(act: () => Promise<Result>): Promise<Result> {
  const result = turn.then(act);
  turn = result.catch(() => undefined);
  return result;
}
