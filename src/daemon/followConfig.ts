import type { ClickHouseClient } from '@clickhouse/client';
import type { Kafka } from 'kafkajs';
import type { ClickHouseTables } from '../clickhouse/tables.js';
import { LiveConfig } from '../config/liveConfig.js';
import { parseComparable, readConfig, type LoadedConfig } from '../config/load.js';
import type { KafkaAdmin } from '../kafka/admin.js';
import { followLogLevel } from '../kafka/clients.js';
import { ConfigWatch } from './configWatch.js';
import type { Shared } from './role.js';
import { checkClickHouseAnew } from './startUpChecks.js';

export interface FollowedFile extends Pick<Shared, 'metrics' | 'logger' | 'stateLog'> {
  /** The configuration file. */
  readonly file: string;
  /** What it has at the start. */
  readonly loaded: LoadedConfig;
  readonly kafka: Kafka;
  readonly admin: KafkaAdmin;
  readonly clickhouse: ClickHouseClient;
  readonly tables: ClickHouseTables;
  /** Aborted when the daemon ends. */
  readonly ending: AbortSignal;
}

/**
 * Follows the configuration file while the daemon runs. From now on SIGHUP has it read at once, and no longer ends the process.
 *
 * @returns to be called at the end of the daemon: SIGHUP ends the process again
 */
export function followConfig(followed: FollowedFile): () => void {
  const { file, loaded, kafka, admin, clickhouse, tables, metrics, logger, stateLog, ending } = followed;
  const { config } = loaded;
  const watch = new ConfigWatch({
    live: new LiveConfig(loaded),
    loaded,
    read: () => readConfig(file),
    parse: (text) => parseComparable(text, file),
    // A consumer asks ClickHouse for nothing else. What it sends is checked by nobody before it is inserted.
    checkTables: (pipelines) => checkClickHouseAnew(clickhouse, tables, admin, { ...config, pipelines }),
    changed: () => {
      logger.level = config.log.level;
      followLogLevel(kafka, logger);
    },
    metrics,
    logger,
    stateLog,
  });
  const ask = (): void => watch.ask();
  process.on('SIGHUP', ask);
  void watch.watch(ending);
  return () => process.off('SIGHUP', ask);
}
