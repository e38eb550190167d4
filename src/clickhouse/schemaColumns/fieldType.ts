import { quoteName } from '../sqlNames.js';

/**
 * What a field of a schema holds, as far as it decides on a column. Types within others are functions, because a schema
 * may contain itself.
 */
export type FieldType =
  /** A type of ClickHouse that may be in `Nullable`. */
  | { readonly is: 'scalar'; readonly type: string }
  /** One of a few texts. */
  | { readonly is: 'symbol' }
  | { readonly is: 'nullable'; readonly of: () => FieldType }
  | { readonly is: 'array'; readonly items: () => FieldType }
  | { readonly is: 'map'; readonly key: string; readonly values: () => FieldType }
  | ObjectType;

export interface ObjectType {
  readonly is: 'object';
  /** The same for the same type of a schema. */
  readonly id: object;
  readonly fields: readonly NamedField[];
}

export interface NamedField {
  readonly name: string;
  readonly type: () => FieldType;
}

/** Takes any JSON: a text as it is, all else as its JSON. */
export const ANY: FieldType = { is: 'scalar', type: 'String' };

/** For what may be anything, or nothing. */
export const ANY_OR_NULL: FieldType = { is: 'nullable', of: () => ANY };

export function scalar(type: string): FieldType {
  return { is: 'scalar', type };
}

export function nullable(type: FieldType): FieldType {
  return { is: 'nullable', of: () => type };
}

/** Elements of one column, at most. Types that are used several times may become very many. */
const ELEMENTS_MAX = 1_000;
/** Types within each other, at most. ClickHouse reads types by recursion. */
const DEPTH_MAX = 50;

/**
 * The type of a column that holds a field exactly. What has no such type (what contains itself, has too many parts, or
 * names that ClickHouse cannot read from JSON) becomes a text of its JSON.
 */
export function columnType(type: FieldType): string {
  const writer = new TypeWriter();
  const text = writer.typeOf(type, false);
  return writer.isExhausted ? anyText(type.is === 'nullable') : text;
}

class TypeWriter {
  #left = ELEMENTS_MAX;
  /** The types of objects around the present one. */
  readonly #open = new Set<object>();
  #depth = 0;

  get isExhausted(): boolean {
    return this.#left < 0;
  }

  typeOf(type: FieldType, isNullable: boolean): string {
    if (--this.#left < 0 || this.#depth >= DEPTH_MAX) return anyText(isNullable);
    this.#depth++;
    try {
      return this.#typeOf(type, isNullable);
    } finally {
      this.#depth--;
    }
  }

  #typeOf(type: FieldType, isNullable: boolean): string {
    switch (type.is) {
      case 'scalar':
        return isNullable ? `Nullable(${type.type})` : type.type;
      case 'symbol':
        return `LowCardinality(${anyText(isNullable)})`;
      case 'nullable':
        return this.typeOf(type.of(), true);
      // These two are never null. Null becomes an empty one.
      case 'array':
        return `Array(${this.typeOf(type.items(), false)})`;
      case 'map':
        return `Map(${type.key}, ${this.typeOf(type.values(), false)})`;
      case 'object':
        return this.#tuple(type, isNullable);
    }
  }

  /** A tuple is never null. All of its elements are null then. */
  #tuple({ id, fields }: ObjectType, isNullable: boolean): string {
    const names = new Set(fields.map(({ name }) => name));
    const isReadable = names.size === fields.length && fields.every(({ name }) => isReadableElement(name));
    if (fields.length === 0 || !isReadable || this.#open.has(id)) return anyText(isNullable);
    this.#open.add(id);
    const elements = fields.map(({ name, type }) => `${quoteName(name)} ${this.typeOf(type(), isNullable)}`);
    this.#open.delete(id);
    return `Tuple(${elements.join(', ')})`;
  }
}

function anyText(isNullable: boolean): string {
  return isNullable ? 'Nullable(String)' : 'String';
}

/** Whether a tuple may have such an element, and JSON can fill it: ClickHouse does not resolve escapes in names there. */
function isReadableElement(name: string): boolean {
  return name !== '' && name !== RESERVED && !JSON.stringify(name).slice(1, -1).includes('\\');
}

/** What ClickHouse calls the part of a column that says what is null. It takes no element of this name. */
const RESERVED = 'null';

/** A type that also takes null, as far as there is one. */
export function nullableType(type: string): string {
  if (/^(Nullable|Array|Map|Tuple)\(/.test(type)) return type;
  const [, inner] = /^LowCardinality\((.*)\)$/s.exec(type) ?? [];
  return inner === undefined ? `Nullable(${type})` : `LowCardinality(${nullableType(inner)})`;
}

/** The type without null. */
export function withoutNull(type: string): string {
  return type.replace(/^(LowCardinality\()?Nullable\((.*)\)$/s, (_, low: string | undefined, inner: string) =>
    low === undefined ? inner : `${low}${inner}`,
  );
}
