import { AsyncLocalStorage } from 'node:async_hooks';
import type { ConnectionLike, Metadata } from '@temporalio/client';
import type { NativeConnection, Worker } from '@temporalio/worker';
import type { TemporalConfig, TlsConfig } from '../config/config.js';

/** What may change of the configuration. */
type Secrets = Pick<TemporalConfig, 'apiKey' | 'tls'>;

/** What is needed of a worker. */
export type MovableWorker = Pick<Worker, 'getState' | 'connection' | 'shutdown'>;

/**
 * The connection to Temporal of a process, with the API key and the certificates that the configuration has now. Clients
 * and workers share it.
 *
 * The native connection takes another key, and keeps its certificates: it uses them also when it connects again. So new
 * certificates need a new native connection. Requests of clients go to the native connection that is current when they
 * begin. The old one is closed when they have ended.
 *
 * Workers send the results of what they are doing to the new connection, and are shut down: whoever has created them
 * creates them anew. A worker that goes on would ask the old connection for tasks until that gets an answer. If Temporal
 * refuses the old certificates by then, it would ask for ever (`task_poll_retry_policy` in `retry.rs` of 1.24).
 */
export class FollowingConnection implements ConnectionLike {
  readonly plugins: ConnectionLike['plugins'] = [];
  readonly workflowService: ConnectionLike['workflowService'];
  readonly operatorService: ConnectionLike['operatorService'];
  readonly #config: TemporalConfig;
  readonly #connect: Connect;
  readonly #workers = new Set<MovableWorker>();
  /** By how it was called, the native connection of a request. It does not change while the request is prepared. */
  readonly #requests = new AsyncLocalStorage<NativeConnection>();
  /** Native connections that are no longer current, and not closed yet. */
  readonly #retired = new Set<NativeConnection>();
  #native: NativeConnection;
  #used: Secrets;
  #following: Promise<void> | null = null;

  private constructor(config: TemporalConfig, connect: Connect, native: NativeConnection, used: Secrets) {
    this.#config = config;
    this.#connect = connect;
    this.#native = native;
    this.#used = used;
    this.workflowService = forwarded(() => this.#ofRequest.workflowService);
    this.operatorService = forwarded(() => this.#ofRequest.operatorService);
  }

  /** Rejects as `connect` does. */
  static async open(config: TemporalConfig, connect: Connect): Promise<FollowingConnection> {
    const secrets = secretsOf(config);
    return new FollowingConnection(config, connect, await connect({ ...config, ...secrets }), secrets);
  }

  /** The current native connection, to create a worker with. The worker then has to be {@link adopt}ed. */
  get native(): NativeConnection {
    return this.#native;
  }

  /** Shuts this worker down when the connection changes. */
  adopt(worker: MovableWorker): void {
    this.#workers.add(worker);
    this.#moveWorkers();
  }

  /**
   * Uses the API key and the certificates that the configuration has now.
   *
   * @throws Error as `connect` does, if Temporal cannot be reached with new certificates. The old ones are used then
   */
  follow(): Promise<void> {
    return (this.#following ??= this.#follow().finally(() => (this.#following = null)));
  }

  ensureConnected(): Promise<void> {
    return this.#native.ensureConnected();
  }

  withDeadline<R>(deadline: number | Date, fn: () => Promise<R>): Promise<R> {
    return this.#request((native) => native.withDeadline(deadline, fn));
  }

  withMetadata<R>(metadata: Metadata, fn: () => Promise<R>): Promise<R> {
    return this.#request((native) => native.withMetadata(metadata, fn));
  }

  withAbortSignal<R>(signal: AbortSignal, fn: () => Promise<R>): Promise<R> {
    return this.#request((native) => native.withAbortSignal(signal, fn));
  }

  /** The workers have to be ended before. */
  async close(): Promise<void> {
    await Promise.all([this.#native, ...this.#retired].map((native) => native.close()));
  }

  async #follow(): Promise<void> {
    // Again, if one could not be moved.
    this.#moveWorkers();
    const secrets = secretsOf(this.#config);
    const { apiKey, tls } = secrets;
    if (apiKey !== null && apiKey !== this.#used.apiKey) {
      await this.#native.setApiKey(apiKey);
      this.#used = { ...this.#used, apiKey };
    }
    if (isSame(tls, this.#used.tls)) return;
    const replaced = this.#native;
    this.#native = await this.#connect({ ...this.#config, ...secrets });
    this.#used = secrets;
    this.#retire(replaced);
    this.#moveWorkers();
  }

  /** A worker that has ended is forgotten. One that is ending keeps the connection that it has. */
  #moveWorkers(): void {
    for (const worker of this.#workers) {
      const state = worker.getState();
      if (state === 'STOPPED' || state === 'FAILED') this.#workers.delete(worker);
      if ((state !== 'INITIALIZED' && state !== 'RUNNING') || worker.connection === this.#native) continue;
      worker.connection = this.#native;
      if (state === 'RUNNING') worker.shutdown();
    }
  }

  #retire(native: NativeConnection): void {
    this.#retired.add(native);
    const close = async (): Promise<void> => {
      // A worker that is ending may still use it. Then it is closed at the end.
      await native.close();
      this.#retired.delete(native);
    };
    setTimeout(() => void close().catch(() => undefined), this.#config.requestTimeoutMs).unref();
  }

  get #ofRequest(): NativeConnection {
    return this.#requests.getStore() ?? this.#native;
  }

  #request<R>(run: (native: NativeConnection) => Promise<R>): Promise<R> {
    const native = this.#ofRequest;
    return this.#requests.run(native, () => run(native));
  }
}

/** Opens a native connection. */
type Connect = (config: TemporalConfig) => Promise<NativeConnection>;

/** As they are now. */
function secretsOf({ apiKey, tls }: TemporalConfig): Secrets {
  return { apiKey, tls: typeof tls === 'boolean' ? tls : { ...tls } };
}

function isSame(one: TlsConfig | boolean, other: TlsConfig | boolean): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** A service whose methods are those of the service that is current when they are called. */
function forwarded<Service extends object>(current: () => Service): Service {
  return new Proxy({} as Service, {
    get: (_, name) => {
      const service = current();
      const value: unknown = Reflect.get(service, name);
      return typeof value === 'function' ? (value.bind(service) as unknown) : value;
    },
  });
}
