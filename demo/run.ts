import { Bridge } from './bridge.js';
import type { Cleanup } from './cleanup.js';
import { earthquakes, flights } from './datasets.js';
import { keepRunning, showNextCommands, showQueries } from './epilogue.js';
import { paint, printIndented } from './output.js';
import { judgeFlows, runBulk, runTrickle, trickleStart } from './phases.js';
import { openSession, startParts, type Session } from './session.js';
import { summarize } from './summary.js';
import { count } from './text.js';

export interface RunOptions {
  /** Flights to send. */
  readonly records: number;
  /** Leave everything running at the end, until Ctrl-C. */
  readonly keep: boolean;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Takes what has to be closed at the end, however it comes. */
  readonly cleanup: Cleanup;
}

/** Longer than the daemon's own deadline for a shutdown, 25 s, and what follows it. */
const DAEMON_STOP_WITHIN_MS = 60_000;

/**
 * Runs the demo from the start of the stack to the summary.
 *
 * @returns whether every record was accounted for
 * @throws DemoError or StackError where it could not be carried out; anything after Ctrl-C
 */
export async function run({ records, keep, signal, cleanup }: RunOptions): Promise<boolean> {
  const datasets = { flights: flights(records), earthquakes: earthquakes() };
  console.log(
    `\n${paint('kafka-temporal-bridge', 'bold')}: each Kafka record becomes one row in ClickHouse, and is acknowledged.\n` +
      `This demo sends ${count(datasets.flights.records, 'flight')} and ${count(datasets.earthquakes.records, 'earthquake')}, and counts.`,
  );
  const stack = await startParts(signal, cleanup);
  const bridge = new Bridge(stack);
  cleanup.add('the daemon', DAEMON_STOP_WITHIN_MS, () => bridge.close());
  try {
    const session = await openSession({ stack, bridge }, datasets, signal, cleanup);
    const passed = await runPhases(session);
    if (passed) await showQueries(session.clickhouse);
    else await printLog(bridge);
    if (keep) await keepRunning(session);
    else showNextCommands();
    // What ended the waiting, or came just before the end, may be a failure.
    if (!signal.aborted) session.signal.throwIfAborted();
    return passed;
  } catch (error) {
    if (!signal.aborted) await printLog(bridge);
    throw error;
  }
}

async function runPhases(session: Session): Promise<boolean> {
  const { dataset, pipeline, ledger } = session.flights;
  const { batch, destination } = pipeline.settings;
  const trickleFrom = trickleStart(dataset);
  const bulk = await runBulk(session, trickleFrom);
  const stalled = bulk.elapsedMs === undefined;
  const trickle = stalled || trickleFrom === dataset.records ? undefined : await runTrickle(session, trickleFrom);
  const verdicts = await judgeFlows(session);
  const rejections = ledger.rejections.filter(({ index }) => index >= dataset.records);
  const bad = { rejections, topic: destination.deadLetterTopic };
  printIndented(summarize({ verdicts, bulk, trickle, maxDelayMs: batch.maxDelayMs, bad }));
  return verdicts.every(({ problems }) => problems.length === 0);
}

async function printLog(bridge: Bridge): Promise<void> {
  const log = await bridge.logTail();
  if (log !== '') console.log(`\nThe end of the daemon's log:\n${log}`);
}
