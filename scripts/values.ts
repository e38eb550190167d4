/** A value that its column stores differently, or that is rejected. A test compares each with ClickHouse. */
export interface Conversion {
  readonly type: string;
  /** JSON. */
  readonly written: string;
  /** As `toString` shows it; null if the record is rejected. */
  readonly stored: string | null;
  readonly why: string;
}

/** What is changed on purpose, and what is rejected although it looks harmless. All else that ClickHouse would change is rejected. */
export const CONVERSIONS: readonly Conversion[] = [
  {
    type: 'Float64',
    written: '0.1234567890123456789',
    stored: '0.12345678901234568',
    why: 'the nearest float, see below',
  },
  { type: 'Float32', written: '16777217', stored: '16777216', why: 'the nearest float, see below' },
  { type: 'BFloat16', written: '0.1', stored: '0.099609375', why: 'the float without its last 16 bits' },
  { type: 'Decimal(9, 2)', written: '1.999', stored: '1.99', why: 'cut to the scale' },
  {
    type: "DateTime('UTC')",
    written: '"2024-01-02T03:04:05.678Z"',
    stored: '2024-01-02 03:04:05',
    why: 'a fraction is cut',
  },
  {
    type: "DateTime64(3, 'UTC')",
    written: '"2024-01-02T03:04:05.6789Z"',
    stored: '2024-01-02 03:04:05.678',
    why: 'a fraction is cut to the precision',
  },
  {
    type: "DateTime('UTC')",
    written: '"2024-01-02T03:04:05+02:00"',
    stored: '2024-01-02 01:04:05',
    why: 'the same instant, in the zone of the column',
  },
  { type: "DateTime('UTC')", written: '"2024-01-02"', stored: '2024-01-02 00:00:00', why: 'a day is its beginning' },
  {
    type: "DateTime('UTC')",
    written: '"02/03/2024"',
    stored: '2024-03-02 00:00:00',
    why: 'the day comes before the month',
  },
  {
    type: "DateTime('Europe/Vienna')",
    written: '"2024-03-31 02:30:00"',
    stored: '2024-03-31 01:30:00',
    why: 'a local time that does not exist, because summer time begins',
  },
  {
    type: "DateTime64(3, 'UTC')",
    written: '1704164645678',
    stored: '2024-01-02 03:04:05.678',
    why: 'a number counts ticks: here milliseconds',
  },
  { type: "DateTime('UTC')", written: '1704164645', stored: '2024-01-02 03:04:05', why: 'a number counts seconds' },
  { type: 'Date', written: '19000', stored: '2022-01-08', why: 'a number counts days' },
  { type: 'Int64', written: 'null', stored: '0', why: 'null is the default of a column that is not Nullable' },
  { type: 'Int64', written: 'true', stored: '1', why: 'true is 1, false is 0' },
  { type: 'Int64', written: '-0', stored: '0', why: 'no integer is -0' },
  { type: 'Int64', written: '"+007"', stored: '7', why: 'digits in a text are a number' },
  {
    type: 'String',
    written: '{"a" : 1.0}',
    stored: '{"a" : 1.0}',
    why: 'a value that is no text is stored as its JSON text',
  },
  { type: 'FixedString(3)', written: '"a"', stored: 'a', why: 'filled up with zero bytes, which toString leaves out' },
  { type: "Enum8('new' = 1)", written: '1', stored: 'new', why: 'a number is the number of an element' },
  {
    type: 'IPv4',
    written: '"001.02.3.4"',
    stored: '1.2.3.4',
    why: 'leading zeros are dropped; the digits are not octal',
  },
  { type: 'IPv6', written: '"1.2.3.4"', stored: '::ffff:1.2.3.4', why: 'an IPv4 address in IPv6' },
  {
    type: 'Tuple(a UInt8, b String)',
    written: '{"a":1,"z":2}',
    stored: "(1,'')",
    why: 'an element that is missing has its default, a field without an element is left out',
  },
  {
    type: 'JSON',
    written: '{"a":null,"b":{},"c.d":1}',
    stored: '{"c":{"d":1}}',
    why: 'null and empty objects are left out, dots lead to paths',
  },
  {
    type: 'JSON(t String)',
    written: '{"t":[1, 2]}',
    stored: '{"t":"[1,2]"}',
    why: 'JSON at a path of texts, as ClickHouse writes it',
  },
  {
    type: 'JSON',
    written: '{"ids":[9007199254740993]}',
    stored: null,
    why: 'where another record has an array with a fraction at the path, the integer would lose its last digits; JSON(ids Array(Int64)) keeps it',
  },
  {
    type: 'JSON',
    written: '{"a":[9007199254740993, 0.5]}',
    stored: null,
    why: 'the items of an array share a type: together with a fraction, the integer would lose its last digits',
  },
  { type: 'JSON', written: '{"a":[true, 1]}', stored: null, why: 'for the same reason true would become 1' },
  {
    type: 'JSON',
    written: '{"a":[null]}',
    stored: null,
    why: 'null would become {} if other records have arrays of objects at this path, and [] if they have arrays of arrays. It is taken together with a text, a number, true or false',
  },
  {
    type: 'JSON(a Int32)',
    written: '{"a":"1.0"}',
    stored: null,
    why: 'ClickHouse would make an integer of a text that is a float, also of "1.5" and "nan"',
  },
  {
    type: 'JSON(p Variant(Bool, String))',
    written: '{"p":5}',
    stored: null,
    why: 'in a Variant with Bool, ClickHouse would make true or false of "0", of "5" and of integers up to 255. 0 and 1 are taken as false and true',
  },
  {
    type: "JSON(SKIP REGEXP '^x')",
    written: '{"x":[null]}',
    stored: null,
    why: 'values that a pattern leaves out are checked like the others. Values that SKIP leaves out by their path are not',
  },
  {
    type: 'Dynamic',
    written: '[{"a":1},{"b":2}]',
    stored: '[(1,0),(0,2)]',
    why: 'the objects of an array become tuples of one type. A missing member has its default. A JSON column keeps them as they are',
  },
  {
    type: 'Dynamic',
    written: '[null,{"a":1}]',
    stored: null,
    why: 'null would become a tuple of defaults together with objects, and an empty array together with arrays',
  },
  {
    type: 'Dynamic',
    written: '{"a":{}}',
    stored: "('{}')",
    why: 'an object becomes a named tuple, which cannot be empty. So an empty object becomes a text',
  },
  { type: 'Dynamic', written: '{"a":1,"b":"x"}', stored: "(1,'x')", why: 'an object becomes a named tuple' },
  {
    type: 'Dynamic',
    written: '18446744073709551616',
    stored: null,
    why: 'ClickHouse would make true or a float of an integer beyond 64 bits',
  },
  {
    type: 'Dynamic',
    written: '{"a":{"b":1},"a.b":2}',
    stored: null,
    why: 'it has a path twice. ClickHouse takes it, and cannot read any row of the same part again',
  },
  {
    type: 'AggregateFunction(sum, UInt64)',
    written: '5',
    stored: null,
    why: 'such a column takes only the state of the aggregation, as a text, byte by byte',
  },
];

/** The conversions as a Markdown table. */
export function conversionsReference(): string {
  const code = (text: string): string => `\`${text.replaceAll('|', '\\|')}\``;
  const rows = CONVERSIONS.map(
    ({ type, written, stored, why }) =>
      `| ${code(type)} | ${code(written)} | ${stored === null ? 'rejected' : code(stored)} | ${why} |`,
  );
  return ['| type | written | stored | |', '| --- | --- | --- | --- |', ...rows, ''].join('\n');
}
