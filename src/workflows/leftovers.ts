import type { Estate } from '../protocol/leftover.js';
import type { Parking } from '../protocol/flush.js';

/** The next batch that closed runs have left. */
export interface NextInherited {
  readonly runId: string;
  readonly chunksDone: number;
  readonly chunks: number;
  readonly begun: Estate['begun'];
}

/** What closed runs have left, oldest first, and how far it is worked off. Pure. */
export class Estates {
  #estates: readonly Estate[];

  constructor(estates: readonly Estate[] = []) {
    this.#estates = estates.filter(({ batches }) => batches.length > 0);
  }

  /** Batches to come. */
  get batches(): number {
    return this.#estates.reduce((sum, { batches }) => sum + batches.length, 0);
  }

  /** Null where nothing is left. */
  next(): NextInherited | null {
    const [first] = this.#estates;
    const chunks = first?.batches[0];
    if (first === undefined || chunks === undefined) return null;
    const { runId, chunksDone, begun } = first;
    return { runId, chunksDone, chunks, begun };
  }

  /** The next batch has begun, or has answered: remembered for an heir of this run. */
  begin(begun: Estate['begun']): void {
    const [first, ...rest] = this.#estates;
    if (first === undefined) throw new Error('no closed run has left anything');
    this.#estates = [{ ...first, begun }, ...rest];
  }

  /** A person gives the batch on its way up: remembered, too. */
  park(parking: Parking): void {
    const begun = this.next()?.begun;
    if (begun) this.begin({ ...begun, parking });
  }

  /** The next batch is done with. */
  advance(): void {
    const [first, ...rest] = this.#estates;
    const [chunks, ...batches] = first?.batches ?? [];
    if (first === undefined || chunks === undefined) throw new Error('no closed run has left anything');
    const left: Estate = { ...first, chunksDone: first.chunksDone + chunks, batches, begun: null };
    this.#estates = batches.length === 0 ? rest : [left, ...rest];
  }

  toState(): readonly Estate[] {
    return this.#estates;
  }
}
