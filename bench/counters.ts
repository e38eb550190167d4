import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from '../stack/index.js';

/** The server comes to rest within this time, unless it goes on working. */
const SETTLE_MS = 1_200;
const SETTLE_TRIES = 4;

/** The SDK's own note of the versions that a workflow follows (`TemporalChangeVersion`): docs.temporal.io/cloud/actions. */
const NOT_BILLED: ReadonlySet<string> = new Set(['command_UpsertWorkflowSearchAttributes']);

/** Each scrape begins it anew. */
const EVENT_LOOP_P99 = 'nodejs_eventloop_lag_p99_seconds';

/** What the bridge has done, and what it has asked of Temporal. */
export interface Counts {
  readonly signals: number;
  readonly flushes: number;
  readonly inserts: number;
  readonly rows: number;
  /**
   * How late the event loop's timers of 10 ms come, those 10 ms included: 99 of 100 come sooner. Of the process for which
   * it is most.
   */
  readonly eventLoopP99Ms: number;
  /** Temporal's actions by type; empty where its server cannot be asked (containers). */
  readonly actions: Readonly<Record<string, number>>;
}

/** Counts of processes of the bridge and of Temporal's server, which both serve metrics for Prometheus. */
export class Counters {
  readonly #temporal: string | undefined;
  readonly #addresses: readonly string[];
  #actionsBefore: Readonly<Record<string, number>> = {};
  #before: Readonly<Record<string, number>> = {};

  private constructor(temporal: string | undefined, addresses: readonly string[]) {
    this.#temporal = temporal;
    this.#addresses = addresses;
  }

  /** @param addresses where the processes of the bridge serve metrics, as `127.0.0.1:9464` */
  static async of(stack: Stack, addresses: readonly string[]): Promise<Counters> {
    const counters = new Counters(await metricsOf(stack), addresses);
    counters.#actionsBefore = await counters.#actions();
    return counters;
  }

  /** What follows is counted from now on. By default that is all that the processes have done. */
  async begin(): Promise<void> {
    this.#actionsBefore = await this.#actions();
    this.#before = await this.#own();
  }

  /** @param settled whether to wait until the server has told all actions: only where nothing goes on */
  async counts(settled = true): Promise<Counts> {
    const now = await this.#own();
    const own = minus(now, this.#before);
    const actions = minus(await (settled ? this.#settledActions() : this.#actions()), this.#actionsBefore);
    return {
      signals: own['ktb_signals_total'] ?? 0,
      flushes: own['ktb_flushes_total'] ?? 0,
      inserts: own['ktb_inserts_total'] ?? 0,
      rows: own['ktb_inserted_rows_total'] ?? 0,
      eventLoopP99Ms: (now[EVENT_LOOP_P99] ?? NaN) * 1_000,
      actions,
    };
  }

  async #own(): Promise<Record<string, number>> {
    const sums: Record<string, number> = {};
    for (const address of this.#addresses) {
      for (const { name, value } of await series(`http://${address}/metrics`)) {
        const before = sums[name] ?? 0;
        sums[name] = name === EVENT_LOOP_P99 ? Math.max(before, value) : before + value;
      }
    }
    return sums;
  }

  /** The server tells them up to a second late. */
  async #settledActions(): Promise<Record<string, number>> {
    let actions = await this.#actions();
    for (let tries = 1; tries <= SETTLE_TRIES; tries++) {
      await sleep(SETTLE_MS);
      const before = actions;
      actions = await this.#actions();
      if (Object.keys(minus(actions, before)).length === 0) break;
    }
    return actions;
  }

  /** The server counts as actions what Temporal Cloud bills as such, and some more. */
  async #actions(): Promise<Record<string, number>> {
    if (this.#temporal === undefined) return {};
    const sums: Record<string, number> = {};
    for (const { name, labels, value } of await series(this.#temporal)) {
      if (name !== 'action') continue;
      const type = /action_type="([^"]*)"/.exec(labels)?.[1] ?? 'other';
      if (!NOT_BILLED.has(type)) sums[type] = (sums[type] ?? 0) + value;
    }
    return sums;
  }
}

/** Where Temporal's server of each stack has said that its metrics are. */
const METRICS = new WeakMap<Stack, string>();

/** The dev server picks a port at each start, and prints it. Later it prints more than the end of its log holds. */
async function metricsOf(stack: Stack): Promise<string | undefined> {
  const log = await stack.parts.temporal.logTail();
  const printed = [...log.matchAll(/^Metrics:\s+(\S+)$/gm)].at(-1)?.[1];
  if (printed !== undefined) METRICS.set(stack, printed);
  return METRICS.get(stack);
}

/** The signals among them. */
export function signalActionsOf({ actions }: Counts): number {
  return Object.entries(actions).reduce((sum, [type, count]) => sum + (type.includes('Signal') ? count : 0), 0);
}

/** The sum of all actions of some counts. */
export function actionsOf({ actions }: Counts): number {
  return Object.values(actions).reduce((sum, count) => sum + count, 0);
}

function minus(
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
): Record<string, number> {
  const entries = Object.entries(now).map(([name, value]) => [name, value - (before[name] ?? 0)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== 0));
}

async function series(url: string): Promise<{ name: string; labels: string; value: number }[]> {
  const text = await textOf(url);
  return [...text.matchAll(/^([a-z0-9_]+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name = '', labels = '', value]) => ({
    name,
    labels,
    value: Number(value),
  }));
}

/** A busy server may fail once to gather its metrics. */
const TRIES = 3;

async function textOf(url: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(url);
    const text = await response.text();
    if (response.ok) return text;
    if (attempt === TRIES) throw new Error(`${url} answers with ${response.status}: ${text.slice(0, 500)}`);
    await sleep(500);
  }
}
