import type { JsonWriter } from './jsonWriter.js';
import { writeFloat } from './numberTexts.js';
import { WIRE, type ProtobufReader } from './protobufReader.js';
import type { ProtobufType, ScalarKind } from './protobufSchema.js';

/** A value that is no message. */
export interface ProtobufScalar {
  /** Its wire type. */
  readonly wire: number;
  readonly write: (reader: ProtobufReader, out: JsonWriter) => void;
  /** The JSON of a value that is not written, because it is its type's default. */
  readonly byDefault: Buffer;
}

/** @param bytes what becomes of bytes, see `ProtobufChoices` */
export function protobufScalar(
  type: Exclude<ProtobufType, { readonly kind: 'message' }>,
  bytes: 'raw' | 'base64',
): ProtobufScalar {
  if (type.kind === 'enum') return type.name === NULL_VALUE ? NULL_SCALAR : enumScalar(type);
  return type.kind === 'bytes' && bytes === 'base64' ? BASE64 : SCALARS[type.kind];
}

/** The type of JSON's null in `google/protobuf/struct.proto`. */
const NULL_VALUE = 'google.protobuf.NullValue';
const NULL_SCALAR = scalar(WIRE.varint, 'null', (reader, out) => {
  reader.varint();
  out.text('null');
});

type EnumType = Extract<ProtobufType, { readonly kind: 'enum' }>;

/** Many fields may be of one enum, and it may have many symbols. */
const enumScalars = new WeakMap<EnumType, ProtobufScalar>();

function enumScalar(type: EnumType): ProtobufScalar {
  let made = enumScalars.get(type);
  if (made === undefined) {
    made = newEnumScalar(type);
    enumScalars.set(type, made);
  }
  return made;
}

function newEnumScalar({ symbols, first }: EnumType): ProtobufScalar {
  const texts = new Map<number, Buffer>();
  return scalar(WIRE.varint, JSON.stringify(first), (reader, out) => {
    const id = reader.varint() | 0;
    let text = texts.get(id);
    if (text === undefined) {
      const symbol = symbols.get(id);
      if (symbol === undefined) {
        // A newer schema may have a symbol for it.
        out.integer(id);
        return;
      }
      text = Buffer.from(JSON.stringify(symbol));
      texts.set(id, text);
    }
    out.literal(text);
  });
}

const SCALARS: Readonly<Record<ScalarKind, ProtobufScalar>> = {
  int32: scalar(WIRE.varint, '0', (reader, out) => out.integer(reader.varint() | 0)),
  uint32: scalar(WIRE.varint, '0', (reader, out) => out.integer(reader.varint())),
  sint32: scalar(WIRE.varint, '0', (reader, out) => {
    const folded = reader.varint();
    out.integer((folded >>> 1) ^ -(folded & 1));
  }),
  fixed32: scalar(WIRE.fixed32, '0', (reader, out) => out.integer(reader.fixed32())),
  sfixed32: scalar(WIRE.fixed32, '0', (reader, out) => out.integer(reader.fixed32() | 0)),
  int64: scalar(WIRE.varint, '0', (reader, out) => {
    reader.varint();
    writeSigned(out, reader.high | 0, reader.low);
  }),
  uint64: scalar(WIRE.varint, '0', (reader, out) => {
    reader.varint();
    writeUnsigned(out, reader.high, reader.low);
  }),
  sint64: scalar(WIRE.varint, '0', (reader, out) => {
    reader.varint();
    const { high, low } = reader;
    const sign = -(low & 1);
    writeSigned(out, (high >>> 1) ^ sign, (((low >>> 1) | (high << 31)) ^ sign) >>> 0);
  }),
  fixed64: scalar(WIRE.fixed64, '0', (reader, out) => {
    reader.fixed64();
    writeUnsigned(out, reader.high, reader.low);
  }),
  sfixed64: scalar(WIRE.fixed64, '0', (reader, out) => {
    reader.fixed64();
    writeSigned(out, reader.high | 0, reader.low);
  }),
  float: scalar(WIRE.fixed32, '0', (reader, out) => writeFloat(out, reader.float())),
  double: scalar(WIRE.fixed64, '0', (reader, out) => writeFloat(out, reader.double())),
  bool: scalar(WIRE.varint, 'false', (reader, out) => {
    reader.varint();
    out.text(reader.low === 0 && reader.high === 0 ? 'false' : 'true');
  }),
  string: scalar(WIRE.sized, '""', writeBytes),
  bytes: scalar(WIRE.sized, '""', writeBytes),
};

const BASE64 = scalar(WIRE.sized, '""', (reader, out) => {
  const size = reader.size();
  const at = reader.skip(size);
  out.text(`"${reader.bytes.toString('base64', at, at + size)}"`);
});

function scalar(wire: number, byDefault: string, write: ProtobufScalar['write']): ProtobufScalar {
  return { wire, write, byDefault: Buffer.from(byDefault) };
}

function writeBytes(reader: ProtobufReader, out: JsonWriter): void {
  const size = reader.size();
  const at = reader.skip(size);
  out.string(reader.bytes, at, at + size);
}

/** Below it, the two halves of a number together have 53 bits. */
const HIGH_OF_NUMBERS = 2 ** 21;
const LOW = 2 ** 32;

function writeUnsigned(out: JsonWriter, high: number, low: number): void {
  if (high < HIGH_OF_NUMBERS) out.integer(high * LOW + low);
  else out.text(String((BigInt(high) << 32n) | BigInt(low)));
}

/** @param high with its sign */
function writeSigned(out: JsonWriter, high: number, low: number): void {
  if (high >= -HIGH_OF_NUMBERS && high < HIGH_OF_NUMBERS) out.integer(high * LOW + low);
  else out.text(String((BigInt(high) << 32n) | BigInt(low)));
}
