import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { identityToken } from '../../../src/clickhouse/batchRows.js';
import { sourceName } from '../../../src/protocol/record.js';
import { record } from '../../support/records.js';

const sources = ['a', 'é', 'x'].map((topic, partition) => ({ topic, partition, epoch: 'e' }));
const rowOf = (source: number, offset: number) => ({ source: sources[source]!, record: record(offset) });

it('the token of the same rows stays the same from version to version: an insert may be repeated by a newer one', () => {
  expect(identityToken([rowOf(0, 5), rowOf(0, 9), rowOf(1, 7)], 's')).toBe('315767548b9cce787e8633a9be8e9a02');
  const rows = Array.from({ length: 10_000 }, (_, index) => rowOf(Math.floor(index / 700) % 3, index * 12_345_677));
  let text = '';
  for (const [index, row] of rows.entries()) {
    if (row.source !== rows[index - 1]?.source) text += `\n${sourceName(row.source)}:`;
    text += `${row.record.offset},`;
  }
  expect(identityToken(rows)).toBe(createHash('sha256').update(text).digest('hex').slice(0, 32));
});
