import { expect, test } from 'vitest';
import { fromEngine, httpStatusOf } from '../../../../stack/native/clickhouse-errors.js';

test('an exception that holds itself is told once', () => {
  const inner = 'Code: 27. DB::Exception: Cannot parse input: (at row 2)\n: While executing X. (CANNOT_PARSE)';
  const twice = `Code: 27. DB::Exception: ${inner} (version 26.7.2.1). (CANNOT_PARSE)`;
  const thrice = `Code: 27. DB::Exception: ${twice} (version 26.7.2.1). (CANNOT_PARSE)`;
  for (const text of [inner, twice, thrice])
    expect(fromEngine(new Error(text))).toMatchObject({ code: 27, message: inner });
});

test('nothing tells of the file that stood in for a body', () => {
  const text =
    'Code: 27. DB::Exception: Cannot parse input: (at row 2)\n: (in file/uri /tmp/x/insert-1): ' +
    'While executing JSONEachRowRowInputFormat: While executing File: data for INSERT was parsed from file. (CANNOT_PARSE)';
  expect(fromEngine(new Error(text)).message).toBe(
    'Code: 27. DB::Exception: Cannot parse input: (at row 2)\n: While executing JSONEachRowRowInputFormat. (CANNOT_PARSE)',
  );
});

test('what is no exception of ClickHouse has the code of standard exceptions', () => {
  expect(fromEngine(new Error('boom'))).toMatchObject({ code: 1001, message: 'boom' });
});

test.each([
  [60, 404],
  [27, 400],
  [516, 403],
  [159, 408],
  [241, 500],
  [252, 500],
])('code %i has the status %i', (code, status) => {
  expect(httpStatusOf(code)).toBe(status);
});
