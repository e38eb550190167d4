/** Fields that are gathered at once. If they get columns, the rows are made again, and others are gathered. */
const FIELDS_MAX = 100;
/** Names of which it is remembered that they get no column. */
const LEFT_MAX = 1_000;
/** Of each field, values that are kept, and their bytes together: they become a part of an address. */
const VALUES_MAX = 100;
const BYTES_MAX = 32 * 1024;
/** A longer value stands for a text: that takes all. */
const VALUE_BYTES_MAX = 16 * 1024;
const ANY_TEXT = '""';

/** Values that have no type: null, and lists of nothing else. */
const WITHOUT_TYPE = /^[\s[\],nul]+$/;

interface FoundField {
  readonly values: string[];
  bytes: number;
}

/** The fields of a batch that have no column, and some of their values. Names and values have one character per byte. */
export class NewFields {
  readonly #found = new Map<string, FoundField>();
  readonly #left = new Set<string>();
  readonly #getsNone: (name: string) => boolean;

  /** @param getsNone whether it is decided that a field gets no column now */
  constructor(getsNone: (name: string) => boolean) {
    this.#getsNone = getsNone;
  }

  /** Notes a field of a record, whose value is between two places of a text. */
  note(name: string, text: string, start: number, end: number): void {
    const known = this.#found.get(name);
    if (known !== undefined && (known.values.length >= VALUES_MAX || known.bytes >= BYTES_MAX)) return;
    if (this.#left.has(name)) return;
    const value = end - start > VALUE_BYTES_MAX ? ANY_TEXT : text.slice(start, end);
    if (WITHOUT_TYPE.test(value)) return;
    const field = known ?? this.#add(name);
    if (field === null) return;
    // A part of a text would keep all of it in memory.
    field.values.push(Buffer.from(value, 'latin1').toString('latin1'));
    field.bytes += value.length;
  }

  /** Null if the field is not gathered. */
  #add(name: string): FoundField | null {
    if (this.#getsNone(name)) {
      if (this.#left.size < LEFT_MAX) this.#left.add(name);
      return null;
    }
    if (this.#found.size >= FIELDS_MAX) return null;
    const field = { values: [], bytes: 0 };
    this.#found.set(name, field);
    return field;
  }

  /** JSON of the values of each field. */
  get values(): ReadonlyMap<string, readonly string[]> {
    return new Map(Array.from(this.#found, ([name, { values }]) => [name, values]));
  }
}
