import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { MissingKeyError } from '../codecs/payloadCipher.js';
import { asError } from '../lib/asError.js';
import { SharedSlots } from './sharedSlots.js';
import { payloadReader } from './encryption.js';
import { isNotFound } from './errors.js';
import { payloadsIn, type HistoryEvent } from './historyEvents.js';
import { isOpen } from './openRuns.js';

/**
 * Events from the end of a run's history. Each may carry a chunk, and the answer has to stay below gRPC's limits. A batch
 * goes by in ten events: a signal, the activity's arguments and its result, and what is between them. So there is something of
 * a run that has begun to encrypt among them. What the run began with is read, too.
 */
const LAST_EVENTS = 10;
/**
 * Batchers whose histories are read at the same time, by all pipelines together. An answer may have some megabytes. A
 * Temporal that hangs holds nobody for long: after ten seconds without any answer, those that wait are not asked.
 */
const looks = new SharedSlots(4, 10_000);

type Reader = Pick<Client, 'workflow' | 'workflowService' | 'options'>;

/** A batcher with payloads that cannot be read here. */
export interface UnreadableBatcher {
  readonly workflowId: string;
  /** False: its last run has ended. The next one reads what that one had, and waits. */
  readonly isOpen: boolean;
  readonly error: MissingKeyError;
}

/** Some batchers can be read, and of the others it is not known. */
export class PartlyKnownError extends Error {
  override readonly name = 'PartlyKnownError';
}

/**
 * Whether a batcher's open run has payloads that are encrypted with a key which this process does not have: in what it
 * was started with, or among its last events. These say with which key they are encrypted, so no worker has to answer.
 *
 * Whoever lacks the key should send nothing: a batcher that requires encryption refuses it, and its offsets are committed.
 *
 * @param options.closedToo looks also into the last run of each batcher that has ended. Default: no
 * @returns the first such batcher. Null if all open runs can be read, or none is open
 * @throws PartlyKnownError if Temporal does not answer for some of them, and the others can be read
 * @throws Error if it answers for none
 */
export async function unreadableBatcher(
  client: Reader,
  workflowIds: readonly string[],
  { closedToo = false }: { readonly closedToo?: boolean } = {},
): Promise<UnreadableBatcher | null> {
  const ask = (workflowId: string): Promise<UnreadableBatcher | Error | null> =>
    looks.ask(() => missingKey(client, workflowId, closedToo)).catch(asError);
  const found = await Promise.all(workflowIds.map(ask));
  const unreadable = found.find((one): one is UnreadableBatcher => one !== null && !(one instanceof Error));
  const failures = found.filter((one) => one instanceof Error);
  const [failure] = failures;
  if (unreadable !== undefined || failure === undefined) return unreadable ?? null;
  if (failures.length === found.length) throw failure;
  throw new PartlyKnownError(`${failures.length} of ${found.length} batchers cannot be looked at: ${failure.message}`);
}

async function missingKey(client: Reader, workflowId: string, closedToo: boolean): Promise<UnreadableBatcher | null> {
  const read = payloadReader(client, workflowId);
  let isOpenRun = true;
  try {
    const { runId, status } = await client.workflow.getHandle(workflowId).describe();
    isOpenRun = isOpen(status.name);
    if (!isOpenRun && !closedToo) return null;
    for (const payload of await payloadsOf(client, workflowId, runId)) read(payload);
  } catch (error) {
    if (error instanceof MissingKeyError) return { workflowId, isOpen: isOpenRun, error };
    if (!isNotFound(error)) throw error;
  }
  return null;
}

/** Those that a run began with, and those at its end. */
async function payloadsOf(
  { workflowService, options: { namespace } }: Reader,
  workflowId: string,
  runId: string,
): Promise<Payload[]> {
  const execution = { workflowId, runId };
  const [first, last] = await Promise.all([
    workflowService.getWorkflowExecutionHistory({ namespace, execution, maximumPageSize: 1 }),
    workflowService.getWorkflowExecutionHistoryReverse({ namespace, execution, maximumPageSize: LAST_EVENTS }),
  ]);
  const events: HistoryEvent[] = [...(first.history?.events ?? []), ...(last.history?.events ?? [])];
  return events.flatMap(payloadsIn);
}
