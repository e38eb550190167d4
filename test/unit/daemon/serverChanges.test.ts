import { expect, it } from 'vitest';
import { Servers } from '../../../src/clickhouse/servers.js';
import { logServerChanges } from '../../../src/daemon/serverChanges.js';
import { StateLog, type Logger } from '../../../src/telemetry/logging.js';

it('while all servers are away, each change is logged once a minute, not at each request that fails', () => {
  const lines: string[] = [];
  let nowMs = 0;
  const logger = { warn: (_fields: unknown, message: string) => void lines.push(message) } as unknown as Logger;
  const servers = new Servers(['http://a', 'http://b']);
  logServerChanges(servers, new StateLog(logger, () => nowMs));
  for (; nowMs < 60_000; nowMs += 100) servers.away(servers.current);
  const both = [
    'ClickHouse at http://a does not answer; the next one is used: http://b',
    'ClickHouse at http://b does not answer; the next one is used: http://a',
  ];
  expect(lines).toEqual(both);
  for (; nowMs < 120_000; nowMs += 100) servers.away(servers.current);
  expect(lines).toEqual([...both, ...both]);
});
