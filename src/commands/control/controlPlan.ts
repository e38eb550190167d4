import type { PipelineConfig } from '../../config/config.js';
import type { BatcherStatus, ControlAction } from '../../protocol/batcher.js';
import { batcherWorkflowIds } from '../../protocol/batcherId.js';
import { isSameLayout, type Layout } from '../../protocol/layout.js';
import { UsageError } from '../../lib/usageError.js';
import { pipelineNamed } from '../shared/chosen.js';
import { unflushedRecords } from '../shared/unflushedRecords.js';

/** A batcher that a command is for. */
export interface Target {
  readonly pipeline: string;
  readonly workflowId: string;
  /** It was named by a workflow id that the configuration's layout does not have: an earlier layout's, or mistyped. */
  readonly isOfOtherLayout?: true;
}

/** What is known of a batcher before a signal is sent. */
export type TargetState =
  | { readonly state: 'not started' }
  /** @param how in Temporal's words: `COMPLETED`, `TERMINATED`, ... */
  | { readonly state: 'closed'; readonly how: string }
  /** @param status null if no worker answers */
  | { readonly state: 'running'; readonly status: BatcherStatus | null; readonly failing: Failing | null };

/** A step of the running flush that has failed and is retried. */
export interface Failing {
  readonly step: 'insert' | 'publish';
  /** The error of the last attempt. */
  readonly message: string;
}

/**
 * - `told`: the signal was sent, and Temporal has it
 * - `already`: the batcher is in the wanted state already, so nothing was sent
 * - `failed`: it is not in that state, and nothing could be sent
 */
export type ControlOutcome = 'told' | 'already' | 'failed';

export interface Verdict {
  readonly outcome: ControlOutcome;
  /** Tells the person at the terminal whether there is more to do. */
  readonly message: string;
}

/**
 * The batchers that a command is for.
 *
 * @param batchers indexes in the configuration's layout, or whole workflow ids, also of earlier layouts. Empty: all
 * @throws UsageError if the configuration has no such pipeline or batcher, or an index could belong to several
 *   pipelines
 */
export function targetsOf(
  pipelines: readonly PipelineConfig[],
  { pipeline, batchers }: { readonly pipeline?: string | undefined; readonly batchers: readonly string[] },
): Target[] {
  const wanted = pipelinesOf(pipelines, pipeline);
  if (batchers.length === 0) return wanted.flatMap(allTargets);
  return batchers.map((batcher) => targetOf(wanted, batcher));
}

/** All pipelines, or the one of this name. @throws UsageError */
export function pipelinesOf(pipelines: readonly PipelineConfig[], name: string | undefined): readonly PipelineConfig[] {
  return name === undefined ? pipelines : [pipelineNamed({ pipelines }, name)];
}

function allTargets({ name, layout }: Pick<PipelineConfig, 'name' | 'layout'>): Target[] {
  return batcherWorkflowIds(name, layout).map((workflowId) => ({ pipeline: name, workflowId }));
}

/**
 * The batchers of earlier layouts that `resume` is for as well, if no batcher is named. A partition leaves a layout only
 * once its batchers have flushed, so a batcher that was paused there would keep it for ever. Pure.
 *
 * @param layouts that Temporal knows of the pipeline
 */
export function earlierTargets({ name, layout }: PipelineConfig, layouts: readonly Layout[]): Target[] {
  return layouts
    .filter((other) => !isSameLayout(other, layout))
    .flatMap((other) => allTargets({ name, layout: other }))
    .map((target) => ({ ...target, isOfOtherLayout: true }));
}

function targetOf(pipelines: readonly PipelineConfig[], batcher: string): Target {
  if (batcher.startsWith('ktb:')) {
    const owner = pipelines.find(({ name }) => batcher.split(':')[1] === name);
    if (owner !== undefined) {
      const isKnown = allTargets(owner).some(({ workflowId }) => workflowId === batcher);
      return { pipeline: owner.name, workflowId: batcher, ...(isKnown ? {} : { isOfOtherLayout: true }) };
    }
    throw new UsageError(`${batcher} is no batcher of ${pipelines.map(({ name }) => name).join(', ')}`);
  }
  const [only] = pipelines;
  if (only === undefined || pipelines.length > 1)
    throw new UsageError(
      `--batcher ${batcher} could be of ${pipelines.map(({ name }) => name).join(' or ')}: say which --pipeline`,
    );
  const found = /^\d{1,4}$/.test(batcher) ? allTargets(only)[Number(batcher)] : undefined;
  if (found !== undefined) return found;
  const { name, layout } = only;
  throw new UsageError(
    `pipeline ${name} has no batcher ${batcher}; it has 0 to ${layout.batchers - 1}. One of an earlier layout is named by its workflow id`,
  );
}

/** @param batch set for `park` with `told`: the number of the batch that is given up */
export interface Plan extends Verdict {
  readonly batch?: number;
}

/**
 * Decides whether a batcher needs the signal, and what that will do. Pure.
 *
 * @returns `told` if the signal has to be sent
 */
export function planControl(action: ControlAction, found: TargetState, { isOfOtherLayout = false } = {}): Plan {
  if (found.state === 'running') {
    return action === 'park'
      ? planParking(found.status, found.failing)
      : planRunning(action, found.status, found.failing);
  }
  if (found.state === 'not started') {
    if (isOfOtherLayout)
      return {
        outcome: 'failed',
        message:
          'Temporal knows no batcher of that name: it is mistyped, or was drained longer ago than Temporal keeps',
      };
    return action === 'pause'
      ? { outcome: 'failed', message: 'was never started, and will not be paused when its first record starts it' }
      : { outcome: 'already', message: 'was never started: it holds nothing' };
  }
  if (found.how === 'COMPLETED') {
    return action === 'pause'
      ? { outcome: 'failed', message: 'is drained, and will not be paused when its next record starts it' }
      : { outcome: 'already', message: 'is drained: it holds nothing' };
  }
  return {
    outcome: 'failed',
    message: `its run is closed (${found.how.toLowerCase()}); a consumer starts one that takes over within a minute: try again then`,
  };
}

/** Only a batch that has failed may be given up, and only the batch that this status shows. */
function planParking(status: BatcherStatus | null, failing: Failing | null): Plan {
  if (status === null)
    return { outcome: 'failed', message: 'no worker answers, which says what is stuck: start one, and try again' };
  const { flushing } = status;
  if (flushing === null) return { outcome: 'already', message: 'has no batch on its way' };
  const { number, parked } = flushing;
  if (parked) return { outcome: 'already', message: `gives batch ${number} up` };
  if (failing === null) return { outcome: 'failed', message: `batch ${number} is on its way and has not failed` };
  if (failing.step === 'publish')
    return {
      outcome: 'failed',
      message: `batch ${number} is decided already, and waits for Kafka: ${failing.message}`,
    };
  return {
    outcome: 'told',
    message: `gives ${batchText(flushing)} up, which failed with: ${failing.message}`,
    batch: number,
  };
}

function planRunning(
  action: Exclude<ControlAction, 'park'>,
  status: BatcherStatus | null,
  failing: Failing | null,
): Verdict {
  if (status === null) return { outcome: 'told', message: 'no worker answers; it takes effect once one runs' };
  const { outcome, message } = planAnswering(action, status);
  return { outcome, message: `${message}${onItsWay(status, failing)}` };
}

function planAnswering(action: Exclude<ControlAction, 'park'>, status: BatcherStatus): Verdict {
  const { paused, draining, bufferedRecords, flushing } = status;
  const all = holdings(status);
  const what = all ?? 'nothing';
  const whenResumed = paused ? ' once it is resumed' : '';
  switch (action) {
    case 'pause':
      return paused
        ? { outcome: 'already', message: `is paused, and holds ${what}` }
        : { outcome: 'told', message: `pauses, and holds ${what}` };
    case 'resume':
      return paused
        ? { outcome: 'told', message: `goes on with ${what}` }
        : { outcome: 'already', message: 'is not paused' };
    case 'flush':
      if (all === null) return { outcome: 'already', message: 'holds nothing' };
      return bufferedRecords === 0
        ? { outcome: 'already', message: `flushes ${all} anyway${flushing === null ? whenResumed : ''}` }
        : { outcome: 'told', message: `flushes ${all}${whenResumed}` };
    case 'drain':
      return draining
        ? { outcome: 'already', message: `is draining, with ${what} left${paused ? ', but paused' : ''}` }
        : { outcome: 'told', message: `flushes ${what} and ends${whenResumed}; its next record starts it again` };
  }
}

/** What a batcher holds, including the batch that is being flushed: `507 records and 3 batches of closed runs`. Null for nothing. */
function holdings(status: BatcherStatus): string | null {
  const { inheritedBatches } = status;
  const records = unflushedRecords(status);
  const parts = [
    ...(records === 0 ? [] : [`${records} records`]),
    ...(inheritedBatches === null ? ['what a closed run has left'] : []),
    ...((inheritedBatches ?? 0) === 0 ? [] : [`${inheritedBatches} batches of closed runs`]),
  ];
  return parts.length === 0 ? null : parts.join(' and ');
}

/** The batch that is being flushed, and its error, to follow a sentence. */
function onItsWay({ flushing }: BatcherStatus, failing: Failing | null): string {
  if (flushing === null) return '';
  const batch = batchText(flushing);
  return failing === null ? `; ${batch} is on its way` : `; ${batch} has failed and is tried again: ${failing.message}`;
}

function batchText({ number, records }: NonNullable<BatcherStatus['flushing']>): string {
  return records === 0 ? `batch ${number}` : `batch ${number} with ${records} records`;
}
