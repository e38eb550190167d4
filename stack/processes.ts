import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execFile } from 'node:child_process';
import { StackError, throwIfAborted } from './stack.js';

const LOG_TAIL_BYTES_MAX = 4096;
const STATE_POLL_MS = 10;
const STATE_WITHIN_MS = 5000;

/** A process to start. */
export interface ProcessSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** Added to this process's own environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Receives standard output and standard error, appended. */
  readonly logFile: string;
}

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * The process that cleans up when this one is killed; see watchdog.mjs. One per stack.
 *
 * What is guarded is killed or removed at the moment this process ends, however it ends, unless it was released before.
 */
export class Watchdog {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = spawn(process.execPath, [join(import.meta.dirname, 'watchdog.mjs')], {
      cwd: '/',
      env: environment({ NODE_OPTIONS: undefined }),
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    // Without these two it would keep a script alive that has forgotten to stop its stack.
    this.#child.unref();
    pipeOf(this.#child).unref();
    // Somebody killed the watchdog: the stack goes on without its safety net.
    this.#child.stdin?.on('error', () => undefined);
    this.#child.on('error', () => undefined);
  }

  /** A process group to kill. */
  guardProcess(pid: number): void {
    this.#say(`+${pid}`);
  }

  releaseProcess(pid: number): void {
    this.#say(`-${pid}`);
  }

  /** A directory to remove. */
  guardDirectory(path: string): void {
    this.#say(`+${path}`);
  }

  releaseDirectory(path: string): void {
    this.#say(`-${path}`);
  }

  /** Ends the watchdog. Whatever is still guarded goes with it. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.ref();
    const exited = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await exited;
  }

  #say(line: string): void {
    if (this.#child.stdin?.writable) this.#child.stdin.write(`${line}\n`);
  }
}

/** A pipe of a child has the methods of a socket, which its type does not say. */
function pipeOf(child: ChildProcess): { unref(): void } {
  return child.stdin as unknown as { unref(): void };
}

/**
 * A child process that leads its own process group: the Ctrl-C of a terminal does not reach it, and every signal here goes
 * to the whole group, so that children of its own do not stay behind.
 */
export class OwnedProcess {
  readonly pid: number;
  readonly ended: Promise<ProcessEnd>;
  readonly #child: ChildProcess;
  #end: ProcessEnd | undefined;
  #endRequested = false;

  /**
   * Starts a process and has the watchdog guard it.
   *
   * @throws StackError START when the command does not exist or cannot be executed.
   */
  static async spawn(spec: ProcessSpec, watchdog: Watchdog): Promise<OwnedProcess> {
    const log = openSync(spec.logFile, 'a');
    try {
      const child = spawn(spec.command, spec.args, {
        cwd: spec.cwd,
        env: environment(spec.env ?? {}),
        detached: true,
        stdio: ['ignore', log, log],
      });
      if (child.pid === undefined) {
        const [error] = (await once(child, 'error')) as [Error];
        throw new StackError('START', `${spec.command} could not be started: ${error.message}`, { cause: error });
      }
      watchdog.guardProcess(child.pid);
      return new OwnedProcess(child, child.pid, watchdog);
    } finally {
      closeSync(log);
    }
  }

  private constructor(child: ChildProcess, pid: number, watchdog: Watchdog) {
    this.#child = child;
    this.pid = pid;
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#end = { code, signal };
        this.#signal('SIGKILL'); // What is left of its group.
        watchdog.releaseProcess(pid);
        resolve(this.#end);
      });
    });
    child.on('error', () => undefined); // A signal that could not be sent; the caller sees that nothing ended.
    child.unref();
  }

  get running(): boolean {
    return this.#end === undefined;
  }

  /** Whether its end was asked for by {@link OwnedProcess.end}. */
  get endRequested(): boolean {
    return this.#endRequested;
  }

  /** SIGTERM, then SIGKILL after `graceMs`; 0 is SIGKILL at once. Resolves when it has ended. */
  async end(graceMs: number): Promise<ProcessEnd> {
    // Its id may belong to another process by now.
    if (this.#end) return this.#end;
    this.#endRequested = true;
    this.#child.ref();
    if (graceMs > 0) {
      this.#signal('SIGTERM');
      this.#signal('SIGCONT'); // A suspended process would not see the SIGTERM.
      const timer = setTimeout(() => this.#signal('SIGKILL'), graceMs);
      const end = await this.ended;
      clearTimeout(timer);
      return end;
    }
    this.#signal('SIGKILL');
    return this.ended;
  }

  /** SIGSTOP; resolves when the process is really stopped. */
  async suspend(): Promise<void> {
    this.#signal('SIGSTOP');
    await this.#untilState((state) => state === 'T');
  }

  /** SIGCONT; resolves when the process is no longer stopped. */
  async resume(): Promise<void> {
    this.#signal('SIGCONT');
    await this.#untilState((state) => state !== 'T');
  }

  async #untilState(reached: (state: string) => boolean): Promise<void> {
    const deadline = Date.now() + STATE_WITHIN_MS;
    while (this.running && !reached(await processState(this.pid))) {
      if (Date.now() > deadline) {
        throw new StackError('STATE', `Process ${this.pid} did not change its state within ${STATE_WITHIN_MS} ms.`);
      }
      await sleep(STATE_POLL_MS);
    }
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // ESRCH: nobody is left in the group. EPERM: on macOS, only zombies are.
      if (code !== 'ESRCH' && code !== 'EPERM') throw error;
    }
  }
}

/**
 * Runs a command of a set-up to its end.
 *
 * @throws StackError SET_UP when it fails, with the end of its output; ABORTED when the caller gives up, after its end.
 */
export async function runCommand(spec: ProcessSpec, watchdog: Watchdog, signal?: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const running = await OwnedProcess.spawn(spec, watchdog);
  const giveUp = (): void => void running.end(0);
  signal?.addEventListener('abort', giveUp, { once: true });
  // The log file is read after the end only, so nothing else keeps this process waiting for it.
  const keepAlive = setInterval(() => undefined, 60_000);
  try {
    const end = await running.ended;
    throwIfAborted(signal);
    if (end.code !== 0) {
      const command = [spec.command, ...spec.args].join(' ');
      const tail = await logTail(spec.logFile);
      throw new StackError('SET_UP', `${describeEnd(end)}: ${command}\n${tail}`);
    }
  } finally {
    clearInterval(keepAlive);
    signal?.removeEventListener('abort', giveUp);
  }
}

/** `ended with exit code 1`, `was ended by SIGKILL`. */
export function describeEnd(end: ProcessEnd): string {
  return end.signal ? `was ended by ${end.signal}` : `ended with exit code ${end.code}`;
}

/** The end of a log file from byte `from` on, whole lines, at most 4 KiB; empty when there is none. */
export async function logTail(path: string, from = 0): Promise<string> {
  const size = logBytes(path);
  const start = Math.max(from, size - LOG_TAIL_BYTES_MAX);
  if (size <= start) return '';
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    const text = buffer.toString('utf8', 0, bytesRead);
    return (start > from ? text.slice(text.indexOf('\n') + 1) : text).trimEnd();
  } finally {
    await file.close();
  }
}

/** Present size of a log file; 0 when there is none. */
export function logBytes(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** What a short command prints (both outputs together), or undefined when it does not exist, fails or takes over 10 s. */
export function commandOutput(command: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(
      command,
      args,
      { timeout: 10_000, encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } },
      (error, stdout, stderr) => {
        resolve(error ? undefined : `${stdout}${stderr}`);
      },
    );
  });
}

/** One letter as `ps` prints it: T is stopped. */
async function processState(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    try {
      // The name between the parentheses may hold anything, a parenthesis included.
      return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, ')'))?.[1] ?? '';
    } catch {
      return ''; // It has ended.
    }
  }
  return (await commandOutput('ps', ['-o', 'state=', '-p', String(pid)]))?.trim().charAt(0) ?? '';
}

function environment(changes: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries({ ...process.env, ...changes }).filter(([, value]) => value !== undefined));
}
