import { expect, it } from 'vitest';
import { counted, judges } from '../../../../src/commands/check/finding.js';

it('counts the findings of each level, one warning as one', () => {
  const { ok, warning, wrong } = judges('table orders');
  const odd = warning('is odd', 'look at it');
  expect(counted([ok('fine'), odd, ok('fine')])).toBe('0 wrong, 1 warning, 2 ok');
  expect(counted([odd, wrong('is missing', 'create it'), odd])).toBe('1 wrong, 2 warnings, 0 ok');
});
