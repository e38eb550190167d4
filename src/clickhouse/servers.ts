/*
 * Several servers of ClickHouse of which one is used at a time.
 */
import { ClickHouseError, type ClickHouseClient } from '@clickhouse/client';
import type { ClickHouseConfig } from '../config/config.js';

/**
 * Which of the servers in `clickhouse.urls` is used: the first one, until a request fails as if it were away. Then it is
 * the next one, and after the last the first one again. All clients of a configuration use the same server: a look-up
 * should see what was inserted.
 *
 * A request that has failed is not repeated here. Whoever has asked knows what to do: an insert that had no answer may
 * have succeeded.
 */
export class Servers {
  readonly urls: readonly string[];
  readonly #listeners: ServerChange[] = [];
  #index = 0;

  constructor(urls: readonly string[]) {
    this.urls = urls;
  }

  /** The address of the one that is used. */
  get current(): string {
    return this.urls[this.#index] ?? '';
  }

  /** A request to this server had no answer. Does nothing if another one is used already. */
  away(url: string): void {
    if (url !== this.current || this.urls.length === 1) return;
    this.#index = (this.#index + 1) % this.urls.length;
    for (const listener of this.#listeners) listener(url, this.current);
  }

  /** Calls a function each time that another server is used. */
  onChange(listener: ServerChange): void {
    this.#listeners.push(listener);
  }
}

type ServerChange = (before: string, now: string) => void;

const known = new WeakMap<ClickHouseConfig, Servers>();

/** The servers of a configuration: the same object for all who ask with the same configuration. */
export function serversOf(config: ClickHouseConfig): Servers {
  let servers = known.get(config);
  if (servers === undefined) known.set(config, (servers = new Servers(config.urls)));
  return servers;
}

const clientsOf = new WeakMap<ClickHouseClient, readonly ClickHouseClient[]>();
const noting = new WeakMap<ClickHouseClient, () => () => void>();

/**
 * To be called before a request, by whoever reads its answer: gives what notes that this answer did not come whole, so
 * that the server counts as away. The client itself sees only the beginning of an answer.
 */
export function awayNoteOf(client: ClickHouseClient): () => void {
  return noting.get(client)?.() ?? (() => undefined);
}

/** The clients of all servers that a client may use. That is itself, if there is one server. */
export function eachServer(client: ClickHouseClient): readonly ClickHouseClient[] {
  return clientsOf.get(client) ?? [client];
}

/** A client that sends each request to the server that is used by then. */
export function clientOfServers(servers: Servers, create: (url: string) => ClickHouseClient): ClickHouseClient {
  const clients = new Map(servers.urls.map((url) => [url, create(url)]));
  const [only, ...others] = [...clients.values()];
  if (only === undefined) throw new Error('there is no address of ClickHouse');
  if (others.length === 0) return only;
  const client = new Proxy(only, {
    get: (_, name) => {
      if (name === 'close') return () => Promise.all([...clients.values()].map((each) => each.close()));
      const url = servers.current;
      const current = clients.get(url) ?? only;
      const value: unknown = Reflect.get(current, name);
      if (typeof value !== 'function') return value;
      return async (...given: unknown[]): Promise<unknown> => {
        try {
          const answer: unknown = await value.apply(current, given);
          if (answerIsAway(answer)) servers.away(url);
          return answer;
        } catch (error) {
          if (errorIsAway(error)) servers.away(url);
          throw error;
        }
      };
    },
  });
  clientsOf.set(client, [...clients.values()]);
  noting.set(client, () => {
    const url = servers.current;
    return () => servers.away(url);
  });
  return client;
}

/** A replica that has lost its Keeper. Another one may have it. */
const TABLE_IS_READ_ONLY = '242';

/** Every error that is not ClickHouse's: no connection, no answer in time, another server's answer. */
function errorIsAway(error: unknown): boolean {
  return !(error instanceof ClickHouseError) || error.code === TABLE_IS_READ_ONLY;
}

interface Answer {
  /** Of a ping. */
  readonly success?: boolean;
  readonly error?: unknown;
  /** Of a statement whose errors are read later. */
  readonly http_status_code?: number;
  readonly response_headers?: Readonly<Record<string, unknown>>;
}

function answerIsAway(answer: unknown): boolean {
  const { success, error, http_status_code: status = 0, response_headers: headers = {} } = answer as Answer;
  if (success === false) return errorIsAway(error);
  const code = headers['x-clickhouse-exception-code'];
  return code === undefined ? status >= 500 : code === TABLE_IS_READ_ONLY;
}
