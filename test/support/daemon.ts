import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atTestEnd } from './besideOthers.js';
import { runCommand, type CommandEnd } from './commandHost.js';
import { eventually } from './eventually.js';

export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** Takes what is to be done at the end of a test, or of a file. */
export type AtEnd = (end: () => Promise<void>) => void;

/** The daemon as users run it: a process of its own, from the built package. It is killed when the test is over. */
export class Daemon {
  readonly #process: ChildProcess;
  readonly #exited: Promise<number | null>;
  readonly #directory: string;
  #output = '';
  #port: unknown;

  private constructor(config: string, args: readonly string[], cli: string) {
    this.#directory = mkdtempSync(join(tmpdir(), 'ktb-daemon-'));
    const file = join(this.#directory, 'ktb.yaml');
    writeFileSync(file, config);
    this.#process = spawn(process.execPath, [cli, 'run', '--config', file, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.on('data', (text: Buffer) => (this.#output += text.toString()));
    }
    this.#exited = new Promise((resolve) => this.#process.once('close', (code) => resolve(code)));
    this.#process.once('close', () => rmSync(this.#directory, { recursive: true, force: true }));
  }

  /**
   * Starts a daemon and waits until it is ready.
   *
   * @param cli of another build than this one
   * @param atEnd takes what kills it; by default the end of the test does
   */
  static async start(config: string, args: readonly string[] = [], cli = CLI, atEnd?: AtEnd): Promise<Daemon> {
    const daemon = Daemon.launch(config, args, cli, atEnd);
    await daemon.untilReady();
    return daemon;
  }

  /** Starts a daemon that need not become ready. */
  static launch(config: string, args: readonly string[] = [], cli = CLI, atEnd: AtEnd = atTestEnd): Daemon {
    const daemon = new Daemon(config, args, cli);
    atEnd(() => daemon.kill());
    return daemon;
  }

  get output(): string {
    return this.#output;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  logs(): LogLine[] {
    return this.#output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  async untilReady(): Promise<void> {
    await eventually(async () => {
      if (!this.running) throw new Error(`the daemon has ended:\n${this.#output}`);
      const { status, text } = await this.get('/readyz');
      if (status !== 200) throw new Error(`not ready: ${text}\n${this.#output}`);
    });
  }

  async get(path: string): Promise<{ status: number; text: string }> {
    const response = await fetch(`${this.url}${path}`);
    return { status: response.status, text: await response.text() };
  }

  /** Where it listens. Throws while it does not. */
  get url(): string {
    this.#port ??= this.logs().find((line) => line['port'] !== undefined)?.['port'];
    if (typeof this.#port !== 'number') throw new Error(`the daemon does not listen yet:\n${this.#output}`);
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The sum over a metric's series whose labels include these. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const { text } = await this.get('/metrics');
    let sum = 0;
    for (const line of text.split('\n')) {
      if (!line.startsWith(name)) continue;
      const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (match?.[1] !== name) continue;
      const series = match[2] ?? '';
      if (Object.entries(labels).every(([label, value]) => series.includes(`${label}="${value}"`)))
        sum += Number(match[3]);
    }
    return sum;
  }

  /** The most memory that it ever had resident, as Linux counts it; 0 elsewhere. */
  peakMemoryMiB(): number {
    if (process.platform !== 'linux') return 0;
    const peakKiB = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1];
    return Number(peakKiB) / 1024;
  }

  /** Gives it another configuration file, whole in one moment, as Kubernetes does with a mounted ConfigMap. */
  configure(config: string): void {
    const file = join(this.#directory, 'ktb.yaml');
    writeFileSync(`${file}.next`, config);
    renameSync(`${file}.next`, file);
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** SIGTERM; the exit code. */
  stop(): Promise<number | null> {
    this.signal('SIGTERM');
    return this.#exited;
  }

  /** SIGKILL: nothing is finished, nothing is said. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#exited;
  }

  /** Its end, whoever ends it. */
  get exited(): Promise<number | null> {
    return this.#exited;
  }
}

/** Runs another command of the CLI to its end. */
export async function ktb(config: string, args: readonly string[]): Promise<CommandEnd> {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-cli-'));
  const file = join(directory, 'ktb.yaml');
  writeFileSync(file, config);
  try {
    return await runCommand([...args, '--config', file]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Runs another command of the CLI as a process of its own until its output is what was waited for: then it gets a SIGTERM.
 *
 * @param isEnough is asked again after each piece of output
 */
export async function ktbUntil(
  config: string,
  args: readonly string[],
  isEnough: (output: string) => boolean,
): Promise<CommandEnd> {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-cli-'));
  const file = join(directory, 'ktb.yaml');
  writeFileSync(file, config);
  const child = spawn(process.execPath, [CLI, ...args, '--config', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text: Buffer) => {
      output += text.toString();
      if (isEnough(output)) child.kill('SIGTERM');
    });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  rmSync(directory, { recursive: true, force: true });
  return { code, output };
}
