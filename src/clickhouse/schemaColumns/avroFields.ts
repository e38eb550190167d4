import type { AvroChoices } from '../../formats/avroDecoder.js';
import type { AvroLogical, AvroType } from '../../formats/avroSchema.js';
import { ANY, ANY_OR_NULL, nullable, scalar, type FieldType } from './fieldType.js';

/** What the JSON of an Avro value holds, see `docs/avro.md`. */
export function avroField(type: AvroType, choices: AvroChoices): FieldType {
  switch (type.kind) {
    case 'null':
      return ANY_OR_NULL;
    case 'boolean':
      return scalar('Bool');
    case 'int':
      return whole(type.logical) ?? scalar('Int32');
    case 'long':
      return whole(type.logical) ?? scalar('Int64');
    case 'float':
      return scalar('Float32');
    case 'double':
      return scalar('Float64');
    case 'string':
      return type.logical?.is === 'uuid' ? scalar('UUID') : ANY;
    case 'bytes':
      return binary(type.logical) ?? ANY;
    case 'fixed':
      return binary(type.logical) ?? fixed(type.size, choices);
    case 'enum':
      return { is: 'symbol' };
    case 'array':
      return { is: 'array', items: () => avroField(type.items, choices) };
    case 'map':
      return { is: 'map', key: 'String', values: () => avroField(type.values, choices) };
    case 'union':
      return union(type.branches, choices);
    case 'record': {
      const fields = type.fields.map(({ name, type: inner }) => ({ name, type: () => avroField(inner, choices) }));
      return { is: 'object', id: type, fields };
    }
  }
}

function whole(logical: AvroLogical): FieldType | undefined {
  switch (logical?.is) {
    case 'date':
      return scalar('Date32');
    // Times of day have a type of their own only since ClickHouse 25.6.
    case 'time':
      return ANY;
    case 'timestamp':
    // The wall clock. UTC has no hours that are left out, or that come twice.
    case 'localTimestamp':
      return scalar(`DateTime64(${logical.digits}, 'UTC')`);
    default:
      return undefined;
  }
}

/** ClickHouse's decimals have so many digits at most. */
const DECIMAL_DIGITS_MAX = 76;

function binary(logical: AvroLogical): FieldType | undefined {
  switch (logical?.is) {
    case 'decimal': {
      const { precision, scale } = logical;
      return precision > DECIMAL_DIGITS_MAX ? ANY : scalar(`Decimal(${precision}, ${scale})`);
    }
    case 'uuid':
      return scalar('UUID');
    case 'duration': {
      const fields = ['months', 'days', 'milliseconds'].map((name) => ({ name, type: () => scalar('UInt32') }));
      return { is: 'object', id: DURATION, fields };
    }
    default:
      return undefined;
  }
}

const DURATION = {};

/** A column that has so many bytes for each row, at most. */
const FIXED_BYTES_MAX = 256;

function fixed(size: number, { bytes }: AvroChoices): FieldType {
  return bytes === 'base64' || size === 0 || size > FIXED_BYTES_MAX ? ANY : scalar(`FixedString(${size})`);
}

function union(branches: readonly AvroType[], choices: AvroChoices): FieldType {
  const others = branches.filter(({ kind }) => kind !== 'null');
  const hasNull = others.length < branches.length;
  const [only] = others;
  if (only === undefined) return ANY_OR_NULL;
  // A named branch is an object of one member, whose name says which it is.
  const type = choices.unions === 'named' ? ANY : others.length === 1 ? avroField(only, choices) : several(others);
  return hasNull ? nullable(type) : type;
}

/** Whole numbers stay numbers. All else becomes a text. */
function several(branches: readonly AvroType[]): FieldType {
  const isWhole = branches.every(
    (branch) => (branch.kind === 'int' || branch.kind === 'long') && branch.logical === null,
  );
  return isWhole ? scalar('Int64') : ANY;
}
