import { REJECTION_CODES, type Rejection } from '../protocol/ack.js';
import { NULL_LENGTH } from '../protocol/packedRecord.js';
import { KEY, VALUE, type PayloadPart } from '../protocol/payloadParts.js';
import type { KafkaRecord, RecordSource, SourcedRecord } from '../protocol/record.js';
import { isRequestSource } from '../protocol/request.js';
import type { Mapping } from '../protocol/settings.js';
import type { Decoders, DecodingChoices, KnownSchema, UsableSchema } from './decoders.js';
import { JsonWriter } from './jsonWriter.js';
import { RegistryError } from './schemaRegistry.js';
import { isEndOfStack, UndecodableError } from './errors.js';

/**
 * Returns a record with the JSON of its value and its key in place of them, as far as the pipeline's formats say that they
 * are decoded, or why there is none. The JSON is there until the next record is decoded.
 */
export type RecordDecoder = (source: RecordSource, record: KafkaRecord) => KafkaRecord | Rejection | RejectedKey;

/** Why a key cannot be read, and its record without it: by its value, the pipeline may leave it out. */
export interface RejectedKey extends Rejection {
  readonly withoutKey: KafkaRecord;
}

export function isRejectedKey(rejection: Rejection): rejection is RejectedKey {
  return 'withoutKey' in rejection;
}

/** @param record its value is decoded, as far as it has to be */
export function rejectedKey({ code, message }: Rejection, record: KafkaRecord): RejectedKey {
  return { code, message, withoutKey: KEY.replaced(record, KEY.bytesOf(record), 0, NULL_LENGTH) };
}

/** Before the payload, a serializer with a registry writes a zero byte and 4 bytes with the schema's id. */
export const HEADER_BYTES = 5;
/** No registry gives larger ids: they are positive and have 32 bits. */
export const ID_MAX = 2 ** 31 - 1;

/** What says how values and keys are decoded. */
type DecodedParts = Pick<Mapping, 'format' | 'avro' | 'protobuf' | 'key'>;

/**
 * Prepares the decoding of the records of a batch. The schemas of all of them are known afterwards, so decoders do not
 * wait. Undefined if the formats need none.
 *
 * @param decoders undefined if this worker has no registry
 * @returns makes a decoder of all records, each once. A batch that is decoded again needs a new one. It counts in `batch`
 *   what they become
 * @throws RegistryError
 */
export async function prepareDecoding(
  records: readonly SourcedRecord[],
  parts: DecodedParts,
  decoders: Decoders | undefined,
): Promise<((batch?: BatchSize) => RecordDecoder) | undefined> {
  const ofValues = await preparePart(VALUE, parts, records, decoders);
  const ofKeys = await preparePart(KEY, { format: parts.key?.format ?? 'bytes' }, records, decoders);
  if (ofValues === undefined && ofKeys === undefined) return undefined;
  return (batch = { documentBytes: 0 }) => {
    const value = ofValues?.(batch);
    const key = ofKeys?.(batch);
    return (source, record) => {
      // Rows of workflows are JSON, whatever the format of the topic.
      if (isRequestSource(source)) return record;
      const decoded = value?.(record) ?? record;
      if ('code' in decoded || key === undefined) return decoded;
      const withKey = key(decoded);
      return 'code' in withKey ? rejectedKey(withKey, decoded) : withKey;
    };
  };
}

/** What a batch has become so far. */
export interface BatchSize {
  documentBytes: number;
}

/** Decodes the values of the records of a batch, or the keys. */
type PartDecoder = (record: KafkaRecord) => KafkaRecord | Rejection;

async function preparePart(
  part: PayloadPart,
  mapping: Pick<Mapping, 'format' | 'avro' | 'protobuf'>,
  records: readonly SourcedRecord[],
  decoders: Decoders | undefined,
): Promise<((batch: BatchSize) => PartDecoder) | undefined> {
  const { format } = mapping;
  if (format === 'json-schema') return () => ofRegistry(part, withoutHeader(part), plainJson(part));
  const choices = choicesOf(mapping);
  if (choices === undefined) return undefined;
  if (decoders === undefined)
    throw new RegistryError(
      'wrong',
      `the pipeline has ${part.name}s of format ${format}, and the configuration of this worker has no schemaRegistry`,
    );
  const schemas = await decoders.of(idsOf(part, records), choices);
  return (batch) => {
    const out = new JsonWriter();
    return ofRegistry(part, (record, bytes, from, to) => {
      const id = bytes.readUInt32BE(from + 1);
      const schema = schemas.get(id) ?? NO_SUCH_ID;
      return 'why' in schema
        ? undecodable(part, `schema ${id}: ${schema.why}${id === 0 ? IDS_OF_8_BYTES : ''}`)
        : decoded(record, { part, schema, id, bytes, from: from + HEADER_BYTES, to, out, batch });
    });
  };
}

/** Undefined if no schema of the registry is needed. */
export function choicesOf({
  format,
  avro,
  protobuf,
}: Pick<Mapping, 'format' | 'avro' | 'protobuf'>): DecodingChoices | undefined {
  if (format === 'avro') return { format, bytes: 'raw', unions: 'plain', ...avro };
  return format === 'protobuf' ? { format, bytes: 'raw', ...protobuf } : undefined;
}

const NO_SUCH_ID: KnownSchema = { why: 'no registry gives such an id' };

type DecodeBytes = (record: KafkaRecord, bytes: Buffer, from: number, to: number) => KafkaRecord | Rejection;

/** The serializers of Apicurio's registry, as they are by default. The first 4 bytes are zeros then. */
const IDS_OF_8_BYTES =
  ". Apicurio's own serializers write ids of 8 bytes: set apicurio.registry.as-confluent: true, " +
  'apicurio.registry.use-id: contentId and apicurio.registry.headers.enabled: false at the producer';

function plainJson({ name }: PayloadPart): string {
  return `. Then it is plain JSON: set ${name === 'key' ? 'key.format' : 'format'}: json`;
}

/**
 * Decodes what has a registry's header.
 *
 * @param advice for what has none
 */
function ofRegistry(part: PayloadPart, decode: DecodeBytes, advice = ''): PartDecoder {
  const noHeader = undecodable(
    part,
    `it does not begin with the magic byte and the id of a schema: its producer uses no schema registry, or puts the id into a header${advice}`,
  );
  return (record) => {
    const length = part.lengthOf(record);
    if (length === NULL_LENGTH) return record;
    const bytes = part.bytesOf(record);
    const from = part.startOf(record);
    return hasHeader(bytes, from, from + length) ? decode(record, bytes, from, from + length) : noHeader;
  };
}

export function hasHeader(bytes: Buffer, from: number, to: number): boolean {
  return to - from >= HEADER_BYTES && bytes[from] === 0;
}

function idsOf(part: PayloadPart, records: readonly SourcedRecord[]): ReadonlySet<number> {
  const ids = new Set<number>();
  for (const { source, record } of records) {
    if (isRequestSource(source)) continue;
    const bytes = part.bytesOf(record);
    const from = part.startOf(record);
    if (!hasHeader(bytes, from, from + part.lengthOf(record))) continue;
    const id = bytes.readUInt32BE(from + 1);
    if (id <= ID_MAX) ids.add(id);
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
  readonly part: PayloadPart;
  readonly schema: UsableSchema;
  readonly id: number;
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
  readonly out: JsonWriter;
  readonly batch: BatchSize;
}

function decoded(record: KafkaRecord, encoded: Encoded): KafkaRecord | Rejection {
  const { part, schema, id, bytes, from, to, out, batch } = encoded;
  try {
    out.begin(documentBytesMax(encoded));
    schema.decode(bytes, from, to, out);
    out.finish();
  } catch (error) {
    const why = whyUndecodable(error);
    if (why === null) throw error;
    return undecodable(part, `schema ${id}: ${why}`);
  }
  batch.documentBytes += out.length;
  return part.replaced(record, out.bytes, 0, out.length);
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

/** JSON says itself what it is, so the schema is not needed. */
function withoutHeader(part: PayloadPart): DecodeBytes {
  const ofApicurio = undecodable(part, `no JSON follows the id of its schema${IDS_OF_8_BYTES}`);
  return (record, bytes, from, to) =>
    bytes.readUInt32BE(from + 1) === 0 && bytes[from + HEADER_BYTES] === 0
      ? ofApicurio
      : part.replaced(record, bytes, from + HEADER_BYTES, to - from - HEADER_BYTES);
}

function undecodable({ name }: PayloadPart, why: string): Rejection {
  return { code: REJECTION_CODES.undecodable, message: `the ${name} cannot be decoded: ${why}` };
}
