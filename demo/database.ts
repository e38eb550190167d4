import { readFileSync } from 'node:fs';
import type { ClickHouseClient } from '@clickhouse/client';
import type { Dataset } from './datasets.js';
import { Tally } from './tally.js';

/** Creates the demo's tables, by the statements of tables.sql. */
export async function createTables(clickhouse: ClickHouseClient): Promise<void> {
  const statements = readFileSync(new URL('./tables.sql', import.meta.url), 'utf8').split(';');
  for (const statement of statements) {
    if (statement.trim() !== '') await clickhouse.command({ query: statement });
  }
}

/** Reads back every row's id, and counts the rows of each record. */
export async function countRows(clickhouse: ClickHouseClient, dataset: Dataset): Promise<Tally> {
  const tally = new Tally(dataset.records + dataset.badRecords);
  const result = await clickhouse.query({ query: `SELECT id FROM ${dataset.name}`, format: 'TabSeparated' });
  for await (const rows of result.stream()) {
    for (const { text } of rows) tally.add(dataset.indexOfRow(text));
  }
  return tally;
}

/** Rows of a table, and different identities among them. */
export async function countIdentities(
  clickhouse: ClickHouseClient,
  table: string,
): Promise<{ rows: number; distinct: number }> {
  const [counts] = await select<{ total: string; distinct: string }>(
    clickhouse,
    `SELECT count() AS total, uniqExact(_topic, _partition, _epoch, _offset) AS distinct FROM ${table}`,
  );
  return { rows: Number(counts?.total), distinct: Number(counts?.distinct) };
}

/** An airport with the flights from it. */
export interface Airport {
  readonly origin: string;
  readonly flights: number;
  readonly averageDelay: number;
}

const BUSIEST_AIRPORTS =
  'SELECT origin, count() AS flights, avg(delay) AS averageDelay FROM flights GROUP BY origin ORDER BY flights DESC, origin LIMIT 10';

export async function busiestAirports(clickhouse: ClickHouseClient): Promise<Airport[]> {
  const rows = await select<{ origin: string; flights: string; averageDelay: number }>(clickhouse, BUSIEST_AIRPORTS);
  return rows.map((row) => ({ ...row, flights: Number(row.flights) }));
}

/** An earthquake of the table. */
export interface StrongEarthquake {
  readonly magnitude: number;
  readonly place: string;
  readonly day: string;
}

const STRONGEST_EARTHQUAKES =
  "SELECT magnitude, place, formatDateTime(happened_at, '%Y-%m-%d', 'UTC') AS day FROM earthquakes ORDER BY magnitude DESC, happened_at LIMIT 5";

export function strongestEarthquakes(clickhouse: ClickHouseClient): Promise<StrongEarthquake[]> {
  return select<StrongEarthquake>(clickhouse, STRONGEST_EARTHQUAKES);
}

async function select<T>(clickhouse: ClickHouseClient, query: string): Promise<T[]> {
  const result = await clickhouse.query({ query, format: 'JSONEachRow' });
  return result.json<T>();
}
