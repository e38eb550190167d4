import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { batcherWorkflowId } from '../../src/protocol/batcherId.js';
import { atTestEnd } from '../support/besideOthers.js';
import { Daemon } from '../support/daemon.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { eventually } from '../support/eventually.js';
import { useStack } from '../support/useStack.js';

/** The server suggests continue-as-new after some twenty events: every few signals. */
const stack = useStack({ temporalDynamicConfig: { 'limit.historyCount.suggestContinueAsNew': 20 } });

it('batchers that continue as new every few signals under load lose and double nothing, also over a SIGKILL', async ({
  signal,
}) => {
  const fixture = await Fixture.create(stack(), {
    pipeline: { batchers: 2, signal: { maxRecords: 50 }, batch: { maxDelay: '300ms' } },
  });
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  // Whoever looks meanwhile must not make a run forget signals that came while it was ending.
  const looks = lookAtBatchers(fixture, 2);
  const load = steadyLoad(fixture, 500);
  await eventually(() => expect(fixture.acks.length).toBeGreaterThan(4_000));
  await daemon.kill();
  signal.throwIfAborted();
  await Daemon.start(fixture.config());
  await eventually(() => expect(fixture.acks.length).toBeGreaterThan(8_000));
  const statuses = () => Promise.all([0, 1].map((index) => fixture.batcherStatus(index)));
  // How soon depends on how many records a slow machine packs into a signal.
  await eventually(async () => {
    for (const { counters } of await statuses()) expect(counters.continuations).toBeGreaterThan(10);
  }, 90_000);
  await load.stop();
  await looks.end();
  await expectExactlyOnce(fixture);
  for (const { coverageRanges } of await statuses()) expect(coverageRanges).toBeLessThan(8 * 4);
});

it('signals that come while a batcher continues as new are in the run that they belong to', async () => {
  const fixture = await Fixture.create(stack(), {
    pipeline: { batchers: 1, signal: { maxRecords: 1, linger: '0ms' }, batch: { maxDelay: '300ms' } },
  });
  await fixture.collectAcks();
  await Daemon.start(fixture.config());
  const load = steadyLoad(fixture, 200);
  // The server takes the end of a run back, because a signal has come meanwhile, and the run ends later, with that signal.
  await eventually(async () => expect(await endsTakenBack(fixture)).toBeGreaterThan(0), 120_000, 1_000);
  await load.stop();
  await expectExactlyOnce(fixture);
});

/** Queries each batcher, again and again, until it is ended or the test is over. */
function lookAtBatchers(fixture: Fixture, batchers: number): { end(): Promise<void> } {
  const ending = new AbortController();
  const look = async (index: number): Promise<void> => {
    while (!ending.signal.aborted) await Promise.all([sleep(20), fixture.batcherStatus(index).catch(() => undefined)]);
  };
  const looks = Array.from({ length: batchers }, (_, index) => look(index));
  const end = async (): Promise<void> => {
    ending.abort();
    await Promise.all(looks);
  };
  atTestEnd(end);
  return { end };
}

async function endsTakenBack(fixture: Fixture): Promise<number> {
  let takenBack = 0;
  const batcher = batcherWorkflowId(fixture.name, { batchers: 1, keyFunction: 'key' }, 0);
  for await (const { runId } of fixture.temporal.workflow.list({ query: `WorkflowId = '${batcher}'` })) {
    const { events } = await fixture.temporal.workflow.getHandle(batcher, runId).fetchHistory();
    for (const { workflowTaskFailedEventAttributes: failed } of events ?? [])
      if (Number(failed?.cause) === UNHANDLED_COMMAND) takenBack++;
  }
  return takenBack;
}

/** WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND */
const UNHANDLED_COMMAND = 1;
