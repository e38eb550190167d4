/**
 * The columns of the table of a run, and the digest by which a row is judged. The producer makes the same digest from the
 * values that it has drawn (`clients/records.py`), before it writes them as JSON.
 */

const FIELD_END = "'\\x1F'";
const ITEM_END = "'\\x1E'";

/** Each column, its type, and how the producer's digest says its value. */
const FIELDS: readonly { readonly name: string; readonly type: string; readonly said: string }[] = [
  { name: 'key', type: 'String', said: 'key' },
  { name: 'amount', type: 'Int32', said: 'toString(amount)' },
  { name: 'big', type: 'Int64', said: 'toString(big)' },
  { name: 'huge', type: 'UInt64', said: 'toString(huge)' },
  { name: 'price', type: 'Decimal(18, 4)', said: 'toString(price)' },
  { name: 'text', type: 'String', said: 'text' },
  { name: 'note', type: 'Nullable(String)', said: "ifNull(concat('=', note), '\\\\N')" },
  { name: 'tags', type: 'Array(String)', said: `arrayStringConcat(tags, ${ITEM_END})` },
  {
    name: 'numbers',
    type: 'Array(Int64)',
    said: `arrayStringConcat(arrayMap(x -> toString(x), numbers), ${ITEM_END})`,
  },
  { name: 'document', type: 'String', said: 'document' },
  { name: 'at', type: "DateTime64(6, 'UTC')", said: 'toString(toUnixTimestamp64Micro(at))' },
  { name: 'flag', type: 'Bool', said: 'toString(toUInt8(flag))' },
  { name: 'ratio', type: 'Float64', said: 'toString(reinterpretAsUInt64(ratio))' },
];

/** For CREATE TABLE. A row says when ClickHouse took it, for the order. */
export const COLUMNS = [
  'id UInt64',
  ...FIELDS.map(({ name, type }) => `${name} ${type}`),
  'digest String',
  'inserted_at DateTime64(6) DEFAULT now64(6)',
  '_topic LowCardinality(String)',
  '_partition UInt32',
  '_offset UInt64',
  "_timestamp DateTime64(3, 'UTC')",
  '_key String',
  '_epoch LowCardinality(String)',
].join(', ');

/** `columns` of the pipeline: what is no field of the value. */
export const MAPPING = { digest: 'header:digest' };

const SAID = FIELDS.map(({ said }) => `${said}, ${FIELD_END}`).join(', ');
const OF_VALUES = `lower(hex(MD5(concat(${SAID}, toString(id)))))`;
const OF_RECORD = ['digest', '_topic', 'toString(toUnixTimestamp64Milli(_timestamp))', '_key']
  .map((said) => `${FIELD_END}, ${said}`)
  .join(', ');

/** Digest of a row: as `clients/read.py` makes it of its record. */
export const ROW_DIGEST = `lower(substring(hex(MD5(concat(${OF_VALUES}, ${OF_RECORD}))), 1, 13))`;
