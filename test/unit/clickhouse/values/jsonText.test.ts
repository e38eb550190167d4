import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import {
  everyScalar,
  hasBareNull,
  hasHalfCharacter,
  objectMembers,
  textOfString,
} from '../../../../src/clickhouse/values/jsonText.js';
import { HALF_CHARACTERS } from '../../../support/halfCharacters.js';

/** JSON text with white space in all places where it may be, one character a byte. */
const anyObject = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue());
const latin1 = (text: string) => Buffer.from(text).toString('latin1');
const utf8 = (text: string) => Buffer.from(text, 'latin1').toString();

it('finds the members of any object, with the value’s own text', () => {
  fc.assert(
    fc.property(anyObject, fc.constantFrom(undefined, 1, '\t'), (object, indent) => {
      const text = latin1(JSON.stringify(object, null, indent));
      const members = objectMembers(text).map(({ name, start, end }) => [
        utf8(name),
        JSON.parse(utf8(text.slice(start, end))) as unknown,
      ]);
      expect(members).toEqual(Object.entries(JSON.parse(JSON.stringify(object)) as object));
    }),
  );
});

it('sees the second half of a character in an escape, and whole characters not', () => {
  for (const [text, half] of HALF_CHARACTERS) {
    expect([text, hasHalfCharacter(`"${text}"`)]).toEqual([text, half]);
  }
});

it('asks of each scalar of a value once, and says which share a type', () => {
  const text = '{"a":[1,{"b:":"x:","c":[ true , null]},[2], {"c":[3]}], "d" : "e", "f":[5]}';
  const scalars = (ofObjects: boolean) => {
    const found: [string, number | undefined][] = [];
    everyScalar(text, 0, text.length, ofObjects, (_text, start, end, path) => {
      found.push([text.slice(start, end), path]);
      return true;
    });
    return found;
  };
  expect(scalars(true)).toEqual([
    ['1', 0],
    ['"x:"', 1],
    ['true', 2],
    ['null', 2],
    ['2', 0],
    ['3', 2],
    ['"e"', undefined],
    ['5', 3],
  ]);
  expect(scalars(false)).toEqual([
    ['1', 0],
    ['"x:"', undefined],
    ['true', 1],
    ['null', 1],
    ['2', 0],
    ['3', 2],
    ['"e"', undefined],
    ['5', 3],
  ]);
});

it('names the path of each scalar with little, however deep it is', () => {
  const depth = 900;
  const name = 'n'.repeat(100);
  const text = `[${`{"a":1,"${name}":`.repeat(depth)}2${'}'.repeat(depth)}]`;
  let [scalars, characters] = [0, 0];
  const paths = new Set<unknown>();
  everyScalar(text, 0, text.length, true, (_text, _start, _end, path) => {
    scalars++;
    characters += String(path).length;
    paths.add(path);
    return true;
  });
  expect([scalars, paths.size]).toEqual([depth + 1, depth + 1]);
  expect(characters).toBeLessThan(text.length);
});

it('finds the arrays in which null has no text, number, true or false beside it', () => {
  const isBare = (value: unknown, alone: boolean, within = false): boolean => {
    if (value === null || typeof value !== 'object') return false;
    if (!Array.isArray(value)) return Object.values(value).some((member) => isBare(member, alone, within));
    const counts = alone || within || value.some((item) => typeof item === 'object' && item !== null);
    const hasScalar = value.some((item) => typeof item !== 'object');
    return (value.includes(null) && !hasScalar && counts) || value.some((item: unknown) => isBare(item, alone, true));
  };
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>(null, null, 1, 'null', '[null]', true),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'null', '[', '"'), tie('tree'), { maxKeys: 2 }),
    ),
  }));
  fc.assert(
    fc.property(tree, fc.boolean(), fc.constantFrom(0, 1), (value, alone, space) => {
      const text = JSON.stringify(value, null, space);
      const within = `[null,${text} ,null]`;
      expect(hasBareNull(within, 6, 6 + text.length, alone)).toBe(isBare(value, alone));
    }),
    { numRuns: 2_000 },
  );
});

it('reads a value of any size once when it looks for null', () => {
  const deep = `${'['.repeat(900)}null${']'.repeat(900)}`;
  const wide = `[${Array.from({ length: 100_000 }, () => '[1,null]').join(',')}]`;
  expect(hasBareNull(deep, 0, deep.length, true)).toBe(true);
  expect(hasBareNull(wide, 0, wide.length, true)).toBe(false);
  expect(hasBareNull(`${'['.repeat(100_000)}null`, 0, 100_004, true)).toBe(false);
});

it('reads a string as JSON.parse does, whatever of it is written as escapes, and keeps bytes that are no UTF-8', () => {
  const character = fc.tuple(
    fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      fc.constantFrom('\n', '"', '\\', '/', '\u{1f600}', '\ud83d', '\ude00', '\ud83d\ud83d', '\u00e9', '\u0080'),
    ),
    fc.boolean(),
  );
  const escaped = (text: string) =>
    Array.from({ length: text.length }, (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`).join('');
  fc.assert(
    fc.property(fc.array(character), (characters) => {
      const json = characters.map(([text, byCode]) => (byCode ? escaped(text) : JSON.stringify(text).slice(1, -1)));
      const text = ` "${latin1(json.join(''))}\xff"`;
      // Written as they are, bytes that are no UTF-8 pass. So does the last one here.
      const expected = `${latin1(JSON.parse(`"${json.join('')}"`) as string)}\xff`;
      expect(textOfString(text, 1, text.length)).toBe(expected);
    }),
    { numRuns: 1_000 },
  );
});

it('makes no object for each escape of a text', () => {
  const text = `"${'\\n'.repeat(1_000)}"`;
  const objects = vi.spyOn(JSON, 'parse');
  const matches = vi.spyOn(String.prototype, 'matchAll');
  expect([textOfString(text, 0, text.length), hasHalfCharacter(text)]).toEqual(['\n'.repeat(1_000), false]);
  expect([objects.mock.calls.length, matches.mock.calls.length]).toEqual([0, 0]);
  vi.restoreAllMocks();
});
