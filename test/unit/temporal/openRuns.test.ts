import { expect, test } from 'vitest';
import { isOpen } from '../../../src/temporal/openRuns.js';

test('a run that people have paused in Temporal, or whose status is not known here, has not ended', () => {
  for (const status of ['RUNNING', 'PAUSED', 'UNKNOWN']) expect(isOpen(status)).toBe(true);
  for (const status of ['COMPLETED', 'FAILED', 'CANCELED', 'TERMINATED', 'TIMED_OUT'])
    expect(isOpen(status)).toBe(false);
});
