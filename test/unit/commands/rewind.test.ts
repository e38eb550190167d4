import { expect, it } from 'vitest';
import { rewindText } from '../../../src/commands/rewind.js';

const planned = [
  { topic: 'a', partition: 0, committed: 9, end: 12, plan: { type: 'commit', offset: 4, metadata: '' } as const },
  { topic: 'a', partition: 1, committed: 3, end: 5, plan: { type: 'leave', reason: 'it is there already' } as const },
];
const text = (to: Parameters<typeof rewindText>[1], again = false) =>
  rewindText(planned, to, { again, dryRun: true }).join('\n');

it('says what goes back and what stays, and how many records that are', () => {
  expect(text('earliest')).toBe(
    'a/0: would go back from 9 to 4\n' +
      'a/1: left at 3: it is there already\n' +
      'Up to 8 records are read again, and those that the table lacks are inserted.',
  );
  expect(text(4, true)).toContain('Up to 5 records are ingested again.');
});

it('says whose time a time is compared with, and what does not depend on it', () => {
  expect(text({ timestampMs: 0 })).toMatch(/records' own timestamps.*LogAppendTime.*--to earliest/);
  // All of them again would double rows.
  expect(text({ timestampMs: 0 }, true)).toMatch(/own timestamps/);
  expect(text({ timestampMs: 0 }, true)).not.toContain('earliest');
});
