import { isUtf8 } from 'node:buffer';
import { BATCHER_FORMAT, type BatcherInput } from '../../protocol/batcher.js';
import { decodeBufferedChunks } from '../../codecs/bufferedChunks.js';
import { CHUNK_FORMAT, type ChunkMeta } from '../../protocol/chunk.js';
import type { PackedChunks } from '../../protocol/chunkBodies.js';
import { decodeBody, decodeChunk, type DecodedSegment } from '../../codecs/chunkCodec.js';
import { BATCH_FORMATS, openEnvelope, type BatchSpec } from '../../protocol/flush.js';
import type { Rejection } from '../../protocol/ack.js';
import { NO_TIMESTAMP, recordBytes, timeText, type KafkaRecord, type RecordSource } from '../../protocol/record.js';
import { isEncrypted, MissingKeyError, type PayloadCipher } from '../../codecs/payloadCipher.js';
import { UnpackRoom } from '../../codecs/packing.js';
import { decodeRejected } from '../../codecs/rejectionCodec.js';
import { AUTHENTIC_METADATA } from '../../protocol/encryption.js';

/** A payload of Temporal as JSON. All bytes are in Base64, also those in `metadata`. */
export interface WirePayload {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly data?: string;
}

/**
 * What the payloads of one request may be decompressed to, all attempts together: more than our largest batch. So much may
 * the objects take, too, and the texts that are made of them.
 */
const UNPACKED_BYTES_MAX = 128 * 1024 * 1024;

/** How much a text takes until it is sent, by its characters: alone, in the text of its payload, in Base64. */
const TEXT_GROWTH = 3;
/** A character may be written as six: `\u0000`. */
const ESCAPE_GROWTH = 6;
/** What JSON.parse makes of a byte. */
const PARSE_GROWTH = 35;

/** Records of one payload that are shown. The others are only counted. */
const RECORDS_MAX = 1_000;

interface Shown {
  /** Absent if the payload that names the source was not in the request. */
  readonly source?: RecordSource;
  readonly record: KafkaRecord;
  readonly rejection?: Rejection;
}

/** The content of one of our payloads. */
interface Content {
  readonly outcome?: unknown;
  readonly records: readonly Shown[];
}

/**
 * Makes packed records in payloads readable: chunks, batches, carried buffers, rejected records. Payloads of other
 * kinds or of unknown versions are not changed, nor are those for which {@link UNPACKED_BYTES_MAX} does not suffice. Pure.
 *
 * @param payloads of one signal, activity or run, in order: the payload before a body says what is in it
 */
export function decodePayloads(payloads: readonly WirePayload[]): WirePayload[] {
  const room = new UnpackRoom(UNPACKED_BYTES_MAX, UNPACKED_BYTES_MAX);
  return payloads.map((payload, index) => {
    if (encodingOf(payload) !== 'binary/plain') return payload;
    const content = contentOf(bytesOf(payload), jsonOf(payloads[index - 1]), room);
    return content === null ? payload : toPayload(content, room);
  });
}

/** Payloads of which some were encrypted. */
interface Decrypted {
  readonly payloads: readonly WirePayload[];
  /** How many of them were encrypted, and could be decrypted. */
  readonly decrypted: number;
}

/**
 * Decrypts payloads, for whatever workflow they are. One whose key is missing, or that was not encrypted with the key that
 * it names, stays as it is.
 */
export function decryptPayloads(payloads: readonly WirePayload[], cipher: PayloadCipher): Decrypted {
  let decrypted = 0;
  const opened = payloads.map((payload) => {
    const { metadata = {} } = payload;
    const bytes = { metadata: mapValues(metadata, (value) => Buffer.from(value, 'base64')), data: bytesOf(payload) };
    if (!isEncrypted(bytes)) return payload;
    const plain = decryptedOr(bytes, cipher);
    if (plain?.metadata[AUTHENTIC_METADATA] === undefined) return payload;
    decrypted++;
    const { [AUTHENTIC_METADATA]: _, ...ofPlain } = plain.metadata;
    return {
      metadata: mapValues(ofPlain, (value) => Buffer.from(value).toString('base64')),
      data: Buffer.from(plain.data).toString('base64'),
    };
  });
  return { payloads: opened, decrypted };
}

/** Null if the key is missing. */
function decryptedOr<Payload extends { readonly metadata: Record<string, Buffer>; readonly data: Buffer }>(
  payload: Payload,
  cipher: PayloadCipher,
): Payload | null {
  try {
    return cipher.decrypt(payload);
  } catch (error) {
    if (error instanceof MissingKeyError) return null;
    throw error;
  }
}

function mapValues<From, To>(values: Readonly<Record<string, From>>, to: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, to(value)]));
}

function encodingOf({ metadata }: WirePayload): string {
  return Buffer.from(metadata?.['encoding'] ?? '', 'base64').toString();
}

function bytesOf({ data }: WirePayload): Buffer {
  return Buffer.from(data ?? '', 'base64');
}

/** Undefined if it is no JSON. */
function jsonOf(payload: WirePayload | undefined): unknown {
  if (payload === undefined || encodingOf(payload) !== 'json/plain') return undefined;
  try {
    return JSON.parse(bytesOf(payload).toString());
  } catch {
    return undefined; // It is not ours, so it says nothing about the payload after it.
  }
}

/** Null if the payload has no packed records. */
function contentOf(bytes: Uint8Array, before: unknown, room: UnpackRoom): Content | null {
  if (bytes.length === 0) return null;
  const format = (before as { readonly format?: unknown } | null | undefined)?.format;
  return firstOf([
    () =>
      format === CHUNK_FORMAT
        ? segmentsContent(decodeChunk((before as ChunkMeta).segments, bytes, undefined, room))
        : null,
    () =>
      format === BATCH_FORMATS.withBodies
        ? chunksContent({ chunks: (before as BatchSpec).chunks, bodies: bytes }, room)
        : null,
    () =>
      format === BATCHER_FORMAT
        ? chunksContent({ chunks: (before as BatcherInput).carried?.chunks ?? [], bodies: bytes }, room)
        : null,
    () => ({ records: decodeRejected(bytes, room) }),
    () => envelopeContent(bytes, room),
    () => ({ records: decodeBody(bytes, room).flatMap((records) => records.map((record) => ({ record }))) }),
  ]);
}

/** The result of the first reader that succeeds. */
function firstOf(ways: readonly (() => Content | null)[]): Content | null {
  for (const read of ways) {
    try {
      const content = read();
      if (content !== null) return content;
    } catch {
      // The error only says that it is not of this kind.
      continue;
    }
  }
  return null;
}

function segmentsContent(segments: readonly DecodedSegment[]): Content {
  return { records: segments.flatMap(({ records, ...source }) => records.map((record) => ({ source, record }))) };
}

function chunksContent(packed: PackedChunks, room: UnpackRoom): Content {
  return segmentsContent([...decodeBufferedChunks(packed, room)].flat());
}

/** Throws if it is no envelope: then its first four bytes are not the length of a JSON object. */
function envelopeContent(bytes: Uint8Array, room: UnpackRoom): Content {
  const { json: outcome, bytes: rejected } = openEnvelope<unknown>(bytes);
  return { outcome, records: rejected.length === 0 ? [] : decodeRejected(rejected, room) };
}

function toPayload({ outcome, records }: Content, room: UnpackRoom): WirePayload {
  const shown = recordsJson(records, room);
  const more = records.length - shown.length;
  const fields = [
    ...(outcome === undefined ? [] : [`"outcome":${JSON.stringify(outcome)}`]),
    `"records":[${shown.join(',')}]`,
    ...(more > 0 ? [`"more":${more}`] : []),
  ];
  return {
    metadata: { encoding: Buffer.from('json/plain').toString('base64') },
    data: Buffer.from(`{${fields.join(',')}}`).toString('base64'),
  };
}

/** The first records, as many as are shown and as there is room for. */
function recordsJson(records: readonly Shown[], room: UnpackRoom): string[] {
  const texts: string[] = [];
  for (const shown of records.slice(0, RECORDS_MAX)) {
    const { source, record, rejection } = shown;
    const characters = recordBytes(record) + (source?.topic.length ?? 0) + (rejection?.message.length ?? 0);
    if (characters * ESCAPE_GROWTH > room.objectBytes) break;
    const text = recordJson(shown, room.objectBytes / PARSE_GROWTH);
    if (text.length * TEXT_GROWTH > room.objectBytes) break;
    room.takeObjects(text.length * TEXT_GROWTH);
    texts.push(text);
  }
  return texts;
}

/** Written as text, because a value that is JSON is copied unchanged. Numbers would lose digits in JavaScript. */
function recordJson({ source, record, rejection }: Shown, parsedBytesMax: number): string {
  const { offset, timestampMs, key, value, headers, tooLargeBytes } = record;
  const fields = [
    ...(source === undefined ? [] : [`"topic":${JSON.stringify(source.topic)},"partition":${source.partition}`]),
    `"offset":${offset}`,
    ...(timestampMs === NO_TIMESTAMP ? [] : [`"timestamp":"${timeText(timestampMs)}"`]),
    `"key":${bytesJson(key)}`,
    ...(headers.length === 0
      ? []
      : [`"headers":[${headers.map(([name, bytes]) => `[${JSON.stringify(name)},${bytesJson(bytes)}]`).join(',')}]`]),
    `"value":${valueJson(value, parsedBytesMax)}`,
    ...(tooLargeBytes === undefined ? [] : [`"tooLargeBytes":${tooLargeBytes}`]),
    ...(rejection === undefined ? [] : [`"rejection":${JSON.stringify(rejection)}`]),
  ];
  return `{${fields.join(',')}}`;
}

/** @param parsedBytesMax a longer value is shown as text, even if it is JSON */
function valueJson(value: Buffer | null, parsedBytesMax: number): string {
  if (value === null || value.length > parsedBytesMax || !isUtf8(value)) return bytesJson(value);
  const text = value.toString();
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify(text); // It is plain text.
  }
}

/** As text if it is UTF-8, otherwise as Base64. */
function bytesJson(bytes: Buffer | null): string {
  if (bytes === null) return 'null';
  return isUtf8(bytes) ? JSON.stringify(bytes.toString()) : JSON.stringify({ base64: bytes.toString('base64') });
}
