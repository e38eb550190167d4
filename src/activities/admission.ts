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
  readonly sinceMs: number;
  readonly admit: () => void;
  readonly handBack: () => void;
}

/**
 * Decides which flush is at work. Each holds a batch in memory, so there are few slots; and inserts that hang must not keep
 * other pipelines from theirs. A free slot goes to the pipeline with the fewest at work, of these to the one whose turn is
 * longest ago; within it to the flush that is waiting longest. Where there are too many of one pipeline, the youngest that
 * waits is handed back: it comes again some seconds later, when others have come, and would otherwise never find room.
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
   * @param sinceMs since when it is wanted, milliseconds since 1970, the times included that it was handed back
   * @param signal ends the waiting
   * @throws CrowdedError before it has begun; the reason of the signal while waiting; what the work throws
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
      // The longest wait first.
      const behind = this.#waiting.findLastIndex((other) => other.sinceMs <= sinceMs);
      this.#waiting.splice(behind + 1, 0, waiting);
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
    return this.#atWork.get(pipeline) ?? 0;
  }

  #count(pipeline: string, change: number): void {
    const count = this.#of(pipeline) + change;
    if (count === 0) this.#atWork.delete(pipeline);
    else this.#atWork.set(pipeline, count);
  }
}
