import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { readTold } from '../../../chaos/told.js';

const line = (message: string, fields: object) => `${JSON.stringify({ level: 'warn', ...fields, message })}\n`;
const MISSED = 'Rows are in the table that materialized views of it may lack';
const GAP = 'Offsets are missing from the log: the topic’s retention removed them before they were read';

const CUT = 'The log of a partition lacks what was read of it: records were lost in Kafka.';

it('adds up the rows that views lack, and collects gaps and cuts, over the logs of all daemons', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-told-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [one, other] = [join(directory, 'one.log'), join(directory, 'other.log')];
  const gap = line(GAP, { topic: 'chaos', partition: 3, from: 10, to: 19 });
  writeFileSync(
    one,
    `no JSON\n${line(MISSED, { rows: 3 })}${line('inserted', { rows: 9 })}${line(MISSED, { rows: 4 })}`,
  );
  const cut = (topic: string) => line(CUT, { topic, partition: 2, from: 5, to: 8, offset: 5 });
  writeFileSync(other, `${gap}${cut('chaos')}${cut('another')}${line(MISSED, { rows: 5 })}`);
  expect(await readTold([one, other, join(directory, 'none.log')], 'chaos')).toEqual({
    gaps: [{ partition: 3, from: 10, to: 20 }],
    cuts: [{ partition: 2, from: 5, to: 9 }],
    missedByViews: 12,
  });
});

it('reads what follows an entry that a kill has cut, and refuses a view’s loss without a number', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-told-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'one.log');
  writeFileSync(
    file,
    `${line(MISSED, { rows: 3 }).slice(0, 40)}${line(MISSED, { rows: 4 })}${line(MISSED, { rows: 9 }).slice(0, -3)}`,
  );
  expect(await readTold([file], 'chaos')).toMatchObject({ missedByViews: 4 });
  writeFileSync(file, line(MISSED, { row: 3 }));
  await expect(readTold([file], 'chaos')).rejects.toThrow(/has not said how many rows/);
});
