/**
 * This worker has as many flushes of the pipeline as it may have. Another worker should take this one, or this worker
 * later.
 */
export class CrowdedError extends Error {
  override readonly name = 'CrowdedError';
}

export interface AdmissionLimits {
  /** Flushes that run at the same time. A pipeline that has none running gets one beyond that. */
  readonly slots: number;
  /**
   * Running and waiting flushes of one pipeline, at most. So the flushes of one pipeline never keep those of another
   * away from this worker.
   */
  readonly ofPipelineMax: number;
}

interface Waiting {
  readonly pipeline: string;
  readonly sinceMs: number;
  readonly admit: () => void;
  readonly handBack: () => void;
}

/**
 * Decides which flush may run. Each holds a batch in memory, so there are few slots. And inserts that hang must not
 * block other pipelines. The rules:
 *
 * - A free slot goes to the pipeline with the fewest running flushes. If several have as few, it goes to the one that
 *   got a slot longest ago.
 * - Within the pipeline it goes to the flush that has waited longest.
 * - If a pipeline has too many, its youngest waiting flush is handed back. It comes again some seconds later. Then
 *   others may have arrived before it, so the time since it was first scheduled counts.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #running = new Map<string, number>();
  readonly #waiting: Waiting[] = [];
  /** The number of the turn in which each pipeline last got a slot. */
  readonly #turns = new Map<string, number>();
  #turn = 0;
  #total = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /**
   * Runs `work` when there is a slot for it.
   *
   * @param sinceMs when it was first wanted, milliseconds since 1970, also if it was handed back since
   * @param signal ends the waiting
   * @throws CrowdedError before it has begun. The signal's reason while it waits. What the work throws
   */
  async run<T>(pipeline: string, sinceMs: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#admitted(pipeline, sinceMs, signal);
    try {
      return await work();
    } finally {
      this.#total--;
      this.#count(pipeline, -1);
      this.#admitNext();
    }
  }

  async #admitted(pipeline: string, sinceMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const leave = (reason: Error): void => {
        signal.removeEventListener('abort', onAbort);
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(reason);
      };
      const onAbort = (): void => leave(signal.reason as Error);
      const waiting: Waiting = {
        pipeline,
        sinceMs,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
        handBack: () =>
          leave(new CrowdedError(`${this.#limits.ofPipelineMax} flushes of pipeline ${pipeline} are here`)),
      };
      signal.addEventListener('abort', onAbort, { once: true });
      // The list is sorted by waiting time, the longest first.
      const before = this.#waiting.findLastIndex((other) => other.sinceMs <= sinceMs);
      this.#waiting.splice(before + 1, 0, waiting);
      this.#admitNext();
      const crowd = this.#waiting.filter((other) => other.pipeline === pipeline);
      if (this.#of(pipeline) + crowd.length > this.#limits.ofPipelineMax) crowd.at(-1)?.handBack();
    });
  }

  #admitNext(): void {
    for (;;) {
      let next: Waiting | undefined;
      for (const waiting of this.#waiting) if (next === undefined || this.#isBefore(waiting, next)) next = waiting;
      if (next === undefined) return;
      if (this.#total >= this.#limits.slots && this.#of(next.pipeline) > 0) return;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      this.#total++;
      this.#count(next.pipeline, 1);
      this.#turns.set(next.pipeline, ++this.#turn);
      next.admit();
    }
  }

  #isBefore({ pipeline }: Waiting, { pipeline: other }: Waiting): boolean {
    const difference = this.#of(pipeline) - this.#of(other);
    return difference < 0 || (difference === 0 && (this.#turns.get(pipeline) ?? 0) < (this.#turns.get(other) ?? 0));
  }

  #of(pipeline: string): number {
    return this.#running.get(pipeline) ?? 0;
  }

  #count(pipeline: string, change: number): void {
    const count = this.#of(pipeline) + change;
    if (count === 0) this.#running.delete(pipeline);
    else this.#running.set(pipeline, count);
  }
}
