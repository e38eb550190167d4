import { setTimeout as sleep } from 'node:timers/promises';
import { mapConcurrently } from '../lib/mapConcurrently.js';
import { messageOf } from '../lib/messageOf.js';
import { avroDecoder, type AvroChoices, type Decoder } from './avroDecoder.js';
import { parseAvroSchema, type AvroType } from './avroSchema.js';
import { emptyJsonBytes, protobufDecoder, type ProtobufChoices } from './protobufDecoder.js';
import { parseProtobufSchema, type IndexedMessage } from './protobufSchema.js';
import { isEndOfStack, SchemaError } from './errors.js';
import { RegistryError, type RegisteredSchema, type SchemaRegistry } from './schemaRegistry.js';

/** What is known of a schema's id. */
export type KnownSchema = UsableSchema | UselessSchema;

/** What values of schemas are, and what becomes of those for which there is more than one way. */
export type DecodingChoices =
  ({ readonly format: 'avro' } & AvroChoices) | ({ readonly format: 'protobuf' } & ProtobufChoices);

export interface UsableSchema {
  readonly parsed: ParsedSchema;
  readonly decode: Decoder;
  /** Bytes of its text. */
  readonly bytes: number;
  /** The same, with all that it refers to. */
  readonly wholeBytes: number;
  /** Bytes of JSON that a value without any byte may become. */
  readonly emptyBytes: number;
  /** Bytes of JSON that each byte of a value may become. */
  readonly bytesPerByte: number;
}

/** A schema, as its format has it: the type of all values, or the messages that a value may be of. */
export type ParsedSchema =
  | { readonly format: 'avro'; readonly type: AvroType }
  | { readonly format: 'protobuf'; readonly messages: readonly IndexedMessage[] };

/** Why nothing of an id can be decoded. */
export interface UselessSchema {
  readonly why: string;
}

/** Schemas that are kept, at most, and bytes of their texts. What is made of a text takes many times as much. */
const KEPT_MAX = 1_000;
const KEPT_BYTES_MAX = 32 * 1024 * 1024;
/** Bytes of the texts of the schemas of one batch, at most: all of them are in memory together. */
const TOGETHER_BYTES_MAX = 64 * 1024 * 1024;
/**
 * What rejects records is kept for so long, because the registry may be restored. And so many of them, at most: more than
 * a usual batch has records, so that one whose values are no Avro asks once for each id that they seem to have.
 */
const USELESS_KEPT_MS = 60_000;
const USELESS_MAX = 100_000;
/**
 * After it was asked for, if a batch that needs it has to be tried again. Otherwise one with many ids would never end:
 * while it asks for the last ones, the first answers become too old.
 */
const USELESS_FOR_RETRY_MS = 15 * 60_000;
/** Who asks may have given up after this time, and tries again: a consumer does, see `pointedRecords.ts`. */
const GIVEN_UP_AFTER_MS = 3_000;
/**
 * After so long, a registry that does not know an id is asked for it once more: another of its replicas may have answered,
 * which has not heard of it yet.
 */
const ASK_AGAIN_MS = 1_500;
/** Questions to the registry under way for one batch. */
const ASKED_AT_ONCE = 4;

/** The decoders of a registry's schemas. What an id stands for never changes, so each is made once, and kept while it is used. */
export class Decoders {
  readonly #registry: Pick<SchemaRegistry, 'schema'>;
  readonly #askAgainMs: number;
  readonly #kept = new Map<string, UsableSchema>();
  #keptBytes = 0;
  readonly #useless = new Map<string, UselessSchema & { readonly askedMs: number; untilMs: number }>();
  /** When the registry said for the first time that it does not know an id. It is asked once more before it is believed. */
  readonly #doubtedMs = new Map<string, number>();
  /** Questions to the registry under way. Batches that need the same schema at the same time share one. */
  readonly #asked = new Map<string, Promise<KnownSchema>>();

  constructor(registry: Pick<SchemaRegistry, 'schema'>, askAgainMs = ASK_AGAIN_MS) {
    this.#registry = registry;
    this.#askAgainMs = askAgainMs;
  }

  /**
   * What is known of schemas, by id.
   *
   * @throws RegistryError if the registry could not be asked for one, or they are too long together. The others are kept
   */
  async of(ids: Iterable<number>, choices: DecodingChoices): Promise<ReadonlyMap<number, KnownSchema>> {
    const all = [...ids];
    const began = performance.now();
    let isTriedAgain = true;
    try {
      const known = await this.#ofEach(all, choices, false);
      const missing = all.filter((id) => known.get(id) === NO_SCHEMA);
      if (missing.length > 0) {
        await sleep(this.#askAgainMs);
        for (const [id, one] of await this.#ofEach(missing, choices, true)) known.set(id, one);
      }
      isTriedAgain = performance.now() - began >= GIVEN_UP_AFTER_MS;
      return known;
    } finally {
      if (isTriedAgain) this.#keepUseless(all, choices);
    }
  }

  #keepUseless(ids: readonly number[], choices: DecodingChoices): void {
    for (const id of ids) {
      const useless = this.#useless.get(`${choices.format}/${id}`);
      if (useless !== undefined) useless.untilMs = useless.askedMs + USELESS_FOR_RETRY_MS;
    }
  }

  async #ofEach(
    ids: readonly number[],
    choices: DecodingChoices,
    isAskedAgain: boolean,
  ): Promise<Map<number, KnownSchema>> {
    let bytes = 0;
    const of = async (id: number): Promise<[number, KnownSchema]> => {
      const schema = await this.#of(id, choices, isAskedAgain);
      if (!('why' in schema)) bytes += schema.wholeBytes;
      if (bytes > TOGETHER_BYTES_MAX)
        throw new RegistryError('wrong', 'the schemas that the registry has for one batch are too long together');
      return [id, schema];
    };
    return new Map(await mapConcurrently(ids, of, ASKED_AT_ONCE));
  }

  async #of(id: number, choices: DecodingChoices, isAskedAgain: boolean): Promise<KnownSchema> {
    const ofFormat = `${choices.format}/${id}`;
    const useless = this.#useless.get(ofFormat);
    if (useless !== undefined && performance.now() < useless.untilMs) return useless;
    const key = `${ofFormat}/${choices.bytes}/${choices.format === 'avro' ? choices.unions : ''}`;
    const doubtedMs = this.#doubtedMs.get(ofFormat) ?? -Infinity;
    const isDoubted = performance.now() - doubtedMs < USELESS_FOR_RETRY_MS;
    if (isDoubted && !isAskedAgain) return NO_SCHEMA;
    const known = this.#kept.get(key) ?? (await this.#askOnce(key, id, choices));
    this.#doubtedMs.delete(ofFormat);
    if (known === NO_SCHEMA && !isDoubted) {
      this.#doubtedMs.set(ofFormat, performance.now());
      dropOldest(this.#doubtedMs, USELESS_MAX);
      return known;
    }
    if ('why' in known) {
      this.#useless.delete(ofFormat);
      const askedMs = performance.now();
      this.#useless.set(ofFormat, { ...known, askedMs, untilMs: askedMs + USELESS_KEPT_MS });
      dropOldest(this.#useless, USELESS_MAX);
      return known;
    }
    this.#keep(key, known);
    return known;
  }

  /** The one that was used last comes last. */
  #keep(key: string, schema: UsableSchema): void {
    if (!this.#kept.delete(key)) this.#keptBytes += schema.wholeBytes;
    this.#kept.set(key, schema);
    for (const [oldest, { wholeBytes }] of this.#kept) {
      if (this.#kept.size <= KEPT_MAX && this.#keptBytes <= KEPT_BYTES_MAX) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= wholeBytes;
    }
  }

  #askOnce(key: string, id: number, choices: DecodingChoices): Promise<KnownSchema> {
    let answer = this.#asked.get(key);
    if (answer === undefined) {
      answer = this.#ask(id, choices).finally(() => this.#asked.delete(key));
      this.#asked.set(key, answer);
    }
    return answer;
  }

  async #ask(id: number, choices: DecodingChoices): Promise<KnownSchema> {
    const registered = await this.#registry.schema(id);
    return registered === null ? NO_SCHEMA : known(id, registered, choices);
  }
}

/** Each record that is rejected says why. What is said may come from the schema, which may be long. */
const WHY_LENGTH_MAX = 250;

function useless(why: string): UselessSchema {
  return { why: shown(why) };
}

/** In one line. */
function shown(text: string): string {
  const cut = text.length <= WHY_LENGTH_MAX ? text : `${text.slice(0, WHY_LENGTH_MAX - 1)}…`;
  return cut.replaceAll(/[\s\p{Cc}]+/gu, ' ');
}

const NO_SCHEMA = useless('the registry has no schema of this id');

/** The names of formats: as the registry says them, and as people do. */
const NAMES = { avro: ['AVRO', 'Avro'], protobuf: ['PROTOBUF', 'Protobuf'] } as const;

function known(id: number, registered: RegisteredSchema, choices: DecodingChoices): KnownSchema {
  const { type } = registered;
  const [expected, name] = NAMES[choices.format];
  if (type !== expected) return useless(`the registry says that it is of type ${type}, not ${expected}`);
  try {
    return usable(registered, choices);
  } catch (error) {
    if (error instanceof SchemaError) return useless(`it is no ${name} schema: ${error.message}`);
    if (isEndOfStack(error)) return useless('it has too many types within each other');
    // The schema may be right, so no record is rejected because of it.
    throw new RegistryError('wrong', `schema ${id} of the registry cannot be read: ${shown(messageOf(error))}`);
  }
}

/** Each byte of a record may be a field, whose name is in the schema only, or a character that needs an escape. */
const BYTES_PER_BYTE = 64;
/** An empty message takes two bytes, and may become any number of fields that have their defaults. */
const BYTES_PER_BYTE_MAX = 1_024;
const EMPTY_MESSAGE_BYTES = 2;

/**
 * Reads a schema that the registry has.
 *
 * @throws SchemaError
 */
export function parseRegistered(
  { schema, references }: Pick<RegisteredSchema, 'schema' | 'references'>,
  format: DecodingChoices['format'],
): ParsedSchema {
  if (format === 'protobuf') return { format, messages: parseProtobufSchema(schema, references) };
  const texts = references.map(({ schema: text }) => text);
  return { format, type: parseAvroSchema(schema, texts) };
}

/** @throws SchemaError */
function usable(registered: RegisteredSchema, choices: DecodingChoices): UsableSchema {
  const bytes = registered.schema.length;
  const wholeBytes = registered.references.reduce((sum, { schema }) => sum + schema.length, bytes);
  const parsed = parseRegistered(registered, choices.format);
  if (parsed.format === 'avro') {
    const decode = avroDecoder(parsed.type, { unions: 'plain', ...choices });
    return { parsed, decode, bytes, wholeBytes, emptyBytes: 0, bytesPerByte: BYTES_PER_BYTE };
  }
  const { messages } = parsed;
  const emptyBytes = emptyJsonBytes(messages);
  const bytesPerByte = Math.max(BYTES_PER_BYTE, Math.ceil(emptyBytes / EMPTY_MESSAGE_BYTES));
  return {
    parsed,
    decode: protobufDecoder(messages, choices),
    bytes,
    wholeBytes,
    emptyBytes,
    bytesPerByte: Math.min(BYTES_PER_BYTE_MAX, bytesPerByte),
  };
}

function dropOldest(map: Map<unknown, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}
