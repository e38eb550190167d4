import type { ClickHouseClient } from '@clickhouse/client';
import {
  canLookUp,
  identityFaults,
  missingColumns,
  REWIND_COLUMNS,
  rowColumnFault,
} from '../../clickhouse/identityColumns.js';
import type { TableColumns } from '../../clickhouse/tableColumns.js';
import { InsertError } from '../../clickhouse/insertErrors.js';
import { LOOK_UP_TIMED_OUT } from '../../clickhouse/lookUps.js';
import { deniedSystemTables, serverVersion } from '../../clickhouse/serverFacts.js';
import { eachServer } from '../../clickhouse/servers.js';
import { ClickHouseTables } from '../../clickhouse/tables.js';
import type { Config, PipelineConfig } from '../../config/config.js';
import type { FilledTable } from '../../config/filledTables.js';
import { reachClickHouse } from '../../connections/openParts.js';
import { mapConcurrently } from '../../lib/mapConcurrently.js';
import { messageOf } from '../../lib/messageOf.js';
import { hasManyRows } from '../../protocol/settings.js';
import { NoAnswerError, within } from '../../lib/within.js';
import { withTables } from '../shared/connections.js';
import { judges, type Finding } from './finding.js';
import { judgeServerVersion, judgeSystemGrants } from './serverFindings.js';
import { sharedTables } from './sharedTables.js';
import { judgeTable, type CheckedTable } from './tableFindings.js';

/** Tables that are looked at together. More would wait for each other's connections, and seem slow. */
const TABLES_AT_ONCE = 4;

/**
 * Asks ClickHouse about itself and about the tables of all pipelines.
 *
 * @param existing topics that exist: pipelines choose tables by them
 * @param filled the tables that they choose, see `filledTables`
 */
export function checkTables(
  config: Config,
  existing: readonly string[],
  filled: readonly FilledTable[],
): Promise<Finding[]> {
  return withTables(config, async (tables, client) => {
    await reachClickHouse(client, config.clickhouse);
    await tables.columnsOf(filled.map(({ table }) => table));
    const judged = await mapConcurrently(
      filled,
      async ({ pipeline, table }) => {
        try {
          return judgeTable(pipeline, await examined(tables, table, pipeline));
        } catch (error) {
          // Then the other tables need not be asked.
          if (isWithoutAnswer(error)) throw error;
          return [judges(`table ${table}`).wrong(messageOf(error), 'do as the message says')];
        }
      },
      TABLES_AT_ONCE,
    );
    const denied = await deniedSystemTables(client);
    const grants = denied.length === 0 ? [] : [judgeSystemGrants(denied)];
    const version = judgeServerVersion(await serverVersion(client));
    const servers = await checkServers(client, config, filled);
    return [...version, ...grants, ...servers, ...judged.flat(), ...sharedTables(config, existing)];
  });
}

/** If there are several servers: whether each of them answers, and has the same tables. */
async function checkServers(
  client: ClickHouseClient,
  { clickhouse: { urls, database, settings } }: Config,
  filled: readonly FilledTable[],
): Promise<Finding[]> {
  if (urls.length === 1) return [];
  const names = [...new Set(filled.map(({ table }) => table))];
  const columnsAt = async (server: ClickHouseClient): Promise<ReadonlyMap<string, string>> => {
    const asked = new ClickHouseTables(server, database, settings).columnsOf(names);
    return new Map(Array.from(await within(asked, ANSWER_TIMEOUT_MS), ([name, of]) => [name, JSON.stringify([...of])]));
  };
  const expected = await columnsAt(client);
  const found = eachServer(client).map(async (server, index): Promise<Finding> => {
    const { ok, warning, wrong } = judges(`ClickHouse at ${urls[index] ?? ''}`);
    try {
      const columns = await columnsAt(server);
      const other = names.filter((name) => columns.get(name) !== expected.get(name));
      if (other.length === 0) return ok('has the tables');
      return wrong(
        `table ${other.join(', ')} is not there, or has other columns than at the server that is used`,
        'make all servers replicas of one table. If one has not applied an ALTER yet, check again',
      );
    } catch (error) {
      return warning(`does not answer: ${messageOf(error)}`, 'start it, or take it out of clickhouse.urls');
    }
  });
  return Promise.all(found);
}

/** Whether ClickHouse is away. */
function isWithoutAnswer(error: unknown): boolean {
  return error instanceof InsertError && error.kind === 'transient' && !error.answered;
}

const ANSWER_TIMEOUT_MS = 4_000;

/**
 * Why ClickHouse refused what was tried, or why that took too long. Both null if it went well.
 *
 * @throws InsertError if ClickHouse is away
 */
async function outcomeOf(trying: Promise<void>): Promise<{ refused: string | null; slow: string | null }> {
  try {
    await within(trying, ANSWER_TIMEOUT_MS);
    return { refused: null, slow: null };
  } catch (error) {
    if (error instanceof NoAnswerError || (error instanceof InsertError && error.code === LOOK_UP_TIMED_OUT))
      return { refused: null, slow: error.message };
    if (isWithoutAnswer(error)) throw error;
    return { refused: messageOf(error), slow: null };
  }
}

async function examined(tables: ClickHouseTables, table: string, { settings }: PipelineConfig): Promise<CheckedTable> {
  const { format, evolve } = settings.destination.mapping;
  const columns = await tables.columns(table);
  const facts = await tables.facts(table);
  const insert = await outcomeOf(tables.probe(table, columns));
  const lookUp = await outcomeOf(tryLookUps(tables, table, columns, hasManyRows(format)));
  return {
    name: table,
    columns,
    engine: facts?.engine ?? '',
    engineFull: facts?.engineFull ?? '',
    sortingKey: facts?.sortingKey ?? '',
    createQuery: facts?.createQuery ?? '',
    dependents: facts?.dependents.length ?? 0,
    windows: await tables.tokenWindows(table),
    refusal: insert.refused,
    slowInsert: insert.slow,
    lookUpRefusal: lookUp.refused,
    slowLookUp: lookUp.slow,
    mayAddColumns: evolve?.mode === 'apply' ? await tables.mayAddColumns(table) : null,
  };
}

/**
 * Looks up a record that cannot exist, in the same way as a repeated insert and a rewind.
 *
 * @param manyRows whether a record may hold many rows
 */
async function tryLookUps(
  tables: ClickHouseTables,
  table: string,
  columns: TableColumns,
  manyRows: boolean,
): Promise<void> {
  if (!canLookUp(columns)) return;
  const nowhere = { topic: '', partition: 0, epoch: '' };
  const asked = { from: 0, to: 0 };
  const asksRows = manyRows && rowColumnFault(columns) === undefined;
  if (asksRows) await tables.foundRowNumbers(table, nowhere, asked);
  else await tables.foundOffsets(table, nowhere, asked);
  const findsRewound = missingColumns(columns, REWIND_COLUMNS).length === 0 && identityFaults(columns).length === 0;
  if (findsRewound && asksRows) await tables.foundRowNumbersOfRecords(table, columns, nowhere, asked);
  else if (findsRewound) await tables.foundRecords(table, columns, nowhere, asked);
}
