import { expect, test } from 'vitest';
import { drawBars } from '../../../demo/bars.js';

test('the largest value fills the width, the others their share, down to an eighth of a character', () => {
  expect(
    drawBars(
      [
        { label: 'ORD', value: 100, figure: '1,000', note: 'late' },
        { label: 'DTW', value: 50, figure: '500' },
        { label: 'X', value: 13, figure: '13' },
      ],
      8,
    ),
  ).toEqual(['ORD  ████████  1,000  late', 'DTW  ████        500', 'X    █            13']);
});

test('a small value is seen, nothing is not', () => {
  const [, small, none] = drawBars(
    [
      { label: 'a', value: 1_000_000, figure: '' },
      { label: 'b', value: 1, figure: '' },
      { label: 'c', value: 0, figure: '' },
    ],
    4,
  );
  expect(small?.trimEnd()).toBe('b  ▏');
  expect(none?.trimEnd()).toBe('c');
});

test('no bars and bars of nothing can be drawn', () => {
  expect(drawBars([], 8)).toEqual([]);
  expect(drawBars([{ label: 'a', value: 0, figure: '0' }], 2)).toEqual(['a      0']);
});
