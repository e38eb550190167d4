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

it('every column that is proposed is logged, however many fields the table has refused before', () => {
  const logged = new Map<string, number>();
  const count = (_fields: object, message: string) => void logged.set(message, (logged.get(message) ?? 0) + 1);
  const reports = new InsertReports({
    metrics: { evolvedFields: { inc: () => undefined } },
    logger: { info: count, warn: count },
  } as unknown as ActivityDependencies);
  for (let field = 0; field < 1_000; field++) {
    reports.evolved('p', 't', { outcome: 'refused', name: `no${field}`, why: 'x' });
    reports.evolved('p', 't', { outcome: 'refused', name: `no${field}`, why: 'x' });
    reports.evolved('p', 't', { outcome: 'proposed', name: `f${field}`, statement: 's', why: 'x' });
    reports.evolved('p', 't', { outcome: 'added', name: `f${field}`, type: 'String' });
  }
  expect(Object.fromEntries(logged)).toEqual({
    'A field gets no column': 200,
    'No more fields without a column are logged, see ktb_evolved_fields_total': 1,
    'A field has no column: it can be added': 1_000,
    'A column was added': 1_000,
  });
});
