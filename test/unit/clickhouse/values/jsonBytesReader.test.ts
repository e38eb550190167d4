import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { JsonObject } from '../../../../src/clickhouse/values/jsonBytesReader.js';
import { HALF_CHARACTERS } from '../../../support/halfCharacters.js';

const utf8 = (text: string) => Buffer.from(text, 'latin1').toString();

/** Reads a text as a part of more bytes, which would complete a value that is cut off. */
function read(object: JsonObject, text: string) {
  const before = Buffer.from('{"before":"');
  const value = Buffer.from(text);
  const bytes = Buffer.concat([before, value, Buffer.from('0"}]')]);
  return object.read(bytes, before.length, before.length + value.length);
}

/** JSON, and what comes near it: cut off, characters turned, numbers and escapes of all kinds. */
const nearlyJson = fc.oneof(
  fc.json({ stringUnit: 'binary' }),
  fc.tuple(fc.json(), fc.nat(), fc.string({ maxLength: 2 })).map(([text, at, other]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + other + text.slice(place + 1);
  }),
  fc.tuple(fc.json(), fc.nat()).map(([text, at]) => text.slice(0, at % (text.length + 1))),
  fc.string({ unit: fc.constantFrom(...Array.from('{}[]",:-+.0123eEtrufalsn\\/bx \n\t\u000b\u00a0')) }),
  fc.string({ unit: fc.constantFrom('0', '1', '-', '+', '.', 'e', 'E') }),
  fc.string({ unit: fc.constantFrom('\\', 'u', 'd', '8', 'c', '0', '"', '\u0001', 'n') }).map((text) => `"${text}"`),
);

it('accepts just what JSON.parse accepts, and finds the same members', () => {
  const object = new JsonObject();
  fc.assert(
    fc.property(
      fc.oneof(
        nearlyJson,
        nearlyJson.map((text) => `{"a":${text},"b\\u00e9":[${text}]}`),
      ),
      (text) => {
        let parsed: unknown;
        try {
          parsed = JSON.parse(text);
        } catch {
          expect([text, read(object, text)]).toEqual([text, undefined]);
          return;
        }
        const kind = parsed === null ? 'null' : Array.isArray(parsed) ? 'array' : typeof parsed;
        expect([text, read(object, text)]).toEqual([text, kind]);
        if (kind !== 'object') return;
        const found = Array.from({ length: object.length }, (_, index) => [
          utf8(object.names[index] as string),
          JSON.parse(Buffer.from(text).toString('utf8', object.starts[index], object.ends[index])) as unknown,
        ]);
        // As entries of an object: the last of several members of one name counts.
        expect(Object.fromEntries(found)).toEqual(parsed);
      },
    ),
    { numRuns: 3_000 },
  );
});

it('reads JSON of any depth, and finds the fault in it', () => {
  const object = new JsonObject();
  const depth = 200_000;
  expect(read(object, `{"a":${'[{"b":'.repeat(depth)}1${'}]'.repeat(depth)}}`)).toBe('object');
  expect(read(object, `{"a":${'[{"b":'.repeat(depth)}1${'}]'.repeat(depth - 1)}]}`)).toBeUndefined();
  expect(object.faultAt).toBe(5 + 6 * depth + 1 + 2 * (depth - 1));
});

it('finds the names of each object, whatever names the objects before it had, and in which order', () => {
  const names = Array.from({ length: 40 }, (_, index) => (index % 5 === 0 ? `esc"${index}` : `name${index}`));
  const object = new JsonObject();
  const namesOf = (text: string) => {
    read(object, text);
    return object.names.slice(0, object.length);
  };
  const anyNames = fc.oneof(fc.subarray(names), fc.shuffledSubarray(names), fc.array(fc.constantFrom(...names)));
  fc.assert(
    fc.property(anyNames, (some) => {
      expect(namesOf(`{${some.map((name) => `${JSON.stringify(name)}:1`).join()}}`)).toEqual(some);
    }),
    { numRuns: 1_000 },
  );
  const many = Array.from({ length: 3_000 }, (_, index) => `n${index}`);
  for (const some of [many, many.slice(1_500), [...many].reverse()])
    expect(namesOf(`{${some.map((name) => `"${name}":1`).join()}}`)).toEqual(some);
});

it('sees the second half of a character in an escape, and whole characters not', () => {
  const object = new JsonObject();
  for (const [text, half] of HALF_CHARACTERS) {
    // Twice, because a name may be known then.
    for (const value of [`{"a":["${text}"]}`, `{"${text}":1}`, `{"${text}":1}`, `{"a":{"${text}":1}}`]) {
      read(object, value);
      expect([value, object.hasHalfCharacters]).toEqual([value, half]);
    }
  }
});

it('cuts out no name that it knows: in any order, after a wide gap, and of several kinds of objects in turn', () => {
  const object = new JsonObject();
  const names = Array.from({ length: 60 }, (_, index) => `name${index}`);
  const others = Array.from({ length: 20 }, (_, index) => `other${index}`);
  const bytesOf = (some: readonly string[]) => Buffer.from(`{${some.map((name) => `"${name}":1`).join()}}`);
  object.read(bytesOf(names));
  object.read(bytesOf(others));
  const known = [names, others, [...names].reverse(), [...names.slice(0, 2), ...names.slice(40)], names.slice(30)];
  const toString = vi.spyOn(Buffer.prototype, 'toString');
  try {
    for (const some of known) {
      object.read(bytesOf(some));
      expect(object.names.slice(0, object.length)).toEqual(some);
    }
    expect(toString).not.toHaveBeenCalled();
  } finally {
    toString.mockRestore();
  }
});

it('cuts names that it cannot keep any more out of a few texts', () => {
  const object = new JsonObject();
  const textOf = (some: readonly string[]) => `{${some.map((name) => `"${name}":1`).join()}}`;
  read(object, textOf(Array.from({ length: 1_100 }, (_, index) => `n${index}`)));
  const some = Array.from({ length: 200 }, (_, index) => `${index}`.padStart(index, '_'));
  const bytes = Buffer.from(textOf(some));
  const toString = vi.spyOn(Buffer.prototype, 'toString');
  try {
    object.read(bytes);
    expect(toString.mock.calls.length).toBeLessThan(bytes.length / 500);
  } finally {
    toString.mockRestore();
  }
  expect(object.names.slice(0, object.length)).toEqual(some);
});

it('finds names of the same hash, and such as are the beginning of others', () => {
  const object = new JsonObject();
  // Of `Aa` and `BB` the hashes are the same.
  const same = Array.from({ length: 64 }, (_, index) =>
    index.toString(2).padStart(6, '0').replaceAll('0', 'Aa').replaceAll('1', 'BB'),
  );
  const some = [...same, 'Aa', 'AaAa', 'x'.repeat(253), 'x'.repeat(254), 'x'.repeat(255), 'x'.repeat(3_000), ''];
  for (const order of [some, [...some].reverse(), some]) {
    read(object, `{${order.map((name) => `"${name}":1`).join()}}`);
    expect(object.names.slice(0, object.length)).toEqual(order);
  }
});
