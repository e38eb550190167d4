import type { Control } from '../protocol/batcher.js';
import { LIMITS } from './limits.js';

/**
 * What people have told a batcher: whether it is paused or draining, and the last signals by which they said so. Pure.
 */
export class Controls {
  draining = false;
  #paused = false;
  #last: readonly Control[] = [];
  /** In this run. `#last` does not say: it keeps only the last ones. */
  #toldToPauseOrResume = false;

  get paused(): boolean {
    return this.#paused;
  }

  /** The last {@link LIMITS.controls} signals, oldest first. */
  get last(): readonly Control[] {
    return this.#last;
  }

  /** A signal has come. */
  record(control: Control): void {
    this.#last = [...this.#last, control].slice(-LIMITS.controls);
  }

  /** A person pauses the batcher, or lets it go on. */
  pause(paused: boolean): void {
    this.#paused = paused;
    this.#toldToPauseOrResume = true;
  }

  /** As the run before was. A pause or a resume that has come since then is the later word. */
  restorePaused(paused: boolean): void {
    if (!this.#toldToPauseOrResume) this.#paused = paused;
  }

  /** The signals that the run before had. */
  restoreLast(before: readonly Control[]): void {
    this.#last = [...before, ...this.#last].slice(-LIMITS.controls);
  }
}
