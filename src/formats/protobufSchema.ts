import protobuf from 'protobufjs';
import { messageOf } from '../lib/messageOf.js';
import { addPartsOfProtobuf } from './partsOfProtobuf.js';
import { ProtobufNames, type ProtobufFile } from './protobufNames.js';
import { protobufText, type NameCount } from './protobufText.js';
import { ownName } from './safeNames.js';
import { SchemaError } from './errors.js';
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
  | {
      readonly kind: 'enum';
      readonly name: string;
      readonly symbols: ReadonlyMap<number, string>;
      readonly first: string;
    }
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
  const length = references.reduce((sum, { schema }) => sum + schema.length, text.length);
  if (length > TEXT_MAX) throw new SchemaError(`it has more than ${TEXT_MAX} characters, with all that it imports`);
  try {
    const root = new protobuf.Root();
    const count = { names: 0 };
    const files = new Map<string, ProtobufFile>();
    for (const { name, schema } of references) files.set(name, parse(schema, name, root, count));
    const own = parse(text, OWN_FILE, root, count);
    files.set(OWN_FILE, own);
    const imported = [...files.values()].flatMap((file) => file.imports.map(({ name }) => name));
    addPartsOfProtobuf(root, imported, (name) => files.has(name));
    new ProtobufNames(root, files).makeFull();
    root.resolveAll();
    return indexed(root, own.package);
  } catch (error) {
    // The stack may end at a schema that is right.
    if (error instanceof RangeError) throw error;
    throw new SchemaError(ownName(messageOf(error)));
  }
}

/** Characters of a schema and all its references, at most. */
const TEXT_MAX = 2 * 1024 * 1024;

/** No file that is imported has this name. */
const OWN_FILE = '(this file)';

/** What it defines has the file's name afterwards. */
function parse(schema: string, name: string, root: protobuf.Root, count: NameCount): ProtobufFile {
  const { text, imports } = protobufText(schema, count);
  const parser = protobuf.parse as typeof protobuf.parse & { filename: string | null };
  parser.filename = name;
  try {
    return { package: parser(text, root, { keepCase: true }).package ?? '', imports };
  } finally {
    parser.filename = null;
  }
}

/** The messages of the file itself, without those that it imports into the same package. */
function indexed(root: protobuf.Root, name: string): readonly IndexedMessage[] {
  let namespace: protobuf.ReflectionObject | null = root;
  for (const part of name === '' ? [] : name.split('.'))
    namespace = namespace instanceof protobuf.Namespace ? namespace.get(part) : null;
  const converter = new Converter();
  const messages = namespace instanceof protobuf.Namespace ? converter.indexed(namespace) : [];
  converter.finish();
  return messages;
}

/** A message may lead to any number of others, so they are made one after the other, and not by recursion. */
class Converter {
  readonly #messages = new Map<protobuf.Type, ProtobufMessage & { readonly fields: ProtobufField[] }>();
  readonly #enums = new Map<protobuf.Enum, ProtobufType>();
  readonly #unfinished: protobuf.Type[] = [];

  /** As serializers count them: without groups, and without the entries of maps. */
  indexed({ nestedArray }: protobuf.NamespaceBase): IndexedMessage[] {
    const messages = nestedArray.filter((one): one is protobuf.Type => one instanceof protobuf.Type);
    const own = messages.filter((message) => message.filename === OWN_FILE && !isOfGroup(message));
    return own.map((type) => ({ message: this.#message(type), nested: this.indexed(type) }));
  }

  /** Gives the messages their fields. */
  finish(): void {
    for (let type = this.#unfinished.pop(); type !== undefined; type = this.#unfinished.pop()) {
      const fields = this.#messages.get(type)?.fields;
      for (const field of type.fieldsArray) fields?.push(this.#field(field));
    }
  }

  #message(type: protobuf.Type): ProtobufMessage {
    let message = this.#messages.get(type);
    if (message === undefined) {
      message = { name: ownName(type.fullName.slice(1)), fields: [] };
      this.#messages.set(type, message);
      this.#unfinished.push(type);
    }
    return message;
  }

  #field(field: protobuf.Field): ProtobufField {
    const { name, id, repeated, map, partOf, resolvedType } = field;
    const isGroup = isBetweenTags(field);
    return {
      // The parser changes only the first letter.
      name: ownName(isGroup && isOfGroup(resolvedType) ? (resolvedType?.name ?? name).toLowerCase() : name),
      id,
      type: field instanceof protobuf.MapField ? { kind: 'message', message: this.#entry(field) } : this.#type(field),
      holds: map ? 'map' : repeated ? 'many' : 'one',
      hasPresence: !repeated && !map && (partOf !== null || resolvedType instanceof protobuf.Type || field.hasPresence),
      oneof: partOf?.name ?? null,
      isGroup,
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
    return this.#enum(resolvedType);
  }

  #enum(type: protobuf.Enum): ProtobufType {
    let made = this.#enums.get(type);
    if (made === undefined) {
      const symbols = new Map(Object.entries(type.valuesById).map(([id, symbol]) => [Number(id), ownName(symbol)]));
      // Numbers as keys would not keep the order of the file.
      const [first = '0'] = Object.keys(type.values);
      made = { kind: 'enum', name: ownName(type.fullName.slice(1)), symbols, first: ownName(first) };
      this.#enums.set(type, made);
    }
    return made;
  }
}

function isOfGroup(type: protobuf.ReflectionObject | null): boolean {
  return type !== null && 'group' in type && type.group === true;
}

/** Whether a field is a group. The parser also takes others for groups whose type has the name of one. */
function isBetweenTags({ name, type, parent, delimited, resolvedType }: protobuf.Field): boolean {
  if (isOfGroup(resolvedType)) return resolvedType?.parent === parent && lowerFirst(resolvedType.name) === name;
  const [last = ''] = type.split('.').slice(-1);
  return delimited && !isOfGroup(parent?.get(last) ?? null);
}

function lowerFirst(name: string): string {
  return `${name.slice(0, 1).toLowerCase()}${name.slice(1)}`;
}
