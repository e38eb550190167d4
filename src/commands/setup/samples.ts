import type { ClickHouseTables } from '../../clickhouse/tables.js';
import type { PipelineConfig } from '../../config/config.js';
import { isDecoded, type Mapping } from '../../protocol/settings.js';
import { readRecordsOfTables, type RecordsOfTables } from './recordsOfTables.js';
import type { Sample, SampledParts, TableOfTopics } from './sample.js';
import { sampleRows, tableSample, textsOf } from './sampleRows.js';
import { sampleSchemas, schemaSample } from './sampleSchemas.js';

type Connections = SampledParts & { readonly tables: Pick<ClickHouseTables, 'columnsOf'> };

/** What the missing tables of a pipeline are proposed from. */
export class Samples {
  readonly #connections: Connections;
  readonly #pipeline: PipelineConfig;
  readonly #topics: readonly string[];
  readonly #tables: readonly string[];
  /** Set once a table needs them, if records go to tables by a value: they are read once for all tables. */
  #ofTables: Promise<RecordsOfTables> | undefined;

  /**
   * @param topics all that the pipeline reads
   * @param tables all that it fills
   */
  constructor(
    connections: Connections,
    pipeline: PipelineConfig,
    topics: readonly string[],
    tables: readonly string[],
  ) {
    this.#tables = tables;
    this.#connections = connections;
    this.#pipeline = pipeline;
    this.#topics = topics;
  }

  /**
   * Of records whose values have a schema, what the schema says. Of others, rows of the records.
   *
   * @throws Error if the topics cannot be read, or the registry does not tell what is needed
   */
  async of(table: TableOfTopics, records: number): Promise<Sample> {
    const { destination } = this.#pipeline.settings;
    const { tablesOfValues } = destination;
    if (tablesOfValues !== undefined) {
      this.#ofTables ??= this.#readRecords({ ...destination, tablesOfValues }, records);
      return this.#ofRecords(table, await this.#ofTables, records);
    }
    if (hasSchemas(destination)) return sampleSchemas(this.#connections, table, records);
    if (table.topics.length === 0) return { rows: [], key: null };
    return sampleRows(this.#connections, table, records);
  }

  async #readRecords(
    destination: Parameters<typeof readRecordsOfTables>[2],
    records: number,
  ): Promise<RecordsOfTables> {
    const existing = await this.#connections.tables.columnsOf(this.#tables);
    const missing = this.#tables.filter((table) => !existing.has(table));
    return readRecordsOfTables(this.#connections, this.#topics, destination, missing, records);
  }

  async #ofRecords({ name }: TableOfTopics, found: RecordsOfTables, records: number): Promise<Sample> {
    const { destination } = this.#pipeline.settings;
    const { format } = destination.mapping;
    const own = found.of(name);
    const what = isDecoded(format) ? `record with a schema of ${format}` : 'JSON object';
    const among = `the last ${found.read.toLocaleString('en')} records of topic ${this.#topics.join(', ')}`;
    const nothing = `There is no ${what} that goes to this table among ${among}`;
    if (hasSchemas(destination))
      return {
        ...(await schemaSample(this.#connections.registry, own, { topics: [], destination }, records)),
        nothing,
      };
    const { rows, add, key } = tableSample(destination, records);
    for (const { source, record } of own) add(source, record);
    return { rows: textsOf(rows), key: key(), nothing };
  }
}

function hasSchemas({ mapping: { format, key } }: { readonly mapping: Mapping }): boolean {
  return isDecoded(format) || isDecoded(key?.format ?? 'bytes');
}
