import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pickPorts } from '../stack/ports.js';
import { Watchdog, type OwnedProcess } from '../stack/processes.js';
import type { Stack } from '../stack/index.js';
import { Batchers, type BatcherRun } from './batchers.js';
import {
  check,
  drainMsMax,
  type Ack,
  type InputRecord,
  type Letter,
  type Observed,
  type OffsetSample,
  type Produced,
  type ReplySample,
  type Verdict,
} from './checks.js';
import { Clients, linesOf } from './clients.js';
import { ChaosDaemon, portsOf, type DaemonConfiguration, type Role } from './daemons.js';
import { Disks } from './disks.js';
import { doFaults } from './doFaults.js';
import { healAll, inject, type Changes, type Victims } from './inject.js';
import { Journal, type DoneFault } from './journal.js';
import { Leaders } from './leaders.js';
import { describeFault, drawPlan, type Burst, type FaultKind, type PlannedFault } from './plan.js';
import { Random } from './random.js';
import { ChaosTable } from './table.js';
import { timelineChart, type MemorySample } from './timeline.js';
import { readTold } from './told.js';
import { InputTopic } from './topic.js';

export interface RunOptions {
  readonly seed: number;
  /** How long records are produced and faults are done. */
  readonly minutes: number;
  readonly records: number;
  /** Factor for the time of the drain, on a machine that does other things, too. */
  readonly slowness: number;
  /** `dist/cli.js` of another build than this one. */
  readonly cli?: string;
  /** Only faults of these kinds; none: of all. */
  readonly only: readonly FaultKind[];
}

/** What a run has found. */
export interface Outcome {
  readonly observed: Observed;
  readonly verdicts: readonly Verdict[];
  readonly faults: readonly DoneFault[];
  /** Logs, journal, configurations, all that was read, and the timeline. */
  readonly directory: string;
}

const PIPELINE = 'chaos';
const GROUP = `ktb-${PIPELINE}`;
const TOPICS = { input: 'chaos.input', replies: 'chaos.replies', letters: 'chaos.dead-letters' };
/** Nobody reads it. Of its partitions there is one copy: while a broker is away, some have no leader. */
const FOREIGN = 'chaos.foreign';
const TABLE = 'chaos';
const PARTITIONS = 6;
const BATCHERS = 4;
/** The shortest that Kafka takes. */
const SESSION_MS = 6_000;
const KEYS = 300;
const BAD_EVERY = 500;
/** Ids of the records that close each partition: an end that is a record can be committed. */
const LAST_ID = 2_000_000_000;
/** Ids of bursts, each in a range of its own, below those of transactions. */
const FIRST_BURST_ID = 500_000_000;
const BURST_IDS = 100_000;
/** Beside the time that they are given. */
const PRODUCER_MORE_MS = 400_000;
const READ_MS = 600_000;
/** After the time for the drain, so that the other checks see what does come. */
const LATE_MS = 180_000;
const PROGRESS_EVERY_MS = 10_000;
/** What has fewer was hardly tested. */
const RECORDS_MIN_SHARE = 0.9;
const FAULTS_MIN_A_MINUTE = 3;
const MEMORY_BYTES_MAX = 900 * 1024 ** 2;
const LOG_BYTES_MAX = 64 * 1024 ** 2;

/** The daemons of a run: each has both roles, or some have one. */
const SETUPS: readonly (readonly Role[])[] = [
  ['both', 'both'],
  ['consumer', 'worker', 'both'],
];

/** What becomes of rows that the view refuses, and how many inserts ClickHouse remembers: with few, an outage is longer. */
const INSERTS = [
  { views: 'required', window: 1_000 },
  { views: 'best-effort', window: 1_000 },
  // Rows that the view has refused cannot be sent again, so no batch may wait for that.
  { views: 'best-effort', window: 8 },
] as const;

/** Runs daemons under load and faults, heals everything, waits until all is acknowledged, and judges what is there. */
export async function runChaos(stack: Stack, python: string, options: RunOptions): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), `ktb-chaos-${options.seed}-`));
  const watchdog = new Watchdog();
  const run = new ChaosRun(stack, options, { directory, watchdog, python });
  try {
    return await run.run();
  } finally {
    await run.close();
    keepLogs(stack.dataDir, directory);
    await run.unmount();
    await watchdog.close();
  }
}

class ChaosRun {
  readonly #stack: Stack;
  readonly #options: RunOptions;
  readonly #directory: string;
  readonly #watchdog: Watchdog;
  readonly #journal: Journal;
  readonly #clients: Clients;
  readonly #table: ChaosTable;
  readonly #random: Random;
  readonly #insert: (typeof INSERTS)[number];
  readonly #bursts: Burst[] = [];
  readonly #done: DoneFault[] = [];
  readonly #memory: MemorySample[] = [];
  readonly #followers: OwnedProcess[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #daemons: ChaosDaemon[] = [];
  #batchers: Batchers | undefined;
  #leaders: Leaders | undefined;
  #topic: InputTopic | undefined;
  #disks: Disks | undefined;

  constructor(
    stack: Stack,
    options: RunOptions,
    deps: { readonly directory: string; readonly watchdog: Watchdog; readonly python: string },
  ) {
    this.#stack = stack;
    this.#options = options;
    this.#directory = deps.directory;
    this.#watchdog = deps.watchdog;
    this.#journal = new Journal(join(deps.directory, 'journal.log'));
    this.#clients = new Clients(deps.python, deps.directory, deps.watchdog);
    this.#random = new Random(options.seed);
    this.#insert = this.#random.pick(INSERTS);
    this.#table = new ChaosTable(stack.clickhouse.url, TABLE, this.#insert.window);
  }

  async run(): Promise<Outcome> {
    const { minutes } = this.#options;
    this.#note(`seed ${this.#options.seed}; everything that can be looked at later is in ${this.#directory}`);
    const victims = await this.#setUp();
    const plan = drawPlan(
      this.#random,
      {
        daemons: victims.daemons.length,
        brokers: this.#stack.kafka.brokers.length,
        batchers: BATCHERS,
        sessionMs: SESSION_MS,
        disks: victims.disks.owners,
      },
      minutes * 60_000,
      ...(this.#options.only.length === 0 ? [] : [this.#options.only]),
    );
    writeFileSync(this.#file('plan.json'), `${JSON.stringify(plan, null, 2)}\n`);
    const producer = await this.#clients.start('produce', this.#producerOptions());
    this.#watch();
    const disturbed = doFaults(plan, (planned, signal) => this.#disturb(planned, victims, signal));
    await Promise.all([disturbed, sleep(minutes * 60_000)]);
    this.#note('the faults are over, everything is healed');
    await healAll(victims);
    const healedAtMs = Date.now();
    await this.#clients.finish('produce', producer, PRODUCER_MORE_MS);
    await this.#closePartitions();
    const input = await this.#readInput();
    const { drainMs, backlog } = await this.#untilAcknowledged(input.length, healedAtMs);
    const observed = await this.#observe(input, victims, { drainMs, backlog });
    writeFileSync(this.#file('timeline.svg'), this.#timeline(observed));
    const verdicts = check(observed, {
      recordsMin: Math.floor(this.#options.records * RECORDS_MIN_SHARE),
      memoryBytesMax: MEMORY_BYTES_MAX,
      slowness: this.#options.slowness,
      faultsMin: Math.floor(minutes * FAULTS_MIN_A_MINUTE),
    });
    writeFileSync(this.#file('verdicts.json'), `${JSON.stringify(verdicts, null, 2)}\n`);
    return { observed, verdicts, faults: this.#done, directory: this.#directory };
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all([
      ...this.#followers.map((follower) => follower.end(0)),
      ...this.#daemons.map((daemon) => daemon.close()),
      this.#batchers?.disconnect(),
      this.#leaders?.disconnect(),
      this.#topic?.disconnect(),
    ]);
  }

  /** After it the parts have no data. */
  async unmount(): Promise<void> {
    await this.#disks?.close();
  }

  async #setUp(): Promise<Victims> {
    const disks = (this.#disks = await Disks.mount(this.#stack));
    const topics = Object.fromEntries([...Object.values(TOPICS), FOREIGN].map((topic) => [topic, PARTITIONS]));
    await this.#clients.run('create', { brokers: this.#brokers, topics, replicas: { [FOREIGN]: 1 } }, 120_000);
    await this.#table.create();
    this.#batchers = await Batchers.connect(this.#stack.temporal.address, PIPELINE);
    const roles = this.#random.pick(SETUPS);
    const daemons = [];
    for (const [index, role] of roles.entries()) daemons.push(await this.#daemon(`daemon-${index + 1}`, role));
    const guest = await this.#daemon('guest', 'consumer');
    await Promise.all(daemons.map((daemon) => daemon.start()));
    await Promise.all(daemons.map((daemon) => daemon.untilReady()));
    const { views, window } = this.#insert;
    this.#note(`daemons are ready: ${roles.join(', ')}; insert.views: ${views}, ${window} inserts are remembered`);
    for (const [name, options] of Object.entries({
      offsets: { topic: TOPICS.input, group: GROUP },
      replies: { topic: TOPICS.replies, clickhouse: this.#stack.clickhouse.url, table: TABLE },
    }))
      this.#followers.push(
        await this.#clients.start(name, { brokers: this.#brokers, out: this.#file(`${name}.jsonl`), ...options }),
      );
    this.#leaders = await Leaders.connect(this.#stack.kafka.brokers, TOPICS.input);
    this.#topic = await InputTopic.connect(this.#stack.kafka.brokers, TOPICS.input);
    return {
      stack: this.#stack,
      daemons,
      guest,
      batchers: this.#batchers,
      table: this.#table,
      leaders: this.#leaders,
      topic: this.#topic,
      disks,
      configure: (changes) => {
        for (const daemon of this.#daemons) daemon.configure(this.#configuration(changes));
      },
      send: (burst) => this.#send(burst),
      loseOffsets: () =>
        this.#clients.run('group', { brokers: this.#brokers, group: GROUP, seconds: 30 }, 60_000).then(
          () => true,
          () => false,
        ),
    };
  }

  async #daemon(name: string, role: Role): Promise<ChaosDaemon> {
    const { kafka, temporal, clickhouse } = this.#stack;
    const daemon = await ChaosDaemon.create({
      name,
      role,
      addresses: { brokers: kafka.brokers, temporal: temporal.address, clickhouse: clickhouse.url },
      ports: await pickPorts(portsOf(kafka.brokers.length)),
      directory: this.#directory,
      watchdog: this.#watchdog,
      configuration: this.#configuration(),
      ...(this.#options.cli === undefined ? {} : { cli: this.#options.cli }),
    });
    this.#daemons.push(daemon);
    return daemon;
  }

  /** Notes memory and progress from now on. */
  #watch(): void {
    this.#timers.push(
      setInterval(() => {
        const bytes: Record<string, number> = {};
        for (const daemon of this.#daemons) {
          const memory = daemon.memory();
          if (memory !== undefined) bytes[daemon.name] = memory;
        }
        this.#memory.push({ atMs: Date.now(), bytes });
      }, 1_000),
      setInterval(() => this.#noteProgress(), PROGRESS_EVERY_MS),
    );
  }

  #noteProgress(): void {
    const ends = this.#samples<OffsetSample>('offsets').at(-1)?.ends ?? [];
    const written = ends.reduce((sum, end) => sum + end, 0);
    const acknowledged = this.#samples<ReplySample>('replies').at(-1)?.acknowledged ?? 0;
    const number = (value: number): string => value.toLocaleString('en');
    this.#note(
      `${number(written)} offsets written, ${number(acknowledged)} records acknowledged, ${this.#done.length} faults done`,
    );
  }

  async #disturb(planned: PlannedFault, victims: Victims, signal: AbortSignal): Promise<void> {
    const text = describeFault(planned);
    const fromMs = Date.now();
    this.#note(text);
    const isDone = await inject(planned, victims, signal);
    if (isDone) this.#done.push({ kind: planned.fault.kind, text, fromMs, toMs: Date.now() });
    else this.#note(`not done: ${text}`);
  }

  #producerOptions(): object {
    return {
      brokers: this.#brokers,
      topic: TOPICS.input,
      records: this.#options.records,
      seconds: this.#options.minutes * 60,
      seed: this.#options.seed,
      out: this.#file('produced.json'),
      firstId: 0,
      keys: KEYS,
      badEvery: BAD_EVERY,
      transactions: true,
      eachPartition: false,
    };
  }

  async #send({ records, badEvery }: Burst): Promise<void> {
    const index = this.#bursts.push({ records, badEvery }) - 1;
    await this.#clients.run(
      'produce',
      {
        ...this.#producerOptions(),
        records,
        badEvery,
        seconds: 0,
        seed: this.#options.seed + index,
        out: this.#file(burstFile(index)),
        firstId: FIRST_BURST_ID + index * BURST_IDS,
        transactions: false,
      },
      PRODUCER_MORE_MS,
    );
  }

  async #closePartitions(): Promise<void> {
    await this.#clients.run(
      'produce',
      {
        ...this.#producerOptions(),
        records: await this.#partitions(),
        seconds: 0,
        out: this.#file('closed.json'),
        firstId: LAST_ID,
        transactions: false,
        eachPartition: true,
      },
      PRODUCER_MORE_MS,
    );
  }

  /** Faults may have added some. */
  async #partitions(): Promise<number> {
    return (await this.#topic?.partitions()) ?? PARTITIONS;
  }

  async #readInput(): Promise<InputRecord[]> {
    return (await this.#read<[number, number, string | null, number, string, string]>('input')).map(
      ([partition, offset, key, id, text, value]) => ({ partition, offset, key, id, text, value }),
    );
  }

  async #read<T>(kind: keyof typeof TOPICS): Promise<T[]> {
    const out = this.#file(`${kind}.jsonl.read`);
    await this.#clients.run('read', { brokers: this.#brokers, topic: TOPICS[kind], kind, out }, READ_MS);
    return linesOf<T>(out);
  }

  async #untilAcknowledged(records: number, healedAtMs: number): Promise<Pick<Observed, 'drainMs' | 'backlog'>> {
    const whenAll = () => this.#samples<ReplySample>('replies').find(({ acknowledged }) => acknowledged >= records);
    const atHeal = this.#samples<ReplySample>('replies').findLast(({ atMs }) => atMs <= healedAtMs);
    const backlog = Math.max(0, records - (atHeal?.acknowledged ?? 0));
    this.#note(`${records.toLocaleString('en')} records are in the log, ${backlog} of them were to be acknowledged`);
    const giveUpAtMs = healedAtMs + drainMsMax(backlog, this.#options.slowness) + LATE_MS;
    for (;;) {
      const reached = whenAll();
      if (reached !== undefined) return { drainMs: Math.max(0, reached.atMs - healedAtMs), backlog };
      if (Date.now() > giveUpAtMs) return { drainMs: undefined, backlog };
      await sleep(1_000);
    }
  }

  async #observe(
    input: readonly InputRecord[],
    { batchers }: Victims,
    drain: Pick<Observed, 'drainMs' | 'backlog'>,
  ): Promise<Observed> {
    await this.#untilCommitted();
    const runs = await batchers.runs();
    const acks = await this.#read<[number, number, string | null, number, number, string, string, string]>('replies');
    const letters = await this.#read<[number, number, number, string, string]>('letters');
    const rows = await this.#table.rows(await this.#partitions());
    this.#keep('rows.json', rows);
    this.#keep('runs.json', runs satisfies BatcherRun[]);
    return {
      produced: this.#produced(),
      input,
      rows,
      letters: letters.map(([partition, offset, id, code, value]) => ({
        partition,
        offset,
        id,
        code,
        value,
      })) satisfies Letter[],
      acks: acks.map(([replyPartition, replyOffset, key, partition, offset, status, batch, code]) => ({
        replyPartition,
        replyOffset,
        key,
        partition,
        offset,
        status,
        batch,
        code,
      })) satisfies Ack[],
      view: await this.#table.viewRows(),
      told: await readTold(this.#daemons.map(({ name }) => this.#file(`${name}.log`))),
      offsets: this.#samples<OffsetSample>('offsets'),
      replies: this.#samples<ReplySample>('replies'),
      runs,
      offsetsLost: this.#done.filter(({ kind }) => kind === 'offsets lost'),
      layoutChanged: this.#done.some(({ kind }) => kind === 'layout changed'),
      closedRuns: batchers.closed,
      ...drain,
      peakMemory: Object.fromEntries(this.#daemons.map(({ name, peakMemory }) => [name, peakMemory])),
      wrongEnds: this.#daemons.flatMap(({ wrongEnds }) => wrongEnds),
      faults: this.#done.length,
    };
  }

  /** Commits follow acceptance by half a second, and are looked at once a second. */
  async #untilCommitted(): Promise<void> {
    const isCommitted = (): boolean => {
      const last = this.#samples<OffsetSample>('offsets').at(-1);
      return last?.ends.every((end, partition) => last.committed[partition] === end) ?? false;
    };
    for (const giveUpAtMs = Date.now() + 30_000; !isCommitted() && Date.now() < giveUpAtMs;) await sleep(500);
  }

  #produced(): Produced {
    const all = ['produced.json', ...this.#bursts.map((_, index) => burstFile(index)), 'closed.json'].map(
      (name) => JSON.parse(readFileSync(this.#file(name), 'utf8')) as Produced,
    );
    return {
      written: all.flatMap(({ written }) => written),
      aborted: all.flatMap(({ aborted }) => aborted),
      unknown: all.flatMap(({ unknown }) => unknown),
    };
  }

  #timeline({ offsets, replies }: Observed): string {
    const { seed, minutes, records } = this.#options;
    const title = `seed ${seed}, ${minutes} minutes, ${records.toLocaleString('en')} records, ${this.#done.length} faults`;
    const faults = [...this.#done].sort((one, other) => one.fromMs - other.fromMs);
    return timelineChart({ title, faults, offsets, replies, memory: this.#memory });
  }

  /** Of every daemon, without addresses. */
  #configuration({ batchers = BATCHERS, maxHistory }: Changes = {}): DaemonConfiguration {
    return {
      // The daemons are one installation, though each has other addresses of the same parts.
      installation: PIPELINE,
      kafka: { sessionTimeout: `${SESSION_MS / 1_000}s` },
      temporal: { taskQueue: PIPELINE },
      log: { format: 'json' },
      shutdown: { deadline: '15s' },
      pipelines: {
        [PIPELINE]: {
          topics: [TOPICS.input],
          table: TABLE,
          batchers,
          batch: { maxRecords: 2_000, maxDelay: '300ms' },
          ...(maxHistory === undefined ? {} : { flow: { maxHistory } }),
          insert: { views: this.#insert.views },
          reply: { topic: TOPICS.replies },
          deadLetter: { topic: TOPICS.letters },
        },
      },
    };
  }

  #samples<T>(name: string): T[] {
    try {
      return linesOf<T>(this.#file(`${name}.jsonl`));
    } catch {
      return []; // It has not begun yet.
    }
  }

  #keep(name: string, list: readonly object[]): void {
    writeFileSync(this.#file(name), list.map((each) => `${JSON.stringify(each)}\n`).join(''));
  }

  #note(text: string): void {
    this.#journal.note(text);
  }

  #file(name: string): string {
    return join(this.#directory, name);
  }

  get #brokers(): string {
    return this.#stack.kafka.brokers.join();
  }
}

function burstFile(index: number): string {
  return `burst-${index + 1}.json`;
}

/** Copies the logs of the parts, which go when the stack is stopped. */
function keepLogs(dataDir: string, directory: string): void {
  if (dataDir === '') return;
  const logs = join(directory, 'stack');
  mkdirSync(logs, { recursive: true });
  for (const entry of readdirSync(dataDir, { recursive: true, encoding: 'utf8' })) {
    const file = join(dataDir, entry);
    // Kafka's segments are called so, too, by numbers.
    const isLog = entry.endsWith('.log') && !/^\d+\.log$/.test(basename(entry));
    const size = isLog ? (statSync(file, { throwIfNoEntry: false })?.size ?? 0) : 0;
    if (size > 0 && size <= LOG_BYTES_MAX) copyFileSync(file, join(logs, basename(entry)));
  }
}
