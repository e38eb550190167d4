import { expect, it } from 'vitest';
import { ofAllTables } from '../../../../src/commands/reconcile/rowsOfTables.js';

const row = (offset: number, more: object = {}) => ({ offset, epoch: 'e', rows: 1, seconds: 7, ...more });

it('a record that two tables have has more rows than different ones', () => {
  expect(ofAllTables([[row(1), row(2)]])).toEqual([row(1), row(2)]);
  expect(ofAllTables([[row(1)], [row(2), row(1, { epoch: 'f' })], []])).toEqual([
    row(1),
    row(2),
    row(1, { epoch: 'f' }),
  ]);
  expect(ofAllTables([[row(1, { seconds: null })], [row(1)]])).toEqual([row(1, { rows: 2 })]);
  const many = (rows: number, different: number) => row(1, { rows, different });
  expect(ofAllTables([[many(3, 3)], [many(2, 2)]])).toEqual([many(5, 3)]);
});
