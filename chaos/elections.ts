import { setTimeout as sleep } from 'node:timers/promises';
import type { StackPart } from '../stack/stack.js';
import type { Patience } from './rereads.js';
import type { Copies, InputTopic, Offsets } from './topic.js';

/** What an election has cut off. */
export interface Cut extends Offsets {
  /** What the partition had before: its committed records, and all records. */
  readonly committed: string;
  readonly all: string;
}

/** What unclean elections need of a run. */
export interface ElectionsOptions {
  readonly topic: Pick<InputTopic, 'committed' | 'copies' | 'assign'>;
  /** In the order of their numbers, from 1 on. */
  readonly brokers: readonly StackPart[];
  /** The steady load. */
  readonly producer: { readonly suspend: () => Promise<void>; readonly resume: () => Promise<void> };
  /** Settings of the topic, in the place of those of the brokers. */
  readonly set: (settings: Readonly<Record<string, string>>) => Promise<void>;
  /** Where the log of a partition ends, and where what may be read of it does, which is earlier while a transaction is open. */
  readonly endOf: (partition: number) => Promise<{ readonly readable: number; readonly end: number }>;
  /** Reads a partition into a file. Tells the offsets of its records, in their order. */
  readonly read: (
    partition: number,
    isolation: 'read_committed' | 'read_uncommitted',
  ) => Promise<{ readonly file: string; readonly offsets: readonly number[] }>;
  /** The daemon that reads. */
  readonly reader: {
    /** Its commits do not arrive, from now on or no longer. */
    readonly holdCommits: (isOn: boolean) => void;
    readonly kill: () => Promise<void>;
    readonly start: () => Promise<void>;
  };
  /** Whether all good records of the offsets, which a file has, are rows that were inserted since then. */
  readonly areRows: (offsets: Offsets, file: string, sinceMs: number) => Promise<boolean>;
  /** How many logs that were cut the daemons have told so far. */
  readonly told: () => Promise<number>;
}

/** One copy may go on alone, and whoever has a copy may lead. */
const ALONE = { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' };
/** The same, but nothing can be written to one copy. */
const CLOSED = { ...ALONE, 'min.insync.replicas': '2' };
/** As the brokers say. */
const USUAL = { 'unclean.leader.election.enable': '', 'min.insync.replicas': '' };
const TAIL_RECORDS_MIN = 50;
const LOOK_EVERY_MS = 300;
const COPIES_WITHIN_MS = 60_000;
const SETTLED_WITHIN_MS = 60_000;
const ACCEPTED_WITHIN_MS = 45_000;
/** The log has to be too short for 10 s: docs/internals/consumer.md. */
const TOLD_WITHIN_MS = 90_000;
const STILL_MS = 1_500;

/** What is to be cut off, and how. */
interface HowToCut {
  readonly partition: number;
  /** Whether others can write in the place of what was lost before the daemons look at it. Else the log is too short so long. */
  readonly regrows: boolean;
  /**
   * Commits do not arrive while what is to be lost is accepted. Before the cut the daemon is killed. So its next process finds a
   * log that has all that is committed, and lacks what batchers have.
   */
  readonly uncommitted: boolean;
}

/**
 * Has Kafka lose the end of a log that consumers have read. Only two brokers have copies of the partition. One is killed, the
 * other one goes on alone, and is killed in turn. Then the first one, which lacks what came meanwhile, is allowed to lead.
 */
export class Elections {
  readonly cuts: Cut[] = [];
  readonly #options: ElectionsOptions;

  constructor(options: ElectionsOptions) {
    this.#options = options;
  }

  /** @returns how many offsets were lost. 0 if the bridge did not have all of them: then nothing is taken away */
  async hold(how: HowToCut, patience: Patience, signal: AbortSignal): Promise<number> {
    const { partition } = how;
    const election = new Election(this.#options, how, patience, signal);
    const from = await election.leaveOneBehind();
    const tail = await election.growTail(from);
    if (tail !== undefined) {
      // Noted before: from now on it is not known what an act that fails has done.
      this.cuts.push({ partition, from, ...tail });
      if (how.uncommitted) await election.electForAnother(tail.to);
      else await election.elect();
    }
    await election.giveBack();
    return tail === undefined ? 0 : tail.to - from;
  }
}

/** One election. */
class Election {
  readonly #options: ElectionsOptions;
  readonly #partition: number;
  readonly #regrows: boolean;
  readonly #uncommitted: boolean;
  readonly #patience: Patience;
  readonly #signal: AbortSignal;
  #before: Copies = { leader: -1, replicas: [], isr: [] };
  #leader = -1;
  #follower = -1;
  #committedBefore = -1;
  #following: Promise<void> = Promise.resolve();

  constructor(
    options: ElectionsOptions,
    { partition, regrows, uncommitted }: HowToCut,
    patience: Patience,
    signal: AbortSignal,
  ) {
    this.#options = options;
    this.#partition = partition;
    this.#regrows = regrows;
    this.#uncommitted = uncommitted;
    this.#patience = patience;
    this.#signal = signal;
  }

  /** @returns where the log of the broker ends that is left behind */
  async leaveOneBehind(): Promise<number> {
    const { topic } = this.#options;
    this.#before = await this.#copies();
    this.#leader = this.#before.leader;
    this.#follower = this.#before.replicas.find((broker) => broker !== this.#leader) ?? -1;
    await this.#set(ALONE);
    await this.#patience.retry(() => topic.assign(this.#partition, [this.#leader, this.#follower]));
    await this.#untilCopies((copies) => isOnly(copies, this.#leader, this.#follower));
    const end = await this.#killFollower();
    await this.#untilCopies(({ isr }) => isr.length === 1 && isr[0] === this.#leader);
    return end;
  }

  /**
   * Kills the follower at a moment at which it has all that the leader has, and no transaction is open: one whose end it does
   * not know would stay open for ever.
   */
  async #killFollower(): Promise<number> {
    const { producer, reader } = this.#options;
    for (const giveUpAtMs = Date.now() + SETTLED_WITHIN_MS; ;) {
      await producer.suspend();
      try {
        await this.#pause(STILL_MS);
        const { readable, end } = await this.#log();
        if (readable === end && (await this.#log()).end === end) {
          await this.#broker(this.#follower).kill();
          // What comes from here on will be lost. So at most what is before it is committed.
          reader.holdCommits(this.#uncommitted);
          return end;
        }
      } finally {
        await producer.resume();
      }
      if (Date.now() > giveUpAtMs) throw new Error(`Partition ${this.#partition} has an open transaction all the time`);
      await this.#pause(LOOK_EVERY_MS);
    }
  }

  /**
   * The leader goes on alone for a while. Then nothing can be written any more, and all that it has is read, by the bridge, too.
   *
   * @returns undefined if the bridge does not have all of it in time
   */
  async growTail(from: number): Promise<Pick<Cut, 'to' | 'committed' | 'all'> | undefined> {
    const { read, areRows } = this.#options;
    const { retry } = this.#patience;
    const sinceMs = Date.now();
    await this.#until(async () => (await this.#log()).end >= from + TAIL_RECORDS_MIN, ACCEPTED_WITHIN_MS);
    await this.#set(CLOSED);
    await this.#pause(STILL_MS);
    const { end: to } = await this.#log();
    const committed = await retry(() => read(this.#partition, 'read_committed'));
    const all = await retry(() => read(this.#partition, 'read_uncommitted'));
    const last = committed.offsets.at(-1) ?? -1;
    if (last < from || (await this.#log()).end !== to) return undefined;
    const isCommitted = async (): Promise<boolean> => {
      this.#committedBefore = await this.#committed();
      return this.#committedBefore > last;
    };
    const tail = { to, committed: committed.file, all: all.file };
    if (!this.#uncommitted) return (await this.#until(isCommitted, ACCEPTED_WITHIN_MS)) ? tail : undefined;
    const partition = this.#partition;
    const isAccepted = () => retry(() => areRows({ partition, from, to }, committed.file, sinceMs));
    const isThere = await this.#until(isAccepted, ACCEPTED_WITHIN_MS);
    // Bad ones become no rows. All that was sent with the good ones has arrived by then.
    await this.#pause(STILL_MS);
    // A commit may have been on its way.
    return isThere && (await this.#committed()) <= from ? tail : undefined;
  }

  /** The broker that was left behind leads, and all are back, under the eyes of the daemon that has read what is lost. */
  async elect(): Promise<void> {
    const { told } = this.#options;
    const before = await told();
    const regrows = this.#regrows;
    await this.#untilCut();
    if (!regrows) await this.#patience.wait();
    await this.#bringBack();
    await this.#until(async () => (await told()) > before, TOLD_WITHIN_MS);
    // Who gets the partition later has read nothing of it: only the commit tells it.
    await this.#until(async () => (await this.#committed()) !== this.#committedBefore, TOLD_WITHIN_MS);
  }

  /**
   * The same, but the process that has read what is lost is killed before. The next one begins when the log is longer again, or
   * while it is too short.
   */
  async electForAnother(to: number): Promise<void> {
    const { reader, told } = this.#options;
    const before = await told();
    await reader.kill();
    reader.holdCommits(false);
    await this.#untilCut();
    if (this.#regrows) {
      await this.#bringBack();
      await this.#until(async () => (await this.#log()).readable >= to + TAIL_RECORDS_MIN, ACCEPTED_WITHIN_MS);
      await reader.start();
    } else {
      await reader.start();
      await this.#patience.wait();
      await this.#bringBack();
    }
    await this.#until(async () => (await told()) > before, TOLD_WITHIN_MS);
  }

  /** The broker that was left behind leads. */
  async #untilCut(): Promise<void> {
    await this.#broker(this.#leader).kill();
    // It counts as up only when the other one is, too: of some partitions that one has the only copy.
    this.#following = this.#start(this.#follower);
    this.#following.catch(() => undefined);
    // It had lost its place among those that have all: so what it lacks is lost.
    await this.#untilCopies(({ leader }) => leader === this.#follower);
  }

  /** All brokers are up. Others can write again, if they are to be read at once. */
  async #bringBack(): Promise<void> {
    await Promise.all([this.#start(this.#leader), ...(this.#regrows ? [this.#set(ALONE)] : [])]);
    await this.#following;
  }

  async giveBack(): Promise<void> {
    const { topic, reader } = this.#options;
    const { replicas } = this.#before;
    reader.holdCommits(false);
    await this.#start(this.#follower);
    await this.#set(USUAL);
    await this.#patience.retry(() => topic.assign(this.#partition, replicas));
    await this.#untilCopies(({ isr }) => isr.length === replicas.length);
  }

  #copies(): Promise<Copies> {
    return this.#patience.retry(() => this.#options.topic.copies(this.#partition));
  }

  #committed(): Promise<number> {
    return this.#patience.retry(() => this.#options.topic.committed(this.#partition));
  }

  /** A client that was there before brokers were killed would ask those that led then. */
  #log(): ReturnType<ElectionsOptions['endOf']> {
    return this.#patience.retry(() => this.#options.endOf(this.#partition));
  }

  #set(settings: Readonly<Record<string, string>>): Promise<void> {
    return this.#patience.retry(() => this.#options.set(settings));
  }

  /** Again if it does not get well in time. */
  #start(broker: number): Promise<void> {
    return this.#patience.retry(() => this.#broker(broker).start());
  }

  #broker(id: number): StackPart {
    return this.#options.brokers[id - 1] as StackPart;
  }

  async #untilCopies(isDone: (copies: Copies) => boolean): Promise<void> {
    if (!(await this.#until(async () => isDone(await this.#copies()), COPIES_WITHIN_MS)))
      throw new Error(`Partition ${this.#partition} has other copies: ${JSON.stringify(await this.#copies())}`);
  }

  /** False if it is not so within the time. */
  async #until(isSo: () => Promise<boolean>, withinMs: number): Promise<boolean> {
    for (const giveUpAtMs = Date.now() + withinMs; ;) {
      if (await isSo()) return true;
      if (Date.now() > giveUpAtMs) return false;
      await this.#pause(LOOK_EVERY_MS);
    }
  }

  #pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.#signal });
  }
}

function isOnly({ leader, replicas, isr }: Copies, first: number, second: number): boolean {
  const isBoth = (brokers: readonly number[]): boolean =>
    brokers.length === 2 && brokers.includes(first) && brokers.includes(second);
  return leader === first && isBoth(replicas) && isBoth(isr);
}
