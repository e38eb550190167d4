import { AvroReader } from './avroReader.js';
import type { AvroLogical, AvroType } from './avroSchema.js';
import type { JsonWriter } from './jsonWriter.js';
import { decimalText, writeFloat } from './numberTexts.js';
import { exactTime, TimeWriter } from './timeWriter.js';
import { UndecodableError } from './errors.js';

/** What becomes of values for which there is more than one way. */
export interface AvroChoices {
  /** `raw`: the bytes themselves, as a column of type String stores them. */
  readonly bytes: 'raw' | 'base64';
  /** `plain`: the value alone. `named`: in an object with the name of its branch, as in Avro's own JSON. */
  readonly unions: 'plain' | 'named';
}

/**
 * Writes the value between two places of a buffer as JSON.
 *
 * @throws UndecodableError if the bytes are not of the schema. Then what is written is of no use
 */
export type Decoder = (bytes: Buffer, from: number, to: number, out: JsonWriter) => void;

type Write = (reader: AvroReader, out: JsonWriter) => void;

/**
 * Makes the decoder of a schema. The schema is walked through once: each of its types becomes a function. Numbers keep
 * their digits, and no whole number or decimal becomes a float.
 *
 * @param reader that it uses. It keeps no bytes afterwards, because decoders are kept for long
 */
export function avroDecoder(type: AvroType, choices: AvroChoices, reader = new AvroReader()): Decoder {
  const write = new Compiler(choices).writerOfAll(type);
  return (bytes, from, to, out) => {
    reader.set(bytes, from, to);
    try {
      write(reader, out);
      if (reader.at < to) throw new UndecodableError('bytes are left over after its value');
    } finally {
      reader.set(NOTHING, 0, 0);
    }
  };
}

const NOTHING = Buffer.alloc(0);

class Compiler {
  readonly #choices: AvroChoices;
  readonly #records = new Map<AvroType, Write>();
  readonly #enums = new Map<AvroType, Write>();
  readonly #times = new TimeWriter();

  constructor(choices: AvroChoices) {
    this.#choices = choices;
  }

  /**
   * Of bytes alone, without a logical type, there are no sizes before them. Confluent's serializers write them as they are.
   *
   * Source: `AbstractKafkaAvroSerializer` and `AbstractKafkaAvroDeserializer` of github.com/confluentinc/schema-registry.
   */
  writerOfAll(type: AvroType): Write {
    if (type.kind !== 'bytes' || type.logical !== null) return this.writerOf(type);
    return this.#binary(null, (reader) => reader.end - reader.at);
  }

  writerOf(type: AvroType): Write {
    switch (type.kind) {
      case 'null':
        return (_reader, out) => out.literal(NULL);
      case 'boolean':
        return (reader, out) => out.literal(reader.boolean() ? TRUE : FALSE);
      case 'int':
        return this.#whole(type.logical, (reader) => reader.int());
      case 'long':
        return this.#whole(type.logical, (reader) => reader.long());
      case 'float':
        return (reader, out) => writeFloat(out, reader.float());
      case 'double':
        return (reader, out) => writeFloat(out, reader.double());
      case 'string':
        return writeString;
      case 'bytes':
        return this.#binary(type.logical, (reader) => reader.size());
      case 'fixed':
        return this.#binary(type.logical, () => type.size);
      case 'enum':
        return this.#enum(type);
      case 'array':
        return arrayWriter(this.writerOf(type.items));
      case 'map':
        return mapWriter(this.writerOf(type.values));
      case 'union':
        return this.#union(type.branches);
      case 'record':
        return this.#record(type);
    }
  }

  /** Many fields may be of one enum, and it may have many symbols. */
  #enum(type: Extract<AvroType, { readonly kind: 'enum' }>): Write {
    let write = this.#enums.get(type);
    if (write === undefined) {
      write = enumWriter(type.symbols);
      this.#enums.set(type, write);
    }
    return write;
  }

  #whole(logical: AvroLogical, read: (reader: AvroReader) => number): Write {
    const times = this.#times;
    switch (logical?.is) {
      case 'date':
        return (reader, out) => times.date(out, read(reader));
      case 'time':
      case 'timestamp':
      case 'localTimestamp': {
        const { is, digits } = logical;
        return (reader, out) => {
          const time = exactTime(read(reader), reader.big, digits);
          if (is === 'time') times.time(out, time, digits);
          else times.timestamp(out, time, digits, is === 'localTimestamp');
        };
      }
      default:
        return (reader, out) => {
          const value = read(reader);
          if (Number.isNaN(value)) out.text(String(reader.big));
          else out.integer(value);
        };
    }
  }

  #binary(logical: AvroLogical, sizeOf: (reader: AvroReader) => number): Write {
    const isBase64 = this.#choices.bytes === 'base64';
    switch (logical?.is) {
      case 'decimal': {
        const { scale } = logical;
        return (reader, out) => {
          const size = sizeOf(reader);
          const at = reader.skip(size);
          out.text(`"${decimalText(reader.bytes, at, size, scale)}"`);
        };
      }
      case 'uuid':
        return (reader, out) => out.text(`"${uuidText(reader.bytes, reader.skip(sizeOf(reader)))}"`);
      case 'duration':
        return (reader, out) => {
          const at = reader.skip(sizeOf(reader));
          const [months, days, ms] = [0, 4, 8].map((offset) => reader.bytes.readUInt32LE(at + offset));
          out.text(`{"months":${months},"days":${days},"milliseconds":${ms}}`);
        };
      default:
        return (reader, out) => {
          const size = sizeOf(reader);
          const at = reader.skip(size);
          if (isBase64) out.text(`"${reader.bytes.toString('base64', at, at + size)}"`);
          else out.string(reader.bytes, at, at + size);
        };
    }
  }

  #union(branches: readonly AvroType[]): Write {
    const isNamed = this.#choices.unions === 'named';
    const writers = branches.map((branch): Write => {
      const write = this.writerOf(branch);
      if (!isNamed || branch.kind === 'null') return write;
      const beginning = Buffer.from(`{${JSON.stringify('name' in branch ? branch.name : branch.kind)}:`);
      return (reader, out) => {
        out.literal(beginning);
        write(reader, out);
        out.byte(CLOSE_BRACE);
      };
    });
    return (reader, out) => {
      const write = writers[reader.long()];
      if (write === undefined) throw new UndecodableError('a union has no branch of this number');
      reader.enter();
      write(reader, out);
      reader.leave();
    };
  }

  #record(type: AvroType & { readonly kind: 'record' }): Write {
    const known = this.#records.get(type);
    if (known !== undefined) return known;
    const names: Buffer[] = [];
    const writers: Write[] = [];
    const write: Write = (reader, out) => {
      reader.enter();
      for (let index = 0; index < names.length; index++) {
        out.literal(names[index] as Buffer);
        (writers[index] as Write)(reader, out);
      }
      if (names.length === 0) out.byte(OPEN_BRACE);
      out.byte(CLOSE_BRACE);
      reader.leave();
    };
    // It is known before its fields are walked through, because they may contain it.
    this.#records.set(type, write);
    for (const { name, type: ofField } of type.fields) {
      writers.push(this.writerOf(ofField));
      names.push(Buffer.from(`${names.length === 0 ? '{' : ','}${JSON.stringify(name)}:`));
    }
    return write;
  }
}

function writeString(reader: AvroReader, out: JsonWriter): void {
  const size = reader.size();
  const { at } = reader;
  reader.at = at + size;
  out.string(reader.bytes, at, at + size);
}

function enumWriter(symbols: readonly string[]): Write {
  const texts = symbols.map((symbol) => Buffer.from(JSON.stringify(symbol)));
  return (reader, out) => {
    const text = texts[reader.int()];
    if (text === undefined) throw new UndecodableError('an enum has no symbol of this number');
    out.literal(text);
  };
}

function arrayWriter(write: Write): Write {
  return (reader, out) => {
    let isFirst = true;
    reader.enter();
    out.byte(OPEN_BRACKET);
    for (let items = reader.blockItems(); items > 0; items = reader.blockItems()) {
      for (let item = 0; item < items; item++) {
        if (!isFirst) out.byte(COMMA);
        isFirst = false;
        const { at } = reader;
        write(reader, out);
        // A few bytes can claim to be any number of them.
        if (reader.at === at) throw new UndecodableError('an array has items that take no bytes');
      }
    }
    reader.leave();
    out.byte(CLOSE_BRACKET);
  };
}

function mapWriter(write: Write): Write {
  return (reader, out) => {
    let isFirst = true;
    reader.enter();
    out.byte(OPEN_BRACE);
    for (let items = reader.blockItems(); items > 0; items = reader.blockItems()) {
      for (let item = 0; item < items; item++) {
        if (!isFirst) out.byte(COMMA);
        isFirst = false;
        writeString(reader, out);
        out.byte(COLON);
        write(reader, out);
      }
    }
    reader.leave();
    out.byte(CLOSE_BRACE);
  };
}

function uuidText(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

const NULL = Buffer.from('null');
const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');

const COMMA = 44;
const COLON = 58;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
