import type { Rejection } from '../../protocol/ack.js';
import { innerType } from '../values/columnTypes.js';
import type { TableColumns } from '../tableColumns.js';
import { quoteLatin1 } from './quoting.js';
import { twice } from './rowRejections.js';

/** Gathers what a value has without a column, for the column that takes it. */
export class UnknownFields {
  readonly column: string;
  readonly #write: (fields: ReadonlyMap<string, string>) => string;
  /** JSON by name. */
  readonly #fields = new Map<string, string>();

  constructor(column: string, table: TableColumns) {
    this.column = column;
    this.#write = writerOf(table.get(column) ?? '');
  }

  begin(): void {
    this.#fields.clear();
  }

  /**
   * Returns a rejection if there is a field of this name already.
   *
   * @param json of the field. It and the name have one character per byte
   */
  add(name: string, json: string): Rejection | undefined {
    const { size } = this.#fields;
    this.#fields.set(name, json);
    return this.#fields.size === size ? twice(name, this.column) : undefined;
  }

  /** The JSON of the column. Undefined if there is nothing for it. */
  get json(): string | undefined {
    return this.#fields.size === 0 ? undefined : this.#write(this.#fields);
  }
}

/** Types that take texts, and no other JSON. */
const TEXTS = /^(String|FixedString)$/;

/** A Map of texts gets the JSON of what is no text, and so does a String of the whole. */
function writerOf(type: string): (fields: ReadonlyMap<string, string>) => string {
  const { name, parameters } = innerType(type);
  if (TEXTS.test(name)) return (fields) => quoteLatin1(objectOf(fields, (json) => json));
  const values = parameters[1] ?? '';
  if (name !== 'Map' || !TEXTS.test(innerType(values).name)) return (fields) => objectOf(fields, (json) => json);
  const keepsNull = /\bNullable\b/.test(values);
  return (fields) =>
    objectOf(fields, (json) => (json.startsWith('"') || (keepsNull && json === 'null') ? json : quoteLatin1(json)));
}

function objectOf(fields: ReadonlyMap<string, string>, write: (json: string) => string): string {
  return `{${Array.from(fields, ([name, json]) => `${quoteLatin1(name)}:${write(json)}`).join(',')}}`;
}
