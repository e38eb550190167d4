import { REJECTION_CODES, type Rejection } from '../../protocol/ack.js';
import { KEY } from '../../protocol/payloadParts.js';
import { NULL_LENGTH } from '../../protocol/packedRecord.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import { isRequestSource } from '../../protocol/request.js';
import { beginsWithMark, MARK_BYTES } from '../../lib/byteOrderMark.js';
import { hasHalfCharacter } from '../values/jsonText.js';
import { JsonObject } from '../values/jsonBytesReader.js';
import { quoteBytes, quoteLatin1 } from './quoting.js';

/** Members of what Kafka Connect's JSON converter writes with `schemas.enable`. */
const CONNECT_MEMBERS = { schema: 'schema', payload: 'payload' } as const;

/**
 * Makes sure that keys are JSON, in pipelines whose keys are. From then on {@link keyText} and pointers may read them.
 */
export class JsonKeys {
  readonly #hasConnectSchemas: boolean;
  readonly #object = new JsonObject();

  /** @param hasConnectSchemas whether a schema around a key is left out, as it is around the values of changes */
  constructor(hasConnectSchemas: boolean) {
    this.#hasConnectSchemas = hasConnectSchemas;
  }

  /**
   * @param record its key is decoded, if it was no JSON
   * @returns the record with a key that is JSON without white space around it, or without a key if it was null
   */
  open(source: RecordSource, record: KafkaRecord): KafkaRecord | Rejection {
    return this.#open(source, record, this.#hasConnectSchemas);
  }

  /** @param mayHaveSchema its schema may be around it */
  #open(source: RecordSource, record: KafkaRecord, mayHaveSchema: boolean): KafkaRecord | Rejection {
    const length = KEY.lengthOf(record);
    if (length === NULL_LENGTH) return record;
    const bytes = KEY.bytesOf(record);
    const start = KEY.startOf(record);
    const to = start + length;
    const from = beginsWithMark(bytes, start, to) ? start + MARK_BYTES : start;
    const kind = this.#object.read(bytes, from, to);
    // A workflow gives the text itself. It may be a JSON object all the same.
    if (isRequestSource(source) && kind !== 'object' && kind !== 'array') return withKey(record, quoted(record.key));
    if (kind === undefined) return NOT_JSON;
    if (this.#object.hasHalfCharacters && hasHalfCharacter(bytes.toString('latin1', from, to))) return HALF_CHARACTER;
    if (kind === 'null') return KEY.replaced(record, bytes, from, NULL_LENGTH);
    const payload = kind === 'object' && mayHaveSchema ? connectPayload(this.#object) : undefined;
    if (payload === undefined) return trimmed(record, bytes, from + this.#object.start, to);
    return this.#open(source, KEY.replaced(record, bytes, from + payload.start, payload.end - payload.start), false);
  }
}

/** Where the key itself is, in an object with its schema around it. Undefined if there is none. */
export function connectPayload({
  names,
  starts,
  ends,
  length,
}: JsonObject): { start: number; end: number } | undefined {
  if (length !== 2) return undefined;
  const at = names.indexOf(CONNECT_MEMBERS.payload);
  const schemaAt = names.indexOf(CONNECT_MEMBERS.schema);
  if (at < 0 || at > 1 || schemaAt < 0 || schemaAt > 1) return undefined;
  return { start: starts[at] as number, end: ends[at] as number };
}

/**
 * The key as a JSON string: of a text the text itself, of all else its JSON text. Both have one character per byte.
 *
 * @param json a key that was opened
 */
export function keyText(json: Buffer | null): string {
  if (json === null) return 'null';
  return json[0] === QUOTE ? json.toString('latin1') : quoteBytes(json);
}

function trimmed(record: KafkaRecord, bytes: Buffer, from: number, to: number): KafkaRecord {
  let end = to;
  while (isSpace(bytes[end - 1])) end--;
  return KEY.replaced(record, bytes, from, end - from);
}

function isSpace(code: number | undefined): boolean {
  return code === 32 || code === 10 || code === 13 || code === 9;
}

function quoted(key: Buffer | null): Buffer {
  return Buffer.from(quoteLatin1((key ?? Buffer.alloc(0)).toString('latin1')), 'latin1');
}

function withKey(record: KafkaRecord, key: Buffer): KafkaRecord {
  return KEY.replaced(record, key, 0, key.length);
}

const NOT_JSON = undecodable('it is not JSON');
const HALF_CHARACTER = undecodable('it has half of a character (an unpaired surrogate), which no text holds');

function undecodable(why: string): Rejection {
  return { code: REJECTION_CODES.undecodable, message: `the key cannot be decoded: ${why}` };
}

const QUOTE = 34;
