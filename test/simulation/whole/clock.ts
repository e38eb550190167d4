import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers/promises';
import { seededRandom } from '../../../chaos/random.js';

/** The time at which each story begins, milliseconds since 1970. */
const BEGIN_MS = 1_800_000_000_000;

const REAL = {
  setTimeout: globalThis.setTimeout,
  setInterval: globalThis.setInterval,
  clearTimeout: globalThis.clearTimeout,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  dateNow: Date.now,
  performanceNow: performance.now.bind(performance),
  random: Math.random,
  pause: timers.setTimeout,
  immediate: timers.setImmediate,
  randomUUID: crypto.randomUUID,
  randomBytes: crypto.randomBytes,
} as const;

/** A process of the story. What is on its way to a dead one, or waits in it, never happens. */
export class Process {
  readonly name: string;
  isAlive = true;
  isFrozen = false;
  /** What came while it was frozen. */
  readonly missed: (() => void)[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Whether it does anything now. */
  get isAwake(): boolean {
    return this.isAlive && !this.isFrozen;
  }
}

interface Happening {
  readonly atMs: number;
  readonly order: number;
  /** In which process it happens. Null: outside of all. */
  readonly process: Process | null;
  act: (() => void) | null;
}

/**
 * A simulated clock: one thing happens after the other, and the time between them takes no time. All that one thing
 * brings about in its process, as far as it waits for nothing outside, is done before the next one happens. So a story
 * takes the same course whenever it is told.
 */
export class Clock {
  nowMs = BEGIN_MS;
  /** The process in which something happens now. */
  current: Process | null = null;
  /** How many things have happened. */
  happened = 0;
  readonly #heap: Happening[] = [];
  #order = 0;
  /** A number from 0 to below 1, as the seed has it. */
  readonly random: () => number;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  /** Milliseconds since the story began. */
  get storyMs(): number {
    return this.nowMs - BEGIN_MS;
  }

  /** Lets something happen later. @returns takes it back */
  after(delayMs: number, process: Process | null, act: () => void): () => void {
    const atMs = this.nowMs + Math.max(0, Math.ceil(delayMs));
    const happening: Happening = { atMs, order: this.#order++, process, act };
    push(this.#heap, happening);
    return () => (happening.act = null);
  }

  /** Does something in a process now, with all that follows from it at once. */
  async as(process: Process, act: () => void): Promise<void> {
    this.current = process;
    act();
    await atRest();
    this.current = null;
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) {
      pop(this.#heap);
      const { act, process } = next;
      if (act === null) continue;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      if (process === null) {
        this.happened++;
        act();
      } else if (process.isFrozen) process.missed.push(act);
      else if (process.isAlive) {
        this.happened++;
        await this.as(process, act);
      }
    }
    this.nowMs = endMs;
  }

  /** A frozen process goes on with what it has missed. */
  thaw(process: Process): void {
    process.isFrozen = false;
    for (const act of process.missed.splice(0)) this.after(0, process, act);
  }
}

/** Resolves when nothing is left to do but to wait. */
function atRest(): Promise<void> {
  return new Promise((resolve) => REAL.setImmediate(resolve));
}

/**
 * Puts a clock in place of this process's own, with its timers and its chance.
 *
 * @param hasChance false: all random bytes are the same
 * @returns puts the real ones back
 */
export function install(clock: Clock, hasChance = true): () => void {
  const timer = (delayMs: number, again: boolean, act: () => void): SimulatedTimer => {
    const process = clock.current;
    const made = new SimulatedTimer((): void => {
      made.cancel = clock.after(Math.max(1, delayMs), process, () => {
        if (again) made.refresh();
        act();
      });
    });
    return made.refresh();
  };
  const cancel = (made: unknown): void => {
    if (made instanceof SimulatedTimer) made.cancel();
  };
  Object.assign(globalThis, {
    setTimeout: (act: () => void, ms = 0) => timer(ms, false, act),
    setInterval: (act: () => void, ms = 0) => timer(ms, true, act),
    clearTimeout: cancel,
    clearInterval: cancel,
  });
  Date.now = () => clock.nowMs;
  setNow(() => clock.storyMs);
  Math.random = () => clock.random();
  Object.assign(timers, {
    setTimeout: (ms = 0, value?: unknown, { signal }: { signal?: AbortSignal } = {}) =>
      new Promise((resolve, reject) => {
        const refuse = (): void => reject(new Error('aborted'));
        if (signal?.aborted) {
          refuse();
          return;
        }
        const abort = (): void => {
          made.cancel();
          refuse();
        };
        const made = timer(ms, false, () => {
          signal?.removeEventListener('abort', abort);
          resolve(value);
        });
        signal?.addEventListener('abort', abort, { once: true });
      }),
    setImmediate: (value?: unknown) => Promise.resolve(value),
  });
  const bytes = (count: number) =>
    Buffer.from(Array.from({ length: count }, () => (hasChance ? Math.floor(clock.random() * 256) : 0)));
  Object.assign(crypto, { randomUUID: () => bytes(16).toString('hex'), randomBytes: bytes });
  syncBuiltinESMExports();
  return () => {
    const { setTimeout, setInterval, clearTimeout, clearInterval } = REAL;
    Object.assign(globalThis, { setTimeout, setInterval, clearTimeout, clearInterval });
    Date.now = REAL.dateNow;
    setNow(REAL.performanceNow);
    Math.random = REAL.random;
    Object.assign(timers, { setTimeout: REAL.pause, setImmediate: REAL.immediate });
    Object.assign(crypto, { randomUUID: REAL.randomUUID, randomBytes: REAL.randomBytes });
    syncBuiltinESMExports();
  };
}

function setNow(now: () => number): void {
  Object.defineProperty(performance, 'now', { value: now, configurable: true, writable: true });
}

/** What `setTimeout` gives. */
class SimulatedTimer {
  cancel: () => void = () => undefined;
  readonly #begin: () => void;

  constructor(begin: () => void) {
    this.#begin = begin;
  }

  /** Its time begins anew. */
  refresh(): this {
    this.cancel();
    this.#begin();
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

function isBefore(one: Happening, other: Happening): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

function push(heap: Happening[], item: Happening): void {
  let index = heap.length;
  heap.push(item);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (!isBefore(item, heap[parent]!)) break;
    heap[index] = heap[parent]!;
    index = parent;
  }
  heap[index] = item;
}

function pop(heap: Happening[]): void {
  const item = heap.pop()!;
  if (heap.length === 0) return;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, item)) break;
    heap[index] = heap[child]!;
    index = child;
  }
  heap[index] = item;
}
