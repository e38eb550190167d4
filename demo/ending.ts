import { StackError } from '../stack/index.js';
import { messageOf } from '../src/lib/messageOf.js';
import { within } from '../src/lib/within.js';
import { paint } from './screen.js';

/** What shells say of a process that Ctrl-C ended. */
const EXIT_INTERRUPTED = 130;
/** The daemon, which takes longest, has 35 s. */
const CLOSE_WITHIN_MS = 60_000;
const LOOK_FOR_PARENT_EVERY_MS = 1_000;

/**
 * How the demo ends: by itself, by a failure, or by Ctrl-C (SIGTERM, SIGHUP). Whatever it was, everything that was added is
 * closed, the last first. Further Ctrl-Cs change nothing. Should this process be killed, the watchdog of what it has
 * started cleans up.
 */
export class Ending {
  readonly #over = new AbortController();
  readonly #steps: { readonly what: string; readonly close: () => Promise<unknown> }[] = [];
  #interrupted = false;

  constructor() {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => this.#interrupt());
    if (process.env['npm_lifecycle_event'] !== undefined) this.#endWithParent();
  }

  /** Aborted by Ctrl-C, and by the first failure. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Something that runs beside the demo has failed for good. */
  fail(error: unknown): void {
    this.#over.abort(error);
  }

  /** Something to close at the end. */
  add(what: string, close: () => Promise<unknown>): void {
    this.#steps.push({ what, close });
  }

  /** Waits for Ctrl-C. Rejects where something fails. */
  async asked(): Promise<void> {
    // Nothing else keeps the process alive.
    const keepAlive = setInterval(() => undefined, 60_000);
    await new Promise<void>((resolve) => {
      this.signal.addEventListener('abort', () => resolve());
      if (this.signal.aborted) resolve();
    });
    clearInterval(keepAlive);
    if (!this.#interrupted) this.signal.throwIfAborted();
  }

  /**
   * Runs the demo, and closes everything after it.
   *
   * @param run resolves with whether all was as it should be
   * @returns the exit code
   */
  async after(run: () => Promise<boolean>): Promise<number> {
    let exitCode: number;
    try {
      exitCode = (await run()) ? 0 : 1;
    } catch (error) {
      exitCode = this.#interrupted ? EXIT_INTERRUPTED : 1;
      // What failed first is the cause of what failed here.
      const cause: unknown = this.signal.aborted ? this.signal.reason : error;
      const what = cause instanceof StackError ? cause.message : cause;
      if (!this.#interrupted) console.error(`\n${paint('The demo failed.', 'red', 'bold')}`, what);
    }
    const problems = await this.close();
    for (const problem of problems) console.error(problem);
    console.log(problems.length === 0 ? 'Everything is stopped and removed.' : 'The rest is stopped by force.');
    return exitCode;
  }

  /** Closes everything, whatever fails. Returns what failed or took too long, in words. */
  async close(withinMs = CLOSE_WITHIN_MS): Promise<string[]> {
    const problems: string[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await within(step.close(), withinMs);
      } catch (error) {
        problems.push(`${step.what}: ${messageOf(error)}`);
      }
    }
    return problems;
  }

  #interrupt(): void {
    if (this.#interrupted) return;
    this.#interrupted = true;
    // First whatever redraws itself comes to rest, then something can be printed.
    this.#over.abort(new Error('interrupted'));
    console.log('\nStopping everything ...');
  }

  /** npm hands a SIGTERM to the shell between it and this process, which ends without a word; nobody would ever stop this one. */
  #endWithParent(): void {
    const { ppid } = process;
    const timer = setInterval(() => {
      if (process.ppid === ppid) return;
      clearInterval(timer);
      this.#interrupt();
    }, LOOK_FOR_PARENT_EVERY_MS);
    timer.unref();
  }
}
