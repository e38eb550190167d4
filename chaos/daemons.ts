import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { describeEnd, OwnedProcess, type ProcessEnd, type Watchdog } from '../stack/processes.js';
import { Link } from './link.js';
import type { Part } from './plan.js';

/** The daemon as users run it. */
const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
const READY_WITHIN_MS = 120_000;
/** More than `shutdown.deadline` of the configuration. */
const STOP_WITHIN_MS = 40_000;
const PAUSE_BEFORE_RESTART_MS = 1_000;

export type Role = 'both' | 'consumer' | 'worker';

/** What is other than usual while a daemon runs. */
export interface Conditions {
  readonly role?: Role;
  /** What V8 may take for objects. If the process ends and says that it needed more, that is not its fault. */
  readonly heapMiB?: number;
  /** How far its clock is ahead; negative: behind. */
  readonly clockMs?: number;
}

/** What Node.js and V8 say when the heap is too small, for the process or for one of its threads. */
const OUT_OF_MEMORY = /out of memory|\bOOM\b|ERR_WORKER_OUT_OF_MEMORY/;
/** What a daemon says when it listens to signals. */
const RUNNING = '"message":"Running"';

/** Sets the clock of the process that it is preloaded into. */
const CLOCK = new URL('clock.mjs', import.meta.url).href;

/** Addresses of the parts. */
export interface Addresses {
  readonly brokers: readonly string[];
  readonly temporal: string;
  readonly clickhouse: string;
}

/** A configuration file. */
export interface DaemonConfiguration {
  readonly kafka: object;
  readonly temporal: object;
  readonly [section: string]: unknown;
}

export interface DaemonSpec {
  readonly name: string;
  readonly role: Role;
  /** The parts' own. */
  readonly addresses: Addresses;
  /** One for each broker, Temporal, ClickHouse and the daemon's two HTTP servers: {@link portsOf}. */
  readonly ports: readonly number[];
  /** For the configuration and the log. */
  readonly directory: string;
  /** Of the daemon, without the addresses of the parts. */
  readonly configuration: DaemonConfiguration;
  readonly watchdog: Watchdog;
  /** `dist/cli.js` of another build than this one. */
  readonly cli?: string;
}

/** How many ports a {@link DaemonSpec} needs. */
export function portsOf(brokers: number): number {
  return brokers + 4;
}

/**
 * A daemon, a process of its own whose ways to all parts are {@link Link}s. It is started again if it ends without being
 * asked, which is noted.
 *
 *     stopped --start--> running --terminate, kill--> stopped
 *     running --ends by itself--> running (again)
 */
export class ChaosDaemon {
  readonly name: string;
  /** Ends that nobody asked for, and those that SIGTERM did not bring. */
  readonly wrongEnds: string[] = [];
  /** How often a process of it has begun. */
  starts = 0;
  /** How often one with little memory has ended by itself, and said so. */
  endsForMemory = 0;
  readonly #spec: DaemonSpec;
  readonly #links: Readonly<Record<Part, readonly Link[]>>;
  readonly #file: string;
  readonly #clockFile: string;
  #conditions: Conditions = {};
  #process: OwnedProcess | undefined;
  #wanted = false;
  /** Where in its log the present process begins. */
  #logFrom = 0;
  #starting: Promise<void> | undefined;
  #isClosed = false;

  private constructor(spec: DaemonSpec, links: Readonly<Record<Part, readonly Link[]>>) {
    this.name = spec.name;
    this.#spec = spec;
    this.#links = links;
    this.#file = join(spec.directory, `${spec.name}.yaml`);
    this.#clockFile = join(spec.directory, `${spec.name}.clock`);
    this.configure(spec.configuration);
  }

  /** Writes its configuration, which counts from its next start on. The addresses are added. */
  configure({ kafka, temporal, ...more }: DaemonConfiguration): void {
    const links = this.#links;
    const configuration = {
      ...more,
      kafka: { ...kafka, brokers: links.kafka.map(({ address }) => address) },
      temporal: { ...temporal, address: links.temporal[0]?.address },
      clickhouse: { url: `http://${links.clickhouse[0]?.address}` },
      http: { listen: `127.0.0.1:${this.#httpPort}`, temporalListen: `127.0.0.1:${this.#temporalPort}` },
    };
    writeFileSync(this.#file, stringify(configuration));
  }

  /** Opens its links. It is started later. */
  static async create(spec: DaemonSpec): Promise<ChaosDaemon> {
    const { brokers, temporal, clickhouse } = spec.addresses;
    const ports = [...spec.ports];
    const open = (to: string, target: string, part: Part) =>
      Link.open(`${spec.name} to ${to}`, target, ports.shift() as number, part);
    const kafka = await Promise.all(brokers.map((broker, index) => open(`broker ${index + 1}`, broker, 'kafka')));
    const map = new Map(brokers.map((broker, index) => [Number(broker.split(':')[1]), kafka[index]?.port as number]));
    for (const link of kafka) link.tellPorts(map);
    return new ChaosDaemon(spec, {
      kafka,
      temporal: [await open('temporal', temporal, 'temporal')],
      clickhouse: [await open('clickhouse', new URL(clickhouse).host, 'clickhouse')],
    });
  }

  get role(): Role {
    return this.#spec.role;
  }

  links(part: Part): readonly Link[] {
    return this.#links[part];
  }

  get running(): boolean {
    return this.#process?.running ?? false;
  }

  get #logFile(): string {
    return join(this.#spec.directory, `${this.name}.log`);
  }

  get #httpPort(): number {
    return this.#spec.ports.at(-1) as number;
  }

  /** Counts from its next start on, a clock at once if its last start had one, too. */
  under(conditions: Conditions): void {
    this.#conditions = conditions;
    writeFileSync(this.#clockFile, String(conditions.clockMs ?? 0));
  }

  /** Of the metrics of Temporal's SDK. */
  get #temporalPort(): number {
    return this.#spec.ports.at(-2) as number;
  }

  /** Does nothing once it is closed. */
  async start(): Promise<void> {
    if (this.#isClosed || this.running) return;
    this.#wanted = true;
    await (this.#starting ??= this.#spawn().finally(() => (this.#starting = undefined)));
  }

  async #spawn(): Promise<void> {
    const { directory, watchdog, name, cli = CLI } = this.#spec;
    const { role = this.#spec.role, heapMiB, clockMs } = this.#conditions;
    const nodeOptions = [
      ...(heapMiB === undefined ? [] : [`--max-old-space-size=${heapMiB}`]),
      ...(clockMs === undefined ? [] : [`--import=${CLOCK}`]),
    ];
    this.#logFrom = this.logBytes();
    const started = await OwnedProcess.spawn(
      {
        command: process.execPath,
        args: [cli, 'run', '--config', this.#file, ...(role === 'both' ? [] : ['--role', role])],
        cwd: directory,
        ...(nodeOptions.length === 0
          ? {}
          : { env: { NODE_OPTIONS: nodeOptions.join(' '), KTB_CHAOS_CLOCK: this.#clockFile } }),
        logFile: this.#logFile,
      },
      watchdog,
    );
    this.#process = started;
    this.starts++;
    void started.ended.then(async (end) => {
      if (started.endRequested || !this.#wanted) return;
      if (heapMiB !== undefined && OUT_OF_MEMORY.test(this.#said())) this.endsForMemory++;
      else this.wrongEnds.push(`${name} ${describeEnd(end)}, without being asked to`);
      await sleep(PAUSE_BEFORE_RESTART_MS);
      await this.#startAgain(started);
    });
  }

  /** Unless somebody else has said meanwhile what it is to do. */
  async #startAgain(ended: OwnedProcess): Promise<void> {
    if (this.#wanted && this.#process === ended) await this.start();
  }

  /** SIGTERM. */
  async terminate(): Promise<void> {
    this.#wanted = false;
    await this.#starting?.catch(() => undefined);
    // How one has ended that runs no more was judged then, or a fault has killed it.
    if (!this.running) return;
    const end = await this.#process?.end(STOP_WITHIN_MS);
    if (end !== undefined && end.code !== 0 && !this.#maySoEnd(end))
      this.wrongEnds.push(`${this.name} ${describeEnd(end)} after SIGTERM`);
  }

  #maySoEnd({ signal }: ProcessEnd): boolean {
    const said = this.#said();
    // A process that has only begun is ended by SIGTERM itself.
    if (signal === 'SIGTERM' && !said.includes(RUNNING)) return true;
    return this.#conditions.heapMiB !== undefined && OUT_OF_MEMORY.test(said);
  }

  /** What the present process, or the last one, has written to its log. */
  #said(): string {
    return readFileSync(this.#logFile).subarray(this.#logFrom).toString();
  }

  async kill(): Promise<void> {
    this.#wanted = false;
    await this.#starting?.catch(() => undefined);
    await this.#process?.end(0);
  }

  /** Its commits do not arrive, from now on or no longer. */
  holdCommits(isOn: boolean): void {
    for (const link of this.#links.kafka) link.swallow('commit', isOn);
  }

  async freeze(): Promise<void> {
    if (this.running) await this.#process?.suspend();
  }

  async unfreeze(): Promise<void> {
    if (this.running) await this.#process?.resume();
  }

  /** Waits until it says that it is ready. */
  async untilReady(): Promise<void> {
    const deadline = Date.now() + READY_WITHIN_MS;
    for (;;) {
      const text = await this.#get('/readyz').catch((error: unknown) => String(error));
      if (text === undefined) return;
      if (Date.now() > deadline) throw new Error(`${this.name} is not ready: ${text}`);
      await sleep(100);
    }
  }

  /** Waits until it has partitions. False if it has none within the time. */
  async untilAssigned(withinMs: number, signal: AbortSignal): Promise<boolean> {
    for (const deadline = Date.now() + withinMs; Date.now() < deadline;) {
      if ((await this.#partitions().catch(() => 0)) > 0) return true;
      await sleep(100, undefined, { signal });
    }
    return false;
  }

  async #partitions(): Promise<number> {
    return (await this.#metric(this.#httpPort, /^ktb_assigned_partitions\{.*\} (\d+)$/gm)) ?? 0;
  }

  /** What V8 has taken for objects; undefined if it does not answer. */
  heapUsed(): Promise<number | undefined> {
    return this.#metric(this.#httpPort, /^nodejs_heap_size_used_bytes (\S+)$/gm).catch(() => undefined);
  }

  /** Size of its log, as {@link ChaosDaemon.linesAhead} takes it. */
  logBytes(): number {
    return statSync(this.#logFile, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** How many lines of its log, from this byte on, have a time that is later than now by more. */
  linesAhead(from: number, byMs: number): number {
    const latestMs = Date.now() + byMs;
    return this.#lines(from).filter((line) => {
      const time = /"time":"([^"]*)"/.exec(line)?.[1];
      return time !== undefined && Date.parse(time) > latestMs;
    }).length;
  }

  /** How many lines of its log, from this byte on, have this text. */
  linesWith(text: string, from: number): number {
    return this.#lines(from).filter((line) => line.includes(text)).length;
  }

  #lines(from: number): string[] {
    return existsSync(this.#logFile) ? readFileSync(this.#logFile).subarray(from).toString().split('\n') : [];
  }

  /** How many workflows it keeps in memory; undefined if it does not answer. */
  cachedWorkflows(): Promise<number | undefined> {
    return this.#metric(this.#temporalPort, /^temporal_sticky_cache_size(?:\{.*\})? (\d+)$/gm).catch(() => undefined);
  }

  /** The sum of what a metric says; undefined if there is none. */
  async #metric(port: number, line: RegExp): Promise<number | undefined> {
    const url = `http://127.0.0.1:${port}/metrics`;
    const text = await (await fetch(url, { signal: AbortSignal.timeout(5_000) })).text();
    const values = Array.from(text.matchAll(line), ([, value]) => Number(value));
    return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0);
  }

  /** Bytes of memory and open files that it has now; undefined while it does not run, and without Linux's /proc. */
  uses(): { readonly bytes: number; readonly handles: number } | undefined {
    if (!this.running) return undefined;
    try {
      const directory = `/proc/${this.#process?.pid}`;
      const status = readFileSync(`${directory}/status`, 'utf8');
      const bytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? NaN) * 1024;
      return Number.isNaN(bytes) ? undefined : { bytes, handles: readdirSync(`${directory}/fd`).length };
    } catch {
      return undefined; // It has ended.
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.kill();
    const links = Object.values(this.#links).flat();
    await Promise.all(links.map((link) => link.close()));
  }

  /** What is wrong, undefined if nothing is. */
  async #get(path: string): Promise<string | undefined> {
    const response = await fetch(`http://127.0.0.1:${this.#httpPort}${path}`, { signal: AbortSignal.timeout(5_000) });
    const text = await response.text();
    return response.status === 200 ? undefined : text;
  }
}
