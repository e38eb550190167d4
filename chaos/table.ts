import { COLUMNS, ROW_DIGEST } from './columns.js';
import type { Row } from './ledger.js';
import type { RemadeRow } from './remade.js';
import type { Offsets } from './topic.js';

const STATEMENT_MS = 120_000;
/** One row of so many is refused by a view that refuses some. */
const REFUSED_EVERY = 997;
/** A batch that is on its way while its table is replaced is tried again within this time. */
const ON_ITS_WAY_US = 120_000_000;
/** Offsets that are read at once. */
const READ_OFFSETS = 500_000;

/** How the rows of a materialized view differ from those of its table. */
export interface ViewRows {
  readonly rows: number;
  /** Rows of the table that it has not. */
  readonly lacking: number;
  /** Rows that it has too often, or that the table has not. */
  readonly extra: number;
}

/** A table in whose place a new one has come. */
interface OldTable {
  readonly name: string;
  /** Microseconds since 1970, by ClickHouse's clock. */
  readonly replacedAtUs: number;
}

/** The table of a run with its materialized view, over ClickHouse's HTTP interface. */
export class ChaosTable {
  readonly name: string;
  /** Inserts that it knows. An outage is longer than this if it is small. */
  readonly window: number;
  readonly #url: string;
  /** Those that were put aside for new ones. */
  readonly #old: OldTable[] = [];
  /** When it got its column, by ClickHouse's clock. */
  #alteredAtUs = 0;

  constructor(url: string, name: string, window: number) {
    this.#url = url;
    this.name = name;
    this.window = window;
  }

  async create(): Promise<void> {
    await this.#run(`CREATE TABLE ${this.seen} (
      id UInt64, _topic LowCardinality(String), _partition UInt32, _offset UInt64, _epoch LowCardinality(String)
    ) ENGINE = MergeTree ORDER BY (_topic, _partition, _epoch, _offset)
    SETTINGS non_replicated_deduplication_window = ${this.window}`);
    await this.#createTable(this.name, 0);
    await this.#run(`CREATE MATERIALIZED VIEW ${this.#view} TO ${this.seen} AS ${SEEN_COLUMNS_OF} ${this.name}`);
  }

  /** How often it was made anew. */
  get timesMadeAnew(): number {
    return this.#old.length;
  }

  /** What a query reads from for the rows of the table and of the old ones, whatever they are called at that time. */
  get everywhere(): string {
    return `merge(currentDatabase(), '^${this.name}(_[0-9]+|_away)?$')`;
  }

  /** Batches wait for it until it is back. */
  async away(): Promise<void> {
    await this.#run(`RENAME TABLE ${this.name} TO ${this.name}_away`);
  }

  async back(): Promise<void> {
    if (await this.#exists(`${this.name}_away`)) await this.#run(`RENAME TABLE ${this.name}_away TO ${this.name}`);
  }

  async addColumn(): Promise<void> {
    this.#alteredAtUs = await this.#nowUs();
    await this.#run(`ALTER TABLE ${this.name} ADD COLUMN IF NOT EXISTS added Int64 DEFAULT 7`);
  }

  /** Rows that were inserted since it has the column. Throws without it. */
  async rowsSinceAltered(): Promise<number> {
    const where = `inserted_at >= fromUnixTimestamp64Micro(${this.#alteredAtUs}) AND added = 7`;
    return Number(await this.#run(`SELECT count() FROM ${this.name} WHERE ${where}`));
  }

  async dropColumn(): Promise<void> {
    await this.#run(`ALTER TABLE ${this.name} DROP COLUMN IF EXISTS added`);
  }

  /**
   * An empty one comes in its place, as if it was dropped and made again. The old one is kept, to be judged. The view stays.
   *
   * @param retry repeats an act until it is done
   */
  async makeAnew(retry: (act: () => Promise<void>) => Promise<void>): Promise<void> {
    const generation = this.#old.length + 1;
    const old = `${this.name}_${generation}`;
    let replacedAtUs = 0;
    await retry(async () => {
      // A statement may be done although its answer is lost.
      if ((await this.#generationOf(this.name)) === String(generation)) return;
      await this.#createTable(old, generation);
      replacedAtUs = await this.#nowUs();
      await this.#run(`EXCHANGE TABLES ${this.name} AND ${old}`);
    });
    this.#old.push({ name: old, replacedAtUs });
  }

  /** Rows of the table and of the one whose place it has taken last: it was made anew if both have some. */
  async rowsBeforeAndAfter(): Promise<readonly [before: number, after: number]> {
    const countOf = async (name: string): Promise<number> => Number(await this.#run(`SELECT count() FROM ${name}`));
    const old = this.#old.at(-1);
    return [old === undefined ? 0 : await countOf(old.name), await countOf(this.name)];
  }

  /** How often ClickHouse has met these errors since it was started, for whomever. */
  async errors(names: readonly string[]): Promise<number> {
    const list = names.map((name) => `'${name}'`).join();
    return Number(await this.#run(`SELECT sum(value) FROM system.errors WHERE name IN (${list})`));
  }

  /** Its view refuses all rows, or one in 997, and with it all that come together with that one. */
  async failView(rows: 'all' | 'some'): Promise<void> {
    const refused = rows === 'all' ? '1' : `id % ${REFUSED_EVERY} = 5`;
    await this.#changeView(`${SEEN_COLUMNS_OF} ${this.name} WHERE throwIf(${refused}) = 0`);
  }

  async mendView(): Promise<void> {
    await this.#changeView(`${SEEN_COLUMNS_OF} ${this.name}`);
  }

  async count(): Promise<number> {
    return Number(await this.#run(`SELECT count() FROM ${this.everywhere}`));
  }

  /** At how many offsets of a partition rows were inserted since then, in milliseconds since 1970. */
  async offsetsSince({ partition, from, to }: Offsets, topic: string, sinceMs: number): Promise<number> {
    const where = `_topic = '${topic}' AND _partition = ${partition} AND _offset >= ${from} AND _offset < ${to}`;
    const since = `inserted_at >= fromUnixTimestamp64Milli(${Math.floor(sinceMs)})`;
    return Number(await this.#run(`SELECT uniqExact(_offset) FROM ${this.everywhere} WHERE ${where} AND ${since}`));
  }

  /** The epochs under which rows of a topic were inserted. */
  async epochsOf(topic: string): Promise<readonly string[]> {
    const text = await this.#run(`SELECT DISTINCT _epoch FROM ${this.everywhere} WHERE _topic = '${topic}'`);
    return Array.from(cells(text), ([epoch = '']) => epoch);
  }

  /** Of how many partitions of a topic there are rows under other epochs than these. */
  async partitionsUnderOthers(topic: string, epochs: readonly string[]): Promise<number> {
    const others = `NOT has([${epochs.map((epoch) => `'${epoch}'`).join()}]::Array(String), _epoch)`;
    const where = `_topic = '${topic}' AND ${others}`;
    return Number(await this.#run(`SELECT uniqExact(_partition) FROM ${this.everywhere} WHERE ${where}`));
  }

  /** All rows of a topic of few records. */
  async rowsOf(topic: string): Promise<RemadeRow[]> {
    const text = await this.#run(`SELECT id, _epoch, _table FROM ${this.everywhere} WHERE _topic = '${topic}'`);
    return Array.from(cells(text), ([id, epoch = '', table = '']) => ({ id: Number(id), epoch, table }));
  }

  /** Tells every row of a topic, also of the old tables. It reads so many at once as fit into the memory. */
  async rows(topic: string, add: (row: Row) => void): Promise<void> {
    const ofTopic = `_topic = '${topic}'`;
    const tables = [...this.#old, { name: this.name, replacedAtUs: Infinity }];
    for (const [table, { name, replacedAtUs }] of tables.entries()) {
      const ends = await this.#run(`SELECT _partition, max(_offset) FROM ${name} WHERE ${ofTopic} GROUP BY _partition`);
      for (const [partition = '', last = ''] of cells(ends)) {
        for (let from = 0; from <= Number(last); from += READ_OFFSETS) {
          const text = await this.#run(`SELECT _offset, id, ${ROW_DIGEST}, toUnixTimestamp64Micro(inserted_at), _epoch
            FROM ${name} WHERE ${ofTopic} AND _partition = ${partition}
              AND _offset BETWEEN ${from} AND ${from + READ_OFFSETS - 1}`);
          for (const [offset, id, digest = '', insertedAtUs, epoch = ''] of cells(text))
            add({
              partition: Number(partition),
              offset: Number(offset),
              id: Number(id),
              digest: parseInt(digest, 16),
              insertedAtUs: Number(insertedAtUs),
              epoch,
              table,
              isLate: replacedAtUs !== Infinity && Number(insertedAtUs) > replacedAtUs - ON_ITS_WAY_US,
            });
        }
      }
    }
  }

  /** Compares the view with the table, and with the old ones. */
  async viewRows(): Promise<ViewRows> {
    const place = '_topic, _partition, _offset, _epoch';
    const text = await this.#run(`SELECT (SELECT count() FROM ${this.seen}),
        sumIf(more, more > 0), sumIf(-more, more < 0)
      FROM (
        SELECT sum(side) AS more FROM (
          SELECT ${place}, 1 AS side FROM ${this.everywhere} UNION ALL SELECT ${place}, -1 AS side FROM ${this.seen}
        ) GROUP BY ${place}
      ) FORMAT JSONCompactEachRow`);
    const [rows, lacking, extra] = (JSON.parse(text) as string[]).map(Number) as [number, number, number];
    return { rows, lacking, extra };
  }

  /** What the view writes to. */
  get seen(): string {
    return `${this.name}_seen`;
  }

  get #view(): string {
    return `${this.name}_view`;
  }

  async #changeView(query: string): Promise<void> {
    await this.#run(`ALTER TABLE ${this.#view} MODIFY QUERY ${query}`);
  }

  async #createTable(name: string, generation: number): Promise<void> {
    await this.#run(`CREATE TABLE IF NOT EXISTS ${name} (${COLUMNS})
    ENGINE = MergeTree ORDER BY (_topic, _partition, _epoch, _offset)
    SETTINGS non_replicated_deduplication_window = ${this.window} COMMENT '${generation}'`);
  }

  async #nowUs(): Promise<number> {
    return Number(await this.#run('SELECT toUnixTimestamp64Micro(now64(6))'));
  }

  async #generationOf(name: string): Promise<string> {
    const query = `SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = '${name}'`;
    return (await this.#run(query)).trim();
  }

  async #exists(table: string): Promise<boolean> {
    return (await this.#run(`EXISTS TABLE ${table}`)).trim() === '1';
  }

  async #run(statement: string): Promise<string> {
    const signal = AbortSignal.timeout(STATEMENT_MS);
    const response = await fetch(this.#url, { method: 'POST', body: statement, signal });
    const text = await response.text();
    if (!response.ok) throw new Error(`ClickHouse: ${text}`);
    return text;
  }
}

const SEEN_COLUMNS_OF = 'SELECT id, _topic, _partition, _offset, _epoch FROM';

/** Of what ClickHouse answers as TabSeparated, line by line. */
function* cells(text: string): Generator<string[]> {
  for (let from = 0; from < text.length;) {
    const end = text.indexOf('\n', from);
    yield text.slice(from, end).split('\t');
    from = end + 1;
  }
}
