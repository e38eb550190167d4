import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { buildRows, identityToken } from '../../../src/clickhouse/batchRows.js';
import { Decoders } from '../../../src/formats/decoders.js';
import { skipTest } from '../../../src/commands/shared/skippedRecords.js';
import { prepareDecoding } from '../../../src/formats/recordDecoder.js';
import type { Mapping } from '../../../src/protocol/settings.js';
import { DEFAULT_MAPPING } from '../../support/chunks.js';
import { LEFT_OUT } from '../../../src/protocol/ack.js';
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

it('what where leaves out, and a change that is skipped, is skipped whatever its key is, and commands say the same', async () => {
  const key = Buffer.from('no json');
  const change = (op: string, kind: string) =>
    JSON.stringify({ op, after: { kind }, source: { connector: 'postgresql', lsn: 5 } });
  const where = [{ pointer: '/kind', equals: 'a' }];
  const envelope = { type: 'debezium', version: 'offset', truncates: 'skip' } as const;
  const cases: [mapping: Partial<Mapping>, skipped: string[], rejected: string[]][] = [
    [{ where }, ['{"kind":"b"}'], ['{"kind":"a"}']],
    [{ where, key: { format: 'json-schema' } }, ['{"kind":"b"}'], ['{"kind":"a"}']],
    [{ where, format: 'json-lines' }, ['{"kind":"b"}\n{"kind":"c"}'], ['{"kind":"b"}\n{"kind":"a"}', '{"kind":']],
    [{ envelope }, [change('t', 'a')], [change('c', 'b'), change('x', 'b')]],
    [{ envelope, where }, [change('t', 'a'), change('c', 'b')], [change('c', 'a')]],
    [{ where, format: 'avro' }, ['\0\0\0\0\u0001\u0002b'], ['\0\0\0\0\u0001\u0002a', '\0\0\0\0\u0001']],
  ];
  const schema = JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'kind', type: 'string' }] });
  const decoders = new Decoders({ schema: () => Promise.resolve({ schema, type: 'AVRO', references: [] }) });
  for (const [parts, skipped, rejected] of cases) {
    const mapping: Mapping = { ...DEFAULT_MAPPING, key: { format: 'json' }, ...parts };
    const records = [...skipped, ...rejected].map((value, offset) => ({
      source: sources[0]!,
      record: record(offset, { key, value: Buffer.from(value) }),
    }));
    const decoder = await prepareDecoding(records, mapping, decoders);
    const built = await buildRows(records, new Map([['kind', 'String']]), { columns: {}, mapping, decoder });
    const codes = built.rejected.map(({ rejection }) => rejection.code);
    expect([built.rows.length, built.lines.length]).toEqual([0, 0]);
    expect(codes).toEqual([...skipped.map(() => LEFT_OUT), ...rejected.map(() => 'undecodable')]);
    expect(built.rejected.every(({ rejection }) => Object.keys(rejection).length === 2)).toBe(true);
    const skips = await skipTest({ mapping }, decoders);
    const said: (boolean | null)[] = [];
    for (const each of records) said.push(await skips(each.source, each.record));
    expect(said).toEqual(codes.map((code) => code === LEFT_OUT));
  }
});
