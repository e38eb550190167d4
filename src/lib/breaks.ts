import { setImmediate } from 'node:timers/promises';

/** How long work goes on before other work may run. */
const WORK_MS = 20;

/**
 * Breaks in long work of this thread. Without them it would delay heartbeats and other batches. It asks {@link isDue}
 * after each part, however small, and awaits {@link take} only then, because to await takes longer than a small part.
 */
export class Breaks {
  #endedAtMs = performance.now();

  isDue(): boolean {
    return performance.now() - this.#endedAtMs >= WORK_MS;
  }

  /** Lets other work run. */
  async take(): Promise<void> {
    await setImmediate();
    this.#endedAtMs = performance.now();
  }
}
