/*
 * Stores JSON values in columns of any type, as all rows are inserted, and reads what has become of each.
 */
import type { ColumnSource } from '../../src/protocol/columnSource.js';
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';
import { afterAll, beforeAll, expect } from 'vitest';
import { insertRecords, type BatchInsertResult } from '../../src/clickhouse/insertRecords.js';
import type { SourcedRecord } from '../../src/protocol/record.js';
import { ClickHouseTables } from '../../src/clickhouse/tables.js';
import { createClickHouse } from '../../src/clickhouse/clients.js';
import type { EvolvedField, TableEvolution } from '../../src/clickhouse/evolve/tableEvolution.js';
import type { Rejection } from '../../src/protocol/ack.js';
import type { Mapping } from '../../src/protocol/settings.js';
import { DEFAULT_MAPPING } from './chunks.js';
import { record } from './records.js';
import { useSharedStack } from './useStack.js';

export interface StoredColumn {
  /** As `CREATE TABLE` has it. */
  readonly define: (name: string) => string;
  /** An expression that gives a text of what is stored. */
  readonly read: (name: string) => string;
}

export interface WrittenValue {
  /** Index of its column. */
  readonly column: number;
  readonly json: string | Buffer;
}

/** What has become of a value. */
export type Outcome =
  | { readonly stored: string | null; readonly rejection: null }
  | { readonly stored: null; readonly rejection: Rejection };

export interface InsertOptions {
  /** Of the pipeline, as `clickhouse.settings`. */
  readonly insertSettings?: Readonly<Record<string, string | number>>;
  /** What columns are mapped from. */
  readonly columns?: Readonly<Record<string, ColumnSource>>;
  readonly mapping?: Mapping;
  /** The batch's id. Default: the table's name. */
  readonly batch?: string;
  /** Whether the records may have been inserted before. */
  readonly repeated?: boolean;
  /** What a worker does about fields without a column, and what became of them. */
  readonly evolution?: TableEvolution;
  readonly onEvolved?: (field: EvolvedField) => void;
}

export interface StoreOptions extends Pick<InsertOptions, 'insertSettings'> {
  readonly createSettings?: Readonly<Record<string, string | number>>;
  readonly readSettings?: ClickHouseSettings;
}

export interface ValueStore {
  readonly client: ClickHouseClient;
  /** Inserts one batch into a table with the identity columns. */
  insert(table: string, records: readonly SourcedRecord[], options?: InsertOptions): Promise<BatchInsertResult>;
  /** Inserts a record for each value, all in one batch. Each is in the table afterwards, or it is rejected. */
  store(
    columns: readonly StoredColumn[],
    values: readonly WrittenValue[],
    options?: StoreOptions,
  ): Promise<readonly Outcome[]>;
}

function nameOf(column: number): string {
  return column === 0 ? 'v' : `v${column}`;
}

const SOURCE = { topic: 'orders', partition: 0, epoch: 'e' };

/** Of the stack that test files share. @param prefix of the names of tables */
export function useValueStore(prefix: string): () => ValueStore {
  const stack = useSharedStack();
  let client: ClickHouseClient;
  let made = 0;
  beforeAll(() => {
    client = createClickHouse({
      ...stack().clickhouse,
      urls: [stack().clickhouse.url],
      accessToken: null,
      tls: null,
      requestTimeoutMs: 30_000,
      lookUpTimeoutMs: 30_000,
      settings: {},
      maxConnections: 4,
    });
  });
  afterAll(() => client.close());

  const insert: ValueStore['insert'] = (
    table,
    records,
    { insertSettings = {}, columns = {}, mapping = DEFAULT_MAPPING, batch = table, repeated = false, ...more } = {},
  ) =>
    insertRecords(records, {
      tables: new ClickHouseTables(client, 'default', insertSettings),
      table,
      columns,
      mapping,
      batch,
      repeated,
      ...more,
      overdue: false,
      mustBeAlive: () => undefined,
    });

  const store: ValueStore['store'] = async (columns, values, options = {}) => {
    const table = `${prefix}_${++made}`;
    const definitions = columns.map(({ define }, column) => define(nameOf(column)));
    await client.command({
      query: `CREATE TABLE ${table} (${definitions.join(', ')}, _topic String, _partition UInt32, _offset UInt64, _epoch String)
        ENGINE = MergeTree ORDER BY _offset`,
      clickhouse_settings: options.createSettings ?? {},
    });
    const { rejected, inserted } = await insert(
      table,
      values.map(({ column, json }, offset) => ({
        source: SOURCE,
        record: record(offset, {
          value: Buffer.concat([Buffer.from(`{"${nameOf(column)}":`), Buffer.from(json as string), Buffer.from('}')]),
        }),
      })),
      options,
    );
    const result = await client.query({
      query: `SELECT _offset, ${columns.map(({ read }, column) => read(nameOf(column))).join(', ')} FROM ${table}`,
      format: 'JSONCompactEachRow',
      clickhouse_settings: options.readSettings ?? {},
    });
    const rows = new Map(
      (await result.json<[string | number, ...(string | null)[]]>()).map(([offset, ...texts]) => [
        Number(offset),
        texts,
      ]),
    );
    await client.command({ query: `DROP TABLE ${table}` });
    const rejections = new Map(rejected.map(({ record: { offset }, rejection }) => [offset, rejection]));
    expect(rows.size).toBe(inserted.length);
    expect(rows.size + rejections.size).toBe(values.length);
    return values.map(({ column }, offset): Outcome => {
      const rejection = rejections.get(offset);
      if (rejection !== undefined) return { stored: null, rejection };
      return { stored: (rows.get(offset) as (string | null)[])[column] as string | null, rejection: null };
    });
  };

  return () => ({ client, insert, store });
}
