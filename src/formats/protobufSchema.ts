import protobuf from 'protobufjs';
import { messageOf } from '../lib/messageOf.js';
import { SchemaError } from './schemaError.js';
import type { NamedSchema } from './schemaRegistry.js';

/** How a value is encoded that is neither an enum nor a message. */
export type ScalarKind =
  | 'int32'
  | 'uint32'
  | 'sint32'
  | 'fixed32'
  | 'sfixed32'
  | 'int64'
  | 'uint64'
  | 'sint64'
  | 'fixed64'
  | 'sfixed64'
  | 'float'
  | 'double'
  | 'bool'
  | 'string'
  | 'bytes';

export type ProtobufType =
  | { readonly kind: ScalarKind }
  | { readonly kind: 'enum'; readonly name: string; readonly symbols: ReadonlyMap<number, string> }
  | { readonly kind: 'message'; readonly message: ProtobufMessage };

/** A message may contain itself. */
export interface ProtobufMessage {
  /** With its package. */
  readonly name: string;
  readonly fields: readonly ProtobufField[];
}

export interface ProtobufField {
  readonly name: string;
  readonly id: number;
  readonly type: ProtobufType;
  /** `one`: at most one value. `map`: its type is a message of a `key` and a `value`. */
  readonly holds: 'one' | 'many' | 'map';
  /** A record says whether it has the field. Otherwise a field that is not there has its type's default. */
  readonly hasPresence: boolean;
  /** Of the fields of a message with the same name here, only the last one counts. */
  readonly oneof: string | null;
  /** It is between two tags, and not after its length. */
  readonly isGroup: boolean;
}

/** A message that a value may be of. Values name it by numbers: `[1, 0]` is the first one within the second one. */
export interface IndexedMessage {
  readonly message: ProtobufMessage;
  readonly nested: readonly IndexedMessage[];
}

/**
 * Reads the text of a `.proto` file.
 *
 * @param references the files that it imports, each after those that it imports itself. Those that are part of Protobuf
 *   need not be among them
 * @returns its messages, in their order
 * @throws SchemaError
 */
export function parseProtobufSchema(text: string, references: readonly NamedSchema[] = []): readonly IndexedMessage[] {
  try {
    const root = new protobuf.Root();
    const texts = references.map(({ schema }) => schema);
    const imports = new Set([...texts, text].flatMap((one) => parse(one, root).imports ?? []));
    for (const { name } of references) imports.delete(name);
    for (const name of imports) root.addJSON(PARTS_OF_PROTOBUF[name]?.nested ?? {});
    root.resolveAll();
    const converter = new Converter(root);
    return namesOf(text).map((named) => converter.indexed(named));
  } catch (error) {
    // The stack may end at a schema that is right.
    if (error instanceof RangeError) throw error;
    throw new SchemaError(messageOf(error));
  }
}

function parse(text: string, root: protobuf.Root): protobuf.IParserResult {
  return protobuf.parse(text, root, { keepCase: true });
}

/** What options of a schema extend. They say nothing about its values. */
const OPTIONS = ['File', 'Message', 'Field', 'Oneof', 'ExtensionRange', 'Enum', 'EnumValue', 'Service', 'Method'];

/** Files that serializers know, so that registries need not have them. */
const PARTS_OF_PROTOBUF: Readonly<Record<string, protobuf.INamespace | null>> = {
  ...Object.fromEntries(
    ['any', 'duration', 'empty', 'field_mask', 'struct', 'timestamp', 'wrappers'].map((name) => {
      const file = `google/protobuf/${name}.proto`;
      return [file, protobuf.common.get(file)];
    }),
  ),
  'google/protobuf/descriptor.proto': definitions(
    `syntax = "proto2"; package google.protobuf;
    ${OPTIONS.map((name) => `message ${name}Options { extensions 1000 to max; }`).join('\n')}`,
  ),
  'confluent/type/decimal.proto': definitions(
    `syntax = "proto3"; package confluent.type;
    message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }`,
  ),
};

function definitions(text: string): protobuf.INamespace {
  return parse(text, new protobuf.Root()).root.toJSON();
}

interface NamedMessage {
  readonly name: string;
  readonly nested: readonly NamedMessage[];
}

/** The messages of one file, without those that it imports into the same package. */
function namesOf(text: string): readonly NamedMessage[] {
  const { root, package: name } = parse(text, new protobuf.Root());
  const namespace = name === undefined ? root : root.lookup(name, protobuf.Namespace);
  return namespace === null ? [] : messagesIn(namespace as protobuf.NamespaceBase);
}

/** As serializers count them: without groups, and without the entries of maps. */
function messagesIn({ nestedArray }: protobuf.NamespaceBase): NamedMessage[] {
  const messages = nestedArray.filter((one): one is protobuf.Type => one instanceof protobuf.Type);
  const counted = messages.filter((message) => !('group' in message && message.group === true));
  return counted.map((message) => ({ name: message.fullName, nested: messagesIn(message) }));
}

class Converter {
  readonly #root: protobuf.Root;
  readonly #messages = new Map<protobuf.Type, ProtobufMessage>();

  constructor(root: protobuf.Root) {
    this.#root = root;
  }

  indexed({ name, nested }: NamedMessage): IndexedMessage {
    return {
      message: this.#message(this.#root.lookupType(name)),
      nested: nested.map((one) => this.indexed(one)),
    };
  }

  #message(type: protobuf.Type): ProtobufMessage {
    const known = this.#messages.get(type);
    if (known !== undefined) return known;
    const fields: ProtobufField[] = [];
    const message = { name: type.fullName.replace(/^\./, ''), fields };
    // Its fields may contain it.
    this.#messages.set(type, message);
    // A field that another file adds is unknown to those who do not have that file.
    for (const field of type.fieldsArray) if (field.declaringField === null) fields.push(this.#field(field));
    return message;
  }

  #field(field: protobuf.Field): ProtobufField {
    const { name, id, repeated, map, partOf } = field;
    return {
      name,
      id,
      type: field instanceof protobuf.MapField ? { kind: 'message', message: this.#entry(field) } : this.#type(field),
      holds: map ? 'map' : repeated ? 'many' : 'one',
      hasPresence:
        !repeated && !map && (partOf !== null || field.resolvedType instanceof protobuf.Type || field.hasPresence),
      oneof: partOf?.name ?? null,
      isGroup: field.delimited,
    };
  }

  #entry(field: protobuf.MapField): ProtobufMessage {
    const part = (name: string, id: number, type: ProtobufType): ProtobufField => ({
      ...{ name, id, type, holds: 'one', hasPresence: false, oneof: null, isGroup: false },
    });
    return {
      name: `${field.fullName} entry`,
      fields: [part('key', 1, { kind: field.keyType as ScalarKind }), part('value', 2, this.#type(field))],
    };
  }

  #type({ type, resolvedType }: protobuf.FieldBase): ProtobufType {
    if (resolvedType === null) return { kind: type as ScalarKind };
    if (resolvedType instanceof protobuf.Type) return { kind: 'message', message: this.#message(resolvedType) };
    const symbols = new Map(Object.entries(resolvedType.valuesById).map(([id, symbol]) => [Number(id), symbol]));
    return { kind: 'enum', name: resolvedType.fullName.replace(/^\./, ''), symbols };
  }
}
