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
  return judges('clickhouse').warning(
    `does not let the user read ${denied.join(', ')}: what a failing view lacks cannot be sent again, nor is it seen that an insert is still running`,
    denied.map((table) => `GRANT SELECT ON ${table}`).join(', ') + ' to the user',
  );
}
