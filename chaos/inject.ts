import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack, StackPart } from '../stack/stack.js';
import type { Batchers } from './batchers.js';
import type { ChaosDaemon } from './daemons.js';
import type { Leaders } from './leaders.js';
import type { Fault, Part, PlannedFault } from './plan.js';
import type { ChaosTable } from './table.js';

/** What faults are done to. */
export interface Victims {
  readonly stack: Stack;
  readonly daemons: readonly ChaosDaemon[];
  /** Runs only while members come and go. */
  readonly guest: ChaosDaemon;
  readonly batchers: Batchers;
  readonly table: ChaosTable;
  readonly leaders: Leaders;
  /** Configures the daemons for so many batchers; undefined: for the usual number. */
  readonly changeLayout: (batchers?: number) => void;
  /** Deletes the consumer group; false if it has members. */
  readonly loseOffsets: () => Promise<boolean>;
}

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
 * @returns whether it was done: a batcher may have no open run
 */
export async function inject(
  { fault, lastsMs }: PlannedFault,
  victims: Victims,
  signal: AbortSignal,
): Promise<boolean> {
  const wait = () => sleep(lastsMs, undefined, { signal });
  switch (fault.kind) {
    case 'daemon terminated':
    case 'daemon killed':
    case 'daemon frozen':
      await disturbDaemon(fault.kind, daemonOf(victims, fault), wait);
      return true;
    case 'part killed':
    case 'part stopped':
    case 'part frozen':
      await disturbPart(fault.kind, partOf(victims, fault.part, fault.index), wait);
      return true;
    case 'link slow':
    case 'link reset':
    case 'link half-open':
    case 'link partitioned':
    case 'answers dropped':
      await disturbLinks(fault, daemonOf(victims, fault), wait);
      return true;
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
      return loseOffsets(victims, wait);
    case 'layout changed':
      for (const batchers of [fault.batchers, undefined]) {
        victims.changeLayout(batchers);
        for (const daemon of victims.daemons) {
          await (fault.kills ? daemon.kill() : daemon.terminate());
          await daemon.start();
        }
        await wait();
      }
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

async function untilDone(act: () => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await act();
      return;
    } catch (error) {
      if (tries === TRIES) throw error;
      await sleep(TRY_PAUSE_MS, undefined, { signal });
    }
  }
}

/** A group can be deleted only while it has no members. */
async function loseOffsets({ daemons, guest, loseOffsets }: Victims, wait: () => Promise<void>): Promise<boolean> {
  await Promise.all([...daemons, guest].map((daemon) => daemon.terminate()));
  const isDone = await loseOffsets();
  await wait();
  await Promise.all(daemons.map((daemon) => daemon.start()));
  return isDone;
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

async function disturbDaemon(
  kind: 'daemon terminated' | 'daemon killed' | 'daemon frozen',
  daemon: ChaosDaemon,
  wait: () => Promise<void>,
): Promise<void> {
  if (kind === 'daemon frozen') {
    await daemon.freeze();
    await wait();
    await daemon.unfreeze();
    return;
  }
  await (kind === 'daemon killed' ? daemon.kill() : daemon.terminate());
  await wait();
  await daemon.start();
}

async function disturbPart(
  kind: 'part killed' | 'part stopped' | 'part frozen',
  part: StackPart,
  wait: () => Promise<void>,
): Promise<void> {
  if (kind === 'part frozen') {
    await part.suspend();
    await wait();
    await part.resume();
    return;
  }
  await (kind === 'part killed' ? part.kill() : part.stop());
  await wait();
  await part.start();
}

async function disturbLinks(
  fault: Extract<Fault, { daemon: number; part: Part }>,
  daemon: ChaosDaemon,
  wait: () => Promise<void>,
): Promise<void> {
  const links = daemon.links(fault.part);
  for (const link of links) {
    if (fault.kind === 'link slow') link.set({ type: 'slow', delayMs: fault.delayMs });
    else if (fault.kind === 'link partitioned') link.set({ type: 'partitioned' });
    else if (fault.kind === 'link reset') link.reset();
    else if (fault.kind === 'link half-open') link.halfOpen();
    else if ('asked' in fault) link.dropAnswers(fault.asked, fault.count);
  }
  await wait();
  for (const link of links) link.heal();
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
