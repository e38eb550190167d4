import type { Row } from './checks.js';

const STATEMENT_MS = 120_000;

/** The table of a run, over ClickHouse's HTTP interface. */
export class ChaosTable {
  readonly name: string;
  readonly #url: string;

  constructor(url: string, name: string) {
    this.#url = url;
    this.name = name;
  }

  /** A row says when ClickHouse took it, for the order. */
  async create(): Promise<void> {
    await this.#run(`CREATE TABLE ${this.name} (
      id UInt64, key String, amount Int32, text String, inserted_at DateTime64(6) DEFAULT now64(6),
      _topic LowCardinality(String), _partition UInt32, _offset UInt64, _timestamp DateTime64(3), _key String,
      _epoch LowCardinality(String)
    ) ENGINE = MergeTree ORDER BY (_topic, _partition, _epoch, _offset)
    SETTINGS non_replicated_deduplication_window = 1000`);
  }

  /** Batches wait for it until it is back. */
  async away(): Promise<void> {
    await this.#run(`RENAME TABLE ${this.name} TO ${this.name}_away`);
  }

  async back(): Promise<void> {
    if ((await this.#run(`EXISTS TABLE ${this.name}_away`)).trim() === '1')
      await this.#run(`RENAME TABLE ${this.name}_away TO ${this.name}`);
  }

  async addColumn(): Promise<void> {
    await this.#run(`ALTER TABLE ${this.name} ADD COLUMN IF NOT EXISTS added Int64 DEFAULT 7`);
  }

  async dropColumn(): Promise<void> {
    await this.#run(`ALTER TABLE ${this.name} DROP COLUMN IF EXISTS added`);
  }

  async rows(partitions: number): Promise<Row[]> {
    const rows: Row[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const text = await this.#run(`SELECT id, _offset, key, lower(hex(MD5(text))), toUnixTimestamp64Micro(inserted_at)
        FROM ${this.name} WHERE _partition = ${partition} FORMAT JSONCompactEachRow`);
      for (const line of text.split('\n')) {
        if (line === '') continue;
        const [id, offset, key, digest, insertedAtUs] = JSON.parse(line) as [string, string, string, string, string];
        rows.push({
          id: Number(id),
          partition,
          offset: Number(offset),
          key,
          text: digest,
          insertedAtUs: Number(insertedAtUs),
        });
      }
    }
    return rows;
  }

  async #run(statement: string): Promise<string> {
    const signal = AbortSignal.timeout(STATEMENT_MS);
    const response = await fetch(this.#url, { method: 'POST', body: statement, signal });
    const text = await response.text();
    if (!response.ok) throw new Error(`ClickHouse: ${text}`);
    return text;
  }
}
