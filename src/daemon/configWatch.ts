import { setTimeout as sleep } from 'node:timers/promises';
import type { PipelineConfig } from '../config/config.js';
import type { LiveConfig } from '../config/liveConfig.js';
import type { ChangePlan } from '../config/liveSettings.js';
import type { LoadedConfig } from '../config/load.js';
import { asError } from '../lib/asError.js';
import { listed } from '../lib/listed.js';
import { messageOf } from '../lib/messageOf.js';
import { unlessAborted } from '../lib/unlessAborted.js';
import { within } from '../lib/within.js';
import type { Logger, StateLog } from '../telemetry/logging.js';
import type { Metrics } from '../telemetry/metrics.js';

const BETWEEN_LOOKS_MS = 5_000;

/** The check of tables may take this long, and once more if pipelines are checked one by one. It is tried again at the next look. */
const CHECK_MS = 10_000;

/** Settings that are named in a line, at most. */
const NAMED_MAX = 50;

export interface ConfigWatchOptions {
  readonly live: LiveConfig;
  /** What runs now. */
  readonly loaded: Pick<LoadedConfig, 'text'>;
  /** Reads the file. Rejects if it cannot be read. */
  readonly read: () => Promise<string>;
  /** Checks the text as at the start. Throws with all that is wrong. */
  readonly parse: (text: string) => LoadedConfig;
  /** Rejects if the tables do not take what these pipelines would insert, or do not answer. */
  readonly checkTables: (pipelines: readonly PipelineConfig[]) => Promise<void>;
  /** Called once something has changed. */
  readonly changed: () => void;
  readonly metrics: Pick<Metrics, 'configRefused' | 'configRestartNeeded'>;
  readonly logger: Pick<Logger, 'info'>;
  readonly stateLog: Pick<StateLog, 'problem' | 'well'>;
  readonly betweenLooksMs?: number;
}

/**
 * Takes a changed configuration file while the daemon runs, as far as that can be done ({@link LiveConfig}), and tells the rest.
 *
 *     same ──another text, twice, or asked──► checked ──► taken ──► same
 *                                                ├──► taken by some pipelines ──next look──► checked
 *                                                └──► refused ──next look──► checked
 *
 * The race: somebody writes the file while it is read, and half of a file may be valid. So a text counts once two looks find it.
 * Who asks ({@link ask}, at SIGHUP) has written all of it. Of a file that is refused, nothing is used. A pipeline
 * whose table does not take its new columns keeps what it has, and the rest of the file is used. All is checked again at each
 * look: a table may change without the file.
 */
export class ConfigWatch {
  readonly #options: ConfigWatchOptions;
  /** The last text that was taken. Null if some pipelines do not use it. */
  #taken: string | null;
  /** What the last look found: a text, or why the file cannot be read. */
  #found: string;
  #isAsked = false;
  #wake = new AbortController();

  constructor(options: ConfigWatchOptions) {
    this.#options = options;
    this.#taken = options.loaded.text;
    this.#found = options.loaded.text;
  }

  /** Has the file read at once, once it is watched. */
  ask(): void {
    this.#isAsked = true;
    this.#wake.abort();
  }

  /** Never rejects. */
  async watch(ending: AbortSignal): Promise<void> {
    const { betweenLooksMs = BETWEEN_LOOKS_MS } = this.#options;
    if (ending.aborted) return;
    ending.addEventListener('abort', () => this.#wake.abort(), { once: true });
    for (;;) {
      await sleep(betweenLooksMs, undefined, { signal: this.#wake.signal, ref: false }).catch(() => undefined);
      if (isOver(ending)) return;
      const isAsked = this.#isAsked;
      this.#isAsked = false;
      this.#wake = new AbortController();
      await this.#look(isAsked, ending).catch((error: unknown) => {
        if (!isOver(ending)) this.#refuse(messageOf(error));
      });
    }
  }

  /** Rejects if the file cannot be used. */
  async #look(isAsked: boolean, ending: AbortSignal): Promise<void> {
    const { live, read, parse, logger, stateLog } = this.#options;
    const found = await orError(read());
    const text = found instanceof Error ? found.message : found;
    const counts = isAsked || text === this.#found;
    this.#found = text;
    if (!counts) return;
    // So whoever asks is told the reason again.
    if (isAsked) stateLog.well('configuration', 'The configuration file is read again');
    if (found instanceof Error) throw found;
    if (text === this.#taken && !isAsked) {
      this.#accept();
      return;
    }
    const loaded = parse(text);
    const whole = live.plan(loaded);
    const misfits = await this.#misfits(live.remapped(whole), ending);
    const kept = [...misfits.keys()];
    const plan = kept.length === 0 ? whole : live.plan(loaded, kept);
    live.take(plan);
    // What runs is of two files then. So each text, also the one before, has to be looked at again.
    this.#taken = kept.length === 0 ? text : null;
    if (kept.length === 0) this.#accept();
    else this.#keep(kept, [...new Set(misfits.values())].join('; '));
    this.#tell(plan);
    const hasChanges = kept.length + plan.live.length + plan.restart.length > 0;
    if (!hasChanges) logger.info('The configuration was read again: nothing has changed');
  }

  /** Why pipelines cannot get their new columns, by name. One of them must not keep the others from theirs. */
  async #misfits(pipelines: readonly PipelineConfig[], ending: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const misfits = new Map<string, string>();
    const ofAll = pipelines.length === 0 ? null : await this.#misfit(pipelines, CHECK_MS, ending);
    if (ofAll === null) return misfits;
    const untilMs = performance.now() + CHECK_MS;
    for (const pipeline of pipelines) {
      const leftMs = untilMs - performance.now();
      const isKnown = pipelines.length === 1 || leftMs <= 0;
      const problem = isKnown ? ofAll : await this.#misfit([pipeline], leftMs, ending);
      if (problem !== null) misfits.set(pipeline.name, problem);
    }
    return misfits;
  }

  /** Rejects if the daemon ends. */
  async #misfit(pipelines: readonly PipelineConfig[], waitMs: number, ending: AbortSignal): Promise<string | null> {
    try {
      await unlessAborted(ending, within(this.#options.checkTables(pipelines), waitMs));
      return null;
    } catch (error) {
      if (isOver(ending)) throw error;
      return messageOf(error);
    }
  }

  #keep(pipelines: readonly string[], reason: string): void {
    const { metrics, stateLog } = this.#options;
    metrics.configRefused.set(1);
    const problem = `The changed configuration is not used by pipelines ${listed(pipelines, NAMED_MAX)}: ${reason}`;
    stateLog.problem('configuration', problem);
  }

  #refuse(reason: string): void {
    const { metrics, stateLog } = this.#options;
    metrics.configRefused.set(1);
    stateLog.problem('configuration', `The changed configuration is not used, and the last one is: ${reason}`);
  }

  #accept(): void {
    const { metrics, stateLog } = this.#options;
    metrics.configRefused.set(0);
    stateLog.well('configuration', 'The configuration file can be used again');
  }

  #tell({ live, restart }: ChangePlan): void {
    const { metrics, logger, stateLog, changed } = this.#options;
    if (live.length > 0) {
      changed();
      logger.info({ changed: live }, 'A changed configuration is used');
    }
    metrics.configRestartNeeded.set(restart.length > 0 ? 1 : 0);
    if (restart.length > 0) stateLog.problem('restart', `Restart to apply: ${listed(restart, NAMED_MAX)}`);
    else stateLog.well('restart', 'The configuration needs no restart any more');
  }
}

/** The compiler does not know that the signal may have been aborted meanwhile. */
function isOver(ending: AbortSignal): boolean {
  return ending.aborted;
}

function orError<T>(promise: Promise<T>): Promise<T | Error> {
  return promise.catch(asError);
}
