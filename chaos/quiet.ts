import { setTimeout as sleep } from 'node:timers/promises';

/** What the follower of records and acknowledgements has noted: `clients/waiting.py`. */
export interface WaitingSample {
  readonly atMs: number;
  /** By partition: up to where records were read. */
  readonly read: readonly number[];
  /** By partition: the first record without an acknowledgement; as `read` if there is none. */
  readonly waitingFrom: readonly number[];
  /** Records without an acknowledgement. */
  readonly waiting: number;
}

/** A time between faults, in which everything that was due at its begin had to be acknowledged. */
export interface QuietTime {
  readonly fromMs: number;
  /** From then until all of it was acknowledged; undefined if that was not waited for any longer. */
  readonly tookMs: number | undefined;
  /** The longest that a partition stood, all of whose records were not acknowledged yet. */
  readonly stoodMs: number;
  /** How many records were due. */
  readonly due: number;
  /** Daemons that were started meanwhile: what hangs in a process would have ended with it. */
  readonly restarted: readonly string[];
}

/** What a quiet time is judged by. */
export interface Quiet {
  /** All that was noted so far. */
  readonly samples: () => readonly WaitingSample[];
  readonly daemons: readonly { readonly name: string; readonly starts: number }[];
  /** How long so many records may take. */
  readonly maxMs: (due: number) => number;
  readonly signal: AbortSignal;
}

/** From the acknowledgements of a batch until Temporal knows that it is done, on a busy machine. */
const BATCH_DONE_WITHIN_MS = 2_000;

/** The most records that waited at once from soon before until soon after. */
export function mostWaiting(samples: readonly WaitingSample[], fromMs: number, toMs: number): number {
  return samples
    .filter(({ atMs }) => atMs >= fromMs - BATCH_DONE_WITHIN_MS && atMs <= toMs + BATCH_DONE_WITHIN_MS)
    .reduce((most, { waiting }) => Math.max(most, waiting), 0);
}

const LOOK_EVERY_MS = 500;
/** The follower notes twice a second, and later while brokers move. */
const FIRST_SAMPLE_WITHIN_MS = 60_000;

/** Waits until all that is due now is acknowledged, or should be. No fault may be at work. */
export async function beQuiet({ samples, daemons, maxMs, signal }: Quiet): Promise<QuietTime> {
  const fromMs = Date.now();
  const starts = daemons.map((daemon) => daemon.starts);
  const restarted = (): string[] =>
    daemons.filter((daemon, index) => daemon.starts !== starts[index]).map(({ name }) => name);
  let begin: WaitingSample | undefined;
  for (;;) {
    const noted = samples();
    begin ??= noted.find(({ atMs }) => atMs >= fromMs);
    const due = begin?.waiting ?? 0;
    const end = begin === undefined ? undefined : noted.find((sample) => isSettled(sample, begin as WaitingSample));
    const found = { fromMs, due, restarted: restarted() };
    if (end !== undefined)
      return { ...found, tookMs: end.atMs - fromMs, stoodMs: longestStand(noted, begin as WaitingSample) };
    const within = begin === undefined ? FIRST_SAMPLE_WITHIN_MS : maxMs(due);
    if (Date.now() - fromMs > within)
      return { ...found, tookMs: undefined, stoodMs: begin === undefined ? 0 : longestStand(noted, begin) };
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

/** Whether nothing waits any more of what was there at an earlier time. */
function isSettled({ atMs, waitingFrom }: WaitingSample, begin: WaitingSample): boolean {
  return atMs >= begin.atMs && begin.read.every((read, partition) => (waitingFrom[partition] ?? 0) >= read);
}

/**
 * The longest time in which the first record of a partition that waits stayed the same, until all that was there at the begin is
 * acknowledged.
 */
export function longestStand(samples: readonly WaitingSample[], begin: WaitingSample): number {
  const since = begin.read.map((_, partition) => ({ from: begin.waitingFrom[partition] ?? 0, atMs: begin.atMs }));
  let longest = 0;
  for (const { atMs, waitingFrom } of samples) {
    if (atMs <= begin.atMs) continue;
    for (const [partition, stand] of since.entries()) {
      if (stand.from >= (begin.read[partition] ?? 0)) continue;
      longest = Math.max(longest, atMs - stand.atMs);
      const from = waitingFrom[partition] ?? 0;
      if (from !== stand.from) since[partition] = { from, atMs };
    }
  }
  return longest;
}
