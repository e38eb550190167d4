import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import type { Offsets } from 'kafkajs';
import { FetchedBatch, type KafkajsBatch } from './fetchedBatch.js';
import { recordSetOf } from './fetchResponse.js';
import { RecordSetReader } from './recordSet.js';

/** What is used of kafkajs's `consumer/runner`. */
export interface Runner {
  readonly running: boolean;
  readonly consumerGroup: {
    isPaused(topic: string, partition: number): boolean;
    commitOffsets(offsets: Offsets): Promise<void>;
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
 * Of record batches that decompress to more than 4 MiB one partition at a time of the process has one open: such a batch stays in memory
 * from part to part.
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
  const handleNext = (): Promise<{ readonly next: number; readonly handling: Promise<void> } | null> =>
    inTurn(async () => {
      const part = isWanted() ? await reader.next() : null;
      // Also while it was decompressed.
      if (part === null || !isWanted()) return null;
      const fetched = new FetchedBatch(batch, part);
      const handling = part.failure === null ? handle(fetched) : runner.processEachBatch(fetched);
      // It is the next one's turn once this one is handed over. A handler may also wait: for Kafka, for Temporal.
      await Promise.race([handling.catch(() => undefined), immediate()]);
      return { next: part.next, handling };
    });
  try {
    for (let goesOn = true; goesOn;) {
      const handled = await handleNext();
      await handled?.handling;
      goesOn =
        handled === null
          ? reader.waitsForRoom && (await takesRoom(reader, runner, isWanted))
          : consumerGroup.offsetManager.resolvedOffsets[topic]?.[partition] === String(handled.next);
      await immediate();
    }
  } finally {
    if (roomHolder === reader) roomHolder = null;
  }
  if (runner.running) await runner.heartbeat();
}

/** The reader whose batch may take much memory; its batch is gone with it. */
let roomHolder: RecordSetReader | null = null;
const ROOM_POLL_MS = 50;

/** Waits, with heartbeats, until no other reader has the room. False where the partition is not wanted any more. */
async function takesRoom(reader: RecordSetReader, runner: Runner, isWanted: () => boolean): Promise<boolean> {
  while (roomHolder !== null && isWanted()) {
    await sleep(ROOM_POLL_MS);
    if (runner.running) await runner.heartbeat();
  }
  if (roomHolder !== null) return false;
  roomHolder = reader;
  reader.giveRoom();
  return true;
}

let turn: Promise<unknown> = Promise.resolve();

/** One after the other, in the order of the calls. */
function inTurn<Result>(act: () => Promise<Result>): Promise<Result> {
  const result = turn.then(act);
  turn = result.catch(() => undefined);
  return result;
}
