import { expect, it } from 'vitest';
import { BASELINE, benchMessage, columnDefinitions, type Scenario } from '../../../bench/scenario.js';
import { FACTORS } from '../../../bench/sweep.js';

const SCENARIOS = Object.entries(FACTORS).flatMap(([factor, { points }]) =>
  Object.entries(points).map(([point, change]): [string, Scenario] => [
    `${factor}: ${point}`,
    { ...BASELINE, ...change },
  ]),
);

it.each(SCENARIOS)('a record has the size and the columns of its scenario (%s)', (_, scenario) => {
  const columns = columnDefinitions(scenario)
    .split(/, (?!\d)/)
    .map((definition) => definition.split(' ')[0]);
  expect(columns).toHaveLength(scenario.columns);
  for (const id of [0, 7, 99_999, 999_999]) {
    const { value } = benchMessage(scenario, id);
    expect(Math.abs(value.length - scenario.bytes)).toBeLessThan(6);
    const fields = Object.keys(JSON.parse(value.toString()) as object);
    expect(columns).toEqual(expect.arrayContaining(fields));
    expect(fields.length).toBeGreaterThanOrEqual(scenario.columns - 1);
  }
});

it('by Zipf the first of 5,000 keys has a ninth of the records, evenly each has as many', () => {
  const mostOf = (keys: Scenario['keys']): number => {
    const counts = new Map<string, number>();
    for (let id = 0; id < 20_000; id++) {
      const key = benchMessage({ ...BASELINE, keys }, id).key.toString();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return Math.max(...counts.values()) / 20_000;
  };
  expect(mostOf('zipf')).toBeCloseTo(1 / 9.1, 2);
  expect(mostOf('even')).toBe(1 / 5_000);
  expect(mostOf('one')).toBe(1);
});
