import { expect, it } from 'vitest';
import { WhereRules } from '../../../../src/clickhouse/rows/whereRules.js';
import type { WhereRule } from '../../../../src/protocol/whereRule.js';

function holds(value: string, ...rules: WhereRule[]): boolean {
  return new WhereRules(rules).hold(Buffer.from(value).toString('latin1'));
}

const at = (tests: Omit<WhereRule, 'pointer'>): WhereRule => ({ pointer: '/a', ...tests });

it.each<[string, Omit<WhereRule, 'pointer'>, boolean]>([
  ['{"a":"x"}', { equals: 'x' }, true],
  ['{"a":"y"}', { equals: 'x' }, false],
  ['{}', { equals: 'x' }, false],
  ['{"a":null}', { equals: 'x' }, false],
  ['{"a":"null"}', { equals: 'null' }, true],
  ['{"a":null}', { equals: 'null' }, false],
  ['{"a":"gr\\u00fcn"}', { equals: 'grün' }, true],
  ['{"a":"grün"}', { equals: 'grün' }, true],
  ['{"a":"x","a":"y"}', { equals: 'y' }, true],
  ['{"a":5}', { equals: 5 }, true],
  ['{"a":5.0}', { equals: 5 }, true],
  ['{"a":50e-1}', { equals: 5 }, true],
  ['{"a":-5}', { equals: 5 }, false],
  ['{"a":"5"}', { equals: 5 }, false],
  ['{"a":5}', { equals: '5' }, true],
  ['{"a":9007199254740991}', { equals: 9007199254740991 }, true],
  ['{"a":9007199254740991.4}', { equals: 9007199254740991 }, false],
  ['{"a":9223372036854775807}', { equals: '9223372036854775807' }, true],
  ['{"a":9223372036854775806}', { equals: '9223372036854775807' }, false],
  ['{"a":true}', { equals: true }, true],
  ['{"a":"true"}', { equals: true }, false],
  ['{"a":true}', { equals: 'true' }, false],
  ['{"a":[1]}', { equals: '[1]' }, false],
  ['{"a":"b"}', { in: ['a', 'b'] }, true],
  ['{"a":"c"}', { in: ['a', 'b'] }, false],
  ['{}', { in: ['a'] }, false],
  ['{"a":"c"}', { notEquals: 'a' }, true],
  ['{"a":"a"}', { notEquals: 'a' }, false],
  ['{}', { notEquals: 'a' }, true],
  ['{"a":2}', { notIn: [1, 2] }, false],
  ['{"a":3}', { notIn: [1, 2] }, true],
  ['{"a":null}', { notIn: [1, 2] }, true],
  ['{"a":{}}', { exists: true }, true],
  ['{"a":null}', { exists: true }, false],
  ['{}', { exists: false }, true],
  ['{"a":0}', { exists: false }, false],
  ['{"a":"b"}', { exists: true, notIn: ['c'] }, true],
  ['{}', { exists: true, notIn: ['c'] }, false],
])('%s with %j: %s', (value, tests, expected) => {
  expect(holds(value, at(tests))).toBe(expected);
});

it('all rules must hold, wherever they look', () => {
  const rules: WhereRule[] = [
    { pointer: '/deep/list/1', equals: 'x' },
    { pointer: '/gone', exists: false },
  ];
  expect(holds('{"deep":{"list":["y","x"]}}', ...rules)).toBe(true);
  expect(holds('{"deep":{"list":["y","x"]},"gone":1}', ...rules)).toBe(false);
  expect(holds('{"deep":{"list":["x"]}}', ...rules)).toBe(false);
});

it.each(['""', '0', '0.0', '0.00', '"0"', '"0.00"', '0E-2', '"0E-10"', 'false', 'null'])(
  'what a deletion says of a column that it does not know, %s, speaks against no rule',
  (unknown) => {
    const rules = new WhereRules([at({ equals: '9.50' })]);
    expect([rules.hold(`{"a":${unknown}}`, true), rules.hold(`{"a":${unknown}}`)]).toEqual([true, false]);
  },
);

it.each(['0.01', '"0.01"', '"00"', '"0.0.0"', '10', '-1', '"false"', '" "', 'true', '[0]'])(
  'what a deletion says of a column that it knows, %s, counts',
  (known) => {
    expect(new WhereRules([at({ equals: '9.50' })]).hold(`{"a":${known}}`, true)).toBe(false);
  },
);
