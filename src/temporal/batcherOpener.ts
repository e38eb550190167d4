import { ApplicationFailure } from '@temporalio/common';
import type { PipelineConfig } from '../config/config.js';
import { batcherWorkflowId, type Layout } from '../protocol/batcherId.js';
import { encodeChunk } from '../codecs/chunkCodec.js';
import type { OpenBatcherRequest, OpenedBatcher } from '../protocol/request.js';
import type { BatcherSettings } from '../protocol/settings.js';
import { tableOfRequests } from '../protocol/tables.js';
import type { BatcherClient } from './batcherClient.js';
import { flowControlLimits } from './flowControl.js';
import { requestLaneIndex } from '../codecs/laneIndex.js';

/** A batcher's history is looked at this often, at most, however many requesters ask for it. */
const LOOK_EVERY_MS = 200;

/** A batcher that is full has to continue as new first, which takes a moment once a worker runs. */
const FULL_RETRY = '1 second';

/** Workers of several installations and configurations ask for requests at the same place. */
const OTHERS_RETRY = '100 milliseconds';

/**
 * Says to workflows which batcher takes their rows. Like a lane of Kafka's records it starts the batcher, or an heir where its
 * run has ended, brings the settings along, and sends nobody to one whose history is at its limit.
 */
export class BatcherOpener {
  readonly #pipelines: readonly PipelineConfig[];
  readonly #batcher: (pipeline: PipelineConfig, layout: Layout, index: number) => BatcherClient;
  readonly #settingsOf: (pipeline: PipelineConfig) => BatcherSettings;
  readonly #isClaimed: (pipeline: string) => Promise<boolean>;
  /** Workflow ids of batchers that this process has told its settings. */
  readonly #told = new Set<string>();
  readonly #looks = new Map<string, { readonly untilMs: number; readonly look: Promise<void> }>();

  constructor(options: {
    pipelines: readonly PipelineConfig[];
    batcher: (pipeline: PipelineConfig, layout: Layout, index: number) => BatcherClient;
    /** What its batchers are told. */
    settingsOf: (pipeline: PipelineConfig) => BatcherSettings;
    /** Whether others have a pipeline that this configuration has not. */
    isClaimed: (pipeline: string) => Promise<boolean>;
  }) {
    this.#pipelines = options.pipelines;
    this.#batcher = options.batcher;
    this.#settingsOf = options.settingsOf;
    this.#isClaimed = options.isClaimed;
  }

  /**
   * The batcher of a request, which runs and has room. Until then it rejects, and is to be asked again.
   *
   * @throws ApplicationFailure UnknownPipeline, NoTable, which asking again does not help; BatcherFull, BatcherNotOpen,
   *   OtherInstallation, which it does
   */
  async open({ pipeline: name, ...request }: OpenBatcherRequest): Promise<OpenedBatcher> {
    const pipeline = this.#pipelines.find((candidate) => candidate.name === name);
    if (pipeline === undefined) {
      if (await this.#isClaimed(name)) {
        // The task queue is shared: a worker that has it asks soon. If none does, the requester's deadline ends it.
        const message = `the worker that was asked has no pipeline ${name}: it is for workers of another configuration`;
        throw ApplicationFailure.create({ type: 'OtherInstallation', message, nextRetryDelay: OTHERS_RETRY });
      }
      const known = this.#pipelines.map((candidate) => candidate.name).join(', ');
      const message = `there is no pipeline ${name}; there are: ${known}`;
      throw ApplicationFailure.create({ type: 'UnknownPipeline', message, nonRetryable: true });
    }
    if (tableOfRequests(pipeline.settings.destination) === null) {
      const message = `pipeline ${name} sends each topic to a table of its own, and a workflow's row has no topic: name a pipeline with one table`;
      throw ApplicationFailure.create({ type: 'NoTable', message, nonRetryable: true });
    }
    const index = requestLaneIndex(request, pipeline.layout);
    const workflowId = batcherWorkflowId(name, pipeline.layout, index);
    await this.#mustBeOpen(workflowId, pipeline, index);
    return { batcher: workflowId };
  }

  #mustBeOpen(workflowId: string, pipeline: PipelineConfig, index: number): Promise<void> {
    const nowMs = performance.now();
    const last = this.#looks.get(workflowId);
    if (last !== undefined && nowMs < last.untilMs) return last.look;
    const look = this.#look(this.#batcher(pipeline, pipeline.layout, index), pipeline);
    this.#looks.set(workflowId, { untilMs: nowMs + LOOK_EVERY_MS, look });
    return look;
  }

  async #look(batcher: BatcherClient, pipeline: PipelineConfig): Promise<void> {
    const mark = await batcher.history();
    const { highBytes, highEvents } = flowControlLimits(pipeline.flow);
    if (mark !== null && (mark.bytes >= highBytes || mark.events >= highEvents)) {
      const message = `the history of ${batcher.workflowId} is at its limit until it continues as new`;
      throw ApplicationFailure.create({ type: 'BatcherFull', message, nextRetryDelay: FULL_RETRY });
    }
    if (mark === null || !this.#told.has(batcher.workflowId)) await this.#tell(batcher, pipeline);
  }

  /** Sends the settings, which starts the batcher where it does not run. */
  async #tell(batcher: BatcherClient, pipeline: PipelineConfig): Promise<void> {
    const { meta, body } = encodeChunk([]);
    const chunk = { ...meta, settings: this.#settingsOf(pipeline) };
    let outcome = await batcher.send(chunk, body);
    if (outcome.type === 'closed') {
      await batcher.startHeir({ drained: true });
      outcome = await batcher.send(chunk, body);
    }
    if (outcome.type !== 'accepted') {
      const why = 'message' in outcome ? outcome.message : 'its run has ended';
      throw ApplicationFailure.create({ type: 'BatcherNotOpen', message: `${batcher.workflowId} is not open: ${why}` });
    }
    this.#told.add(batcher.workflowId);
  }
}
