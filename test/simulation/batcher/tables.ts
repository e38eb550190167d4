import type { Identity } from './topic.js';

/** How far an attempt to insert gets before it is lost. */
export type Extent = 'all' | 'half';

/** An insert that was sent and whose answer nobody waits for any more; it may still arrive. */
export interface LateInsert {
  readonly table: string;
  readonly rows: readonly Identity[];
}

/**
 * The tables as a flush sees them: an insert asks for identities where one may have happened before, and its token, the
 * identities of just its rows, is remembered. A row that comes twice, in whatever table, is an error at once; so is one of
 * a record that was rejected, or that comes before an earlier one of its partition and epoch.
 */
export class Tables {
  readonly #tableOf = new Map<Identity, string>();
  readonly #tokens = new Set<string>();
  readonly #rejected = new Set<Identity>();
  readonly #lastOffset = new Map<string, number>();
  /** Counts the changes of the tables' columns, each of which has them refuse other records. */
  #generation = 0;

  /** A person alters the tables: what they have refused they may take now, and the other way round. */
  alter(): void {
    this.#generation++;
  }

  insert(table: string, records: readonly Identity[], repeated: boolean, extent: Extent = 'all') {
    const part = (rows: readonly Identity[]) => (extent === 'all' ? rows : rows.slice(0, rows.length / 2));
    const missing = repeated ? this.#missing(table, records) : records;
    if (!missing.some((row) => this.#refuses(row))) {
      this.#insert({ table, rows: missing }, part(missing));
      return { inserted: records, rejected: [] };
    }
    // The whole is refused: halves are tried, which ask first.
    const good = this.#missing(table, records).filter((row) => !this.#refuses(row));
    for (const row of part(good)) this.#insert({ table, rows: [row] });
    const rejected = this.#missing(table, records);
    return { inserted: records.filter((row) => !rejected.includes(row)), rejected };
  }

  /**
   * The insert that an attempt would send now. Null where the tables would refuse it, and where one was torn before: that
   * an insert of a batch is torn and another one late as well is more than the tokens are for.
   */
  late(table: string, records: readonly Identity[]): LateInsert | null {
    const untouched = records.every((row) => !this.#tableOf.has(row) && !this.#refuses(row));
    return untouched ? { table, rows: records } : null;
  }

  arrive(late: LateInsert): void {
    this.#insert(late);
  }

  /** The batch is given up: what is there is inserted. */
  giveUp(table: string, records: readonly Identity[]) {
    const rejected = this.#missing(table, records);
    return { inserted: records.filter((row) => !rejected.includes(row)), rejected };
  }

  reject(records: readonly Identity[]): void {
    for (const row of records) {
      if (this.#tableOf.has(row)) throw new Error(`${row} is rejected and has a row`);
      this.#rejected.add(row);
    }
  }

  get rows(): ReadonlyMap<Identity, string> {
    return this.#tableOf;
  }

  get rejected(): ReadonlySet<Identity> {
    return this.#rejected;
  }

  #missing(table: string, records: readonly Identity[]): readonly Identity[] {
    return records.filter((row) => this.#tableOf.get(row) !== table);
  }

  #refuses(row: Identity): boolean {
    return mayBeRefused(row) && (row.length + this.#generation) % 2 === 0;
  }

  /** ClickHouse remembers the token with each part that an insert makes, so that one that was torn can be completed. */
  #insert({ table, rows }: LateInsert, arriving = rows): void {
    const token = `${table}:${rows.join()}`;
    for (const row of arriving) {
      if (this.#tokens.has(`${token}:${row}`)) continue;
      this.#tokens.add(`${token}:${row}`);
      if (this.#tableOf.has(row)) throw new Error(`${row} comes a second time`);
      if (this.#rejected.has(row)) throw new Error(`${row} was rejected and gets a row`);
      this.#tableOf.set(row, table);
      // What was refused before may come later than what came after it.
      if (!mayBeRefused(row)) this.#keepsOrder(row);
    }
  }

  #keepsOrder(row: Identity): void {
    const [, source = '', offset] = /^(.*)\/(\d+)$/.exec(row) ?? [];
    const last = this.#lastOffset.get(source) ?? -1;
    if (Number(offset) < last) throw new Error(`${row} comes after offset ${last}`);
    this.#lastOffset.set(source, Number(offset));
  }
}

function mayBeRefused(row: Identity): boolean {
  return /\d5$/.test(row);
}
