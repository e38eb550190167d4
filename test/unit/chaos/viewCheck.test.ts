import { expect, it } from 'vitest';
import { viewComplete } from '../../../chaos/viewCheck.js';

it.each([
  [{ rows: 9, lacking: 0, extra: 0 }, 0, []],
  [{ rows: 9, lacking: 2, extra: 0 }, 2, []],
  [{ rows: 9, lacking: 2, extra: 0 }, 1, ['it lacks 2 rows, and the daemons told of 1']],
  [{ rows: 9, lacking: 0, extra: 1 }, 0, ['it has too often 1 rows, and the daemons told of 0']],
])('a view may differ by what was told: %o, told %i', (view, missedByViews, violations) => {
  expect(viewComplete({ view, told: { gaps: [], cuts: [], missedByViews } })).toMatchObject({ checked: 9, violations });
});
