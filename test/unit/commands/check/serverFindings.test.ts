import { expect, it } from 'vitest';
import { judgeServerVersion, judgeSystemGrants } from '../../../../src/commands/check/serverFindings.js';

it('warns about a ClickHouse that is older than README supports, and about no other', () => {
  for (const version of ['24.8.1.1', '24.8.14.10459.altinitystable', '24.10.1.1', '25.3.2.39', '26.7.1.1'])
    expect([version, judgeServerVersion(version)]).toEqual([version, []]);
  for (const version of ['24.7.6.8', '24.3.1.1', '23.12.1.1', ''])
    expect([version, judgeServerVersion(version).map(({ level }) => level)]).toEqual([version, ['warning']]);
});

it('says of each system table that may not be read what follows from that', () => {
  const followsFrom = (...tables: string[]): string =>
    judgeSystemGrants(tables.map((table) => `system.${table}`)).message.split(': ')[1] ?? '';
  const view = 'what a failing view lacks cannot be sent again';
  const twice = 'rows may come twice if a replica lags';
  expect(followsFrom('parts')).toBe(view);
  expect(followsFrom('processes')).toBe('it is not seen that an insert is still running');
  expect(followsFrom('replication_queue')).toMatch(/^where a replica lags, a batch .* waits .* may be never$/);
  expect(followsFrom('replicas')).toBe(`${view}; ${twice}`);
  // Who may not read the one is never asked for the other.
  expect(followsFrom('replicas', 'replication_queue')).toBe(`${view}; ${twice}`);
});

it('names the grants for all system tables that may not be read', () => {
  expect(judgeSystemGrants(['system.parts', 'system.replicas'])).toMatchObject({
    level: 'warning',
    todo: 'GRANT SELECT ON system.parts, GRANT SELECT ON system.replicas to the user',
  });
});
