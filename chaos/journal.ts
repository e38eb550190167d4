import { appendFileSync } from 'node:fs';
import type { FaultKind } from './plan.js';

/** A fault that was done. */
export interface DoneFault {
  readonly kind: FaultKind;
  readonly text: string;
  /** The only one that it was done to, if there is one. */
  readonly partition?: number;
  /** How much it has hit: connections, answers, processes. 0: it was done for nothing. */
  readonly hits: number;
  readonly fromMs: number;
  /** When what it was done to was back. */
  readonly toMs: number;
}

/** A file with a line for each thing that happened, with the time. The same lines go to the screen. */
export class Journal {
  readonly #file: string;
  readonly #startedAtMs = Date.now();

  constructor(file: string) {
    this.#file = file;
  }

  note(text: string): void {
    const seconds = ((Date.now() - this.#startedAtMs) / 1_000).toFixed(1).padStart(7);
    console.error(`${seconds} s  ${text}`);
    appendFileSync(this.#file, `${new Date().toISOString()} ${text}\n`);
  }
}
