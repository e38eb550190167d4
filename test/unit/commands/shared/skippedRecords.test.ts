import { expect, it } from 'vitest';
import { expectedRows } from '../../../../src/commands/shared/skippedRecords.js';
import type { Mapping } from '../../../../src/protocol/settings.js';
import { DEFAULT_MAPPING } from '../../../support/chunks.js';
import { record } from '../../../support/records.js';

const MARK = '\ufeff';

function rowsOf(value: string | null, mapping: Partial<Mapping>): number | undefined {
  const count = expectedRows({ mapping: { ...DEFAULT_MAPPING, ...mapping } });
  return count?.(record(0, { value: value === null ? null : Buffer.from(value) }));
}

it('rows that the pipeline leaves out are not expected in the table, also behind a byte-order mark', () => {
  const where = [{ pointer: '/v', equals: 1 }];
  const lines = { format: 'json-lines', where } as const;
  expect(rowsOf('{"v":1}\n{"v":2}\n\n{"v":1}', lines)).toBe(2);
  expect(rowsOf(`${MARK}{"v":2}\n${MARK}{"v":2}\n${MARK}{"v":1}`, lines)).toBe(1);
  expect(rowsOf('[{"v":1},{"v":2}]', { format: 'json-array', where })).toBe(1);
  expect(rowsOf('{"v":1}\n{"v":2}', { format: 'json-lines' })).toBe(2);
});

it('what is no list of rows has one, if any', () => {
  expect(rowsOf(null, { format: 'json-lines' })).toBe(1);
  expect(rowsOf('[{"v":1}', { format: 'json-array' })).toBe(1);
  expect(rowsOf('{"v":1}', {})).toBe(undefined);
});
