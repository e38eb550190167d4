import { setTimeout as sleep } from 'node:timers/promises';
import type { PipelineConfig } from '../../config/config.js';
import { listed } from '../../lib/listed.js';
import { messageOf } from '../../lib/messageOf.js';
import { Turns } from '../../lib/turns.js';
import { isSameLayout, layoutName, type Layout } from '../../protocol/layout.js';
import { partitionName, type RecordSource } from '../../protocol/record.js';
import type { BatcherClient } from '../../temporal/batcherClient.js';
import type { Logger, StateLog } from '../../telemetry/logging.js';
import type { AssignedPartition, PartitionCommit } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import { READING } from './commitMetadata.js';
import { closeEpoch, unflushedBatchers, type ClosableBatcher } from './closeEpoch.js';
import { mustLeaveLayout } from './startPosition.js';
import { newEpoch } from './epoch.js';
import type { Fetching } from './fetching.js';
import type { PartitionOpening } from './opening.js';
import type { ReadEpochs } from './readEpochs.js';
import { PartitionTracker, type ReadingPlan } from './tracker.js';

const LAYOUT_CHANGE_RETRY_MS = 1_000;
const FLUSHED_POLL_MS = 500;
/** A flush may take so long beside `batch.maxDelay` before it is told that a partition waits for it. */
const FLUSH_PATIENCE_MS = 20_000;

type NamedBatcher = ClosableBatcher & Pick<BatcherClient, 'workflowId'>;

/** What a batcher has accepted of a partition under an epoch. */
interface HeldEpoch {
  readonly batcher: NamedBatcher;
  readonly epoch: string;
}

export interface ReadingPlansOptions {
  readonly pipeline: Pick<PipelineConfig, 'name' | 'layout' | 'settings'>;
  readonly batchersOf: (layout: Layout) => readonly NamedBatcher[];
  readonly accepted: PartitionOpening['accepted'];
  /** All layouts of the pipeline, present and earlier. */
  readonly layouts: () => Promise<readonly Layout[]>;
  readonly fetching: Pick<Fetching, 'seek' | 'resume'>;
  /**
   * Commits at once, if the assignment is still current.
   *
   * @param commits asked when its turn comes. Empty if there is nothing to commit any more
   * @returns false if nothing can be committed yet
   */
  readonly commit: (assignment: Assignment, commits: () => readonly PartitionCommit[]) => Promise<boolean>;
  readonly readEpochs: Pick<ReadEpochs, 'continueAt'>;
  /** Called when another tracker has taken over a partition. */
  readonly replaced: () => void;
  readonly logger: Pick<Logger, 'info'>;
  readonly stateLog: StateLog;
}

/**
 * Takes partitions from one plan to the next when a plan ends (see {@link ReadingPlan}):
 *
 *     filling ──► reading
 *     reading under another layout ──leaveLayout──► closing, up to the end ──flushed──► reading under ours, a new epoch
 *     begin ──flushed──► reading under a new epoch
 *
 * What began under an assignment that has ended has no effect. The commit tells the next owner where to continue.
 */
export class ReadingPlans {
  /** The normal plan, without an end. */
  readonly reading: ReadingPlan;
  readonly #options: ReadingPlansOptions;
  /** Trackers whose next plan is being prepared. */
  readonly #finishing = new WeakSet<PartitionTracker>();
  /** What batchers are asked. One at a time, because hundreds of layout changes at once would keep Temporal from taking signals. */
  readonly #questions = new Turns();

  constructor(options: ReadingPlansOptions) {
    this.#options = options;
    this.reading = { layout: options.pipeline.layout, state: READING, end: null };
  }

  /**
   * Opens a partition with a tracker. Its plan may be finished already: see {@link finish}.
   *
   * @param committed the offset that the group has committed under the tracker's epoch. Null if there is none yet
   */
  open(partition: AssignedPartition, tracker: PartitionTracker, committed: number | null = null): void {
    const { fetching } = this.#options;
    partition.open(tracker, committed);
    fetching.seek(partition, tracker.next);
    // The tracker before may have waited for this one. Whether the lanes have room is checked again.
    fetching.resume([partition], 'start', 'buffer');
  }

  /** Begins the next plan of each tracker whose plan is finished. */
  finish(assignment: Assignment): void {
    for (const tracker of assignment.trackers()) {
      if (!tracker.finished || this.#finishing.has(tracker)) continue;
      const partition = assignment.get(tracker);
      // Otherwise its position is being found out again.
      if (partition?.state.type !== 'open') continue;
      this.#finishing.add(tracker);
      const { plan, next } = tracker;
      if (plan.state.type === 'closing') void this.#enterLayout(assignment, partition, tracker);
      else if (mustLeaveLayout(plan.layout, this.reading.layout, false)) {
        void this.leaveLayout(assignment, partition, tracker, next, plan.layout);
      } else {
        this.#goOn(assignment, partition, new PartitionTracker(tracker, next, this.reading));
      }
    }
  }

  /** The next tracker of a partition continues where the last one ended. */
  #goOn(
    assignment: Assignment,
    partition: AssignedPartition,
    tracker: PartitionTracker,
    committed: number | null = null,
  ): void {
    this.open(partition, tracker, committed);
    this.finish(assignment);
    this.#options.replaced();
  }

  /**
   * A partition leaves a layout. Its epoch is closed in all batchers of that layout, and it is read up to the end.
   * First the commit says that it leaves the layout: otherwise a member that knows only the old layout would continue
   * the epoch. If the topic is gone meanwhile, this ends without an effect, because a new topic of that name has
   * another log. Never rejects.
   */
  async leaveLayout(
    assignment: Assignment,
    leaving: AssignedPartition,
    source: RecordSource,
    from: number,
    layout: Layout,
  ): Promise<void> {
    const { batchersOf, commit } = this.#options;
    const { topic, partition, epoch } = source;
    const state = { type: 'closing' } as const;
    const batchers = batchersOf(layout);
    // Otherwise a commit of the tracker before would overwrite the state `closing`.
    leaving.leave(source);
    const isDue = (): boolean => assignment.get(leaving) === leaving && leaving.isLeaving(source);
    const commits = [{ topic, partition, epoch, offset: from, layout, state }];
    await this.#untilDone(assignment, `layout change of ${partitionName(source)}`, isDue, async (isOver) => {
      // Any batch brings the function to commit. Without traffic there is no hurry.
      if (!(await commit(assignment, () => (isDue() ? commits : [])))) return false;
      if (isOver()) return true;
      const end = await this.#questions.next(() => closeEpoch({ topic, partition, epoch }, from, batchers));
      if (isOver()) return true;
      this.#goOn(assignment, leaving, new PartitionTracker(source, from, { layout, state, end }), from);
      return true;
    });
  }

  /**
   * A partition is read under a new epoch, in a log of which batchers of earlier layouts may still have records. It is opened once
   * they have flushed them. If the topic is gone meanwhile, this ends without an effect. Never rejects.
   */
  async begin(assignment: Assignment, beginning: AssignedPartition, tracker: PartitionTracker): Promise<void> {
    const { topic, partition } = tracker;
    beginning.leave(tracker);
    const isDue = (): boolean => assignment.get(beginning) === beginning && beginning.isLeaving(tracker);
    const what = `new epoch of ${beginning.name}`;
    let left: readonly HeldEpoch[] | null = null;
    const unflushed = async (): Promise<readonly NamedBatcher[]> => {
      left ??= await this.#heldByOthers(assignment, beginning);
      const still: HeldEpoch[] = [];
      for (const held of left) {
        const source = { topic, partition, epoch: held.epoch };
        if ((await unflushedBatchers(source, [held.batcher])).length > 0) still.push(held);
      }
      left = still;
      return [...new Set(still.map(({ batcher }) => batcher))];
    };
    const flushed = this.#untilFlushed(what, beginning.name, unflushed);
    await this.#untilDone(assignment, what, isDue, async (isOver) => {
      if (!(await flushed(isOver)) || isOver()) return true;
      this.#goOn(assignment, beginning, tracker);
      return true;
    });
  }

  /** What batchers of earlier layouts have accepted of a partition, flushed or not. */
  async #heldByOthers(assignment: Assignment, { name }: AssignedPartition): Promise<HeldEpoch[]> {
    const { accepted, batchersOf, layouts, pipeline } = this.#options;
    if ((await layouts()).every((layout) => isSameLayout(layout, pipeline.layout))) return [];
    const remembered = (await accepted(assignment).answer).get(name) ?? [];
    return remembered.flatMap(({ layout, batcher: index, coverage }) => {
      const batcher = batchersOf(layout)[index];
      if (batcher === undefined || isSameLayout(layout, pipeline.layout)) return [];
      return coverage.epochs.map(({ epoch }) => ({ batcher, epoch }));
    });
  }

  /**
   * Makes a function that waits until batchers of earlier layouts have flushed a partition, so that each key keeps its order. If
   * one of them is paused, or cannot flush, that takes until a person helps, so it is told. It gives false if nothing may be
   * begun any more.
   */
  #untilFlushed(
    what: string,
    name: string,
    unflushed: () => Promise<readonly NamedBatcher[]>,
  ): (isOver: () => boolean) => Promise<boolean> {
    const { pipeline, stateLog } = this.#options;
    const dueAtMs = performance.now() + pipeline.settings.batch.maxDelayMs + FLUSH_PATIENCE_MS;
    return async (isOver) => {
      for (;;) {
        const waitedFor = await this.#questions.next(() => (isOver() ? Promise.resolve([]) : unflushed()));
        if (waitedFor.length === 0) return true;
        if (performance.now() >= dueAtMs && !isOver()) {
          const names = listed(waitedFor.map(({ workflowId }) => workflowId));
          stateLog.problem(
            what,
            `${name} is not read: it waits until what batchers of the earlier layout have of it is flushed: ${names}. \`ktb status\` says why they do not flush, for example since they are paused`,
          );
        }
        await sleep(FLUSHED_POLL_MS);
        if (isOver()) return false;
      }
    };
  }

  /** Its epoch is closed and accepted up to the end: once that is flushed, the partition is read under our layout. */
  async #enterLayout(assignment: Assignment, entering: AssignedPartition, closed: PartitionTracker): Promise<void> {
    const { batchersOf, logger, pipeline, readEpochs } = this.#options;
    const { topic, partition, next, plan } = closed;
    const batchers = batchersOf(plan.layout);
    const isDue = (): boolean => assignment.get(entering) === entering && entering.tracker === closed;
    const what = `layout change of ${partitionName(closed)}`;
    const flushed = this.#untilFlushed(what, partitionName(closed), () => unflushedBatchers(closed, batchers));
    await this.#untilDone(assignment, what, isDue, async (isOver) => {
      if (!(await flushed(isOver)) || isOver()) return true;
      const fields = {
        pipeline: pipeline.name,
        topic,
        partition,
        offset: next,
        from: layoutName(plan.layout),
        to: layoutName(pipeline.layout),
      };
      logger.info(fields, 'A partition has gone over to another layout');
      const source = { topic, partition, epoch: newEpoch(entering.topicId) };
      // The log is the same. If it is cut later, what was read of it before counts, too.
      readEpochs.continueAt(next, { before: closed.epoch, source });
      this.#goOn(assignment, entering, new PartitionTracker(source, next, this.reading));
      return true;
    });
  }

  /**
   * Repeats a step that may fail until it is done, or nothing new may begin. Never rejects.
   *
   * @param isDue false if the partition does not wait for this any more, for example because its topic is gone
   * @param step gets a function that tells whether it must have no more effect, to be asked after each `await`
   */
  async #untilDone(
    assignment: Assignment,
    what: string,
    isDue: () => boolean,
    step: (isOver: () => boolean) => Promise<boolean>,
  ): Promise<void> {
    const { stateLog } = this.#options;
    const isOver = (): boolean => assignment.isOver() || !isDue();
    while (assignment.goesOn() && isDue()) {
      try {
        if (await step(isOver)) {
          stateLog.well(what, `The ${what} waits no more`);
          return;
        }
      } catch (error) {
        if (!isOver()) stateLog.problem(what, `The ${what} waits: ${messageOf(error)}`);
      }
      await sleep(LAYOUT_CHANGE_RETRY_MS);
    }
    if (!isDue()) stateLog.well(what, `The ${what} waits no more`);
  }
}
