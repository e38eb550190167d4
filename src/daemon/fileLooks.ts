import { within } from '../lib/within.js';

/** A look may take this long. */
const LOOK_MS = 5_000;

/**
 * Looks at a file again and again. A disk that hangs holds up neither the process nor, by ever more reads, the few threads that
 * Node has for files and look-ups of names: while a read hangs, there is no other.
 */
export class FileLooks {
  readonly #read: () => Promise<string>;
  readonly #waitMs: number;
  #pending: Promise<string> | null = null;

  /** @param read reads the file */
  constructor(read: () => Promise<string>, waitMs = LOOK_MS) {
    this.#read = read;
    this.#waitMs = waitMs;
  }

  /** What the file has. Rejects as the read does, or with `NoAnswerError` if it takes too long. */
  look(): Promise<string> {
    this.#pending ??= this.#read().finally(() => (this.#pending = null));
    return within(this.#pending, this.#waitMs);
  }
}
