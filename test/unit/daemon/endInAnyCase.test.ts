import { expect, it } from 'vitest';
import { endInAnyCase } from '../../../src/daemon/endInAnyCase.js';

it('one part that fails to end, or never ends, keeps no other from ending, and is named', async () => {
  const seen: object[] = [];
  const logger = { error: (fields: object, message: string) => void seen.push({ ...fields, message }) };
  const ended: string[] = [];
  const parts: Record<string, () => Promise<void>> = {
    rejecting: () => Promise.reject(new Error('x')),
    throwing: () => {
      throw new Error('y');
    },
    hanging: () => new Promise(() => undefined),
    good: () => Promise.resolve(void ended.push('good')),
  };
  for (const [name, end] of Object.entries(parts)) await endInAnyCase(logger, name, 50, end);
  expect(ended).toEqual(['good']);
  expect(seen).toEqual([
    { error: 'x', message: 'The rejecting has not ended in order' },
    { error: 'y', message: 'The throwing has not ended in order' },
    { error: 'no answer within 0.05 s', message: 'The hanging has not ended in order' },
  ]);
});
