import type { Control } from '../protocol/batcher.js';
import { LIMITS } from './limits.js';

/** What people have told a batcher: whether it is paused or draining, and the last control signals. Pure. */
export class Controls {
  draining = false;
  #paused = false;
  #last: readonly Control[] = [];
  /** Whether this happened in this run. `#last` cannot tell, because it keeps only the last signals. */
  #hasCommand = false;

  get paused(): boolean {
    return this.#paused;
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
  pause(paused: boolean): void {
    this.#paused = paused;
    this.#hasCommand = true;
  }

  /** Takes over the state of the run before, unless a pause or resume has arrived since. */
  restorePaused(paused: boolean): void {
    if (!this.#hasCommand) this.#paused = paused;
  }

  /** Takes over the signals of the run before. */
  restoreLast(before: readonly Control[]): void {
    this.#last = [...before, ...this.#last].slice(-LIMITS.controls);
  }
}
