import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../../config/load.js';
import { Screen } from './screen.js';
import { isIncomplete, StatusReader } from './statusReport.js';
import { statusText, type StatusSnapshot } from './statusView.js';

export interface StatusOptions {
  readonly config: string;
  readonly json: boolean;
  readonly watch: boolean;
}

/** A batcher is queried at most once per this interval. */
const WATCH_INTERVAL_MS = 2_000;

/**
 * `ktb status`: prints batchers, members and lag of each pipeline, as far as the parts answer. Exit code 1 if one does
 * not answer.
 */
export async function status(options: StatusOptions): Promise<void> {
  const config = loadConfig(options.config);
  const reader = new StatusReader(config);
  try {
    if (options.watch) {
      await watch(reader, (now, before) =>
        options.json ? JSON.stringify(now.reports) : statusText(now, config, before),
      );
      return;
    }
    const reports = await reader.read();
    console.log(options.json ? JSON.stringify(reports, null, 2) : statusText({ atMs: Date.now(), reports }, config));
    if (reports.some(isIncomplete)) process.exitCode = 1;
  } finally {
    await reader.close();
  }
}

/**
 * Repeats the report until Ctrl-C or SIGTERM. A terminal shows it in the same place, other outputs get one report after
 * the other.
 */
async function watch(
  reader: StatusReader,
  textOf: (now: StatusSnapshot, before?: StatusSnapshot) => string,
): Promise<void> {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  const screen = process.stdout.isTTY ? new Screen(process.stdout) : null;
  const redraw = (): void => screen?.redraw();
  process.stdout.on('resize', redraw);
  try {
    let before: StatusSnapshot | undefined;
    while (!ended.signal.aborted) {
      const startedAtMs = performance.now();
      const now: StatusSnapshot = { atMs: Date.now(), reports: await reader.read() };
      const text = textOf(now, before);
      if (screen === null) console.log(text);
      else screen.draw(`${new Date().toLocaleTimeString()}, Ctrl-C ends${text}`);
      before = now;
      const waitMs = Math.max(0, startedAtMs + WATCH_INTERVAL_MS - performance.now());
      await sleep(waitMs, undefined, { signal: ended.signal }).catch(() => undefined); // Only the abort rejects.
    }
  } finally {
    process.stdout.off('resize', redraw);
    screen?.close();
  }
}
