import fc from 'fast-check';
import { expect, it } from 'vitest';
import { objectMembers, quoteIntegers, textAtPointer } from '../../../src/activities/json.js';
import { pointerTokens } from '../../../src/records/jsonPointer.js';

/** JSON text with white space in all places where it may be, one character a byte. */
const anyObject = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue());
const latin1 = (text: string) => Buffer.from(text).toString('latin1');
const utf8 = (text: string) => Buffer.from(text, 'latin1').toString();

it('finds the members of any object, with the value’s own text', () => {
  fc.assert(
    fc.property(anyObject, fc.constantFrom(undefined, 1, '\t'), (object, indent) => {
      const text = latin1(JSON.stringify(object, null, indent));
      const members = objectMembers(text).map(({ name, start, end }) => [
        name,
        JSON.parse(utf8(text.slice(start, end))) as unknown,
      ]);
      expect(members).toEqual(Object.entries(JSON.parse(JSON.stringify(object)) as object));
    }),
  );
});

it('follows a pointer to any value of any document', () => {
  const walk = (value: unknown, path: string): [string, unknown][] => [
    [path, value],
    ...(typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([key, child]) =>
          walk(child, `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`),
        )
      : []),
  ];
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'grapheme' }), fc.constantFrom(undefined, 2), (value, indent) => {
      const json = JSON.stringify(value, null, indent);
      for (const [pointer, expected] of walk(JSON.parse(json), '')) {
        const text = textAtPointer(latin1(json), pointerTokens(pointer));
        expect(text === undefined ? undefined : JSON.parse(utf8(text))).toEqual(expected);
      }
    }),
  );
});

it('leads nowhere where the document has no such place', () => {
  const text = '{"a": [1, {"b": "x"}], "n": null, "s": "{\\"a\\": 1}"}';
  for (const pointer of ['/c', '/a/2', '/a/-', '/a/01', '/a/x', '/n/a', '/s/a', '/a/1/b/0']) {
    expect(textAtPointer(text, pointerTokens(pointer)), pointer).toBeUndefined();
  }
  expect(textAtPointer(text, pointerTokens('/a/1/b'))).toBe('"x"');
});

it('keeps the digits of numbers that JavaScript would round', () => {
  const text = '{"big": 12345678901234567890, "exact": 0.1000000000000000055}';
  expect(textAtPointer(text, ['big'])).toBe('12345678901234567890');
  expect(textAtPointer(text, ['exact'])).toBe('0.1000000000000000055');
});

it('puts integers into quotes, wherever they are, and nothing else', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'grapheme' }), fc.constantFrom(undefined, 2), (value, indent) => {
      const json = JSON.stringify(value, null, indent);
      const quoted = JSON.parse(json, (_, child: unknown) => {
        return typeof child === 'number' && /^-?\d+$/.test(JSON.stringify(child)) ? JSON.stringify(child) : child;
      }) as unknown;
      expect(JSON.parse(utf8(quoteIntegers(latin1(json))))).toEqual(quoted);
    }),
  );
  expect(quoteIntegers('{"1":[-18446744073709551616 ,0],"a\\"2":1e3,"b":"3","c":-0.5}')).toBe(
    '{"1":["-18446744073709551616" ,"0"],"a\\"2":1e3,"b":"3","c":-0.5}',
  );
});

it('takes the last of several members of one name, as JSON.parse does', () => {
  expect(textAtPointer('{"a":1,"a":2}', ['a'])).toBe('2');
});
