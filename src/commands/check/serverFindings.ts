import { judges, type Finding } from './finding.js';

/* Findings about ClickHouse itself. */

/** The oldest ClickHouse that README names: year and month. */
const OLDEST_CLICKHOUSE = [24, 8] as const;

/** Warns about a ClickHouse that is older than those that are supported. */
export function judgeServerVersion(version: string): Finding[] {
  const [year = 0, month = 0] = version.split('.').map(Number);
  const [oldestYear, oldestMonth] = OLDEST_CLICKHOUSE;
  if (year > oldestYear || (year === oldestYear && month >= oldestMonth)) return [];
  return [
    judges('clickhouse').warning(
      `is version ${version}: how versions before ${OLDEST_CLICKHOUSE.join('.')} read values was never tried`,
      'upgrade it',
    ),
  ];
}

/** Says what is missing if the user may not read some system tables. */
export function judgeSystemGrants(denied: readonly string[]): Finding {
  const is = (...tables: string[]): boolean => tables.some((table) => denied.includes(`system.${table}`));
  const consequences = [
    is('merge_tree_settings', 'replicated_merge_tree_settings', 'parts', 'replicas') &&
      'what a failing view lacks cannot be sent again',
    is('processes') && 'it is not seen that an insert is still running',
    is('replicas') && 'rows may come twice if a replica lags',
    // Without system.replicas nobody asks for the queue.
    is('replication_queue') &&
      !is('replicas') &&
      "where a replica lags, a batch of which a part is found waits until the replica's queue is empty, which under load may be never",
  ].filter((consequence) => consequence !== false);
  return judges('clickhouse').warning(
    `does not let the user read ${denied.join(', ')}: ${consequences.join('; ')}`,
    denied.map((table) => `GRANT SELECT ON ${table}`).join(', ') + ' to the user',
  );
}
