import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { SharedSlots } from '../../../src/temporal/sharedSlots.js';
import { NoAnswerError } from '../../../src/lib/within.js';

const UNASKED = { at: 0, most: 0, asked: 0 };

it('asks no more questions at once than there are slots, whoever asks, and all of them in the end', async () => {
  const slots = new SharedSlots(3, 5_000);
  const seen = { ...UNASKED };
  const question = async (answer: number): Promise<number> => {
    seen.most = Math.max(seen.most, ++seen.at);
    await sleep(1);
    seen.at--;
    if (answer % 5 === 4) throw new Error('away');
    return answer;
  };
  const callers = Array.from({ length: 20 }, (_, index) => slots.ask(() => question(index)).catch(() => 'failed'));
  expect(await Promise.all(callers)).toEqual(callers.map((_, index) => (index % 5 === 4 ? 'failed' : index)));
  expect(seen).toMatchObject({ at: 0, most: 3 });
});

it('without one answer in time, those that wait are not asked, and those that come later are', async () => {
  const slots = new SharedSlots(1, 20);
  const seen = { ...UNASKED };
  const never = () => (seen.asked++, new Promise<never>(() => undefined));
  const begunAtMs = performance.now();
  const answers = await Promise.allSettled(Array.from({ length: 200 }, () => slots.ask(never)));
  expect(answers.every((one) => one.status === 'rejected' && one.reason instanceof NoAnswerError)).toBe(true);
  expect(seen.asked).toBe(1);
  expect(performance.now() - begunAtMs).toBeLessThan(2_000);
  expect(await slots.ask(() => Promise.resolve('answer'))).toBe('answer');
});

it('one slow answer gives up nobody while others come: a busy server is not one that hangs', async () => {
  const slots = new SharedSlots(2, 100);
  const slow = slots.ask(() => new Promise<never>(() => undefined)).catch((error: unknown) => error);
  const quick = Array.from({ length: 20 }, (_, index) => slots.ask(() => sleep(10, index)));
  expect(await Promise.all(quick)).toEqual(quick.map((_, index) => index));
  expect(await slow).toBeInstanceOf(NoAnswerError);
});
