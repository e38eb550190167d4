import type { InputTopic, Offsets } from './topic.js';

/** Records that a group was told to read again as new ones. */
export interface ReadAgain extends Offsets {
  /** What comes after it, up to `to`, was perhaps not read before. */
  readonly sureTo: number;
}

/** Records that were removed, whether they had been read or not. */
export interface Removed {
  readonly partition: number;
  /** The first one that was not read. */
  readonly unreadFrom: number;
  /** The first one that is left. */
  readonly to: number;
  /** What the partition had before, as `clients/read.py` has read it. */
  readonly file: string;
}

/** How a deliberate act waits, and repeats what another fault makes impossible at the moment. */
export interface Patience {
  readonly wait: () => Promise<void>;
  readonly retry: <T>(act: () => Promise<T>) => Promise<T>;
}

/** What rereads need of a run. */
export interface RereadsOptions {
  readonly topic: Pick<InputTopic, 'committed' | 'ends' | 'removeBefore'>;
  /** Reads a partition into a file. Tells the offsets of its records, in their order. */
  readonly read: (partition: number) => Promise<{ readonly file: string; readonly offsets: readonly number[] }>;
  /** Runs `ktb` as a person would. Rejects if it fails. */
  readonly ktb: (...args: string[]) => Promise<void>;
  readonly topicName: string;
  readonly pipeline: string;
}

/** A rewind goes back by so many at most. */
const OFFSETS_BACK_MAX = 5_000;
/** With fewer there is nothing to remove, or nothing left after it. */
const UNREAD_MIN = 2;

/**
 * Deliberate acts that change which records are read, and how often. No daemon runs meanwhile. What is due afterwards is
 * noted.
 */
export class Rereads {
  readonly again: ReadAgain[] = [];
  /** Read again, and only what the table lacked was inserted. */
  readonly filled: Offsets[] = [];
  readonly removed: Removed[] = [];
  readonly #options: RereadsOptions;

  constructor(options: RereadsOptions) {
    this.#options = options;
  }

  /** The first half of what was not read yet is removed with all that is before it. False if there is too little of it. */
  async expire(partition: number, { wait, retry }: Patience): Promise<boolean> {
    const { topic, read } = this.#options;
    await wait();
    const unreadFrom = await retry(() => topic.committed(partition));
    const { file, offsets } = await retry(() => read(partition));
    const unread = offsets.filter((offset) => offset >= unreadFrom);
    const to = unread[Math.floor(unread.length / 2)];
    if (unreadFrom < 0 || unread.length < UNREAD_MIN || to === undefined) return false;
    // Noted before: the request may be done although its answer is lost.
    this.removed.push({ partition, unreadFrom, to, file });
    await retry(() => topic.removeBefore(partition, to));
    return true;
  }

  /** False if there is nothing to read again. */
  async rewind(partition: number, again: boolean, { wait, retry }: Patience): Promise<boolean> {
    const { topic, topicName, pipeline, ktb } = this.#options;
    const committed = await retry(() => topic.committed(partition));
    const log = await retry(() => topic.ends(partition));
    const from = Math.max(log.from, committed - OFFSETS_BACK_MAX);
    if (committed <= from) return false;
    if (again) this.again.push({ partition, from, sureTo: committed, to: log.to });
    const place = ['--to', String(from), '--partition', `${topicName}/${partition}`];
    try {
      await retry(() => ktb('rewind', pipeline, ...place, ...(again ? ['--again'] : [])));
    } finally {
      // Up to the end that the log had then, whatever was committed: more may have been accepted.
      if (!again) this.filled.push({ partition, from, to: (await retry(() => topic.ends(partition))).to });
    }
    await wait();
    return true;
  }
}
