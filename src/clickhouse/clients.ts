import { Agent } from 'node:https';
import { ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client';
import type { ClickHouseConfig, TlsConfig } from '../config/config.js';
import { tlsOptions } from '../config/tlsOptions.js';
import type { LookUps } from './tables.js';

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
    // Proxies take addresses of some kilobytes only.
    use_multipart_params_auto: true,
    // Below the server's own keep-alive (3 s before ClickHouse 23.11), or a connection is used while it is being closed.
    keep_alive: { enabled: true, idle_socket_ttl: 2_500 },
    // Whoever calls reports what went wrong.
    log: { level: ClickHouseLogLevel.OFF },
  });
}

/** A client for looking rows up, which waits for answers as long as that may take. Whoever made it closes it. */
export function createLookUps(config: ClickHouseConfig): LookUps {
  const { lookUpTimeoutMs: timeoutMs } = config;
  // ClickHouse gives up first, and says why.
  return { client: createClickHouse({ ...config, requestTimeoutMs: timeoutMs + ANSWER_WAIT_MS }), timeoutMs };
}

const ANSWER_WAIT_MS = 2_000;

/**
 * The client's own `tls` option takes no access token, and makes of a client certificate the user itself, whatever the
 * password; this agent leaves who the user is to the Authorization header.
 */
function createAgent(tls: TlsConfig, maxSockets: number): Agent {
  return new Agent({ keepAlive: true, maxSockets, ...tlsOptions(tls) });
}
