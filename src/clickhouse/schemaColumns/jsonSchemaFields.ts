import { pointerTokens, valueAtPointer } from '../../lib/jsonPointer.js';
import { SchemaError } from '../../formats/errors.js';
import { ANY, ANY_OR_NULL, nullable, scalar, type FieldType, type NamedField } from './fieldType.js';

/**
 * What a JSON Schema says that values hold. What it leaves open is a text: anything may be there.
 *
 * @throws SchemaError if it is no JSON Schema
 */
export function jsonSchemaField(text: string): FieldType {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    throw new SchemaError('it is no JSON');
  }
  if (!isNode(root)) throw new SchemaError('it is no object');
  return new JsonSchema(root).root();
}

type Node = Readonly<Record<string, unknown>>;

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A reference may lead to another one, and in a circle. */
const REFERENCES_MAX = 50;

class JsonSchema {
  readonly #root: Node;

  constructor(root: Node) {
    this.#root = root;
  }

  /** Also of an object that may have other members: columns are for those that the schema names. */
  root(): FieldType {
    const node = this.#resolved(this.#root);
    if (node === undefined || !isNode(node['properties'])) return this.#field(this.#root);
    return { is: 'object', id: node, fields: this.#properties(node) };
  }

  #field(schema: unknown): FieldType {
    const node = this.#resolved(schema);
    if (node === undefined) return ANY_OR_NULL;
    const { anyOf, oneOf, allOf } = node;
    const alternatives = [anyOf, oneOf, allOf].find((some) => Array.isArray(some) && some.length > 0);
    if (alternatives !== undefined) return this.#alternatives(alternatives as unknown[]);
    const types = [node['type']].flat().filter((one) => typeof one === 'string');
    const others = types.filter((type) => type !== 'null');
    const [type] = others;
    const isOpen = others.length !== 1 || type === undefined;
    const field = isOpen ? ANY : this.#ofType(type, node);
    return types.includes('null') || types.length === 0 ? nullable(field) : field;
  }

  #alternatives(schemas: readonly unknown[]): FieldType {
    const others = schemas.filter((schema) => this.#resolved(schema)?.['type'] !== 'null');
    const field = others.length === 1 ? this.#field(others[0]) : ANY;
    return others.length < schemas.length ? nullable(field) : field;
  }

  #ofType(type: string, node: Node): FieldType {
    switch (type) {
      case 'boolean':
        return scalar('Bool');
      case 'integer':
        return scalar('Int64');
      case 'number':
        return scalar('Float64');
      case 'string':
        if (Array.isArray(node['enum'])) return { is: 'symbol' };
        return scalar(FORMATS[String(node['format'])] ?? 'String');
      case 'array':
        return isNode(node['items']) ? { is: 'array', items: () => this.#field(node['items']) } : ANY;
      case 'object':
        return this.#object(node);
      default:
        return ANY;
    }
  }

  /** A tuple takes no members that it has no element for, so an object that may have others becomes a text. */
  #object(node: Node): FieldType {
    const { properties, additionalProperties } = node;
    if (isNode(node['patternProperties'])) return ANY;
    if (isNode(properties) && Object.keys(properties).length > 0)
      return additionalProperties === false ? { is: 'object', id: node, fields: this.#properties(node) } : ANY;
    return isNode(additionalProperties)
      ? { is: 'map', key: 'String', values: () => this.#field(additionalProperties) }
      : ANY;
  }

  #properties(node: Node): NamedField[] {
    const required = new Set(Array.isArray(node['required']) ? (node['required'] as unknown[]) : []);
    return Object.entries(isNode(node['properties']) ? node['properties'] : {}).map(([name, schema]) => ({
      name,
      type: () => (required.has(name) ? this.#field(schema) : nullable(this.#field(schema))),
    }));
  }

  /** What a schema refers to within its document. Undefined: nothing is said, or it is elsewhere. */
  #resolved(schema: unknown): Node | undefined {
    let node = schema;
    for (let count = 0; isNode(node) && typeof node['$ref'] === 'string'; count++) {
      const pointer = node['$ref'].slice(1);
      const isWithin = /^#(\/|$)/.test(node['$ref']);
      if (!isWithin || count >= REFERENCES_MAX) return undefined;
      node = valueAtPointer(this.#root, pointerTokens(decoded(pointer)));
    }
    return isNode(node) ? node : undefined;
  }
}

/** A reference is an address, in which some characters are escaped. */
function decoded(pointer: string): string {
  try {
    return decodeURIComponent(pointer);
  } catch {
    return pointer;
  }
}

/** Formats of texts that have a type of their own. */
const FORMATS: Readonly<Record<string, string>> = {
  uuid: 'UUID',
  date: 'Date32',
  'date-time': "DateTime64(9, 'UTC')",
};
