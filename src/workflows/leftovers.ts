import type { Leftover } from '../protocol/leftover.js';
import type { Parking } from '../protocol/flush.js';

/** The next batch that closed runs have left. */
export interface NextInherited {
  readonly runId: string;
  readonly chunksDone: number;
  readonly chunks: number;
  readonly begun: Leftover['begun'];
}

/** What closed runs have left, oldest first, and how far it is worked off. Pure. */
export class Leftovers {
  #leftovers: readonly Leftover[];

  constructor(leftovers: readonly Leftover[] = []) {
    this.#leftovers = leftovers.filter(({ batches }) => batches.length > 0);
  }

  /** Batches to come. */
  get batches(): number {
    return this.#leftovers.reduce((sum, { batches }) => sum + batches.length, 0);
  }

  /** Null where nothing is left. */
  next(): NextInherited | null {
    const [first] = this.#leftovers;
    const chunks = first?.batches[0];
    if (first === undefined || chunks === undefined) return null;
    const { runId, chunksDone, begun } = first;
    return { runId, chunksDone, chunks, begun };
  }

  /** The next batch has begun, or has answered: remembered for an heir of this run. */
  begin(begun: Leftover['begun']): void {
    const [first, ...rest] = this.#leftovers;
    if (first === undefined) throw new Error('no closed run has left anything');
    this.#leftovers = [{ ...first, begun }, ...rest];
  }

  /** A person gives the batch on its way up: remembered, too. */
  park(parking: Parking): void {
    const begun = this.next()?.begun;
    if (begun) this.begin({ ...begun, parking });
  }

  /** The next batch is done with. */
  advance(): void {
    const [first, ...rest] = this.#leftovers;
    const [chunks, ...batches] = first?.batches ?? [];
    if (first === undefined || chunks === undefined) throw new Error('no closed run has left anything');
    const left: Leftover = { ...first, chunksDone: first.chunksDone + chunks, batches, begun: null };
    this.#leftovers = batches.length === 0 ? rest : [left, ...rest];
  }

  toState(): readonly Leftover[] {
    return this.#leftovers;
  }
}
