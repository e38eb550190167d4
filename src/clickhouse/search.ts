/** Why a try was refused. */
export interface Refusal {
  /** Index, among the items tried, of the one that is said to be the culprit. Nothing rests on its being right. */
  readonly suspect?: number | undefined;
  /** It may be refused whatever the items are. */
  readonly doubtful?: boolean;
}

/** An item that was refused alone, and why. */
export interface Refused<Item, Reason> {
  readonly item: Item;
  readonly reason: Reason;
}

/** As long as no more culprits than this are known, the whole rest is tried at once: few culprits, few inserts. */
const WHOLE_REST_UNTIL = 8;
/** Beyond, at most this many, or four times as many as went well before the last culprit. */
const WINDOW_MIN = 64;
/** After so many culprits side by side, the next ones are tried alone, as many at a time as {@link ALONE_AT_ONCE}. */
const RUN_LENGTH = 4;
const ALONE_AT_ONCE = 4;
/** After so many doubtful refusals in a row, items from all over the rest are tried alone, until one is taken. */
const SPREAD_AFTER = 32;

/**
 * Inserts what can be inserted of a list and finds what cannot: an item counts as refused only when it was tried alone.
 *
 * Where a refusal names a suspect, that one is tried alone, and then the others without it: k culprits among n cost about
 * 2 k tries, side by side about k. Where it names none, or the suspect is taken, halves are tried, at O(k log n) tries.
 * The others go in large tries and in their order, but for a suspect that is taken, and, among culprits side by side, up to four
 * at once.
 *
 * Where everything is refused for reasons that are doubtful, many culprits side by side are told from a place that takes nothing:
 * items from all over the list are tried, out of order, so that one which is taken is found soon if there are some.
 *
 * @param tryAll takes all items or refuses all of them; null for success
 * @param first how the items are divided to begin with, in their order, each part asked for when its turn comes; default: not at all
 * @returns what was refused, in no certain order
 * @throws whatever `tryAll` throws, once no other try is running
 */
export async function findRefused<Item, Reason extends Refusal>(
  items: readonly Item[],
  tryAll: (items: readonly Item[]) => Promise<Reason | null>,
  first: Iterable<readonly Item[]> = [items],
): Promise<Refused<Item, Reason>[]> {
  const refused: Refused<Item, Reason>[] = [];
  /** Culprits that were found at the head of what was tried, one after the other. */
  let run = 0;
  let doubtfulInARow = 0;
  const tryPart = async (part: readonly Item[]): Promise<Reason | null> => {
    const reason = await tryAll(part);
    if (reason === null) doubtfulInARow = 0;
    else if (reason.doubtful === true) doubtfulInARow++;
    return reason;
  };
  // Taken from the end: what comes first in order lies last.
  const parts: (readonly Item[])[] = [];
  const rest = first[Symbol.iterator]();
  const next = (): readonly Item[] | undefined => {
    if (doubtfulInARow < SPREAD_AFTER) return parts.pop() ?? nextOf(rest);
    for (let part = nextOf(rest); part !== undefined; part = nextOf(rest)) parts.unshift(part);
    return takeMiddle(parts);
  };
  for (let part = next(); part !== undefined; part = next()) {
    if (part.length === 0) continue;
    const reason = await tryPart(part);
    if (reason === null) {
      run = 0;
      continue;
    }
    const { suspect = -1 } = reason;
    if (part.length === 1) {
      refused.push({ item: part[0] as Item, reason });
      continue;
    }
    if (suspect < 0 || suspect >= part.length) {
      parts.push(...halves(part));
      continue;
    }
    const item = part[suspect] as Item;
    const others = part.filter((_, index) => index !== suspect);
    const alone = await tryPart([item]);
    if (alone === null) {
      parts.push(...halves(others));
      continue;
    }
    refused.push({ item, reason: alone });
    run = suspect === 0 ? run + 1 : 0;
    if (run >= RUN_LENGTH) {
      const culprits = await tryAloneWhileRefused(others, tryPart, () => doubtfulInARow < SPREAD_AFTER);
      refused.push(...culprits.refused);
      parts.push(others.slice(culprits.tried));
      run = 0;
    } else {
      const window = refused.length <= WHOLE_REST_UNTIL ? others.length : Math.max(WINDOW_MIN, 4 * suspect);
      parts.push(others.slice(window), others.slice(0, window));
    }
  }
  return refused;
}

function nextOf<Item>(iterator: Iterator<Item>): Item | undefined {
  const { done, value } = iterator.next() as IteratorResult<Item, undefined>;
  return done === true ? undefined : value;
}

/** The second half first: parts are taken from the end. */
function halves<Item>(part: readonly Item[]): [readonly Item[], readonly Item[]] {
  const middle = Math.ceil(part.length / 2);
  return [part.slice(middle), part.slice(0, middle)];
}

/** Takes the item in the middle of the largest part, alone; what was before and after it stays in its place. */
function takeMiddle<Item>(parts: (readonly Item[])[]): readonly Item[] | undefined {
  const length = parts.reduce((longest, part) => Math.max(longest, part.length), 0);
  const index = parts.findIndex((part) => part.length === length);
  const part = parts[index] ?? [];
  const middle = length >> 1;
  parts.splice(index, 1, part.slice(middle + 1), part.slice(0, middle));
  return length === 0 ? undefined : part.slice(middle, middle + 1);
}

async function tryAloneWhileRefused<Item, Reason>(
  items: readonly Item[],
  tryAll: (items: readonly Item[]) => Promise<Reason | null>,
  mayGoOn: () => boolean,
): Promise<{ readonly refused: Refused<Item, Reason>[]; readonly tried: number }> {
  const refused: Refused<Item, Reason>[] = [];
  let tried = 0;
  while (tried === refused.length && tried < items.length && mayGoOn()) {
    const group = items.slice(tried, tried + ALONE_AT_ONCE);
    // All of them are awaited: none may have an effect after this has failed.
    const outcomes = await Promise.allSettled(group.map((item) => tryAll([item])));
    group.forEach((item, index) => {
      const outcome = outcomes[index] as PromiseSettledResult<Reason | null>;
      if (outcome.status === 'rejected') throw outcome.reason;
      if (outcome.value !== null) refused.push({ item, reason: outcome.value });
    });
    tried += group.length;
  }
  return { refused, tried };
}
