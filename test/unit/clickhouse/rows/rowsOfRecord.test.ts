import fc from 'fast-check';
import { expect, it } from 'vitest';
import { rowsOfRecord } from '../../../../src/clickhouse/rows/rowsOfRecord.js';
import { JsonObject } from '../../../../src/clickhouse/values/jsonBytesReader.js';
import type { ManyRowsFormat } from '../../../../src/protocol/settings.js';
import { amongOthers, record } from '../../../support/records.js';

/** The texts of the rows, and why the value is no list of them, the same wherever the bytes are. */
function rowsIn(format: ManyRowsFormat, value: string | null) {
  const alone = record(7, { value: value === null ? null : Buffer.from(value), key: Buffer.from('k') });
  const [one, packed] = [alone, amongOthers(alone)].map((from) => {
    const rows = rowsOfRecord(from, format);
    const texts: string[] = [];
    let next = rows.next();
    for (; next.done !== true; next = rows.next()) {
      expect(next.value.number).toBe(texts.length);
      expect([next.value.offset, next.value.key?.toString()]).toEqual([7, 'k']);
      texts.push(String(next.value.value));
    }
    return { texts, fault: next.value };
  });
  expect(packed).toEqual(one);
  return one!;
}

it.each([
  ['{"a":1}', ['{"a":1}']],
  ['{"a":1}\n', ['{"a":1}']],
  ['\ufeff{"a":1}\r\n{"b":2}\r\n', ['{"a":1}\r', '{"b":2}\r']],
  ['{}\n\n \t\r\n x \n\n', ['{}', ' x ']],
  ['', []],
  ['\n \n', []],
  [null, []],
])('json-lines: the rows of %j', (value, texts) => {
  expect(rowsIn('json-lines', value)).toEqual({ texts, fault: undefined });
});

it.each([
  ['[{"a":1}]', ['{"a":1}']],
  ['\ufeff [ {"a":[1,{"b":"]"}]} ,\n{"c":"\\"],[\\\\"} ]\n', ['{"a":[1,{"b":"]"}]} ', '\n{"c":"\\"],[\\\\"} ']],
  ['[1,"a",null,[]]', ['1', '"a"', 'null', '[]']],
  ['[]', []],
  [' [ \n ] ', []],
  ['', []],
  [' \n', []],
  [null, []],
])('json-array: the rows of %j', (value, texts) => {
  expect(rowsIn('json-array', value)).toEqual({ texts, fault: undefined });
});

it.each([
  ['{"a":1}', 'the value is an object, not a JSON array'],
  ['null', 'the value is null, not a JSON array'],
  ['7', 'the value is a number, not a JSON array'],
  ['nope', 'the value is not JSON'],
  ['[{}', 'the value is not JSON: it ends too early'],
  ['[{}] []', 'the value is not JSON: more follows after the array; each record holds one'],
  ['[] x', 'the value is not JSON: more follows after the array; each record holds one'],
])('json-array: %j is none', (value, message) => {
  expect(rowsIn('json-array', value).fault).toEqual({ code: 'not_json', message });
});

it('a text is an array whose elements are JSON exactly if JSON.parse says so', () => {
  const token = fc.constantFrom('[', ']', '{', '}', ',', ':', '"', '\\', 'a', '1', ' ', '\n', '{"a":1}', '"b"', 'null');
  const object = new JsonObject();
  fc.assert(
    fc.property(fc.array(token, { maxLength: 14 }), fc.boolean(), (tokens, isClosed) => {
      const text = isClosed ? `[${tokens.join('')}]` : tokens.join('');
      const { texts, fault } = rowsIn('json-array', text);
      const isArray = fault === undefined && texts.every((row) => object.read(Buffer.from(row)) !== undefined);
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        parsed = undefined;
      }
      // A text of white space alone is an array without elements here.
      expect(isArray).toBe(Array.isArray(parsed) || text.trim() === '');
      if (Array.isArray(parsed)) expect(texts.map((row) => JSON.parse(row) as unknown)).toEqual(parsed);
    }),
    { numRuns: 5_000 },
  );
});
