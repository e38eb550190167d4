/*
 * Values for columns of every type, made from a seed: ordinary ones, those around the limits, and what does not belong there.
 * Texts of dates and times are put together of their parts, so that it is known what they mean.
 */
import { seededRandom } from '../../chaos/random.js';
import { offsetSeconds, type Meaning } from './valueOracle.js';

/** A column of the fuzz. */
export interface FuzzColumn {
  /** As the oracle knows it, with the zone that counts. `Columns(a UInt8)` stands for a column `v.a`. */
  readonly type: string;
  /** As `CREATE TABLE` has it. */
  readonly define: (name: string) => string;
  /** An expression with the value as the oracle knows it. */
  readonly read: (name: string) => string;
  readonly insertSettings?: Readonly<Record<string, string>>;
  readonly createSettings?: Readonly<Record<string, number>>;
}

const SCALARS: readonly string[] = [
  ...['UInt8', 'UInt16', 'UInt32', 'UInt64', 'UInt128', 'UInt256'],
  ...['Int8', 'Int16', 'Int32', 'Int64', 'Int128', 'Int256'],
  ...['Float32', 'Float64', 'BFloat16', 'Bool'],
  ...['Decimal(9, 2)', 'Decimal(18, 6)', 'Decimal(38, 20)', 'Decimal(76, 30)'],
  ...['String', 'FixedString(4)', 'UUID', 'IPv4', 'IPv6'],
  ...['Date', 'Date32', 'Time', 'Time64(3)', 'Time64(9)'],
  ...[
    "DateTime('UTC')",
    "DateTime('Europe/Vienna')",
    "DateTime('America/New_York')",
    "DateTime('Australia/Lord_Howe')",
  ],
  ...["DateTime64(0, 'UTC')", "DateTime64(3, 'UTC')", "DateTime64(6, 'UTC')", "DateTime64(9, 'UTC')"],
  ...["DateTime64(3, 'Europe/Vienna')", "DateTime64(6, 'America/Sao_Paulo')", "DateTime64(3, 'Asia/Kolkata')"],
  ...["Enum8('new' = 1, 'paid' = 2, '' = -128)", "Enum16('a' = 0, '7' = 300, 'ü' = 5)"],
  ...[
    'Nanosecond',
    'Microsecond',
    'Millisecond',
    'Second',
    'Minute',
    'Hour',
    'Day',
    'Week',
    'Month',
    'Quarter',
    'Year',
  ].map((unit) => `Interval${unit}`),
];

const COMPOUND: readonly string[] = [
  ...['Array(Array(Int16))', 'Array(Nullable(Float32))', 'Array(Map(String, UInt8))', 'Array(Tuple(a UInt8, b Date))'],
  ...['LowCardinality(Nullable(Date))', 'LowCardinality(Nullable(String))'],
  ...['Tuple(UInt8, Date)', 'Tuple(a UInt8, b String)', 'Tuple(a Tuple(`b c` Int16), d Array(UInt8))'],
  ...['Tuple(`größe` UInt8)', 'Tuple(a Nullable(UInt8), b LowCardinality(String))'],
  ...['Map(UInt8, Date)', 'Map(Date, String)', 'Map(LowCardinality(String), Array(UInt8))', 'Map(Int64, Float64)'],
  ...["Map(Enum8('a' = 1, 'b' = 2), UInt8)", 'Map(UUID, Tuple(a UInt8))', 'Map(String, Map(String, UInt8))'],
  ...['Point', 'Ring', 'LineString', 'Polygon', 'MultiLineString', 'MultiPolygon', 'Geometry', 'Array(Point)'],
  ...['QBit(Float32, 2)', 'QBit(Float64, 2)'],
  ...['SimpleAggregateFunction(max, UInt8)', "SimpleAggregateFunction(anyLast, DateTime('UTC'))"],
  ...['SimpleAggregateFunction(groupArrayArray, Array(Int8))'],
  ...['Variant(UInt8, String)', 'Variant(Array(UInt8), UInt64)', 'Variant(Date, UInt8)'],
  ...['Variant(Float64, Bool, Array(String))', 'Variant(Map(String, UInt8), UInt64)', 'Variant(Tuple(a UInt8), Bool)'],
  ...['Dynamic', 'Dynamic(max_types=1)', 'Array(Dynamic)', 'Map(String, Dynamic)', 'Tuple(a Dynamic, b UInt8)'],
  ...['JSON', 'JSON(a UInt8, `b` Date)', 'JSON(a.b Int16, c String, d Float64)', 'Nullable(JSON)', 'Array(JSON)'],
  ...['JSON(max_dynamic_paths=2, a Array(UInt8))', 'JSON(max_dynamic_paths=0)', 'Map(String, JSON)', 'Tuple(a JSON)'],
];

/** A scalar within other types, where ClickHouse has such a type. */
const WITHIN: readonly ((scalar: string) => string | undefined)[] = [
  (scalar) => `Nullable(${scalar})`,
  (scalar) => `Array(${scalar})`,
  (scalar) => `Map(String, ${scalar})`,
  (scalar) => `Tuple(a ${scalar})`,
  // Of these, what is stored cannot be read again as JSON.
  (scalar) => (/^(Interval|BFloat16)/.test(scalar) ? undefined : `JSON(p ${scalar})`),
  (scalar) =>
    /^(U?Int|Float|Date|String|FixedString)/.test(scalar) && !scalar.startsWith('DateTime64')
      ? `LowCardinality(${scalar})`
      : undefined,
  (scalar) => (/^(U?Int|Date|FixedString|Enum|IPv|UUID)/.test(scalar) ? `Map(${scalar}, UInt8)` : undefined),
  (scalar) => (scalar === 'UInt8' ? undefined : `Variant(${scalar}, Array(UInt8))`),
  (scalar) => (scalar.startsWith('DateTime64') ? undefined : `Nested(a UInt8, b ${scalar})`),
];

function plain(type: string, definition = type): FuzzColumn {
  return { type, define: (name) => `${name} ${definition}`, read: (name) => name };
}

/** What needs more than a type. */
const SPECIAL: readonly FuzzColumn[] = [
  // Other names of types: a server may have them as they are.
  plain("DateTime('UTC')", "DateTime32('UTC')"),
  plain('Decimal(9, 2)', 'Decimal32(2)'),
  plain('Decimal(18, 6)', 'Decimal64(6)'),
  plain('Decimal(38, 20)', 'Decimal128(20)'),
  plain('Decimal(76, 30)', 'Decimal256(30)'),
  plain("Enum8('a' = 1, 'b' = 2)", "Enum('a', 'b')"),
  // The zone of the session counts, not the server's.
  ...['Europe/Vienna', 'America/New_York'].flatMap((zone) => [
    { ...plain(`DateTime('${zone}')`, 'DateTime'), insertSettings: { session_timezone: zone } },
    { ...plain(`DateTime64(3, '${zone}')`, 'DateTime64(3)'), insertSettings: { session_timezone: zone } },
    { ...plain("DateTime('Asia/Kolkata')"), insertSettings: { session_timezone: zone } },
  ]),
  ...['Nested(a UInt8, b Date)', 'Nested(a Int16, b Nested(c Date, d String))'].map((type) => ({
    ...plain(type),
    createSettings: { flatten_nested: 0 },
  })),
  {
    type: 'Columns(a Array(UInt8), b Array(Date))',
    define: (name) => `${name} Nested(a UInt8, b Date)`,
    read: (name) => `CAST((${name}.a, ${name}.b), 'Tuple(a Array(UInt8), b Array(Date))')`,
  },
  {
    type: 'Columns(a UInt8, b Columns(c Date, d String))',
    define: (name) => `\`${name}.a\` UInt8, \`${name}.b.c\` Date, \`${name}.b.d\` String`,
    read: (name) =>
      `CAST((\`${name}.a\`, (\`${name}.b.c\`, \`${name}.b.d\`)), 'Tuple(a UInt8, b Tuple(c Date, d String))')`,
  },
  ...['AggregateFunction(sum, UInt64)', 'AggregateFunction(groupArray, UInt8)'].map((type) => ({
    ...plain(type),
    read: (name: string) => `hex(${name})`,
  })),
];

/** @param all whether each scalar is in all other types, or in one of them */
export function fuzzColumns(all: boolean): readonly FuzzColumn[] {
  const within = SCALARS.flatMap((scalar, index) => {
    const types = WITHIN.flatMap((wrap) => wrap(scalar) ?? []);
    return all ? types : [types[index % types.length] as string];
  });
  const nested = { flatten_nested: 0 };
  return [
    ...[...SCALARS, ...within, ...COMPOUND].map((type) =>
      type.startsWith('Nested') ? { ...plain(type), createSettings: nested } : plain(type),
    ),
    ...SPECIAL,
  ];
}

export interface Made {
  readonly json: string;
  /** Whether a column of the type has to take it. */
  readonly isPlain: boolean;
}

const ODD: readonly string[] = [
  ...[
    'null',
    'true',
    'false',
    '0',
    '-0',
    '1',
    '-1',
    '255',
    '256',
    '300',
    '-129',
    '65536',
    '70000',
    '4294967296',
    '1.0',
    '1.5',
    '-1.5',
  ],
  ...[
    '1e2',
    '1E2',
    '1e-2',
    '1e400',
    '-1e400',
    '1e39',
    '1e308',
    '1.7976931348623159e308',
    '3.4028235e38',
    '3.4028236e38',
    '5e-324',
  ],
  ...[
    '9007199254740993',
    '9223372036854775808',
    '-9223372036854775809',
    '18446744073709551615',
    '18446744073709551616',
    '0.1',
    '1.005',
  ],
  ...[
    '99999999999999999999999999999999',
    '123456789012345678901234567890.123456789012345678901234567890',
    '100e-2',
    '1e-400',
    '0.0',
  ],
  ...[
    '"0"',
    '"1"',
    '"+1"',
    '"-1"',
    '"-0"',
    '"01"',
    '" 1"',
    '"1 "',
    '"256"',
    '"300"',
    '"1.5"',
    '"1e2"',
    '"1e400"',
    '"0x10"',
    '""',
    '"-"',
    '"+"',
    '"."',
  ],
  ...[
    '"e"',
    '"1e"',
    '"1."',
    '".5"',
    '"-.5"',
    '"e5"',
    '"-e5"',
    '"1e+"',
    '"1_0"',
    '"1,5"',
    '"true"',
    '"false"',
    '"null"',
    '"NULL"',
    '"\\\\N"',
    '"nan"',
  ],
  ...[
    '"inf"',
    '"-inf"',
    '"Infinity"',
    '"+inf"',
    '"abc"',
    '"a"',
    '"b"',
    '"new"',
    '"paid"',
    '"7"',
    '"ü"',
    '"\\u00fc"',
    '"\\u0033\\u0030\\u0030"',
    '"\\/"',
  ],
  ...[
    '"\\u0000"',
    '"\\ud83d\\ude00"',
    '"\\udc00"',
    '"\\ud800"',
    '"a\\u0000"',
    '"abcd"',
    '"abcde"',
    '"éé"',
    '[]',
    '{}',
    '[[]]',
    '[null]',
    '[{}]',
  ],
  ...[
    '[1]',
    '[300]',
    '["300"]',
    '[1,2]',
    '[1,2,3]',
    '[1,"a"]',
    '[true,1]',
    '[true,false]',
    '[1,1.5]',
    '[9007199254740993,0.5]',
    '[1e400]',
    '[-1,18446744073709551615]',
  ],
  ...[
    '[[1],[1.5]]',
    '[[1],["a"]]',
    '[{"a":1},{"a":"x"}]',
    '[{"a":true},{"a":1}]',
    '[{"a":1,"b":true}]',
    '[1,{"a":2}]',
    '{"a":1}',
    '{"a":300}',
    '{"a":"300"}',
  ],
  ...[
    '{"a":1.5}',
    '{"a":1e2}',
    '{"a":null}',
    '{"a":[1]}',
    '{"a":[300]}',
    '{"a":{"b":1}}',
    '{"a":{"b":40000}}',
    '{"a.b":40000}',
    '{"a.b":1}',
    '{"a":{"b c":1}}',
    '{"a":{"b c":40000}}',
  ],
  ...[
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"\\u0061":1}',
    '{"\\u0061":300}',
    '{"A":1}',
    '{"a":1,"z":2}',
    '{"z":{"a":1}}',
    '{"1":1}',
    '{"01":1,"1":2}',
    '{"257":"2024-01-01"}',
  ],
  ...[
    '{"b":"2024-02-30"}',
    '{"b":"2024-1-2"}',
    '{"b":70000}',
    '{"größe":1}',
    '{"größe":300}',
    '{"gr\\u00f6\\u00dfe":300}',
    '{"a":{"b":1},"a.b":2}',
    '{"a":1,"a":{"b":2}}',
  ],
  ...[
    '{"a":[{"b":1,"b":2}]}',
    '{"a":{}}',
    '{"a":[]}',
    '{"c":1}',
    '{"c":[1, 2]}',
    '{"d":1e400}',
    '{"d":"1e400"}',
    '{"d":9007199254740993}',
    '{"x":"2024-01-02T03:04:05+02:00"}',
  ],
  ...[
    '{"":1}',
    '{"a b":1}',
    '"{}"',
    '"[1]"',
    '"(1,2)"',
    '"[300]"',
    '[1e400,2]',
    '["1e400",2]',
    '[[1,2],[3,1e400]]',
    '[[[1,2]]]',
    '[[[[1,2]]]]',
    '[1.5,[256,"x"]]',
  ],
  ...[
    '"01.2.3.4"',
    '"256.1.1.1"',
    '"1.2.3"',
    '"1.2.3.4 "',
    '"::1"',
    '"1::2::3"',
    '"::ffff:1.2.3.4"',
    '"1.2.3.4"',
    '"2001:DB8::1"',
    '16909060',
    '"::g"',
    '"12345::"',
  ],
  ...[
    '"61f0c404-5cb3-11e7-907b-a6006ad3dba0"',
    '"61F0C4045CB311E7907BA6006AD3DBA0"',
    '"61f0c404"',
    '"gggggggg-gggg-gggg-gggg-gggggggggggg"',
  ],
  ...[
    '"10"',
    '"10:11"',
    '"1:2:3"',
    '"99:99:99"',
    '"9999:00:00"',
    '"9999:00:00 10:00"',
    '"24-01-02 03:04:05"',
    '"2024"',
    '"2024-01"',
    '"1234"',
    '"12"',
    '"0000-00-00"',
  ],
  ...[
    '"0000-00-00 00:00:00"',
    '"2024-13-01"',
    '"2024-00-10"',
    '"2024-01-00"',
    '"2024-01-32"',
    '"2024x02x28"',
    '"2024-01-02T03"',
    '"now"',
    '"someday"',
    '"2024-W01-1"',
  ],
  ...[
    '"2024-060"',
    '"-1704164645"',
    '"9999999999"',
    '"99999999"',
    '"20241301"',
    '"99999999999999"',
    '"2024-01-02-03-04-05"',
    '"2024-01-02 03:04:05 EST"',
    '"2024\\/01\\/02"',
  ],
  ...[
    '"2024-01-02 13:04:05 PM"',
    '"2024-01-02T03:04:05+020"',
    '"2024-01-02T03:04:05+99:99"',
    '"31/02/2024"',
    '"10000-01-01"',
    '"2024-01-0210:00:00"',
    '"20240101 10"',
  ],
  ...[
    '1704164645',
    '1704164645678',
    '1704164645678000',
    '1704164645678000000',
    '-62135596800',
    '253402300799',
    '253402300800',
    '3599999',
    '3600000',
    '-3600000',
    '120530',
    '-25568',
  ],
];

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export class ValueMaker {
  /** Of the texts of dates and times that were made. */
  readonly meanings = new Map<string, Meaning>();
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    const walls: readonly [string, bigint | null][] = [
      ['2024x02x28', instant(2024, 2, 28, 0, 0, 0)],
      ['2024-01-02T03', instant(2024, 1, 2, 3, 0, 0)],
      ['2024-1-2', instant(2024, 1, 2, 0, 0, 0)],
      ['2024/01/02', instant(2024, 1, 2, 0, 0, 0)],
      ['2024-01-01', instant(2024, 1, 1, 0, 0, 0)],
      ['20240101 10', instant(2024, 1, 1, 10, 0, 0)],
    ];
    for (const [text, nanos] of walls) this.meanings.set(text, { nanos: nanos ?? 0n, zoned: false });
    this.meanings.set('2024-01-02T03:04:05+02:00', { nanos: instant(2024, 1, 2, 1, 4, 5) ?? 0n, zoned: true });
    this.meanings.set('9999999999', { nanos: 9_999_999_999n * 1_000_000_000n, zoned: true });
  }

  make(type: string): Made {
    const choice = this.#random();
    if (choice < 0.5) return { json: this.#ordinary(type), isPlain: true };
    if (choice < 0.8) return { json: this.#edge(type), isPlain: false };
    return { json: this.#pick(ODD), isPlain: false };
  }

  /** From 0 up to, but not, `end`. */
  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)] as T;
  }

  #list(make: () => string, max = 3): string {
    return `[${Array.from({ length: this.#below(max + 1) }, make).join(this.#pick([',', ' , ', ',\n']))}]`;
  }

  #integer(bits: number): bigint {
    let value = 0n;
    for (let made = 0; made < bits; made += 16) value = (value << 16n) | BigInt(this.#below(65_536));
    return value & ((1n << BigInt(bits)) - 1n);
  }

  #ordinary(type: string): string {
    return this.#of(
      type,
      (inner) => this.#ordinary(inner),
      (leaf) => this.#ordinaryLeaf(leaf),
    );
  }

  /** Around the limits, at any depth: one leaf of a value, the others are ordinary. */
  #edge(type: string): string {
    let left = 1;
    const leaf = (inner: string): string => {
      if (left > 0 && this.#random() < 0.6) {
        left--;
        return this.#random() < 0.6 ? this.#edgeLeaf(inner) : this.#pick(ODD);
      }
      return this.#ordinaryLeaf(inner);
    };
    const make = (inner: string): string => this.#of(inner, make, leaf);
    return make(type);
  }

  #of(type: string, make: (inner: string) => string, leaf: (type: string) => string): string {
    const [, name = '', inner = ''] = /^(\w+)\((.*)\)$/s.exec(type) ?? ['', type, ''];
    const points = (depth: number): string =>
      depth === 0 ? `[${leaf('Float64')},${leaf('Float64')}]` : this.#list(() => points(depth - 1));
    switch (name) {
      case 'Nullable':
        return this.#random() < 0.2 ? 'null' : make(inner);
      case 'LowCardinality':
        return make(inner);
      case 'SimpleAggregateFunction':
        return make(inner.slice(inner.indexOf(',') + 2));
      case 'Array':
        return this.#list(() => make(inner));
      case 'Nested':
        return this.#list(() => make(`Tuple(${inner})`));
      case 'Columns': {
        const length = this.#below(3);
        const members = topLevel(inner).map((column) => {
          const [, member = '', of = ''] = /^(\w+) (.+)$/s.exec(column) ?? [];
          const [, item] = /^Array\((.+)\)$/s.exec(of) ?? [];
          return `"${member}":${item === undefined ? make(of) : `[${Array.from({ length }, () => make(item)).join(',')}]`}`;
        });
        return `{${members.join(',')}}`;
      }
      case 'Geometry':
        return points(this.#below(4));
      case 'QBit':
        return `[${leaf(topLevel(inner)[0] as string)},${leaf(topLevel(inner)[0] as string)}]`;
      case 'Point':
        return points(0);
      case 'Ring':
      case 'LineString':
        return points(1);
      case 'Polygon':
      case 'MultiLineString':
        return points(2);
      case 'MultiPolygon':
        return points(3);
      case 'Map': {
        const [key = '', value = ''] = topLevel(inner);
        const entries = new Map<string, string>();
        for (let left = this.#below(4); left > 0; left--) {
          const text = this.#textual(key.replace(/^LowCardinality\((.*)\)$/, '$1'), leaf);
          const quoted = text.startsWith('"') ? text : JSON.stringify(text);
          entries.set(JSON.stringify(JSON.parse(quoted)), make(value));
        }
        // `01` and `1` are one key.
        const seen = new Set([...entries.keys()].map((text) => text.toLowerCase().replace(/^"\+?0*(?=\d)/, '"')));
        const kept = seen.size === entries.size && !/^(Enum|Date)/.test(key) ? [...entries] : [...entries].slice(0, 1);
        return `{${kept.map(([text, value]) => `${text}:${value}`).join(',')}}`;
      }
      case 'Tuple': {
        const elements = topLevel(inner).map(
          (element) => /^(?:`([^`]*)`|([a-z]\w*)) (.+)$/s.exec(element) ?? ['', '', '', element],
        );
        if (elements[0]?.[1] === '' && elements[0][2] === '')
          return `[${elements.map(([, , , of]) => make(of as string)).join(',')}]`;
        const members = elements
          .filter(([, , , of]) => (of as string).startsWith('Enum') || this.#random() < 0.9)
          .map(([, quoted, plain, of]) => `"${quoted ?? plain}":${make(of as string)}`);
        return `{${(this.#random() < 0.5 ? members : members.reverse()).join(', ')}}`;
      }
      case 'Variant': {
        const of = this.#pick(topLevel(inner));
        const made = make(of);
        // Nothing would be read as 0, and a Variant takes no decimal from a text.
        if (of.startsWith('Decimal')) return made.replaceAll('"', '');
        const [, element = 'x'] = /^Enum.*?'([^']+)'/.exec(of) ?? [];
        return made === '""' ? `"${element}"` : made;
      }
      case 'JSON': {
        const typed = topLevel(inner)
          .map((path) => /^`?([\w.]+)`? ([A-Z].+)$/.exec(path))
          .filter((path) => path !== null);
        const members = typed
          .filter(() => this.#random() < 0.5)
          .map(([, path = '', of = '']) =>
            path
              .split('.')
              .reduceRight((value, part) => `{"${part}":${value}}`, this.#textual(of, make))
              .slice(1, -1),
          );
        const free = ['x', 'y', 'long name']
          .filter(() => this.#random() < 0.4)
          .map((key) => `"${key}":${leaf('free')}`);
        return `{${[...members, ...free].join(',')}}`;
      }
      case 'Dynamic':
        return leaf('free');
      default:
        return leaf(type);
    }
  }

  /** Keys, and dates and texts at typed paths of JSON, are texts. */
  #textual(type: string, make: (type: string) => string): string {
    for (;;) {
      const made = make(type);
      const isNumber = /^(Date|Time)/.test(type) && /^-?\d/.test(made);
      const isOther = type === 'String' && !made.startsWith('"');
      const isTooLarge = /^(Float|U?Int128|U?Int256)/.test(type) && /^-?\d{16,}$/.test(made);
      // It comes by way of a float.
      const isTooLong = type.startsWith('Decimal') && !made.startsWith('"') && made.length > 15;
      if (!isNumber && !isOther && !isTooLarge && !isTooLong) return made;
    }
  }

  #ordinaryLeaf(type: string): string {
    const [, sign, bits] = /^(U?)Int(\d+)$/.exec(type) ?? (type.startsWith('Interval') ? ['', '', '64'] : []);
    if (bits !== undefined) {
      const width = Number(bits);
      const value =
        this.#integer(1 + this.#below(width)) - (sign === '' && this.#random() < 0.5 ? 1n << BigInt(width - 1) : 0n);
      const top = sign === '' ? (1n << BigInt(width - 1)) - 1n : (1n << BigInt(width)) - 1n;
      const fits = value > top ? top : value;
      return this.#random() < 0.8 ? `${fits}` : `"${fits}"`;
    }
    const [, name = '', parameter = ''] = /^(\w+)\(?([^,)]*)/.exec(type) ?? [];
    switch (name) {
      case 'Float32':
      case 'BFloat16':
        return String(Math.fround((this.#random() - 0.5) * 10 ** (this.#below(60) - 30)));
      case 'Float64':
        return String((this.#random() - 0.5) * 10 ** (this.#below(600) - 300));
      case 'Decimal': {
        const scale = Number(/, (\d+)/.exec(type)?.[1]);
        const whole = Number(parameter) - scale;
        const digits = (length: number): string => Array.from({ length }, () => this.#below(10)).join('');
        const number = `${this.#pick(['', '-'])}${1 + this.#below(9)}${digits(this.#below(whole))}.${digits(1 + this.#below(scale))}`;
        return this.#random() < 0.5 ? number : `"${number}"`;
      }
      case 'Bool':
        return this.#pick(['true', 'false', '1', '0']);
      case 'AggregateFunction': {
        const letters = Array.from({ length: 8 }, () => this.#pick(['a', '0', 'Z', '~'])).join('');
        const length = this.#below(8);
        return type.includes('sum') ? `"${letters}"` : `"\\u000${length}${letters.slice(0, length)}"`;
      }
      case 'String':
        return this.#pick([this.#text(10), this.#text(10), '12', '1.50', 'true', '[1, 2]', '{"a" : 1.0}']);
      case 'FixedString':
        return `"${'abcd'.slice(0, this.#below(5))}"`;
      case 'UUID': {
        const hex = this.#integer(128).toString(16).padStart(32, '0');
        return `"${hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')}"`;
      }
      case 'IPv4':
        return `"${[0, 0, 0, 0].map(() => this.#below(256)).join('.')}"`;
      case 'IPv6':
        return `"${Array.from({ length: 8 }, () => this.#below(65_536).toString(16)).join(':')}"`;
      case 'Enum8':
      case 'Enum16': {
        const [, element = '', value = ''] = this.#pick([...type.matchAll(/'([^']*)' = (-?\d+)/g)]);
        return this.#random() < 0.8 ? JSON.stringify(element) : value;
      }
      case 'Date':
        return this.#random() < 0.2 ? String(this.#below(65_536)) : this.#day(1970, 2148);
      case 'Date32':
        return this.#random() < 0.2 ? String(this.#below(120_000) - 25_000) : this.#day(1901, 2298);
      case 'DateTime':
        return this.#random() < 0.2 ? String(this.#below(2 ** 32)) : this.#time(1971, 2105, true);
      case 'DateTime64':
        return this.#random() < 0.2
          ? String(
              BigInt(this.#below(2 ** 32)) * 10n ** BigInt(parameter) + BigInt(this.#below(10 ** Number(parameter))),
            )
          : this.#time(1901, parameter === '9' ? 2261 : 2298, true);
      case 'Time':
      case 'Time64':
        return this.#duration(999, false);
      default:
        return this.#pick([
          'null',
          'true',
          '1',
          '-5',
          '2.5',
          '18446744073709551615',
          this.#text(6),
          '"2024-02-30"',
          '[1,2]',
          '["a","b"]',
          '[{"p":1,"q":"r"}]',
          '{"p":{"q":1}}',
        ]);
    }
  }

  #edgeLeaf(type: string): string {
    const [, sign, bits] = /^(U?)Int(\d+)$/.exec(type) ?? (type.startsWith('Interval') ? ['', '', '64'] : []);
    if (bits !== undefined) {
      const width = BigInt(bits);
      const edges =
        sign === ''
          ? [1n << (width - 1n), -(1n << (width - 1n)), 1n << width, 0n]
          : [0n, 1n << width, 1n << (width * 2n)];
      const value = this.#pick(edges) + BigInt(this.#below(5) - 2);
      return this.#random() < 0.7 ? `${value}` : `"${this.#pick(['', '', '+', '0', '000000'])}${value}"`;
    }
    const [, name = '', parameter = ''] = /^(\w+)\(?([^,)]*)/.exec(type) ?? [];
    const quoted = (text: string): string => (this.#random() < 0.7 ? text : `"${text}"`);
    const zone = /'([^']+)'\)$/.exec(type)?.[1] ?? 'UTC';
    switch (name) {
      case 'Float32':
      case 'BFloat16':
      case 'Float64':
        return quoted(
          `${this.#pick(['', '-'])}${this.#pick(['1', '3.4028235', '3.5', '1.7976931348623157', '0.1', '9007199254740993', '123456789.123456789123456789'])}${this.#pick(['', 'e0', 'e38', 'e39', 'e-46', 'e308', 'e309', 'e-330', 'E+5'])}`,
        );
      case 'Decimal': {
        const digits = (length: number): string => Array.from({ length }, () => this.#below(10)).join('');
        return quoted(
          `${this.#pick(['', '-'])}${1 + this.#below(9)}${digits(this.#below(Number(parameter) + 4))}${this.#pick(['', '.', `.${digits(this.#below(40))}`].slice(0, 3).filter((text) => text !== '.'))}${this.#pick(['', '', 'e1', 'e-1', 'e-9', 'e20', 'E+2', 'e-30'])}`,
        );
      }
      case 'Enum8':
      case 'Enum16':
        return quoted(String(this.#below(800) - 400));
      case 'Date':
        return this.#random() < 0.3
          ? String(65_530 + this.#below(12))
          : this.#day(this.#pick([1968, 2149, 1, 2024]), this.#pick([1971, 2150, 9999, 2024]));
      case 'Date32':
        return this.#random() < 0.3
          ? String(this.#pick([-25_567, 120_529, 0]) + this.#below(7) - 3)
          : this.#day(this.#pick([1899, 2298, 1, 2024]), this.#pick([1901, 2301, 9999, 2024]));
      case 'DateTime':
        if (zone !== 'UTC' && this.#random() < 0.5) return this.#change(zone);
        return this.#random() < 0.3
          ? String(this.#pick([0, 2 ** 32]) + this.#below(7) - 3)
          : this.#time(this.#pick([1969, 2105, 1, 2024]), this.#pick([1970, 2107, 9999, 2024]), false);
      case 'DateTime64': {
        if (zone !== 'UTC' && this.#random() < 0.5) return this.#change(zone);
        const ends = [-62_135_596_800n, 253_402_300_800n, -2_208_988_800n, 9_223_372_036n, -9_223_372_036n, 0n];
        return this.#random() < 0.3
          ? String(this.#pick(ends) * 10n ** BigInt(parameter) + BigInt(this.#below(7) - 3))
          : this.#time(
              this.#pick([1, 1899, 2262, 2298, 9998, 2024]),
              this.#pick([2, 1901, 2263, 2301, 9999, 2024]),
              false,
            );
      }
      case 'Time':
      case 'Time64':
        return this.#random() < 0.3
          ? String(
              this.#pick([3_600_000n, -3_600_000n, 0n]) * 10n ** BigInt(parameter === '' ? 0 : parameter) +
                BigInt(this.#below(5) - 2),
            )
          : this.#duration(1100, true);
      default:
        return this.#pick(ODD);
    }
  }

  #text(max: number): string {
    const characters = [
      'a',
      'b',
      'Z',
      '0',
      ' ',
      '"',
      '\\',
      '/',
      '\n',
      '\t',
      'ü',
      '漢',
      '😀',
      '\u0000',
      "'",
      '{',
      ',',
      ':',
    ];
    const text = Array.from({ length: this.#below(max) }, () => this.#pick(characters)).join('');
    // Some writers escape what is not ASCII.
    const json = JSON.stringify(text);
    return this.#random() < 0.5
      ? json
      : json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  }

  #mean(text: string, nanos: bigint | null, zoned = false): string {
    if (nanos !== null) this.meanings.set(text, { nanos, zoned });
    return `"${text}"`;
  }

  /** Near a change of a zone's clock. */
  #change(zone: string): string {
    const month = 30 * 86_400;
    let from = Date.UTC(1975 + this.#below(60), this.#below(12)) / 1000;
    for (let left = 24; left > 0 && offsetSeconds(zone, from) === offsetSeconds(zone, from + month); left--)
      from += month;
    let [low, high] = [from, from + month];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offsetSeconds(zone, middle) === offsetSeconds(zone, low)) low = middle;
      else high = middle;
    }
    const around = this.#pick([-7200, -3600, -1800, -1, 0, 1, 1800, 3600, 7200, this.#below(20_000) - 10_000]);
    const wall = high + around + offsetSeconds(zone, this.#pick([low, high]));
    const text = new Date(wall * 1000).toISOString().slice(0, 19);
    return this.#mean(text, BigInt(wall) * 1_000_000_000n);
  }

  /** Between the years; sometimes a day that is none. */
  #day(from: number, to: number): string {
    const isWrong = from === to && this.#random() < 0.5;
    const year = from + this.#below(to - from + 1);
    const month = isWrong ? this.#below(14) : 1 + this.#below(12);
    const day = isWrong ? this.#pick([0, 29, 30, 31, 32]) : 1 + this.#below(28);
    const meaning = instant(year, month, day, 0, 0, 0);
    const [y, m, d] = [pad(year, 4), pad(month, 2), pad(day, 2)];
    return this.#mean(
      this.#pick([
        `${y}-${m}-${d}`,
        `${y}-${m}-${d}`,
        `${y}/${m}/${d}`,
        `${y}${m}${d}`,
        `${y}-${month}-${day}`,
        `${y}.${m}.${d}`,
      ]),
      meaning,
    );
  }

  #time(from: number, to: number, isPlain: boolean): string {
    const isWrong = !isPlain && this.#random() < 0.4;
    const year = from + this.#below(to - from + 1);
    const near = !isPlain && this.#random() < 0.5;
    const month = near ? this.#pick([1, 12, 2]) : 1 + this.#below(isWrong ? 13 : 12);
    const day = near ? this.#pick([1, 31, 6, 7]) : 1 + this.#below(isWrong ? 32 : 28);
    const hour = this.#below(isWrong ? 27 : 24);
    const minute = this.#below(isWrong ? 63 : 60);
    const second = this.#below(isWrong ? 63 : 60);
    const offset = this.#pick([0, 60, -60, 330, -720, 840, ...(isWrong ? [1500, 900] : [])]);
    const fraction = this.#pick(['', '.5', '.678', '.123456', '.123456789', '.1234567891234']);
    const [y, m, d] = [pad(year, 4), pad(month, 2), pad(day, 2)];
    const clock = `${pad(hour, 2)}:${pad(minute, 2)}:${pad(second, 2)}`;
    const name = MONTHS[month - 1] ?? 'Foo';
    const zone = `${offset < 0 ? '-' : '+'}${pad(Math.floor(Math.abs(offset) / 60), 2)}:${pad(Math.abs(offset) % 60, 2)}`;
    const wall = instant(year, month, day, hour, minute, second);
    const exact = wall === null ? null : wall + BigInt(fraction.slice(1, 10).padEnd(9, '0'));
    const zoned = exact === null || Math.abs(offset) > 840 ? null : exact - BigInt(offset) * 60_000_000_000n;
    const half = hour < 12 ? 'AM' : 'PM';
    const twelve = hour % 12 === 0 ? 12 : hour % 12;
    const seconds = wall === null ? 0n : wall / 1_000_000_000n;
    const forms: (() => string)[] = [
      () => this.#mean(`${y}-${m}-${d} ${clock}`, wall),
      () => this.#mean(`${y}-${m}-${d}T${clock}`, wall),
      () => this.#mean(`${y}-${m}-${d}T${clock}Z`, wall, true),
      () => this.#mean(`${y}-${m}-${d}T${clock}${fraction}Z`, exact, true),
      () => this.#mean(`${y}-${m}-${d} ${clock}${fraction}`, exact),
      () => this.#mean(`${y}-${m}-${d}T${clock}${fraction}${zone}`, zoned, true),
      () => this.#mean(`${y}-${m}-${d} ${clock}${fraction} ${zone}`, zoned, true),
      () =>
        this.#mean(
          `${y}-${m}-${d} ${clock}${zone.replace(':', '')}`,
          zoned === null || wall === null ? null : wall - BigInt(offset) * 60_000_000_000n,
          true,
        ),
      () => this.#mean(`${y}/${m}/${d} ${clock}`, wall),
      () => this.#mean(`${y}${m}${d}T${clock.replaceAll(':', '')}Z`, wall, true),
      () => this.#mean(`${y}${m}${d}${clock.replaceAll(':', '')}`, wall),
      () => this.#mean(`${y}-${m}-${d}`, instant(year, month, day, 0, 0, 0)),
      () => this.#mean(`${y}-${month}-${day} ${hour}:${minute}:${second}`, wall),
      () => this.#mean(`${y}-${m}-${d} ${clock.slice(0, 5)}`, instant(year, month, day, hour, minute, 0)),
      () => this.#mean(`${day} ${name} ${y} ${clock}`, wall),
      () => this.#mean(`${name} ${day}, ${y} ${clock}`, wall),
      () => this.#mean(`Tue, ${d} ${name} ${y} ${clock} GMT`, wall, true),
      () => this.#mean(`${d}/${m}/${y} ${clock}`, wall),
      ...(hour > 23 || wall === null
        ? []
        : [() => this.#mean(`${y}-${m}-${d} ${twelve}:${pad(minute, 2)}:${pad(second, 2)} ${half}`, wall)]),
      ...(seconds > 100_000_000n && seconds < 9_999_999_999n
        ? [
            () => this.#mean(`${seconds}`, seconds * 1_000_000_000n, true),
            ...(seconds > 1_000_000_000n
              ? [() => this.#mean(`${seconds}678`, seconds * 1_000_000_000n + 678_000_000n, true)]
              : []),
          ]
        : []),
    ];
    return this.#pick(forms)();
  }

  #duration(hoursEnd: number, isEdge: boolean): string {
    const hours = this.#below(hoursEnd + 1);
    const [minutes, seconds] = [this.#below(isEdge ? 62 : 60), this.#below(isEdge ? 62 : 60)];
    const sign = this.#pick(['', '', '-']);
    const fraction = isEdge ? this.#pick(['', '.5', '.123456789', '.9999999999']) : '';
    const magnitude =
      BigInt(hours * 3600 + minutes * 60 + seconds) * 1_000_000_000n + BigInt(fraction.slice(1, 10).padEnd(9, '0'));
    const isOne = minutes < 60 && seconds < 60;
    return this.#mean(
      `${sign}${this.#pick([String(hours), pad(hours, 2)])}:${pad(minutes, 2)}:${pad(seconds, 2)}${fraction}`,
      isOne ? (sign === '' ? magnitude : -magnitude) : null,
    );
  }
}

function pad(value: number, length: number): string {
  return String(value).padStart(length, '0');
}

/** Null where the calendar or the clock has no such time. */
function instant(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
): bigint | null {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || month < 1) return null;
  if (hour > 23 || minute > 59 || second > 59) return null;
  return BigInt(date.getTime() + (hour * 3600 + minute * 60 + second) * 1000) * 1_000_000n;
}

/** Splits the parameters of a type. */
function topLevel(text: string): string[] {
  const parts: string[] = [];
  let [depth, current] = [0, ''];
  for (const part of text.split(/(, |\(|\))/)) {
    if (part === '(') depth++;
    if (part === ')') depth--;
    if (part === ', ' && depth === 0) {
      parts.push(current);
      current = '';
    } else {
      current += part;
    }
  }
  return [...parts, current];
}
