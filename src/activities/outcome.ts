import type { BatchInsertResult } from '../clickhouse/insertRecords.js';
import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import { LEFT_OUT, type Rejection } from '../protocol/ack.js';
import type { FlushOutcome } from '../protocol/leftover.js';
import { identityName, type SourcedRecord } from '../protocol/record.js';
import { isRequestSource, UNCONFIRMED_MAX, type RequestVerdict, type Unconfirmed } from '../protocol/request.js';

/** The result for a batch's records, or for those of one table. */
export type Outcome = Pick<BatchInsertResult, 'rejected' | 'found'> & {
  readonly inserted: readonly SourcedRecord[];
  /** Rows of the inserted records. Absent if it is not known any more: one for each, or more. */
  readonly rows?: number;
};

/** The result for no records. */
export const NOTHING: Outcome = { inserted: [], rejected: [], found: 0 };

/** The rejected records of an inserted batch, by name, and why. All others are in the table. */
export type Verdicts = ReadonlyMap<string, Rejection>;

export function verdictsOf(rejected: readonly RejectedRecord[]): Verdicts {
  return new Map(rejected.map((item) => [identityName(item), item.rejection]));
}

/** Makes the result of an earlier insert from its verdicts. */
export function judge(
  records: readonly SourcedRecord[],
  rejectionOf: (item: SourcedRecord, index: number) => Rejection | undefined,
): Outcome {
  const inserted: SourcedRecord[] = [];
  const rejected: RejectedRecord[] = [];
  for (const [index, item] of records.entries()) {
    const rejection = rejectionOf(item, index);
    if (rejection === undefined) inserted.push(item);
    else rejected.push({ ...item, rejection });
  }
  return { inserted, rejected, found: 0 };
}

/** {@link judge} by the records' names. */
export function judgeByName(records: readonly SourcedRecord[], verdicts: Verdicts): Outcome {
  // Names are texts, so they are made only if needed.
  return judge(records, verdicts.size === 0 ? () => undefined : (item) => verdicts.get(identityName(item)));
}

/** Divides what became no row: records that the pipeline leaves out, and those that it rejects. */
export function divideLeftOut(
  rejected: readonly RejectedRecord[],
): readonly [leftOut: readonly SourcedRecord[], rejected: readonly RejectedRecord[]] {
  const isLeftOut = ({ rejection }: RejectedRecord): boolean => rejection.code === LEFT_OUT;
  return rejected.some(isLeftOut)
    ? [
        // Their answers have no reason.
        rejected.filter(isLeftOut).map(({ source, record }) => ({ source, record })),
        rejected.filter((item) => !isLeftOut(item)),
      ]
    : [[], rejected];
}

/** The verdicts and undelivered confirmations of the requests in a batch, for the batcher. */
export function requestOutcome(
  requests: {
    readonly inserted: readonly SourcedRecord[];
    readonly skipped: readonly SourcedRecord[];
    readonly rejected: readonly RejectedRecord[];
  },
  unconfirmed: readonly Unconfirmed[],
): Pick<FlushOutcome, 'requests' | 'unconfirmed'> {
  const verdicts: RequestVerdict[] = [];
  for (const { record } of requests.inserted) verdicts.push([record.offset, 'inserted']);
  for (const { record } of requests.skipped) verdicts.push([record.offset, 'skipped']);
  for (const { source, record, rejection } of requests.rejected) {
    if (isRequestSource(source)) verdicts.push([record.offset, rejection.code]);
  }
  return {
    ...(verdicts.length === 0 ? {} : { requests: verdicts }),
    ...(unconfirmed.length === 0 ? {} : { unconfirmed: unconfirmed.slice(-UNCONFIRMED_MAX) }),
  };
}
