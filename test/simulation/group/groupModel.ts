import { expect } from 'vitest';
import type { PartitionCommit } from '../../../src/consumer/partitions/assignedPartition.js';
import { Assignment } from '../../../src/consumer/partitions/assignment.js';
import { formatCommitMetadata, READING } from '../../../src/consumer/partitions/commitMetadata.js';
import { closeEpoch, unflushedBatchers, type ClosableBatcher } from '../../../src/consumer/partitions/closeEpoch.js';
import { inColumns, Lane } from '../../../src/consumer/lanes/lane.js';
import { keylessIndex, laneIndex } from '../../../src/codecs/laneIndex.js';
import { groupBy } from '../../../src/lib/groupBy.js';
import { planRewind } from '../../../src/consumer/partitions/rewindPlan.js';
import {
  knownPosition,
  lastEpoch,
  mustLeaveLayout,
  startPosition,
  type KnownEpoch,
} from '../../../src/consumer/partitions/startPosition.js';
import { PartitionTracker, type ReadingPlan } from '../../../src/consumer/partitions/tracker.js';
import type { BatcherInput } from '../../../src/protocol/batcher.js';
import { layoutName, type Layout } from '../../../src/protocol/layout.js';
import type { BatchSpec } from '../../../src/protocol/flush.js';
import { decodeChunk, encodeChunk, markOf } from '../../../src/codecs/chunkCodec.js';
import type { KafkaRecord } from '../../../src/protocol/record.js';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import { input } from '../../support/chunks.js';
import { record } from '../../support/records.js';

type Answer = 'ok' | 'answer lost' | 'never arrived';

export type GroupStep =
  | { readonly type: 'produce'; readonly partition: number; readonly records: number }
  | { readonly type: 'fetch'; readonly member: number; readonly partition: number; readonly records: number }
  | {
      readonly type: 'send';
      readonly member: number;
      readonly lane: number;
      readonly records: number;
      readonly answer: Answer;
    }
  | { readonly type: 'commit'; readonly member: number; readonly answer: Answer }
  | { readonly type: 'flush'; readonly batcher: number; readonly fails: boolean }
  | { readonly type: 'continueAsNew'; readonly batcher: number }
  | { readonly type: 'rebalance'; readonly owners: readonly number[] }
  | { readonly type: 'notice'; readonly member: number }
  | { readonly type: 'restart'; readonly member: number; readonly layout: number }
  | { readonly type: 'progress'; readonly member: number; readonly late: readonly number[] }
  | { readonly type: 'loseOffsets' }
  | { readonly type: 'loseBatchers' }
  | { readonly type: 'rewind'; readonly to: number; readonly again: boolean };

const TOPIC = 'orders';
const PARTITIONS = 2;
const MEMBERS = 3;
const LAYOUTS: readonly Layout[] = [
  { batchers: 2, keyFunction: 'key' },
  { batchers: 3, keyFunction: 'key' },
  { batchers: 2, keyFunction: 'partition' },
  { batchers: 2, keyFunction: 'partition', keyless: 'topic' },
];
const KEYS = 5;
const CLUSTER = 'c1';

/**
 * A consumer group, its batchers and their table, as a model around the production code: assignments, trackers, lanes,
 * start positions, layout changes, rewinds, batcher states and chunks are the real ones; Kafka, Temporal and ClickHouse are what
 * is modelled, with answers that get lost and members that do not know yet that they are out.
 */
export class GroupModel {
  readonly #logs: KafkaRecord[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly #commits = new Map<number, { offset: number; metadata: string }>();
  readonly #batchers = new Map<string, Batcher>();
  /** Rows by partition and offset, with the epoch of each. */
  readonly #rows = new Map<string, string[]>();
  /** What any batcher has accepted: `partition/offset`. */
  readonly #accepted = new Set<string>();
  readonly #again: { partition: number; to: number }[] = [];
  #members: Member[] = Array.from({ length: MEMBERS }, () => new Member(LAYOUTS[0]!));
  #generation = 0;
  #epochs = 0;
  #ordered = true;
  #batchersLost = false;
  readonly #lastOfKey = new Map<string, number>();

  async take(step: GroupStep): Promise<void> {
    switch (step.type) {
      case 'produce':
        this.#produce(step.partition % PARTITIONS, step.records + 1);
        break;
      case 'fetch':
        await this.#fetch(this.#member(step.member), step.partition % PARTITIONS, step.records + 1);
        break;
      case 'send':
        this.#send(this.#member(step.member), step.lane, step.records + 1, step.answer);
        break;
      case 'commit':
        this.#commit(this.#member(step.member), step.answer);
        break;
      case 'flush':
        this.#flush(step.batcher, step.fails);
        break;
      case 'continueAsNew':
        this.#continueAsNew(step.batcher);
        break;
      case 'rebalance':
        this.#rebalance(step.owners);
        break;
      case 'notice':
        this.#notice(this.#member(step.member));
        break;
      case 'restart':
        this.#members[step.member % MEMBERS] = new Member(LAYOUTS[step.layout % LAYOUTS.length]!);
        this.#rebalance([step.member, step.member + 1]);
        break;
      case 'progress':
        await this.#progress(this.#member(step.member), step.late);
        break;
      case 'loseOffsets':
        // Without offsets and batchers nobody knows what is in the table.
        if (this.#batchersLost) break;
        this.#stopAll();
        this.#commits.clear();
        break;
      case 'loseBatchers':
        this.#loseBatchers();
        break;
      case 'rewind':
        this.#stopAll();
        this.#rewind(step.to, step.again && !this.#batchersLost);
        break;
    }
  }

  /** Everybody but one fresh member ends, and it reads, sends and flushes all there is. */
  async settle(): Promise<void> {
    this.#stopAll();
    this.#rebalance([0, 0]);
    const member = this.#member(0);
    for (let round = 0; round < 30; round++) {
      for (let partition = 0; partition < PARTITIONS; partition++) await this.#fetch(member, partition, 1_000);
      for (const lanes of member.lanes.values()) {
        for (let lane = 0; lane < lanes.length; lane++) this.#send(member, lane, 1_000, 'ok', lanes);
      }
      for (let batcher = 0; batcher < this.#batchers.size; batcher++) this.#flush(batcher, false);
      for (let batcher = 0; batcher < this.#batchers.size; batcher++) this.#flush(batcher, false);
      this.#commit(member, 'ok');
      await this.#progress(member, []);
    }
  }

  check(): void {
    this.#logs.forEach((log, partition) => {
      const commit = this.#commits.get(partition);
      if (log.length > 0)
        expect({ partition, committed: commit?.offset }).toEqual({ partition, committed: log.length });
      for (const { offset } of log) {
        const epochs = this.#rows.get(`${partition}/${offset}`) ?? [];
        const allowed = 1 + this.#again.filter((again) => again.partition === partition && again.to <= offset).length;
        expect({ partition, offset, rows: epochs.length >= 1 && epochs.length <= allowed, epochs }).toMatchObject({
          rows: true,
        });
        expect(new Set(epochs).size).toBe(epochs.length);
      }
    });
  }

  #member(index: number): Member {
    return this.#members[index % MEMBERS]!;
  }

  #produce(partition: number, records: number): void {
    const log = this.#logs[partition]!;
    for (let count = 0; count < records; count++) {
      const offset = log.length;
      log.push(record(offset, { key: Buffer.from(`key-${offset % KEYS}`), timestampMs: offset }));
    }
  }

  /** Some members learn at once what a rebalance brings; the others go on as if nothing had happened. */
  #rebalance(owners: readonly number[]): void {
    this.#generation++;
    for (let index = 0; index < MEMBERS; index++) {
      const member = this.#members[index]!;
      const partitions = owners.flatMap((owner, partition) => (owner % MEMBERS === index ? [partition] : []));
      member.next = { generation: this.#generation, partitions };
      if (partitions.length > 0) this.#notice(member);
    }
  }

  #notice(member: Member): void {
    if (member.next === null) return;
    const { generation, partitions } = member.next;
    member.next = null;
    member.generation = generation;
    member.assignment = new Assignment({ [TOPIC]: partitions });
    for (const lanes of member.lanes.values()) for (const lane of lanes) lane.clear();
    member.handingOver.clear();
    for (const partition of partitions) this.#open(member, partition);
  }

  #open(member: Member, partition: number): void {
    const { assignment, layout } = member;
    const log = this.#logs[partition]!;
    const commit = this.#commits.get(partition);
    const facts = {
      committedOffset: commit?.offset ?? null,
      committedMetadata: commit?.metadata ?? null,
      logStart: 0,
      logEnd: log.length,
    };
    const source = { topic: TOPIC, partition };
    const reading: ReadingPlan = { layout, state: READING, end: null };
    const position = startPosition(facts, { layout, clusterId: CLUSTER });
    switch (position.type) {
      case 'continue':
        assignment!.open(
          new PartitionTracker({ ...source, epoch: position.epoch }, position.offset, reading),
          position.offset,
        );
        break;
      case 'fill': {
        const plan: ReadingPlan = {
          layout: position.layout,
          state: { type: 'filling', end: position.end },
          end: position.end,
        };
        assignment!.open(
          new PartitionTracker({ ...source, epoch: position.epoch }, position.offset, plan),
          position.offset,
        );
        break;
      }
      case 'leaveLayout':
        member.handingOver.set(partition, { epoch: position.epoch, from: position.offset, layout: position.layout });
        break;
      case 'newEpoch':
        if (typeof position.offset !== 'number') throw new Error(`the log cannot have shrunk: ${position.reason}`);
        assignment!.open(new PartitionTracker({ ...source, epoch: this.#newEpoch() }, position.offset, reading), null);
        break;
      case 'askBatchers': {
        const known = knownPosition(this.#lastEpoch(partition), facts, { layout, startFrom: 'earliest' });
        if (known.type === 'newEpoch') {
          expect(known.reason).toBe('never read before');
          assignment!.open(new PartitionTracker({ ...source, epoch: this.#newEpoch() }, 0, reading), null);
          break;
        }
        if (known.type === 'shortLog') throw new Error('the log cannot have shrunk');
        const same = known.type === 'compare' ? known.ifSame : known;
        if (known.type === 'compare') expect(known.mark).toMatchObject(markOf(log[known.mark.offset]!));
        if (same.from === null) {
          assignment!.open(new PartitionTracker({ ...source, epoch: same.epoch }, same.offset, reading), null);
        } else {
          member.handingOver.set(partition, { epoch: same.epoch, from: same.offset, layout: same.from });
        }
        break;
      }
      case 'shortLog':
      case 'unknownCluster':
        throw new Error(`neither the log nor the cluster changes: ${position.type}`);
      case 'newer':
        throw new Error('nobody writes metadata of a later version');
    }
  }

  #lastEpoch(partition: number): KnownEpoch | null {
    const coverages = LAYOUTS.flatMap((layout) =>
      Array.from({ length: layout.batchers }, (_, index) =>
        this.#batchers.get(`${layoutName(layout)}/${index}`),
      ).flatMap((batcher) =>
        (batcher?.state.coverage?.toState() ?? [])
          .filter((coverage) => coverage.partition === partition)
          .map((coverage) => ({ layout, coverage })),
      ),
    );
    return lastEpoch(coverages);
  }

  async #fetch(member: Member, partition: number, records: number): Promise<void> {
    const tracker = member.assignment?.get({ topic: TOPIC, partition: partition })?.tracker ?? undefined;
    if (tracker === undefined || tracker.handedOver) return;
    this.#commitNow(member, member.assignment!.uncommittedEpochs(), 'ok');
    if (member.assignment!.uncommittedEpochs().length > 0) return;
    const { layout, end } = tracker.plan;
    const batch = this.#logs[partition]!.slice(tracker.next, Math.min(tracker.next + records, end ?? Infinity));
    if (batch.length === 0) return;
    const lanes = member.lanesOf(layout);
    const keyless = keylessIndex(tracker, layout);
    const byLane = groupBy(batch, (next) => laneIndex(next, keyless, layout));
    for (const [lane, own] of byLane) lanes[lane]!.add(tracker, inColumns(own), 0);
    tracker.advanceTo(batch.at(-1)!.offset + 1);
    await this.#progress(member, []);
  }

  #send(member: Member, lane: number, records: number, answer: Answer, lanes = member.lanesOfAny(lane)): void {
    const from = lanes[lane % lanes.length]!;
    if (from.records === 0) return;
    const pack = from.pack(records);
    const { layout } = pack.segments[0]!.tracker.plan;
    const { meta, body } = encodeChunk(pack.segments);
    if (answer !== 'never arrived') {
      this.#batcher(layout, from.index).accept(JSON.parse(JSON.stringify(meta)) as typeof meta, body, ++this.#now);
      for (const segment of decodeChunk(meta.segments, body)) {
        for (const { offset } of segment.records) this.#accepted.add(`${segment.partition}/${offset}`);
      }
    }
    if (answer === 'ok') from.accepted(pack);
  }

  #now = 0;

  #commit(member: Member, answer: Answer): void {
    const { assignment } = member;
    if (assignment !== null)
      this.#commitNow(member, [...assignment.uncommittedEpochs(), ...assignment.dueCommits()], answer);
  }

  /** Kafka takes commits of the current generation only. */
  #commitNow(member: Member, commits: readonly PartitionCommit[], answer: Answer): boolean {
    if (answer === 'never arrived' || member.generation !== this.#generation) return false;
    for (const { partition, offset, epoch, layout, state } of commits) {
      const before = this.#commits.get(partition)?.offset ?? 0;
      for (let at = before; at < offset; at++) {
        if (!this.#accepted.has(`${partition}/${at}`)) throw new Error(`${partition}/${at} committed and not accepted`);
      }
      this.#commits.set(partition, {
        offset,
        metadata: formatCommitMetadata({ epoch, layout, clusterId: CLUSTER, state }),
      });
    }
    if (answer === 'ok') member.assignment!.committed(commits);
    return answer === 'ok';
  }

  /** What the consumer does between batches: layout changes, and plans that have ended. */
  async #progress(member: Member, late: readonly number[]): Promise<void> {
    const { assignment, generation, layout } = member;
    if (assignment === null) return;
    for (const [partition, { epoch, from, layout: old }] of [...member.handingOver]) {
      const source = { topic: TOPIC, partition, epoch };
      const state = { type: 'closing' } as const;
      if (!this.#commitNow(member, [{ ...source, offset: from, layout: old, state }], 'ok')) continue;
      const end = await closeEpoch(source, from, this.#closable(old, late));
      if (member.assignment !== assignment || member.generation !== generation) return;
      assignment.open(new PartitionTracker(source, from, { layout: old, state, end }), from);
      member.handingOver.delete(partition);
    }
    for (const tracker of [...assignment.trackers()]) {
      if (!tracker.finished || member.handingOver.has(tracker.partition)) continue;
      const { plan, next, partition, epoch } = tracker;
      if (plan.state.type === 'closing') {
        if ((await unflushedBatchers(tracker, this.#closable(plan.layout, late))).length > 0) continue;
        const source = { topic: TOPIC, partition, epoch: this.#newEpoch() };
        assignment.open(new PartitionTracker(source, next, { layout, state: READING, end: null }), null);
      } else if (mustLeaveLayout(plan.layout, layout, false)) {
        member.handingOver.set(partition, { epoch, from: next, layout: plan.layout });
      } else {
        assignment.open(new PartitionTracker(tracker, next, { ...plan, state: READING, end: null }), null);
      }
    }
  }

  /** Between any two requests a member that is out may send what it still has. */
  #closable(layout: Layout, late: readonly number[]): ClosableBatcher[] {
    const waiting = [...late];
    const meanwhile = (): void => {
      const next = waiting.shift();
      if (next !== undefined) this.#send(this.#member(next), next, 3, 'ok');
    };
    return Array.from({ length: layout.batchers }, (_, index) => ({
      epochStatus: (source) => {
        meanwhile();
        return Promise.resolve(this.#batcher(layout, index).epochStatus(source)!);
      },
      close: (request) => {
        meanwhile();
        this.#batcher(layout, index).close(request);
        return Promise.resolve();
      },
    }));
  }

  #batcher(layout: Layout, index: number): BatcherState {
    const name = `${layoutName(layout)}/${index}`;
    const batcher = this.#batchers.get(name) ?? {
      state: new BatcherState({ workflowId: name, runId: 'r' }, input(), NOTHING),
      flight: null,
    };
    this.#batchers.set(name, batcher);
    return batcher.state;
  }

  #flush(index: number, fails: boolean): void {
    const batcher = [...this.#batchers.values()][index % Math.max(1, this.#batchers.size)];
    if (batcher === undefined) return;
    if (batcher.flight === null) {
      if (batcher.state.buffered.length === 0) return;
      batcher.flight = { ...batcher.state.takeBatch('delay', 0), attempts: 0 };
    }
    const { spec, bodies } = batcher.flight;
    const repeated = batcher.flight.attempts++ > 0;
    const half = fails && batcher.flight.attempts % 2 === 1;
    this.#insert(spec, bodies, { repeated, half });
    if (fails) return;
    batcher.flight = null;
    batcher.state.finishFlush({ inserted: 0, rejected: 0, skipped: 0 }, spec.id, 0);
  }

  /** A first attempt appends; a repeated one, and a fill, asks first. */
  #insert(spec: BatchSpec, bodies: Uint8Array, { repeated, half }: { repeated: boolean; half: boolean }): void {
    let at = 0;
    const records = spec.chunks.flatMap(({ segments, keep, bodyBytes }) => {
      const decoded = decodeChunk(segments, bodies.subarray(at, at + bodyBytes), keep);
      at += bodyBytes;
      return decoded.flatMap(({ partition, epoch, records: list }, index) =>
        list.map(({ offset, key }) => ({ partition, epoch, offset, key, fill: segments[index]?.fill === true })),
      );
    });
    for (const { partition, epoch, offset, key, fill } of half ? records.slice(0, records.length / 2) : records) {
      const rows = this.#rows.get(`${partition}/${offset}`) ?? [];
      const there = fill ? rows.length > 0 : repeated && rows.includes(epoch);
      if (there) continue;
      this.#rows.set(`${partition}/${offset}`, [...rows, epoch]);
      this.#checkOrder(partition, String(key), offset);
    }
  }

  #checkOrder(partition: number, key: string, offset: number): void {
    const name = `${partition}/${key}`;
    const last = this.#lastOfKey.get(name) ?? -1;
    if (this.#ordered) expect({ name, offset, after: last < offset }).toEqual({ name, offset, after: true });
    this.#lastOfKey.set(name, offset);
  }

  #continueAsNew(index: number): void {
    const batcher = [...this.#batchers.values()][index % Math.max(1, this.#batchers.size)];
    if (batcher?.flight !== null) return;
    const { input: next, bodies } = batcher.state.carryOver(0);
    const carried = JSON.parse(JSON.stringify(next)) as BatcherInput;
    batcher.state = new BatcherState(
      { workflowId: 'w', runId: 'next', continuedFromExecutionRunId: 'before' },
      carried,
      bodies,
    );
  }

  /** Every member ends: what was in its lanes is gone. */
  #stopAll(): void {
    this.#members = this.#members.map(({ layout }) => new Member(layout));
    this.#generation++;
  }

  /** Temporal's data is lost, and a rewind fills the holes. Not in the middle of a layout change, which a rewind refuses. */
  #loseBatchers(): void {
    const commits = [...this.#commits.values()];
    const handingOver = commits.some(({ metadata }) => metadata.endsWith('closing'));
    // A person's own reset has thrown away what a rewind would need to know.
    const strangers = commits.some(({ metadata }) => metadata === '');
    if (handingOver || strangers || commits.length < PARTITIONS) return;
    this.#stopAll();
    this.#batchers.clear();
    this.#batchersLost = true;
    this.#rewind(0, false);
  }

  #rewind(to: number, again: boolean): void {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const commit = this.#commits.get(partition);
      const facts = {
        committedOffset: commit?.offset ?? null,
        committedMetadata: commit?.metadata ?? null,
        logStart: 0,
        logEnd: this.#logs[partition]!.length,
        target: to,
        clusterId: CLUSTER,
      };
      const plan = planRewind(facts, { again });
      if (plan.type === 'leave') continue;
      this.#commits.set(partition, plan);
      this.#ordered = false;
      if (again) this.#again.push({ partition, to });
    }
  }

  #newEpoch(): string {
    return `e${++this.#epochs}`;
  }
}

class Member {
  readonly layout: Layout;
  readonly lanes = new Map<string, Lane[]>();
  readonly handingOver = new Map<number, { epoch: string; from: number; layout: Layout }>();
  assignment: Assignment | null = null;
  generation = -1;
  /** What the group has decided and this member does not know yet. */
  next: { generation: number; partitions: number[] } | null = null;

  constructor(layout: Layout) {
    this.layout = layout;
  }

  lanesOf(layout: Layout): Lane[] {
    const name = layoutName(layout);
    const limits = { maxRecords: 1_000, maxBytes: 1e9, lingerMs: 0 };
    const lanes =
      this.lanes.get(name) ?? Array.from({ length: layout.batchers }, (_, index) => new Lane(index, limits));
    this.lanes.set(name, lanes);
    return lanes;
  }

  lanesOfAny(index: number): Lane[] {
    const all = [...this.lanes.values()];
    return all[index % Math.max(1, all.length)] ?? this.lanesOf(this.layout);
  }
}

interface Batcher {
  state: BatcherState;
  flight: { spec: BatchSpec; bodies: Uint8Array; attempts: number } | null;
}

const NOTHING = new Uint8Array(0);
