import { mapConcurrently } from '../lib/mapConcurrently.js';
import { messageOf } from '../lib/messageOf.js';
import { avroDecoder, type AvroChoices, type Decoder } from './avroDecoder.js';
import { parseAvroSchema, SchemaError } from './avroSchema.js';
import { RegistryError, type RegisteredSchema, type SchemaRegistry } from './schemaRegistry.js';

/** What is known of a schema's id. */
export type KnownSchema = UsableSchema | UselessSchema;

export interface UsableSchema {
  readonly decode: Decoder;
  readonly bytes: number;
}

/** Why nothing of an id can be decoded. */
export interface UselessSchema {
  readonly why: string;
}

/** Schemas that are kept, at most. */
const KEPT_MAX = 1_000;
/** What rejects records is kept for so long, because the registry may be restored. And so many of them, at most. */
const USELESS_KEPT_MS = 60_000;
const USELESS_MAX = 10_000;
/** Questions to the registry under way for one batch. */
const ASKED_AT_ONCE = 4;

/** The decoders of a registry's schemas. What an id stands for never changes, so each is made once, and kept while it is used. */
export class Decoders {
  readonly #registry: Pick<SchemaRegistry, 'schema'>;
  readonly #kept = new Map<string, UsableSchema>();
  readonly #useless = new Map<number, UselessSchema & { readonly untilMs: number }>();

  constructor(registry: Pick<SchemaRegistry, 'schema'>) {
    this.#registry = registry;
  }

  /**
   * What is known of schemas, by id.
   *
   * @throws RegistryError if the registry could not be asked for one. The others are kept
   */
  async of(ids: Iterable<number>, choices: AvroChoices): Promise<ReadonlyMap<number, KnownSchema>> {
    const known = await mapConcurrently(
      [...ids],
      async (id) => [id, await this.#of(id, choices)] as const,
      ASKED_AT_ONCE,
    );
    return new Map(known);
  }

  async #of(id: number, choices: AvroChoices): Promise<KnownSchema> {
    const useless = this.#useless.get(id);
    if (useless !== undefined && performance.now() < useless.untilMs) return useless;
    const key = `${id}/${choices.bytes}/${choices.unions}`;
    const known = this.#kept.get(key) ?? (await this.#ask(id, choices));
    if ('why' in known) {
      this.#useless.delete(id);
      this.#useless.set(id, { ...known, untilMs: performance.now() + USELESS_KEPT_MS });
      dropOldest(this.#useless, USELESS_MAX);
      return known;
    }
    // The one that was used last comes last.
    this.#kept.delete(key);
    this.#kept.set(key, known);
    dropOldest(this.#kept, KEPT_MAX);
    return known;
  }

  async #ask(id: number, choices: AvroChoices): Promise<KnownSchema> {
    const registered = await this.#registry.schema(id);
    return registered === null ? NO_SCHEMA : known(id, registered, choices);
  }
}

const NO_SCHEMA: KnownSchema = { why: 'the registry has no schema of this id' };

function known(id: number, { schema, type, references }: RegisteredSchema, choices: AvroChoices): KnownSchema {
  if (type !== 'AVRO') return { why: `the registry says that it is of type ${type}, not AVRO` };
  try {
    return { decode: avroDecoder(parseAvroSchema(schema, references), choices), bytes: schema.length };
  } catch (error) {
    if (error instanceof SchemaError) return { why: `it is no Avro schema: ${error.message}` };
    // The schema may be right, so no record is rejected because of it.
    throw new RegistryError('wrong', `schema ${id} of the registry cannot be read: ${messageOf(error)}`);
  }
}

function dropOldest(map: Map<unknown, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}
