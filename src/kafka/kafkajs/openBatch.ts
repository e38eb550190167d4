import type { PackedRecord } from '../../protocol/packedRecord.js';

/** A batch whose records are being handed out. */
export interface OpenBatch {
  readonly lastOffset: number;
  /** The next records: at least one, unless the batch has ended. `bytes`: their size in the batch. */
  take(recordsMax: number, bytesMax: number): { records: PackedRecord[]; bytes: number; ended: boolean };
}

/**
 * Limits of a part. Nothing else runs while a part is decoded, and its memory is not counted before. A part has at
 * least one record, whatever its size.
 */
export const PART_RECORDS_MAX = 4_096;
export const PART_BYTES_MAX = 256 * 1024;

/**
 * A part of a larger decompressed batch than this gets its own copy. Otherwise its records would keep the whole batch alive
 * after the room for it was given back: those of a handler that waits for Kafka, and one over the limit for records. Lanes
 * copy all others. What is not compressed stays a part of the broker's answer: of 4 MiB or one record batch for the consumer,
 * 10 MiB for commands. Whoever keeps such records for longer copies them.
 */
export const SHARED_BYTES_MAX = 2 * PART_BYTES_MAX;

/** Attributes of a batch or message, in every format. */
export const CODEC_MASK = 0x07;
export const APPEND_TIME_FLAG = 0x08;
