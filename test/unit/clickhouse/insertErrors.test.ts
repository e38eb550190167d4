import { ClickHouseError } from '@clickhouse/client';
import { expect, it } from 'vitest';
import { DATA_CODES, OVERSIZED_CODES, STRUCTURAL_CODES, TRANSIENT_CODES } from '../../../src/clickhouse/errorCodes.js';
import { classifyForeignAnswer, classifyInsertError } from '../../../src/clickhouse/insertErrors.js';

const error = (code: string, message: string, type = 'SOME_TYPE') => new ClickHouseError({ code, type, message });
const columns = new Map(['delay', 'id'].map((name) => [name, 'String']));

it('tells bad data from a wrong table from what may pass', () => {
  expect(classifyInsertError(error('27', 'Cannot parse input')).kind).toBe('data');
  expect(classifyInsertError(error('60', 'Unknown table')).kind).toBe('structural');
  expect(classifyInsertError(error('241', 'Memory limit exceeded')).kind).toBe('transient');
});

it('gives every code one kind, and those in no table `unknown`', () => {
  const tables = {
    data: DATA_CODES,
    structural: STRUCTURAL_CODES,
    oversized: OVERSIZED_CODES,
    transient: TRANSIENT_CODES,
  };
  for (let code = 0; code <= 1_100; code++) {
    const kinds = Object.entries(tables).flatMap(([kind, codes]) => (code in codes ? [kind] : []));
    expect(kinds.length, String(code)).toBeLessThanOrEqual(1);
    expect(classifyInsertError(error(String(code), '')).kind).toBe(kinds[0] ?? 'unknown');
  }
});

it('no row is blamed for storage that is away, full or broken, whatever it is', () => {
  const ofDisks = [
    24, 40, 75, 76, 83, 84, 172, 204, 226, 243, 246, 294, 400, 458, 479, 504, 521, 586, 592, 641, 662, 771,
  ];
  const away = [156, 384, 410, 415, 499, 500, 660, 668, 693, 695, 707, 722, 736, 737, 777, 778, 900, 901, 903];
  for (const code of [...ofDisks, ...away]) {
    const { kind, mayBeOfRow } = classifyInsertError(error(String(code), ''));
    expect([code, kind === 'structural' || kind === 'transient', mayBeOfRow]).toEqual([code, true, false]);
  }
});

it('a source that is away holds the batch, whoever says so, and one row’s key can still be the reason in the end', () => {
  const judged = (code: number, message = '') => {
    const { kind, mayBeOfRow, mayBeOfValue, mayBeOfMachine } = classifyInsertError(error(String(code), message));
    return [code, kind, mayBeOfRow, mayBeOfValue, mayBeOfMachine];
  };
  for (const code of [86, 484, 510, 528, 614, 634])
    expect(judged(code)).toEqual([code, 'transient', true, false, false]);
  for (const [code, message] of [
    [1000, 'Poco::Exception. Code: 1000, e.code() = 111, Connection refused: 127.0.0.1:6379'],
    [1001, 'mongocxx::v_noabi::query_exception: No suitable servers found (`serverSelectionTryOnce` set)'],
    [1001, 'pqxx::broken_connection: server closed the connection unexpectedly'],
    [1001, 'pqxx::broken_connection: FATAL:  the database system is starting up'],
    [1000, 'Poco::Exception. Code: 1000, LOADING Redis is loading the dataset in memory'],
  ] as const)
    expect(judged(code, message)).toEqual([code, 'transient', true, false, false]);
  expect(judged(1001, 'std::exception. No space left on device')).toEqual([1001, 'unknown', true, true, true]);
  const disk = 'std::exception. filesystem error: in posix_stat: Connection timed out [/mnt/data]';
  expect(judged(1001, disk)).toEqual([1001, 'unknown', true, true, true]);
  expect(judged(290)).toEqual([290, 'unknown', true, true, false]);
});

it.each([
  ['86', 'RECEIVED_ERROR_FROM_REMOTE_IO_SERVER'],
  ['290', 'LIMIT_EXCEEDED'],
  ['510', 'CACHE_DICTIONARY_UPDATE_FAIL'],
  ['1001', 'STD_EXCEPTION'],
])('names error %s, of which a row can be the reason or something else', (code, name) => {
  expect(classifyInsertError(error(code, '')).message).toBe(`ClickHouse error ${code} (${name})`);
});

it.each([
  ['252', 'Too many parts (3000)', 'transient'],
  ['252', 'Too many partitions for single INSERT block (more than 100)', 'oversized'],
  ['241', 'User memory limit exceeded: would use 11.67 MiB', 'transient'],
  ['241', '(total) memory limit exceeded', 'transient'],
  ['241', 'Query memory limit exceeded: would use 11.67 MiB', 'oversized'],
  ['241', 'Memory limit (for query) exceeded: would use 11.67 MiB', 'oversized'],
])('error %s, %s, is %s: one that this insert alone is too much for ends with a smaller one', (code, message, kind) => {
  expect(classifyInsertError(error(code, message)).kind).toBe(kind);
});

it('a query over its own memory is not called an insert, for it may be a look-up', () => {
  expect(classifyInsertError(error('241', 'Query memory limit exceeded')).message).toMatch(
    /: an insert or a look-up takes/,
  );
});

it.each([
  [413, 'oversized', true],
  [414, 'structural', true],
  [431, 'structural', true],
  [403, 'structural', true],
  [429, 'transient', false],
  [502, 'transient', false],
  [504, 'transient', false],
])('status %i of a proxy is %s, and says so', (status, kind, answered) => {
  const { message, ...found } = classifyForeignAnswer(status);
  expect(found).toMatchObject({ kind, answered, code: `http_${status}` });
  expect(message).toContain(`what answered was not ClickHouse: HTTP ${status}`);
});

it('takes what is no answer of ClickHouse for transient, and keeps to itself what a stranger answered', () => {
  const hangUp = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
  expect(classifyInsertError(hangUp)).toMatchObject({ kind: 'transient', code: 'ECONNRESET', answered: false });
  expect(classifyInsertError(new Error('Timeout error.')).message).toContain('Timeout');
  expect(classifyInsertError(new Error('<html>secret-4711</html>'))).toMatchObject({
    kind: 'transient',
    answered: false,
    message: expect.not.stringContaining('secret') as string,
  });
  expect(classifyInsertError(undefined).kind).toBe('transient');
});

it('takes a state of an aggregation that cannot be read for a value, whatever the code, if it may not pass', () => {
  const columns = new Map([
    ['total', 'AggregateFunction(sum, UInt64)'],
    ['states', 'Map(String, AggregateFunction(uniq, String))'],
    ['latest', 'SimpleAggregateFunction(max, UInt8)'],
  ]);
  const kind = (code: string, column: string) =>
    classifyInsertError(
      error(code, `Cannot read all data: (while reading the value of key ${column}): (at row 1)`),
      columns,
    ).kind;
  for (const column of ['total', 'states']) {
    expect(['33', '36', '1001', '241'].map((code) => kind(code, column))).toEqual([
      'data',
      'data',
      'data',
      'transient',
    ]);
  }
  expect(['33', '36', '1001'].map((code) => kind(code, 'latest'))).toEqual(['unknown', 'structural', 'unknown']);
});

it('names the column and the row', () => {
  const text =
    "Cannot parse input: expected '\"' before: 'late' (while reading the value of key delay): (at row 7)\n: While";
  expect(classifyInsertError(error('27', text), columns)).toMatchObject({
    message: 'ClickHouse error 27 (CANNOT_PARSE_INPUT_ASSERTION_FAILED) in column delay',
    suspect: 6,
  });
});

it.each([
  [
    '115',
    "Unknown setting 'insert_qourum': Maybe you meant ['insert_quorum']",
    ': ClickHouse does not know clickhouse.settings.insert_qourum: correct the name or remove it; did you mean insert_quorum?',
  ],
  [
    '115',
    'Setting insert_qourum is neither a builtin setting nor started with the prefix',
    ': ClickHouse does not know clickhouse.settings.insert_qourum: correct the name or remove it',
  ],
  [
    '36',
    'Invalid time zone: Europe/Wien',
    ': ClickHouse does not take the value of clickhouse.settings.session_timezone: correct it',
  ],
  [
    '36',
    "Unexpected value of IntervalOutputFormat: 'bset'. Must be one of ['kusto', 'numeric']",
    ': ClickHouse does not take the value of clickhouse.settings.interval_output_format: correct it',
  ],
  [
    '81',
    'Database de_fault does not exist. Maybe you meant default?',
    ': there is no database de_fault: create it, or correct clickhouse.database or the name of the table',
  ],
])('error %s of the configuration names its key: %s', (code, text, said) => {
  const settings = { insert_qourum: 'auto', session_timezone: 'Europe/Wien', interval_output_format: 'bset' };
  const { message } = classifyInsertError(error(code, text), columns, settings);
  expect(message.slice(message.indexOf(')') + 1)).toBe(said);
});

it.each([
  ['36', 'Cannot convert secret: Invalid time zone: Europe/Wien'],
  ['36', "Unexpected value of Something: 'secret'"],
  ['81', 'Cannot read secret: Database secret does not exist'],
  ['115', "Unknown setting 'secret': Maybe you meant ['secret']"],
])('error %s blames no key of the configuration for what is not of it: %s', (code, text) => {
  const settings = { insert_quorum: 'auto', session_timezone: 'Europe/Wien' };
  expect(classifyInsertError(error(code, text), columns, settings).message).toMatch(/^ClickHouse error \d+ \(\w+\)$/);
});

it('says nothing that the row may have said', () => {
  const row = 'secret-4711 (while reading the value of key SECRET_4711) (SECRET_4711)';
  for (const code of ['27', '9999', '252']) {
    const { message } = classifyInsertError(error(code, `Cannot parse input: before ${row}`, 'SECRET_4711'), columns);
    expect(message.toLowerCase()).not.toContain('secret');
  }
});

it('names a column of any name, and only a column', () => {
  const columns = new Map(['größe', 'a b', 'n.a', 'x)y', 'q'].map((name) => [name, 'String']));
  const message = (text: string) => classifyInsertError(error('27', text), columns).message;
  const of = (name: string) =>
    `Cannot parse input: expected '"' before: 'x"}': (while reading the value of key ${name}): (at row 1)`;
  for (const name of columns.keys()) expect(message(of(name))).toContain(`in column ${name}`);
  expect(message(of('other'))).not.toContain('in column');
  // The row quotes the beginning of such words.
  expect(
    message(`before: '(while reading the value of key z': (while reading the value of nested key t): ${of('q')}`),
  ).toContain('in column q');
});
