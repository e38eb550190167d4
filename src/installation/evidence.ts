import type { Config } from '../config/config.js';
import { tablesOf } from '../protocol/tables.js';
import type { Evidence } from './claim.js';

/** Ids of one pipeline's ClickHouse, at most. */
const IDS_MAX = 20;

/**
 * The default URL, which a consumer's configuration may leave unchanged. It is another ClickHouse on each machine, so
 * it is no evidence.
 */
const DEFAULT_URL = 'http://localhost:8123';

/** What Kafka is asked for: its cluster id. It comes with the answer even if no topic is asked for. */
export interface IdentifiedCluster {
  describeTopics(topics: readonly string[]): Promise<{ readonly clusterId: string | null }>;
}

/** What ClickHouse is asked for. */
export interface IdentifiedTables {
  identities(tables: readonly string[]): Promise<readonly string[]>;
}

/**
 * Finds the evidence by which the installation of each pipeline is recognized. Rejects if Kafka or ClickHouse does not
 * answer.
 *
 * @param tables null if ClickHouse is not asked
 */
export async function gatherEvidence(
  { clickhouse, pipelines }: Pick<Config, 'clickhouse' | 'pipelines'>,
  admin: IdentifiedCluster,
  tables: IdentifiedTables | null,
): Promise<ReadonlyMap<string, Evidence>> {
  const { clusterId } = await admin.describeTopics([]);
  const found = new Map<string, Evidence>();
  for (const { name, topics, settings } of pipelines) {
    const known = [...tablesOf(settings.destination, topics).keys()].slice(0, IDS_MAX);
    const ids = tables === null ? [] : await tables.identities(known);
    found.set(name, {
      kafka: clusterId === '' ? null : clusterId,
      addresses: tables === null && clickhouse.url === DEFAULT_URL ? [] : [addressOf(clickhouse)],
      ids: ids.slice(0, IDS_MAX),
    });
  }
  return found;
}

function addressOf({ url, database }: Pick<Config['clickhouse'], 'url' | 'database'>): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname.replace(/\/$/, '')}/${database}`;
}
