import { setImmediate } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { insertRecords } from '../../../src/clickhouse/batchInsert.js';
import { FakeTable } from '../../support/fakeTable.js';
import { record } from '../../support/records.js';

it('lets others have their turn by the time that rows take, not by their number', async () => {
  let nowMs = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 100));
  let turns = 0;
  const done = new AbortController();
  const others = (async () => {
    while (!done.signal.aborted) {
      await setImmediate();
      turns++;
    }
  })();
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const records = Array.from({ length: 50 }, (_, offset) => ({ source, record: record(offset) }));
  const { tables, rows } = new FakeTable();
  await insertRecords(records, {
    tables,
    table: 't',
    columns: {},
    batch: 'b',
    repeated: false,
    overdue: false,
    mustBeAlive: () => undefined,
  });
  done.abort();
  clock.mockRestore();
  await others;
  expect(rows).toHaveLength(50);
  expect(turns).toBeGreaterThanOrEqual(50);
});
