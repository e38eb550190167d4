import { setTimeout as sleep } from 'node:timers/promises';
import type { Progress } from '../progress.js';
import { describeEnd, logBytes, logTail, OwnedProcess, type ProcessSpec, type Watchdog } from '../processes.js';
import { saysAddressInUse } from '../ports.js';
import { StackError, throwIfAborted, type StackPart } from '../stack.js';

const PROBE_EVERY_MS = 50;
const RESTART_TRIES_MAX = 5;
const RESTART_PAUSE_MS = 300;

/** What distinguishes one part from another. */
export interface NativePartSpec {
  readonly name: string;
  readonly process: ProcessSpec;
  /** Asks the part whether it is healthy: resolves if it is, rejects if not yet. Repeated until it resolves. */
  readonly probe: () => Promise<void>;
  readonly startWithinMs: number;
  /** How long it may take to end after SIGTERM before SIGKILL follows. */
  readonly stopWithinMs: number;
}

/**
 * A part that is one process of this machine. States and transitions: see {@link StackPart}; `closed` follows after
 * {@link NativePart.close} and is final.
 *
 * A stop or kill while it is starting ends the start, which then rejects.
 */
export class NativePart implements StackPart {
  readonly name: string;
  readonly #spec: NativePartSpec;
  readonly #watchdog: Watchdog;
  readonly #progress: Progress;
  #process: OwnedProcess | undefined;
  #starting: Promise<void> | undefined;
  #wasUp = false;
  #closed = false;

  constructor(spec: NativePartSpec, deps: { readonly watchdog: Watchdog; readonly progress: Progress }) {
    this.name = spec.name;
    this.#spec = spec;
    this.#watchdog = deps.watchdog;
    this.#progress = deps.progress;
  }

  get running(): boolean {
    return this.#process?.running ?? false;
  }

  get pids(): readonly number[] {
    return this.#process?.running ? [this.#process.pid] : [];
  }

  /** @param signal gives up; used for the first start only. */
  start(signal?: AbortSignal): Promise<void> {
    if (this.#closed) return Promise.reject(new StackError('STATE', `The stack of ${this.name} has been stopped.`));
    if (this.#starting) return this.#starting;
    if (this.running) return Promise.resolve();
    this.#starting = this.#start(signal).finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async stop(): Promise<void> {
    await this.#process?.end(this.#spec.stopWithinMs);
  }

  async kill(): Promise<void> {
    await this.#process?.end(0);
  }

  async suspend(): Promise<void> {
    await this.#running().suspend();
  }

  async resume(): Promise<void> {
    await this.#running().resume();
  }

  logTail(): Promise<string> {
    return logTail(this.#spec.process.logFile);
  }

  /** Ends it for good, at once: its data go too. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.kill();
    // A start that was between two tries may have begun another one.
    await this.#starting?.catch(() => undefined);
    await this.kill();
  }

  #running(): OwnedProcess {
    if (this.#process?.running) return this.#process;
    throw new StackError('STATE', `${this.name} does not run.`);
  }

  async #start(signal: AbortSignal | undefined): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const logFrom = logBytes(this.#spec.process.logFile);
      const started = await OwnedProcess.spawn(this.#spec.process, this.#watchdog);
      this.#process = started;
      try {
        await this.#untilHealthy(started, logFrom, signal);
        this.#wasUp = true;
        void started.ended.then((end) => {
          if (!started.endRequested) this.#progress.note(this.name, `${describeEnd(end)}, without being asked to`);
        });
        return;
      } catch (error) {
        const asked = started.endRequested;
        await started.end(0);
        // A part that comes back keeps its port: whoever has taken it for a moment will let it go.
        const retry =
          this.#wasUp &&
          !asked &&
          !this.#closed &&
          error instanceof StackError &&
          error.code === 'ADDRESS_IN_USE' &&
          tries < RESTART_TRIES_MAX;
        if (!retry) throw error;
        await sleep(RESTART_PAUSE_MS);
      }
    }
  }

  async #untilHealthy(started: OwnedProcess, logFrom: number, signal: AbortSignal | undefined): Promise<void> {
    const deadline = Date.now() + this.#spec.startWithinMs;
    // A function, because the answer changes during every await.
    const isRunning = (): boolean => started.running;
    let lastAnswer: unknown;
    while (isRunning() && Date.now() < deadline) {
      throwIfAborted(signal);
      try {
        await this.#spec.probe();
        // Something else may have answered on its port while it was giving up.
        if (isRunning()) return;
      } catch (error) {
        lastAnswer = error;
        await sleep(PROBE_EVERY_MS);
      }
    }
    const log = await logTail(this.#spec.process.logFile, logFrom);
    if (isRunning()) {
      const answer = lastAnswer instanceof Error ? lastAnswer.message : String(lastAnswer);
      throw new StackError(
        'START',
        `${this.name} was not healthy within ${this.#spec.startWithinMs / 1000} s; it last answered: ${answer}\n${log}`,
        { cause: lastAnswer },
      );
    }
    const code = saysAddressInUse(log) ? 'ADDRESS_IN_USE' : 'START';
    const ended = describeEnd(await started.ended);
    throw new StackError(code, `${this.name} ${ended} before it was healthy. The end of its log:\n${log}`);
  }
}
