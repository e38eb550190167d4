import { expect, it, onTestFinished } from 'vitest';
import { parse, stringify } from 'yaml';
import type { ConfigInput } from '../../src/config/schema.js';
import { groupBy } from '../../src/lib/groupBy.js';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture, type Ack } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useSharedStack } from '../support/useStack.js';

const TEST_MS = 240_000;
const stack = useSharedStack();

/** The most acknowledgements of one batch. */
function largestBatch(acks: readonly Ack[]): number {
  return Math.max(...[...groupBy(acks, ({ batch }) => batch).values()].map((ofBatch) => ofBatch.length));
}

type Pipeline = Partial<ConfigInput['pipelines'][string]>;

it(
  'a changed configuration is used under load without a restart as far as it can be, the rest is told, and nothing is lost or doubled',
  async () => {
    const fixture = await Fixture.create(stack(), { partitions: 4, pipeline: { batchers: 2 } });
    await fixture.collectAcks();
    const config = (pipeline: Pipeline = {}, log: ConfigInput['log'] = {}): string => {
      const plain = parse(fixture.config(pipeline)) as ConfigInput;
      return stringify({ ...plain, log: { format: 'json', ...log } });
    };
    const consumer = await Daemon.start(config(), ['--role', 'consumer']);
    const worker = await Daemon.start(config(), ['--role', 'worker']);
    const daemons = [consumer, worker];
    const configure = (text: string, how: 'asked' | 'found'): void => {
      for (const daemon of daemons) {
        daemon.configure(text);
        if (how === 'asked') daemon.signal('SIGHUP');
      }
    };
    const told = (text: string) =>
      eventually(() => expect(daemons.map(({ output }) => output.includes(text))).toEqual([true, true]), 60_000);
    const gauges = (refused: number, restartNeeded: number) =>
      eventually(async () => {
        for (const daemon of daemons) {
          expect(await daemon.metric('ktb_config_refused')).toBe(refused);
          expect(await daemon.metric('ktb_config_restart_needed')).toBe(restartNeeded);
        }
      }, 60_000);
    const load = steadyLoad(fixture, 100);
    onTestFinished(() => load.stop());
    const more = async (acks: number): Promise<void> => {
      const wanted = fixture.acks.length + acks;
      await eventually(() => expect(fixture.acks.length).toBeGreaterThan(wanted), 60_000);
    };
    await more(200);

    // The file is looked at, without being asked to. At this level nobody tells of it.
    const small = { batch: { maxRecords: 10, maxDelay: '300ms' } };
    expect(largestBatch(fixture.acks.slice(-200))).toBeGreaterThan(10);
    configure(config(small, { level: 'warn' }), 'found');
    await eventually(() => expect(largestBatch(fixture.acks.slice(-200))).toBeLessThanOrEqual(10), 60_000);
    expect(consumer.output).not.toContain('A changed configuration is used');
    configure(config(small), 'asked');
    await told('A changed configuration is used');

    // A table without the column refuses the mapping, and takes it by itself once it has the column.
    const mapped = { ...small, columns: { copied: '/text' } };
    configure(config(mapped), 'asked');
    await told(`ClickHouse table ${fixture.table} has no column copied, which pipeline ${fixture.name} maps`);
    await gauges(1, 0);
    await more(100);
    await fixture.clickhouse.command({ query: `ALTER TABLE ${fixture.table} ADD COLUMN copied String` });
    await gauges(0, 0);
    const copied = `SELECT count() AS rows FROM ${fixture.table} WHERE copied = text`;
    await eventually(async () => {
      const [counted] = await fixture.query<{ rows: number }>(copied);
      expect(Number(counted?.rows)).toBeGreaterThan(200);
    }, 60_000);

    // A wrong file changes nothing. Nor does what needs a restart, with what came together with it.
    configure(config({ batch: { maxDelay: 'never' } }), 'asked');
    await told(`pipelines.${fixture.name}.batch.maxDelay: must be a duration`);
    await gauges(1, 0);
    configure(config({ ...mapped, batchers: 3 }), 'asked');
    await told(`Restart to apply: pipelines.${fixture.name}.batchers`);
    await gauges(0, 1);
    await more(100);
    configure(config(mapped), 'asked');
    await gauges(0, 0);

    await more(100);
    await load.stop();
    await expectExactlyOnce(fixture, { acksOnce: true });
    for (const daemon of daemons) {
      await daemon.untilReady();
      expect(daemon.logs().filter(({ message }) => message === 'Starting')).toHaveLength(1);
      expect(await daemon.stop()).toBe(0);
    }
  },
  TEST_MS,
);
