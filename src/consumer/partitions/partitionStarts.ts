import type { PipelineConfig, StartFrom } from '../../config/config.js';
import type { KafkaAdmin, NoAnswer } from '../../kafka/admin.js';
import { findGroupOffsets, offsetsAt, type GroupOffsets } from '../../kafka/offsets.js';
import { asError } from '../../lib/asError.js';
import { groupBy } from '../../lib/groupBy.js';
import { mapConcurrently } from '../../lib/mapConcurrently.js';
import { messageOf } from '../../lib/messageOf.js';
import type { AcceptedMark, PartitionCoverage } from '../../protocol/batcher.js';
import type { Layout } from '../../protocol/layout.js';
import { partitionName, type TopicPartition } from '../../protocol/record.js';
import type { BatcherClient } from '../../temporal/batcherClient.js';
import { hasReadThisTopic } from './epoch.js';
import { LogComparison, type LogVerdict } from './logComparison.js';
import { cutOf, type LogCut, type ReadEpoch } from './readEpochs.js';
import {
  afterCut,
  afterShortLog,
  afterUnknownCluster,
  knownPosition,
  lastEpoch,
  OTHER_LOG,
  startPosition,
  type AfterShortLog,
  type GoingOn,
  type SameEpoch,
  type StartPosition,
} from './startPosition.js';

type NewEpoch = Extract<StartPosition, { readonly type: 'newEpoch' }> & { readonly offset: number };

/** Where and how a partition is read. Everything is known. */
export type KnownStart = GoingOn | NewEpoch | AfterShortLog | SameEpoch | { readonly type: 'newer' };

/** A comparison of a log's records, and what its verdict leads to. */
export interface Comparison {
  readonly comparison: LogComparison;
  readonly decide: (verdict: LogVerdict) => KnownStart;
}

/** Where and how a partition is read. At most a comparison of its records is left. */
export type PartitionStart = TopicPartition & (KnownStart | ({ readonly type: 'compare' } & Comparison));

/** A partition whose start only the batchers know. */
export interface Doubt {
  readonly facts: GroupOffsets;
  readonly position: Extract<StartPosition, { readonly type: 'askBatchers' | 'shortLog' | 'unknownCluster' }>;
  /** See {@link startPosition}. */
  readonly formerEpoch: string | null;
}

/** Where partitions start, as far as Kafka knows. Each partition is in one of the lists. */
export interface PartitionStarts {
  /** Null if Kafka does not tell it. */
  readonly clusterId: string | null;
  readonly starts: readonly PartitionStart[];
  readonly doubts: readonly Doubt[];
  /** Partitions about which nothing can be found out now. */
  readonly unknown: readonly NoAnswer[];
  /** By partition name, the ids that the topics had before anything else was asked, as far as Kafka tells them. */
  readonly topicIds: ReadonlyMap<string, string>;
}

/** What a member remembers of a partition. */
export interface Memory {
  /** How far it has read the partition. The commit may be lower. */
  readonly position: number;
  /** See {@link startPosition}. */
  readonly cut: LogCut | null;
  /** How far it was read under an epoch, and under which leader epoch. Null if that is not known. */
  readonly readOf: (epoch: string) => ReadEpoch | null;
  /** See {@link startPosition}. */
  readonly formerEpochOf: (topicId: string | undefined) => string | null;
}

export interface PartitionStartsOptions {
  readonly admin: KafkaAdmin;
  readonly pipeline: PipelineConfig;
  /** Where a partition of a topic starts that was never read, unless something else is committed for it. */
  readonly startFrom: (topic: string) => StartFrom;
  /** All layouts of the pipeline, present and earlier. */
  readonly layouts: () => Promise<readonly Layout[]>;
  readonly batchersOf: (layout: Layout) => readonly BatcherClient[];
}

/**
 * Finds out where assigned partitions start, from the group's commits and the logs. It changes nothing. Each partition
 * is judged alone, so one that cannot be asked does not stop the others. Rejects if no broker answers, or the group's
 * coordinator does not.
 *
 * @param memoryOf what this member remembers of a partition
 */
export async function findPartitionStarts(
  partitions: readonly TopicPartition[],
  { admin, pipeline }: Pick<PartitionStartsOptions, 'admin' | 'pipeline'>,
  memoryOf: (partition: TopicPartition) => Memory = () => NOTHING,
): Promise<PartitionStarts> {
  const { groupId, layout } = pipeline;
  const topics = [...new Set(partitions.map(({ topic }) => topic))];
  const [{ clusterId }, offsets] = await Promise.all([
    admin.describeTopics([]),
    findGroupOffsets(admin, groupId, topics),
  ]);
  const known = new Map(offsets.logs.map((facts) => [partitionName(facts), facts]));
  const reached = (facts: GroupOffsets): number => Math.max(facts.committedOffset ?? 0, memoryOf(facts).position);
  const highWatermarks = await fetchHighWatermarks(
    admin,
    offsets.logs.filter((facts) => reached(facts) > facts.logEnd),
  );
  const problems = new Map(offsets.unknown.map((answer) => [partitionName(answer), answer.problem]));
  const starts: PartitionStart[] = [];
  const doubts: Doubt[] = [];
  const unknown: NoAnswer[] = [];
  for (const { topic, partition } of partitions) {
    const where = { topic, partition };
    const facts = known.get(partitionName(where));
    if (facts === undefined) {
      const ofTopic = problems.get(partitionName({ topic, partition: -1 }));
      const problem = problems.get(partitionName(where)) ?? ofTopic ?? 'Kafka does not know it';
      unknown.push({ ...where, problem });
      continue;
    }
    const highWatermark = reached(facts) > facts.logEnd ? highWatermarks.get(partitionName(where)) : facts.logEnd;
    if (highWatermark === undefined) {
      unknown.push({ ...where, problem: 'its leader does not say where its log ends' });
      continue;
    }
    const memory = memoryOf(where);
    const formerEpoch = memory.formerEpochOf(facts.topicId);
    const position = startPosition(facts, {
      ...{ layout, clusterId, highWatermark, formerEpoch },
      position: memory.position,
      cut: memory.cut,
    });
    switch (position.type) {
      case 'shortLog': {
        const read = memory.readOf(position.epoch);
        // If others have read further, what is remembered says nothing.
        const isLast = read !== null && read.to >= (facts.committedOffset ?? 0);
        const cut = await cutOf(admin, facts, isLast ? read : (position.committed ?? null)).catch(asError);
        if (cut instanceof Error)
          unknown.push({ ...where, problem: `its leader does not say where it was cut (${messageOf(cut)})` });
        else if (typeof cut === 'string') doubts.push({ facts, position, formerEpoch });
        else
          starts.push({
            ...where,
            ...afterCut({ ...cut, to: Math.max(cut.to, position.position) }, facts.logStart, position.epoch),
          });
        break;
      }
      case 'askBatchers':
      case 'unknownCluster':
        doubts.push({ facts, position, formerEpoch });
        break;
      case 'newEpoch':
        starts.push({ ...where, ...position, offset: await resolved(admin, facts, position.offset) });
        break;
      default:
        starts.push({ ...where, ...position });
    }
  }
  const topicIds = new Map(
    offsets.logs.flatMap((facts) => (facts.topicId === undefined ? [] : [[partitionName(facts), facts.topicId]])),
  );
  return { clusterId, starts, doubts, unknown, topicIds };
}

const NOTHING: Memory = { position: 0, cut: null, readOf: () => null, formerEpochOf: () => null };

async function fetchHighWatermarks(
  admin: Pick<KafkaAdmin, 'fetchHighWatermarks'>,
  partitions: readonly TopicPartition[],
): Promise<ReadonlyMap<string, number>> {
  const topics = [...new Set(partitions.map(({ topic }) => topic))];
  return new Map(
    (await mapConcurrently(topics, (topic) => admin.fetchHighWatermarks(topic))).flatMap((ends) => [...ends]),
  );
}

/**
 * Asks the batchers of all layouts what they have accepted. Rejects if they do not answer, for example without a
 * worker, or not completely. A later try may help.
 */
export async function askBatchers({
  layouts,
  batchersOf,
}: Pick<PartitionStartsOptions, 'layouts' | 'batchersOf'>): Promise<Remembered> {
  const all: LayoutCoverage[] = [];
  for (const layout of await layouts()) {
    const states = await mapConcurrently(batchersOf(layout), (batcher) => batcher.coverage());
    for (const [batcher, state] of states.entries())
      for (const coverage of state) all.push({ layout, batcher, coverage });
  }
  return groupBy(all, ({ coverage }) => partitionName(coverage));
}

/** Settles doubts by what the batchers remember. */
export async function settleDoubts(
  doubts: readonly Doubt[],
  remembered: Remembered,
  options: Pick<PartitionStartsOptions, 'admin' | 'pipeline' | 'startFrom'>,
): Promise<{ readonly starts: readonly PartitionStart[]; readonly unknown: readonly NoAnswer[] }> {
  const starts: PartitionStart[] = [];
  const unknown: NoAnswer[] = [];
  for (const doubt of doubts) {
    const { topic, partition } = doubt.facts;
    try {
      const start = await settleDoubt(doubt, remembered.get(partitionName(doubt.facts)) ?? [], options);
      starts.push({ topic, partition, ...start });
    } catch (error) {
      unknown.push({ topic, partition, problem: messageOf(error) });
    }
  }
  return { starts, unknown };
}

type WithoutPartition<Start> = Start extends TopicPartition ? Omit<Start, keyof TopicPartition> : never;

async function settleDoubt(
  { facts, position, formerEpoch }: Doubt,
  remembered: readonly LayoutCoverage[],
  { admin, pipeline: { layout }, startFrom }: Pick<PartitionStartsOptions, 'admin' | 'pipeline' | 'startFrom'>,
): Promise<WithoutPartition<PartitionStart>> {
  if (position.type === 'shortLog') return judgeShortLog(facts, position, remembered);
  if (position.type === 'unknownCluster') return judgeUnknownCluster(facts, position, remembered);
  const from = position.startFrom ?? startFrom(facts.topic);
  const found = knownPosition(lastEpoch(remembered), facts, { layout, startFrom: from, formerEpoch });
  switch (found.type) {
    case 'shortLog':
      return judgeShortLog(facts, found, remembered);
    case 'newEpoch':
      return { ...found, offset: await resolved(admin, facts, found.offset) };
    case 'sameEpoch':
      return found;
    case 'compare': {
      const other: NewEpoch = { type: 'newEpoch', offset: facts.logStart, reason: OTHER_LOG };
      // Compaction may have removed the record.
      const mayBeGone = hasReadThisTopic(found.mark.epoch, facts.topicId);
      return compared([found.mark], facts, null, ({ type }) =>
        type === 'same' || (type === 'unproven' && mayBeGone) ? found.ifSame : other,
      );
    }
  }
}

function judgeShortLog(
  facts: GroupOffsets,
  { epoch, position }: Extract<StartPosition, { readonly type: 'shortLog' }>,
  remembered: readonly LayoutCoverage[],
): WithoutPartition<PartitionStart> {
  const all = marksOf(remembered);
  const lastReadMs =
    all.length === 0 ? null : Math.max(...all.flatMap((mark) => [mark.timestampMs, mark.acceptedAtMs]));
  const marks = all.filter((mark) => mark.epoch === epoch);
  const isSameTopic = hasReadThisTopic(epoch, facts.topicId);
  return compared(marks, facts, lastReadMs, (verdict) => afterShortLog(verdict, { ...facts, position, isSameTopic }));
}

function judgeUnknownCluster(
  facts: GroupOffsets,
  { epoch, ifSame }: Extract<StartPosition, { readonly type: 'unknownCluster' }>,
  remembered: readonly LayoutCoverage[],
): WithoutPartition<PartitionStart> {
  const marks = marksOf(remembered).filter((mark) => mark.epoch === epoch);
  return compared(marks, facts, null, (verdict) => afterUnknownCluster(ifSame, marks, facts, verdict));
}

/** The start after a comparison. Known at once if there is no record to compare. */
function compared(
  marks: readonly AcceptedMark[],
  log: { readonly logStart: number; readonly logEnd: number },
  lastReadMs: number | null,
  decide: (verdict: LogVerdict) => KnownStart,
): WithoutPartition<PartitionStart> {
  const comparison = new LogComparison(marks, log, lastReadMs);
  return comparison.offset === null ? decide({ type: 'unproven' }) : { type: 'compare', comparison, decide };
}

async function resolved(admin: KafkaAdmin, facts: GroupOffsets, from: number | StartFrom): Promise<number> {
  return (await offsetsAt(admin, [facts], from))(facts);
}

interface LayoutCoverage {
  readonly layout: Layout;
  /** Its index in the layout. */
  readonly batcher: number;
  readonly coverage: PartitionCoverage;
}

/** What the batchers of all layouts have accepted, by partition. */
export type Remembered = ReadonlyMap<string, readonly LayoutCoverage[]>;

function marksOf(remembered: readonly LayoutCoverage[]): AcceptedMark[] {
  return remembered.flatMap(({ coverage: { mark } }) => (mark === undefined ? [] : [mark]));
}
