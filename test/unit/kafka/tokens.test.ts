import { expect, it } from 'vitest';
import { TokenRefusedError, TokenUnavailableError } from '../../../src/kafka/tokenErrors.js';
import { Tokens } from '../../../src/kafka/tokens.js';

/** A server that gives `t1`, `t2` and so on, and a clock. */
function server(lifeMs: number) {
  const told = { now: 0, asked: 0, hangs: false, error: null as Error | null, notRenewed: [] as number[] };
  const tokens = new Tokens(
    () => {
      told.asked++;
      if (told.hangs) return new Promise(() => undefined);
      return told.error === null ? Promise.resolve({ value: `t${told.asked}`, lifeMs }) : Promise.reject(told.error);
    },
    (_, leftMs) => told.notRenewed.push(leftMs),
    () => told.now,
  );
  return { told, tokens };
}

/** When what was begun in the background is done. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('all who need a token share one', async () => {
  const { told, tokens } = server(3_600_000);
  expect(await Promise.all([tokens.current(), tokens.current(), tokens.current()])).toEqual(['t1', 't1', 't1']);
  told.now = 2_000_000;
  expect(await tokens.current()).toBe('t1');
  expect(told.asked).toBe(1);
});

it.each([
  ['an hour: with a fifth left', 3_600_000, 2_880_000],
  ['a minute: early enough for the login before the session ends', 60_000, 45_000],
  ['30 s', 30_000, 15_000],
  ['2 s: after half of it', 2_000, 1_000],
])('a token is renewed before it ends, one of %s', async (_, lifeMs, renewedAt) => {
  const { told, tokens } = server(lifeMs);
  await tokens.current();
  told.now = renewedAt - 1;
  expect(await tokens.current()).toBe('t1');
  told.now = renewedAt;
  expect(await tokens.current()).toBe('t1');
  await settled();
  expect(await tokens.current()).toBe('t2');
});

it('nobody waits for the next token while the old one can be used', async () => {
  const { told, tokens } = server(3_600_000);
  await tokens.current();
  told.hangs = true;
  told.now = 3_599_999;
  expect(await tokens.current()).toBe('t1');
  expect(await tokens.current()).toBe('t1');
  expect(told.asked).toBe(2);
});

it('a token that a broker has refused is given to nobody else', async () => {
  const { tokens } = server(3_600_000);
  const value = await tokens.current();
  tokens.refused(value);
  expect(await tokens.current()).toBe('t2');
  // A login that began before has the old one.
  tokens.refused(value);
  expect(await tokens.current()).toBe('t2');
});

it('a broker that refuses every token does not make each login ask for another one, and others can go on with the last', async () => {
  const { told, tokens } = server(3_600_000);
  for (; told.now < 600_000; told.now += 500) tokens.refused(await tokens.current());
  expect(told.asked).toBeLessThan(20);
  // It is mended. Much later a token is revoked.
  told.now += 1_200_000;
  const [before, asked] = [await tokens.current(), told.asked];
  tokens.refused(before);
  expect(await tokens.current()).not.toBe(before);
  expect(told.asked).toBe(asked + 1);
});

it.each([[30 * 86_400_000], [Infinity]])('a token of %d ms is renewed within a day', async (lifeMs) => {
  const { told, tokens } = server(lifeMs);
  await tokens.current();
  told.now = 86_400_000;
  expect(await tokens.current()).toBe('t2');
});

it('while it cannot be renewed, the old token is used to its end, and then the error says why', async () => {
  const { told, tokens } = server(30_000);
  await tokens.current();
  told.error = new TokenUnavailableError('away');
  told.now = 20_000;
  expect(await tokens.current()).toBe('t1');
  await settled();
  expect(told.notRenewed).toEqual([10_000]);
  told.now = 30_000;
  await expect(tokens.current()).rejects.toBe(told.error);
  told.error = null;
  told.now = 31_000;
  expect(await tokens.current()).toBe('t4');
});

it('after a refusal it is not asked for again at once, however many connections open', async () => {
  const { told, tokens } = server(30_000);
  told.error = new TokenRefusedError('wrong secret');
  await expect(tokens.current()).rejects.toBe(told.error);
  await expect(tokens.current()).rejects.toBe(told.error);
  expect(told.asked).toBe(1);
  told.now = 1_000;
  await expect(tokens.current()).rejects.toBe(told.error);
  expect(told.asked).toBe(2);
});
