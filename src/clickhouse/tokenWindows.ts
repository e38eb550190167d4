/*
 * How long tables remember deduplication tokens.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { createHash } from 'node:crypto';
import { NO_UUID, quoted, tableKey, type NamedTable } from './namedTables.js';
import { queryRows, unlessDenied } from './queries.js';
import { isReplicated, removesRows, tableFacts, writtenTables, type TableFacts } from './writtenTables.js';

/** How long a table remembers deduplication tokens. */
export interface TokenWindow {
  /** The name with its database, quoted for a statement. Null if the target of a view is not known. */
  readonly table: string | null;
  /** The setting for `blocks`. Null if the engine has none. */
  readonly setting: string | null;
  /** How many of its latest blocks' tokens it remembers. 0 if none. */
  readonly blocks: number;
  readonly ms: number;
}

/**
 * The windows of all tables that an insert writes to, the table's own first. Empty if the user may not ask.
 *
 * @throws InsertError
 */
export async function tokenWindows(client: ClickHouseClient, table: NamedTable): Promise<TokenWindow[]> {
  const defaults = await unlessDenied(windowDefaults(client), null);
  return defaults === null ? [] : (await writtenTables(client, table)).map((facts) => windowOf(facts, defaults));
}

/** ClickHouse's own defaults, for those of the server that are not known. */
const BUILT_IN_DEFAULTS: ReadonlyMap<string, string> = new Map([
  ['replicated_deduplication_window', '1000'],
  ['replicated_deduplication_window_seconds', '3600'],
]);

/**
 * A name for all tables that an insert writes to, if they have windows for tokens now. Null if one has none. Another
 * table in the place of one of them does not know its tokens, and gives another name.
 *
 * @throws InsertError
 */
export async function rememberedBy(client: ClickHouseClient, table: NamedTable): Promise<string | null> {
  const defaults = await unlessDenied(windowDefaults(client), BUILT_IN_DEFAULTS);
  const written = await writtenTables(client, table);
  const haveWindows = written.every((facts) => {
    const { blocks, ms } = windowOf(facts, defaults);
    return blocks > 0 && ms > 0;
  });
  return haveWindows ? nameOf(written) : null;
}

function nameOf(written: readonly (TableFacts | undefined)[]): string {
  const ids = written.map((facts) => (facts === undefined ? '' : idOf(facts)));
  return createHash('sha256').update(ids.sort().join('\n')).digest('hex').slice(0, 16);
}

/** By the path in Keeper, if it has one of its own: replicas may have different ids. */
function idOf({ database, name, engine, engineFull, uuid }: TableFacts): string {
  const path = isReplicated(engine) ? /^\w+\('([^']+)'/.exec(engineFull)?.[1] : undefined;
  if (path !== undefined && !path.includes('{uuid}')) return path;
  return uuid === NO_UUID ? tableKey(database, name) : uuid;
}

/**
 * Whether all tables that an insert writes to still remember the tokens of an insert of this age, also while it is
 * inserted once more. Undefined if the user may not ask.
 *
 * @param by see {@link rememberedBy}, when it was sent
 * @throws InsertError
 */
export function knowsTokens(
  client: ClickHouseClient,
  table: NamedTable,
  by: string,
  ageMs: number,
): Promise<boolean | undefined> {
  return unlessDenied(allKnowTokens(client, table, by, ageMs), undefined);
}

async function allKnowTokens(client: ClickHouseClient, table: NamedTable, by: string, ageMs: number): Promise<boolean> {
  const defaults = await windowDefaults(client);
  const written = await writtenTables(client, table);
  if (nameOf(written) !== by) return false;
  for (const facts of written) {
    const { blocks, ms } = windowOf(facts, defaults);
    if (facts === undefined || blocks === 0 || ageMs >= ms) return false;
    if ((await blocksSince(client, facts, ageMs)) > blocks) return false;
  }
  return true;
}

/**
 * Whether a table may know the token of rows that it has lost. Without a window it knows none. A replicated table notes
 * both at once. There a look-up may miss rows that another replica has, so only the token counts. What is behind other
 * engines is not known. If the table itself removes rows, those that a look-up does not find need not be lost.
 *
 * @throws InsertError
 */
export async function mayLoseKnownRows(client: ClickHouseClient, table: NamedTable): Promise<boolean> {
  const facts = await tableFacts(client, table);
  if (facts?.engine.endsWith('MergeTree') !== true || isReplicated(facts.engine) || removesRows(facts)) return false;
  const defaults = await unlessDenied(windowDefaults(client), null);
  return defaults === null || windowOf(facts, defaults).blocks > 0;
}

/** The server's own values of the settings of windows, by name. */
async function windowDefaults(client: ClickHouseClient): Promise<ReadonlyMap<string, string>> {
  const rows = await queryRows<[string, string]>(
    client,
    `SELECT name, value FROM system.merge_tree_settings WHERE name = 'non_replicated_deduplication_window'
     UNION ALL SELECT name, value FROM system.replicated_merge_tree_settings WHERE startsWith(name, 'replicated_deduplication_window')`,
  );
  return new Map(rows);
}

/** The window by the table's own settings, else by the server's. */
function windowOf(facts: TableFacts | undefined, defaults: ReadonlyMap<string, string>): TokenWindow {
  const table = facts === undefined ? null : quoted(facts);
  if (facts?.engine.includes('MergeTree') !== true) return { table, setting: null, blocks: 0, ms: 0 };
  const setting = (name: string): number =>
    Number(
      new RegExp(`\\b${name} = '?(\\d+)`).exec(facts.engineFull)?.[1] ??
        defaults.get(name) ??
        BUILT_IN_DEFAULTS.get(name) ??
        0,
    );
  const replicated = isReplicated(facts.engine);
  const name = replicated ? 'replicated_deduplication_window' : 'non_replicated_deduplication_window';
  // With 0 seconds only the latest block is remembered.
  return { table, setting: name, blocks: setting(name), ms: replicated ? setting(`${name}_seconds`) * 1000 : Infinity };
}

/** A part's time may be a little before the moment when it is in the table. */
const PART_DELAY_MS = 10_000;

/**
 * How many blocks a table has got from any source within this time, or a higher number. The number of partitions is
 * added, because the same rows, sent again, may bring so many blocks. Blocks are numbered in one sequence; in a
 * replicated table in one for each partition. The blocks before this time end at the latest number of an older part,
 * replaced or not, unless that part was attached since. Blocks that a replica has not fetched yet are counted from
 * its queue.
 */
async function blocksSince(
  client: ClickHouseClient,
  { database, name, engine }: TableFacts,
  ageMs: number,
): Promise<number> {
  const [row] = await queryRows<[number | string]>(
    client,
    `WITH now() - toIntervalSecond({seconds:UInt32}) AS since
     SELECT sum(blocks + partitions) + (
       SELECT sum(if(is_readonly OR is_session_expired, 4294967295,
           inserts_in_queue + greatest(0, toInt64(log_max_index) + 1 - toInt64(log_pointer))))
         FROM system.replicas WHERE {replicated:Bool} AND database = {database:String} AND table = {name:String})
     FROM (
       SELECT uniqExactIf(partition_id, modification_time >= since) AS partitions,
         ifNull(minOrNullIf(min_block_number, level = 0 AND modification_time >= since), max(max_block_number) + 1) AS first,
         max(max_block_number) - arrayMax(arrayPushBack(
           arrayFilter(number -> number < first, groupArrayIf(max_block_number, modification_time < since)),
           min(min_block_number) - 1)) AS blocks
       FROM system.parts WHERE database = {database:String} AND table = {name:String}
       GROUP BY if({replicated:Bool}, partition_id, ''))`,
    {
      database,
      name,
      replicated: isReplicated(engine),
      seconds: Math.ceil((Math.max(0, ageMs) + PART_DELAY_MS) / 1000),
    },
  );
  return Number(row?.[0] ?? Infinity);
}
