import { expect, test } from 'vitest';
import { Ending } from '../../../demo/ending.js';

test('everything is closed, the last opened first, whatever fails or hangs', async () => {
  const closed: string[] = [];
  const ending = new Ending();
  const add = (what: string, end: () => Promise<unknown>): void => {
    ending.add(what, () => {
      closed.push(what);
      return end();
    });
  };
  add('stack', () => Promise.resolve());
  add('daemon', () => Promise.reject(new Error('no')));
  add('client', () => new Promise(() => undefined));
  expect(await ending.close(50)).toEqual(['client: no answer within 0.05 s', 'daemon: no']);
  expect(closed).toEqual(['client', 'daemon', 'stack']);
  expect(await ending.close()).toEqual([]);
});
