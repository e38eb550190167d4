/**
 * Bytes of memory that several share. Whoever finds too few waits in line and is not overtaken, so nobody waits for
 * ever if each one who holds some gives them back.
 */
export class Room {
  #freeBytes: number;
  readonly #line: Waiting[] = [];

  constructor(bytes: number) {
    this.#freeBytes = bytes;
  }

  /** Takes the bytes if so many are free and nobody waits. */
  tryTake(bytes: number): boolean {
    if (this.#line.length > 0 || bytes > this.#freeBytes) return false;
    this.#freeBytes -= bytes;
    return true;
  }

  /**
   * Waits in line, and takes the bytes. They must not be more than the room has.
   *
   * @param signal ends the waiting
   * @returns whether they were taken. False if the waiting has ended before
   */
  async take(bytes: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.tryTake(bytes)) return true;
    return new Promise((resolve) => {
      const leave = (): void => {
        this.#line.splice(this.#line.indexOf(waiting), 1);
        resolve(false);
        // The next one may need less.
        this.#admit();
      };
      const enter = (): void => {
        signal.removeEventListener('abort', leave);
        resolve(true);
      };
      const waiting: Waiting = { bytes, enter };
      this.#line.push(waiting);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  giveBack(bytes: number): void {
    this.#freeBytes += bytes;
    this.#admit();
  }

  #admit(): void {
    for (let next = this.#line[0]; next !== undefined && next.bytes <= this.#freeBytes; next = this.#line[0]) {
      this.#line.shift();
      this.#freeBytes -= next.bytes;
      next.enter();
    }
  }
}

interface Waiting {
  readonly bytes: number;
  readonly enter: () => void;
}
