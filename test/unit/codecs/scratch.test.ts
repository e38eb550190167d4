import { expect, it } from 'vitest';
import { Scratch } from '../../../src/codecs/scratch.js';

const parts = (...texts: string[]) => texts.map((text) => Buffer.from(text));

it('joins parts, one copy beside the other, also those for which it had too little memory', () => {
  const scratch = new Scratch();
  for (let round = 0; round < 3; round++) {
    scratch.reset();
    const copies = [scratch.join(parts('ab', '', 'c')), scratch.join([]), scratch.join(parts('def', `${round}`))];
    expect(copies.map(String)).toEqual(['abc', '', `def${round}`]);
  }
});

it('uses the memory again after a reset', () => {
  const scratch = new Scratch();
  scratch.join(parts('01234', '56789'));
  const [first, second] = [1, 2].map(() => {
    scratch.reset();
    return scratch.join(parts('01234', '56789'));
  });
  expect(second?.buffer).toBe(first?.buffer);
  expect(second?.byteOffset).toBe(first?.byteOffset);
});
