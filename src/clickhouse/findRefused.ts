import { CONNECTIONS_OF_FLUSH } from '../lib/clickhouseConnections.js';
/** Why an attempt was refused. */
export interface Refusal {
  /** Index of the item that the error names. It may be wrong: the result does not depend on it. */
  readonly suspect?: number | undefined;
  /** The reason may be something other than the items. */
  readonly doubtful?: boolean;
}

/** An item that was refused alone, and why. */
export interface Refused<Item, Reason> {
  readonly item: Item;
  readonly reason: Reason;
}

/** Up to this many culprits, the whole rest is tried at once, because few culprits need few inserts then. */
const WHOLE_REST_UNTIL = 8;
/**
 * With more culprits, at most this many items are tried at once, or four times as many as succeeded before the last
 * culprit.
 */
const WINDOW_MIN = 64;
/** After this many culprits next to each other, the next items are tried alone, {@link CONNECTIONS_OF_FLUSH} at a time. */
const RUN_LENGTH = 4;
/** After this many doubtful refusals in a row, single items from all over the rest are tried, until one succeeds. */
const SPREAD_AFTER = 32;

/**
 * Inserts all items of a list that can be inserted, and finds those that cannot. An item counts as refused only if it
 * was tried alone.
 *
 * If an error names a suspect, the suspect is tried alone, then the others without it. So k culprits among n items cost
 * about 2 k attempts, or about k if they are next to each other. If the error names none, or the suspect succeeds,
 * halves are tried: O(k log n) attempts. Items are inserted in large parts and in order, with two exceptions: a suspect
 * that succeeds, and up to four items at once among neighbouring culprits.
 *
 * If everything is refused for doubtful reasons, there are two cases: many culprits in a row, or a table that takes
 * nothing. To tell them apart, items from all over the list are tried, out of order. If some can be inserted, one is
 * soon found.
 *
 * @param tryAll inserts all items or none. Null means success
 * @param first how the items are divided at first, in order. A part is asked for only when its turn comes. Default: one
 *   part
 * @returns the refused items, in no particular order
 * @throws whatever `tryAll` throws, after all other running attempts have ended
 */
export async function findRefused<Item, Reason extends Refusal>(
  items: readonly Item[],
  tryAll: (items: readonly Item[]) => Promise<Reason | null>,
  first: Iterable<readonly Item[]> = [items],
): Promise<Refused<Item, Reason>[]> {
  const search = new Search(tryAll, first);
  await search.run();
  return search.refused;
}

/** One search. */
class Search<Item, Reason extends Refusal> {
  readonly refused: Refused<Item, Reason>[] = [];
  readonly #tryAll: (items: readonly Item[]) => Promise<Reason | null>;
  /** What is still to be tried of the parts that were asked for. A stack: the first part in order is the last element. */
  readonly #parts: (readonly Item[])[] = [];
  readonly #rest: Iterator<readonly Item[]>;
  /** Culprits in a row that were each the first item of an attempt. */
  #run = 0;
  #doubtfulInARow = 0;

  constructor(tryAll: (items: readonly Item[]) => Promise<Reason | null>, first: Iterable<readonly Item[]>) {
    this.#tryAll = tryAll;
    this.#rest = first[Symbol.iterator]();
  }

  async run(): Promise<void> {
    for (let part = this.#next(); part !== undefined; part = this.#next()) {
      if (part.length === 0) continue;
      const reason = await this.#try(part);
      const { suspect = -1 } = reason ?? {};
      if (reason === null) this.#run = 0;
      else if (part.length === 1) this.refused.push({ item: part[0] as Item, reason });
      else if (suspect < 0 || suspect >= part.length) this.#parts.push(...halves(part));
      else await this.#trySuspect(part, suspect);
    }
  }

  #next(): readonly Item[] | undefined {
    const parts = this.#parts;
    if (!this.#isSpread) return parts.pop() ?? nextOf(this.#rest);
    for (let part = nextOf(this.#rest); part !== undefined; part = nextOf(this.#rest)) parts.unshift(part);
    return takeMiddle(parts);
  }

  get #isSpread(): boolean {
    return this.#doubtfulInARow >= SPREAD_AFTER;
  }

  async #try(part: readonly Item[]): Promise<Reason | null> {
    const reason = await this.#tryAll(part);
    if (reason === null) this.#doubtfulInARow = 0;
    else if (reason.doubtful === true) this.#doubtfulInARow++;
    return reason;
  }

  /** Tries the item that an error names alone, and says how the others of its part are tried. */
  async #trySuspect(part: readonly Item[], suspect: number): Promise<void> {
    const item = part[suspect] as Item;
    const others = part.filter((_, index) => index !== suspect);
    const reason = await this.#try([item]);
    if (reason === null) {
      this.#parts.push(...halves(others));
      return;
    }
    this.refused.push({ item, reason });
    this.#run = suspect === 0 ? this.#run + 1 : 0;
    if (this.#run >= RUN_LENGTH) {
      const culprits = await this.#tryAloneWhileRefused(others);
      for (const culprit of culprits.refused) this.refused.push(culprit);
      this.#parts.push(others.slice(culprits.tried));
      this.#run = 0;
      return;
    }
    const window = this.refused.length <= WHOLE_REST_UNTIL ? others.length : Math.max(WINDOW_MIN, 4 * suspect);
    this.#parts.push(others.slice(window), others.slice(0, window));
  }

  async #tryAloneWhileRefused(
    items: readonly Item[],
  ): Promise<{ readonly refused: readonly Refused<Item, Reason>[]; readonly tried: number }> {
    const refused: Refused<Item, Reason>[] = [];
    let tried = 0;
    while (tried === refused.length && tried < items.length && !this.#isSpread) {
      const group = items.slice(tried, tried + CONNECTIONS_OF_FLUSH);
      // All are awaited, so that none has an effect after this function has failed.
      const outcomes = await Promise.allSettled(group.map((item) => this.#try([item])));
      group.forEach((item, index) => {
        const outcome = outcomes[index] as PromiseSettledResult<Reason | null>;
        if (outcome.status === 'rejected') throw outcome.reason;
        if (outcome.value !== null) refused.push({ item, reason: outcome.value });
      });
      tried += group.length;
    }
    return { refused, tried };
  }
}

function nextOf<Item>(iterator: Iterator<Item>): Item | undefined {
  const { done, value } = iterator.next() as IteratorResult<Item, undefined>;
  return done === true ? undefined : value;
}

/** The second half comes first, because parts are taken from the end. */
function halves<Item>(part: readonly Item[]): [readonly Item[], readonly Item[]] {
  const middle = Math.ceil(part.length / 2);
  return [part.slice(middle), part.slice(0, middle)];
}

/** Takes out the item in the middle of the largest part. The items before and after it keep their place. */
function takeMiddle<Item>(parts: (readonly Item[])[]): readonly Item[] | undefined {
  const length = parts.reduce((longest, part) => Math.max(longest, part.length), 0);
  const index = parts.findIndex((part) => part.length === length);
  const part = parts[index] ?? [];
  const middle = length >> 1;
  parts.splice(index, 1, part.slice(middle + 1), part.slice(0, middle));
  return length === 0 ? undefined : part.slice(middle, middle + 1);
}
