import type { Servers } from '../clickhouse/servers.js';
import type { StateLog } from '../telemetry/logging.js';

/**
 * Logs each change to another server of ClickHouse. While all are away, each request that fails makes one. So each pair is
 * logged once a minute at most.
 */
export function logServerChanges(servers: Pick<Servers, 'onChange'>, stateLog: Pick<StateLog, 'problem'>): void {
  servers.onChange((before, now) => {
    stateLog.problem('clickhouse server', `ClickHouse at ${before} does not answer; the next one is used: ${now}`);
  });
}
