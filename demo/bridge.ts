import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parseDocument } from 'yaml';
import { describeEnd, logTail, OwnedProcess, Watchdog } from '../stack/processes.js';
import type { Stack } from '../stack/index.js';
import { DemoError } from './demoError.js';
import { waitUntil } from './waiting.js';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
const CONFIG_TEMPLATE = new URL('./ktb.yaml', import.meta.url);
const COMMAND_WITHIN_MS = 60_000;
const READY_WITHIN_MS = 60_000;
/** Longer than the daemon's own deadline for a shutdown, 25 s. */
const STOP_WITHIN_MS = 35_000;

/** The bridge as its users run it: the built command line, in processes of its own, and a configuration file. */
export class Bridge {
  readonly configFile: string;
  /** Aborted when the daemon ends without having been asked to. */
  readonly failed: AbortSignal;
  readonly #directory: string;
  readonly #logFile: string;
  readonly #watchdog = new Watchdog();
  readonly #failure = new AbortController();
  readonly #environment = withoutTemporalVariables();
  #daemon: OwnedProcess | undefined;
  #url = '';

  /** Writes the configuration for a stack into a temporary directory, which goes when the bridge is closed. */
  constructor(stack: Stack) {
    this.failed = this.#failure.signal;
    this.#directory = mkdtempSync(join(tmpdir(), 'ktb-demo-'));
    this.#watchdog.guardDirectory(this.#directory);
    this.#logFile = join(this.#directory, 'daemon.log');
    this.configFile = join(this.#directory, 'ktb.yaml');
    writeFileSync(this.configFile, configFor(stack));
  }

  /** A command as a person would type it in the project's folder. */
  commandLine(...args: readonly string[]): string {
    return ['node', relative(process.cwd(), CLI), ...args, '--config', this.configFile].join(' ');
  }

  /**
   * Runs a command other than `run` to its end.
   *
   * @returns what it printed
   * @throws DemoError with what it printed, where it fails or takes longer than a minute
   */
  async command(signal: AbortSignal, ...args: readonly string[]): Promise<string> {
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [CLI, ...args, '--config', this.configFile], {
        env: this.#environment,
        timeout: COMMAND_WITHIN_MS,
        signal,
      });
      return stdout.trimEnd();
    } catch (error) {
      signal.throwIfAborted();
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      throw new DemoError(`${this.commandLine(...args)} failed:\n${stdout}${stderr}`, { cause: error });
    }
  }

  /** Starts the daemon and waits until it says that it is ready. */
  async startDaemon(signal: AbortSignal): Promise<void> {
    const daemon = await OwnedProcess.spawn(
      {
        command: process.execPath,
        args: [CLI, 'run', '--config', this.configFile],
        cwd: this.#directory,
        env: this.#environment,
        logFile: this.#logFile,
      },
      this.#watchdog,
    );
    this.#daemon = daemon;
    void daemon.ended.then((end) => {
      if (!daemon.endRequested)
        this.#failure.abort(new DemoError(`The daemon ${describeEnd(end)}, without being asked to.`));
    });
    await waitUntil(() => this.#unreadiness(), {
      what: 'the daemon to be ready',
      withinMs: READY_WITHIN_MS,
      signal: AbortSignal.any([signal, this.failed]),
    });
  }

  /** Where the daemon serves /metrics, /readyz and /livez. */
  get url(): string {
    return this.#url;
  }

  /** The end of the daemon's log. */
  logTail(): Promise<string> {
    return logTail(this.#logFile);
  }

  /** Drains and ends the daemon, and removes the directory. Idempotent. */
  async close(): Promise<void> {
    await this.#daemon?.end(STOP_WITHIN_MS);
    await rm(this.#directory, { recursive: true, force: true });
    await this.#watchdog.close();
  }

  async #unreadiness(): Promise<string | undefined> {
    if (this.#url === '') {
      const port = portInLog(readFileSync(this.#logFile, 'utf8'));
      if (port === undefined) return 'it has not started yet';
      this.#url = `http://127.0.0.1:${port}`;
    }
    const response = await fetch(`${this.#url}/readyz`);
    const text = (await response.text()).trim();
    return response.ok ? undefined : text;
  }
}

/** The demo's configuration file with the addresses of a stack. */
function configFor({ kafka, temporal, clickhouse }: Stack): string {
  const document = parseDocument(readFileSync(CONFIG_TEMPLATE, 'utf8'));
  document.set('kafka', { brokers: kafka.brokers });
  document.set('temporal', { address: temporal.address, namespace: 'default' });
  document.set('clickhouse', {
    url: clickhouse.url,
    username: clickhouse.username,
    password: clickhouse.password,
    database: clickhouse.database,
  });
  document.set('http', { listen: '127.0.0.1:0' });
  document.set('log', { format: 'json' });
  return document.toString();
}

/** The daemon takes a free port and says in its first line which. */
function portInLog(log: string): number | undefined {
  const port = /"port":(\d+)/.exec(log)?.[1];
  return port === undefined ? undefined : Number(port);
}

/** Settings for another Temporal (namespace, API key, TLS) are not meant for the demo's. */
function withoutTemporalVariables(): Record<string, string | undefined> {
  const names = Object.keys(process.env).filter((name) => name.startsWith('TEMPORAL_'));
  return { ...process.env, ...Object.fromEntries(names.map((name) => [name, undefined])) };
}
