import { expect, it } from 'vitest';
import { FileLooks } from '../../../src/daemon/fileLooks.js';
import { NoAnswerError } from '../../../src/lib/within.js';

it('a read that hangs is given up, and there is no other beside it', async () => {
  const reads: ((text: string) => void)[] = [];
  const looks = new FileLooks(() => new Promise((resolve) => reads.push(resolve)), 20);
  for (let times = 0; times < 3; times++) await expect(looks.look()).rejects.toThrow(NoAnswerError);
  expect(reads).toHaveLength(1);
  reads[0]?.('late');
  await expect.poll(() => looks.look().catch(() => reads.length)).toBe(2);
  const next = looks.look();
  reads.at(-1)?.('text');
  expect(await next).toBe('text');
});

it('a read that fails is tried again', async () => {
  const found: (string | Error)[] = [new Error('away'), 'text'];
  const looks = new FileLooks(() => {
    const text = found.shift() ?? '';
    return text instanceof Error ? Promise.reject(text) : Promise.resolve(text);
  });
  await expect(looks.look()).rejects.toThrow('away');
  expect(await looks.look()).toBe('text');
});
