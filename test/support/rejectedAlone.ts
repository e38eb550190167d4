import { expect } from 'vitest';
import { eventually } from './eventually.js';
import type { Fixture } from './fixture.js';

/**
 * Expects that each of these values, which are produced with their names as keys, has its own answer: a code, or the
 * status if it is inserted, and a message. The dead letters of those that are rejected have their original bytes.
 */
export async function expectRejectedAlone(
  fixture: Fixture,
  values: Readonly<Record<string, Buffer | null>>,
  expected: Readonly<Record<string, readonly [codeOrStatus: string, message: unknown]>>,
): Promise<void> {
  const names = Object.keys(values);
  await fixture.produce(names.length, (index) => ({ key: names[index]!, value: values[names[index]!] ?? null }));
  await eventually(() => expect(fixture.acks.length).toBe(names.length));
  const answers = fixture.acks.map(({ key, status, code, message }) => [key, [code ?? status, message]] as const);
  expect(Object.fromEntries(answers)).toEqual(expected);
  const rejected = Object.values(expected).filter(([code]) => code !== 'inserted');
  for (const { key, value } of await fixture.deadLetters(rejected.length)) expect(value).toEqual(values[String(key)]);
}
