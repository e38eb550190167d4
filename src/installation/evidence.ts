import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/config.js';
import { tablesOf } from '../protocol/tables.js';
import type { Evidence } from './claim.js';

/** Ids of one pipeline's ClickHouse, at most, for each of its servers. A claim has room for those of many replicas. */
const IDS_MAX = 5;

/** How often Kafka is asked for a cluster id that it does not tell, and the pause between. It may just be starting. */
const ID_ATTEMPTS = 3;
const ID_PAUSE_MS = 1_000;

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
  identities(tables: readonly string[]): Promise<{
    readonly places: readonly string[];
    readonly ofTables: ReadonlyMap<string, string>;
  }>;
}

/**
 * Finds the evidence by which the installation of each pipeline is recognized. Rejects if Kafka or ClickHouse does not
 * answer, or with an error that passes: what could not be asked must not count as what is not there.
 *
 * @param tables null if ClickHouse is not asked
 */
export async function gatherEvidence(
  { clickhouse, pipelines }: Pick<Config, 'clickhouse' | 'pipelines'>,
  admin: IdentifiedCluster,
  tables: IdentifiedTables | null,
): Promise<ReadonlyMap<string, Evidence>> {
  const kafka = await clusterIdOf(admin);
  const { urls, database } = clickhouse;
  const isUnset = urls.length === 1 && urls[0] === DEFAULT_URL;
  const addresses = tables === null && isUnset ? [] : urls.map((url) => addressOf(url, database));
  const named = new Map(
    pipelines.map(({ name, topics, settings }) => {
      return [name, [...tablesOf(settings.destination, topics).keys()].slice(0, IDS_MAX)];
    }),
  );
  const ids = await tables?.identities([...new Set([...named.values()].flat())]);
  const idsOf = (some: readonly string[]): readonly string[] =>
    ids === undefined ? [] : [...ids.places, ...some.flatMap((table) => ids.ofTables.get(table) ?? [])];
  return new Map(
    [...named].map(([name, some]) => [name, { kafka, addresses, ids: idsOf(some).slice(0, IDS_MAX * urls.length) }]),
  );
}

/** Null if Kafka has none. */
async function clusterIdOf(admin: IdentifiedCluster): Promise<string | null> {
  for (let attempt = 1; ; attempt++) {
    const { clusterId } = await admin.describeTopics([]);
    if (clusterId !== null && clusterId !== '') return clusterId;
    if (attempt === ID_ATTEMPTS) return null;
    await sleep(ID_PAUSE_MS);
  }
}

function addressOf(url: string, database: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname.replace(/\/$/, '')}/${database}`;
}
