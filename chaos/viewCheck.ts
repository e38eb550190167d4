import type { Observed, Verdict } from './checks.js';

/** A materialized view has the rows of its table. It may lack, or have twice, as many as the daemons have told. */
export function viewComplete({ view, told }: Pick<Observed, 'view' | 'told'>): Verdict {
  const { rows, lacking, extra } = view;
  const texts = (what: string, count: number): string[] =>
    count > told.missedByViews ? [`it ${what} ${count} rows, and the daemons told of ${told.missedByViews}`] : [];
  const violations = [...texts('lacks', lacking), ...texts('has too often', extra)];
  return {
    name: 'the view has the rows of its table, but for those that were told',
    checked: rows,
    wrong: violations.length,
    violations,
    note: `${lacking} lacking, ${extra} too often`,
  };
}
