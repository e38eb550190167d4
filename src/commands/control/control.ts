import { hostname, userInfo } from 'node:os';
import type { Client, WorkflowExecutionDescription, WorkflowHandle } from '@temporalio/client';
import { RawValue } from '@temporalio/common';
import Table from 'cli-table3';
import { MissingKeyError } from '../../codecs/payloadCipher.js';
import { loadConfig } from '../../config/load.js';
import { mapConcurrently } from '../../lib/mapConcurrently.js';
import { messageOf } from '../../lib/messageOf.js';
import { type BatcherStatus, type ControlAction, type ControlRequest, BATCHER } from '../../protocol/batcher.js';
import {
  earlierTargets,
  pipelinesOf,
  planControl,
  targetsOf,
  type Failing,
  type TargetState,
  type Target,
  type Verdict,
} from './controlPlan.js';
import { withTemporal } from '../shared/connections.js';
import { answerOf } from '../shared/answer.js';
import { canOnlyRead, cipherOf, failureMessage, sealedSignal } from '../../temporal/encryption.js';
import { isNotFound } from '../../temporal/errors.js';
import { lastingIdOf } from '../../temporal/historyEvents.js';
import { payloadsOf } from '../../temporal/signalWithStart.js';
import { layoutsOf } from '../shared/foundBatchers.js';
import { isOpen } from '../../temporal/openRuns.js';

export interface ControlOptions {
  readonly config: string;
  readonly pipeline?: string;
  readonly batcher: readonly string[];
  readonly reason: string;
  readonly json: boolean;
}

/** Time for a query, which needs a worker. If none answers, the signal is still sent. */
const QUERY_TIMEOUT_MS = 2_000;

/** Batchers asked at the same time, at most. A namespace limits the requests per second. */
const AT_ONCE_MAX = 32;

interface Report extends Target, Verdict {}

/**
 * `ktb pause`, `resume`, `flush`, `drain`, `park`: sends the signal to batchers and reports the result for each. A
 * batcher that is already in the wanted state gets no signal. Exit code 1 if one could not be told.
 */
export async function control(action: ControlAction, options: ControlOptions): Promise<void> {
  const config = loadConfig(options.config);
  const targets = targetsOf(config.pipelines, { pipeline: options.pipeline, batchers: options.batcher });
  const request: ControlRequest = { actor: actor(), reason: options.reason };
  const reports = await withTemporal(config, async (client) => {
    const tellAll = (some: readonly Target[]): Promise<Report[]> =>
      mapConcurrently(some, (target) => tell(client, target, action, request), AT_ONCE_MAX);
    const told = await tellAll(targets);
    if (action !== 'resume' || options.batcher.length > 0) return told;
    const earlier = await mapConcurrently(pipelinesOf(config.pipelines, options.pipeline), async (pipeline) =>
      earlierTargets(pipeline, await layoutsOf(client, pipeline)),
    );
    // Those that are not paused, which is most of them, are of no interest.
    return [...told, ...(await tellAll(earlier.flat())).filter(({ outcome }) => outcome === 'told')];
  });
  print(reports, options.json);
  if (reports.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1;
}

/** Tells one batcher, unless it is in the wanted state already. Never rejects. */
export async function tell(
  client: ControlClient,
  target: Target,
  action: ControlAction,
  request: ControlRequest,
): Promise<Report> {
  const { pipeline, workflowId } = target;
  try {
    for (let attempt = 1; ; attempt++) {
      const found = await find(client, target);
      const { batch, ...verdict } = planControl(action, found, target);
      if (verdict.outcome !== 'told' || found.state !== 'running') return { pipeline, workflowId, ...verdict };
      if (found.status?.requiresEncryption === true && cipherOf(client)?.hasKeys !== true)
        return { pipeline, workflowId, outcome: 'failed', message: NEEDS_KEY };
      try {
        await send(client, { workflowId, ...found }, action, batch === undefined ? request : { ...request, batch });
        return { pipeline, workflowId, ...verdict };
      } catch (error) {
        // An encrypted signal is for one run, which may have continued as new since it was described.
        if (!isNotFound(error) || attempt === ATTEMPTS_MAX) throw error;
      }
    }
  } catch (error) {
    return { pipeline, workflowId, outcome: 'failed', message: messageOf(error) };
  }
}

type ControlClient = Pick<Client, 'workflow' | 'workflowService' | 'options'>;

const NEEDS_KEY =
  'takes only encrypted signals, and this configuration has no key: give it temporal.encryption.keys, as the daemon has them';

/** Runs that may continue as new, one after the other, before a signal reaches one. */
const ATTEMPTS_MAX = 5;

/** Encrypted if a key is active, or if the batcher takes no other signal, or does not say. Then it is for this run only. */
async function send(
  client: ControlClient,
  { workflowId, runId, status }: { readonly workflowId: string } & Pick<Running, 'runId' | 'status'>,
  action: ControlAction,
  request: ControlRequest,
): Promise<void> {
  const name = BATCHER.signals[action];
  const cipher = cipherOf(client);
  const takesOthers = status !== null && status.requiresEncryption !== true;
  if (cipher === undefined || !(cipher.encrypts || (canOnlyRead(cipher) && !takesOthers))) {
    await client.workflow.getHandle(workflowId).signal(name, request);
    return;
  }
  const run = await lastingIdOf(client, { namespace: client.options.namespace, workflowId, runId });
  const payloads = sealedSignal(cipher, workflowId, name, payloadsOf({ ...request, run }));
  const handle = client.workflow.getHandle(workflowId, runId);
  await handle.signal(name, ...payloads.map((payload) => RawValue.fromPayload(payload)));
}

/**
 * The run is described again after the query. The race: a batch that has failed succeeds in between, and the next one
 * begins. The other way round, the next one would be taken for the one that has failed, and would be given up.
 *
 * @throws MissingKeyError if the answer is encrypted, and cannot be read here: nor could the batcher be told anything
 */
async function find(
  client: Pick<Client, 'workflow'>,
  { workflowId }: Target,
): Promise<Exclude<TargetState, { readonly state: 'running' }> | Running> {
  const handle = client.workflow.getHandle(workflowId);
  const before = await describe(client, handle);
  if (before.state !== 'running') return before;
  const missing: MissingKeyError[] = [];
  const asked = handle.query<BatcherStatus>(BATCHER.queries.status).catch((error: unknown) => {
    if (error instanceof MissingKeyError) missing.push(error);
    throw error;
  });
  const answer = await answerOf(asked, QUERY_TIMEOUT_MS);
  if (missing[0] !== undefined) throw missing[0];
  const after = await describe(client, handle);
  return after.state === 'running' ? { ...after, status: answer.ok ? answer.value : null } : after;
}

type Described = Exclude<TargetState, { readonly state: 'running' }> | Omit<Running, 'status'>;
type Running = Extract<TargetState, { readonly state: 'running' }> & { readonly runId: string };

async function describe(client: object, handle: Pick<WorkflowHandle, 'describe'>): Promise<Described> {
  try {
    const { status, raw, runId } = await handle.describe();
    if (!isOpen(status.name)) return { state: 'closed', how: status.name };
    return { state: 'running', runId, failing: failingOf(client, raw.pendingActivities ?? []) };
  } catch (error) {
    if (isNotFound(error)) return { state: 'not started' };
    throw error;
  }
}

/** The step of a flush that has failed and is retried. Null if there is none. */
function failingOf(client: object, pending: readonly PendingActivity[]): Failing | null {
  for (const { activityType, lastFailure } of pending) {
    const step = FLUSH_STEPS[activityType?.name ?? ''];
    if (step === undefined || !lastFailure) continue;
    // The activity of the insert also publishes the acknowledgements.
    const isPublishing = lastFailure.applicationFailureInfo?.type === 'PublishError';
    return { step: isPublishing ? 'publish' : step, message: failureMessage(client, lastFailure) };
  }
  return null;
}

type PendingActivity = NonNullable<WorkflowExecutionDescription['raw']['pendingActivities']>[number];

const FLUSH_STEPS: Readonly<Record<string, Failing['step']>> = {
  insertBatch: 'insert',
  insertInherited: 'insert',
  rejectRecords: 'publish',
};

/** `ada@laptop`. A container's user may have no name. */
function actor(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}@${hostname()}`;
  }
}

function print(reports: readonly Report[], json: boolean): void {
  if (json) {
    console.log(JSON.stringify(reports, null, 2));
    return;
  }
  const table = new Table({ head: ['batcher', 'outcome', ''], style: { head: [], border: [] } });
  for (const { workflowId, outcome, message } of reports) table.push([workflowId, outcome, message]);
  console.log(table.toString());
}
