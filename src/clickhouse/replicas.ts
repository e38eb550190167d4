import { setTimeout as sleep } from 'node:timers/promises';
import type { ClickHouseClient } from '@clickhouse/client';
import { InsertError } from './insertErrors.js';
import type { NamedTable } from './namedTables.js';
import { queryRows, unlessDenied } from './queries.js';

/** How long a replica is waited for, in all and between two questions. */
const CATCH_UP_MS = 10_000;
const ASK_AGAIN_MS = 250;

/**
 * Resolves when the server has all rows that the other replicas of a table had when this was called. At once if the table
 * is not replicated, or the user may not ask: that must not hold a batch for ever.
 *
 * @param waitMs how long it is waited for
 * @throws InsertError if the server does not have them by then. The next attempt may be luckier
 */
export async function caughtUp(client: ClickHouseClient, table: NamedTable, waitMs = CATCH_UP_MS): Promise<void> {
  const sinceMs = performance.now();
  while (await lags(client, table)) {
    await sleep(ASK_AGAIN_MS);
    if (performance.now() - sinceMs < waitMs) continue;
    const message = `a part of the batch is in table ${table.table}, and this replica still lacks what others have taken: the rest may be among it`;
    // It is no answer about the batch, so the time does not count for `insert.retryFor`.
    throw new InsertError('transient', { code: 'replica_lags', message, answered: false });
  }
}

/**
 * Whether parts wait in the queue of this replica, or entries of the log in Keeper are not in its queue yet.
 *
 * Source: `system.replicas` in ClickHouse's documentation.
 */
async function lags(client: ClickHouseClient, { database, name }: NamedTable): Promise<boolean> {
  const asked = queryRows<[number]>(
    client,
    `SELECT is_session_expired OR inserts_in_queue > 0 OR log_pointer <= log_max_index FROM system.replicas
     WHERE database = {database:String} AND table = {table:String}`,
    { database, table: name },
  );
  return (await unlessDenied(asked, [])).some(([isBehind]) => isBehind !== 0);
}
