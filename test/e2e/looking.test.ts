import { expect, it } from 'vitest';
import type { PipelineReport } from '../../src/commands/statusReport.js';
import { Daemon, ktb, ktbUntil } from '../support/daemon.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();
let fixture: Fixture;

it('status tells members and batchers, and watched it looks again every two seconds until it is ended', async () => {
  fixture = await Fixture.create(stack(), { pipeline: { batchers: 2 } });
  await fixture.collectAcks();
  await Daemon.start(fixture.config());
  await fixture.produce(200);
  await expectExactlyOnce(fixture);
  const startedAtMs = Date.now();
  const watched = await ktbUntil(
    fixture.config(),
    ['status', '--watch', '--json'],
    (output) => output.split('\n').length > 3,
  );
  expect(watched.code).toBe(0);
  expect(Date.now() - startedAtMs).toBeGreaterThan(4_000);
  const looks = watched.output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as PipelineReport[]);
  expect(looks).toHaveLength(3);
  for (const [report] of looks)
    expect(report).toMatchObject({ pipeline: fixture.name, members: [{ clientId: 'ktb' }] });
  const batchers = looks.at(-1)?.[0]?.batchers as unknown as { status: { counters: { inserted: number } } }[];
  expect(batchers.reduce((sum, { status }) => sum + status.counters.inserted, 0)).toBe(200);
  const { code, output } = await ktb(fixture.config(), ['status']);
  expect(code).toBe(0);
  expect(output).toMatch(/1 member: ktb@\S+ reads 8 partitions/);
});
