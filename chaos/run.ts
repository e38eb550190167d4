import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { pickPorts } from '../stack/ports.js';
import { describeEnd, OwnedProcess, Watchdog } from '../stack/processes.js';
import type { Stack } from '../stack/index.js';
import type { StackPart } from '../stack/stack.js';
import { Batchers, type BatcherRun } from './batchers.js';
import {
  check,
  drainMsMax,
  type Commit,
  type IdRanges,
  type Observed,
  type OffsetSample,
  type Produced,
  type ReplySample,
  type Standing,
  type Verdict,
} from './checks.js';
import { Clients, linesOf } from './clients.js';
import { MAPPING } from './columns.js';
import { ChaosDaemon, portsOf, type DaemonConfiguration, type Role } from './daemons.js';
import { Disks } from './disks.js';
import { doFaults } from './doFaults.js';
import { countRemoved } from './due.js';
import { Elections } from './elections.js';
import type { ProcessSample } from './flatness.js';
import { loseOffsets } from './groupOffsets.js';
import { Histories, replay } from './histories.js';
import { healAll, inject, type Changes, type Victims } from './inject.js';
import { Journal, type DoneFault } from './journal.js';
import { Keys } from './keys.js';
import { Ledger } from './ledger.js';
import { Leaders } from './leaders.js';
import { countPlacesLost, type Lost, type LostTail } from './lost.js';
import { describeFault, drawPlan, type Burst, type FaultKind, type PlannedFault } from './plan.js';
import { Random } from './random.js';
import { beQuiet, mostWaiting, type QuietTime, type WaitingSample } from './quiet.js';
import { countGood, idsIn, offsetsIn, readAcks, readCommits, readInput, readLetters } from './readings.js';
import type { RemadeLog } from './remade.js';
import { Rereads } from './rereads.js';
import { ChaosTable } from './table.js';
import { timelineChart } from './timeline.js';
import { readTold, type Told } from './told.js';
import { InputTopic } from './topic.js';

export interface RunOptions {
  readonly seed: number;
  /** How long records are produced and faults are done. */
  readonly minutes: number;
  readonly records: number;
  /** False: nothing is done to anything. */
  readonly faults: boolean;
  /** Between the begins of two faults, on average. */
  readonly gapSeconds: number;
  /** After so many faults there is a time without any, in which all that is due has to be acknowledged. */
  readonly together: number;
  /** Nothing may grow. */
  readonly soak: boolean;
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
  /** What it took to read and to judge everything. */
  readonly judging: { readonly seconds: number; readonly mebibytes: number };
  /** Logs, journal, configurations, all that was read, and the timeline. */
  readonly directory: string;
}

const DIST = join(import.meta.dirname, '../dist');
const PIPELINE = 'chaos';
const GROUP = `ktb-${PIPELINE}`;
/** Is deleted and made again at times. */
const REMADE = 'chaos.remade';
const REMADE_PARTITIONS = 2;
const REMADE_RECORDS = 400;
const REMADE_LATER_RECORDS = 100;
const TOPICS = { input: 'chaos.input', replies: 'chaos.replies', letters: 'chaos.dead-letters' };
/** Nobody reads it. Of its partitions there is one copy: while a broker is away, some have no leader. */
const FOREIGN = 'chaos.foreign';
const TABLE = 'chaos';
const PARTITIONS = 6;
const BATCHERS = 4;
/** The shortest that Kafka takes. */
const SESSION_MS = 6_000;
const KEYS = 300;
const BAD_EVERY = 1_000;
/** Ids of the records that close each partition: an end that is a record can be committed. */
const LAST_ID = 2_000_000_000;
/** Ids of bursts, each in a range of its own, below those of transactions. */
const FIRST_BURST_ID = 500_000_000;
const BURST_IDS = 100_000;
const FIRST_REMADE_ID = 1_500_000_000;
/** Beside the time that they are given. */
const PRODUCER_MORE_MS = 400_000;
/** Beside the time for so many records. */
const READ_MORE_MS = 300_000;
const READ_RECORDS_PER_SECOND = 20_000;
const COMMAND_MS = 60_000;
/** After the time for the drain, so that the other checks see what does come. */
const LATE_MS = 180_000;
const PROGRESS_EVERY_MS = 10_000;
/** What has fewer was hardly tested. */
const RECORDS_MIN_SHARE = 0.9;
/** Of the faults that were done: some hit nothing. */
const FAULTS_MIN_SHARE = 0.4;
/** What docs/operations.md says of a process with both roles, and 30 MiB for what is rare. */
const MEMORY_BYTES_MAX = (510 + 30) * 1024 ** 2;
/** Three times what a process with both roles has. */
const HANDLES_MAX = 200;
const BATCH_RECORDS_MAX = 2_000;
/** Runs with a fault for each thousand records have had five in a hundred, others less than two. */
const REPEATED_SHARE_MAX = 0.08;
/** Runs have had three in a thousand, and less. */
const QUIET_REPEATED_SHARE_MAX = 0.03;
/** Longer than what a worker that has gone leaves: the heartbeat timeout of 15 s, and the longest pause of 15 s after it. */
const QUIET_MS = 40_000;
const SAMPLE_EVERY_MS = 1_000;
const SAMPLE_SLOWLY_EVERY_MS = 10_000;
/** By them commits may go backward, until so long after their end. No daemon runs while the offsets are taken away. */
const OFFSETS_LOST_BY: Partial<Record<FaultKind, number>> = {
  'offsets lost': 2_000,
  'offsets expired': 2_000,
  rewound: 2_000,
  // The daemons have to find out that the log was cut, and commit once more.
  'unclean election': 60_000,
};
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
  readonly #keys: Keys;
  readonly #bursts: Burst[] = [];
  readonly #done: DoneFault[] = [];
  readonly #samples: ProcessSample[] = [];
  readonly #followers: { readonly name: string; readonly process: OwnedProcess }[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #quietTimes: QuietTime[] = [];
  readonly #remadeLogs: RemadeLog[] = [];
  #producer: OwnedProcess | undefined;
  #begun = 0;
  #daemons: ChaosDaemon[] = [];
  #batchers: Batchers | undefined;
  #histories: Histories | undefined;
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
    this.#keys = new Keys(this.#random);
    this.#table = new ChaosTable(stack.clickhouse.url, TABLE, this.#insert.window);
  }

  async run(): Promise<Outcome> {
    const { minutes } = this.#options;
    this.#note(`seed ${this.#options.seed}; everything that can be looked at later is in ${this.#directory}`);
    const victims = await this.#setUp();
    const plan = this.#options.faults ? this.#plan(victims) : [];
    writeFileSync(this.#file('plan.json'), `${JSON.stringify(plan, null, 2)}\n`);
    const producer = (this.#producer = await this.#clients.start('produce', this.#producerOptions()));
    this.#watch();
    const disturbed = doFaults(plan, {
      act: (planned, signal) => this.#disturb(planned, victims, signal),
      together: this.#options.together,
      quiet: (signal) => this.#beQuiet(victims, signal),
      forMs: minutes * 60_000,
    });
    await Promise.all([disturbed, sleep(minutes * 60_000)]);
    this.#mustFollow();
    this.#note('the faults are over, everything is healed');
    await healAll(victims);
    const healedAtMs = Date.now();
    await this.#clients.finish('produce', producer, PRODUCER_MORE_MS);
    await this.#closePartitions();
    const ledger = new Ledger();
    await this.#read('input');
    await readInput(this.#file('input.tsv'), ledger);
    for (const { file, to } of victims.rereads.removed) await readInput(file, ledger, to);
    const lost = await readLost(victims.elections, ledger);
    const due = ledger.counts.records - countRemoved(ledger, victims.rereads) + countPlacesLost(lost, ledger);
    const drain = await this.#untilAcknowledged(due, healedAtMs);
    await this.#untilQuiet(victims);
    const begunAtMs = Date.now();
    const observed = await this.#observe(ledger, victims, { ...drain, lost });
    writeFileSync(this.#file('timeline.svg'), this.#timeline(observed));
    const verdicts = check(observed, {
      recordsMin: Math.floor(this.#options.records * RECORDS_MIN_SHARE),
      memoryBytesMax: MEMORY_BYTES_MAX,
      handlesMax: HANDLES_MAX,
      slowness: this.#options.slowness,
      faultsMin: this.#options.faults ? Math.max(1, Math.floor(this.#begun * FAULTS_MIN_SHARE)) : 0,
      repeatsPerFault: BATCHERS * BATCH_RECORDS_MAX,
      repeatedShareMax: REPEATED_SHARE_MAX,
      quietRepeatedShareMax: QUIET_REPEATED_SHARE_MAX,
      isSoak: this.#options.soak,
    });
    writeFileSync(this.#file('verdicts.json'), `${JSON.stringify(verdicts, null, 2)}\n`);
    const judging = {
      seconds: (Date.now() - begunAtMs) / 1_000,
      // Kibibytes, the most that this process ever had.
      mebibytes: Math.round(process.resourceUsage().maxRSS / 1024),
    };
    return { observed, verdicts, faults: this.#done, directory: this.#directory, judging };
  }

  #plan(victims: Victims): PlannedFault[] {
    const { minutes, gapSeconds, only } = this.#options;
    return drawPlan(
      this.#random,
      {
        daemons: victims.daemons.length,
        roles: victims.daemons.map(({ role }) => role),
        brokers: this.#stack.kafka.brokers.length,
        batchers: BATCHERS,
        sessionMs: SESSION_MS,
        disks: victims.disks.owners,
        partitions: PARTITIONS,
        gapMs: gapSeconds * 1_000,
      },
      minutes * 60_000,
      ...(only.length === 0 ? [] : [only]),
    );
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all([
      ...this.#followers.map(({ process }) => process.end(0)),
      ...this.#daemons.map((daemon) => daemon.close()),
      this.#batchers?.disconnect(),
      this.#histories?.disconnect(),
      this.#leaders?.disconnect(),
      this.#topic?.disconnect(),
    ]);
  }

  /** After it the parts have no data. */
  async unmount(): Promise<void> {
    await this.#disks?.close();
  }

  async #setUp(): Promise<Victims> {
    // A disk that is never full need not be one of its own, in memory.
    const disks = (this.#disks = this.#options.faults ? await Disks.mount(this.#stack) : Disks.none());
    const topics = {
      ...Object.fromEntries([...Object.values(TOPICS), FOREIGN].map((topic) => [topic, PARTITIONS])),
      [REMADE]: REMADE_PARTITIONS,
    };
    // So that all acknowledgements can be compared with the times at which ClickHouse took the rows, by clocks of one machine.
    const settings = { [TOPICS.replies]: { 'message.timestamp.type': 'LogAppendTime' } };
    await this.#clients.run(
      'create',
      { brokers: this.#brokers, topics, replicas: { [FOREIGN]: 1 }, settings },
      120_000,
    );
    await this.#table.create();
    this.#batchers = await Batchers.connect(this.#stack.temporal.address, PIPELINE);
    this.#histories = await Histories.connect(this.#stack.temporal.address);
    const roles = this.#random.pick(SETUPS);
    const daemons = [];
    for (const [index, role] of roles.entries()) daemons.push(await this.#daemon(`daemon-${index + 1}`, role));
    const guest = await this.#daemon('guest', 'consumer');
    await Promise.all(daemons.map((daemon) => daemon.start()));
    await Promise.all(daemons.map((daemon) => daemon.untilReady()));
    const { views, window } = this.#insert;
    await this.#sendToRemade(REMADE_RECORDS, false);
    this.#note(`daemons are ready: ${roles.join(', ')}; insert.views: ${views}, ${window} inserts are remembered`);
    this.#note(`what lies in Temporal is ${this.#keys.active === undefined ? 'not ' : ''}encrypted`);
    for (const [name, options] of Object.entries({
      offsets: { topic: TOPICS.input, group: GROUP },
      replies: {
        topic: TOPICS.replies,
        of: TOPICS.input,
        letters: TOPICS.letters,
        clickhouse: this.#stack.clickhouse.url,
        table: this.#table.everywhere,
        view: this.#table.seen,
      },
      ...(this.#options.faults ? { waiting: { topic: TOPICS.input, replies: TOPICS.replies } } : {}),
    }))
      this.#followers.push({
        name,
        process: await this.#clients.start(name, {
          brokers: this.#brokers,
          out: this.#file(`${name}.jsonl`),
          ...options,
        }),
      });
    this.#leaders = await Leaders.connect(this.#stack.kafka.brokers, TOPICS.input);
    this.#topic = await InputTopic.connect(this.#stack.kafka.brokers, TOPICS.input, GROUP);
    return {
      stack: this.#stack,
      daemons,
      guest,
      batchers: this.#batchers,
      table: this.#table,
      leaders: this.#leaders,
      topic: this.#topic,
      rereads: this.#rereads(this.#topic),
      elections: this.#elections(this.#topic, daemons.find(({ role }) => role !== 'worker') as ChaosDaemon),
      disks,
      configure: (changes) => {
        for (const daemon of this.#daemons) daemon.configure(this.#configuration(changes));
      },
      keys: this.#keys,
      signalsByKey: async () => {
        const runs = (await this.#batchers?.runs()) ?? [];
        return (await this.#histories?.signalsBy(this.#keys.active ?? '', runs)) ?? 0;
      },
      replies: TOPICS.replies,
      send: (burst) => this.#send(burst),
      remade: { topic: REMADE, partitions: REMADE_PARTITIONS },
      remake: async (records, whileRead) => {
        const what = { brokers: this.#brokers, topic: REMADE, partitions: REMADE_PARTITIONS, seconds: 60 };
        await this.#clients.run('remake', what, COMMAND_MS * 2);
        return this.#sendToRemade(records, whileRead);
      },
      addToRemade: () => this.#addToRemade(),
      loseOffsets: (partition) =>
        loseOffsets({ brokers: this.#stack.kafka.brokers, topic: TOPICS.input, group: GROUP }, partition, {
          directory: this.#directory,
          watchdog: this.#watchdog,
        }),
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

  /** Notes what the daemons take, and progress, from now on. */
  #watch(): void {
    this.#timers.push(
      setInterval(() => {
        for (const daemon of this.#daemons) {
          const uses = daemon.uses();
          if (uses !== undefined) this.#samples.push({ atMs: Date.now(), name: daemon.name, ...uses });
        }
      }, SAMPLE_EVERY_MS),
      setInterval(() => this.#noteProgress(), PROGRESS_EVERY_MS),
    );
    // It takes Temporal's time, so only when nothing is done to it.
    if (this.#options.soak) this.#timers.push(setInterval(() => void this.#sampleSlowly(), SAMPLE_SLOWLY_EVERY_MS));
  }

  async #sampleSlowly(): Promise<void> {
    const atMs = Date.now();
    for (const daemon of this.#daemons) {
      const cached = daemon.running ? await daemon.cachedWorkflows() : undefined;
      if (cached !== undefined) this.#samples.push({ atMs, name: daemon.name, cached });
    }
    const sizes = await this.#batchers
      ?.runs()
      .then((runs) => this.#histories?.sizes(runs))
      .catch(() => undefined); // A run may have ended since.
    for (const [name, historyBytes] of sizes ?? []) this.#samples.push({ atMs, name, historyBytes });
  }

  #noteProgress(): void {
    const ends = this.#noted<OffsetSample>('offsets').at(-1)?.ends ?? [];
    const written = ends.reduce((sum, end) => sum + end, 0);
    const acknowledged = this.#noted<ReplySample>('replies').at(-1)?.acknowledged ?? 0;
    const number = (value: number): string => value.toLocaleString('en');
    this.#note(
      `${number(written)} offsets written, ${number(acknowledged)} records acknowledged, ${this.#done.length} faults done`,
    );
  }

  /** No fault is at work: what is due now has to be acknowledged soon, by the daemons as they run. */
  async #beQuiet({ daemons }: Victims, signal: AbortSignal): Promise<void> {
    const { slowness } = this.#options;
    this.#note('no faults until what is due is acknowledged');
    const quiet = await beQuiet({
      samples: () => this.#noted<WaitingSample>('waiting'),
      daemons,
      maxMs: (due) => drainMsMax(due, slowness),
      signal,
    });
    this.#quietTimes.push(quiet);
    this.#mustFollow();
    const took = quiet.tookMs === undefined ? 'not acknowledged' : `acknowledged after ${quiet.tookMs} ms`;
    this.#note(`${quiet.due.toLocaleString('en')} records were due, ${took}`);
  }

  async #disturb(planned: PlannedFault, victims: Victims, signal: AbortSignal): Promise<void> {
    const text = describeFault(planned);
    const { fault } = planned;
    const fromMs = Date.now();
    this.#begun++;
    this.#note(text);
    const hits = Number(await inject(planned, victims, signal));
    const of = 'partition' in fault ? { partition: fault.partition } : {};
    this.#done.push({ kind: fault.kind, text, ...of, hits, fromMs, toMs: Date.now() });
    this.#note(hits === 0 ? `hit nothing: ${text}` : `hit ${hits}: ${text}`);
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
      bytesMax: 0,
      transactions: true,
      eachPartition: false,
    };
  }

  async #send(burst: Burst): Promise<number> {
    const index = this.#bursts.push(burst) - 1;
    const out = this.#file(burstFile(index));
    await this.#clients.run(
      'produce',
      {
        ...this.#producerOptions(),
        ...burst,
        seconds: 0,
        seed: this.#options.seed + index,
        out,
        firstId: FIRST_BURST_ID + index * BURST_IDS,
        transactions: false,
      },
      PRODUCER_MORE_MS,
    );
    const { written } = JSON.parse(readFileSync(out, 'utf8')) as Produced;
    return countIn(written);
  }

  /** @returns how many records its log has */
  async #sendToRemade(records: number, whileRead: boolean): Promise<number> {
    const index = this.#remadeLogs.length;
    const sent = await this.#produceForRemade(records, index, 0);
    this.#remadeLogs.push({ ...sent, whileRead });
    return countIn(sent.written);
  }

  async #addToRemade(): Promise<number> {
    const index = this.#remadeLogs.length - 1;
    const later = await this.#produceForRemade(REMADE_LATER_RECORDS, index, BURST_IDS / 2);
    this.#remadeLogs[index] = { ...(this.#remadeLogs[index] as RemadeLog), later };
    return countIn(later.written);
  }

  async #produceForRemade(records: number, index: number, afterIds: number): Promise<Produced> {
    const firstId = FIRST_REMADE_ID + index * BURST_IDS + afterIds;
    const out = this.#file(`remade-${firstId}.json`);
    const what = {
      ...this.#producerOptions(),
      topic: REMADE,
      records,
      seconds: 0,
      seed: this.#options.seed + index,
      out,
      firstId,
      badEvery: 0,
      transactions: false,
    };
    await this.#clients.run('produce', what, PRODUCER_MORE_MS);
    return JSON.parse(readFileSync(out, 'utf8')) as Produced;
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

  #rereads(topic: InputTopic): Rereads {
    let count = 0;
    return new Rereads({
      topic,
      topicName: TOPICS.input,
      pipeline: PIPELINE,
      read: (partition) => this.#readPartition(partition, `removed-${++count}.tsv`),
      ktb: (...args) => this.#ktb(...args),
    });
  }

  #elections(topic: InputTopic, reader: ChaosDaemon): Elections {
    let count = 0;
    const brokers = this.#brokers;
    const asked = { brokers, topic: TOPICS.input };
    return new Elections({
      topic,
      brokers: this.#stack.parts.kafka,
      producer: this.#steadyLoad,
      reader,
      areRows: async (offsets, file, sinceMs) => {
        const rows = await this.#table.offsetsSince(offsets, TOPICS.input, sinceMs);
        return rows >= (await countGood(file, offsets.from));
      },
      set: (settings) => this.#clients.run('configure', { ...asked, settings }, COMMAND_MS),
      endOf: async (partition) => {
        const out = this.#file('end.json');
        await this.#clients.run('end', { ...asked, partition, out }, COMMAND_MS);
        return JSON.parse(readFileSync(out, 'utf8')) as { readable: number; end: number };
      },
      read: (partition, isolation) => this.#readPartition(partition, `cut-${++count}.tsv`, { isolation }),
      told: async () => (await this.#told()).cuts.length,
    });
  }

  /** Reads a partition of the input topic into a file. */
  async #readPartition(partition: number, name: string, more: object = {}) {
    const out = this.#file(name);
    const what = { brokers: this.#brokers, topic: TOPICS.input, kind: 'input', out, partition, ...more };
    await this.#clients.run('read', what, this.#readMs);
    return { file: out, offsets: await offsetsIn(out) };
  }

  get #steadyLoad(): Pick<StackPart, 'suspend' | 'resume'> {
    return {
      suspend: async () => this.#producer?.suspend(),
      resume: async () => this.#producer?.resume(),
    };
  }

  #told(): Promise<Told> {
    return readTold(
      this.#daemons.map(({ name }) => this.#file(`${name}.log`)),
      TOPICS.input,
    );
  }

  /** A command of a person, whose ways to the parts no fault disturbs. */
  async #ktb(...args: string[]): Promise<void> {
    const { kafka, temporal, clickhouse } = this.#stack;
    const { kafka: ofKafka, temporal: ofTemporal, ...more } = this.#configuration();
    const file = this.#file('person.yaml');
    const addresses = {
      kafka: { ...ofKafka, brokers: kafka.brokers },
      temporal: { ...ofTemporal, address: temporal.address },
      clickhouse: { url: clickhouse.url },
    };
    writeFileSync(file, stringify({ ...more, ...addresses }));
    const cli = this.#options.cli ?? join(DIST, 'cli.js');
    const spec = { command: process.execPath, args: [cli, ...args, '--config', file], cwd: this.#directory };
    const started = await OwnedProcess.spawn({ ...spec, logFile: this.#file('person.log') }, this.#watchdog);
    const timer = setTimeout(() => void started.end(0), COMMAND_MS);
    const end = await started.ended;
    clearTimeout(timer);
    if (end.code !== 0) throw new Error(`ktb ${args.join(' ')} ${describeEnd(end)}`);
  }

  /** Reads a topic into a file. */
  async #read(kind: keyof typeof TOPICS): Promise<void> {
    const out = this.#file(`${kind}.tsv`);
    const what = { brokers: this.#brokers, topic: TOPICS[kind], kind, of: TOPICS.input, out };
    await this.#clients.run('read', what, this.#readMs);
  }

  /** All that the group has committed, with the times, from Kafka's own topic. */
  async #commits(): Promise<Commit[]> {
    const out = this.#file('commits.tsv');
    const what = { topic: '__consumer_offsets', kind: 'commits', group: GROUP, of: TOPICS.input };
    await this.#clients.run('read', { brokers: this.#brokers, ...what, out }, this.#readMs);
    return readCommits(out);
  }

  async #untilAcknowledged(records: number, healedAtMs: number): Promise<Pick<Observed, 'drainMs' | 'backlog'>> {
    const whenAll = () => this.#noted<ReplySample>('replies').find(({ acknowledged }) => acknowledged >= records);
    const atHeal = this.#noted<ReplySample>('replies').findLast(({ atMs }) => atMs <= healedAtMs);
    const backlog = Math.max(0, records - (atHeal?.acknowledged ?? 0));
    this.#note(`${records.toLocaleString('en')} records are due, ${backlog} of them were to be acknowledged`);
    const giveUpAtMs = healedAtMs + drainMsMax(backlog, this.#options.slowness) + LATE_MS;
    for (;;) {
      this.#mustFollow();
      const reached = whenAll();
      if (reached !== undefined) return { drainMs: Math.max(0, reached.atMs - healedAtMs), backlog };
      if (Date.now() > giveUpAtMs) return { drainMs: undefined, backlog };
      await sleep(1_000);
    }
  }

  /**
   * Waits until nothing can come any more, so that what comes late is read, too: all daemons end in order, others begin, and
   * what dead workers have left is tried again. At last no daemon runs.
   */
  async #untilQuiet({ daemons }: Victims): Promise<void> {
    await this.#untilCommitted();
    this.#note('waiting for what comes late');
    await Promise.all(daemons.map((daemon) => daemon.terminate()));
    await Promise.all(daemons.map((daemon) => daemon.start()));
    await sleep(QUIET_MS);
    await this.#untilCommitted();
    await Promise.all(daemons.map((daemon) => daemon.terminate()));
  }

  async #observe(
    ledger: Ledger,
    { batchers, rereads }: Victims,
    found: Pick<Observed, 'drainMs' | 'backlog' | 'lost'>,
  ): Promise<Observed> {
    this.#note('judging');
    const histories = this.#histories as Histories;
    const before = await this.#standing();
    const runs = await batchers.runs();
    const underWay = await histories.underWay(runs);
    const replayed = await replay(this.#bundle, histories.last(runs), this.#keys.all);
    const batches = await histories.accepted(runs, { topic: TOPICS.input, keys: this.#keys.all }, (...accepted) =>
      ledger.addAccepted(...accepted),
    );
    await this.#read('replies');
    await readAcks(this.#file('replies.tsv'), ledger, batches.epochOf);
    await this.#read('letters');
    await readLetters(this.#file('letters.tsv'), ledger);
    await this.#table.rows(TOPICS.input, (row) => ledger.addRow(row));
    const after = await this.#standing();
    const waiting = this.#noted<WaitingSample>('waiting');
    this.#keep('runs.json', runs satisfies BatcherRun[]);
    return {
      produced: this.#produced(),
      ledger,
      view: await this.#table.viewRows(),
      remade: { logs: this.#remadeLogs, rows: await this.#table.rowsOf(REMADE) },
      told: await this.#told(),
      offsets: this.#noted<OffsetSample>('offsets'),
      commits: await this.#commits(),
      replies: this.#noted<ReplySample>('replies'),
      runs,
      underWay,
      replayed,
      standings: [before, after],
      deliberate: {
        again: rereads.again,
        filled: rereads.filled,
        removed: rereads.removed,
        tablesMadeAnew: this.#table.timesMadeAnew,
      },
      offsetsLost: this.#done.flatMap(({ kind, partition, fromMs, toMs }) => {
        const moreMs = OFFSETS_LOST_BY[kind];
        return moreMs === undefined ? [] : [{ partition, fromMs, toMs: toMs + moreMs }];
      }),
      layoutChanged: this.#done.some(({ kind }) => kind === 'layout changed'),
      closedRuns: batchers.closed,
      ...found,
      quietTimes: this.#quietTimes,
      samples: this.#samples,
      wrongEnds: this.#daemons.flatMap(({ wrongEnds }) => wrongEnds),
      faults: this.#done,
      waitingAtFaults: this.#done.map(({ fromMs, toMs }) => mostWaiting(waiting, fromMs, toMs)),
    };
  }

  async #standing(): Promise<Standing> {
    const out = this.#file('ends.json');
    const topics = [TOPICS.letters, TOPICS.replies];
    await this.#clients.run('ends', { brokers: this.#brokers, topics, out }, 120_000);
    const ends = JSON.parse(readFileSync(out, 'utf8')) as Record<string, number>;
    return {
      rows: await this.#table.count(),
      letters: ends[TOPICS.letters] ?? 0,
      acks: ends[TOPICS.replies] ?? 0,
    };
  }

  /** The workflows of the build that runs. */
  get #bundle(): string {
    return join(this.#options.cli === undefined ? DIST : dirname(this.#options.cli), 'workflows/bundle.js');
  }

  /** Without those that follow, nothing would be known of what comes, and it would be waited for in vain. */
  #mustFollow(): void {
    for (const { name, process } of this.#followers)
      if (!process.running) throw new Error(`${name}.py has ended: ${name}.log says why`);
  }

  /** Commits follow acceptance by half a second, and are looked at once a second. */
  async #untilCommitted(): Promise<void> {
    const isCommitted = (): boolean => {
      const last = this.#noted<OffsetSample>('offsets').at(-1);
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
    const faults = this.#done.filter(({ hits }) => hits > 0).sort((one, other) => one.fromMs - other.fromMs);
    const title = `seed ${seed}, ${minutes} minutes, ${records.toLocaleString('en')} records, ${faults.length} faults`;
    return timelineChart({ title, faults, offsets, replies, samples: this.#samples });
  }

  /** Of every daemon, without addresses. */
  #configuration({ batchers = BATCHERS, shortHistories }: Changes = {}): DaemonConfiguration {
    const encryption = this.#keys.configuration;
    return {
      // The daemons are one installation, though each has other addresses of the same parts.
      installation: PIPELINE,
      kafka: { sessionTimeout: `${SESSION_MS / 1_000}s` },
      temporal: { taskQueue: PIPELINE, ...(encryption === undefined ? {} : { encryption }) },
      log: { format: 'json' },
      shutdown: { deadline: '15s' },
      pipelines: {
        [PIPELINE]: {
          topics: [TOPICS.input, REMADE],
          table: TABLE,
          batchers,
          columns: MAPPING,
          ...(shortHistories === undefined ? USUAL_HISTORIES : SHORT_HISTORIES),
          insert: { views: this.#insert.views },
          reply: { topic: TOPICS.replies, copyHeaders: ['id'] },
          deadLetter: { topic: TOPICS.letters },
        },
      },
    };
  }

  #noted<T>(name: string): T[] {
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

  /** How long a topic may be read. */
  get #readMs(): number {
    return READ_MORE_MS + (this.#options.records / READ_RECORDS_PER_SECOND) * 1_000;
  }

  get #brokers(): string {
    return this.#stack.kafka.brokers.join();
  }
}

function countIn(ranges: IdRanges): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

function burstFile(index: number): string {
  return `burst-${index + 1}.json`;
}

const USUAL_HISTORIES = { batch: { maxRecords: BATCH_RECORDS_MAX, maxDelay: '300ms' } };
/** A run continues as new after half of the bytes, or after 512 events: each batch makes about ten. */
const SHORT_HISTORIES = { batch: { maxRecords: 50, maxDelay: '50ms' }, flow: { maxHistory: '1MiB' } };

/** The records that elections have cut off. What becomes of them is added to the ledger from now on. */
async function readLost({ cuts }: Elections, ledger: Ledger): Promise<Lost> {
  const tails: LostTail[] = [];
  const ids = new Set<number>();
  for (const { partition, from, to, committed, all } of cuts) {
    const tail = new Ledger();
    await readInput(committed, tail, to, from);
    ledger.addLost(tail);
    tails.push({ partition, from, to, ledger: tail });
    for (const id of await idsIn(all, from)) ids.add(id);
  }
  return { tails, ids };
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
