import { UnpackRoom } from '../codecs/packing.js';
import { publishUnreadableChunks, type UnreadableChunk } from '../kafka/deadLetters.js';
import { UNREADABLE_CHUNK } from '../protocol/deadLetter.js';
import { joinChunks, splitChunks, type ChunkWithBody, type PackedChunks } from '../protocol/chunkBodies.js';
import type { BatchSpec, Parking } from '../protocol/flush.js';
import { messageOf } from '../lib/messageOf.js';
import type { Attempt } from './attempt.js';
import type { Batch } from './batch.js';
import { decodeChunks } from './batchRecords.js';
import type { ActivityDependencies } from './dependencies.js';
import type { BatchMemos } from './memos.js';
import { timed } from './timed.js';

/** What unpacking needs to know of a batch. */
interface BatchToUnpack extends Pick<BatchSpec, 'pipeline' | 'batcher' | 'destination'> {
  readonly id: string;
  readonly parking?: Parking;
}

type UnpackerDependencies = Pick<ActivityDependencies, 'publisher' | 'metrics' | 'logger' | 'requiresEncryption'> & {
  readonly memos: BatchMemos;
};

/** Unpacks the records of batches. */
export class Unpacker {
  readonly #dependencies: UnpackerDependencies;

  constructor(dependencies: UnpackerDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * To be called first: where encryption is required, nothing is done that somebody else has said. Somebody else may have
   * started the batcher, and have said where its records go.
   *
   * @throws Error that says what to do
   */
  mustBeSealed({ sealed }: Pick<BatchSpec, 'sealed'>): void {
    if (sealed === true || this.#dependencies.requiresEncryption !== true) return;
    throw new Error(
      'the settings of the batcher came unencrypted, and temporal.encryption.required is set. If they came before it was: set required: false until this is done. If somebody else has started the batcher: terminate it, and an heir goes on with the right settings',
    );
  }

  /**
   * The records of a batch. A chunk that cannot be unpacked holds the batch, until a person gives it up. Then the
   * records of the other chunks are returned, and the chunk itself, with all that its metadata says, is published as a
   * dead letter.
   *
   * @throws if a chunk cannot be unpacked, and the batch is not given up
   * @throws PublishError
   */
  async unpack(
    batch: BatchToUnpack,
    packed: PackedChunks,
    attempt: Attempt,
  ): Promise<Pick<Batch, 'packed' | 'records'>> {
    const { metrics, requiresEncryption = false } = this.#dependencies;
    const decodeAccepted = async (chunks: PackedChunks, room?: UnpackRoom): ReturnType<typeof decodeChunks> => {
      if (requiresEncryption) mustBeEncrypted(chunks);
      return decodeChunks(chunks, room);
    };
    const decode = (chunks: PackedChunks) => timed(metrics, batch.pipeline, 'decode', () => decodeAccepted(chunks));
    try {
      return { packed, records: await decode(packed) };
    } catch (error) {
      if (batch.parking === undefined) throw error;
    }
    const { readable, unreadable } = await divideChunks(packed, decodeAccepted);
    // All together once more: the records of a source have to share one object, see decodeChunks.
    const records = await decode(readable);
    await this.#publish(batch, batch.parking, unreadable, attempt);
    return { packed: readable, records };
  }

  async #publish(
    { pipeline, batcher, id, destination: { deadLetterTopic } }: BatchToUnpack,
    { reason }: Parking,
    chunks: readonly UnreadableChunk[],
    attempt: Attempt,
  ): Promise<void> {
    const { publisher, metrics, logger, memos } = this.#dependencies;
    // A repeated attempt does not publish them again.
    if (memos.of(attempt.activityKey).deadLetters !== undefined) return;
    attempt.mustBeAlive();
    await publishUnreadableChunks(publisher, { pipeline, batcher, batch: id, deadLetterTopic, reason, chunks });
    metrics.deadLetters.inc({ pipeline, code: UNREADABLE_CHUNK }, chunks.length);
    memos.note(attempt.activityKey, { deadLetters: true });
    for (const { chunk, message } of chunks) {
      const segments = chunk.segments.map(({ topic, partition, from, to, records }) => {
        return { topic, partition, offsets: `${from + 1} to ${to}`, records };
      });
      logger.error(
        { pipeline, batcher, batch: id, records: chunk.records, segments },
        `A chunk of a batch that is given up cannot be unpacked, so its records are neither inserted nor answered; it is on ${deadLetterTopic}, with the code ${UNREADABLE_CHUNK}. ` +
          `\`ktb rewind\` reads its records again, as far as Kafka still has them: ${message}`,
      );
    }
  }
}

/**
 * A batcher that takes unencrypted signals may have taken them from anybody. So the batch waits.
 *
 * @throws Error that says what to do
 */
function mustBeEncrypted({ chunks }: PackedChunks): void {
  const records = chunks.reduce((sum, chunk) => sum + (chunk.encrypted === true ? 0 : chunk.records), 0);
  if (records === 0) return;
  throw new Error(
    `${records} records of the batch came unencrypted, and temporal.encryption.required is set. If they came before it was: set required: false until they are inserted. If somebody else has sent them: ktb park`,
  );
}

/**
 * Divides the chunks of a batch into those that can be unpacked, all together, and those that cannot.
 *
 * @param decode rejects if it cannot unpack a chunk
 */
export async function divideChunks(
  packed: PackedChunks,
  decode: (packed: PackedChunks, room: UnpackRoom) => Promise<unknown> = decodeChunks,
  room = new UnpackRoom(),
): Promise<{ readonly readable: PackedChunks; readonly unreadable: readonly UnreadableChunk[] }> {
  const readable: ChunkWithBody[] = [];
  const unreadable: UnreadableChunk[] = [];
  for (const withBody of splitChunks(packed)) {
    try {
      await decode(joinChunks([withBody]), room);
      readable.push(withBody);
    } catch (error) {
      unreadable.push({ ...withBody, message: messageOf(error) });
    }
  }
  return { readable: joinChunks(readable), unreadable };
}
