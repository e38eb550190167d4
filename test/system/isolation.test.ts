import { expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { together } from '../support/together.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();

it('a pipeline whose table was dropped holds its own records, and nobody else’s', async () => {
  const broken = await Fixture.create(stack());
  const well = await Fixture.create(stack());
  const fixtures = [broken, well];
  for (const fixture of fixtures) await fixture.collectAcks();
  // One batch at a time: one that would wait inside the worker would stop all others.
  const worker = { maxConcurrentFlushes: 1 };
  const config = together([broken.config(), well.config()], { worker });
  const daemon = await Daemon.start(config);
  for (const fixture of fixtures) await fixture.produce(1_000);
  for (const fixture of fixtures) await expectExactlyOnce(fixture);

  await broken.clickhouse.command({ query: `CREATE TABLE ${broken.table}_like AS ${broken.table}` });
  await broken.clickhouse.command({ query: `INSERT INTO ${broken.table}_like SELECT * FROM ${broken.table}` });
  await broken.clickhouse.command({ query: `DROP TABLE ${broken.table} SYNC` });
  await broken.produce(20_000);
  await eventually(() => expect(daemon.output).toContain(`cannot insert into ${broken.table}`));
  // Every batcher of it has met the missing table, and asks again and again, while the other works off its own.
  const workOff = async (rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      await well.produce(4_000);
      await broken.produce(1_000);
      await expectExactlyOnce(well);
    }
  };
  await workOff(3);
  // Nor does a daemon that starts wait for the table.
  await daemon.kill();
  const restarted = Daemon.launch(config);
  await workOff(2);
  expect(broken.acks).toHaveLength(1_000);
  expect((await restarted.get('/readyz')).text).toContain(`there is no table default.${broken.table}`);
  expect(await restarted.metric('ktb_dead_letters_total')).toBe(0);

  await broken.clickhouse.command({ query: `RENAME TABLE ${broken.table}_like TO ${broken.table}` });
  await expectExactlyOnce(broken);
  await restarted.untilReady();
});
