import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack, StackPart } from '../stack/stack.js';
import type { Batchers } from './batchers.js';
import type { ChaosDaemon, Conditions } from './daemons.js';
import type { Disks } from './disks.js';
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
  readonly disks: Disks;
  /** Configures the daemons, from their next start on. */
  readonly configure: (changes: Changes) => void;
  /** Sends records at once. Resolves when all are sent. */
  readonly send: (burst: Burst) => Promise<void>;
  /** Deletes the consumer group; false if it has members. */
  readonly loseOffsets: () => Promise<boolean>;
}

const FILL_AGAIN_MS = 500;
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
 * @returns whether it has hit something, or how often: a batcher may have no open run, a link no connection
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
      return disturbPart(fault.kind, partOf(victims, fault.part, fault.index), wait);
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
      return close(victims, fault.batcher, 'reset');
    case 'leaders moved':
      await withUndo(victims.leaders.move, victims.leaders.giveBack, wait, signal);
      return true;
    case 'table away':
      await withUndo(
        () => victims.table.away(),
        () => victims.table.back(),
        wait,
        signal,
      );
      return true;
    case 'table altered':
      await withUndo(
        () => victims.table.addColumn(),
        () => victims.table.dropColumn(),
        wait,
        signal,
      );
      return true;
    case 'offsets lost':
      return loseOffsets(victims, wait, signal);
    case 'layout changed':
      for (const changes of [{ batchers: fault.batchers }, {}]) {
        victims.configure(changes);
        await restartAll(victims, fault.kills);
        await wait();
      }
      return true;
    case 'short histories':
      victims.configure({ shortHistories: true });
      await restartAll(victims, false);
      await victims.send(fault.burst);
      await wait();
      victims.configure({});
      await restartAll(victims, false);
      return true;
    case 'workers away':
      await restartAll(victims, false, { role: 'consumer' });
      await victims.send(fault.burst);
      await wait();
      await restartAll(victims, false);
      return true;
    case 'burst':
      await victims.send(fault.burst);
      return true;
    case 'memory tight':
      await restartUnder(daemonOf(victims, fault), { heapMiB: fault.heapMiB });
      await wait();
      await restartUnder(daemonOf(victims, fault), {});
      return true;
    case 'clock wrong':
      await setClock(daemonOf(victims, fault), fault.shiftMs, lastsMs, signal);
      return true;
    case 'partitions added':
      await addPartitions(victims, fault.added, signal);
      await wait();
      return true;
    case 'table made anew':
      await victims.table.makeAnew(patience.retry);
      return true;
    case 'records expired':
      return whileStopped(victims, () => victims.rereads.expire(fault.partition, patience), signal);
    case 'rewound':
      return whileStopped(victims, () => victims.rereads.rewind(fault.partition, fault.again, patience), signal);
    case 'view failing':
      await withUndo(
        () => victims.table.failView(fault.rows),
        () => victims.table.mendView(),
        wait,
        signal,
      );
      return true;
    case 'disk full':
      await fillDisk(victims, fault.full, lastsMs, signal);
      return true;
    case 'members come and go':
      return comeAndGo(victims, fault.rounds, wait, signal);
    default:
      return fault satisfies never;
  }
}

async function withUndo(
  act: () => Promise<void>,
  undo: () => Promise<void>,
  wait: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  await untilDone(act, signal);
  await wait();
  await untilDone(undo, signal);
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
function loseOffsets(victims: Victims, wait: () => Promise<void>, signal: AbortSignal): Promise<boolean> {
  const lose = async (): Promise<boolean> => {
    const isDone = await victims.loseOffsets();
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

/** It starts with a clock that is ahead. Later it is set back by twice as much, and at last it is right again. */
async function setClock(daemon: ChaosDaemon, shiftMs: number, lastsMs: number, signal: AbortSignal): Promise<void> {
  await restartUnder(daemon, { clockMs: shiftMs });
  for (const clockMs of [-shiftMs, 0]) {
    await sleep(lastsMs / 2, undefined, { signal });
    daemon.under({ clockMs });
  }
  // From its next start on it has the machine's clock.
  daemon.under({});
}

async function addPartitions({ topic }: Victims, added: number, signal: AbortSignal): Promise<void> {
  const wanted = (await untilDone(() => topic.partitions(), signal)) + added;
  await untilDone(() => topic.extend(wanted), signal);
}

/** What its owner deletes meanwhile gets full again. */
async function fillDisk(
  { disks, stack }: Victims,
  owner: DiskOwner,
  lastsMs: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    for (const until = Date.now() + lastsMs; Date.now() < until;) {
      disks.fill(owner);
      await sleep(FILL_AGAIN_MS, undefined, { signal });
    }
  } finally {
    disks.free(owner);
  }
  // It may have ended for that.
  await stack.parts[owner].start();
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
  wait: () => Promise<void>,
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
  await part.start();
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
async function close({ batchers }: Victims, index: number, how: 'terminate' | 'cancel' | 'reset'): Promise<boolean> {
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
