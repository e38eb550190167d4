import type { ClickHouseClient } from '@clickhouse/client';
import type { Kafka } from 'kafkajs';
import type { ClickHouseTables } from '../clickhouse/tables.js';
import { LiveConfig } from '../config/liveConfig.js';
import { parseComparable, readConfigAgain, type LoadedConfig } from '../config/load.js';
import { canBeFollowed, readAgain } from '../config/textFiles.js';
import type { KafkaAdmin } from '../kafka/admin.js';
import { followLogLevel } from '../kafka/clients.js';
import { ConfigWatch } from './configWatch.js';
import { FileLooks } from './fileLooks.js';
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
 * A pipe is left alone: it gives its text once.
 *
 * @returns to be called at the end of the daemon: SIGHUP ends the process again
 */
export function followConfig(followed: FollowedFile): () => void {
  const { file, loaded, kafka, admin, clickhouse, tables, metrics, logger, stateLog, ending } = followed;
  const { config } = loaded;
  if (!canBeFollowed(file)) return leaveAlone(logger, file);
  const looks = new FileLooks(() => readConfigAgain(file));
  const watch = new ConfigWatch({
    live: new LiveConfig(loaded),
    loaded,
    read: () => looks.look(),
    parse: (text) => parseComparable(text, file, undefined, readAgain),
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
  void watch.watch(ending);
  return atHangUp(() => watch.ask());
}

function leaveAlone(logger: Shared['logger'], file: string): () => void {
  const tell = (): void =>
    logger.info({ file }, 'The configuration is no regular file, so it is read only once: its changes need a restart');
  tell();
  return atHangUp(tell);
}

function atHangUp(ask: () => void): () => void {
  process.on('SIGHUP', ask);
  return () => process.off('SIGHUP', ask);
}
