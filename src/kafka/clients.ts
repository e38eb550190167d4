import { Kafka, logLevel, type SASLOptions } from 'kafkajs';
import type { KafkaConfig } from '../config/config.js';
import type { Logger } from '../telemetry/logging.js';
import { tlsOptions } from '../config/tlsOptions.js';
import { bootstrapAddress, openSocket } from './kafkajs/brokerAddresses.js';
import { repairKafkajs } from './kafkajs/repairs.js';

/**
 * The connection settings of every Kafka client of the daemon. What kafkajs logs goes to the debug level: it repeats
 * itself at each try, while the daemon reports a broker that is away once.
 *
 * @throws KafkajsVersionError where another version of kafkajs is installed
 */
export function createKafka(config: KafkaConfig, logger: Logger): Kafka {
  repairKafkajs();
  const { sasl } = config;
  return new Kafka({
    clientId: config.clientId,
    brokers: config.brokers.map(bootstrapAddress),
    socketFactory: openSocket,
    ssl: typeof config.ssl === 'boolean' ? config.ssl : tlsOptions(config.ssl),
    ...(sasl === null ? {} : { sasl: { ...sasl } as SASLOptions }),
    connectionTimeout: config.connectionTimeoutMs,
    requestTimeout: config.requestTimeoutMs,
    retry: { initialRetryTime: 100, maxRetryTime: 5_000, retries: 8 },
    logLevel: logger.isLevelEnabled('debug') ? logLevel.INFO : logLevel.ERROR,
    logCreator:
      () =>
      ({ namespace, log: { message, error } }) => {
        logger.debug({ namespace, error: error as unknown }, `kafkajs: ${message}`);
      },
  });
}
