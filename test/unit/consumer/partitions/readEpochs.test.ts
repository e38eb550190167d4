import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  committedRead,
  cutOf,
  isOfOtherLog,
  mayBeCut,
  ReadEpochs,
} from '../../../../src/consumer/partitions/readEpochs.js';
import type { EpochStart } from '../../../../src/kafka/kafkajs/recordSet.js';

const SOURCE = { topic: 'orders', partition: 0, epoch: 'e1' };
const by = (leaderEpoch: number, from = 0) => [{ leaderEpoch, from }];

it('remembers the furthest that was read, also if earlier offsets are read again', () => {
  const read = new ReadEpochs();
  read.note(SOURCE, by(5), 100);
  read.note(SOURCE, by(3), 40);
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 5, to: 100 });
  read.note(SOURCE, by(7, 100), 120);
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 7, to: 120, starts: [...by(5), ...by(7, 100)] });
});

it('remembers where each leader began, up to what was read, and only the last ones', () => {
  const read = new ReadEpochs();
  read.note(SOURCE, [...by(1), ...by(2, 10), ...by(4, 30)], 30);
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 2, to: 30, starts: [...by(1), ...by(2, 10)] });
  read.note(SOURCE, [...by(2, 20), ...by(4, 30)], 40);
  expect(read.of(SOURCE)?.starts).toEqual([...by(1), ...by(2, 10), ...by(4, 30)]);
  for (let epoch = 5; epoch < 100; epoch++) read.note(SOURCE, by(epoch, epoch * 10), epoch * 10 + 10);
  expect(read.of(SOURCE)?.starts).toHaveLength(32);
  expect(read.of(SOURCE)?.starts.at(-1)).toEqual({ leaderEpoch: 99, from: 990 });
});

it('forgets what it has read if others have read further since', () => {
  const read = new ReadEpochs();
  read.note(SOURCE, by(5), 100);
  read.startsAt(SOURCE, 100);
  expect(read.of(SOURCE)).not.toBeNull();
  read.startsAt({ ...SOURCE, epoch: 'e2' }, 200);
  expect(read.of(SOURCE)).not.toBeNull();
  read.startsAt(SOURCE, 101);
  expect(read.of(SOURCE)).toBeNull();
});

it('begins with what the group has committed if this process has not read so far, and only then', () => {
  const read = new ReadEpochs();
  read.startsAt(SOURCE, 100, committedRead(100, 5));
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 5, to: 100, starts: by(5, 99) });
  read.note(SOURCE, by(6, 100), 120);
  read.startsAt(SOURCE, 110, committedRead(110, 6));
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 6, to: 120 });
  read.startsAt(SOURCE, 150, committedRead(150, 7));
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 7, to: 150, starts: by(7, 149) });
});

it('what batchers have accepted counts as read, though nobody knows what is before each of these records', () => {
  const read = new ReadEpochs();
  read.accepted(SOURCE, [
    { leaderEpoch: 4, from: 90 },
    { leaderEpoch: 3, from: 70 },
  ]);
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 4, to: 91, starts: [...by(3, 70), ...by(4, 90)] });
  read.note(SOURCE, by(3, 50), 80);
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 4, to: 91, starts: [...by(3, 50), ...by(4, 90)] });
  // The leader of 85 may be 3 or 4. A commit that names the wrong one would be taken for a cut.
  expect([80, 85].map((offset) => read.leaderEpochBefore(SOURCE, offset))).toEqual([3, null]);
  read.note(SOURCE, [...by(3, 80), ...by(4, 82)], 100);
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 4, to: 100, starts: [...by(3, 50), ...by(4, 82)] });
});

it('an epoch that begins at a cut knows only what was read, and the one before still what was accepted', () => {
  const read = new ReadEpochs();
  read.note(SOURCE, by(3), 50);
  read.accepted(SOURCE, by(4, 90));
  const after = { ...SOURCE, epoch: 'e2' };
  read.continueAt(70, { before: 'e1', source: after });
  // Nobody knows who has written what is between.
  expect(read.of(after)).toBeNull();
  read.continueAt(40, { before: 'e1', source: after });
  expect(read.of(after)).toMatchObject({ leaderEpoch: 3, to: 40, starts: by(3) });
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 4, to: 91 });
});

it('what this process has read says nothing any more if batchers have accepted something else in its place', () => {
  const read = new ReadEpochs();
  read.note(SOURCE, by(3), 50);
  read.accepted(SOURCE, by(3, 49));
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 3, to: 50 });
  read.accepted(SOURCE, by(4, 30));
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 4, to: 31, starts: by(4, 30) });
});

it('knows who has written the record before an offset, as far as it was read', () => {
  const read = new ReadEpochs();
  expect(read.leaderEpochBefore(SOURCE, 10)).toBeNull();
  read.note(SOURCE, [...by(1), ...by(2, 10)], 20);
  expect([0, 1, 10, 11, 20, 21].map((offset) => read.leaderEpochBefore(SOURCE, offset))).toEqual([
    null,
    1,
    1,
    2,
    2,
    null,
  ]);
  expect(read.leaderEpochBefore({ ...SOURCE, epoch: 'e2' }, 10)).toBeNull();
});

it('counts offsets that retention has removed with the leader of the batch after them: the log has that one up to there', () => {
  const read = new ReadEpochs();
  read.note(SOURCE, by(1), 10);
  read.note(SOURCE, by(3, 500), 510);
  expect([10, 11, 500].map((offset) => read.leaderEpochBefore(SOURCE, offset))).toEqual([1, 3, 3]);
});

it('knows nothing of another partition, and of what was read under another epoch of ours', () => {
  const read = new ReadEpochs();
  read.note(SOURCE, by(5), 100);
  expect(read.of({ ...SOURCE, partition: 1 })).toBeNull();
  expect(read.of({ ...SOURCE, epoch: 'e2' })).toBeNull();
  read.note({ ...SOURCE, epoch: 'e2' }, by(7), 40);
  expect(read.of({ ...SOURCE, epoch: 'e2' })).toMatchObject({ leaderEpoch: 7, to: 40 });
  expect(read.of(SOURCE)).toBeNull();
});

it('a leader that was cut off and has come back with records of its own: the logs part where the later leader began', async () => {
  // B has led (epoch 1) to offset 100, of which A has 50. A has led (epoch 2) from 50 to 80, and all of it was read. B leads again.
  const read = new ReadEpochs();
  read.note(SOURCE, [...by(1), ...by(2, 50)], 80);
  const known = read.of(SOURCE)!;
  expect(mayBeCut(known, by(1, 80), { from: 80, next: 100 })).toBe(true);
  const answer = (endOffset: number) => ({ fetchEpochEnd: () => Promise.resolve({ leaderEpoch: 1, endOffset }) });
  const where = { ...SOURCE, topicId: 'aaaa' };
  expect(await cutOf(answer(100), where, known)).toEqual({ at: 50, to: 80 });
  expect(await cutOf(answer(60), where, known)).toEqual({ at: 50, to: 80 });
  expect(await cutOf(answer(45), where, known)).toEqual({ at: 45, to: 80 });
});

it('a leader that answers with another epoch than any that was read is asked for the one before', async () => {
  const read = new ReadEpochs();
  read.note(SOURCE, [...by(1), ...by(5, 50)], 80);
  const asked: number[] = [];
  const fetchEpochEnd = (_: object, epoch: number) => {
    asked.push(epoch);
    return Promise.resolve(epoch === 5 ? { leaderEpoch: 3, endOffset: 100 } : { leaderEpoch: 1, endOffset: 40 });
  };
  expect(await cutOf({ fetchEpochEnd }, { ...SOURCE, topicId: 'aaaa' }, read.of(SOURCE))).toEqual({ at: 40, to: 80 });
  expect(asked).toEqual([5, 1]);
});

/** @param more a further step, besides elections, writes and reads */
async function electAtRandom(more: fc.Arbitrary<{ handOver: number } | { rewind: number } | { rebalance: boolean }>) {
  const copy = fc.nat({ max: 2 });
  const records = fc.integer({ min: 1, max: 6 });
  const step = fc.oneof(
    fc.record({ elect: copy }),
    { weight: 2, arbitrary: fc.record({ write: records }) },
    { weight: 2, arbitrary: fc.record({ follow: copy, records }) },
    { weight: 3, arbitrary: fc.record({ read: records }) },
    { weight: 2, arbitrary: more },
  );
  const all = { cuts: 0, records: 0, passedOver: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const copies = new Copies();
      const reader = new Reader(copies);
      for (const step of steps) {
        if ('elect' in step) copies.elect(step.elect);
        else if ('write' in step) copies.write(step.write);
        else if ('follow' in step) copies.follow(step.follow, step.records);
        else if ('read' in step) await reader.read(step.read);
        else if ('rebalance' in step) reader.rebalance();
        else if ('handOver' in step) reader.handOver(step.handOver);
        else reader.rewind(step.rewind);
      }
      // A log that ends exactly where reading has ended shows only with its next record that it is another one.
      copies.write(Math.max(1, reader.has.length - copies.log.length + 1));
      for (let rounds = 0; rounds < 400; rounds++) await reader.read(6);
      all.cuts += reader.cuts;
      all.records += copies.log.length;
      if (reader.isExact) expect([reader.has, reader.passedOver]).toEqual([copies.log, 0]);
      all.passedOver += reader.passedOver + copies.log.filter(({ id }, at) => reader.has[at]?.id !== id).length;
    }),
    { numRuns: 300 },
  );
  return all;
}

it('a member that knows only the commit finds a cut below it, also if the log has grown past it since', async () => {
  const answer = (leaderEpoch: number, endOffset: number) => ({
    fetchEpochEnd: () => Promise.resolve({ leaderEpoch, endOffset }),
  });
  const where = { ...SOURCE, topicId: 'aaaa' };
  const read = committedRead(100, 5);
  expect(mayBeCut(read, by(5, 100), { from: 100, next: 120 })).toBe(false);
  expect(mayBeCut(read, by(7, 100), { from: 100, next: 120 })).toBe(true);
  expect(await cutOf(answer(5, 110), where, read)).toBe('whole');
  expect(await cutOf(answer(5, 80), where, read)).toEqual({ at: 80, to: 100 });
  expect(await cutOf(answer(3, 60), where, read)).toEqual({ at: 60, to: 100 });
});

// ── Elections ──────────────────────────────────────────────────────────────────────────────────────────────────────

interface Written {
  readonly leaderEpoch: number;
  readonly id: number;
}

/** A partition with three copies, each of which may be elected, whatever it lacks. */
class Copies {
  readonly logs: Written[][] = [[], [], []];
  leader = 0;
  #leaderEpoch = 0;
  #ids = 0;

  get log(): readonly Written[] {
    return this.logs[this.leader]!;
  }

  elect(leader: number): void {
    this.leader = leader;
    this.#leaderEpoch++;
  }

  write(records: number): void {
    for (let count = 0; count < records; count++)
      this.logs[this.leader]!.push({ leaderEpoch: this.#leaderEpoch, id: this.#ids++ });
  }

  /** A follower drops what the leader does not have, and copies some of the rest. */
  follow(follower: number, records: number): void {
    if (follower === this.leader) return;
    const log = this.logs[follower]!;
    log.length = parting(log, this.log);
    log.push(...this.log.slice(log.length, log.length + records));
  }

  /** As `LeaderEpochFileCache.endOffsetFor` of Kafka. */
  readonly fetchEpochEnd = (_: object, asked: number) => {
    const starts = epochStarts(this.log, 0, this.log.length);
    if (starts.at(-1)?.leaderEpoch !== this.#leaderEpoch)
      starts.push({ leaderEpoch: this.#leaderEpoch, from: this.log.length });
    if (asked === this.#leaderEpoch) return Promise.resolve({ leaderEpoch: asked, endOffset: this.log.length });
    const higher = starts.find(({ leaderEpoch }) => leaderEpoch > asked);
    if (higher === undefined) return Promise.resolve({ leaderEpoch: -1, endOffset: -1 });
    const floor = starts.findLast(({ leaderEpoch }) => leaderEpoch <= asked)?.leaderEpoch ?? asked;
    return Promise.resolve({ leaderEpoch: floor, endOffset: higher.from });
  };
}

/** The first offset at which two logs have not the same record. */
function parting(one: readonly Written[], other: readonly Written[]): number {
  const at = one.findIndex(({ id }, offset) => other[offset]?.id !== id);
  return at < 0 ? one.length : at;
}

function epochStarts(log: readonly Written[], from: number, to: number): EpochStart[] {
  const starts: EpochStart[] = [];
  for (let offset = from; offset < to; offset++) {
    const { leaderEpoch } = log[offset]!;
    if (leaderEpoch !== starts.at(-1)?.leaderEpoch) starts.push({ leaderEpoch, from: offset });
  }
  return starts;
}

/** Reads the leader's log as `BatchIntake` does. What it takes at an offset that it has had is passed over, as batchers do. */
class Reader {
  readonly #copies: Copies;
  #epochs = new ReadEpochs();
  #epoch = 0;
  #epochsBegun = 0;
  /** As it was when the last committed epoch ended. Null if the present one is committed. */
  #uncommitted: {
    readonly epoch: number;
    readonly had: Written[];
    readonly start: number;
    readonly next: number;
  } | null = null;
  /** What was read, as far as the log is known to have it. */
  #had: Written[] = [];
  #start = 0;
  #next = 0;
  /** False if it knows of what was read only the commit, and the last record of each batcher. */
  isExact = true;
  cuts = 0;
  /** New records that were passed over, because the cut was put too high. */
  passedOver = 0;

  constructor(copies: Copies) {
    this.#copies = copies;
  }

  get has(): readonly Written[] {
    return this.#had;
  }

  /** After a rebalance the commit counts. */
  rewind(records: number): void {
    this.#next = Math.max(this.#start, this.#next - records);
  }

  /** Another member, which has read nothing, goes on at the commit. Two batchers have accepted more. */
  handOver(uncommitted: number): void {
    if (this.#uncommitted !== null) return;
    const source = { ...SOURCE, epoch: String(this.#epoch) };
    const next = Math.max(this.#start, this.#next - uncommitted);
    const leaderEpoch = this.#epochs.leaderEpochBefore(source, next);
    this.#epochs = new ReadEpochs();
    this.#epochs.startsAt(source, next, leaderEpoch === null ? null : committedRead(next, leaderEpoch));
    const last = this.#had.length - 1;
    const marks = [last, last - 1].filter((from) => from >= this.#start);
    this.#epochs.accepted(
      source,
      marks.map((from) => ({ leaderEpoch: this.#had[from]!.leaderEpoch, from })),
    );
    this.#next = next;
    this.isExact = false;
  }

  async read(records: number): Promise<void> {
    const { log } = this.#copies;
    const source = { ...SOURCE, epoch: String(this.#epoch) };
    const where = { ...SOURCE, topicId: 'aaaa' };
    const read = this.#epochs.of(source);
    const from = this.#next;
    if (from > log.length) {
      const cut = await cutOf(this.#copies, where, read);
      if (typeof cut !== 'string') this.#cutAt(cut.at, source);
      else if (this.isExact) throw new Error(`a log that is too short is ${cut}`);
      // Nothing is known of it under this epoch.
      else this.#cutAt(log.length, source);
      return;
    }
    let next = Math.min(log.length, from + records);
    if (next === from) return;
    const epochs = epochStarts(log, from, next);
    if (read !== null && mayBeCut(read, epochs, { from, next })) {
      const cut = await cutOf(this.#copies, where, read);
      if (cut === 'whole') expect(isOfOtherLog(read, epochs, from)).toBe(false);
      else if (typeof cut === 'string') throw new Error(`nothing is known of the log: ${cut}`);
      else if (cut.at <= from) {
        this.#cutAt(cut.at, source);
        return;
      } else next = Math.min(next, cut.at);
    }
    for (let offset = from; offset < next; offset++) {
      this.#had[offset] ??= log[offset]!;
      if (this.#had[offset]!.id === log[offset]!.id) continue;
      // Batchers take it for the one that they have, and drop it.
      this.passedOver++;
      this.#had[offset] = log[offset]!;
    }
    this.#epochs.note(source, epochs, next);
    this.#next = next;
    this.#uncommitted = null;
  }

  /** The group had not committed the epoch that has begun: it goes on under the old one, where it was. */
  rebalance(): void {
    if (this.#uncommitted === null) return;
    const { epoch, had, start, next } = this.#uncommitted;
    [this.#epoch, this.#had, this.#start, this.#next] = [epoch, had, start, next];
    this.#uncommitted = null;
    this.#epochs.startsAt({ ...SOURCE, epoch: String(epoch) }, next);
  }

  #cutAt(at: number, { epoch }: { readonly epoch: string }): void {
    const { log } = this.#copies;
    const exact = parting(this.#had, log);
    if (this.isExact) expect(at).toBe(exact);
    // What is below the cut would be read, and become a row, twice.
    expect(at).toBeGreaterThanOrEqual(exact);
    for (let offset = exact; offset < Math.min(at, log.length); offset++, this.passedOver++)
      this.#had[offset] = log[offset]!;
    this.#uncommitted ??= { epoch: this.#epoch, had: this.#had, start: this.#start, next: this.#next };
    this.#epoch = ++this.#epochsBegun;
    this.#epochs.continueAt(at, { before: epoch, source: { ...SOURCE, epoch: String(this.#epoch) } });
    this.#had = this.#had.slice(0, at);
    this.#start = this.#next = at;
    this.cuts++;
  }
}

it('a member that knows only the commit and the last records of batchers takes no record for another one, reads none twice, and passes over almost none', async () => {
  const { cuts, records, passedOver } = await electAtRandom(fc.record({ handOver: fc.nat({ max: 4 }) }));
  expect(cuts).toBeGreaterThan(100);
  // Only if a leader that was cut off has come back with records of its own. Without the batchers it is five times as much.
  expect(passedOver / records).toBeLessThan(0.035);
});

it('whoever is elected, with whatever it lacks: each record of the last log is read, a cut is found exactly where the logs part, and nothing before it is read again', async () => {
  const records = fc.integer({ min: 1, max: 6 });
  const { cuts, passedOver } = await electAtRandom(
    fc.oneof(fc.record({ rewind: records }), fc.record({ rebalance: fc.constant(true) })),
  );
  expect(cuts).toBeGreaterThan(100);
  expect(passedOver).toBe(0);
});
