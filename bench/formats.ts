import protobuf from 'protobufjs';
import { registerSchema } from '../stack/native/registry.js';
import { benchMessage, type Scenario } from './scenario.js';

/** Writes one field of a value after the others, in Avro. */
type AvroField = (value: unknown) => Buffer;

/** What a field is, in each format. */
interface FieldType {
  readonly avro: unknown;
  readonly writeAvro: AvroField;
  readonly protobuf: string;
  readonly jsonSchema: object;
}

/** How the values of a scenario are written in a format with a schema. */
export interface Encoding {
  /** As the registry calls the format. */
  readonly schemaType: 'AVRO' | 'PROTOBUF' | 'JSON';
  readonly schema: string;
  /** Writes what follows the schema's id, from the baseline's JSON. */
  readonly encode: (json: Buffer) => Uint8Array;
}

/**
 * Registers the schema of a scenario's values, if its format has one. What it returns makes the record of an id: the key and
 * the fields of the baseline, whatever the format is.
 *
 * @param registryUrl needed by all formats but `json`
 */
export async function messagesOf(
  scenario: Scenario,
  registryUrl: string | undefined,
): Promise<(id: number) => { key: Buffer; value: Buffer }> {
  if (scenario.format === 'json') return (id) => benchMessage(scenario, id);
  if (registryUrl === undefined) throw new Error(`${scenario.format} needs a schema registry`);
  const { schemaType, schema, encode } = encodingOf(scenario.format, fieldsOf(scenario));
  const header = Buffer.alloc(5);
  header.writeInt32BE(await registerSchema(registryUrl, `bench-${scenario.format}-value`, { schemaType, schema }), 1);
  return (id) => {
    const { key, value } = benchMessage(scenario, id);
    return { key, value: Buffer.concat([header, encode(value)]) };
  };
}

type Fields = readonly (readonly [name: string, type: FieldType])[];

function encodingOf(format: Exclude<Scenario['format'], 'json'>, fields: Fields): Encoding {
  switch (format) {
    case 'avro':
      return avro(fields);
    case 'protobuf':
      return protocolBuffers(fields);
    case 'json-schema':
      return jsonSchema(fields);
  }
}

/** Date and time are texts in JSON, and numbers in the formats that have a type for them. */
const WHOLE: FieldType = {
  avro: 'long',
  writeAvro: (value) => avroLong(value as number),
  protobuf: 'int64',
  jsonSchema: { type: 'integer' },
};
const FRACTION: FieldType = {
  avro: 'double',
  writeAvro: (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value as number);
    return bytes;
  },
  protobuf: 'double',
  jsonSchema: { type: 'number' },
};
const TEXT: FieldType = {
  avro: 'string',
  writeAvro: (value) => {
    const bytes = Buffer.from(value as string);
    return Buffer.concat([avroLong(bytes.length), bytes]);
  },
  protobuf: 'string',
  jsonSchema: { type: 'string' },
};
const MOMENT: FieldType = {
  avro: { type: 'long', logicalType: 'timestamp-millis' },
  writeAvro: (value) => avroLong(Date.parse(value as string)),
  protobuf: 'google.protobuf.Timestamp',
  jsonSchema: { type: 'string', format: 'date-time' },
};

/** All others are whole numbers. */
const TYPES: Readonly<Record<string, FieldType>> = {
  customer: TEXT,
  amount: FRACTION,
  status: TEXT,
  created: MOMENT,
  note: TEXT,
};

function fieldsOf(scenario: Scenario): Fields {
  const value = parsed(benchMessage(scenario, 0).value);
  return Object.keys(value).map((name) => [name, TYPES[name] ?? WHOLE]);
}

function avro(fields: Fields): Encoding {
  const schema = { type: 'record', name: 'Bench', fields: fields.map(([name, { avro: type }]) => ({ name, type })) };
  return {
    schemaType: 'AVRO',
    schema: JSON.stringify(schema),
    encode: (json) => {
      const value = parsed(json);
      return Buffer.concat(fields.map(([name, { writeAvro }]) => writeAvro(value[name])));
    },
  };
}

/** Avro's variable-length form of a whole number that is not negative. */
function avroLong(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value * 2;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  return Buffer.of(...bytes, rest);
}

/** Which message of its file a value is: the first. */
const FIRST_MESSAGE = Buffer.of(0);

function protocolBuffers(fields: Fields): Encoding {
  const lines = fields.map(([name, { protobuf: type }], index) => `  ${type} ${name} = ${index + 1};`);
  const schema = ['syntax = "proto3";', `import "${TIMESTAMP}";`, 'message Bench {', ...lines, '}', ''].join('\n');
  const root = protobuf.Root.fromJSON(protobuf.common.get(TIMESTAMP)!);
  const message = protobuf.parse(schema, root).root.resolveAll().lookupType('Bench');
  return {
    schemaType: 'PROTOBUF',
    schema,
    encode: (json) => {
      const value = parsed(json);
      const createdMs = Date.parse(value['created'] as string);
      const created = { seconds: Math.floor(createdMs / 1000), nanos: (createdMs % 1000) * 1_000_000 };
      return Buffer.concat([FIRST_MESSAGE, message.encode({ ...value, created }).finish()]);
    },
  };
}

const TIMESTAMP = 'google/protobuf/timestamp.proto';

function jsonSchema(fields: Fields): Encoding {
  const properties = Object.fromEntries(fields.map(([name, { jsonSchema: type }]) => [name, type]));
  return {
    schemaType: 'JSON',
    schema: JSON.stringify({ type: 'object', properties, required: Object.keys(properties) }),
    encode: (json) => json,
  };
}

function parsed(json: Buffer): Record<string, unknown> {
  return JSON.parse(json.toString()) as Record<string, unknown>;
}
