import type { ConnectionOptions } from 'node:tls';
import { Kafka, logLevel, type KafkaConfig as KafkajsConfig, type SASLOptions } from 'kafkajs';
import type { KafkaConfig } from '../config/config.js';
import type { Logger } from '../telemetry/logging.js';
import { tlsOptions } from '../config/tlsOptions.js';
import { bearerLogin } from './kafkajs/bearerLogin.js';
import { bootstrapAddress, openSocket } from './kafkajs/brokerAddresses.js';
import { repairKafkajs } from './kafkajs/repairs.js';
import { needsToken, tokensOf } from './tokens.js';

/**
 * Creates the kafkajs object from which all Kafka clients of the daemon are made. What kafkajs logs goes to the debug
 * level: it repeats itself with each retry, while the daemon reports a broker that is away once.
 *
 * @throws KafkajsVersionError if another version of kafkajs is installed
 */
export function createKafka(config: KafkaConfig, logger: Logger): Kafka {
  repairKafkajs();
  const sasl = loginOf(config, logger);
  return new Kafka({
    clientId: config.clientId,
    brokers: config.brokers.map(bootstrapAddress),
    socketFactory: (socket) => openSocket({ ...socket, ssl: sslOf(config) }),
    ssl: sslOf(config),
    ...(sasl === undefined ? {} : { sasl }),
    connectionTimeout: config.connectionTimeoutMs,
    requestTimeout: config.requestTimeoutMs,
    retry: { initialRetryTime: 100, maxRetryTime: 5_000, retries: 8 },
    logLevel: levelOf(logger),
    logCreator:
      () =>
      ({ namespace, log: { message, error } }) => {
        logger.debug({ namespace, error: error as unknown }, `kafkajs: ${message}`);
      },
  });
}

/** Makes kafkajs log as the logger's level wants it now. It counts for all clients that were made from this object. */
export function followLogLevel(kafka: Kafka, logger: Logger): void {
  kafka.logger().setLogLevel(levelOf(logger));
}

function levelOf(logger: Pick<Logger, 'isLevelEnabled'>): logLevel {
  return logger.isLevelEnabled('debug') ? logLevel.INFO : logLevel.ERROR;
}

/** With the certificates that there are now. */
function sslOf({ ssl }: KafkaConfig): boolean | ConnectionOptions {
  return typeof ssl === 'boolean' ? ssl : tlsOptions(ssl);
}

function loginOf({ sasl, connectionTimeoutMs }: KafkaConfig, logger: Logger): KafkajsConfig['sasl'] {
  if (sasl === null) return undefined;
  // kafkajs reads both at each login, and they may have changed.
  if (!needsToken(sasl))
    return {
      mechanism: sasl.mechanism,
      get username() {
        return sasl.username;
      },
      get password() {
        return sasl.password;
      },
    } as SASLOptions;
  const tokens = tokensOf(sasl, connectionTimeoutMs, (error, leftMs) => {
    logger.warn({ error: error.message, leftMs: Math.round(leftMs) }, 'The token for Kafka could not be renewed');
  });
  return bearerLogin(tokens);
}
