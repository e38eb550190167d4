import type { PipelineConfig } from '../../config/config.js';
import { layoutName, type Layout } from '../../protocol/layout.js';
import type { KafkaRecord } from '../../protocol/record.js';
import type { BatcherSettings } from '../../protocol/settings.js';
import type { Logger, StateLog } from '../../telemetry/logging.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { BatcherClient, ClosedRunInfo } from '../../temporal/batcherClient.js';
import { BatcherSweep } from './batcherSweep.js';
import { firstRecord, type Lane, type Pack } from './lane.js';
import { Lanes } from './lanes.js';
import type { LaneObserver } from './laneSender.js';
import { STOP_CAUSES, type StopCause } from './laneStop.js';
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
  /** See {@link LaneObserver.leaderEpochBefore}. */
  readonly leaderEpochBefore: LaneObserver['leaderEpochBefore'];
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
  readonly #sweep: BatcherSweep;
  #members = 1;
  #hurries = false;

  constructor(options: PipelineLanesOptions, handlers: LaneHandlers) {
    this.#options = options;
    this.#pipeline = options.pipeline.name;
    this.#handlers = handlers;
    this.#sweep = new BatcherSweep({
      ...options,
      pipeline: this.#pipeline,
      inUse: () => [...this.#byLayout.values()].flatMap((lanes) => lanes.batchers),
      layouts: async () => (await options.layouts()).filter((layout) => !this.#byLayout.has(layoutName(layout))),
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

  /** See {@link BatcherSweep.sweep}. */
  sweep(goesOn: () => boolean): Promise<void> {
    // Otherwise these lanes would exist only after the first record.
    this.of(this.#options.pipeline.layout);
    return this.#sweep.sweep(goesOn);
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
      leaderEpochBefore: this.#handlers.leaderEpochBefore,
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
