import { REJECTION_CODES, type Rejection } from '../protocol/ack.js';
import { NULL_LENGTH, PackedRecord } from '../protocol/packedRecord.js';
import type { KafkaRecord, RecordSource, SourcedRecord } from '../protocol/record.js';
import { isRequestSource } from '../protocol/request.js';
import type { Mapping } from '../protocol/settings.js';
import type { Decoders, DecodingChoices, KnownSchema, UsableSchema } from './decoders.js';
import { JsonWriter } from './jsonWriter.js';
import { RegistryError } from './schemaRegistry.js';
import { UndecodableError } from './undecodable.js';

/**
 * Returns a record with the JSON of its value in place of the value, or why there is none. The JSON is there until the
 * next record is decoded.
 */
export type RecordDecoder = (source: RecordSource, record: KafkaRecord) => KafkaRecord | Rejection;

/** Before the payload, a serializer with a registry writes a zero byte and 4 bytes with the schema's id. */
const HEADER_BYTES = 5;
/** No registry gives larger ids: they are positive and have 32 bits. */
const ID_MAX = 2 ** 31 - 1;

/**
 * Prepares the decoding of the records of a batch. The schemas of all of them are known afterwards, so decoders do not
 * wait. Undefined if the format needs none.
 *
 * @param decoders undefined if this worker has no registry
 * @returns makes a decoder of all records, each once. A batch that is decoded again needs a new one
 * @throws RegistryError
 */
export async function prepareDecoding(
  records: readonly SourcedRecord[],
  mapping: Mapping,
  decoders: Decoders | undefined,
): Promise<(() => RecordDecoder) | undefined> {
  if (mapping.format === 'json-schema') return () => ofRegistry(withoutHeader);
  const choices = choicesOf(mapping);
  if (choices === undefined) return undefined;
  if (decoders === undefined)
    throw new RegistryError(
      'wrong',
      `the pipeline has format ${mapping.format}, and the configuration of this worker has no schemaRegistry`,
    );
  const schemas = await decoders.of(idsOf(records), choices);
  return () => {
    const out = new JsonWriter();
    const batch = { documentBytes: 0 };
    return ofRegistry((bytes, from, to, record) => {
      const id = bytes.readUInt32BE(from + 1);
      const schema = schemas.get(id) ?? NO_SUCH_ID;
      return 'why' in schema
        ? undecodable(`schema ${id}: ${schema.why}`)
        : decoded(record, { schema, id, bytes, from: from + HEADER_BYTES, to, out, batch });
    });
  };
}

/** Undefined if no schema is needed. */
function choicesOf({ format, avro, protobuf }: Mapping): DecodingChoices | undefined {
  if (format === 'avro') return { format, bytes: 'raw', unions: 'plain', ...avro };
  return format === 'protobuf' ? { format, bytes: 'raw', ...protobuf } : undefined;
}

const NO_SUCH_ID: KnownSchema = { why: 'no registry gives such an id' };

type DecodeValue = (bytes: Buffer, from: number, to: number, record: KafkaRecord) => KafkaRecord | Rejection;

/** Decodes what has a registry's header. Rows of workflows are JSON, whatever the format of the topic. */
function ofRegistry(decode: DecodeValue): RecordDecoder {
  return (source, record) => {
    const isPacked = record instanceof PackedRecord;
    const value = isPacked ? null : record.value;
    if (isPacked ? record.valueLength === NULL_LENGTH : value === null) return record;
    if (isRequestSource(source)) return record;
    const bytes = isPacked ? record.values : (value as Buffer);
    const from = isPacked ? record.valueAt : 0;
    const to = from + (isPacked ? record.valueLength : bytes.length);
    return hasHeader(bytes, from, to) ? decode(bytes, from, to, record) : NO_HEADER;
  };
}

function hasHeader(bytes: Buffer, from: number, to: number): boolean {
  return to - from >= HEADER_BYTES && bytes[from] === 0;
}

const NO_HEADER = undecodable(
  'it does not begin with the magic byte and the id of a schema: its producer uses no schema registry, or puts the id into a header',
);

function idsOf(records: readonly SourcedRecord[]): ReadonlySet<number> {
  const ids = new Set<number>();
  const note = (bytes: Buffer, from: number, to: number): void => {
    if (!hasHeader(bytes, from, to)) return;
    const id = bytes.readUInt32BE(from + 1);
    if (id <= ID_MAX) ids.add(id);
  };
  for (const { source, record } of records) {
    if (isRequestSource(source)) continue;
    if (record instanceof PackedRecord) note(record.values, record.valueAt, record.valueAt + record.valueLength);
    else if (record.value !== null) note(record.value, 0, record.value.length);
  }
  return ids;
}

/**
 * A document has so many bytes at most, so that a few bytes that claim to be a great deal do not take the memory of the
 * worker. Fields that take no byte are in the schema as often as in the record, or nearly so.
 */
const DOCUMENT_BYTES = { fixed: 64 * 1024, ofSchemaMax: 1024 * 1024, max: 64 * 1024 * 1024 };
/**
 * The rows of a batch are in memory together. Documents of so many bytes may become any rows. After them, only those
 * that do not grow much.
 */
const BATCH_BYTES = { free: 256 * 1024 * 1024, fixed: 1024, perByte: 16 };

interface Encoded {
  readonly schema: UsableSchema;
  readonly id: number;
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
  readonly out: JsonWriter;
  /** What its batch has become so far. */
  readonly batch: { documentBytes: number };
}

function decoded(record: KafkaRecord, encoded: Encoded): KafkaRecord | Rejection {
  const { schema, id, bytes, from, to, out, batch } = encoded;
  try {
    out.begin(documentBytesMax(encoded));
    schema.decode(bytes, from, to, out);
    out.finish();
  } catch (error) {
    const why = whyUndecodable(error);
    if (why === null) throw error;
    return undecodable(`schema ${id}: ${why}`);
  }
  batch.documentBytes += out.length;
  return withValue(record, out.bytes, 0, out.length);
}

function documentBytesMax({ schema, from, to, batch }: Encoded): number {
  const size = to - from;
  const { fixed, ofSchemaMax, max } = DOCUMENT_BYTES;
  const ofRecord = Math.min(max, fixed + Math.min(ofSchemaMax, schema.bytes) + schema.bytesPerByte * size);
  const left = BATCH_BYTES.free - batch.documentBytes;
  const small = BATCH_BYTES.fixed + Math.min(fixed, schema.emptyBytes) + BATCH_BYTES.perByte * size;
  return Math.min(ofRecord, Math.max(left, small));
}

/** Null: it is not the record's fault. */
function whyUndecodable(error: unknown): string | null {
  if (error instanceof UndecodableError) return error.message;
  return isEndOfStack(error) ? 'its values are nested too deeply' : null;
}

function isEndOfStack(error: unknown): boolean {
  return error instanceof RangeError && error.message === 'Maximum call stack size exceeded';
}

/** JSON says itself what it is, so the schema is not needed. */
const withoutHeader: DecodeValue = (bytes, from, to, record) =>
  withValue(record, bytes, from + HEADER_BYTES, to - from - HEADER_BYTES);

function withValue(record: KafkaRecord, values: Buffer, valueAt: number, valueLength: number): PackedRecord {
  const { offset, timestampMs, headers } = record;
  if (record instanceof PackedRecord) {
    const { keys, keyAt, keyLength } = record;
    return new PackedRecord(offset, timestampMs, keys, keyAt, keyLength, values, valueAt, valueLength, headers);
  }
  const { key } = record;
  const keyLength = key === null ? NULL_LENGTH : key.length;
  return new PackedRecord(offset, timestampMs, key ?? NOTHING, 0, keyLength, values, valueAt, valueLength, headers);
}

const NOTHING = Buffer.alloc(0);

function undecodable(why: string): Rejection {
  return { code: REJECTION_CODES.undecodable, message: `the value cannot be decoded: ${why}` };
}
