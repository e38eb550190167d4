import { expect, it } from 'vitest';
import { InsertReports } from '../../../src/activities/insertReports.js';
import type { ActivityDependencies } from '../../../src/activities/dependencies.js';

it('has a series for a hundred names of ignored fields of a pipeline, and one for all others', () => {
  const counted = new Map<string, number>();
  const inc = ({ pipeline, field }: { pipeline: string; field: string }, count: number) =>
    void counted.set(`${pipeline}/${field}`, (counted.get(`${pipeline}/${field}`) ?? 0) + count);
  const reports = new InsertReports({ metrics: { ignoredFields: { inc } } } as unknown as ActivityDependencies);
  const names = (from: number, to: number) =>
    new Map(Array.from({ length: to - from }, (_, index) => [`n${from + index}`, 2]));
  reports.ignored('a', names(0, 60));
  reports.ignored('a', names(50, 150));
  reports.ignored('b', new Map([['x'.repeat(100), 1]]));
  expect(counted.size).toBe(102);
  expect([counted.get('a/n55'), counted.get('a/n99'), counted.get('a/n100'), counted.get('a/(others)')]).toEqual([
    ...[4, 2, undefined, 100],
  ]);
  expect(counted.get(`b/${'x'.repeat(64)}`)).toBe(1);
});
