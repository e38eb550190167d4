import type { DecodingChoices, ParsedSchema } from '../../formats/decoders.js';
import type { IndexedMessage } from '../../formats/protobufSchema.js';
import { avroField } from './avroFields.js';
import { ANY, columnType, nullableType, withoutNull, type FieldType, type NamedField } from './fieldType.js';
import { protobufMessage } from './protobufFields.js';

/** Types of columns by their names. */
export type ColumnTypes = ReadonlyMap<string, string>;

/**
 * What the values of a schema hold.
 *
 * @param indexes which message of the file a value is of, see `WrittenWith`. Without them it is the first one
 */
export function fieldOfSchema(parsed: ParsedSchema, choices: DecodingChoices, indexes: readonly number[]): FieldType {
  if (parsed.format === 'avro') return avroField(parsed.type, { unions: 'plain', ...choices });
  const [first = 0, ...inner] = indexes;
  let message: IndexedMessage | undefined = parsed.messages[first];
  for (const index of inner) message = message?.nested[index];
  return message === undefined ? ANY : protobufMessage(message.message);
}

/**
 * The columns for values of a type: those of its fields. Empty if it is no object.
 *
 * @param isEnvelope whether the row is in the field `after`, as in a change that Debezium has written
 */
export function columnsOfField(type: FieldType, isEnvelope: boolean): ColumnTypes {
  const fields = fieldsOf(type);
  const after = fields.find(({ name }) => name === 'after');
  const ofRow = isEnvelope ? (after === undefined ? [] : fieldsOf(after.type())) : fields;
  const columns = new Map<string, string>();
  for (const { name, type: field } of ofRow) if (!columns.has(name)) columns.set(name, columnType(field()));
  return columns;
}

function fieldsOf(type: FieldType): readonly NamedField[] {
  if (type.is === 'nullable') return fieldsOf(type.of());
  return type.is === 'object' ? type.fields : [];
}

/** Columns for the values of several schemas. */
export interface MergedColumns {
  readonly types: ColumnTypes;
  /** The columns that the values of an older schema may not fit, and what to say of each. */
  readonly misfits: ReadonlyMap<string, string>;
}

/**
 * Columns that hold the values of several schemas. If two of them have a field of different types, the column has one
 * that holds both, if there is one, or that of the newer schema. If one of them lacks a field, its column takes null.
 *
 * @param schemas the columns of each, the newest first
 */
export function mergeColumns(schemas: readonly ColumnTypes[]): MergedColumns {
  const types = new Map<string, string>();
  const misfits = new Map<string, string>();
  for (const name of new Set(schemas.flatMap((columns) => [...columns.keys()]))) {
    const found = schemas.flatMap((columns) => columns.get(name) ?? []);
    let type = found.reduce((newer, older) => common(newer, older) ?? newer);
    if (found.length < schemas.length) type = nullableType(type);
    const other = found.find((older) => common(type, older) !== type);
    if (other !== undefined)
      misfits.set(
        name,
        `the field ${name} is ${type} in a newer schema, and ${other} in an older one: not all of its values may fit`,
      );
    types.set(name, type);
  }
  return { types, misfits };
}

/** Like {@link mergeColumns}, for columns that nobody looks at before they are filled: a misfit becomes a text. */
export function columnsForAll(schemas: readonly ColumnTypes[]): ColumnTypes {
  const { types, misfits } = mergeColumns(schemas);
  return new Map(Array.from(types, ([name, type]) => [name, misfits.has(name) ? 'Nullable(String)' : type]));
}

/** A type that holds all values of two. Undefined if it is none of these. */
function common(one: string, other: string): string | undefined {
  const [first, second] = [withoutNull(one), withoutNull(other)];
  const type = first === second ? first : commonScalar(first, second);
  if (type === undefined) return undefined;
  return nullableType(one) === one || nullableType(other) === other ? nullableType(type) : type;
}

/** Numbers, and the others of which each of them holds all values. */
const HOLDS: readonly (readonly string[])[] = [
  ['Int64', 'Int32', 'UInt32'],
  ['UInt64', 'UInt32'],
  ['Float64', 'Float32', 'Int32', 'UInt32'],
];

function commonScalar(first: string, second: string): string | undefined {
  // Any JSON becomes a text there.
  if ([first, second].some((type) => type === 'String' || type === 'LowCardinality(String)')) return 'String';
  return HOLDS.find((types) => types.includes(first) && types.includes(second))?.[0];
}
