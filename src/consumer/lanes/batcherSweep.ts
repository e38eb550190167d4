import { settingsChunk } from '../../codecs/chunkCodec.js';
import { listed } from '../../lib/listed.js';
import { messageOf } from '../../lib/messageOf.js';
import { hasOwnTaskQueue } from '../../protocol/installation.js';
import type { BatcherSettings } from '../../protocol/settings.js';
import type { StateLog } from '../../telemetry/logging.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { BatcherClient } from '../../temporal/batcherClient.js';
import { StuckTasks, type DueTask } from '../../temporal/stuckTasks.js';
import { UnusedBatchers, type UnusedBatchersOptions } from './unusedBatchers.js';

export interface BatcherSweepOptions extends UnusedBatchersOptions {
  readonly pipeline: string;
  /** The batchers of the layouts that this member uses. */
  readonly inUse: () => readonly BatcherClient[];
  readonly batcherSettings: () => BatcherSettings;
  readonly metrics: Pick<Metrics, 'stuckTasks'>;
  readonly stateLog: StateLog;
}

/** Looks after all batchers of a pipeline, also those that nothing is sent to. */
export class BatcherSweep {
  readonly #options: BatcherSweepOptions;
  readonly #stuckTasks = new StuckTasks();
  readonly #unused: UnusedBatchers;
  /** By workflow id, the installation that a batcher without traffic has got. */
  readonly #told = new Map<string, string>();
  #sweeping = false;

  constructor(options: BatcherSweepOptions) {
    this.#options = options;
    this.#unused = new UnusedBatchers(options);
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
    const batchers = this.#options.inUse();
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
    metrics.stuckTasks.set({ pipeline }, stuck);
    this.#reportUnseen('batchers', batchers.length, unseen);
  }

  async #checkUnused(goesOn: () => boolean): Promise<void> {
    const look = await this.#unused.look(goesOn);
    if (look !== null) this.#reportUnseen('batchers of earlier layouts', look.looked, look.unseen);
  }

  #reportUnseen(which: string, looked: number, unseen: readonly string[]): void {
    const { pipeline, stateLog } = this.#options;
    const what = `looks at ${which} of ${pipeline}`;
    if (unseen.length === 0) stateLog.well(what, `All ${which} of ${pipeline} can be looked at again`);
    else
      stateLog.problem(
        what,
        `${unseen.length} of ${looked} ${which} cannot be looked at. If the run of one was closed, what it had accepted waits: ${listed(unseen)}`,
      );
  }

  async #checkBatcher(batcher: BatcherClient): Promise<void> {
    const { closed, dueTask } = await batcher.startHeir({ drained: false });
    if (closed !== null) this.#options.heirStarted(batcher.workflowId, closed);
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
      const { meta, body } = settingsChunk(settings);
      const outcome = await batcher.send(meta, body);
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
}
