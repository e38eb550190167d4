import { pino } from 'pino';
import { expect, it, vi } from 'vitest';
import { unlessAway } from '../../../src/daemon/unlessAway.js';

const logger = pino({ level: 'silent' });

it('a check that only warns stops no start', async () => {
  const debug = vi.spyOn(logger, 'debug');
  await unlessAway(logger, new AbortController().signal, () => Promise.reject(new Error('away')));
  expect(debug).toHaveBeenCalledOnce();
});

it('a check that does not answer does not hold up the end, and none begins after it', async () => {
  const ending = new AbortController();
  const hangs = vi.fn(() => new Promise<void>(() => undefined));
  const check = unlessAway(logger, ending.signal, hangs);
  ending.abort(new Error('it ends'));
  await expect(check).rejects.toThrow('it ends');
  await expect(unlessAway(logger, ending.signal, hangs)).rejects.toThrow('it ends');
  expect(hangs).toHaveBeenCalledOnce();
});
