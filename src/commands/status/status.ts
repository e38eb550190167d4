import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../../config/load.js';
import { Screen } from './screen.js';
import { StatusReader, type PipelineReport } from './statusReport.js';
import { statusText, type Look } from './statusView.js';

export interface StatusOptions {
  readonly config: string;
  readonly json: boolean;
  readonly watch: boolean;
}

/** Between the beginnings of two looks: so often is a batcher queried, at most. */
const WATCH_INTERVAL_MS = 2_000;

/** `ktb status`: batchers, members and lag of each pipeline, as far as the parts answer. Exit code 1 where one does not. */
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

function isIncomplete({ lag, unknown, batchers }: PipelineReport): boolean {
  return unknown.length > 0 || 'error' in lag || 'error' in batchers;
}

/** Looks again and again until Ctrl-C or SIGTERM: on a terminal in place, elsewhere one look below the other. */
async function watch(reader: StatusReader, textOf: (now: Look, before?: Look) => string): Promise<void> {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  const screen = process.stdout.isTTY ? new Screen(process.stdout) : null;
  const redraw = (): void => screen?.redraw();
  process.stdout.on('resize', redraw);
  try {
    let before: Look | undefined;
    while (!ended.signal.aborted) {
      const startedAtMs = performance.now();
      const now: Look = { atMs: Date.now(), reports: await reader.read() };
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
