import type { PipelineConfig } from '../../config/config.js';
import { listed } from '../../lib/listed.js';
import { messageOf } from '../../lib/messageOf.js';
import { layoutName, type Layout } from '../../protocol/layout.js';
import type { KafkaRecord } from '../../protocol/record.js';
import { encodeChunk } from '../../codecs/chunkCodec.js';
import { hasOwnTaskQueue } from '../../protocol/installation.js';
import type { BatcherSettings } from '../../protocol/settings.js';
import type { Logger, StateLog } from '../../telemetry/logging.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { BatcherClient, ClosedRunInfo } from '../../temporal/batcherClient.js';
import { firstRecord, type Lane, type Pack } from './lane.js';
import { Lanes } from './lanes.js';
import type { LaneObserver } from './laneSender.js';
import { STOP_CAUSES, type StopCause } from './laneStop.js';
import { UnusedBatchers } from './unusedBatchers.js';
import { StuckTasks, type DueTask } from '../../temporal/stuckTasks.js';
import type { PartitionTracker } from '../partitions/tracker.js';

/** Publishes a record that no signal can carry to the dead-letter topic, and gives the stub that replaces it. */
type SetAside = (source: PartitionTracker, record: KafkaRecord) => Promise<KafkaRecord>;

export interface PipelineLanesOptions {
  readonly pipeline: PipelineConfig;
  /** The batcher with an index, from 0, in a layout. */
  readonly batcher: (layout: Layout, index: number) => BatcherClient;
  /** All layouts that the pipeline has had, as far as Temporal knows. */
  readonly layouts: () => Promise<readonly Layout[]>;
  /** The settings for the batchers. Another object if they have changed. */
  readonly batcherSettings: () => BatcherSettings;
  readonly setAside: SetAside;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly stateLog: StateLog;
}

/** Called when something happens in lanes. */
export interface LaneHandlers {
  /** A batcher has accepted a lane's pack. */
  readonly accepted: (pack: Pack) => void;
  /** A lane has stopped or continues. */
  readonly changed: () => void;
}

/**
 * All lanes of a pipeline, by layout: the configured one, and those that partitions come from. They are made on first
 * use, and stay until they end.
 */
export class PipelineLanes {
  readonly #options: PipelineLanesOptions;
  readonly #pipeline: string;
  readonly #handlers: LaneHandlers;
  readonly #byLayout = new Map<string, Lanes>();
  readonly #stopCauses = new Map<Lane, StopCause>();
  readonly #stuckTasks = new StuckTasks();
  /** By workflow id, the installation that a batcher without traffic has got. */
  readonly #told = new Map<string, string>();
  #members = 1;
  #hurries = false;
  readonly #unused: UnusedBatchers;
  #sweeping = false;

  constructor(options: PipelineLanesOptions, handlers: LaneHandlers) {
    this.#options = options;
    this.#pipeline = options.pipeline.name;
    this.#handlers = handlers;
    this.#unused = new UnusedBatchers({
      layouts: async () => (await options.layouts()).filter((layout) => !this.#byLayout.has(layoutName(layout))),
      batcher: options.batcher,
      heirStarted: (workflowId, closed) => this.#reportHeir(workflowId, closed),
    });
  }

  of(layout: Layout): Lanes {
    const name = layoutName(layout);
    let lanes = this.#byLayout.get(name);
    if (lanes === undefined) {
      const { pipeline, batcher, batcherSettings } = this.#options;
      lanes = new Lanes(
        layout,
        pipeline,
        (index) => batcher(layout, index),
        (lane, client) => this.#observe(lane, client),
        batcherSettings,
      );
      lanes.setMembers(this.#members);
      lanes.hurry(this.#hurries);
      this.#byLayout.set(name, lanes);
    }
    return lanes;
  }

  /** Records waiting in all lanes. */
  get records(): number {
    return this.#sum('records');
  }

  /** Bytes that the records take in this process's memory. */
  get memoryBytes(): number {
    return this.#sum('memoryBytes');
  }

  /** How many members of the group send to the same batchers, this one included. */
  setMembers(members: number): void {
    this.#members = members;
    for (const lanes of this.#byLayout.values()) lanes.setMembers(members);
  }

  /**
   * Sends at once what waits and arrives, or, with false, lets it wait for more again. While nothing more is fetched,
   * waiting gains nothing.
   */
  hurry(hurries: boolean): void {
    if (this.#hurries === hurries) return;
    this.#hurries = hurries;
    for (const lanes of this.#byLayout.values()) lanes.hurry(hurries);
  }

  clear(): void {
    for (const lanes of this.#byLayout.values()) lanes.clear();
  }

  /** Ends the senders after the signals in flight. */
  async end(): Promise<void> {
    await Promise.all([...this.#byLayout.values()].map((lanes) => lanes.end()));
  }

  /**
   * Finds closed runs without traffic, whose records would otherwise wait for the next record, and batchers whose
   * workflow tasks do not get done. Now and then it also looks for closed runs of layouts that are not in use, which may
   * take long and holds up nothing else. Never rejects. What an earlier sweep still does is not begun again: both would
   * count the same late task.
   *
   * @param goesOn whether this member still has the assignment
   */
  async sweep(goesOn: () => boolean): Promise<void> {
    await Promise.all([this.#checkBatchers(goesOn), this.#checkUnused(goesOn)]);
  }

  async #checkBatchers(goesOn: () => boolean): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    try {
      await this.#checkAll(goesOn);
    } finally {
      this.#sweeping = false;
    }
  }

  async #checkAll(goesOn: () => boolean): Promise<void> {
    const { metrics, pipeline } = this.#options;
    // Otherwise these lanes would exist only after the first record.
    this.of(pipeline.layout);
    const batchers = [...this.#byLayout.values()].flatMap((lanes) => lanes.batchers);
    const unseen: string[] = [];
    for (const batcher of batchers) {
      if (!goesOn()) return;
      try {
        await this.#checkBatcher(batcher);
      } catch (error) {
        // The others do not wait for this one: a part of Temporal may be away for long.
        unseen.push(`${batcher.workflowId}: ${messageOf(error)}`);
      }
    }
    const stuck = batchers.filter(({ workflowId }) => this.#stuckTasks.isStuck(workflowId)).length;
    metrics.stuckTasks.set({ pipeline: this.#pipeline }, stuck);
    this.#reportUnseen('batchers', batchers.length, unseen);
  }

  async #checkUnused(goesOn: () => boolean): Promise<void> {
    const look = await this.#unused.look(goesOn);
    if (look !== null) this.#reportUnseen('batchers of earlier layouts', look.looked, look.unseen);
  }

  #reportUnseen(which: string, looked: number, unseen: readonly string[]): void {
    const { stateLog } = this.#options;
    const what = `looks at ${which} of ${this.#pipeline}`;
    if (unseen.length === 0) stateLog.well(what, `All ${which} of ${this.#pipeline} can be looked at again`);
    else
      stateLog.problem(
        what,
        `${unseen.length} of ${looked} ${which} cannot be looked at. If the run of one was closed, what it had accepted waits: ${listed(unseen)}`,
      );
  }

  async #checkBatcher(batcher: BatcherClient): Promise<void> {
    const { closed, dueTask } = await batcher.startHeir({ drained: false });
    if (closed !== null) this.#reportHeir(batcher.workflowId, closed);
    await this.#observeTask(batcher, dueTask);
    if (closed === null) await this.#tellInstallation(batcher);
  }

  /**
   * Sends the installation to a batcher without traffic. No chunk tells it, and its activities would wait on a queue
   * that nobody polls. The first installation of a task queue need not be sent.
   */
  async #tellInstallation(batcher: BatcherClient): Promise<void> {
    const settings = this.#options.batcherSettings();
    const { installation } = settings;
    if (installation === undefined || !hasOwnTaskQueue(installation)) return;
    if (this.#told.get(batcher.workflowId) === installation.name) return;
    if ((await batcher.history()) !== null) {
      const { meta, body } = encodeChunk([]);
      const outcome = await batcher.send({ ...meta, settings }, body);
      if (outcome.type !== 'accepted') return;
    }
    this.#told.set(batcher.workflowId, installation.name);
  }

  async #observeTask(batcher: BatcherClient, dueTask: DueTask | null): Promise<void> {
    const { workflowId } = batcher;
    const { stateLog } = this.#options;
    const what = `workflow task of ${workflowId}`;
    if (!this.#stuckTasks.observe(workflowId, dueTask, Date.now())) {
      stateLog.well(what, `The ${what} gets done again`);
      return;
    }
    const fails = dueTask !== null && dueTask.attempt > 1;
    const why = fails ? `fails again and again: ${await batcher.taskFailure()}` : 'waits for a worker';
    stateLog.problem(what, `Nothing is flushed: the ${what} ${why}`);
  }

  /** Reports how much waits, since when, and why lanes have stopped. */
  updateGauges(): void {
    const { metrics } = this.#options;
    const pipeline = this.#pipeline;
    metrics.waiting.set({ pipeline }, this.records);
    metrics.waitingBytes.set({ pipeline }, this.memoryBytes);
    const times = [...this.#byLayout.values()].flatMap(({ firstTimestampMs }) => firstTimestampMs ?? []);
    metrics.oldestWaiting.set({ pipeline }, times.length === 0 ? 0 : Math.min(...times) / 1000);
    for (const cause of STOP_CAUSES) {
      const stopped = [...this.#stopCauses.values()].filter((other) => other === cause).length;
      metrics.stoppedLanes.set({ pipeline, cause }, stopped);
    }
  }

  #sum(what: 'records' | 'memoryBytes'): number {
    return [...this.#byLayout.values()].reduce((total, lanes) => total + lanes[what], 0);
  }

  #observe(lane: Lane, { workflowId }: BatcherClient): LaneObserver {
    const { metrics, stateLog, setAside } = this.#options;
    const labels = { pipeline: this.#pipeline };
    const what = `batcher ${workflowId}`;
    return {
      accepted: (pack, { seconds, started }) => {
        metrics.signals.inc({ ...labels, outcome: started ? 'started' : 'signalled' });
        metrics.signalledRecords.inc(labels, pack.records);
        metrics.signalSeconds.observe(labels, seconds);
        this.#handlers.accepted(pack);
      },
      notAccepted: (outcome) => {
        metrics.signals.inc({ ...labels, outcome });
        metrics.errors.inc({ ...labels, stage: 'signal' });
      },
      stopped: (cause) => {
        this.#stopCauses.set(lane, cause);
        this.#handlers.changed();
      },
      stuck: (message) => stateLog.problem(what, `Nothing is sent to ${workflowId}: ${message}`),
      resumed: (why) => {
        this.#stopCauses.delete(lane);
        this.#handlers.changed();
        const well =
          why === 'accepted' ? `${workflowId} takes signals again` : `Nothing waits for ${workflowId} any more`;
        stateLog.well(what, well);
      },
      heirStarted: (closed) => this.#reportHeir(workflowId, closed),
      setAside: async (pack: Pack) => {
        const [segment] = pack.segments;
        const record = firstRecord(pack);
        if (segment === undefined || record === undefined) return;
        lane.replaceHead(pack, await setAside(segment.tracker, record));
      },
    };
  }

  #reportHeir(workflowId: string, { runId, status }: ClosedRunInfo): void {
    const { metrics, logger } = this.#options;
    const pipeline = this.#pipeline;
    const drained = status === 'COMPLETED';
    metrics.heirs.inc({ pipeline, closed: drained ? 'drained' : 'unexpectedly' });
    const fields = { pipeline, batcher: workflowId, closedRun: runId, status };
    if (drained) logger.info(fields, 'A drained batcher was started again');
    else logger.warn(fields, 'The run of a batcher was closed from outside. A new run takes over what it had accepted');
  }
}
