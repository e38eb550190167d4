import * as http from 'node:http';
import * as https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { SchemaRegistryConfig } from '../config/config.js';
import { TlsAgent } from '../config/tlsAgent.js';
import { basicLogin } from '../lib/basicLogin.js';
import { messageOf } from '../lib/messageOf.js';
import { retryDelayMs } from '../lib/retryDelay.js';

/** A schema as the registry has it. */
export interface RegisteredSchema {
  readonly schema: string;
  readonly type: string;
  /** The schemas that it refers to, each after those that it refers to itself. */
  readonly references: readonly NamedSchema[];
}

/** A schema that another one refers to. */
export interface NamedSchema {
  /** A type of Avro, or the path of a file of Protobuf. */
  readonly name: string;
  readonly schema: string;
}

/**
 * The registry did not answer, or not as one should. `away`: it may pass by itself. `wrong`: the configuration or a
 * right is, until a person acts.
 */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  readonly kind: 'away' | 'wrong';
  /** It answers, but not now. How long it wants to be left alone, if it says so. Undefined for all else. */
  readonly later: { readonly afterMs: number | null } | undefined;

  constructor(kind: 'away' | 'wrong', message: string, later?: RegistryError['later']) {
    super(message);
    this.kind = kind;
    this.later = later;
  }
}

/** Schemas that one schema refers to, directly or not, at most. */
const REFERENCES_MAX = 500;
/**
 * A registry that answers, but not now, is asked again: so often, and after such a pause. A batch may need many schemas,
 * and one refusal must not end what has been asked for it so far.
 */
const PATIENCE = { times: 4, firstMs: 500, longestMs: 5_000 };
/** What a schema refers to, as far as it is known. */
interface Visited {
  readonly names: Set<string>;
  /** Of the schema and of these. */
  characters: number;
}

/** Bytes of an answer, at most. So many characters may a schema have, with all that it refers to. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

/**
 * A registry with Confluent's HTTP API: that of Confluent, Apicurio (`/apis/ccompat/v6`), Karapace or Redpanda. It keeps
 * nothing.
 *
 * https://docs.confluent.io/platform/current/schema-registry/develop/api.html
 */
export class SchemaRegistry {
  readonly #config: SchemaRegistryConfig;
  readonly #agent: http.Agent;
  readonly #request: typeof http.request;
  readonly #patience: typeof PATIENCE;

  constructor(config: SchemaRegistryConfig, patience = PATIENCE) {
    this.#config = config;
    this.#patience = patience;
    const options = { keepAlive: true, maxSockets: CONNECTIONS_MAX };
    const isSecure = config.url.startsWith('https:');
    this.#agent = isSecure
      ? config.tls === null
        ? new https.Agent(options)
        : new TlsAgent(config.tls, options)
      : new http.Agent(options);
    this.#request = isSecure ? https.request : http.request;
  }

  /**
   * The schema with an id. Null if the registry has none.
   *
   * @throws RegistryError, also if something that the schema refers to is missing
   */
  schema(id: number): Promise<RegisteredSchema | null> {
    return this.#whole(`${BY_ID}${id}`);
  }

  /**
   * The latest schema of a subject. Null if the registry has no such subject.
   *
   * @throws RegistryError, as {@link schema}
   */
  latest(subject: string): Promise<RegisteredSchema | null> {
    return this.#whole(`subjects/${encodeURIComponent(subject)}/versions/latest`);
  }

  /** A schema with all that it refers to. */
  async #whole(path: string): Promise<RegisteredSchema | null> {
    const found = await this.#schemaAt(path);
    if (found === null) return null;
    const references: NamedSchema[] = [];
    await this.#addReferences(found, references, { names: new Set(), characters: found.schema.length });
    return { schema: found.schema, type: found.schemaType ?? 'AVRO', references };
  }

  /** Makes sure that a registry is there that answers this user. @throws RegistryError */
  async check(): Promise<void> {
    const types = await this.#get('schemas/types');
    if (!Array.isArray(types)) throw this.#noRegistry(200);
  }

  close(): void {
    this.#agent.destroy();
  }

  /**
   * Adds what a schema refers to. A name means what the first reference of this name leads to, as serializers resolve
   * them too: https://github.com/confluentinc/schema-registry, `AbstractSchemaProvider.resolveReferences`.
   */
  async #addReferences({ references }: SchemaAnswer, found: NamedSchema[], visited: Visited): Promise<void> {
    for (const { name, subject, version } of references ?? []) {
      if (visited.names.has(name)) continue;
      if (visited.names.size >= REFERENCES_MAX)
        throw new RegistryError('wrong', `a schema at ${this.#config.url} refers to too many others`);
      // Before its own references, which may lead back to it.
      visited.names.add(name);
      const path = `subjects/${encodeURIComponent(subject)}/versions/${version}?deleted=true`;
      const referred = await this.#schemaAt(path);
      if (referred === null) {
        const what = `version ${version} of the subject ${subject}`;
        throw new RegistryError(
          'wrong',
          `the schema registry at ${this.#config.url} has a schema that refers to ${what}, and not that one: restore it`,
        );
      }
      visited.characters += referred.schema.length;
      if (visited.characters > ANSWER_BYTES_MAX)
        throw new RegistryError('wrong', `a schema at ${this.#config.url} is too long with all that it refers to`);
      await this.#addReferences(referred, found, visited);
      found.push({ name, schema: referred.schema });
    }
  }

  /** Null if the registry says that it has no such schema. */
  async #schemaAt(path: string): Promise<SchemaAnswer | null> {
    const answer = await this.#getPatiently(path);
    if (answer === null) return null;
    const { success, data } = SCHEMA_ANSWER.safeParse(answer);
    if (success) return data;
    throw new RegistryError('wrong', `what answers at ${this.#config.url}/${path} gives no schema: ${CHECK_URL}`);
  }

  async #getPatiently(path: string): Promise<unknown> {
    const { times, longestMs } = this.#patience;
    for (let failures = 1; ; failures++) {
      try {
        return await this.#get(path);
      } catch (error) {
        if (!(error instanceof RegistryError) || error.later === undefined || failures >= times) throw error;
        const delayMs = error.later.afterMs ?? retryDelayMs(failures, this.#patience, Math.random());
        await sleep(Math.min(delayMs, longestMs));
      }
    }
  }

  /** What is answered, any JSON. Null if the registry says that it has no such thing. */
  async #get(path: string): Promise<unknown> {
    const at = `the schema registry at ${this.#config.url}`;
    let status: number;
    let text: string;
    let retryAfter: string | undefined;
    try {
      ({ status, text, retryAfter } = await this.#fetch(path));
    } catch (error) {
      throw new RegistryError('away', `${at} does not answer: ${messageOf(error)}`);
    }
    if (status === 200) {
      const answer = jsonOf(text);
      if (answer !== undefined && answer !== null) return answer;
    }
    // Its own code says that it is this that is missing, and not that the address leads elsewhere.
    if (status === 404 && NOT_FOUND.safeParse(jsonOf(text)).success) return null;
    // Some registries say so of numbers that they never give.
    if ((status === 400 || status === 422) && path.startsWith(BY_ID) && OWN_CODE.safeParse(jsonOf(text)).success)
      return null;
    if (status >= 500 || status === 408 || status === 429)
      throw new RegistryError('away', `${at} answers with HTTP ${status}`, { afterMs: millisecondsOf(retryAfter) });
    if (status === 401 || status === 403)
      throw new RegistryError(
        'wrong',
        `${at} refuses this user ${path} (HTTP ${status}): check schemaRegistry.username and password, or token, and the user's rights`,
      );
    throw this.#noRegistry(status);
  }

  #noRegistry(status: number): RegistryError {
    const message = `what answers at ${this.#config.url} is no schema registry (HTTP ${status}): ${CHECK_URL}`;
    return new RegistryError('wrong', message);
  }

  #fetch(path: string): Promise<Answer> {
    const { url, username, password, token, requestTimeoutMs } = this.#config;
    const authorization =
      token !== null ? `Bearer ${token}` : username === null ? null : basicLogin(username, password);
    const headers = {
      accept: 'application/vnd.schemaregistry.v1+json, application/json',
      ...(authorization === null ? {} : { authorization }),
    };
    const signal = AbortSignal.timeout(requestTimeoutMs);
    return new Promise((resolve, reject) => {
      const request = this.#request(
        `${url.replace(/\/+$/, '')}/${path}`,
        { agent: this.#agent, headers, signal },
        (response) => {
          const chunks: Buffer[] = [];
          let bytes = 0;
          response.on('data', (chunk: Buffer) => {
            chunks.push(chunk);
            bytes += chunk.length;
            if (bytes > ANSWER_BYTES_MAX) request.destroy(new Error('its answer is too long'));
          });
          response.once('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              text: Buffer.concat(chunks).toString(),
              retryAfter: response.headers['retry-after'],
            }),
          );
          response.once('error', reject);
        },
      );
      request.once('error', (error) =>
        reject(signal.aborted ? new Error(`no answer within ${requestTimeoutMs} ms`) : error),
      );
      request.end();
    });
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | undefined;
}

/** Null if it is a date, or nothing. */
function millisecondsOf(retryAfter = ''): number | null {
  return /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1_000 : null;
}

const BY_ID = 'schemas/ids/';

/** A worker asks for few schemas at a time. */
const CONNECTIONS_MAX = 4;

const CHECK_URL = 'check schemaRegistry.url, with its path';

/** With a code of Confluent's API: no such subject, no such version, no such schema. */
const NOT_FOUND = z.object({ error_code: z.literal([40401, 40402, 40403]) });

const OWN_CODE = z.object({ error_code: z.int() });

const SCHEMA_ANSWER = z.object({
  schema: z.string().refine((text) => text.trim() !== ''),
  schemaType: z.string().nullish(),
  references: z.array(z.object({ name: z.string(), subject: z.string(), version: z.int() })).nullish(),
});

type SchemaAnswer = z.infer<typeof SCHEMA_ANSWER>;

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // It is no JSON, so it is no answer of a registry.
    return undefined;
  }
}
