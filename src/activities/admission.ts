/** A pipeline has as many flushes here as it may: this one is better off with another worker, or later. */
export class CrowdedError extends Error {
  override readonly name = 'CrowdedError';
}

export interface AdmissionLimits {
  /** Flushes at work at the same time. A pipeline that has none at work gets one beyond it. */
  readonly slots: number;
  /** Of one pipeline at work and waiting, so that those of one never keep those of another from getting here. */
  readonly ofPipelineMax: number;
}

interface Waiting {
  readonly pipeline: string;
  readonly admit: () => void;
}

/**
 * Decides which flush is at work. Each holds a batch in memory, so there are few slots; and inserts that hang must not keep
 * other pipelines from theirs. A free slot goes to the pipeline with the fewest at work, of these to the one whose turn is
 * longest ago.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #atWork = new Map<string, number>();
  readonly #waiting: Waiting[] = [];
  /** When each pipeline was last given a slot, as a count. */
  readonly #turns = new Map<string, number>();
  #turn = 0;
  #total = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /**
   * Does work once there is a slot for it.
   *
   * @param signal ends the waiting
   * @throws CrowdedError at once; the reason of the signal while waiting; what the work throws
   */
  async run<T>(pipeline: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#admitted(pipeline, signal);
    try {
      return await work();
    } finally {
      this.#total--;
      this.#count(pipeline, -1);
      this.#admitNext();
    }
  }

  async #admitted(pipeline: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const here = this.#of(pipeline) + this.#waiting.filter((other) => other.pipeline === pipeline).length;
    if (here >= this.#limits.ofPipelineMax) throw new CrowdedError(`${here} flushes of pipeline ${pipeline} are here`);
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason as Error);
      };
      const waiting: Waiting = {
        pipeline,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiting);
      this.#admitNext();
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
    return this.#atWork.get(pipeline) ?? 0;
  }

  #count(pipeline: string, change: number): void {
    const count = this.#of(pipeline) + change;
    if (count === 0) this.#atWork.delete(pipeline);
    else this.#atWork.set(pipeline, count);
  }
}
