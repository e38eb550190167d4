import type {
  CustomSlotSupplier,
  SlotPermit,
  SlotReserveContext,
  WorkerOptions,
  WorkerTuner,
  WorkflowSlotInfo,
} from '@temporalio/worker';

/** The SDK's own default, for tasks of which there are none. */
const UNUSED = { type: 'fixed-size', numSlots: 100 } as const;

/** The worker takes as many workflow tasks as {@link WorkflowSlots} allows. To be called anew for each worker. */
export function withWorkflowSlots<Options extends Partial<WorkerOptions>>(options: Options): Options {
  const { maxConcurrentActivityTaskExecutions: numSlots = UNUSED.numSlots, ...others } = options;
  const tuner: WorkerTuner = {
    workflowTaskSlotSupplier: new WorkflowSlots(),
    activityTaskSlotSupplier: { type: 'fixed-size', numSlots },
    localActivityTaskSlotSupplier: UNUSED,
    nexusTaskSlotSupplier: UNUSED,
  };
  return { ...others, tuner, isolateExecutionTimeout: ACTIVATION_MAX } as unknown as Options;
}

/**
 * What one activation of a workflow may take. Ours end by themselves. The SDK's own bound of 5 s, by the clock, would let each attempt at a
 * long one fail on a busy machine. If it strikes within a promise's callback, Node ends the process ("async hook stack has become corrupted").
 */
const ACTIVATION_MAX = '1 hour';

/** Workflow tasks of runs that this worker has in memory; the SDK's own default. */
const KNOWN_MAX = 40;
/** Workflow tasks of other runs: their histories are replayed. Enough to hide the way to a distant Temporal. */
const REPLAYS_MAX = 4;
/** Half of what a workflow task may take before Temporal gives it to somebody, by default. */
const SLOW_MS = 5_000;
const QUICK_MS = 1_000;
/** What a workflow task may take before Temporal gives it to somebody else, by default. */
const LOST_MS = 10_000;

interface Permit extends SlotPermit {
  readonly kind: Kind;
  /** By the clock; null until a task has come for it. */
  usedAtMs: number | null;
  isReleased: boolean;
  /** Releases it after {@link LOST_MS}. */
  timer?: NodeJS.Timeout;
}

interface Kind {
  given: number;
  limit: number;
  /** Those that wait for a slot, in order. */
  readonly waiting: (() => void)[];
}

interface SlotContext {
  readonly permit: SlotPermit;
}

/**
 * Decides how many workflow tasks this worker takes at the same time.
 *
 * A task of a run that the worker does not know begins with a replay of the run's history, and all replays of a process share one thread.
 * Temporal waits 10 s for a task, then gives it out again. So a worker that takes the tasks of all batchers at once, when it starts or when
 * another one has ended, may be done with none of them in time, and so again each time, for ever. Tasks that are not taken wait in Temporal
 * without such a limit, or go to other workers.
 *
 * So it begins with one replay at a time. Each that is quick allows one more, up to {@link REPLAYS_MAX}; after a slow one it is one again.
 *
 * A busy run's next tasks may follow within the same slot, and nobody tells of the end of its replay. So after {@link LOST_MS} a slot no
 * longer counts, and others are not kept from theirs.
 */
export class WorkflowSlots implements CustomSlotSupplier<WorkflowSlotInfo> {
  readonly type = 'custom';
  readonly #now: () => number;
  readonly #known: Kind = { given: 0, limit: KNOWN_MAX, waiting: [] };
  readonly #replays: Kind = { given: 0, limit: 1, waiting: [] };

  /** @param now milliseconds, never set back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Waits for a slot. Its only rejection is the signal's reason. */
  async reserveSlot({ isSticky }: Pick<SlotReserveContext, 'isSticky'>, signal: AbortSignal): Promise<SlotPermit> {
    const kind = isSticky ? this.#known : this.#replays;
    signal.throwIfAborted();
    if (kind.given >= kind.limit) await inLine(kind, signal);
    else kind.given++;
    const permit: Permit = { kind, usedAtMs: null, isReleased: false };
    // Called off before the permit has reached who asked: nobody would release it.
    signal.addEventListener('abort', () => this.#release(permit), { once: true });
    if (signal.aborted) this.#release(permit);
    return permit;
  }

  /** For tasks that come without a poll, which nobody asks for. */
  tryReserveSlot(): null {
    return null;
  }

  markSlotUsed({ permit }: SlotContext): void {
    const used = permit as Permit;
    used.usedAtMs = this.#now();
    if (used.kind === this.#replays) used.timer = setTimeout(() => this.#release(used), LOST_MS).unref();
  }

  releaseSlot({ permit }: SlotContext): void {
    this.#release(permit as Permit);
  }

  #release(permit: Permit): void {
    if (permit.isReleased) return;
    permit.isReleased = true;
    clearTimeout(permit.timer);
    const { kind, usedAtMs } = permit;
    if (kind === this.#replays && usedAtMs !== null) kind.limit = nextLimit(kind.limit, this.#now() - usedAtMs);
    kind.given--;
    while (kind.given < kind.limit && kind.waiting.length > 0) {
      kind.given++;
      kind.waiting.shift()?.();
    }
  }
}

function nextLimit(limit: number, tookMs: number): number {
  if (tookMs >= SLOW_MS) return 1;
  return tookMs < QUICK_MS ? Math.min(limit + 1, REPLAYS_MAX) : limit;
}

/** Resolves with a slot that counts as given. */
function inLine({ waiting }: Kind, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      waiting.splice(waiting.indexOf(admit), 1);
      reject(signal.reason as Error);
    };
    const admit = (): void => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    };
    waiting.push(admit);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
