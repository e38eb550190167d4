import type { KafkaAdmin, NoAnswer } from '../../kafka/admin.js';
import { allLogs, offsetsAt, type FoundLogs, type GroupOffsets } from '../../kafka/offsets.js';
import type { PartitionRange } from '../../kafka/readRanges.js';
import { UsageError } from '../../lib/usageError.js';
import type { CoverageState } from '../../protocol/batcher.js';
import { partitionName, type TopicPartition } from '../../protocol/record.js';
import { chosenPartitions } from '../shared/chosen.js';
import type { LogPosition } from '../shared/logPosition.js';

/** A range to compare, and why it begins where it does. */
export interface ComparedRange extends PartitionRange {
  readonly logStart: number;
  /**
   * - `asked`: at `--from`
   * - `firstGiven`: at the first offset that a batcher was given
   * - `unknown`: offsets are committed, and no batcher knows the partition. Nothing is compared
   * - `noOffset`: the group has no offset there, although a batcher knows the partition or `--from` asks for it. Nothing
   *   is compared
   * - `notRead`: the log has records, and neither the group nor a batcher knows the partition. Nothing is compared
   */
  readonly start: 'asked' | 'firstGiven' | 'unknown' | 'noOffset' | 'notRead';
}

/** What a batcher knows of the records that it was given. */
interface Known {
  readonly accepted: { readonly coverage: CoverageState };
}

/** Offsets that can be compared at once. Each takes five bytes of memory. */
const OFFSETS_MAX = 100_000_000;

/**
 * The ranges to compare: the log up to the committed offset, within the given bounds. Without `--from` a range starts
 * at the first offset that a batcher was given. What is before that was not to be read (`startFrom`), or Temporal has
 * forgotten that it was. If no batcher knows a partition, its range is empty.
 *
 * @throws UsageError
 */
export async function chooseRanges(
  admin: Pick<KafkaAdmin, 'fetchOffsetsAt'>,
  { logs, unknown }: FoundLogs<GroupOffsets>,
  batchers: readonly Known[],
  bounds: { readonly from: LogPosition | null; readonly to: LogPosition | null },
  partitions: readonly string[],
): Promise<ComparedRange[]> {
  const wanted = chosenPartitions<GroupOffsets | NoAnswer>([...logs, ...unknown], partitions);
  const chosen = allLogs({
    logs: wanted.filter((entry): entry is GroupOffsets => !('problem' in entry)),
    unknown: wanted.filter((entry): entry is NoAnswer => 'problem' in entry),
  });
  if (chosen.length === 0) throw new UsageError('the pipeline has no topic: none matches');
  const { from: first, to: last } = bounds;
  if (typeof first === 'number' && typeof last === 'number' && first >= last)
    throw new UsageError(`--from ${first} is not before --to ${last}`);
  const fromOf = bounds.from === null ? null : await offsetsAt(admin, chosen, bounds.from);
  const toOf = bounds.to === null ? null : await offsetsAt(admin, chosen, bounds.to);
  const ranges = chosen.map((log): ComparedRange => {
    const { topic, partition, logStart, logEnd, committedOffset } = log;
    const end = Math.max(logStart, Math.min(committedOffset ?? logStart, logEnd));
    const given = firstAccepted(log, batchers);
    const isUnknown = given === Infinity && end > logStart;
    const from = Math.min(end, Math.max(logStart, fromOf?.(log) ?? given));
    const to = Math.max(from, Math.min(end, toOf?.(log) ?? end));
    const hasNoOffset = committedOffset === null && logEnd > logStart;
    const noOffset = given === Infinity && fromOf === null ? 'notRead' : 'noOffset';
    const start = hasNoOffset ? noOffset : fromOf !== null ? 'asked' : isUnknown ? 'unknown' : 'firstGiven';
    return { topic, partition, from, to, logStart, start };
  });
  const count = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  if (count <= OFFSETS_MAX) return ranges.sort((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition);
  throw new UsageError(
    `${count.toLocaleString('en')} offsets are too many to compare at once; the most is ${OFFSETS_MAX.toLocaleString('en')}: say less with --from, --to or --partition`,
  );
}

/** The first offset that a batcher was given, under any epoch or under this one. Infinity if none is known. */
export function firstAccepted(
  { topic, partition }: TopicPartition,
  batchers: readonly Known[],
  epoch?: string,
): number {
  const starts = batchers
    .flatMap(({ accepted }) => accepted.coverage)
    .filter((coverage) => coverage.topic === topic && coverage.partition === partition)
    .flatMap(({ epochs }) => epochs.filter((of) => epoch === undefined || of.epoch === epoch))
    .flatMap(({ ranges }) => (ranges[0] === undefined ? [] : [ranges[0][0] + 1]));
  return starts.reduce((first, start) => Math.min(first, start), Infinity);
}

/**
 * Divides ranges into as few groups as possible, of which each has at most one range of a partition. So a group can be
 * read at once, and each reading takes seconds to begin. Pure.
 */
export function oneOfEachPartition<Range extends TopicPartition>(
  ranges: readonly Range[],
): readonly (readonly Range[])[] {
  const groups: Range[][] = [];
  const taken = new Map<string, number>();
  for (const range of ranges) {
    const name = partitionName(range);
    const group = taken.get(name) ?? 0;
    taken.set(name, group + 1);
    (groups[group] ??= []).push(range);
  }
  return groups;
}

/** Says what was not compared because of where a range begins, and how to compare it. Empty if all was. Pure. */
export function startText(range: ComparedRange): string[] {
  const { from, to, logStart, start } = range;
  const where = partitionName(range);
  if (start === 'unknown')
    return [
      `${where}: nothing was compared. The group has committed ${to}, and no batcher knows from where on it was read: ` +
        `Temporal has lost or forgotten it, or nothing was accepted yet. Say --from (the log begins at ${logStart}); ` +
        'with startFrom: latest, the time of the first start',
    ];
  if (start === 'noOffset' || start === 'notRead')
    return [
      `${where}: nothing was compared. The group has no offset there, and the log has records: nothing was read yet, ` +
        'the offsets are lost, or groupId is that of another group',
    ];
  if (start === 'asked' || from <= logStart) return [];
  return [
    `${where}: compared from offset ${from} on, the first that a batcher knows of. The log begins at ${logStart}: say --from for what is before`,
  ];
}
