import protobuf from 'protobufjs';
import { SchemaError } from './errors.js';
import type { ProtobufImport } from './protobufText.js';

/** What one file says of itself, besides its definitions. */
export interface ProtobufFile {
  readonly package: string;
  readonly imports: readonly ProtobufImport[];
}

/** The names that a file defines, in full. */
interface Names {
  /** Messages and enums. */
  readonly types: Set<string>;
  /** What other names may be in: messages, enums, packages. */
  readonly scopes: Set<string>;
}

/**
 * Finds the types of fields as compilers do. The parser's own search differs: it also looks into messages beside the
 * field, and takes names from the root first.
 *
 * https://protobuf.dev/programming-guides/proto3/#name-resolution
 */
export class ProtobufNames {
  readonly #files: ReadonlyMap<string, ProtobufFile>;
  readonly #types: readonly protobuf.Type[];
  /** By file. `null`: parts of Protobuf, which all files see. */
  readonly #names = new Map<string | null, Names>();
  readonly #all: Names = { types: new Set(), scopes: new Set() };
  readonly #visible = new Map<string, readonly Names[]>();

  /** @param root with the definitions of all files. Each has its file's name */
  constructor(root: protobuf.Root, files: ReadonlyMap<string, ProtobufFile>) {
    this.#files = files;
    this.#types = this.#note(root);
    for (const [file, { package: name }] of files) addWithOuter(this.#of(file).scopes, name);
    for (const { types, scopes } of this.#names.values()) {
      for (const type of types) this.#all.types.add(type);
      for (const scope of scopes) this.#all.scopes.add(scope);
    }
  }

  /** Gives each field the full name of its type. @throws SchemaError if there is none */
  makeFull(): void {
    for (const type of this.#types)
      for (const field of type.fieldsArray)
        if (!SCALARS.has(field.type)) field.type = `.${this.#fullName(field.type, type)}`;
  }

  /** @returns all messages */
  #note(root: protobuf.Root): protobuf.Type[] {
    const types: protobuf.Type[] = [];
    const left: protobuf.ReflectionObject[] = [root];
    for (let one = left.pop(); one !== undefined; one = left.pop()) {
      if (one instanceof protobuf.Type) types.push(one);
      if (one instanceof protobuf.Type || one instanceof protobuf.Enum) {
        const name = one.fullName.slice(1);
        const names = this.#of(one.filename);
        names.types.add(name);
        addWithOuter(names.scopes, name);
      }
      if (one instanceof protobuf.Namespace) for (const nested of one.nestedArray) left.push(nested);
    }
    return types;
  }

  #of(file: string | null): Names {
    let names = this.#names.get(file);
    if (names === undefined) {
      names = { types: new Set(), scopes: new Set() };
      this.#names.set(file, names);
    }
    return names;
  }

  #fullName(name: string, { fullName, filename }: protobuf.Type): string {
    const found = name.startsWith('.')
      ? this.#all.types.has(name.slice(1)) && name.slice(1)
      : // Some registries and libraries do not ask for imports.
        (find(name, fullName.slice(1), this.#seenBy(filename)) ?? find(name, fullName.slice(1), [this.#all]));
    if (typeof found === 'string') return found;
    throw new SchemaError(`it uses a type ${name}, which it does not define`);
  }

  /** A file sees itself, what it imports, and what that imports publicly. */
  #seenBy(file: string | null): readonly Names[] {
    const ofParts = this.#of(null);
    if (file === null) return [ofParts];
    let visible = this.#visible.get(file);
    if (visible === undefined) {
      const seen = new Set((this.#files.get(file)?.imports ?? []).map(({ name }) => name));
      // What is added is visited, too.
      for (const name of seen)
        for (const { name: further, isPublic } of this.#files.get(name)?.imports ?? []) if (isPublic) seen.add(further);
      visible = [...new Set([this.#of(file), ...[...seen].map((name) => this.#of(name)), ofParts])];
      this.#visible.set(file, visible);
    }
    return visible;
  }
}

/** The first part of a name decides, in the innermost scope that has it. Nothing is looked for further inside. */
function find(name: string, from: string, visible: readonly Names[]): string | null {
  const end = name.indexOf('.');
  for (let scope = from; ; scope = outer(scope)) {
    const full = within(scope, name);
    const isType = visible.some(({ types }) => types.has(full));
    if (isType) return full;
    const first = within(scope, name.slice(0, end));
    if (end !== -1 && visible.some(({ scopes }) => scopes.has(first))) return null;
    if (scope === '') return null;
  }
}

function within(scope: string, name: string): string {
  return scope === '' ? name : `${scope}.${name}`;
}

function outer(scope: string): string {
  return scope.slice(0, Math.max(0, scope.lastIndexOf('.')));
}

function addWithOuter(scopes: Set<string>, name: string): void {
  for (let scope = name; scope !== '' && !scopes.has(scope); scope = outer(scope)) scopes.add(scope);
}

const SCALARS: ReadonlySet<string> = new Set([
  ...['int32', 'uint32', 'sint32', 'fixed32', 'sfixed32', 'int64', 'uint64', 'sint64', 'fixed64', 'sfixed64'],
  ...['float', 'double', 'bool', 'string', 'bytes'],
]);
