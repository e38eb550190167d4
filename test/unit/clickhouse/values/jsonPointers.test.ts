import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { everyItem, objectMembers } from '../../../../src/clickhouse/values/jsonText.js';
import { JsonPointers } from '../../../../src/clickhouse/values/jsonPointers.js';
import { isArrayIndex, pointerTokens, valueAtPointer } from '../../../../src/lib/jsonPointer.js';

const latin1 = (text: string) => Buffer.from(text).toString('latin1');
const utf8 = (text: string) => Buffer.from(text, 'latin1').toString();

/** What each pointer leads to in each of the texts, read one after the other by the same instance. */
function textsAt(texts: readonly string[], pointers: readonly string[]): (string | undefined)[][] {
  const reader = new JsonPointers();
  const places = pointers.map((pointer) => reader.add(pointer));
  return texts.map((text) => {
    reader.read(text);
    return places.map((place) => reader.textAt(place));
  });
}

const textAt = (text: string, pointer: string) => textsAt([text], [pointer])[0]?.[0];

/** The same in the plainest way: one pointer after the other, with all members of each object on its way. */
function plainly(text: string, tokens: readonly string[]): string | undefined {
  const [token, ...others] = tokens;
  const value = text.trim();
  if (token === undefined) return value;
  const members = objectMembers(value).map(({ name, start, end }) => [name, value.slice(start, end)] as const);
  if (value.startsWith('['))
    everyItem(value, 0, (start, end) => {
      members.push([String(members.length), value.slice(start, end)]);
      return true;
    });
  const found = members.findLast(([name]) => name === latin1(token));
  return found === undefined ? undefined : plainly(found[1], others);
}

const names = fc.constantFrom('a', 'b', 'ab', 'a/b', 'm~n', '~1', 'ü', '"', '\\', '', '0', '1', '01', '-');
const space = fc.constantFrom('', '', '', ' ', '\n\t');
const scalars = fc.constantFrom(
  '12345678901234567890',
  '0.1000000000000000055',
  '1e400',
  '-0',
  '"[{\\"a\\":1}]"',
  'null',
);

/** JSON with repeated names, escapes in names, and numbers that JavaScript would round. */
const { document } = fc.letrec<{ document: string }>((tie) => {
  const value = fc.tuple(space, tie('document'), space).map((parts) => parts.join(''));
  const name = fc
    .tuple(space, names, fc.boolean(), space)
    .map(([before, text, escaped, after]) =>
      [before, escaped ? escapedName(text) : JSON.stringify(text), after].join(''),
    );
  return {
    document: fc.oneof(
      { maxDepth: 5, depthSize: 'large' },
      scalars,
      fc
        .array(
          fc.tuple(name, value).map((member) => member.join(':')),
          { maxLength: 6 },
        )
        .map((members) => `{${members.join(',')}}`),
      fc.array(value, { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
    ),
  };
});

const escapedName = (text: string) =>
  `"${Array.from(text, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`;

const pointer = fc
  .array(names, { minLength: 1, maxLength: 4 })
  .map((tokens) => tokens.map((token) => `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`).join(''));

it('finds for all pointers at once what each finds alone, and what JSON.parse finds', () => {
  fc.assert(
    fc.property(fc.array(document, { maxLength: 3 }), fc.array(pointer, { maxLength: 20 }), (documents, pointers) => {
      const texts = documents.map((text) => ` ${latin1(text)}\n`);
      const found = textsAt(texts, pointers);
      expect(found).toEqual(texts.map((text) => pointers.map((one) => plainly(text, pointerTokens(one)))));
      for (const [index, text] of texts.entries()) {
        const parsed: unknown = JSON.parse(utf8(text));
        const values = found[index]?.map((one) => (one === undefined ? undefined : (JSON.parse(utf8(one)) as unknown)));
        expect(values).toEqual(pointers.map((one) => valueAtPointer(parsed, pointerTokens(one))));
      }
    }),
    { numRuns: 1_000 },
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
      const [, ...places] = walk(JSON.parse(json), '');
      const [texts = []] = textsAt(
        [latin1(json)],
        places.map(([path]) => path),
      );
      expect(texts.map((text) => JSON.parse(utf8(text ?? '')) as unknown)).toEqual(
        places.map(([, expected]) => expected),
      );
    }),
  );
});

it('leads nowhere where the document has no such place', () => {
  const text = '{"a": [1, {"b": "x"}], "n": null, "s": "{\\"a\\": 1}"}';
  for (const path of ['/c', '/a/2', '/a/-', '/a/01', '/a/x', '/n/a', '/s/a', '/a/1/b/0']) {
    expect(textAt(text, path), path).toBeUndefined();
  }
  expect(textAt(text, '/a/1/b')).toBe('"x"');
  expect(textAt('', '/a')).toBeUndefined();
});

it('keeps the digits of numbers that JavaScript would round', () => {
  const text = '{"big": 12345678901234567890, "exact": 0.1000000000000000055}';
  expect(textAt(text, '/big')).toBe('12345678901234567890');
  expect(textAt(text, '/exact')).toBe('0.1000000000000000055');
});

it('takes the last of several members of one name, as JSON.parse does', () => {
  expect(textAt('{"a":1,"a":2}', '/a')).toBe('2');
  expect(textsAt(['{"a":{"b":1,"c":[2]},"a":{"c":[]}}'], ['/a/b', '/a/c', '/a/c/0'])).toEqual([
    [undefined, '[]', undefined],
  ]);
});

it('cuts nothing out of a text for members that no pointer leads to, however many pointers there are', () => {
  const members = Array.from({ length: 1_000 }, (_, index) => `"member ${index}":{"a":[${index}]}`);
  const text = `{"meta":{${members.join(',')},"f7":7}}`;
  const pointers = Array.from({ length: 50 }, (_, index) => `/meta/f${index}`);
  const slice = vi.spyOn(String.prototype, 'slice');
  const [found] = textsAt([text], pointers);
  const cuts = slice.mock.calls.length;
  slice.mockRestore();
  expect(found?.[7]).toBe('7');
  expect(cuts).toBeLessThan(4 * pointers.length);
});

it('reads an index of an array, and only that', () => {
  const text = '[["x"],{"0":"y","00":"z"}]';
  const pointers = ['/0/0', '/1/0', '/1/00', '/0/00', '/0/1', '/00', '/18446744073709551616'];
  expect(pointers.filter((one) => isArrayIndex(one.slice(1)))).toHaveLength(1);
  expect(textsAt([text], pointers)).toEqual([['"x"', '"y"', '"z"', undefined, undefined, undefined, undefined]]);
});
