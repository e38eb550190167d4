import { expect, it } from 'vitest';
import { judgeServerVersion } from '../../../../src/commands/check/serverFindings.js';

it('warns about a ClickHouse that is older than README supports, and about no other', () => {
  for (const version of ['24.8.1.1', '24.8.14.10459.altinitystable', '24.10.1.1', '25.3.2.39', '26.7.1.1'])
    expect([version, judgeServerVersion(version)]).toEqual([version, []]);
  for (const version of ['24.7.6.8', '24.3.1.1', '23.12.1.1', ''])
    expect([version, judgeServerVersion(version).map(({ level }) => level)]).toEqual([version, ['warning']]);
});
