import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack, StackPart } from '../stack/stack.js';
import type { Batchers, HowToClose } from './batchers.js';
import type { ChaosDaemon, Conditions } from './daemons.js';
import { DISK_ERRORS, growthOf, TABLE_ERRORS, VIEW_ERRORS, type Count } from './evidence.js';
import type { Disks } from './disks.js';
import type { Elections } from './elections.js';
import type { Keys } from './keys.js';
import type { Leaders } from './leaders.js';
import type { Burst, DiskOwner, Fault, Part, PlannedFault } from './plan.js';
import type { Patience, Rereads } from './rereads.js';
import type { ChaosTable } from './table.js';
import type { InputTopic } from './topic.js';

/** What of the daemons' configuration a fault changes. What it does not name is as usual. */
export interface Changes {
  readonly batchers?: number;
  /** Batchers continue as new as often as can be configured. */
  readonly shortHistories?: true;
}

/** What faults are done to. */
export interface Victims {
  readonly stack: Stack;
  readonly daemons: readonly ChaosDaemon[];
  /** Runs only while members come and go. */
  readonly guest: ChaosDaemon;
  readonly batchers: Batchers;
  readonly table: ChaosTable;
  readonly leaders: Leaders;
  readonly topic: InputTopic;
  readonly rereads: Rereads;
  readonly elections: Elections;
  readonly disks: Disks;
  /** Configures the daemons, from their next start on. */
  readonly configure: (changes: Changes) => void;
  /** The topic of the acknowledgements. */
  readonly replies: string;
  /** The keys of the encryption, which count when the daemons are configured the next time. */
  readonly keys: Pick<Keys, 'add' | 'activate'>;
  /** Signals in open runs of batchers that were encrypted by the present key. */
  readonly signalsByKey: () => Promise<number>;
  /** Sends records at once. Resolves when all are sent. @returns how many the brokers have confirmed */
  readonly send: (burst: Burst) => Promise<number>;
  /** Deletes the topic that is there for it, makes it again, and sends so many records to it. @returns how many it has */
  readonly remake: (records: number, whileRead: boolean) => Promise<number>;
  /** Sends some more records to it, after the daemons have shown that they know that it was made again. */
  readonly addToRemade: () => Promise<number>;
  /** The topic that is there for it. */
  readonly remade: { readonly topic: string; readonly partitions: number };
  /** Deletes what the consumer group has committed, of one partition or of all; false if it has members. */
  readonly loseOffsets: (partition: number | undefined) => Promise<boolean>;
}

/** What daemons log then. They look at the columns of a table before they insert, which ClickHouse counts as no error. */
const NO_TABLE = 'there is no table';
const FILL_AGAIN_MS = 500;
const LOOK_EVERY_MS = 500;
/** A process that begins on a busy machine. */
const FIRST_LINE_WITHIN_MS = 20_000;
const ROWS_WITHIN_MS = 30_000;
const MIB = 1024 ** 2;
/** Above 8,000 events a consumer sends no more to a batcher: docs/internals/flow-control.md. */
const MANY_SIGNALS = 8_000;
/** A heap is tight if so much of it is taken. */
const HEAP_TIGHT_SHARE = 0.7;
const READ_FOR_MS = 6_000;

/** A part may be away when it is needed: another fault is at work. */
const TRIES = 60;
const TRY_PAUSE_MS = 1_000;

/** Other faults may be at work. */
const JOIN_WITHIN_MS = 30_000;

const CLOSE_TRIES = 20;
const CLOSE_PAUSE_MS = 500;

/**
 * Does a fault and ends it. Resolves when what it was done to is back, which may take longer than the fault lasts.
 *
 * @param signal ends it at once, without bringing anything back
 * @returns whether it has hit something, or how often, by what somebody has seen: a batcher may have no open run, a link no
 * connection, a table that is away nobody who wanted to write to it
 */
export async function inject(
  { fault, lastsMs }: PlannedFault,
  victims: Victims,
  signal: AbortSignal,
): Promise<boolean | number> {
  const wait = () => sleep(lastsMs, undefined, { signal });
  const patience: Patience = { wait, retry: (act) => untilDone(act, signal) };
  switch (fault.kind) {
    case 'daemon terminated':
    case 'daemon killed':
    case 'daemon frozen':
      return disturbDaemon(fault.kind, daemonOf(victims, fault), wait);
    case 'part killed':
    case 'part stopped':
    case 'part frozen':
      return disturbPart(fault.kind, partOf(victims, fault.part, fault.index), patience);
    case 'link slow':
    case 'link reset':
    case 'link half-open':
    case 'link partitioned':
      return disturbLinks(fault, daemonOf(victims, fault), wait);
    case 'answers dropped':
      return dropAnswers(fault, victims, wait);
    case 'batcher terminated':
      return close(victims, fault.batcher, 'terminate');
    case 'batcher cancelled':
      return close(victims, fault.batcher, 'cancel');
    case 'batcher reset':
      return close(victims, fault.batcher, `reset to the ${fault.to} task`);
    case 'leaders moved':
      return withUndo(victims.leaders.move, victims.leaders.giveBack, victims.leaders.moved, patience);
    case 'table away': {
      const errors = await growthOf(() => victims.table.errors(TABLE_ERRORS), patience.retry);
      const told = linesSince(victims, NO_TABLE);
      return withUndo(
        () => victims.table.away(),
        () => victims.table.back(),
        async () => (await errors()) + told(),
        patience,
      );
    }
    case 'table altered':
      return withUndo(
        () => victims.table.addColumn(),
        () => victims.table.dropColumn(),
        () => victims.table.rowsSinceAltered(),
        patience,
      );
    case 'offsets lost':
      return loseOffsets(victims, undefined, wait, signal);
    case 'offsets expired':
      return loseOffsets(victims, fault.partition, wait, signal);
    case 'layout changed': {
      const runs = await growthOf(() => victims.batchers.runsOfLayout(fault.batchers), patience.retry);
      for (const changes of [{ batchers: fault.batchers }, {}]) {
        victims.configure(changes);
        await restartAll(victims, fault.kills);
        await wait();
      }
      return runs();
    }
    case 'encryption key changed':
      return changeKey(victims, lastsMs, patience, signal);
    case 'short histories': {
      const continued = await growthOf(() => victims.batchers.continuedRuns(), patience.retry);
      victims.configure({ shortHistories: true });
      await restartAll(victims, false);
      await victims.send(fault.burst);
      await wait();
      victims.configure({});
      await restartAll(victims, false);
      return continued();
    }
    case 'workers away':
      return keepWorkersAway(victims, fault.burst, patience);
    case 'signals piled up':
      return pileUpSignals(victims, lastsMs);
    case 'burst':
      return victims.send(fault.burst);
    case 'memory tight':
      return tightenMemory(daemonOf(victims, fault), fault.heapMiB, lastsMs, signal);
    case 'clock wrong':
      return setClock(daemonOf(victims, fault), fault.shiftMs, lastsMs, signal);
    case 'partitions added':
      return addPartitions(victims, fault.added, patience);
    case 'table made anew':
      return makeAnew(victims, patience, signal);
    case 'topic made again':
      return whileStopped(
        victims,
        async () => {
          await wait();
          return (await patience.retry(() => victims.remake(fault.records, false))) > 0;
        },
        signal,
      );
    case 'topic made again while read':
      return remakeWhileRead(victims, fault.records, lastsMs, patience, signal);
    case 'unclean election':
      return electUncleanly(victims, fault, patience, signal);
    case 'records expired':
      return whileStopped(victims, () => victims.rereads.expire(fault.partition, patience), signal);
    case 'rewound':
      return whileStopped(victims, () => victims.rereads.rewind(fault.partition, fault.again, patience), signal);
    case 'view failing': {
      const errors = await growthOf(() => victims.table.errors(VIEW_ERRORS), patience.retry);
      return withUndo(
        () => victims.table.failView(fault.rows),
        () => victims.table.mendView(),
        errors,
        patience,
      );
    }
    case 'disk full':
      return fillDisk(victims, fault.full, lastsMs, patience, signal);
    case 'members come and go':
      return comeAndGo(victims, fault.rounds, wait, signal);
    default:
      return fault satisfies never;
  }
}

/** Counts the lines with this text in the logs of the daemons from now on. */
function linesSince({ daemons }: Victims, text: string): () => number {
  const from = daemons.map((daemon) => daemon.logBytes());
  return () => daemons.reduce((sum, daemon, index) => sum + daemon.linesWith(text, from[index] ?? 0), 0);
}

/** @param hits what it has hit, looked up before it is undone */
async function withUndo(
  act: () => Promise<void>,
  undo: () => Promise<void>,
  hits: Count,
  { wait, retry }: Patience,
): Promise<number> {
  await retry(act);
  await wait();
  const found = await retry(hits);
  await retry(undo);
  return found;
}

async function untilDone<T>(act: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await act();
    } catch (error) {
      if (tries === TRIES) throw error;
      await sleep(TRY_PAUSE_MS, undefined, { signal });
    }
  }
}

/** A group can be deleted only while it has no members. */
function loseOffsets(
  victims: Victims,
  partition: number | undefined,
  wait: () => Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  const lose = async (): Promise<boolean> => {
    const isDone = await victims.loseOffsets(partition);
    await wait();
    return isDone;
  };
  return whileStopped(victims, lose, signal);
}

/** Does something while no daemon runs. Then they read for some seconds before another fault stops them again. */
async function whileStopped(
  { daemons, guest }: Victims,
  act: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<boolean> {
  await Promise.all([...daemons, guest].map((daemon) => daemon.terminate()));
  const isDone = await act();
  await Promise.all(daemons.map((daemon) => daemon.start()));
  await sleep(READ_FOR_MS, undefined, { signal });
  return isDone;
}

/** One after the other. */
async function restartAll({ daemons }: Victims, kills: boolean, conditions: Conditions = {}): Promise<void> {
  for (const daemon of daemons) await restartUnder(daemon, conditions, kills);
}

async function restartUnder(daemon: ChaosDaemon, conditions: Conditions, kills = false): Promise<void> {
  await (kills ? daemon.kill() : daemon.terminate());
  daemon.under(conditions);
  await daemon.start();
}

/**
 * By docs/encryption.md: first all can read what the new key encrypts, then it is the active one.
 *
 * @returns how many signals were encrypted by it
 */
async function changeKey(victims: Victims, lastsMs: number, { retry }: Patience, signal: AbortSignal): Promise<number> {
  for (const step of ['add', 'activate'] as const) {
    victims.keys[step]();
    victims.configure({});
    await restartAll(victims, false);
  }
  return seenWithin(() => retry(() => victims.signalsByKey()), lastsMs, signal);
}

/** @returns how many records were accepted while none was acknowledged */
async function keepWorkersAway(victims: Victims, burst: Burst, { wait, retry }: Patience): Promise<number> {
  const { topic, replies } = victims;
  await restartAll(victims, false, { role: 'consumer' });
  const committed = await growthOf(() => topic.committedInAll(), retry);
  const answered = await growthOf(() => topic.endOf(replies), retry);
  await victims.send(burst);
  await wait();
  // What a link has held back may still arrive.
  const hits = Math.max(0, (await committed()) - (await answered()));
  await restartAll(victims, false);
  return hits;
}

/** @returns how many signals a batcher got, if they are about as many as its history may have */
async function pileUpSignals(victims: Victims, lastsMs: number): Promise<number> {
  await restartAll(victims, false, { role: 'consumer' });
  const taken = await victims.batchers.pileUp(lastsMs);
  await restartAll(victims, false);
  return taken < MANY_SIGNALS ? 0 : taken;
}

/** @returns how often it has ended for it, or had most of what it may have when somebody looked */
async function tightenMemory(
  daemon: ChaosDaemon,
  heapMiB: number,
  lastsMs: number,
  signal: AbortSignal,
): Promise<number> {
  const { endsForMemory } = daemon;
  let nearlyFull = 0;
  await restartUnder(daemon, { heapMiB });
  for (const until = Date.now() + lastsMs; Date.now() < until;) {
    await sleep(LOOK_EVERY_MS, undefined, { signal });
    if (((await daemon.heapUsed()) ?? 0) > HEAP_TIGHT_SHARE * heapMiB * MIB) nearlyFull++;
  }
  await restartUnder(daemon, {});
  return nearlyFull + daemon.endsForMemory - endsForMemory;
}

/**
 * It starts with a clock that is ahead. Later it is set back by twice as much, and at last it is right again.
 *
 * @returns how many lines of its log were from the future
 */
async function setClock(daemon: ChaosDaemon, shiftMs: number, lastsMs: number, signal: AbortSignal): Promise<number> {
  const logFrom = daemon.logBytes();
  let ahead = 0;
  await restartUnder(daemon, { clockMs: shiftMs });
  for (const until = Date.now() + FIRST_LINE_WITHIN_MS; daemon.logBytes() === logFrom && Date.now() < until;)
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  for (const until = Date.now() + lastsMs / 2; Date.now() < until;) {
    await sleep(Math.min(LOOK_EVERY_MS, shiftMs / 4), undefined, { signal });
    ahead = Math.max(ahead, daemon.linesAhead(logFrom, shiftMs / 2));
  }
  daemon.under({ clockMs: -shiftMs });
  await sleep(lastsMs / 2, undefined, { signal });
  daemon.under({ clockMs: 0 });
  // From its next start on it has the machine's clock.
  daemon.under({});
  return ahead;
}

/** @returns of how many of them the group has read something */
async function addPartitions({ topic }: Victims, added: number, { wait, retry }: Patience): Promise<number> {
  const before = await retry(() => topic.partitions());
  await retry(() => topic.extend(before + added));
  await wait();
  const seen = await retry(() => topic.again());
  let hits = 0;
  for (let partition = before; partition < before + added; partition++)
    if ((await retry(() => seen.committed(partition))) > 0) hits++;
  await seen.disconnect();
  return hits;
}

/** @returns rows that have come into the new table soon; none if the old one had none */
async function makeAnew({ table }: Victims, { retry }: Patience, signal: AbortSignal): Promise<number> {
  await table.makeAnew(retry);
  for (const until = Date.now() + ROWS_WITHIN_MS; ;) {
    const [before, after] = await retry(() => table.rowsBeforeAndAfter());
    if (before === 0 || after > 0 || Date.now() > until) return before === 0 ? 0 : after;
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

/**
 * One daemon reads alone meanwhile. Whoever has read nothing of a log yet cannot know that it was cut below the commit, if it is
 * longer again: docs/guarantees.md.
 */
async function electUncleanly(
  { daemons, elections }: Victims,
  fault: Extract<Fault, { kind: 'unclean election' }>,
  patience: Patience,
  signal: AbortSignal,
): Promise<number> {
  const [, ...others] = daemons.filter(({ role }) => role !== 'worker');
  await Promise.all(others.map((daemon) => daemon.terminate()));
  const lost = await elections.hold(fault, patience, signal);
  await Promise.all(others.map((daemon) => daemon.start()));
  return lost;
}

/**
 * Once the daemons know of all partitions, nothing that comes then may be read twice.
 *
 * @returns of how many partitions there are rows under new epochs soon: by them the daemons show that they know
 */
async function remakeWhileRead(
  { table, remake, addToRemade, remade: { topic, partitions } }: Victims,
  records: number,
  lastsMs: number,
  { retry }: Patience,
  signal: AbortSignal,
): Promise<number> {
  const before = await retry(() => table.epochsOf(topic));
  await retry(() => remake(records, true));
  const known = (): Promise<number> => retry(() => table.partitionsUnderOthers(topic, before));
  const found = await seenWithin(known, lastsMs, signal, partitions);
  if (found === partitions) await addToRemade();
  return found;
}

/** The count as soon as there is enough, or what there is at the end of the time. */
async function seenWithin(count: Count, withinMs: number, signal: AbortSignal, enough = 1): Promise<number> {
  for (const until = Date.now() + withinMs; ;) {
    const found = await count();
    if (found >= enough || Date.now() > until) return found;
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

/**
 * What its owner deletes meanwhile gets full again.
 *
 * @returns how often something could not be written
 */
async function fillDisk(
  { disks, stack, table, batchers }: Victims,
  owner: DiskOwner,
  lastsMs: number,
  { retry }: Patience,
  signal: AbortSignal,
): Promise<number> {
  const errors = owner === 'clickhouse' ? await growthOf(() => table.errors(DISK_ERRORS), retry) : undefined;
  let refused = 0;
  try {
    for (const until = Date.now() + lastsMs; Date.now() < until;) {
      disks.fill(owner);
      await sleep(FILL_AGAIN_MS, undefined, { signal });
      if (owner === 'temporal' && !(await batchers.canWrite())) refused++;
    }
  } finally {
    disks.free(owner);
  }
  // It may have ended for that.
  const hasEnded = !stack.parts[owner].running;
  await retry(() => stack.parts[owner].start());
  return refused + Number(hasEnded) + ((await errors?.()) ?? 0);
}

/** A member that has no partitions yet takes none away when it goes. */
async function comeAndGo(
  { guest }: Victims,
  rounds: number,
  wait: () => Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  let isDone = true;
  for (let round = 0; round < rounds; round++) {
    await guest.start();
    const hasJoined = await guest.untilAssigned(JOIN_WITHIN_MS, signal);
    if (hasJoined) await wait();
    isDone &&= hasJoined;
    // One says goodbye, the other one does not.
    if (round % 2 === 0) await guest.terminate();
    else await guest.kill();
  }
  return isDone;
}

/** Brings back whatever a fault may have left away. */
export async function healAll({ stack, daemons, guest }: Victims): Promise<void> {
  const { kafka, temporal, clickhouse } = stack.parts;
  for (const daemon of [...daemons, guest]) {
    for (const part of ['kafka', 'temporal', 'clickhouse'] as const) for (const link of daemon.links(part)) link.heal();
    await daemon.unfreeze();
  }
  for (const part of [...kafka, temporal, clickhouse]) if (part.running) await part.resume();
  await Promise.all([...kafka, temporal, clickhouse].map((part) => part.start()));
  await guest.kill();
  await Promise.all(daemons.map((daemon) => daemon.start()));
}

/** False if it did not run. */
async function disturbDaemon(
  kind: 'daemon terminated' | 'daemon killed' | 'daemon frozen',
  daemon: ChaosDaemon,
  wait: () => Promise<void>,
): Promise<boolean> {
  const { running } = daemon;
  if (kind === 'daemon frozen') {
    await daemon.freeze();
    await wait();
    await daemon.unfreeze();
    return running;
  }
  await (kind === 'daemon killed' ? daemon.kill() : daemon.terminate());
  await wait();
  await daemon.start();
  return running;
}

/** False if it did not run. */
async function disturbPart(
  kind: 'part killed' | 'part stopped' | 'part frozen',
  part: StackPart,
  { wait, retry }: Patience,
): Promise<boolean> {
  const { running } = part;
  if (kind === 'part frozen') {
    await part.suspend();
    await wait();
    await part.resume();
    return running;
  }
  await (kind === 'part killed' ? part.kill() : part.stop());
  await wait();
  // One that was killed reads its logs again, which may take it longer than it is usually given.
  await retry(() => part.start());
  return running;
}

/** @returns how many connections it has hit, or pieces of what they pass on */
async function disturbLinks(
  fault: Extract<Fault, { delayMs: number }>,
  daemon: ChaosDaemon,
  wait: () => Promise<void>,
): Promise<number> {
  const links = daemon.links(fault.part);
  const hits = (): number => links.reduce((sum, link) => sum + link.hits, 0);
  const before = hits();
  for (const link of links) {
    if (fault.kind === 'link slow') link.set({ type: 'slow', delayMs: fault.delayMs });
    else if (fault.kind === 'link partitioned') link.set({ type: 'partitioned' });
    else if (fault.kind === 'link reset') link.reset();
    else link.halfOpen();
  }
  await wait();
  for (const link of links) link.heal();
  return hits() - before;
}

/** @returns how many answers of that kind were dropped */
async function dropAnswers(
  { daemon, part, asked, count, closes }: Extract<Fault, { kind: 'answers dropped' }>,
  victims: Victims,
  wait: () => Promise<void>,
): Promise<number> {
  const links = daemonOf(victims, { daemon }).links(part);
  const dropped = (): number => links.reduce((sum, link) => sum + link.dropped(asked), 0);
  const before = dropped();
  for (const link of links) {
    // Nothing is looked up but after an insert without an answer.
    if (asked === 'lookUp') link.dropAnswers('insert', 1);
    link.dropAnswers(asked, count);
  }
  const indexes = Array.from({ length: closes }, (_, index) => index);
  await Promise.all(indexes.map((index) => close(victims, index, 'terminate')));
  await wait();
  for (const link of links) link.heal();
  return dropped() - before;
}

/** Between two runs of a batcher there is none, for a moment. */
async function close({ batchers }: Victims, index: number, how: HowToClose): Promise<boolean> {
  for (let tries = 0; tries < CLOSE_TRIES; tries++) {
    if (await batchers.close(index, how)) return true;
    await sleep(CLOSE_PAUSE_MS);
  }
  return false;
}

function daemonOf({ daemons }: Victims, { daemon }: { readonly daemon: number }): ChaosDaemon {
  return daemons[daemon] as ChaosDaemon;
}

function partOf({ stack }: Victims, part: Part, index: number): StackPart {
  return part === 'kafka' ? (stack.parts.kafka[index] as StackPart) : stack.parts[part];
}
