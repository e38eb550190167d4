import { ApplicationFailure } from '@temporalio/common';
import type { PipelineConfig } from '../config/config.js';
import { batcherWorkflowId } from '../protocol/batcherId.js';
import type { Layout } from '../protocol/layout.js';
import { settingsChunk } from '../codecs/chunkCodec.js';
import { hasWholeCharacters, type OpenBatcherRequest, type OpenedBatcher } from '../protocol/request.js';
import type { BatcherSettings } from '../protocol/settings.js';
import { NO_TABLE_FOR_REQUESTS, takesRequests } from '../protocol/tables.js';
import type { BatcherClient } from './batcherClient.js';
import { flowControlLimits } from './flowControl.js';
import { requestLaneIndex } from '../codecs/laneIndex.js';

/** Milliseconds between two checks of one batcher's history, at least, however many requesters ask for it. */
const CHECK_INTERVAL_MS = 200;

/** A full batcher has to continue as new first. That takes a moment once a worker runs. */
const FULL_RETRY = '1 second';

/** Workers of all installations and configurations share this task queue. */
const OTHERS_RETRY = '100 milliseconds';

/**
 * Tells workflows which batcher takes their rows. Like a lane of the consumer, it starts the batcher, or an heir of a
 * closed run, and sends the settings. It names no batcher whose history is at its limit. See
 * `docs/internals/requests.md`.
 */
export class BatcherOpener {
  readonly #pipelines: readonly PipelineConfig[];
  readonly #batcher: (pipeline: PipelineConfig, layout: Layout, index: number) => BatcherClient;
  readonly #settingsOf: (pipeline: PipelineConfig) => BatcherSettings;
  readonly #isClaimed: (pipeline: string) => Promise<boolean>;
  /** By the workflow id of a batcher, the settings that it got from this process last, and the run that got them. */
  readonly #settingsSent = new Map<string, { readonly settings: BatcherSettings; readonly runId: string }>();
  readonly #checks = new Map<string, { readonly untilMs: number; readonly check: Promise<void> }>();

  constructor(options: {
    pipelines: readonly PipelineConfig[];
    batcher: (pipeline: PipelineConfig, layout: Layout, index: number) => BatcherClient;
    /** The settings that the pipeline's batchers get. Returns another object if they have changed. */
    settingsOf: (pipeline: PipelineConfig) => BatcherSettings;
    /**
     * Whether an installation has claimed this pipeline. Asked about pipelines that this configuration does not have.
     */
    isClaimed: (pipeline: string) => Promise<boolean>;
  }) {
    this.#pipelines = options.pipelines;
    this.#batcher = options.batcher;
    this.#settingsOf = options.settingsOf;
    this.#isClaimed = options.isClaimed;
  }

  /**
   * Finds the batcher for a request and makes sure that it runs and has room.
   *
   * @throws ApplicationFailure UnknownPipeline, NoTable, HalfCharacter: a retry cannot help. BatcherFull, BatcherNotOpen,
   *   OtherInstallation: a retry can help
   */
  async open({ pipeline: name, ...request }: OpenBatcherRequest): Promise<OpenedBatcher> {
    const pipeline = this.#pipelines.find((candidate) => candidate.name === name);
    if (pipeline === undefined) {
      if (await this.#isClaimed(name)) {
        // The task queue is shared, so a worker that has this pipeline soon gets the retry. If there is none, the
        // requester's deadline ends the retries.
        const message = `the worker that was asked has no pipeline ${name}: it is for workers of another configuration`;
        throw ApplicationFailure.create({ type: 'OtherInstallation', message, nextRetryDelay: OTHERS_RETRY });
      }
      const known = this.#pipelines.map((candidate) => candidate.name).join(', ');
      const message = `there is no pipeline ${name}; there are: ${known}`;
      throw ApplicationFailure.create({ type: 'UnknownPipeline', message, nonRetryable: true });
    }
    if (!takesRequests(pipeline.settings.destination)) {
      const message = `pipeline ${name} ${NO_TABLE_FOR_REQUESTS}: name a pipeline with one table`;
      throw ApplicationFailure.create({ type: 'NoTable', message, nonRetryable: true });
    }
    if (!hasWholeCharacters(request)) {
      const message =
        'the id, the key or a header has half of a character (an unpaired surrogate), which no text holds';
      throw ApplicationFailure.create({ type: 'HalfCharacter', message, nonRetryable: true });
    }
    const index = requestLaneIndex(request, pipeline.layout);
    const workflowId = batcherWorkflowId(name, pipeline.layout, index);
    await this.#mustBeOpen(workflowId, pipeline, index);
    return { batcher: workflowId };
  }

  #mustBeOpen(workflowId: string, pipeline: PipelineConfig, index: number): Promise<void> {
    const nowMs = performance.now();
    const last = this.#checks.get(workflowId);
    if (last !== undefined && nowMs < last.untilMs) return last.check;
    const check = this.#check(this.#batcher(pipeline, pipeline.layout, index), pipeline);
    this.#checks.set(workflowId, { untilMs: nowMs + CHECK_INTERVAL_MS, check });
    return check;
  }

  async #check(batcher: BatcherClient, pipeline: PipelineConfig): Promise<void> {
    const size = await batcher.history();
    const { highBytes, highEvents } = flowControlLimits(pipeline.flow);
    if (size !== null && (size.bytes >= highBytes || size.events >= highEvents)) {
      const message = `the history of ${batcher.workflowId} is at its limit until it continues as new`;
      throw ApplicationFailure.create({ type: 'BatcherFull', message, nextRetryDelay: FULL_RETRY });
    }
    const settings = this.#settingsOf(pipeline);
    const sent = this.#settingsSent.get(batcher.workflowId);
    // Another process that had not read a changed configuration yet may have put old settings back since.
    const hasThem = sent?.settings === settings && sent.runId === size?.runId;
    if (!hasThem) await this.#sendSettings(batcher, settings);
  }

  /** Sends the settings. This starts the batcher if it does not run. */
  async #sendSettings(batcher: BatcherClient, settings: BatcherSettings): Promise<void> {
    const { meta, body } = settingsChunk(settings);
    let outcome = await batcher.send(meta, body);
    if (outcome.type === 'closed') {
      await batcher.startHeir({ drained: true });
      outcome = await batcher.send(meta, body);
    }
    if (outcome.type !== 'accepted') {
      const why = 'message' in outcome ? outcome.message : 'its run has ended';
      throw ApplicationFailure.create({ type: 'BatcherNotOpen', message: `${batcher.workflowId} is not open: ${why}` });
    }
    this.#settingsSent.set(batcher.workflowId, { settings, runId: outcome.runId });
  }
}
