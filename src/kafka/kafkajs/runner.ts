import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import type { Offsets } from 'kafkajs';
import { Turns } from '../../lib/turns.js';
import { within } from '../../lib/within.js';
import { BatchRoom } from './batchRoom.js';
import { FetchedBatch, type KafkajsBatch } from './fetchedBatch.js';
import { recordSetOf } from './fetchResponse.js';
import { RecordSetReader, UnreadableBatchError } from './recordSet.js';

/** The parts of kafkajs's `consumer/runner` that are used here. */
export interface Runner {
  readonly running: boolean;
  readonly consumerGroup: {
    isPaused(topic: string, partition: number): boolean;
    commitOffsets(offsets: Offsets): Promise<void>;
    hasSeekOffset(at: { readonly topic: string; readonly partition: number }): boolean;
    /** By topic and partition, the offset to fetch next, if a handler has resolved everything before it. */
    readonly offsetManager: { readonly resolvedOffsets: Readonly<Record<string, Readonly<Record<number, string>>>> };
  };
  heartbeat(): Promise<void>;
  handleBatch(batch: FetchedBatch): Promise<void>;
  processEachBatch(batch: FetchedBatch): Promise<void>;
  /** Not set if it handles single messages. */
  readonly eachBatch?: unknown;
}

/**
 * Hands out what was fetched of a partition, in parts. kafkajs decodes a whole answer at once, and hands out even the
 * records of a partition that was paused meanwhile.
 *
 * The process decodes one part at a time. So decoding takes no more memory than one part, besides what the consumers
 * hold. Other work can run between two parts. The rest is dropped, and fetched again later, if the partition is paused
 * or sought to another offset, or a handler has not resolved a part: the next part would look like a jump in the log.
 *
 * A decompressed batch stays in memory from part to part. If there is no room for another one, the partition waits
 * until others have handed out theirs, see {@link BatchRoom}.
 *
 * A part without records goes to `eachBatch`, too: kafkajs passes it over by itself, and nobody could ask first whether its
 * log is still the one that was read.
 *
 * What a follower gave, and cannot be read, is not handed out: it is fetched again from the leader.
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
  const room = new BatchRoom();
  const isWanted = (): boolean =>
    runner.running && !consumerGroup.isPaused(topic, partition) && !consumerGroup.hasSeekOffset({ topic, partition });
  const handleNext = (): Promise<{ readonly next: number; readonly handling: Promise<void> } | null> =>
    turns.next(async () => {
      const part = isWanted() ? await reader.next(room.prepare()) : null;
      room.keep(reader.openBytes);
      // It may also have been paused during the decompression.
      if (part === null || !isWanted()) return null;
      if (part.failure?.isAsWritten === false && batch.from?.leave() === true) {
        // The copy of a follower may be damaged while the leader's is whole.
        reader.end();
        return null;
      }
      const fetched = new FetchedBatch(
        batch,
        part.failure === null ? part : { ...part, failure: named(part.failure, batch) },
      );
      const isPlain = part.failure === null && (part.records.length > 0 || typeof runner.eachBatch !== 'function');
      const handling = isPlain ? handle(fetched) : runner.processEachBatch(fetched);
      // The next part's turn comes when this one is handed over. A handler may wait for Kafka or Temporal longer than
      // that.
      await Promise.race([handling.catch(() => undefined), immediate()]);
      return { next: part.next, handling };
    });
  try {
    for (let goesOn = true; goesOn;) {
      const handled = await handleNext();
      if (handled !== null && reader.openBytes > 0 && !(await endsSoon(handled.handling))) {
        // It waits for others. Meanwhile other partitions need the room. The rest is fetched again.
        reader.end();
        room.end();
      }
      await handled?.handling;
      goesOn =
        handled === null
          ? reader.neededBytes > 0 && (await takesRoom(room, reader.neededBytes, runner, isWanted))
          : consumerGroup.offsetManager.resolvedOffsets[topic]?.[partition] === String(handled.next);
      await immediate();
    }
  } finally {
    room.end();
  }
  if (runner.running) await runner.heartbeat();
}

/** Says which broker gave it: the copies of other brokers may be whole. */
function named(failure: UnreadableBatchError, { from }: KafkajsBatch): UnreadableBatchError {
  if (from === undefined || failure.isAsWritten) return failure;
  return new UnreadableBatchError(`${failure.message} (broker ${from.nodeId} gave it)`, { cause: failure });
}

/** How long a handler may take while its partition has a batch open. */
const HANDLING_MAX_MS = 1_000;

/** Whether a handler ends, well or not, before it keeps the room from others. */
function endsSoon(handling: Promise<void>): Promise<boolean> {
  const ended = handling.then(
    () => true,
    () => true,
  );
  return within(ended, HANDLING_MAX_MS).catch(() => false);
}

const ROOM_POLL_MS = 50;

/** Waits, with heartbeats, until there is room. False if the partition is not wanted any more. */
async function takesRoom(room: BatchRoom, bytes: number, runner: Runner, isWanted: () => boolean): Promise<boolean> {
  const taking = room.take(bytes);
  let taken: boolean | null = null;
  while (taken === null && isWanted()) {
    taken = await Promise.race([taking, sleep(ROOM_POLL_MS, null)]);
    if (taken === null) await runner.heartbeat();
  }
  return taken === true;
}

/** The process's readers take turns, part by part. */
const turns = new Turns();
