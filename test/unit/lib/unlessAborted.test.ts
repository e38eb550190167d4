import { expect, it } from 'vitest';
import { unlessAborted } from '../../../src/lib/unlessAborted.js';

const hangs = new Promise<never>(() => undefined);

it('settles as the promise does', async () => {
  const { signal } = new AbortController();
  await expect(unlessAborted(signal, Promise.resolve(7))).resolves.toBe(7);
  await expect(unlessAborted(signal, Promise.reject(new Error('broken')))).rejects.toThrow('broken');
});

it('waits no longer once the signal is aborted, and leaves no rejection unhandled', async () => {
  const ending = new AbortController();
  const waiting = unlessAborted(ending.signal, hangs);
  ending.abort(new Error('it ends'));
  await expect(waiting).rejects.toThrow('it ends');
  await expect(unlessAborted(ending.signal, hangs)).rejects.toThrow('it ends');
  await expect(unlessAborted(ending.signal, Promise.reject(new Error('later')))).rejects.toThrow();
});
