import { expect, it } from 'vitest';
import { ChangedRow, DebeziumEnvelopes } from '../../../../src/clickhouse/rows/debeziumEnvelope.js';
import type { DebeziumEnvelope } from '../../../../src/protocol/settings.js';
import { replayedHeaders } from '../../../../src/protocol/replayedRecord.js';
import { ofMysql, ofPostgres, withSchema, type Change } from '../../../support/debezium.js';
import { requestSource } from '../../../../src/protocol/request.js';
import { amongOthers, record } from '../../../support/records.js';

const ROW = { id: 1, name: 'a', balance: '1.50' };
const change = (op: Change['op'], at = 5): Change => ({
  op,
  before: op === 'u' || op === 'd' ? ROW : null,
  after: op === 'd' ? null : ROW,
  at,
});

const REPLAYED = 'ktb.replayed.offset';
const SOURCE = { topic: 'server.public.customers' };
const PLACES = { version: 'lsn', truncates: 'reject' } as const;

/** The row of a value, its version and whether it was deleted, or why there is none: the same wherever the bytes are. */
function opened(value: string | null, settings: Partial<DebeziumEnvelope> = {}) {
  const envelopes = new DebeziumEnvelopes({ type: 'debezium', ...PLACES, ...settings });
  const alone = record(3, { value: value === null ? null : Buffer.from(value) });
  const [one, packed] = [alone, amongOthers(alone)].map((from) => {
    const row = envelopes.open(SOURCE, from);
    if (!(row instanceof ChangedRow)) return row;
    expect(row.offset).toBe(3);
    expect(row.envelope).toContain('"source"');
    expect(row.envelope).not.toContain('"payload"');
    return [row.value?.toString(), row.version, row.isDeleted];
  });
  expect(packed).toEqual(one);
  return one;
}
const of = (value: object, settings?: Partial<DebeziumEnvelope>) => opened(JSON.stringify(value), settings);
const because = (message: string) => ({
  code: 'no_envelope',
  message: expect.stringContaining(message) as string,
});

it.each([
  ['PostgreSQL', ofPostgres, 'lsn', '24023005'],
  ['MySQL', ofMysql, 'pos', '9000000001709'],
  ['any source', ofMysql, 'offset', '3'],
] as const)(
  'changes of %s give the row after them, or before a deletion, with and without schema',
  (_, write, by, version) => {
    const of = (value: object) => opened(JSON.stringify(value), { version: by });
    for (const op of ['c', 'r', 'u'] as const)
      for (const value of [write(change(op)), withSchema(write(change(op)))])
        expect(of(value)).toEqual([JSON.stringify(ROW), version, false]);
    const { before } = write(change('d')) as { before: object };
    expect(of(withSchema(write(change('d'))))).toEqual([JSON.stringify(before), version, true]);
    expect(opened(`\ufeff ${JSON.stringify(write(change('c')))}\n`, { version: by })).toEqual([
      JSON.stringify(ROW),
      version,
      false,
    ]);
  },
);

it('versions grow with each change, also into the next binary log', () => {
  const versions = [68, 69, 70, 139, 140, 7_000_069].map((at) => {
    const result = of(ofMysql(change('c', at)), { version: 'pos' });
    return Array.isArray(result) ? BigInt(String(result[1])) : 0n;
  });
  expect(versions.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(versions);
  expect(new Set(versions).size).toBe(versions.length);
});

it('the version comes from where the configuration says, with every digit', () => {
  const value = { op: 'c', after: {}, source: { connector: 'db2', ts_ms: 7, lsn: 1 } };
  expect(of(value, { version: 'ts_ms' })).toEqual(['{}', '7', false]);
  expect(of(value, { version: 'lsn' })).toEqual(['{}', '1', false]);
  expect(of(value, { version: 'pos' })).toEqual(because('no position in a binary log'));
  const lsn = (text: string) => opened(`{"op":"u","after":{},"source":{"lsn":${text}}}`, { version: 'lsn' });
  expect(lsn('18446744073709551615')).toEqual(['{}', '18446744073709551615', false]);
  for (const text of ['18446744073709551616', '-1', '1.5', 'null', '"7"'])
    expect(lsn(text)).toEqual(because('source.lsn'));
});

it('what has no row is rejected with the reason, and a truncation is skipped if the pipeline says so', () => {
  const truncated = { op: 't', source: { connector: 'postgresql', lsn: 1 }, ts_ms: 1 };
  expect(of(truncated)).toEqual(because('truncated'));
  expect(of(truncated, { truncates: 'skip' })).toMatchObject({ code: 'left_out' });
  expect(of({ ...truncated, op: 'm' }, { truncates: 'skip' })).toEqual(because('op is none of'));
  expect(of({ id: 1 })).toEqual(because('it has no op'));
  expect(of({ schema: null, payload: null })).toEqual(because('payload is no object'));
  expect(of({ op: 'c', after: null, source: {} })).toEqual(because('after is no object'));
  expect(of({ op: 'd', after: null, source: {} })).toEqual(because('REPLICA IDENTITY FULL'));
  expect(of({ op: 'c', before: null, after: '{"_id":{"$oid":"1"}}', source: {} })).toEqual(because('MongoDB'));
  expect(of({ op: 'c', after: {} })).toEqual(because('source is no object'));
  expect(opened('[]')).toMatchObject({ code: 'not_object' });
  expect(opened('{"op":')).toMatchObject({ code: 'not_json' });
  expect(opened(null)).toMatchObject({ code: 'left_out' });
});

it('by offset a change counts from its own place in the topic: also one that is replayed, at any time again', () => {
  const envelopes = new DebeziumEnvelopes({ type: 'debezium', version: 'offset', truncates: 'reject' });
  const value = Buffer.from(JSON.stringify({ op: 'r', after: {} }));
  const versionOf = (...headers: (string | null)[]) => {
    const named = headers.map((text) => [REPLAYED, text === null ? null : Buffer.from(text)] as const);
    const row = envelopes.open(SOURCE, record(40, { value, headers: named }));
    return row instanceof ChangedRow ? row.version : row;
  };
  expect(versionOf()).toBe('40');
  const once = replayedHeaders({ a: ['b'], [REPLAYED]: [null] }, 7);
  expect(once).toEqual({ a: ['b'], [REPLAYED]: ['7'] });
  expect(replayedHeaders(once, 40)).toEqual(once);
  expect(versionOf('7')).toBe('7');
  expect(versionOf('x', '7')).toBe('7');
  for (const wrong of ['', '-1', '1.5', '9999999999999999', null]) expect(versionOf(wrong)).toBe('40');
  const ofWorkflow = record(40, { value });
  expect(envelopes.open(requestSource('ktb:orders:0', 'e'), ofWorkflow)).toEqual(because('the row of a workflow'));
  const byLsn = new DebeziumEnvelopes({ type: 'debezium', version: 'lsn', truncates: 'reject' });
  const named = Buffer.from(JSON.stringify(ofPostgres(change('c'))));
  expect(byLsn.open(requestSource('ktb:orders:0', 'e'), record(40, { value: named }))).toBeInstanceOf(ChangedRow);
});
