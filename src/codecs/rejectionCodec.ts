import { groupBy } from '../lib/groupBy.js';
import type { Rejection } from '../protocol/ack.js';
import type { BufferedChunk } from '../protocol/chunk.js';
import type { PackedChunks } from '../protocol/chunkBodies.js';
import { openEnvelope, sealEnvelope } from '../protocol/flush.js';
import { decodeBufferedChunks, sharedSources } from './bufferedChunks.js';
import { encodeRecords, type SegmentColumns } from './encodeColumns.js';
import { decodeColumns } from './decodeColumns.js';
import { packCompressed, unpackCompressed, UnpackRoom } from './packing.js';
import type { KafkaRecord, SourcedRecord } from '../protocol/record.js';

/** A record that was rejected, and why. */
export interface RejectedRecord extends SourcedRecord {
  readonly rejection: Rejection;
}

/** A batch of which records were rejected. */
export interface PackedBatch extends PackedChunks {
  /** All records of the chunks, in order. The rejected ones are the same objects. */
  readonly records: readonly { readonly record: KafkaRecord }[];
}

type PackedVerdict = [code: Rejection['code'], message: string];

type PackedSource = [
  source: [topic: string, partition: number, epoch: string],
  columns: SegmentColumns,
  verdicts: PackedVerdict[],
];

/** The verdicts that are stored beside the bodies of a whole batch. */
type PackedVerdicts = [
  chunks: readonly BufferedChunk[],
  verdicts: PackedVerdict[],
  /** For each record of the chunks the number of its verdict, counted from 1. 0 if it is not rejected. */
  numbers: number[],
];

/** Version of the layout with the bodies of a whole batch. The other layout has no version. */
const WHOLE_BATCH_FORMAT = 'ktb-rejected/2';

interface WholeBatchHead {
  readonly format: typeof WHOLE_BATCH_FORMAT;
  /** Bytes of the compressed {@link PackedVerdicts}. The bodies follow. */
  readonly verdictsBytes: number;
}

/**
 * Encodes the rejected records of one batch, for the result of the insert. There are three layouts, and the first that
 * fits is used:
 *
 * 1. the rejected records, packed;
 * 2. the same without the messages of the verdicts, only the codes;
 * 3. the batch's own chunks as they are, and the verdicts. Packed again, records that repeat each other may lie too far
 *    apart for the compression. But the batch came as one payload, so this is not much larger than one. Versions up to
 *    0.1.0 cannot read it: they fail until another worker takes it.
 *
 * @param bytesMax of the result. The result is larger only if the batch itself is
 */
export function encodeRejected(
  rejected: readonly RejectedRecord[],
  batch: PackedBatch,
  bytesMax = REJECTED_BYTES_MAX,
): Uint8Array {
  const asTheyAre = (message: string): string => message;
  const leftOut = (): string => '';
  for (const messageOf of [asTheyAre, leftOut]) {
    const bytes = packCompressed(pack(rejected, messageOf));
    if (bytes.length <= bytesMax) return bytes;
  }
  const bytes = encodeWholeBatch(rejected, batch, asTheyAre);
  return bytes.length <= bytesMax ? bytes : encodeWholeBatch(rejected, batch, leftOut);
}

/** Below Temporal's default limit of one payload, with room for the rest of the result. */
export const REJECTED_BYTES_MAX = 1_500_000;

/**
 * The opposite of {@link encodeRejected}. The records of each source are in order. Throws if the bytes are of another
 * version, or take more than the room.
 */
export function decodeRejected(bytes: Uint8Array, room = new UnpackRoom()): RejectedRecord[] {
  // An envelope begins with its length, whose first byte is 0. Zstandard never begins with 0.
  if (bytes[0] === 0) return decodeWholeBatch(bytes, room);
  const packed = unpackCompressed(bytes, room) as PackedSource[];
  return packed.flatMap(([[topic, partition, epoch], columns, verdicts]) => {
    const source = { topic, partition, epoch };
    if (typeof topic !== 'string' || typeof partition !== 'number') throw new Error('a source that is none of ours');
    return decodeColumns(columns, room).map((record, index) => {
      return { source, record, rejection: rejectionOf(verdicts[index] as PackedVerdict) };
    });
  });
}

function encodeWholeBatch(
  rejected: readonly RejectedRecord[],
  { chunks, bodies, records }: PackedBatch,
  messageOf: (message: string) => string,
): Uint8Array {
  const rejections = new Map(rejected.map(({ record, rejection }) => [record, rejection]));
  const verdicts: PackedVerdict[] = [];
  const numberOf = new Map<string, number>();
  const numbers = records.map(({ record }) => {
    const rejection = rejections.get(record);
    if (rejection === undefined) return 0;
    const verdict: PackedVerdict = [rejection.code, messageOf(rejection.message)];
    const name = verdict.join();
    const number = numberOf.get(name) ?? verdicts.push(verdict);
    numberOf.set(name, number);
    return number;
  });
  const packed = packCompressed([chunks, verdicts, numbers] satisfies PackedVerdicts);
  const head: WholeBatchHead = { format: WHOLE_BATCH_FORMAT, verdictsBytes: packed.length };
  return sealEnvelope(head, Buffer.concat([packed, bodies]));
}

function decodeWholeBatch(bytes: Uint8Array, room: UnpackRoom): RejectedRecord[] {
  const { json, bytes: packed } = openEnvelope<Partial<WholeBatchHead>>(bytes);
  if (json.format !== WHOLE_BATCH_FORMAT)
    throw new Error('rejected records of a format that this version does not know');
  const bodiesAt = json.verdictsBytes ?? 0;
  const [chunks, verdicts, numbers] = unpackCompressed(packed.subarray(0, bodiesAt), room) as PackedVerdicts;
  const sourceOf = sharedSources();
  const rejected: RejectedRecord[] = [];
  let place = 0;
  for (const segments of decodeBufferedChunks({ chunks, bodies: packed.subarray(bodiesAt) }, room)) {
    for (const segment of segments) {
      const source = sourceOf(segment);
      for (const record of segment.records) {
        const verdict = verdicts[(numbers[place++] ?? 0) - 1];
        if (verdict === undefined) continue;
        rejected.push({ source, record, rejection: rejectionOf(verdict) });
      }
    }
  }
  return rejected;
}

function rejectionOf([code, message]: PackedVerdict): Rejection {
  if (typeof code !== 'string' || typeof message !== 'string') throw new Error('a verdict that is none of ours');
  return { code, message };
}

function pack(rejected: readonly RejectedRecord[], messageOf: (message: string) => string): PackedSource[] {
  const bySource = groupBy(rejected, ({ source }) => source);
  return Array.from(bySource, ([{ topic, partition, epoch }, items]) => [
    [topic, partition, epoch],
    encodeRecords(items.map(({ record }) => record)),
    items.map(({ rejection: { code, message } }) => [code, messageOf(message)]),
  ]);
}
