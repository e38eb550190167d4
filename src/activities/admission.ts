import { FLUSHES_PER_SLOT } from '../lib/clickhouseConnections.js';

/**
 * As many flushes of the pipeline wait in this worker as may, or it drains. Another worker should take this one, or this
 * worker later.
 */
export class CrowdedError extends Error {
  override readonly name = 'CrowdedError';
  /** Whether the worker drains. Otherwise it is full. */
  readonly drains: boolean;

  constructor(message: string, drains = false) {
    super(message);
    this.drains = drains;
  }
}

export interface AdmissionLimits {
  /** Large flushes that run at the same time. A pipeline that has none running gets one beyond that. */
  readonly slots: number;
  /** Flushes of any size that run at the same time, at most. Again, a pipeline that has none running gets one beyond that. */
  readonly flushesMax: number;
  /** Flushes of one pipeline that wait, at most. So they never keep those of another pipeline away from this worker. */
  readonly waitingMax: number;
  /** Aborted when the worker drains. Then no flush begins any more, and those that wait are handed back. */
  readonly draining?: AbortSignal;
}

/**
 * Activities that a worker may have at once: all that run, one more of each pipeline, and all that wait.
 *
 * @param pipelines those of the configuration, and one that only another member has
 */
export function activitiesMax({ slots, flushesMax, waitingMax }: AdmissionLimits, pipelines: number): number {
  return Math.min(slots * FLUSHES_PER_SLOT, flushesMax) + (1 + waitingMax) * pipelines;
}

function drainingError(): CrowdedError {
  return new CrowdedError('this worker drains', true);
}

/** Memory of a small flush. */
const SMALL_BYTES = 128 * 1024;

/** The share of a slot that a flush of this size takes: eighths, which add up exactly. */
export function shareOfSlot(memoryBytes: number): number {
  return Math.min(FLUSHES_PER_SLOT, Math.max(1, Math.ceil(memoryBytes / SMALL_BYTES))) / FLUSHES_PER_SLOT;
}

interface Waiting {
  readonly pipeline: string;
  readonly share: number;
  readonly sinceMs: number;
  readonly admit: () => void;
  readonly handBack: (why: CrowdedError) => void;
}

/**
 * Decides which flush may run. Each holds a batch in memory, so there are few slots, and a small flush takes only a part
 * of one. And inserts that hang must not block other pipelines, nor take all connections to ClickHouse. The rules:
 *
 * - A free slot goes to the pipeline whose running flushes take the least. If several take as little, it goes to the one
 *   that got a slot longest ago.
 * - Within the pipeline it goes to the flush that has waited longest.
 * - If too many flushes of a pipeline wait, the youngest is handed back. It comes again some seconds later. Then
 *   others may have arrived before it, so the time since it was first scheduled counts.
 * - While the worker drains, all that wait are handed back: another worker can begin them at once.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #running = new Map<string, Running>();
  readonly #waiting: Waiting[] = [];
  /** The number of the turn in which each pipeline last got a slot. */
  readonly #turns = new Map<string, number>();
  #turn = 0;
  #slotsTaken = 0;
  #flushes = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
    limits.draining?.addEventListener('abort', () => {
      for (const waiting of [...this.#waiting]) waiting.handBack(drainingError());
    });
  }

  /**
   * Runs `work` when there is a slot for it.
   *
   * @param sinceMs when it was first wanted, milliseconds since 1970, also if it was handed back since
   * @param signal ends the waiting
   * @param share of a slot that the work takes, see {@link shareOfSlot}
   * @throws CrowdedError before it has begun. The signal's reason while it waits. What the work throws
   */
  async run<T>(
    pipeline: string,
    sinceMs: number,
    signal: AbortSignal,
    work: () => Promise<T>,
    share: number,
  ): Promise<T> {
    await this.#admitted(pipeline, sinceMs, signal, share);
    try {
      return await work();
    } finally {
      this.#count(pipeline, -1, -share);
      this.#admitNext();
    }
  }

  async #admitted(pipeline: string, sinceMs: number, signal: AbortSignal, share: number): Promise<void> {
    signal.throwIfAborted();
    if (this.#limits.draining?.aborted === true) throw drainingError();
    await new Promise<void>((resolve, reject) => {
      const leave = (reason: Error): void => {
        signal.removeEventListener('abort', onAbort);
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(reason);
      };
      const onAbort = (): void => leave(signal.reason as Error);
      const waiting: Waiting = {
        pipeline,
        share,
        sinceMs,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
        handBack: leave,
      };
      signal.addEventListener('abort', onAbort, { once: true });
      // The list is sorted by waiting time, the longest first.
      const before = this.#waiting.findLastIndex((other) => other.sinceMs <= sinceMs);
      this.#waiting.splice(before + 1, 0, waiting);
      this.#admitNext();
      const crowd = this.#waiting.filter((other) => other.pipeline === pipeline);
      const { waitingMax } = this.#limits;
      if (crowd.length > waitingMax)
        crowd.at(-1)?.handBack(new CrowdedError(`${waitingMax} other flushes of pipeline ${pipeline} wait here`));
    });
  }

  #admitNext(): void {
    for (;;) {
      let next: Waiting | undefined;
      for (const waiting of this.#waiting) if (next === undefined || this.#isBefore(waiting, next)) next = waiting;
      if (next === undefined) return;
      const { slots, flushesMax } = this.#limits;
      const isFull = this.#slotsTaken + next.share > slots || this.#flushes >= flushesMax;
      if (isFull && this.#of(next.pipeline).flushes > 0) return;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      this.#count(next.pipeline, 1, next.share);
      this.#turns.set(next.pipeline, ++this.#turn);
      next.admit();
    }
  }

  #isBefore({ pipeline }: Waiting, { pipeline: other }: Waiting): boolean {
    const difference = this.#of(pipeline).share - this.#of(other).share;
    return difference < 0 || (difference === 0 && (this.#turns.get(pipeline) ?? 0) < (this.#turns.get(other) ?? 0));
  }

  #of(pipeline: string): Running {
    return this.#running.get(pipeline) ?? { flushes: 0, share: 0 };
  }

  #count(pipeline: string, flushes: number, share: number): void {
    this.#slotsTaken += share;
    this.#flushes += flushes;
    const before = this.#of(pipeline);
    const running = { flushes: before.flushes + flushes, share: before.share + share };
    if (running.flushes === 0) this.#running.delete(pipeline);
    else this.#running.set(pipeline, running);
  }
}

/** The running flushes of a pipeline. */
interface Running {
  readonly flushes: number;
  /** Of all slots, all of them together. */
  readonly share: number;
}
