import { Kafka, logLevel, type KafkaConfig as KafkaJsConfig, type SASLOptions } from 'kafkajs';
import type { KafkaConfig, TlsConfig } from '../config/config.js';
import type { Logger } from '../telemetry/logging.js';
import { registerCodecs } from './codecs.js';

/**
 * The connection settings of every Kafka client of the daemon. What kafkajs logs goes to the debug level: it repeats
 * itself at each try, while the daemon reports a broker that is away once.
 */
export function createKafka(config: KafkaConfig, logger: Logger): Kafka {
  registerCodecs();
  const { sasl } = config;
  return new Kafka({
    clientId: config.clientId,
    brokers: [...config.brokers],
    ssl: typeof config.ssl === 'boolean' ? config.ssl : toTlsOptions(config.ssl),
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

function toTlsOptions({ ca, cert, key, serverName }: TlsConfig): NonNullable<KafkaJsConfig['ssl']> {
  return {
    ...(ca === undefined ? {} : { ca: [ca] }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}
