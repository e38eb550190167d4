import { mapConcurrently } from '../lib/mapConcurrently.js';
import { avroDecoder, type AvroChoices, type Decoder } from './avroDecoder.js';
import { parseAvroSchema, SchemaError } from './avroSchema.js';
import type { RegisteredSchema, SchemaRegistry } from './schemaRegistry.js';

/** What is known of a schema's id. */
export type KnownSchema =
  | { readonly decode: Decoder; readonly bytes: number }
  /** Why nothing of this id can be decoded. */
  | { readonly why: string };

/** Schemas that are kept, at most. */
const KEPT_MAX = 1_000;
/** Ids without a schema are kept for so long, because a schema may be restored. And so many of them, at most. */
const MISSING_KEPT_MS = 60_000;
const MISSING_MAX = 10_000;
/** Questions to the registry under way for one batch. */
const ASKED_AT_ONCE = 4;

/** The decoders of a registry's schemas. What an id stands for never changes, so each is made once, and kept while it is used. */
export class Decoders {
  readonly #registry: Pick<SchemaRegistry, 'schema'>;
  readonly #kept = new Map<string, KnownSchema>();
  readonly #missing = new Map<number, number>();

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
    if (performance.now() < (this.#missing.get(id) ?? -Infinity)) return NO_SCHEMA;
    const key = `${id}/${choices.bytes}/${choices.unions}`;
    const known = this.#kept.get(key) ?? (await this.#ask(id, choices));
    if (known === NO_SCHEMA) {
      this.#missing.set(id, performance.now() + MISSING_KEPT_MS);
      dropOldest(this.#missing, MISSING_MAX);
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
    return registered === null ? NO_SCHEMA : known(registered, choices);
  }
}

const NO_SCHEMA: KnownSchema = { why: 'the registry has no schema of this id' };

function known({ schema, type, references }: RegisteredSchema, choices: AvroChoices): KnownSchema {
  if (type !== 'AVRO') return { why: `the registry says that it is of type ${type}, not AVRO` };
  try {
    return { decode: avroDecoder(parseAvroSchema(schema, references), choices), bytes: schema.length };
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    return { why: `it is no Avro schema: ${error.message}` };
  }
}

function dropOldest(map: Map<unknown, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}
