import { setTimeout as sleep } from 'node:timers/promises';
import { countIdentities, countRows } from './database.js';
import { latencyOf, type Latency } from './latency.js';
import { showProgress, type Progress } from './liveProgress.js';
import { bulkOrder, produceBulk, produceTrickle } from './load.js';
import { heading, printIndented } from './output.js';
import type { Flow, Session } from './session.js';
import { count, duration, grouped } from './text.js';
import { judge, type Verdict } from './verdict.js';
import { waitForGrowth } from './waiting.js';

/** Flights that are sent one by one at the end, at most: enough for a 99th percentile. */
const TRICKLE_RECORDS_MAX = 100;
const TRICKLE_EVERY_MS = 60;
const STALLED_AFTER_MS = 60_000;
/** An acknowledgement that comes twice comes soon after the first. */
const REPEATS_WITHIN_MS = 500;

/** A phase at full speed: good and bad records of all pipelines together. */
export interface BulkResult {
  readonly records: number;
  /** From the start of the first request to the last acknowledgement received; undefined where some are missing. */
  readonly elapsedMs: number | undefined;
  /** Of the good records. */
  readonly latency: Latency | undefined;
}

/** The number of the first flight that is sent alone; as many as there are flights where none is. */
export function trickleStart({ records }: { readonly records: number }): number {
  return records - Math.min(TRICKLE_RECORDS_MAX, Math.floor(records / 2));
}

/** Sends all earthquakes, the flights below `flightsEnd` and all bad records as fast as it goes. */
export async function runBulk(session: Session, flightsEnd: number): Promise<BulkResult> {
  const { flights, earthquakes, producer, signal } = session;
  const parts = [
    { ...flights, end: flightsEnd },
    { ...earthquakes, end: earthquakes.dataset.records },
  ];
  const bad = parts.reduce((sum, { dataset }) => sum + dataset.badRecords, 0);
  const records = parts.reduce((sum, { end }) => sum + end, bad);
  heading(`4. Send ${count(records, 'record')} at full speed, ${bad} bad ones among them`);
  const startedAtMs = performance.now();
  const progress = showProgress(records, () => progressOf(session), signal);
  let complete: boolean;
  try {
    const produced = parts.map(({ dataset, ledger, end }) =>
      produceBulk(producer, dataset, ledger, bulkOrder(dataset, end), signal),
    );
    [complete] = await Promise.all([untilAnswered(session, records, signal), ...produced]);
  } finally {
    progress.close();
  }
  const lastAtMs = Math.max(...parts.map(({ ledger }) => ledger.lastAnswerAtMs));
  if (!complete) printStalled(session, records);
  return {
    records,
    elapsedMs: complete ? lastAtMs - startedAtMs : undefined,
    latency: latencyOf(parts.flatMap(({ ledger, end }) => [...ledger.latenciesMs(0, end)])),
  };
}

/** Sends the flights from `from` on one by one, and measures how long each takes where nothing else is under way. */
export async function runTrickle(session: Session, from: number): Promise<Latency | undefined> {
  const { flights, producer, signal } = session;
  const { dataset, ledger } = flights;
  const records = dataset.records - from;
  heading(`5. Send ${count(records, 'record')} one by one, every ${TRICKLE_EVERY_MS} ms`);
  const before = progressOf(session);
  const sinceThen = (): Progress => {
    const now = progressOf(session);
    return { produced: now.produced - before.produced, acknowledged: now.acknowledged - before.acknowledged };
  };
  const progress = showProgress(records, sinceThen, signal);
  const target = before.acknowledged + records;
  let complete: boolean;
  try {
    const range = { from, to: dataset.records, everyMs: TRICKLE_EVERY_MS };
    const produced = produceTrickle(producer, dataset, ledger, range, signal);
    [complete] = await Promise.all([untilAnswered(session, target, signal), produced]);
  } finally {
    progress.close();
  }
  if (!complete) printStalled(session, target);
  return latencyOf(ledger.latenciesMs(from, dataset.records));
}

/** Compares what was produced with the rows and the acknowledgements, pipeline by pipeline. */
export async function judgeFlows({ flights, earthquakes, ...session }: Session): Promise<Verdict[]> {
  heading('6. Compare what was produced with the rows and the acknowledgements, record by record');
  await sleep(REPEATS_WITHIN_MS, undefined, { signal: session.signal });
  return Promise.all([judgeFlow(flights, session), judgeFlow(earthquakes, session)]);
}

async function judgeFlow(
  { dataset, pipeline, ledger }: Flow,
  { clickhouse, admin }: Pick<Session, 'clickhouse' | 'admin'>,
): Promise<Verdict> {
  const [rows, identities, deadLetters] = await Promise.all([
    countRows(clickhouse, dataset),
    countIdentities(clickhouse, dataset.name),
    admin.fetchTopicOffsets(pipeline.settings.destination.deadLetterTopic),
  ]);
  return judge({
    name: dataset.name,
    records: dataset.records,
    badRecords: dataset.badRecords,
    acks: ledger,
    rows,
    identities,
    deadLetters: deadLetters.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0),
  });
}

/** Waits for acknowledgements as long as some come; false when they stop. */
function untilAnswered(session: Session, target: number, signal: AbortSignal): Promise<boolean> {
  return waitForGrowth(() => progressOf(session).acknowledged, target, { stalledAfterMs: STALLED_AFTER_MS, signal });
}

function printStalled(session: Session, target: number): void {
  const missing = grouped(target - progressOf(session).acknowledged);
  const waited = duration(STALLED_AFTER_MS);
  printIndented([`${missing} acknowledgements are missing, and none has come for ${waited}: not waiting any longer`]);
}

function progressOf({ flights, earthquakes }: Session): Progress {
  return {
    produced: flights.ledger.produced + earthquakes.ledger.produced,
    acknowledged: flights.ledger.answered + earthquakes.ledger.answered,
  };
}
