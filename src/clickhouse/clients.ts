import { ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client';
import type { ClickHouseConfig } from '../config/config.js';
import { TlsAgent } from '../config/tlsAgent.js';
import { basicLogin } from '../lib/basicLogin.js';
import type { LookUps } from './lookUps.js';
import { clientOfServers, serversOf } from './servers.js';

/** @param requestTimeoutMs instead of the configuration's */
export function createClickHouse(
  config: ClickHouseConfig,
  requestTimeoutMs: number = config.requestTimeoutMs,
): ClickHouseClient {
  return clientOfServers(serversOf(config), (url) => clientOf(url, config, requestTimeoutMs));
}

function clientOf(url: string, config: ClickHouseConfig, requestTimeoutMs: number): ClickHouseClient {
  return createClient({
    url,
    // The client itself would keep those that it begins with.
    set_basic_auth_header: false,
    http_headers: {
      get Authorization() {
        return authorization(config);
      },
    },
    // The client's own `tls` option accepts no access token, and it makes the user of a client certificate the user,
    // whatever the password.
    ...(config.tls === null
      ? {}
      : { http_agent: new TlsAgent(config.tls, { keepAlive: true, maxSockets: config.maxConnections }) }),
    database: config.database,
    application: 'kafka-temporal-bridge',
    request_timeout: requestTimeoutMs,
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
  return { client: createClickHouse(config, timeoutMs + ANSWER_WAIT_MS), timeoutMs };
}

const ANSWER_WAIT_MS = 2_000;

/** Who asks, as the configuration says it now. */
function authorization({ username, password, accessToken }: ClickHouseConfig): string {
  if (accessToken !== null) return `Bearer ${accessToken}`;
  return basicLogin(username, password);
}
