import { ANY, both, shapeOf, typeOfShape, type FieldShape } from './fieldShape.js';

/** Fields that are gathered at once. If they get columns, the rows are made again, and others are gathered. */
const FIELDS_MAX = 100;
/** Names of which it is remembered that they get no column, and of those that have no type yet. */
const LEFT_MAX = 1_000;
/** A longer value counts as a text: that takes all. */
const VALUE_BYTES_MAX = 16 * 1024;

/** The fields of a batch that have no column, and what all of their values are. Names have one character per byte. */
export class NewFields {
  readonly #found = new Map<string, FieldShape>();
  /** Fields that have no value with a type yet, but empty arrays. */
  readonly #waiting = new Map<string, FieldShape>();
  readonly #left = new Set<string>();
  #hasMore = false;
  readonly #getsNone: (name: string) => boolean;

  /** @param getsNone whether it is decided that a field gets no column now */
  constructor(getsNone: (name: string) => boolean) {
    this.#getsNone = getsNone;
  }

  /** Notes a field of a record, whose value is between two places of a text. */
  note(name: string, text: string, start: number, end: number): void {
    const known = this.#found.get(name);
    if (known?.is === 'any' || this.#left.has(name)) return;
    const shape = end - start > VALUE_BYTES_MAX ? ANY : shapeOf(text, start, end);
    if (shape === null) return;
    if (known === undefined) this.#add(name, shape);
    else this.#found.set(name, both(known, shape) ?? known);
  }

  #add(name: string, shape: FieldShape): void {
    if (this.#getsNone(name)) {
      if (this.#left.size < LEFT_MAX) this.#left.add(name);
      return;
    }
    const all = both(this.#waiting.get(name) ?? null, shape) ?? shape;
    if (typeOfShape(all) !== undefined) {
      if (this.#found.size < FIELDS_MAX) this.#found.set(name, all);
      else this.#hasMore = true;
    } else if (this.#waiting.size < LEFT_MAX || this.#waiting.has(name)) this.#waiting.set(name, all);
  }

  /** Whether there are more fields than are gathered at once. */
  get hasMore(): boolean {
    return this.#hasMore;
  }

  /** The type of a column that holds all values of a field, for each that has a value. */
  get types(): ReadonlyMap<string, string> {
    return new Map(Array.from(this.#found, ([name, shape]) => [name, typeOfShape(shape) ?? 'Nullable(String)']));
  }
}
