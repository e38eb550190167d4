import type { ProtobufField, ProtobufMessage, ProtobufType, ScalarKind } from '../../formats/protobufSchema.js';
import { ANY, ANY_OR_NULL, nullable, scalar, type FieldType } from './fieldType.js';

/** What the JSON of a Protobuf message holds, see `docs/protobuf.md`. */
export function protobufMessage(message: ProtobufMessage): FieldType {
  const special = Object.hasOwn(SPECIAL, message.name) ? SPECIAL[message.name] : undefined;
  if (special !== undefined) return special;
  const fields = message.fields.map((field) => ({ name: field.name, type: () => fieldOf(field) }));
  return { is: 'object', id: message, fields };
}

function fieldOf({ type, holds, hasPresence }: ProtobufField): FieldType {
  if (holds === 'many') return { is: 'array', items: () => typeOf(type) };
  if (holds === 'map') return mapOf(type);
  return hasPresence ? nullable(typeOf(type)) : typeOf(type);
}

/** The type of a map is a message of a key and a value. */
function mapOf(type: ProtobufType): FieldType {
  const [key, value] = type.kind === 'message' ? type.message.fields : [];
  if (key === undefined || value === undefined) return ANY;
  // A key of type bool is a text in JSON.
  const keyType = key.type.kind === 'bool' ? 'String' : SCALARS[key.type.kind as ScalarKind];
  return { is: 'map', key: keyType, values: () => typeOf(value.type) };
}

function typeOf(type: ProtobufType): FieldType {
  if (type.kind === 'message') return protobufMessage(type.message);
  if (type.kind === 'enum') return type.name === 'google.protobuf.NullValue' ? ANY_OR_NULL : { is: 'symbol' };
  return scalar(SCALARS[type.kind]);
}

const SCALARS: Readonly<Record<ScalarKind, string>> = {
  int32: 'Int32',
  sint32: 'Int32',
  sfixed32: 'Int32',
  uint32: 'UInt32',
  fixed32: 'UInt32',
  int64: 'Int64',
  sint64: 'Int64',
  sfixed64: 'Int64',
  uint64: 'UInt64',
  fixed64: 'UInt64',
  float: 'Float32',
  double: 'Float64',
  bool: 'Bool',
  string: 'String',
  bytes: 'String',
};

/** Messages that are part of Protobuf, and that become something else than an object. */
const SPECIAL: Readonly<Record<string, FieldType>> = {
  'google.protobuf.Timestamp': scalar("DateTime64(9, 'UTC')"),
  'google.protobuf.Duration': scalar('Decimal(21, 9)'),
  'google.protobuf.DoubleValue': scalar('Float64'),
  'google.protobuf.FloatValue': scalar('Float32'),
  'google.protobuf.Int64Value': scalar('Int64'),
  'google.protobuf.UInt64Value': scalar('UInt64'),
  'google.protobuf.Int32Value': scalar('Int32'),
  'google.protobuf.UInt32Value': scalar('UInt32'),
  'google.protobuf.BoolValue': scalar('Bool'),
  'google.protobuf.StringValue': ANY,
  'google.protobuf.BytesValue': ANY,
  // Any JSON.
  'google.protobuf.Struct': ANY,
  'google.protobuf.ListValue': ANY,
  'google.protobuf.Value': ANY_OR_NULL,
  // Its scale is in the value.
  'confluent.type.Decimal': ANY,
};
