import { Packr } from 'msgpackr';
import type { Rejection } from '../protocol/ack.js';
import { decodeColumns, encodeColumns, type SegmentColumns } from './columns.js';
import { compress, decompress } from './compression.js';
import type { KafkaRecord, RecordSource } from '../protocol/record.js';

/** A record that was rejected, and why. */
export interface RejectedRecord {
  readonly source: RecordSource;
  readonly record: KafkaRecord;
  readonly rejection: Rejection;
}

type PackedSource = [
  source: [topic: string, partition: number, epoch: string],
  columns: SegmentColumns,
  verdicts: [code: Rejection['code'], message: string][],
];

const packr = new Packr({ useRecords: false });

/**
 * Bytes of the rejected records of one batch, for the result of the insert. Their payload alone fits: it is a part of
 * the batch's. Where the reasons make it too large, their messages are left out and the codes stay.
 */
export function encodeRejected(rejected: readonly RejectedRecord[], bytesMax = REJECTED_BYTES_MAX): Uint8Array {
  const whole = compress(packr.pack(pack(rejected, (message) => message)));
  return whole.length <= bytesMax ? whole : compress(packr.pack(pack(rejected, () => '')));
}

/** Below Temporal's limit of one payload by default, with room for the rest of the result. */
export const REJECTED_BYTES_MAX = 1_500_000;

/** The opposite of {@link encodeRejected}, grouped by source. */
export function decodeRejected(bytes: Uint8Array): RejectedRecord[] {
  const packed = packr.unpack(decompress(bytes)) as PackedSource[];
  return packed.flatMap(([[topic, partition, epoch], columns, verdicts]) => {
    const source = { topic, partition, epoch };
    return decodeColumns(columns).map((record, index) => {
      const [code, message] = verdicts[index] as PackedSource[2][number];
      return { source, record, rejection: { code, message } };
    });
  });
}

function pack(rejected: readonly RejectedRecord[], messageOf: (message: string) => string): PackedSource[] {
  const bySource = new Map<RecordSource, RejectedRecord[]>();
  for (const item of rejected) {
    const list = bySource.get(item.source);
    if (list === undefined) bySource.set(item.source, [item]);
    else list.push(item);
  }
  return [...bySource].map(([{ topic, partition, epoch }, items]) => [
    [topic, partition, epoch],
    encodeColumns(items.map(({ record }) => record)),
    items.map(({ rejection: { code, message } }) => [code, messageOf(message)]),
  ]);
}
