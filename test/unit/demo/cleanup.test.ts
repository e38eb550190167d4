import { expect, test } from 'vitest';
import { Cleanup } from '../../../demo/cleanup.js';

test('everything is closed, the last opened first, whatever fails or hangs', async () => {
  const closed: string[] = [];
  const cleanup = new Cleanup();
  const add = (what: string, end: () => Promise<unknown>): void => {
    cleanup.add(what, 50, () => {
      closed.push(what);
      return end();
    });
  };
  add('stack', () => Promise.resolve());
  add('daemon', () => Promise.reject(new Error('no')));
  add('client', () => new Promise(() => undefined));
  expect(await cleanup.run()).toEqual(['client: did not end within 0.05 s', 'daemon: Error: no']);
  expect(closed).toEqual(['client', 'daemon', 'stack']);
  expect(await cleanup.run()).toEqual([]);
});
