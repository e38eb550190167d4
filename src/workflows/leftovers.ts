import type { Parking } from '../protocol/flush.js';
import type { BegunBatch, InheritedBatch, Leftover } from '../protocol/leftover.js';
import type { Destination } from '../protocol/settings.js';

/** The next batch that closed runs have left. */
type NextBatch = Pick<
  InheritedBatch,
  'runId' | 'chunksDone' | 'chunks' | 'destination' | 'sealed' | 'answer' | 'parking'
>;

/** What closed runs have left, oldest first, and how much of it is flushed. Pure. */
export class Leftovers {
  #leftovers: readonly Leftover[];

  constructor(leftovers: readonly Leftover[] = []) {
    this.#leftovers = leftovers.filter(({ batches }) => batches.length > 0);
  }

  /** Batches to come. */
  get batches(): number {
    return this.#leftovers.reduce((sum, { batches }) => sum + batches.length, 0);
  }

  /**
   * The next batch. Notes for an heir of this run that it has begun.
   *
   * @param destination for a batch that had not begun when its run was closed
   * @param sealed whether it came encrypted. Then it also counts for a batch that had begun with one of somebody else
   * @throws Error if nothing is left
   */
  takeNext(destination: Destination, sealed: boolean): NextBatch {
    const [first] = this.#leftovers;
    const chunks = first?.batches[0];
    if (first === undefined || chunks === undefined) throw new Error(NOTHING_LEFT);
    const { runId, chunksDone, begun } = first;
    const parking = begun?.parking === undefined ? {} : { parking: begun.parking };
    const isBegun = begun !== null && (begun.sealed === true || !sealed);
    const to = isBegun ? begun : { destination, sealed };
    const next = {
      destination: to.destination,
      ...(to.sealed === true ? { sealed: true as const } : {}),
      answer: begun?.answer ?? null,
      ...parking,
    };
    this.noteBegun(next);
    return { runId, chunksDone, chunks, ...next };
  }

  /** Notes for an heir of this run what is known of the next batch: it has begun, or its insert has answered. */
  noteBegun(begun: BegunBatch): void {
    const [first, ...rest] = this.#leftovers;
    if (first === undefined) throw new Error(NOTHING_LEFT);
    this.#leftovers = [{ ...first, begun }, ...rest];
  }

  /** Notes that a person gives the running batch up. */
  park(parking: Parking): void {
    const begun = this.#leftovers[0]?.begun;
    if (begun) this.noteBegun({ ...begun, parking });
  }

  /** The next batch is done. */
  advance(): void {
    const [first, ...rest] = this.#leftovers;
    const [chunks, ...batches] = first?.batches ?? [];
    if (first === undefined || chunks === undefined) throw new Error(NOTHING_LEFT);
    const left: Leftover = { ...first, chunksDone: first.chunksDone + chunks, batches, begun: null };
    this.#leftovers = batches.length === 0 ? rest : [left, ...rest];
  }

  /**
   * Forgets what is known of a batch that had begun: somebody may have made it up. Its records are inserted with the
   * present settings, unless the table has them.
   */
  forgetBegun(): void {
    this.#leftovers = this.#leftovers.map((leftover) => ({ ...leftover, begun: null }));
  }

  /** A copy with one more leftover. */
  with(leftover: Leftover): Leftovers {
    return new Leftovers([...this.#leftovers, leftover]);
  }

  toState(): readonly Leftover[] {
    return this.#leftovers;
  }
}

const NOTHING_LEFT = 'no closed run has left anything';
