/** Names that are told from each other. A topic may have any number of them. */
const NAMES_MAX = 1_000;

/** Stands for the fields beyond that. */
export const OTHER_FIELDS = '(others)';

/**
 * Counts fields that have no column, by name. The fields of one record usually have the places of those of the one before,
 * so that counting is one addition.
 */
export class IgnoredFields {
  readonly #names: string[] = [];
  readonly #counts: number[] = [];
  readonly #before = new Map<string, number>();

  /** @param place of the field among those of its object */
  count(name: string, place: number): void {
    if (place >= NAMES_MAX) {
      this.#add(name, 1);
    } else if (this.#names[place] === name) {
      (this.#counts[place] as number)++;
    } else {
      this.#settle(place);
      this.#names[place] = name;
      this.#counts[place] = 1;
    }
  }

  /** The counts so far. Names have one character per byte. */
  counts(): ReadonlyMap<string, number> {
    for (const place of this.#names.keys()) this.#settle(place);
    return this.#before;
  }

  #settle(place: number): void {
    const name = this.#names[place];
    const count = this.#counts[place] ?? 0;
    if (name !== undefined && count > 0) this.#add(name, count);
    this.#counts[place] = 0;
  }

  #add(name: string, count: number): void {
    const counts = this.#before;
    const counted = counts.has(name) || counts.size < NAMES_MAX ? name : OTHER_FIELDS;
    counts.set(counted, (counts.get(counted) ?? 0) + count);
  }
}
