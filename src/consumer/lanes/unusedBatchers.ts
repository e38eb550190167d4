import { messageOf } from '../../lib/messageOf.js';
import type { Layout } from '../../protocol/layout.js';
import type { BatcherClient, ClosedRunInfo } from '../../temporal/batcherClient.js';

/** How often all of them are looked at. */
const INTERVAL_MS = 5 * 60_000;

/** After so many failures in a row a look ends. Probably Temporal is away, and every member would go on asking it. */
const FAILURES_IN_A_ROW_MAX = 3;

export interface UnusedBatchersOptions {
  /** The layouts that this member does not use. */
  readonly layouts: () => Promise<readonly Layout[]>;
  readonly batcher: (layout: Layout, index: number) => Pick<BatcherClient, 'workflowId' | 'startHeir'>;
  readonly heirStarted: (workflowId: string, closed: ClosedRunInfo) => void;
}

/** One look. */
export interface UnusedLook {
  readonly looked: number;
  /** Each that cannot be looked at, and why. */
  readonly unseen: readonly string[];
}

/**
 * The batchers of layouts that this member does not use. Nobody sends to them, but the run of one may have been closed with
 * records in it: a partition leaves a layout only once all of it is flushed there, but a person who sets the group's
 * offsets takes it out of its layout at once. What such a run had accepted would wait until its history is gone. So an heir
 * is started for it.
 *
 * All are looked at every five minutes, which begin at a random time in each member. Those that could not be looked at come
 * again in the next look, without the others.
 */
export class UnusedBatchers {
  readonly #options: UnusedBatchersOptions;
  /** Those that the next look begins with: layout and index. */
  #left: readonly (readonly [Layout, number])[] = [];
  /** When all are looked at, by `performance.now()`. */
  #dueMs = performance.now() + Math.random() * INTERVAL_MS;
  #looking = false;

  constructor(options: UnusedBatchersOptions) {
    this.#options = options;
  }

  /**
   * Never rejects.
   *
   * @param goesOn whether this member still has the assignment
   * @returns null if there was nothing to do, or an earlier look still runs
   */
  async look(goesOn: () => boolean): Promise<UnusedLook | null> {
    const isDue = performance.now() >= this.#dueMs;
    if (this.#looking || !goesOn() || (!isDue && this.#left.length === 0)) return null;
    this.#looking = true;
    try {
      if (isDue) await this.#list();
      return await this.#lookAtThose(goesOn);
    } catch (error) {
      return { looked: 1, unseen: [`those of earlier layouts: ${messageOf(error)}`] };
    } finally {
      this.#looking = false;
    }
  }

  /** Without an answer the next look asks for the list again. */
  async #list(): Promise<void> {
    const layouts = await this.#options.layouts();
    this.#left = layouts.flatMap((layout) =>
      Array.from({ length: layout.batchers }, (_, index) => [layout, index] as const),
    );
    this.#dueMs = performance.now() + INTERVAL_MS;
  }

  async #lookAtThose(goesOn: () => boolean): Promise<UnusedLook> {
    const { batcher, heirStarted } = this.#options;
    const failed: (readonly [Layout, number])[] = [];
    const unseen: string[] = [];
    let looked = 0;
    let inARow = 0;
    for (const one of this.#left) {
      if (!goesOn() || inARow === FAILURES_IN_A_ROW_MAX) break;
      looked++;
      const client = batcher(...one);
      try {
        const { closed } = await client.startHeir({ drained: false });
        inARow = 0;
        if (closed !== null) heirStarted(client.workflowId, closed);
      } catch (error) {
        inARow++;
        failed.push(one);
        unseen.push(`${client.workflowId}: ${messageOf(error)}`);
      }
    }
    // Those that were not asked come first: otherwise three that fail for long would keep the others waiting.
    this.#left = [...this.#left.slice(looked), ...failed];
    return { looked, unseen };
  }
}
