/*
 * Which server answers, and what it lets this user see.
 */
import { text } from 'node:stream/consumers';
import type { ClickHouseClient } from '@clickhouse/client';
import { QUERY_SETTINGS } from '../config/insertSettings.js';
import { classifyInsertError } from './insertErrors.js';
import { askedNames, namedTable, NO_UUID, partsToAsk, quoted, tableKey, type NamedTable } from './namedTables.js';
import { queryRows, unlessDenied, unlessRefused } from './queries.js';

/**
 * The server's version: `26.7.1.1`.
 *
 * @throws InsertError
 */
export async function serverVersion(client: ClickHouseClient): Promise<string> {
  const [row] = await queryRows<[string]>(client, 'SELECT version()');
  return row?.[0] ?? '';
}

/** System tables that are read. With ClickHouse's default configuration a user needs a grant for them. */
export const SYSTEM_TABLES = [
  ...['merge_tree_settings', 'replicated_merge_tree_settings', 'parts'],
  ...['replicas', 'replication_queue', 'processes'],
];

/**
 * System tables that the user may not read.
 *
 * @throws InsertError
 */
export async function deniedSystemTables(client: ClickHouseClient): Promise<string[]> {
  const denied = await Promise.all(
    SYSTEM_TABLES.map((table) =>
      unlessDenied(
        queryRows(client, `SELECT 1 FROM system.${table} LIMIT 0`).then(() => []),
        [`system.${table}`],
      ),
    ),
  );
  return denied.flat();
}

/**
 * Whether the user may add columns to a table. Null if the server does not tell: older ones do not know `CHECK GRANT`.
 *
 * @throws InsertError
 */
export async function mayAddColumns(client: ClickHouseClient, table: NamedTable): Promise<boolean | null> {
  const answer = await unlessRefused(checkGrant(client, `ALTER ADD COLUMN ON ${quoted(table)}`), null);
  return answer === '1' || (answer === '0' ? false : null);
}

/** The answer to `CHECK GRANT`, which takes no FORMAT, so the client's `query` cannot ask it. @throws InsertError */
async function checkGrant(client: ClickHouseClient, grant: string): Promise<string> {
  try {
    const { stream } = await client.exec({ query: `CHECK GRANT ${grant}`, clickhouse_settings: QUERY_SETTINGS });
    return (await text(stream)).trim();
  } catch (error) {
    throw classifyInsertError(error);
  }
}

/** Ids that no other ClickHouse has. */
export interface UniqueIds {
  /** Of the database and of the server, each as `id/database`. A database may have the same one on all replicas. */
  readonly places: readonly string[];
  /** By table, of those that exist and that this user may see. */
  readonly ofTables: ReadonlyMap<string, string>;
}

/**
 * Paths of replicated tables are not used: two ClickHouses, each with its own Keeper, may have the same. One question
 * follows another, because a user may be allowed only few at the same time.
 *
 * @throws InsertError if ClickHouse does not answer, or with an error that passes: it may have ids
 */
export async function uniqueIds(
  client: ClickHouseClient,
  ownDatabase: string,
  tables: readonly string[],
): Promise<UniqueIds> {
  // Ids of databases of other engines may end with the server's process.
  const answer = queryRows<[string | null, string]>(
    client,
    `SELECT (
       SELECT toString(uuid) FROM system.databases
       WHERE name = {database:String} AND engine IN ('Atomic', 'Replicated', 'Shared')
     ), toString(serverUUID())`,
    { database: ownDatabase },
  );
  const uuids = (await unlessRefused(answer, [])).flat();
  const places = uuids.flatMap((uuid) => (uuid === null || uuid === NO_UUID ? [] : [`${uuid}/${ownDatabase}`]));
  const ofTables = new Map<string, string>();
  for (const part of partsToAsk(tables)) {
    const asked = part.map((table) => namedTable(table, ownDatabase));
    const rows = queryRows<[string, string, string]>(
      client,
      `SELECT database, name, toString(uuid) FROM system.tables
       WHERE database IN {databases:Array(String)} AND name IN {names:Array(String)}`,
      askedNames(asked),
    );
    const found = new Map(
      (await unlessRefused(rows, [])).map(([database, name, id]) => [tableKey(database, name), id]),
    );
    for (const { table, database, name } of asked) {
      const id = found.get(tableKey(database, name)) ?? NO_UUID;
      if (id !== NO_UUID) ofTables.set(table, id);
    }
  }
  return { places, ofTables };
}
