import { expect, it } from 'vitest';
import { pointerTokens, valueAtPointer } from '../../../src/lib/jsonPointer.js';

const DOCUMENT = { foo: ['bar', 'baz'], '': 0, 'a/b': 1, 'm~n': 8, deep: { null: null, list: [{ x: true }] } };

it.each([
  // Of RFC 6901, section 5.
  ['/foo/0', 'bar'],
  ['/', 0],
  ['/a~1b', 1],
  ['/m~0n', 8],
  ['/deep/list/0/x', true],
  ['/deep/null', null],
  ['/foo/2', undefined],
  ['/foo/01', undefined],
  ['/foo/length', undefined],
  ['/deep/null/x', undefined],
  ['/a/b', undefined],
  // Nothing of JavaScript's own objects can be reached.
  ['/toString', undefined],
  ['/__proto__', undefined],
  ['/deep/constructor/name', undefined],
])('%s leads to %s', (pointer, expected) => {
  expect(valueAtPointer(DOCUMENT, pointerTokens(pointer))).toBe(expected);
});
