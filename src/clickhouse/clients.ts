import { Agent } from 'node:https';
import { ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client';
import type { ClickHouseConfig, TlsConfig } from '../config/config.js';
import { tlsOptions } from '../config/tlsOptions.js';
import type { LookUps } from './lookUps.js';

export function createClickHouse(config: ClickHouseConfig): ClickHouseClient {
  const { username, password, accessToken, tls } = config;
  return createClient({
    url: config.url,
    ...(accessToken === null ? { username, password } : { access_token: accessToken }),
    ...(tls === null ? {} : { http_agent: createAgent(tls, config.maxConnections) }),
    database: config.database,
    application: 'kafka-temporal-bridge',
    request_timeout: config.requestTimeoutMs,
    max_open_connections: config.maxConnections,
    // Proxies accept only addresses of some kilobytes.
    use_multipart_params_auto: true,
    // Below the server's own keep-alive (3 s before ClickHouse 23.11). Otherwise a connection may be used while the
    // server closes it.
    keep_alive: { enabled: true, idle_socket_ttl: 2_500 },
    // The callers report errors.
    log: { level: ClickHouseLogLevel.OFF },
  });
}

/** A client for look-ups of rows, with their own time-out. Its owner closes it. */
export function createLookUps(config: ClickHouseConfig): LookUps {
  const { lookUpTimeoutMs: timeoutMs } = config;
  // So ClickHouse gives up before the client does, and its answer says why.
  return { client: createClickHouse({ ...config, requestTimeoutMs: timeoutMs + ANSWER_WAIT_MS }), timeoutMs };
}

const ANSWER_WAIT_MS = 2_000;

/**
 * Creates an agent for TLS. The client's own `tls` option has two faults: it accepts no access token, and it makes the
 * user of a client certificate the user, whatever the password. With this agent the Authorization header says who the
 * user is.
 */
function createAgent(tls: TlsConfig, maxSockets: number): Agent {
  return new Agent({ keepAlive: true, maxSockets, ...tlsOptions(tls) });
}
