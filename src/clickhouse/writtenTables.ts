/*
 * Which tables an insert writes to: the table itself, the targets of its materialized views, their targets, and so on.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { createHash } from 'node:crypto';
import { unescaped } from '../lib/unescaped.js';
import { NO_UUID, tableKey, type NamedTable } from './namedTables.js';
import { queryRows } from './queries.js';
import { withoutQuoted } from './sqlNames.js';

/** What ClickHouse says about a table or view. */
export interface TableFacts {
  readonly database: string;
  readonly name: string;
  readonly engine: string;
  readonly engineFull: string;
  readonly sortingKey: string;
  readonly uuid: string;
  readonly createQuery: string;
  /** Databases and names of its views. */
  readonly dependents: readonly (readonly [database: string, name: string])[];
}

/** @returns undefined if there is no such table */
export async function tableFacts(
  client: ClickHouseClient,
  { database, name }: Pick<NamedTable, 'database' | 'name'>,
): Promise<TableFacts | undefined> {
  const [row] = await queryRows<[string, string, string, string, string, string[], string[]]>(
    client,
    `SELECT engine, engine_full, sorting_key, toString(uuid), create_table_query, dependencies_database, dependencies_table
     FROM system.tables WHERE database = {database:String} AND name = {name:String}`,
    { database, name },
  );
  if (row === undefined) return undefined;
  const [engine, engineFull, sortingKey, uuid, createQuery, databases, names] = row;
  const dependents = names.map((dependent, index) => [databases[index] ?? database, dependent] as const);
  return { database, name, engine, engineFull, sortingKey, uuid, createQuery, dependents };
}

/** Whether the table's blocks are numbered and remembered by its replicas together. */
export function isReplicated(engine: string): boolean {
  return engine.startsWith('Replicated') || engine.startsWith('Shared');
}

/**
 * Whether a MergeTree removes rows by itself: after a TTL, or because its merges leave one row of each sorting key, and
 * the key does not tell records apart.
 */
export function removesRows({ engine, engineFull, sortingKey }: TableFacts): boolean {
  if (engine !== 'MergeTree' && !/\b_offset\b/.test(sortingKey)) return true;
  let clauses = withoutQuoted(engineFull);
  for (let outer = ''; outer !== clauses;) {
    outer = clauses;
    clauses = outer.replace(/\([^()]*\)/g, '');
  }
  const ttl = / TTL (.*?)(?: SETTINGS |$)/.exec(clauses)?.[1];
  return ttl?.split(', ').some((rule) => !/ (?:TO (?:DISK|VOLUME)|RECOMPRESS) /.test(`${rule} `)) === true;
}

/** Views of a table that are followed, at most. */
const VIEWS_MAX = 100;

/**
 * All tables that an insert into this one writes to, itself first. Undefined for a target that is not known.
 *
 * @throws InsertError
 */
export async function writtenTables(client: ClickHouseClient, table: NamedTable): Promise<(TableFacts | undefined)[]> {
  return (await followViews(client, table)).written;
}

const UUIDS = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/**
 * A name for how a table, its views and their targets are defined now. It is the same on all replicas, whose tables may
 * have other ids.
 *
 * @throws InsertError
 */
export async function writtenAs(client: ClickHouseClient, table: NamedTable): Promise<string> {
  const { written, views } = await followViews(client, table);
  const all = [...written, ...views].map((facts) => facts?.createQuery.replace(UUIDS, '') ?? '');
  return createHash('sha256').update(all.sort().join('\n')).digest('hex');
}

async function followViews(
  client: ClickHouseClient,
  table: NamedTable,
): Promise<Record<'written' | 'views', (TableFacts | undefined)[]>> {
  const written = [await tableFacts(client, table)];
  const views: (TableFacts | undefined)[] = [];
  const seen = new Set<string>();
  // The list grows during this loop.
  for (const facts of written) {
    for (const [database, name] of facts?.dependents ?? []) {
      const id = tableKey(database, name);
      if (seen.has(id)) continue;
      seen.add(id);
      if (seen.size > VIEWS_MAX) return { written: [...written, undefined], views };
      const view = await tableFacts(client, { database, name });
      views.push(view);
      const target = view === undefined ? undefined : targetOf(view);
      written.push(target === undefined ? undefined : await tableFacts(client, target));
    }
  }
  return { written, views };
}

const QUOTED_OR_PLAIN = '(?:`(?:[^`\\\\]|\\\\.)+`|\\w+)';
const VIEW_TARGET = new RegExp(
  `^CREATE MATERIALIZED VIEW ${QUOTED_OR_PLAIN}\\.${QUOTED_OR_PLAIN} (?:UUID '[^']*' )?TO ` +
    `(?:INNER UUID '[^']*' |(${QUOTED_OR_PLAIN})\\.(${QUOTED_OR_PLAIN}))`,
);

/** The table that a materialized view writes to. Undefined if it is not known. */
function targetOf(view: TableFacts): Pick<NamedTable, 'database' | 'name'> | undefined {
  if (view.engine !== 'MaterializedView') return undefined;
  const [, database, name] = VIEW_TARGET.exec(view.createQuery) ?? [];
  if (database !== undefined && name !== undefined) return { database: unquoted(database), name: unquoted(name) };
  return {
    database: view.database,
    name: view.uuid === NO_UUID ? `.inner.${view.name}` : `.inner_id.${view.uuid}`,
  };
}

function unquoted(name: string): string {
  return name.startsWith('`') ? unescaped(name.slice(1, -1)) : name;
}
