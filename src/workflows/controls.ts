import type { Control } from '../protocol/batcher.js';
import { LIMITS } from './limits.js';

/** What people have told a batcher: whether it is paused or draining, and the last control signals. Pure. */
export class Controls {
  #all: Commands = NO_COMMANDS;
  /** What came encrypted, or from a run of which that is known. */
  #encrypted: Commands = NO_COMMANDS;
  #last: readonly Control[] = [];

  get paused(): boolean {
    return this.#all.paused;
  }

  get draining(): boolean {
    return this.#all.draining;
  }

  /** The last {@link LIMITS.controls} signals, oldest first. */
  get last(): readonly Control[] {
    return this.#last;
  }

  /** Notes a control signal. */
  record(control: Control): void {
    this.#last = [...this.#last, control].slice(-LIMITS.controls);
  }

  /** A person pauses the batcher, or lets it go on. */
  pause(paused: boolean, encrypted: boolean): void {
    this.#give({ paused, hasPause: true }, encrypted);
  }

  /** A person lets the batcher end. */
  drain(encrypted: boolean): void {
    this.#give({ draining: true }, encrypted);
  }

  #give(commands: Partial<Commands>, encrypted: boolean): void {
    this.#all = { ...this.#all, ...commands };
    if (encrypted) this.#encrypted = { ...this.#encrypted, ...commands };
  }

  /** All that the run has taken over so far is of somebody with the key. */
  trustAll(): void {
    this.#encrypted = this.#all;
  }

  /** From now on only what came encrypted counts. */
  believeOnlyEncrypted(): void {
    this.#all = this.#encrypted;
  }

  /** Takes over the state of the run before, unless a pause or resume has arrived since. */
  restorePaused(paused: boolean): void {
    if (!this.#all.hasPause) this.#all = { ...this.#all, paused };
  }

  /** The same, for a run before of which is known that it took only what came encrypted. */
  trustPaused(paused: boolean): void {
    if (!this.#encrypted.hasPause) this.#encrypted = { ...this.#encrypted, paused };
  }

  restoreDraining(draining: boolean): void {
    this.#all = { ...this.#all, draining };
  }

  /** Takes over the signals of the run before. */
  restoreLast(before: readonly Control[]): void {
    this.#last = [...before, ...this.#last].slice(-LIMITS.controls);
  }
}

interface Commands {
  readonly paused: boolean;
  readonly draining: boolean;
  /** Whether a pause or resume has come in this run. `#last` cannot tell, because it keeps only the last signals. */
  readonly hasPause: boolean;
}

const NO_COMMANDS: Commands = { paused: false, draining: false, hasPause: false };
