import { SchemaError } from './errors.js';

type SimpleKind = 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string';

/** An Avro type as it is written. Named types are shared, so a type may contain itself. */
export type AvroType =
  | { readonly kind: SimpleKind; readonly logical: AvroLogical }
  | { readonly kind: 'fixed'; readonly name: string; readonly size: number; readonly logical: AvroLogical }
  | { readonly kind: 'enum'; readonly name: string; readonly symbols: readonly string[] }
  | { readonly kind: 'record'; readonly name: string; readonly fields: AvroField[] }
  | { readonly kind: 'array'; readonly items: AvroType }
  | { readonly kind: 'map'; readonly values: AvroType }
  | { readonly kind: 'union'; readonly branches: readonly AvroType[] };

export interface AvroField {
  readonly name: string;
  readonly type: AvroType;
}

/** What values of a simple type stand for. Null: nothing else. */
export type AvroLogical =
  /** `precision`: digits in all. They are not checked: a column is. */
  | { readonly is: 'decimal'; readonly precision: number; readonly scale: number }
  | { readonly is: 'uuid' | 'date' | 'duration' }
  /** `digits` of the fraction of a second. */
  | { readonly is: 'time' | 'timestamp' | 'localTimestamp'; readonly digits: number }
  | null;

/**
 * Reads the JSON text of a schema.
 *
 * @param references texts of schemas whose named types it uses, each after those that it uses itself
 * @throws SchemaError
 */
export function parseAvroSchema(text: string, references: readonly string[] = []): AvroType {
  const names = new Map<string, AvroType>();
  for (const reference of references) parse(json(reference), '', names, 0);
  return parse(json(text), '', names, 0);
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A schema may also be the name of a type alone.
    return text.trim();
  }
}

const SIMPLE: ReadonlySet<string> = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string']);

/** A schema is read by recursion. */
const DEPTH_MAX = 200;

function parse(schema: unknown, namespace: string, names: Map<string, AvroType>, depth: number): AvroType {
  if (depth > DEPTH_MAX) throw new SchemaError('it is nested too deeply');
  if (typeof schema === 'string') return named(schema, namespace, names);
  if (Array.isArray(schema)) {
    if (schema.length === 0) throw new SchemaError('a union has no branch');
    return { kind: 'union', branches: schema.map((branch) => parse(branch, namespace, names, depth + 1)) };
  }
  if (typeof schema !== 'object' || schema === null) throw new SchemaError('a type is neither a name nor an object');
  const attributes = schema as Attributes;
  const { type } = attributes;
  switch (type) {
    case 'array':
      return { kind: 'array', items: parse(attributes.items, namespace, names, depth + 1) };
    case 'map':
      return { kind: 'map', values: parse(attributes.values, namespace, names, depth + 1) };
    case 'record':
    case 'error':
    case 'enum':
    case 'fixed':
      return define(attributes, namespace, names, depth);
    default:
      if (typeof type === 'string' && SIMPLE.has(type)) {
        const kind = type as SimpleKind;
        return { kind, logical: logicalOf(kind, attributes) };
      }
      return parse(type, namespace, names, depth + 1);
  }
}

interface Attributes {
  readonly type?: unknown;
  readonly name?: unknown;
  readonly namespace?: unknown;
  readonly fields?: unknown;
  readonly symbols?: unknown;
  readonly size?: unknown;
  readonly items?: unknown;
  readonly values?: unknown;
  readonly logicalType?: unknown;
  readonly precision?: unknown;
  readonly scale?: unknown;
}

function named(name: string, namespace: string, names: ReadonlyMap<string, AvroType>): AvroType {
  if (SIMPLE.has(name)) return { kind: name as SimpleKind, logical: null };
  const type = names.get(fullName(name, namespace)) ?? names.get(name);
  if (type === undefined) throw new SchemaError(`it uses a type ${name}, which it does not define`);
  return type;
}

/** Reads the definition of a named type. */
function define(attributes: Attributes, outer: string, names: Map<string, AvroType>, depth: number): AvroType {
  const { type, fields, symbols, size } = attributes;
  if (typeof attributes.name !== 'string') throw new SchemaError(`a ${String(type)} has no name`);
  const own = typeof attributes.namespace === 'string' ? attributes.namespace : outer;
  const name = fullName(attributes.name, own);
  if (type === 'enum') {
    if (!isTexts(symbols)) throw new SchemaError(`the enum ${name} has no symbols`);
    return defined({ kind: 'enum', name, symbols }, names);
  }
  if (type === 'fixed') {
    if (!isCount(size)) throw new SchemaError(`the fixed ${name} has no size`);
    return defined({ kind: 'fixed', name, size, logical: logicalOf('fixed', attributes) }, names);
  }
  if (!Array.isArray(fields)) throw new SchemaError(`the record ${name} has no fields`);
  const made = { kind: 'record' as const, name, fields: [] as AvroField[] };
  // Its fields may contain it.
  if (!names.has(name)) names.set(name, made);
  const namespace = name.slice(0, Math.max(0, name.lastIndexOf('.')));
  for (const field of fields as (Attributes | null)[]) {
    if (typeof field?.name !== 'string') throw new SchemaError(`a field of the record ${name} has no name`);
    made.fields.push({ name: field.name, type: parse(field.type, namespace, names, depth + 1) });
  }
  return defined(made, names);
}

type NamedType = Extract<AvroType, { readonly name: string }>;

/**
 * The type that a name stands for in all that one schema brings with it. It may be defined again, but not otherwise:
 * then it is not known which of the two a value is of.
 */
function defined(made: NamedType, names: Map<string, AvroType>): AvroType {
  const first = names.get(made.name);
  if (first === undefined) names.set(made.name, made);
  else if (first !== made && definitionOf(first) !== definitionOf(made))
    throw new SchemaError(`it defines ${made.name} twice, differently`);
  return first ?? made;
}

/** A text that differs if the bytes or the JSON of two types differ. Named types in them are told by their names. */
function definitionOf(type: AvroType): string {
  return JSON.stringify(type, (key, value: unknown) => {
    if (key === 'precision') return undefined;
    return key !== '' && isNamed(value) ? value.name : value;
  });
}

function isNamed(value: unknown): value is NamedType {
  return typeof value === 'object' && value !== null && 'kind' in value && 'name' in value;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function fullName(name: string, namespace: string): string {
  return name.includes('.') || namespace === '' ? name : `${namespace}.${name}`;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** More digits than any type of ClickHouse has. */
const SCALE_MAX = 1_000;

/**
 * What a logical type makes of a simple type. As the specification wants it, one that does not fit its type, or is not
 * known, is passed over.
 */
function logicalOf(kind: SimpleKind | 'fixed', { logicalType, precision, scale = 0, size }: Attributes): AvroLogical {
  switch (logicalType) {
    case 'decimal': {
      const fits = isCount(precision) && isCount(scale) && precision > 0 && scale <= precision && scale <= SCALE_MAX;
      return fits && (kind === 'bytes' || kind === 'fixed') ? { is: 'decimal', precision, scale } : null;
    }
    case 'uuid':
      return kind === 'string' || (kind === 'fixed' && size === 16) ? { is: 'uuid' } : null;
    case 'date':
      return kind === 'int' ? { is: 'date' } : null;
    case 'duration':
      return kind === 'fixed' && size === 12 ? { is: 'duration' } : null;
    default:
      return typeof logicalType === 'string' ? timeOf(kind, logicalType) : null;
  }
}

/** Digits of the fraction of a second, by the unit that a logical type's name ends with. */
const DIGITS: Readonly<Record<string, number>> = { millis: 3, micros: 6, nanos: 9 };

function timeOf(kind: SimpleKind | 'fixed', logicalType: string): AvroLogical {
  const [, what, unit = ''] = /^(time|timestamp|local-timestamp)-(millis|micros|nanos)$/.exec(logicalType) ?? [];
  const digits = DIGITS[unit];
  if (digits === undefined) return null;
  if (what === 'time') return digits < 9 && kind === (digits === 3 ? 'int' : 'long') ? { is: 'time', digits } : null;
  if (kind !== 'long') return null;
  return { is: what === 'timestamp' ? 'timestamp' : 'localTimestamp', digits };
}
