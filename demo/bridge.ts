import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { StackError, type Stack } from '../stack/index.js';
import { NativePart } from '../stack/native/part.js';
import { HOST, pickPorts } from '../stack/ports.js';
import { runCommand, Watchdog, type ProcessSpec } from '../stack/processes.js';
import { Progress } from '../stack/progress.js';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
const PIPELINES = new URL('./ktb.yaml', import.meta.url);
const READY_WITHIN_MS = 60_000;
/** Longer than the daemon's own deadline for a shutdown, 25 s. */
const STOP_WITHIN_MS = 35_000;

/** The bridge as its users run it: the built command line, in processes of its own, with a configuration file. */
export class Bridge {
  /** Where the daemon serves /metrics, /readyz and /livez. */
  readonly url: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'ktb-demo-'));
  readonly #configFile = join(this.#directory, 'ktb.yaml');
  readonly #watchdog = new Watchdog();
  readonly #daemon: NativePart;

  /**
   * Writes ktb.yaml into a temporary directory, with the addresses of a stack. The directory goes when the bridge is closed.
   *
   * @param onFailure told when the daemon ends without having been asked to
   */
  static async create(stack: Stack, onFailure: (error: Error) => void): Promise<Bridge> {
    const [port] = await pickPorts(1);
    return new Bridge(stack, `${HOST}:${port}`, onFailure);
  }

  private constructor({ kafka, temporal, clickhouse }: Stack, listen: string, onFailure: (error: Error) => void) {
    this.url = `http://${listen}`;
    this.#watchdog.guardDirectory(this.#directory);
    const addresses = stringify({
      kafka: { brokers: kafka.brokers },
      temporal: { address: temporal.address, namespace: 'default' },
      clickhouse: { url: clickhouse.url, username: clickhouse.username, password: clickhouse.password },
      http: { listen },
      log: { format: 'json' },
    });
    writeFileSync(this.#configFile, `${addresses}\n${readFileSync(PIPELINES, 'utf8')}`);
    this.#daemon = new NativePart(
      {
        name: 'The daemon',
        process: this.#process('run'),
        probe: () => this.#probe(),
        startWithinMs: READY_WITHIN_MS,
        stopWithinMs: STOP_WITHIN_MS,
      },
      { watchdog: this.#watchdog, progress: new Progress(({ step }) => void this.#reportEnd(step, onFailure)) },
    );
  }

  /** A command as a person would type it in the project's folder. */
  commandLine(command: string): string {
    return ['node', relative(process.cwd(), CLI), command, '--config', this.#configFile].join(' ');
  }

  /**
   * Runs a command other than `run` to its end.
   *
   * @returns what it printed
   * @throws StackError with what it printed, where it fails
   */
  async command(command: string, signal: AbortSignal): Promise<string> {
    const spec = this.#process(command);
    await runCommand(spec, this.#watchdog, signal);
    return readFileSync(spec.logFile, 'utf8').trimEnd();
  }

  /**
   * Starts the daemon and waits until it says that it is ready.
   *
   * @throws StackError with the end of its log, where it does not become ready
   */
  startDaemon(signal: AbortSignal): Promise<void> {
    return this.#daemon.start(signal);
  }

  /** The end of the daemon's log. */
  logTail(): Promise<string> {
    return this.#daemon.logTail();
  }

  /** Drains and ends the daemon, and removes the directory. */
  async close(): Promise<void> {
    await this.#daemon.stop();
    await rm(this.#directory, { recursive: true, force: true });
    await this.#watchdog.close();
  }

  async #probe(): Promise<void> {
    const response = await fetch(`${this.url}/readyz`);
    const text = await response.text();
    if (!response.ok) throw new Error(text.trim());
  }

  async #reportEnd(how: string, onFailure: (error: Error) => void): Promise<void> {
    onFailure(new StackError('STATE', `The daemon ${how}. The end of its log:\n${await this.logTail()}`));
  }

  #process(command: string): ProcessSpec {
    // Settings for another Temporal (namespace, API key, TLS) are not meant for the demo's.
    const foreign = Object.keys(process.env).filter((name) => name.startsWith('TEMPORAL_'));
    return {
      command: process.execPath,
      args: [CLI, command, '--config', this.#configFile],
      cwd: this.#directory,
      env: Object.fromEntries(foreign.map((name) => [name, undefined])),
      logFile: join(this.#directory, `${command}.log`),
    };
  }
}
