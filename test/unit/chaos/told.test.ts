import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { readTold } from '../../../chaos/told.js';

const line = (message: string, rows: number) => `${JSON.stringify({ level: 'warn', rows, message })}\n`;
const MISSED = 'Rows are in the table that materialized views of it may lack';

it('adds up the rows that views lack, over the logs of all daemons', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-told-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [one, other] = [join(directory, 'one.log'), join(directory, 'other.log')];
  writeFileSync(one, `no JSON\n${line(MISSED, 3)}${line('A batch was inserted', 100)}${line(MISSED, 4)}`);
  writeFileSync(other, line(MISSED, 5));
  expect(await readTold([one, other, join(directory, 'none.log')])).toEqual({ missedByViews: 12 });
});
