import { expect, it } from 'vitest';
import { watchSecrets } from '../../../src/daemon/secretWatch.js';

it('what cannot be used is logged if two looks find it, and when all can be used again', async () => {
  const found = [[], ['a'], [], ['b'], ['b', 'c'], ['b', 'c'], [], []];
  const log: string[] = [];
  const ending = new AbortController();
  await watchSecrets(
    () => {
      if (found.length === 1) ending.abort();
      return found.shift() ?? [];
    },
    {
      problem: (what, problem) => log.push(`${what}: ${problem}`),
      well: (what, message) => log.push(`${what}: ${message}`),
    },
    ending.signal,
    1,
  );
  const well = 'secrets: All files of secrets can be used again';
  const [b, c] = ['secrets: b. The last ones are used', 'secrets: b; c. The last ones are used'];
  expect(log).toEqual([well, well, b, c, well, well]);
});
