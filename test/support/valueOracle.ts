/*
 * Says whether what ClickHouse has stored is what was written, by the type of the column. Shares no code with the product, and
 * reads JSON by itself: numbers keep their digits, objects the members that occur twice.
 */

/** JSON as it is written. */
export type Node =
  | { readonly kind: 'number' | 'string' | 'bool' | 'null'; readonly text: string; readonly raw: string }
  | { readonly kind: 'array'; readonly items: readonly Node[]; readonly raw: string }
  | { readonly kind: 'object'; readonly members: readonly (readonly [string, Node])[]; readonly raw: string };

/** Reads valid JSON. */
export function parse(json: string): Node {
  let at = 0;
  const space = (): void => {
    while (/\s/.test(json[at] ?? '')) at++;
  };
  const token = (pattern: RegExp): string => {
    const sticky = new RegExp(pattern.source, 'y');
    sticky.lastIndex = at;
    const [found] = sticky.exec(json) ?? [];
    if (found === undefined) throw new Error(`no JSON at ${at}: ${json}`);
    at += found.length;
    return found;
  };
  const value = (): Node => {
    space();
    const start = at;
    if (json[at] === '{') {
      at++;
      const members: [string, Node][] = [];
      space();
      while (json[at] !== '}') {
        if (json[at] === ',') at++;
        space();
        const name = JSON.parse(token(/"(?:[^"\\]|\\.)*"/)) as string;
        space();
        at++;
        members.push([name, value()]);
        space();
      }
      at++;
      return { kind: 'object', members, raw: json.slice(start, at) };
    }
    if (json[at] === '[') {
      at++;
      const items: Node[] = [];
      space();
      while (json[at] !== ']') {
        if (json[at] === ',') at++;
        items.push(value());
        space();
      }
      at++;
      return { kind: 'array', items, raw: json.slice(start, at) };
    }
    const raw = token(/"(?:[^"\\]|\\.)*"|[^\s,\]}]+/);
    if (raw.startsWith('"')) return { kind: 'string', text: JSON.parse(raw) as string, raw };
    if (raw === 'null') return { kind: 'null', text: raw, raw };
    return { kind: raw === 'true' || raw === 'false' ? 'bool' : 'number', text: raw, raw };
  };
  return value();
}

/** What a text of a date or a time means, as whoever made it up says. */
export interface Meaning {
  /** Since 1970, or since midnight; of the text's own wall clock where it names no zone. */
  readonly nanos: bigint;
  readonly zoned: boolean;
}
export type Meanings = ReadonlyMap<string, Meaning>;

/** A type taken apart. */
interface Type {
  readonly name: string;
  readonly parameters: readonly string[];
}

function typeOf(text: string): Type {
  const open = text.indexOf('(');
  if (open < 0) return { name: text, parameters: [] };
  const parameters: string[] = [];
  let depth = 0;
  let quote = '';
  let current = '';
  for (const character of text.slice(open + 1, -1)) {
    if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === "'" || character === '`') quote = character;
    else if (character === '(') depth++;
    else if (character === ')') depth--;
    if (character === ',' && depth === 0 && quote === '') {
      parameters.push(current.trim());
      current = '';
    } else {
      current += character;
    }
  }
  return { name: text.slice(0, open), parameters: [...parameters, current.trim()] };
}

/** A named element of a tuple, or a path of a JSON type. */
function named(parameter: string): readonly [name: string, type: string] | null {
  const [, quoted, plain, type] = /^(?:`([^`]*)`|([A-Za-z_][\w.]*)) (.+)$/.exec(parameter) ?? [];
  return type === undefined ? null : [quoted ?? plain ?? '', type];
}

const INTEGER = /^[+-]?\d+$/;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/**
 * Whether what is stored says the same as what was written. What is changed on purpose counts as the same: {@link ON_PURPOSE}.
 *
 * @param stored as ClickHouse writes it in JSON, with quoted decimals and 64 bits, tuples as objects, and times as in ISO 8601
 */
export function isSame(type: string, written: Node, stored: Node, meanings: Meanings): boolean {
  const { name, parameters } = typeOf(type);
  const [first = '', second = ''] = parameters;
  const same = (inner: string, from: Node, to: Node): boolean => isSame(inner, from, to, meanings);
  if (name === 'Nullable') return written.kind === 'null' ? stored.kind === 'null' : same(first, written, stored);
  if (name === 'LowCardinality') return same(first, written, stored);
  if (name === 'SimpleAggregateFunction') return same(second, written, stored);
  if (name === 'JSON') return written.kind === 'null' || isSameJson(parameters, written, stored, meanings);
  if (name === 'Dynamic') return isSameFree(written, stored);
  if (name === 'Variant')
    return (
      isSameFree(written, stored) || parameters.some((inner) => takes(inner, stored) && same(inner, written, stored))
    );
  if (name === 'Columns') return isSameColumns(parameters, written, stored, same);
  // Null is the default of a column that cannot hold it.
  if (written.kind === 'null') {
    // Of a tuple, the defaults of its elements.
    const elements = name === 'Tuple' && stored.kind === 'object' ? stored.members : [];
    return (
      isDefault(stored) ||
      isElementZero({ name, parameters }, stored) ||
      (elements.length > 0 &&
        elements.every(([, value], index) => same(named(parameters[index] ?? '')?.[1] ?? '', written, value)))
    );
  }
  if (name === 'Array' || name === 'QBit')
    return (
      written.kind === 'array' &&
      stored.kind === 'array' &&
      written.items.length === stored.items.length &&
      written.items.every((item, index) => same(first, item, stored.items[index] as Node))
    );
  if (name in SHAPES) return same(SHAPES[name] as string, written, stored);
  if (name === 'Geometry') return [...Object.values(SHAPES)].some((shape) => same(shape, written, stored));
  if (name === 'Nested') return same(`Array(Tuple(${parameters.join(', ')}))`, written, stored);
  if (name === 'Tuple') return isSameTuple(parameters, written, stored, same);
  if (name === 'Map') {
    if (written.kind !== 'object' || stored.kind !== 'object') return false;
    const text = (key: string): Node => ({ kind: 'string', text: key, raw: JSON.stringify(key) });
    return (
      written.members.length === stored.members.length &&
      written.members.every(
        ([key, value]) =>
          stored.members.filter(([other]) => same(first, text(key), text(other))).length === 1 &&
          stored.members.some(([other, inner]) => same(first, text(key), text(other)) && same(second, value, inner)),
      )
    );
  }
  if (stored.kind === 'array' || stored.kind === 'object') return false;
  if (name === 'String') {
    const expected = written.kind === 'string' ? written.text : written.raw;
    return stored.text === expected;
  }
  if (written.kind === 'array' || written.kind === 'object') return false;
  return isSameScalar({ name, parameters }, written, stored.text, meanings);
}

const SHAPES: Readonly<Record<string, string>> = {
  Point: 'Tuple(Float64, Float64)',
  Ring: 'Array(Point)',
  LineString: 'Array(Point)',
  Polygon: 'Array(Ring)',
  MultiLineString: 'Array(LineString)',
  MultiPolygon: 'Array(Polygon)',
};

function isSameTuple(
  parameters: readonly string[],
  written: Node,
  stored: Node,
  same: (type: string, from: Node, to: Node) => boolean,
): boolean {
  const elements = parameters.map(named);
  if (elements.some((element) => element === null))
    return (
      written.kind === 'array' &&
      stored.kind === 'array' &&
      written.items.length === parameters.length &&
      parameters.every((type, index) => same(type, written.items[index] as Node, stored.items[index] as Node))
    );
  if (written.kind !== 'object' || stored.kind !== 'object') return false;
  // An element that is not written has its default. A member without an element is left out.
  return written.members.every(([member, value]) => {
    const element = elements.find((other) => other?.[0] === member);
    const found = stored.members.find(([other]) => other === member);
    return element?.[1] === undefined || (found !== undefined && same(element[1], value, found[1]));
  });
}

/** Columns `v.a`, `v.b` are filled from an object `v`. What it has besides is ignored, and so is what is no object. */
function isSameColumns(
  parameters: readonly string[],
  written: Node,
  stored: Node,
  same: (type: string, from: Node, to: Node) => boolean,
): boolean {
  if (stored.kind !== 'object' || written.kind === 'array') return false;
  return parameters.map(named).every((column) => {
    if (column === null) return false;
    const members = written.kind === 'object' ? written.members.filter(([name]) => name === column[0]) : [];
    const found = stored.members.find(([name]) => name === column[0])?.[1];
    if (found === undefined || members.length > 1) return false;
    const [member] = members;
    return member === undefined ? isDefault(found) : same(column[1], member[1], found);
  });
}

type Scalar = Extract<Node, { text: string }>;

function isSameScalar({ name, parameters }: Type, written: Scalar, stored: string, meanings: Meanings): boolean {
  const { kind, text } = written;
  // True and false are 1 and 0, as texts, too.
  const isBit = kind !== 'number' && (text === 'true' || text === 'false');
  const bit = isBit ? BigInt(text === 'true') : null;
  if (/^(U?Int\d+|Interval\w+)$/.test(name))
    return INTEGER.test(text)
      ? BigInt(text.replace('+', '')) === BigInt(stored)
      : bit !== null && bit === BigInt(stored);
  switch (name) {
    case 'Bool':
      return kind === 'bool'
        ? stored === text
        : (text === '1' && stored === 'true') || (text === '0' && stored === 'false');
    case 'Float64':
    case 'Float32':
    case 'BFloat16':
      return isSameFloat(name, bit === null ? text : String(bit), stored);
    case 'Decimal': {
      if (!NUMBER.test(text)) return false;
      const scale = Number(parameters[1]);
      return scaled(text, scale) === scaled(stored, scale);
    }
    case 'FixedString':
      return kind === 'string' && stored === text + '\0'.repeat(Number(parameters[0]) - Buffer.byteLength(text));
    case 'AggregateFunction':
      return kind === 'string' && Buffer.from(text).toString('hex').toUpperCase() === stored;
    case 'UUID':
      return text.replaceAll('-', '').toLowerCase() === stored.replaceAll('-', '');
    case 'IPv4':
      return text.split('.').map(Number).join('.') === stored;
    case 'IPv6':
      return address(text) === address(stored);
    case 'Enum8':
    case 'Enum16': {
      const elements = parameters.map((element) => /^'(.*)' = (-?\d+)$/.exec(element) as unknown as string[]);
      const byName = kind === 'string' && elements.some(([, element]) => element === text);
      return (
        stored ===
        (byName ? text : elements.find(([, , value]) => INTEGER.test(text) && Number(value) === Number(text))?.[1])
      );
    }
    case 'Date':
    case 'Date32': {
      if (!/^\d{4}-\d\d-\d\d$/.test(stored)) return false;
      const days = BigInt(Date.parse(`${stored}T00:00:00Z`)) / 86_400_000n;
      if (kind === 'number') return INTEGER.test(text) && BigInt(text) === days;
      return meanings.get(text)?.nanos === days * 86_400_000_000_000n;
    }
    case 'DateTime':
    case 'DateTime64': {
      const digits = name === 'DateTime' ? 0 : Number(parameters[0]);
      const nanos = nanosOf(stored);
      const tick = 10n ** BigInt(9 - digits);
      if (kind === 'number') return INTEGER.test(text) && BigInt(text) * tick === nanos;
      const meant = meanings.get(text);
      if (meant === undefined) return false;
      const zone = (parameters[name === 'DateTime' ? 0 : 1] ?? "'UTC'").slice(1, -1);
      return floor(meant.zoned ? meant.nanos : instantOf(meant.nanos, zone), tick) === nanos;
    }
    case 'Time':
    case 'Time64': {
      const digits = name === 'Time' ? 0 : Number(parameters[0]);
      const tick = 10n ** BigInt(9 - digits);
      const [, sign, hours = '', minutes = '', seconds = '', fraction = ''] =
        /^(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?$/.exec(stored) ?? [];
      const magnitude =
        BigInt(Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 10n ** 9n +
        BigInt(fraction.padEnd(9, '0'));
      const nanos = sign === '-' ? -magnitude : magnitude;
      if (kind === 'number') return INTEGER.test(text) && BigInt(text) * tick === nanos;
      const meant = meanings.get(text)?.nanos;
      return meant !== undefined && (meant / tick) * tick === nanos;
    }
    default:
      throw new Error(`the oracle does not know ${name}`);
  }
}

function floor(value: bigint, unit: bigint): bigint {
  const rest = ((value % unit) + unit) % unit;
  return value - rest;
}

/** Of `2024-01-02T03:04:05.678Z`. */
function nanosOf(stored: string): bigint {
  const [seconds = '', fraction = ''] = stored.slice(0, -1).split('.');
  return BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

const NANOS_OF_SECOND = 1_000_000_000n;

/**
 * When a clock of a zone shows a time: for the first time, where it shows it twice. Where it is set forward over it: when it
 * would have shown it if it had been set forward before.
 */
function instantOf(wall: bigint, zone: string): bigint {
  const seconds = Number(floor(wall, NANOS_OF_SECOND) / NANOS_OF_SECOND);
  const [before, after] = [offsetSeconds(zone, seconds - 86_400), offsetSeconds(zone, seconds + 86_400)];
  const shown = [before, after].filter((offset) => offsetSeconds(zone, seconds - offset) === offset);
  return wall - BigInt(shown.length === 0 ? after : Math.max(...shown)) * NANOS_OF_SECOND;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** By how much a zone's clock is ahead of UTC at an instant. */
export function offsetSeconds(zone: string, seconds: number): number {
  if (zone === 'UTC') return 0;
  const format = formats.get(zone) ?? new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
  formats.set(zone, format);
  const name = format.formatToParts(seconds * 1000).find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const [, sign, hours = '0', minutes = '0', rest = '0'] = /^GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(name) ?? [];
  return (sign === '-' ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60 + Number(rest));
}

const WORDS: Readonly<Record<string, number>> = { nan: NaN, inf: Infinity, infinity: Infinity };

function isSameFloat(name: string, text: string, stored: string): boolean {
  const word = WORDS[text.toLowerCase().replace(/^[+-]/, '')];
  const found =
    WORDS[stored.replace('-', '')] === undefined
      ? Number(stored)
      : (WORDS[stored.replace('-', '')] as number) * (stored.startsWith('-') ? -1 : 1);
  if (word !== undefined)
    return Object.is(Math.abs(found), word) && (Number.isNaN(word) || text.startsWith('-') === found < 0);
  if (!NUMBER.test(text) || !Number.isFinite(found)) return false;
  const exact = Number(text);
  if (name === 'Float64') return found === exact;
  if (name === 'Float32') return Math.fround(found) === Math.fround(exact);
  // Eight bits are kept, the others cut.
  return Math.abs(found - exact) <= Math.abs(exact) * 2 ** -7 + 2 ** -133;
}

/** A decimal in units of its last digit, what is beyond cut. */
function scaled(text: string, scale: number): bigint {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const shift = Number(exponent) - fraction.length + scale;
  const digits = BigInt(`0${whole}${fraction}`);
  if (digits === 0n) return 0n;
  const value =
    shift >= 0 ? digits * 10n ** BigInt(Math.min(shift, 500)) : digits / 10n ** BigInt(Math.min(-shift, 2_000));
  return sign === '-' ? -value : value;
}

/** In the form of the URL standard. */
function address(text: string): string {
  const plain = /^\d+(\.\d+){3}$/.test(text) ? `::ffff:${text}` : text;
  try {
    return new URL(`http://[${plain}]`).hostname;
  } catch {
    return `no address: ${text}`;
  }
}

function isDefault(stored: Node): boolean {
  if (stored.kind === 'array') return stored.items.every(isDefault);
  if (stored.kind === 'object') return stored.members.every(([, value]) => isDefault(value));
  return /^(?:0*|false|null|1970-01-01(?:T00:00:00(?:\.0+)?Z)?|0+:00:00(?:\.0+)?|[0.:\-\0]*)$/.test(stored.text);
}

/** Whether it is the element that an enum has for 0. */
function isElementZero({ name, parameters }: Type, stored: Node): boolean {
  return (
    /^Enum(8|16)$/.test(name) &&
    stored.kind === 'string' &&
    parameters.some((element) => element === `'${stored.text}' = 0`)
  );
}

/** Whether what is stored can be of one type of a Variant. */
function takes(type: string, { kind, raw }: Node): boolean {
  if (/^(Array|Map|Tuple)\(/.test(type)) return kind === (type.startsWith('Array') ? 'array' : 'object');
  if (/^U?Int/.test(type)) return INTEGER.test(raw.replaceAll('"', ''));
  if (type === 'Date') return /^"\d{4}-\d\d-\d\d"$/.test(raw);
  return kind !== 'array' && kind !== 'object';
}

/** In JSON and Dynamic columns the value has its own type. */
function isSameFree(written: Node, stored: Node): boolean {
  if (written.kind === 'null') return stored.kind === 'null';
  if (written.kind === 'array')
    return (
      stored.kind === 'array' &&
      written.items.length === stored.items.length &&
      written.items.every((item, index) => isSameFree(item, stored.items[index] as Node))
    );
  if (written.kind === 'object') {
    // A Dynamic may keep an object as text.
    if (stored.kind === 'string') return isSameFree(written, parse(stored.text));
    if (stored.kind !== 'object') return false;
    const present = written.members.filter(([, value]) => !isNothing(value));
    const [from, to] = [new Map([...written.members, ...present]), new Map(stored.members)];
    const isSameMember = (key: string): boolean => {
      const [value, inner] = [from.get(key) ?? NOTHING, to.get(key) ?? NOTHING];
      if (isNothing(value) && (isNothing(inner) || inner.kind === 'string'))
        return inner.kind !== 'string' || inner.text === '{}';
      return isSameFree(value, inner);
    };
    const isUnambiguous = new Set(present.map(([key]) => key)).size === present.length;
    return isUnambiguous && [...from.keys(), ...to.keys()].every(isSameMember);
  }
  if (stored.kind === 'array' || stored.kind === 'object') return false;
  // With quoted 64 bits, an integer is a string in what is stored.
  if (written.kind === 'number') {
    if (INTEGER.test(written.text) && INTEGER.test(stored.text)) return BigInt(written.text) === BigInt(stored.text);
    return NUMBER.test(stored.text) && Number(written.text) === Number(stored.text);
  }
  return written.text === stored.text;
}

const NOTHING: Node = { kind: 'null', text: 'null', raw: 'null' };

/** A JSON column keeps neither null nor an object without members. */
function isNothing(node: Node): boolean {
  return node.kind === 'null' || (node.kind === 'object' && node.members.every(([, value]) => isNothing(value)));
}

function isSameJson(parameters: readonly string[], written: Node, stored: Node, meanings: Meanings): boolean {
  const typed = new Map(parameters.flatMap((parameter) => [named(parameter)].filter((path) => path !== null)));
  const flat = (node: Node, path: string, into: [string, Node][]): [string, Node][] => {
    const isLeaf = node.kind !== 'object' || /^(Map|Tuple|JSON)/.test(typed.get(path) ?? '');
    if (isLeaf) into.push([path, node]);
    else for (const [key, value] of node.members) flat(value, path === '' ? key : `${path}.${key}`, into);
    return into;
  };
  if (written.kind !== 'object' || stored.kind !== 'object') return false;
  const from = flat(written, '', []).filter(([, node]) => !isNothing(node));
  // What is not written has its default: of an enum, one of its elements.
  const isOfType = (path: string, node: Node): boolean =>
    typed.has(path) &&
    (isDefault(node) || (typed.get(path)?.startsWith('Enum') === true && !from.some(([other]) => other === path)));
  const to = flat(stored, '', []).filter(([path, node]) => !isNothing(node) && !isOfType(path, node));
  return (
    from.every(([path, node]) => {
      const found = to.find(([other]) => other === path)?.[1];
      const type = typed.get(path);
      // At a path of texts, another value is JSON, as ClickHouse writes it.
      if (type === 'String' && found?.kind === 'string' && node.kind !== 'string')
        return isSameFree(node, parse(found.text));
      if (type !== undefined) return found === undefined ? true : isSame(type, node, found, meanings);
      return found !== undefined && isSameFree(node, found);
    }) && to.every(([path]) => from.some(([other]) => other === path))
  );
}
